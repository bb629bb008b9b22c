//! [`Storage`] in memory, with the faults of a real one on command and by seed.
//!
//! It keeps for each file what a reader sees and, apart from it, what is on stable storage; likewise for the names
//! in each directory. A power loss keeps the stable part and, of the rest, what a disk might: any of the 512-byte
//! sectors of unsynced writes in any order, and the first few of the unsynced changes of names in each directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Storage, StorageFile};

const SECTOR_BYTES: usize = 512;

/// A file system in memory. Clones are the same one.
#[derive(Clone, Debug)]
pub struct MemoryStorage(Arc<Mutex<Disk>>);

/// A file of a [`MemoryStorage`].
#[derive(Debug)]
pub struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

/// What a file held when it was mapped.
#[derive(Debug)]
pub struct MemoryMap(Vec<u8>);

/// A lock of a [`MemoryStorage`].
#[derive(Debug)]
pub struct MemoryLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

/// Which faults to show.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The process dies in the middle of this many changes from now; every operation fails from then on.
    pub die_after_changes: Option<u64>,
    /// Bytes that may still be allocated; `None` for no limit.
    pub space_left: Option<u64>,
    /// Preallocating takes no space and so promises nothing: full is found out by a short write.
    pub sparse: bool,
    /// Syncs of files fail, and what they should have synced is never written.
    pub fail_syncs: bool,
    /// Every change fails, as on a file system that went read-only.
    pub fail_changes: bool,
}

#[derive(Debug)]
struct Disk {
    inodes: Vec<Inode>,
    names: Names,
    stable_names: Names,
    dirs: u64,
    name_changes: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    faults: Faults,
    dead: bool,
    boot: u64,
    dice: u64,
    changes: u64,
    syncs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// A directory, by its number: another of the same name is another one.
    Dir(u64),
    File(usize),
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    node: Node,
    /// The directory that has the name.
    parent: u64,
}

impl Entry {
    fn dir(self) -> Option<u64> {
        match self.node {
            Node::Dir(number) => Some(number),
            Node::File(_) => None,
        }
    }
}

type Names = BTreeMap<PathBuf, Entry>;

/// The number of a directory that is there.
fn dir_of(names: &Names, path: &Path) -> Option<u64> {
    names.get(path).and_then(|entry| entry.dir())
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn dir(&self) -> &Path {
        let (Self::Set(path, _) | Self::Remove(path) | Self::Rename(path, _)) = self;
        path.parent().unwrap_or(Path::new(""))
    }

    /// The names that it is about.
    fn names(&self) -> Vec<&Path> {
        match self {
            Self::Set(path, _) | Self::Remove(path) => vec![path],
            Self::Rename(from, to) => vec![from, to],
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Set(path, node) => {
                names.insert(path.clone(), *node);
            }
            // A directory is empty when it is removed, and what another one of its name has is not its.
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

/// The changes in groups that have no name in common, each in order.
fn by_name<'a>(changes: &[&'a NameChange]) -> Vec<Vec<&'a NameChange>> {
    let mut groups: Vec<Vec<&NameChange>> = Vec::new();
    for change in changes {
        let meets = |other: &&NameChange| other.names().iter().any(|name| change.names().contains(name));
        let (met, rest): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.iter().any(meets));
        groups = rest;
        // (Of groups that meet here each kept its own order, and before this nothing depended on that of both.)
        groups.push(met.into_iter().flatten().chain([*change]).collect());
    }
    groups
}

#[derive(Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    stable: Vec<u8>,
    /// What was done to `seen` since it was `stable`.
    pending: Vec<Pending>,
    /// Where space was allocated up to.
    allocated: u64,
}

#[derive(Debug)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

