//! The file operations that this module needs, and nothing else.
//!
//! Everything above goes through [`Storage`], so that the crash tests run on [`memory::MemoryStorage`], which loses
//! what was not synced, tears writes, runs full and fails syncs on command, a million times faster than a disk does.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::path::{Path, PathBuf};

pub mod disk;
pub mod memory;

/// A file open for writing. Shared between the shard that writes it and the thread that syncs it.
pub trait StorageFile: Debug + Send + Sync + 'static {
    /// One write call at `offset`; returns how many bytes of `parts`, in order, were written, which may be fewer.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes the file `bytes` long, with the space for them allocated where the file system can do that. What was
    /// not there before reads as zeros. Fails with [`io::ErrorKind::StorageFull`] where there is no room.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes a range read as zeros and keeps its space.
    fn zero(&self, offset: u64, bytes: u64) -> io::Result<()>;

    /// Cuts the file to `bytes`.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Returns once content and length are on stable storage. After a failure nothing is known of either.
    fn sync_data(&self) -> io::Result<()>;
}

/// A file system, a source of randomness and the identity of the running kernel.
pub trait Storage: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: StorageFile;
    /// The content of a file, readable as long as it is held.
    type Map: Deref<Target = [u8]>;
    /// Held as long as the lock is.
    type Lock: Debug + Send;

    /// Creates a directory and those above it; it may exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates an empty file; an older one of that name is replaced.
    fn create_file(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens an existing file.
    fn open_file(&self, path: &Path) -> io::Result<Self::File>;
    /// The content of an existing file. No one may shorten the file meanwhile.
    fn map(&self, path: &Path) -> io::Result<Self::Map>;
    /// Renames a file; an older one of the new name is replaced at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in a directory are on stable storage.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that the disk of `dir` can still take, about.
    fn room(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the lock of that file, or `None` where another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
    /// Fills `out` with random bytes fit for identities.
    fn random(&self, out: &mut [u8]) -> io::Result<()>;
    /// Names the running kernel: another after each boot. `None` where it cannot be known.
    fn boot_id(&self) -> Option<String>;
}

/// The name under which the file of that name is written before it gets its own: its own, so that no two files, written on
/// two threads, ever have the same.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Puts `content` in place of the file at `path`, durably: after a crash there is the old or the new content.
pub fn replace_file<S: Storage>(storage: &S, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let file = storage.create_file(&temporary)?;
    write_all_at(&file, content, 0)?;
    file.sync_data()?;
    storage.rename(&temporary, path)?;
    storage.sync_dir(path.parent().expect("a file in a directory"))
}

/// Writes all of `bytes`, in as many calls as it takes.
pub fn write_all_at<F: StorageFile>(file: &F, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let count = file.write_at(&[IoSlice::new(&bytes[written..])], offset + written as u64)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        written += count;
    }
    Ok(())
}
