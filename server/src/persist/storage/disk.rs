//! [`Storage`] on the real file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read};
use std::ops::Deref;
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::{Storage, StorageFile, write_all_at};

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskStorage;

/// A file of the real file system.
#[derive(Debug)]
pub struct DiskFile(File);

/// A mapped file. An empty one is not mapped: the kernel refuses that.
#[derive(Debug)]
pub struct DiskMap(Option<memmap2::Mmap>);

/// An exclusive `flock`, which the kernel gives back when the process ends, however it ends.
#[derive(Debug)]
pub struct DiskLock {
    _file: File,
}

impl Deref for DiskMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl StorageFile for DiskFile {
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        loop {
            match rustix::io::pwritev(&self.0, parts, offset) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
                Err(Errno::INTR) => {}
                // Such a file system finds out at the write that it is full; the log undoes that write.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) if self.0.metadata()?.len() < bytes => {
                    return self.0.set_len(bytes);
                }
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                result => return Ok(result?),
            }
        }
    }

    fn zero(&self, offset: u64, bytes: u64) -> io::Result<()> {
        if rustix::fs::fallocate(&self.0, FallocateFlags::ZERO_RANGE, offset, bytes).is_ok() {
            return Ok(());
        }
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut done = 0;
        while done < bytes {
            let count = ZEROS.len().min((bytes - done) as usize);
            write_all_at(self, &ZEROS[..count], offset + done)?;
            done += count as u64;
        }
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Storage for DiskStorage {
    type File = DiskFile;
    type Map = DiskMap;
    type Lock = DiskLock;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn create_file(&self, path: &Path) -> io::Result<DiskFile> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path).map(DiskFile)
    }

    fn open_file(&self, path: &Path) -> io::Result<DiskFile> {
        OpenOptions::new().write(true).open(path).map(DiskFile)
    }

    fn map(&self, path: &Path) -> io::Result<DiskMap> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(DiskMap(None));
        }
        // SAFETY: a mapping is sound while nobody changes the mapped bytes. The files are below a data directory
        // whose lock this process holds, and this process maps only files that it does not write meanwhile:
        // logs at start before it appends to them, and small files that are only ever replaced by a rename.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(DiskMap(Some(map)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn room(&self, dir: &Path) -> io::Result<u64> {
        let system = rustix::fs::statvfs(dir)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // For people who look into the directory, and for the message of the process that is refused.
                let disk_file = DiskFile(file);
                disk_file.truncate(0)?;
                write_all_at(&disk_file, format!("{}\n", std::process::id()).as_bytes(), 0)?;
                Ok(Some(DiskLock { _file: disk_file.0 }))
            }
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn random(&self, out: &mut [u8]) -> io::Result<()> {
        File::open("/dev/urandom")?.read_exact(out)
    }

    fn boot_id(&self) -> Option<String> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_zeroed_cut_and_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = DiskStorage.create_file(&path).unwrap();
        file.preallocate(10_000).unwrap();
        assert_eq!(file.write_at(&[IoSlice::new(b"abc"), IoSlice::new(b"def")], 5).unwrap(), 6);
        assert_eq!(DiskStorage.map(&path).unwrap()[..12], *b"\0\0\0\0\0abcdef\0");
        file.zero(7, 9_000).unwrap();
        let map = DiskStorage.map(&path).unwrap();
        assert_eq!((map.len(), &map[5..9]), (10_000, &b"ab\0\0"[..]));
        drop(map);
        file.truncate(6).unwrap();
        file.sync_data().unwrap();
        assert_eq!(*DiskStorage.map(&path).unwrap(), *b"\0\0\0\0\0a");
        file.truncate(0).unwrap();
        assert!(DiskStorage.map(&path).unwrap().is_empty());
    }

    #[test]
    fn a_lock_is_held_once_and_free_after_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = DiskStorage.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(DiskStorage.lock(&path).unwrap().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(held);
        assert!(DiskStorage.lock(&path).unwrap().is_some());
    }
}
