//! `playground`: a real cluster on this machine, in one command.
//!
//! The process stays: it started the nodes, it stops them, and it starts one more when `playground add` asks.

mod death_signal;
mod node;
mod ports;
mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use carousel_client::{Address, Connection};
use carousel_protocol::SlotId;
use carousel_protocol::admin::Status;
use carousel_protocol::resp::Reply;
use clap::{Args, Subcommand};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::ask::Target;
use crate::{Verdict, human, membership, note, say};
use node::{Death, Launch, Node};
use registry::{Answer, Record, Registry, Request};

/// A node must answer this long after it was started.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// All slots must be served this long after the cluster was made.
const SERVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two tries of what a node is not ready for yet.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A line on the socket must come within this: whoever connects only to see whether we live sends none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// `playground`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  cluster-admin playground                       three nodes at ports 7000 to 7002
  cluster-admin playground --nodes 5 --port 8000 --shards 2
  cluster-admin playground --keep /tmp/mine      keeps the data; the same again starts all its nodes
  cluster-admin playground add                   one node more, from a second terminal

Stays in the foreground; Ctrl-C stops all nodes and removes their data (not with --keep). Each node also needs
the port 10000 above its own, for the other nodes."
)]
pub struct PlaygroundArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,

    /// Port of the first node; the others follow
    #[arg(long, value_name = "PORT", default_value_t = 7000, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// Shards (cores) of each node
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: u16,

    /// Keep data and logs in this directory, instead of in a private one that is removed in the end; the nodes that it
    /// holds already are started again
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// Talk to the playground that runs.
    #[command(subcommand)]
    pub command: Option<PlaygroundCommand>,
}

/// What a running playground can be asked.
#[derive(Debug, Subcommand)]
pub enum PlaygroundCommand {
    /// Start one more node in the playground that runs, and let it join
    #[command(after_help = "\
Examples:
  cluster-admin playground add
  cluster-admin playground add --port 8000     where several playgrounds run

The new node gets slots with the next `rebalance`.")]
    Add {
        /// First port of the playground, where several run
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
    },
}

/// `cluster-admin playground`.
pub async fn run(args: PlaygroundArgs) -> Result<Verdict> {
    match args.command {
        Some(PlaygroundCommand::Add { port }) => add(port),
        None => start(args).await,
    }
}

/// How this program was called, so that what it prints can be copied.
fn me() -> String {
    std::env::args().next().unwrap_or_else(|| "cluster-admin".to_owned())
}

fn add(port: Option<u16>) -> Result<Verdict> {
    let registry = Registry::of_user()?;
    let record = registry.find(port)?;
    match registry.ask(record.port, &Request::Add)? {
        Answer::Added { address, member, notes } => {
            say(format!("{address} runs and is a member; it leads no slot yet"));
            notes.iter().for_each(|note| say(format!("note: {note}")));
            say(format!("next: {} --node {member} rebalance --wait", me()));
            Ok(Verdict::Good)
        }
        Answer::Error(text) => bail!(text),
    }
}

async fn start(args: PlaygroundArgs) -> Result<Verdict> {
    let binary = find_server()?;
    let registry = Registry::of_user()?;
    let kept = args.keep.as_deref().map(ports::kept_in).unwrap_or_default();
    let ports = ports::with_kept(&kept, args.port, args.nodes)?;
    for port in &ports {
        ports::check(*port)?;
    }
    if let (Some(directory), false) = (&args.keep, kept.is_empty()) {
        let nodes = human::plural(kept.len() as u64, "node");
        say(format!("starting {nodes} kept in {}", directory.display()));
    }
    let (directory, private) = match args.keep {
        Some(directory) => (make(directory)?, None),
        None => {
            let private = tempfile::Builder::new().prefix("carousel-playground-").tempdir();
            let private = private.context("cannot make a private directory")?;
            (private.path().to_owned(), Some(private))
        }
    };
    let mut signals = Signals::new()?;
    let (tell, deaths) = mpsc::unbounded_channel();
    let launch = Launch { binary, directory, shards: args.shards };
    let mut playground = Playground { launch, private, nodes: Vec::new(), tell, deaths };
    let outcome = tokio::select! {
        outcome = playground.serve(&ports, &registry) => outcome,
        () = signals.any() => {
            say("stopping");
            Ok(())
        }
    };
    playground.stop().await?;
    outcome.map(|()| Verdict::Good)
}

