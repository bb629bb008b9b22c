//! One server process of a playground.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::death_signal::ends_with_this_thread;

/// A node that has not stopped this long after it was asked to is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// As much of a log's end as is shown of a node that died.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 16 * 1024;

/// How to start a node.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The server.
    pub binary: PathBuf,
    /// Data directories and logs go here.
    pub directory: PathBuf,
    /// Shards of each node.
    pub shards: u16,
}

/// A node ended by itself.
#[derive(Debug)]
pub struct Death {
    /// Its port.
    pub port: u16,
    /// How it ended.
    pub status: std::io::Result<ExitStatus>,
}

/// A node that was started. Dropping it kills the process.
#[derive(Debug)]
pub struct Node {
    /// Where it listens.
    pub port: u16,
    /// Its process, for people.
    pub pid: u32,
    /// What it writes.
    pub log: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Launch {
    /// The arguments of the node at `port`.
    pub fn args(&self, port: u16) -> Vec<String> {
        let data = self.directory.join(port.to_string());
        let words = [
            "--port",
            &port.to_string(),
            "--dir",
            &data.to_string_lossy(),
            "--shards",
            &self.shards.to_string(),
            // Many nodes share this machine's processors: each pinning to the first would leave the others idle.
            "--pin",
            "no",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Starts the node at `port`; its unbidden end is told to `deaths`.
    ///
    /// # Errors
    /// Where its directory or log cannot be made, or the server cannot be run.
    pub fn start(&self, port: u16, deaths: mpsc::UnboundedSender<Death>) -> Result<Node> {
        let data = self.directory.join(port.to_string());
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make the directory {}", data.display()))?;
        let path = self.directory.join(format!("{port}.log"));
        let cannot_log = || format!("cannot write the log {}", path.display());
        let log = File::options().create(true).append(true).open(&path).with_context(cannot_log)?;
        let mut command = Command::new(&self.binary);
        command
            .args(self.args(port))
            .stdin(Stdio::null())
            .stdout(log.try_clone().with_context(cannot_log)?)
            .stderr(log)
            // Its log is a file, of which the end may be shown.
            .env("NO_COLOR", "1")
            // The terminal's Ctrl-C reaches only the playground, which stops its nodes in order.
            .process_group(0)
            .kill_on_drop(true);
        ends_with_this_thread(&mut command);
        let child = command.spawn().with_context(|| format!("cannot run {}", self.binary.display()))?;
        let pid = child.id().unwrap_or_default();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(watch(child, port, stopped, deaths));
        Ok(Node { port, pid, log: path, stop, task })
    }
}

impl Node {
    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks all to stop and waits until they have; kills those that do not.
    pub async fn stop_all(nodes: Vec<Node>) {
        let mut tasks = Vec::new();
        for node in nodes {
            // A node that has died already listens no more.
            let _ = node.stop.send(());
            tasks.push(node.task);
        }
        for task in tasks {
            // It fails only where it panicked, and then its child was killed as it was dropped.
            let _ = task.await;
        }
    }
}

async fn watch(
    mut child: Child,
    port: u16,
    stopped: oneshot::Receiver<()>,
    deaths: mpsc::UnboundedSender<Death>,
) {
    tokio::select! {
        status = child.wait() => {
            // Nobody listens any more while everything stops.
            let _ = deaths.send(Death { port, status });
            return;
        }
        _ = stopped => {}
    }
    // The id is there exactly as long as the process was not waited for, so it is not another one's.
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        // It may have ended this moment: just as well.
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The last lines of a log, indented; empty where it cannot be read.
pub fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    /// A launch of a shell script instead of a server.
    ///
    /// Another process writes the script: were it open for writing here while another test starts a child, that child
    /// would hold it open, and starting it would fail with "text file busy".
    pub fn launch(directory: &Path, script: &str) -> Launch {
        let binary = directory.join("server.sh");
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
        let mut shell = std::process::Command::new("/bin/sh");
        let status = shell.args(["-c", write, "sh"]).arg(&binary).arg(script).status().unwrap();
        assert!(status.success());
        Launch { binary, directory: directory.to_owned(), shards: 2 }
    }

    #[tokio::test]
    async fn a_node_that_dies_is_told_with_its_status_and_its_log_has_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let launch = launch(directory.path(), "echo \"$@\"; echo out of luck >&2; exit 7");
        let (deaths, mut heard) = mpsc::unbounded_channel();
        let node = launch.start(7001, deaths).unwrap();
        let death = heard.recv().await.unwrap();
        assert_eq!((death.port, death.status.unwrap().code()), (7001, Some(7)));
        let data = directory.path().join("7001");
        assert_eq!(
            tail(&node.log),
            format!("    --port 7001 --dir {} --shards 2 --pin no\n    out of luck\n", data.display())
        );
        assert!(data.is_dir());
    }

    #[tokio::test]
    async fn a_node_is_stopped_with_the_polite_signal() {
        let directory = tempfile::tempdir().unwrap();
        let script = "trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.01; done";
        let launch = launch(directory.path(), script);
        let (deaths, mut heard) = mpsc::unbounded_channel();
        let node = launch.start(7001, deaths).unwrap();
        let log = node.log.clone();
        while tail(&log).is_empty() {
            tokio::task::yield_now().await;
        }
        Node::stop_all(vec![node]).await;
        assert_eq!(tail(&log), "    up\n    stopped\n");
        assert!(heard.recv().await.is_none(), "a stop that was asked for is no death");
    }

    #[tokio::test]
    async fn a_dropped_runtime_or_a_kill_leaves_no_process() {
        let directory = tempfile::tempdir().unwrap();
        let launch = launch(directory.path(), "exec sleep 1000");
        let (deaths, mut heard) = mpsc::unbounded_channel();
        let node = launch.start(7001, deaths).unwrap();
        kill_process(Pid::from_raw(node.pid as i32).unwrap(), Signal::KILL).unwrap();
        let death = heard.recv().await.unwrap();
        assert_eq!(death.status.unwrap().signal(), Some(9));
    }

    #[test]
    fn the_tail_of_a_long_log_is_its_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let lines: Vec<String> = (0..5000).map(|i| format!("line {i}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        let tail = tail(&log);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("    line 4999\n"));
        assert_eq!(super::tail(&directory.path().join("none")), "");
    }
}