fn apply(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl MemoryStorage {
    /// An empty one; everything it does by chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            inodes: Vec::new(),
            names: BTreeMap::from([(PathBuf::from("/"), Entry { node: Node::Dir(0), parent: 0 })]),
            stable_names: BTreeMap::from([(PathBuf::from("/"), Entry { node: Node::Dir(0), parent: 0 })]),
            dirs: 1,
            name_changes: Vec::new(),
            locks: BTreeSet::new(),
            faults: Faults::default(),
            dead: false,
            boot: 1,
            dice: seed ^ 0x9e37_79b9_7f4a_7c15,
            changes: 0,
            syncs: 0,
        })))
    }

    /// Changes the faults that are shown from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.disk().faults = faults;
    }

    /// Changes some of the faults that are shown from now on.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.disk().faults);
    }

    /// How many changes were made: what [`Faults::die_after_changes`] counts.
    pub fn changes(&self) -> u64 {
        self.disk().changes
    }

    /// How many times a file was synced.
    pub fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// Whether [`Faults::die_after_changes`] has struck.
    pub fn is_dead(&self) -> bool {
        self.disk().dead
    }

    /// The process ended, however it did; the system went on, so that everything written is still there.
    pub fn restart_process(&self) {
        let mut disk = self.disk();
        disk.dead = false;
        disk.faults = Faults::default();
        disk.locks.clear();
    }

    /// The power failed: what was not synced is there, or not, or in part.
    pub fn lose_power(&self) {
        self.restart_process();
        let mut disk = self.disk();
        disk.boot += 1;
        disk.lose_names();
        let Disk { inodes, dice, .. } = &mut *disk;
        for inode in inodes {
            inode.lose_power(dice);
        }
    }

    /// Changes the bytes of a file behind everyone's back, as a failing disk does.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let inode = disk.inode(path).expect("a file to damage");
        let inode = &mut disk.inodes[inode];
        change(&mut inode.seen);
        inode.stable = inode.seen.clone();
        inode.pending.clear();
    }

    /// All files, for tests that look at the whole.
    pub fn files(&self) -> Vec<PathBuf> {
        let disk = self.disk();
        disk.names.iter().filter(|(_, entry)| entry.dir().is_none()).map(|(path, _)| path.clone()).collect()
    }

    /// A separate copy in the same state, without the original's faults and locks.
    pub fn duplicate(&self, seed: u64) -> Self {
        let disk = self.disk();
        let copy = Self::new(seed);
        {
            let mut to = copy.disk();
            to.names = disk.names.clone();
            to.stable_names = disk.names.clone();
            to.boot = disk.boot;
            to.dirs = disk.dirs;
            to.inodes = disk.inodes.iter().map(Inode::synced_copy).collect();
        }
        copy
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no test panics inside the storage")
    }
}

/// The next of a sequence of well mixed numbers (splitmix64).
fn roll(dice: &mut u64) -> u64 {
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *dice;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Inode {
    fn synced_copy(&self) -> Self {
        Self {
            seen: self.seen.clone(),
            stable: self.seen.clone(),
            pending: Vec::new(),
            allocated: self.allocated,
        }
    }

    fn lose_power(&mut self, dice: &mut u64) {
        // Sometimes everything got there, sometimes nothing, mostly some of it.
        let keep_of_8 = [0, 2, 4, 6, 7, 8][(roll(dice) % 6) as usize];
        let mut content = std::mem::take(&mut self.stable);
        for pending in self.pending.drain(..) {
            match pending {
                Pending::Length(bytes) => content.resize(bytes, 0),
                Pending::Write { offset, bytes } => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let to = bytes.len().min(from + SECTOR_BYTES - (offset + from) % SECTOR_BYTES);
                        if roll(dice) % 8 < keep_of_8 {
                            apply(&mut content, offset + from, &bytes[from..to]);
                        }
                        from = to;
                    }
                }
            }
        }
        self.seen = content.clone();
        self.stable = content;
    }
}