/// Makes the directory if it is not there; its absolute path, for the nodes.
fn make(directory: PathBuf) -> Result<PathBuf> {
    let context =
        || format!("cannot use the directory {}; choose another one with --keep", directory.display());
    std::fs::create_dir_all(&directory).with_context(context)?;
    std::fs::canonicalize(&directory).with_context(context)
}

/// The server: beside this program, as built and as installed, or else in PATH.
fn find_server() -> Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = beside.iter().cloned().chain(std::env::split_paths(&path)).collect();
    match find_in(&folders, "carousel-server") {
        Some(found) => Ok(found),
        None => bail!(
            "carousel-server is neither beside this program{} nor in PATH; build both with `cargo build --release`",
            beside.map(|folder| format!(" ({})", folder.display())).unwrap_or_default()
        ),
    }
}

fn find_in(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let on = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

struct Playground {
    launch: Launch,
    /// Removed with all in it when dropped; `None` with `--keep`.
    private: Option<TempDir>,
    nodes: Vec<Node>,
    tell: mpsc::UnboundedSender<Death>,
    deaths: mpsc::UnboundedReceiver<Death>,
}

impl Playground {
    /// Starts everything and then does what is asked.
    async fn serve(&mut self, ports: &[u16], registry: &Registry) -> Result<()> {
        for port in ports {
            self.nodes.push(self.launch.start(*port, self.tell.clone())?);
        }
        for port in ports {
            self.await_answer(*port).await?;
        }
        let targets = ports.iter().map(|port| target(*port)).collect::<Result<Vec<_>>>()?;
        // A kept directory may hold a cluster already, and nodes that never joined it.
        let (mut member, mut lone) = (None, Vec::new());
        for target in &targets {
            let status: Status = target.carousel(&["STATUS"], ANSWER_TIMEOUT).await?;
            match (status.cluster_id, &member) {
                (None, _) => lone.push(target.node.clone()),
                (Some(_), None) => member = Some(target),
                (Some(_), Some(_)) => {}
            }
        }
        if let Some(member) = member {
            self.await_slots(member).await?;
            for node in &lone {
                let added = membership::join(member, node).await?;
                say(format!("{} has joined; it gets slots with the next rebalance", added.node.address));
            }
        } else {
            let created = membership::create_cluster(&targets[0], &lone).await?;
            created.notes.iter().for_each(|text| say(format!("note: {text}")));
            self.await_slots(&targets[0]).await?;
        }
        let entry = registry.enter(&Record { pid: std::process::id(), port: ports[0] })?;
        self.welcome(ports[0]);
        loop {
            tokio::select! {
                accepted = entry.listener.accept() => {
                    let (stream, _) = accepted.context("cannot hear `playground add`")?;
                    self.hear(stream).await;
                }
                death = self.deaths.recv() => {
                    if let Some(death) = death {
                        self.report(&death);
                    }
                    if self.nodes.is_empty() {
                        // Not an end: what a crash of all leaves is there to be started again.
                        note("no node is left; the commands above start them again, Ctrl-C ends the playground");
                    }
                }
            }
        }
    }

    fn welcome(&self, port: u16) {
        let me = me();
        say(format!(
            "{} serve all {} slots:",
            human::plural(self.nodes.len() as u64, "node"),
            human::count(16_384)
        ));
        for node in &self.nodes {
            say(format!("  {}  pid {}  log {}", node.address(), node.pid, node.log.display()));
        }
        say(format!(
            "\nconnect with any Redis Cluster client, or type commands at a prompt:
  {me} --node 127.0.0.1:{port} cli

try, in a second terminal,
  {me} --node 127.0.0.1:{port} status
  {me} --node 127.0.0.1:{port} load --fill --keys 1000000
  {me} --node 127.0.0.1:{port} load --rate 20000 --duration 1m --keys 1000000
  {me} playground add --port {port}

Ctrl-C stops all nodes{}",
            match &self.private {
                Some(private) => format!(" and removes {}", private.path().display()),
                None => format!("; their data stays in {}", self.launch.directory.display()),
            }
        ));
    }

    /// Waits until the node answers and has read what it holds.
    async fn await_answer(&mut self, port: u16) -> Result<()> {
        let target = target(port)?;
        let (mut started, mut is_told) = (Instant::now(), false);
        loop {
            let error = match ping(&target).await {
                Ok(Reply::Error(text)) if text.starts_with("LOADING") => {
                    if !is_told {
                        say(format!("the node at port {port} reads what it holds"));
                    }
                    (started, is_told) = (Instant::now(), true);
                    text
                }
                Ok(_) => return Ok(()),
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > ANSWER_TIMEOUT {
                self.show_log(port);
                bail!("the node at port {port} does not answer: {error}");
            }
            tokio::select! {
                Some(death) = self.deaths.recv() => {
                    self.report(&death);
                    bail!("the node at port {} ended while the playground was starting", death.port);
                }
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
    }

    async fn await_slots(&mut self, target: &Target) -> Result<()> {
        let started = Instant::now();
        loop {
            let status: Status = target.carousel(&["STATUS"], ANSWER_TIMEOUT).await?;
            if status.slots_served == u32::from(SlotId::COUNT) {
                return Ok(());
            }
            if started.elapsed() > SERVE_TIMEOUT {
                let reason =
                    status.slots_down.first().map_or("no reason given", |range| range.reason.as_str());
                bail!("only {} of {} slots are served: {reason}", status.slots_served, SlotId::COUNT);
            }
            tokio::select! {
                Some(death) = self.deaths.recv() => {
                    self.report(&death);
                    bail!("the node at port {} ended while the cluster was being made", death.port);
                }
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
    }

    /// Says that a node died and why, and forgets it.
    fn report(&mut self, death: &Death) {
        let how = match &death.status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        note(format!("the node at port {} has ended ({how})", death.port));
        self.show_log(death.port);
        note(format!(
            "  start it again with: {} {}",
            self.launch.binary.display(),
            self.launch.args(death.port).join(" ")
        ));
        self.nodes.retain(|node| node.port != death.port);
    }

    fn show_log(&self, port: u16) {
        let Some(node) = self.nodes.iter().find(|node| node.port == port) else { return };
        let tail = node::tail(&node.log);
        note(format!("  the end of its log {}:\n{}", node.log.display(), tail.trim_end_matches('\n')));
    }

    /// Answers one request. Whoever asks badly or goes away harms nobody.
    async fn hear(&mut self, stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        match tokio::time::timeout(REQUEST_TIMEOUT, stream.read_line(&mut line)).await {
            Ok(Ok(bytes)) if bytes > 0 => {}
            _ => return,
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(Request::Add) => self.add().await.unwrap_or_else(|error| Answer::Error(format!("{error:#}"))),
            Err(error) => Answer::Error(format!("the request was not understood: {error}")),
        };
        // Both enums are plain data, which always has a JSON form.
        let mut bytes = serde_json::to_vec(&answer).expect("an answer is JSON");
        bytes.push(b'\n');
        let _ = stream.write_all(&bytes).await;
    }

    async fn add(&mut self) -> Result<Answer> {
        let Some(member) = self.nodes.first().map(|node| node.port) else { bail!("no node is left to join") };
        let last = self.nodes.iter().map(|node| node.port).max().unwrap_or(member);
        let port = ports::next_free(last)?;
        let node = self.launch.start(port, self.tell.clone())?;
        say(format!("starting {}  pid {}  log {}", node.address(), node.pid, node.log.display()));
        self.nodes.push(node);
        let member = target(member)?;
        let joined = async {
            self.await_answer(port).await?;
            membership::join(&member, &target(port)?.node).await
        };
        match joined.await {
            Ok(added) => {
                say(format!("{} has joined", added.node.address));
                let member = member.node.to_string();
                Ok(Answer::Added { address: added.node.address, member, notes: added.notes })
            }
            Err(error) => {
                // A node that is no member is of no use to anyone.
                if let Some(i) = self.nodes.iter().position(|node| node.port == port) {
                    Node::stop_all(vec![self.nodes.remove(i)]).await;
                }
                Err(error)
            }
        }
    }

    async fn stop(self) -> Result<()> {
        Node::stop_all(self.nodes).await;
        if let Some(private) = self.private {
            let path = private.path().to_owned();
            private
                .close()
                .with_context(|| format!("cannot remove {}; remove it yourself", path.display()))?;
        }
        Ok(())
    }
}

/// What a node answers to a PING.
async fn ping(target: &Target) -> Result<Reply> {
    let connection = Connection::connect(&target.node, &target.connect_options()).await?;
    Ok(connection.request(&[b"PING"]).await?)
}

fn target(port: u16) -> Result<Target> {
    let node = Address::new("127.0.0.1", port).context("a node's port is not 0")?;
    Ok(Target { node, password: None })
}

#[cfg(test)]
mod tests;
