//! One node: a `carousel-server` process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use crate::binaries::binary;
use crate::death_signal::dies_with_this_thread;
use crate::raw::Raw;
use crate::wait::{eventually, same};
use crate::{bulk, free_port};

/// How much of a log is shown when a test fails.
const LOG_TAIL_BYTES: usize = 8_000;

/// A node on 127.0.0.1 with a data directory of its own. It is killed, and its files removed, when dropped.
pub struct Server {
    port: u16,
    settings: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    files: TempDir,
    child: Option<Child>,
    /// Where what it prints goes: a file of its own, which [`Self::log`] reads, unless that is told otherwise.
    output: PathBuf,
}

impl Server {
    /// A node that is not started yet. `settings` are directives and their values; unless they say otherwise it has one
    /// shard, pinned nowhere, because all nodes of a test share the machine.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let files = tempfile::Builder::new().prefix("carousel-test-").tempdir().expect("files can be made");
        let port = free_port();
        let output = files.path().join("log");
        let mut server = Self {
            port,
            settings: BTreeMap::new(),
            environment: BTreeMap::new(),
            files,
            child: None,
            output,
        };
        let dir = server.data_dir().display().to_string();
        for (name, value) in [
            ("port", port.to_string().as_str()),
            ("bind", "127.0.0.1"),
            ("dir", dir.as_str()),
            ("shards", "1"),
            ("pin", "no"),
        ] {
            server.set(name, value);
        }
        settings.iter().for_each(|(name, value)| server.set(name, value));
        server
    }

    /// A node that runs.
    pub async fn start_new(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::new(settings);
        server.start().await;
        server
    }

    /// Changes a setting, for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.into(), value.into());
    }

    /// Changes a variable of its environment, for the next start.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.insert(name.into(), value.into());
    }

    /// Client port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Client address, as operators write it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where its data is, once it has run.
    pub fn data_dir(&self) -> PathBuf {
        self.files.path().join("data")
    }

    /// The process' number.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What it has printed, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.files.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// What it prints from its next start on goes to a disk that is full.
    pub fn print_in_vain(&mut self) {
        self.output = "/dev/full".into();
    }

    /// Starts the process, and does not wait for it to be of use.
    ///
    /// # Panics
    /// If it runs already or cannot be started.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.address());
        let log: File =
            fs::OpenOptions::new().create(true).append(true).open(&self.output).expect("a log file");
        let mut command = Command::new(binary("carousel-server"));
        for (name, value) in &self.settings {
            command.arg(format!("--{name}")).arg(value);
        }
        command.envs(&self.environment);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        dies_with_this_thread(&mut command);
        self.child = Some(command.spawn().expect("carousel-server can be executed"));
    }

    /// Starts the process and waits until it answers.
    pub async fn start(&mut self) {
        self.spawn();
        self.await_answer().await;
    }

    /// Waits until a started process answers clients.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn await_answer(&mut self) {
        let port = self.port;
        eventually(format!("the node at port {port} answers"), async || {
            if let Some(status) = self.child.as_mut().expect("it was started").try_wait().expect("a child") {
                panic!("the node at port {port} ended with {status}");
            }
            let mut raw = Raw::connect(port).await.map_err(|error| error.to_string())?;
            if let Some(password) = self.settings.get("requirepass") {
                let request: [&[u8]; 2] = [b"AUTH", password.as_bytes()];
                raw.try_call(&request).await.map_err(|error| error.to_string())?;
            }
            let reply = raw.try_call(&[b"PING"]).await.map_err(|error| error.to_string())?;
            same(reply.as_str(), Some("PONG")).map_err(|wrong| format!("{wrong} ({reply:?})"))
        })
        .await;
    }

    /// Starts a process that is expected to end by itself; returns how it ended and what it printed.
    pub async fn start_in_vain(&mut self) -> (ExitStatus, String) {
        let printed_before = self.log().len();
        self.spawn();
        let mut child = self.child.take().expect("just started");
        let ended = eventually("a node that cannot start ends", async || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_string()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        (ended, self.log().split_off(printed_before))
    }

    /// As `kill -9`: no warning, no clean-up. Gone when this returns.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }

    /// `kill -9` and a new start.
    pub async fn crash_and_restart(&mut self) {
        self.kill();
        self.start().await;
    }

    /// Stops it as an operator does, and waits for its end.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.await_end().await;
    }

    /// Waits for the end of a node that was told to stop.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn await_end(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let status = eventually("a stopped node ends", async || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_string()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        assert!(status.success(), "{} ended with {status}", self.address());
    }

    /// Stops it in an orderly way and starts it anew.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// SIGSTOP: it stands still, its connections stay. Waits until all its threads do: until then it may answer.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
        let stopped = waitid(WaitId::Pid(self.raw_pid()), WaitIdOptions::STOPPED);
        assert!(stopped.is_ok_and(|status| status.is_some()), "a child can be waited for");
    }

    /// SIGCONT: it goes on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.raw_pid(), signal).expect("a child can be signalled");
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed()).expect("a process number is positive")
    }

    /// Whether it was started and not killed or stopped since.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// A raw connection.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.port).await.expect("the node takes connections")
    }

    /// A stock client, and its connection.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn client(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/", self.address())).expect("a valid address");
        // The default of half a second is for machines that are not busy.
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(crate::LIMIT))
            .set_connection_timeout(Some(crate::LIMIT));
        client.get_multiplexed_async_connection_with_config(&config).await.expect("the node takes clients")
    }

    /// A field of `INFO`, or of `CLUSTER INFO` for names that begin with `cluster_`.
    pub async fn info(&self, field: &str) -> String {
        let command = if field.starts_with("cluster_") { "CLUSTER INFO" } else { "INFO everything" };
        let text = String::from_utf8(bulk(self.raw().await.call(command).await)).expect("INFO is text");
        text.lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap_or_else(|| panic!("{command} has no {field}:\n{text}"))
            .to_owned()
    }

    /// Every file under its data directory that holds records, with its bytes.
    pub fn log_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(&self.data_dir(), &mut found);
        found
    }
}

fn collect(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push((path.clone(), fs::read(&path).expect("a log can be read")));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(LOG_TAIL_BYTES);
            let start = (start..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("--- the node at port {} printed:\n{}---", self.port, &log[start..]);
            // Its backtrace may be longer than that.
            let lines: Vec<_> = log[..start].lines().collect();
            for at in
                lines.iter().enumerate().filter(|(_, line)| line.contains("panicked at")).map(|(at, _)| at)
            {
                eprintln!("--- it had panicked: {}", lines[at..lines.len().min(at + 3)].join(" | "));
            }
        }
    }
}
