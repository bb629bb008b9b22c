//! How `playground add` finds the playground that runs.
//!
//! Each running playground has a file `playground-PORT.json` and a socket `playground-PORT.sock` in a directory
//! that only this user can enter. A playground that was killed leaves both behind; that nobody answers on the
//! socket tells them from those of a live one.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// A playground as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process `cluster-admin playground`.
    pub pid: u32,
    /// The port of its first node.
    pub port: u16,
}

/// What is asked on the socket, one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Start one more node and let it join.
    Add,
}

/// What is answered, one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It runs and has joined.
    Added {
        /// The new node.
        address: String,
        /// A member to ask from now on.
        member: String,
        /// What the operator should know.
        notes: Vec<String>,
    },
    /// It did not work; one line why.
    Error(String),
}

/// The directory of records.
#[derive(Debug, Clone)]
pub struct Registry {
    directory: PathBuf,
}

impl Registry {
    /// This user's: below `XDG_RUNTIME_DIR`, or else below the directory for temporary files.
    ///
    /// # Errors
    /// Where the directory cannot be made, or belongs to somebody else.
    pub fn of_user() -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
        let directory = match runtime {
            Some(runtime) => runtime.join("carousel"),
            None => std::env::temp_dir().join(format!("carousel-{uid}")),
        };
        Self::at(directory)
    }

    /// In that directory, which is made if it is not there.
    ///
    /// # Errors
    /// As for [`Self::of_user`].
    pub fn at(directory: PathBuf) -> Result<Self> {
        let path = directory.display();
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make the directory {path}"));
            }
            _ => {}
        }
        // Somebody else could have made it to make us talk to their socket.
        let facts =
            std::fs::symlink_metadata(&directory).with_context(|| format!("cannot look at {path}"))?;
        if !facts.is_dir() || facts.uid() != rustix::process::geteuid().as_raw() || facts.mode() & 0o022 != 0
        {
            bail!(
                "{path} is not a directory that only you can write; remove it, or set XDG_RUNTIME_DIR to one that is"
            );
        }
        Ok(Self { directory })
    }

    fn record(&self, port: u16) -> PathBuf {
        self.directory.join(format!("playground-{port}.json"))
    }

    /// Where the playground of that first port listens.
    pub fn socket(&self, port: u16) -> PathBuf {
        self.directory.join(format!("playground-{port}.sock"))
    }

    /// Listens for requests and makes the playground known, until the entry is dropped.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn enter(&self, record: &Record) -> Result<Entry> {
        let socket = self.socket(record.port);
        remove(&socket);
        let listener = tokio::net::UnixListener::bind(&socket)
            .with_context(|| format!("cannot listen on {}", socket.display()))?;
        let path = self.record(record.port);
        let entry = Entry { listener, files: [path.clone(), socket] };
        std::fs::write(&path, serde_json::to_vec(record)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(entry)
    }

    /// The playgrounds that run, by port. Forgets those that do not.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn running(&self) -> Result<Vec<Record>> {
        let path = self.directory.display();
        let entries = std::fs::read_dir(&self.directory).with_context(|| format!("cannot read {path}"))?;
        let mut running = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", self.directory.display()))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let record =
                std::fs::read(&path).ok().and_then(|json| serde_json::from_slice::<Record>(&json).ok());
            // One that is just being written is not running yet.
            let Some(record) = record else { continue };
            if UnixStream::connect(self.socket(record.port)).is_ok() {
                running.push(record);
            } else {
                remove(&path);
                remove(&self.socket(record.port));
            }
        }
        running.sort_by_key(|record| record.port);
        Ok(running)
    }

    /// The playground to talk to: the only one that runs, or that of this port.
    ///
    /// # Errors
    /// One line where there is none, or several to choose from.
    pub fn find(&self, port: Option<u16>) -> Result<Record> {
        let mut running = self.running()?;
        let ports: Vec<String> = running.iter().map(|record| record.port.to_string()).collect();
        let ports = ports.join(", ");
        if let Some(port) = port {
            let Some(record) = running.into_iter().find(|record| record.port == port) else {
                if ports.is_empty() {
                    bail!("no playground runs; start one with `cluster-admin playground`");
                }
                bail!("no playground of yours has its first node at port {port}; there are: {ports}");
            };
            return Ok(record);
        }
        match running.len() {
            0 => bail!("no playground runs; start one with `cluster-admin playground`"),
            1 => Ok(running.remove(0)),
            _ => bail!("several playgrounds run; choose one with --port, of {ports}"),
        }
    }

    /// Asks the playground of that first port. Blocks until it answers.
    ///
    /// # Errors
    /// Where it ends before it answers.
    pub fn ask(&self, port: u16, request: &Request) -> Result<Answer> {
        let gone = || format!("the playground at port {port} ended before it answered");
        let mut stream = UnixStream::connect(self.socket(port)).with_context(gone)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).with_context(gone)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).with_context(gone)?;
        if answer.is_empty() {
            bail!(gone());
        }
        serde_json::from_str(&answer).context("the playground is of another version; restart it")
    }
}