impl Disk {
    /// Called at the start of each change; `Ok(true)` where the process is to die in the middle of it.
    fn begin_change(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(io::Error::other("the process is dead"));
        }
        if self.faults.fail_changes {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.changes += 1;
        match &mut self.faults.die_after_changes {
            Some(0) => {
                self.dead = true;
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// A change that happens as a whole or not at all: a dying process makes it or not.
    fn change<T>(&mut self, make: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.begin_change()? {
            if roll(&mut self.dice).is_multiple_of(2) {
                make(self)?;
            }
            return Err(io::Error::other("the process died"));
        }
        make(self)
    }

    fn allocate(&mut self, inode: usize, up_to: u64) -> u64 {
        let wanted = up_to.saturating_sub(self.inodes[inode].allocated);
        let granted = self.faults.space_left.map_or(wanted, |left| left.min(wanted));
        if let Some(left) = &mut self.faults.space_left {
            *left -= granted;
        }
        self.inodes[inode].allocated += granted;
        granted
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Entry { node: Node::File(inode), .. }) => Ok(*inode),
            Some(Entry { node: Node::Dir(_), .. }) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename_node(&mut self, change: NameChange) -> io::Result<()> {
        if dir_of(&self.names, change.dir()).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        change.apply(&mut self.names);
        self.name_changes.push(change);
        Ok(())
    }

    fn set_name(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let parent = path.parent().and_then(|dir| dir_of(&self.names, dir));
        let parent = parent.ok_or(io::ErrorKind::NotFound)?;
        self.rename_node(NameChange::Set(path.to_owned(), Entry { node, parent }))
    }

    fn lose_names(&mut self) {
        let changes = std::mem::take(&mut self.name_changes);
        let dirs: BTreeSet<PathBuf> = changes.iter().map(|change| change.dir().to_owned()).collect();
        let mut names = std::mem::take(&mut self.stable_names);
        for dir in dirs {
            let of_dir: Vec<_> = changes.iter().filter(|change| change.dir() == dir).collect();
            // Some file systems keep the order of all changes of a directory, and some that of each name.
            let is_ordered = roll(&mut self.dice).is_multiple_of(2);
            let groups = if is_ordered { vec![of_dir] } else { by_name(&of_dir) };
            for group in groups {
                let kept = (roll(&mut self.dice) % (group.len() as u64 + 1)) as usize;
                group[..kept].iter().for_each(|change| change.apply(&mut names));
            }
        }
        // What is in a directory that did not survive is gone with it. Parents come before children.
        let mut kept = Names::new();
        for (path, entry) in names {
            if path.parent().is_none_or(|dir| dir_of(&kept, dir) == Some(entry.parent)) {
                kept.insert(path, entry);
            }
        }
        self.names = kept.clone();
        self.stable_names = kept;
    }
}

impl StorageFile for MemoryFile {
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.lock().expect("no panic inside");
        let dies = disk.begin_change()?;
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        disk.allocate(self.inode, offset + bytes.len() as u64);
        let room = disk.inodes[self.inode].allocated.saturating_sub(offset) as usize;
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        bytes.truncate(room);
        if dies {
            let kept = roll(&mut disk.dice) as usize % (bytes.len() + 1);
            bytes.truncate(kept);
        }
        let (count, inode) = (bytes.len(), &mut disk.inodes[self.inode]);
        apply(&mut inode.seen, offset as usize, &bytes);
        inode.pending.push(Pending::Write { offset: offset as usize, bytes });
        if dies { Err(io::Error::other("the process died")) } else { Ok(count) }
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.disk.lock().expect("no panic inside").change(|disk| {
            if !disk.faults.sparse {
                let wanted = bytes.saturating_sub(disk.inodes[self.inode].allocated);
                if disk.faults.space_left.is_some_and(|left| left < wanted) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                disk.allocate(self.inode, bytes);
            }
            let inode = &mut disk.inodes[self.inode];
            if inode.seen.len() < bytes as usize {
                inode.seen.resize(bytes as usize, 0);
                inode.pending.push(Pending::Length(bytes as usize));
            }
            Ok(())
        })
    }

    fn zero(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.disk.lock().expect("no panic inside").change(|disk| {
            let zeros = vec![0; bytes as usize];
            let inode = &mut disk.inodes[self.inode];
            apply(&mut inode.seen, offset as usize, &zeros);
            inode.pending.push(Pending::Write { offset: offset as usize, bytes: zeros });
            Ok(())
        })
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.disk.lock().expect("no panic inside").change(|disk| {
            let inode = &mut disk.inodes[self.inode];
            inode.seen.resize(bytes as usize, 0);
            inode.pending.push(Pending::Length(bytes as usize));
            inode.allocated = inode.allocated.min(bytes);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.lock().expect("no panic inside").change(|disk| {
            disk.syncs += 1;
            let fails = disk.faults.fail_syncs;
            let inode = &mut disk.inodes[self.inode];
            inode.pending.clear();
            if fails {
                return Err(io::Error::other("the disk failed"));
            }
            inode.stable = inode.seen.clone();
            Ok(())
        })
    }
}

impl Deref for MemoryMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.lock().expect("no panic inside").locks.remove(&self.path);
    }
}

impl Storage for MemoryStorage {
    type File = MemoryFile;
    type Map = MemoryMap;
    type Lock = MemoryLock;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let missing: Vec<_> = path.ancestors().filter(|dir| !disk.names.contains_key(*dir)).collect();
        if missing.is_empty() && disk.names[path].dir().is_none() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for dir in missing.into_iter().rev() {
            disk.change(|disk| {
                let number = disk.dirs;
                disk.dirs += 1;
                disk.set_name(dir, Node::Dir(number))
            })?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        if dir_of(&disk.names, dir).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = disk.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create_file(&self, path: &Path) -> io::Result<MemoryFile> {
        let inode = self.disk().change(|disk| {
            let inode = disk.inodes.len();
            disk.inodes.push(Inode::default());
            disk.set_name(path, Node::File(inode))?;
            Ok(inode)
        })?;
        Ok(MemoryFile { disk: self.0.clone(), inode })
    }

    fn open_file(&self, path: &Path) -> io::Result<MemoryFile> {
        let inode = self.disk().inode(path)?;
        Ok(MemoryFile { disk: self.0.clone(), inode })
    }

    fn map(&self, path: &Path) -> io::Result<MemoryMap> {
        let disk = self.disk();
        Ok(MemoryMap(disk.inodes[disk.inode(path)?].seen.clone()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "renames stay in their directory");
        self.disk().change(|disk| {
            disk.inode(from)?;
            disk.rename_node(NameChange::Rename(from.to_owned(), to.to_owned()))
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk().change(|disk| {
            let inode = disk.inode(path)?;
            let freed = std::mem::take(&mut disk.inodes[inode].allocated);
            if let Some(left) = &mut disk.faults.space_left {
                *left += freed;
            }
            disk.rename_node(NameChange::Remove(path.to_owned()))
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        // One at a time, deepest first, so that a process can die in the middle.
        let inside: Vec<_> =
            self.disk().names.keys().filter(|other| other.starts_with(path)).cloned().collect();
        for path in inside.iter().rev() {
            self.disk().change(|disk| disk.rename_node(NameChange::Remove(path.clone())))?;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk().change(|disk| {
            let (synced, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut disk.name_changes).into_iter().partition(|change| change.dir() == dir);
            synced.iter().for_each(|change| change.apply(&mut disk.stable_names));
            disk.name_changes = rest;
            Ok(())
        })
    }

    fn room(&self, _: &Path) -> io::Result<u64> {
        Ok(self.disk().faults.space_left.unwrap_or(u64::MAX))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<MemoryLock>> {
        let free = self.disk().locks.insert(path.to_owned());
        Ok(free.then(|| MemoryLock { disk: self.0.clone(), path: path.to_owned() }))
    }

    fn random(&self, out: &mut [u8]) -> io::Result<()> {
        let mut disk = self.disk();
        out.iter_mut().for_each(|byte| *byte = roll(&mut disk.dice) as u8);
        Ok(())
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("boot-{}", self.disk().boot))
    }
}