/// A playground that is known while this lives.
#[derive(Debug)]
pub struct Entry {
    /// Where requests come in.
    pub listener: tokio::net::UnixListener,
    files: [PathBuf; 2],
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.files.iter().for_each(|path| remove(path));
    }
}

/// Removes a file that may be gone already; one that stays is found out to be stale later.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> (tempfile::TempDir, Registry) {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path().join("carousel")).unwrap();
        (directory, registry)
    }

    fn record(port: u16) -> Record {
        Record { pid: std::process::id(), port }
    }

    #[tokio::test]
    async fn the_only_playground_is_found_and_several_must_be_chosen_from() {
        let (_directory, registry) = registry();
        let none = registry.find(None).unwrap_err().to_string();
        assert_eq!(none, "no playground runs; start one with `cluster-admin playground`");
        let first = registry.enter(&record(7000)).unwrap();
        assert_eq!(registry.find(None).unwrap(), record(7000));
        let _second = registry.enter(&record(8000)).unwrap();
        let several = registry.find(None).unwrap_err().to_string();
        assert_eq!(several, "several playgrounds run; choose one with --port, of 7000, 8000");
        assert_eq!(registry.find(Some(8000)).unwrap(), record(8000));
        assert!(registry.find(Some(9000)).unwrap_err().to_string().ends_with("there are: 7000, 8000"));
        drop(first);
        assert_eq!(registry.find(None).unwrap(), record(8000));
    }

    #[tokio::test]
    async fn what_a_killed_playground_left_is_cleared_away() {
        let (_directory, registry) = registry();
        let entry = registry.enter(&record(7000)).unwrap();
        let files = entry.files.clone();
        let Entry { listener, .. } = &entry;
        assert!(listener.local_addr().is_ok());
        // Killed: the listener is closed and the files stay.
        let left: Vec<_> = files.iter().map(|path| path.with_extension("kept")).collect();
        std::fs::copy(&files[0], &left[0]).unwrap();
        drop(entry);
        std::fs::rename(&left[0], &files[0]).unwrap();
        assert_eq!(registry.running().unwrap(), []);
        assert!(!files[0].exists());
        let again = registry.enter(&record(7000)).unwrap();
        assert_eq!(registry.find(None).unwrap(), record(7000));
        drop(again);
    }

    #[tokio::test]
    async fn a_request_is_answered_over_the_socket() {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
        let (_directory, registry) = registry();
        let entry = registry.enter(&record(7000)).unwrap();
        let asked = tokio::task::spawn_blocking({
            let registry = registry.clone();
            move || registry.ask(7000, &Request::Add)
        });
        let (stream, _) = entry.listener.accept().await.unwrap();
        let mut stream = tokio::io::BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), Request::Add);
        stream.write_all(b"{\"error\":\"no\"}\n").await.unwrap();
        assert_eq!(asked.await.unwrap().unwrap(), Answer::Error("no".into()));
    }

    #[test]
    fn a_directory_that_others_can_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Registry::at(open).unwrap_err().to_string().contains("only you can write"));
    }
}
