//! From settings to a running node, and back down.
//!
//! Order: ports, data directory, shards, control thread, and then what is on disk ([`crate::load`]). Nothing is served
//! before that is in memory, and clients are told so; nothing is acknowledged before the start is noted on disk.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use carousel_protocol::{NodeId, ShardId};
use futures::channel::oneshot;
use tokio::sync::mpsc;

use crate::control::accept::listen;
use crate::control::door::{Door, UnixDoor};
use crate::control::service_manager::tell_ready;
use crate::control::{ControlSeat, FoundOnDisk, run_control};
use crate::descriptors::clients_possible;
use crate::limits::ShardLimits;
use crate::metrics::{MapView, NodeView, ProcessIdentity};
use crate::persist::{DataDir, DiskStorage, LogOptions, SyncPolicy};
use crate::runtime::epoll::Epoll;
#[cfg(feature = "glommio")]
use crate::runtime::glommio::Glommio;
use crate::runtime::uring::Uring;
use crate::runtime::{CpuId, Pinning, RunOptions, Runtime, RuntimeKind, default_shards};
use crate::settings::{AppendFsync, LogLevel, Settings, version};
use crate::shard::drive::{ShardSeat, ToShard, run_shard};
use crate::shard::mailbox::{Mailbox, Sender, mailbox};
use crate::shard::{Shard, ShardOptions};

/// The length of a log that nothing is written to.
const EMPTY_LOG_BYTES: u64 = 4096;

/// Runs a node until it is told to stop. `set_log_level` is called when the setting `loglevel` changes.
///
/// # Errors
/// One line for the operator: what is in the way and what to do.
pub fn run(settings: Settings, set_log_level: Box<dyn Fn(LogLevel)>) -> anyhow::Result<()> {
    let clients = listen(&settings, settings.port, "--port").map_err(anyhow::Error::msg)?;
    let mut doors: Vec<Door> = clients.into_iter().map(Door::Tcp).collect();
    doors.extend(UnixDoor::open(&settings).map_err(anyhow::Error::msg)?.map(Door::Unix));
    let peers = listen(&settings, settings.peer_port(), "--peer-port")
        .map_err(|error| anyhow!("for other nodes: {error}"))?;
    let selected = settings.runtime.select()?;
    let shard_count = if settings.shards == 0 { default_shards() as u16 } else { settings.shards };
    let clients_possible = clients_possible(shard_count);
    // Without a log there are only the beginnings of some, beside checkpoints.
    let log_options = match settings.appendonly {
        true => LogOptions::default(),
        false => LogOptions { segment_bytes: EMPTY_LOG_BYTES },
    };
    let dir = DataDir::open(DiskStorage, &settings.dir, log_options)?;
    let me = dir.node_id();
    let hash_seed = u64::from_le_bytes(random_bytes());
    let options: Vec<_> = (0..shard_count)
        .map(|id| {
            let (id, limits) = (ShardId(id), ShardLimits::default());
            let (databases, log) = (settings.databases, settings.appendonly);
            ShardOptions {
                id,
                shard_count,
                me,
                hash_seed,
                databases,
                packing: settings.packing(),
                log,
                limits,
            }
        })
        .collect();
    let process_identity = ProcessIdentity {
        run_id: NodeId(random_bytes()).to_string(),
        pid: std::process::id(),
        runtime: match selected.kind {
            RuntimeKind::Uring => Uring::name(),
            RuntimeKind::Epoll => Epoll::name(),
            #[cfg(feature = "glommio")]
            RuntimeKind::Glommio => Glommio::name(),
        },
        started: crate::control::accept::wall_clock(),
        executable: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
    };
    let view = Arc::new(NodeView::new(settings.clone(), MapView::lone(me), shard_count, process_identity));
    view.loading.begin(view.process.started.unix_ms);
    let (senders, mailboxes): (Vec<Sender<ToShard>>, Vec<Mailbox<ToShard>>) =
        (0..shard_count).map(|_| mailbox()).unzip();
    let (to_control, from_shards) = mpsc::unbounded_channel();

    let pinning = if settings.pin { Pinning::Yes } else { Pinning::No };
    let cpus =
        pinning.assign(usize::from(shard_count)).context("cannot find out which processors to pin to")?;
    let mut threads = Vec::new();
    for ((options, mailbox), cpu) in options.iter().zip(mailboxes).zip(cpus) {
        let seat = ShardSeat {
            // One without keys until what is on disk has been read.
            core: Shard::new(options.clone()),
            log: None,
            mailbox,
            mailboxes: senders.clone(),
            control: to_control.clone(),
            node: view.clone(),
        };
        threads.push(spawn_shard(selected.kind, cpu, options.id, seat)?);
    }
    drop(to_control);

    let ready = {
        let (settings, reason) = (settings.clone(), selected.reason.clone());
        move || {
            tracing::info!("{}", banner(&settings, shard_count, &reason, me));
            tell_ready(&format!("ready at port {} with {shard_count} shard(s), {reason}", settings.port));
            if clients_possible < settings.maxclients as usize {
                tracing::warn!(
                    "the limit of open files (ulimit -n) is enough for {clients_possible} clients, fewer than maxclients \
                     {}: raise it",
                    settings.maxclients
                );
            }
        }
    };
    let seat = ControlSeat {
        me,
        process: u64::from_le_bytes(random_bytes()),
        view,
        shards: senders.clone(),
        mailbox: from_shards,
        clients: doors,
        clients_possible,
        peers,
        dir,
        options,
        ready: Box::new(ready),
        set_log_level,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ran = runtime.block_on(run_control(seat));
    // Dropped here, so that no control task outlives the shards it talks to.
    drop(runtime);
    stop(ran, &senders, threads)
}

/// Closes the logs and the data directory.
fn stop(
    ran: anyhow::Result<Option<FoundOnDisk>>,
    senders: &[Sender<ToShard>],
    threads: Vec<JoinHandle<()>>,
) -> anyhow::Result<()> {
    let mut closed = Vec::new();
    for sender in senders {
        let (reply, done) = oneshot::channel();
        sender.send(ToShard::Stop(reply));
        closed.push(done);
    }
    let clean = closed.into_iter().all(|done| futures::executor::block_on(done).unwrap_or(false));
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a shard's thread panicked, see above"))?;
    }
    match ran? {
        Some(found) if clean => {
            found.dir().end_run()?;
            tracing::info!("stopped; everything is on disk");
        }
        Some(_) => {}
        None => tracing::info!("stopped before what is on disk was read; it is as it was"),
    }
    Ok(())
}

fn spawn_shard(
    kind: RuntimeKind,
    cpu: Option<CpuId>,
    id: ShardId,
    seat: ShardSeat,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
        let options = RunOptions { cpu };
        let ran = match kind {
            RuntimeKind::Uring => Uring::run(&options, run_shard::<Uring>(seat)),
            RuntimeKind::Epoll => Epoll::run(&options, run_shard::<Epoll>(seat)),
            #[cfg(feature = "glommio")]
            RuntimeKind::Glommio => Glommio::run(&options, run_shard::<Glommio>(seat)),
        };
        if let Err(error) = ran {
            tracing::error!(shard = %id, %error, "a shard cannot run");
            std::process::exit(1);
        }
    })
}

/// What the setting asks of the log.
pub fn sync_policy(setting: AppendFsync) -> SyncPolicy {
    match setting {
        AppendFsync::Always => SyncPolicy::Always,
        AppendFsync::EverySec => SyncPolicy::EverySecond,
        AppendFsync::No => SyncPolicy::No,
    }
}

/// The line that says that the node is ready, with a command to try that works as it stands.
fn banner(settings: &Settings, shards: u16, runtime: &str, me: NodeId) -> String {
    let log = if settings.appendonly {
        format!("log synced {}", settings.appendfsync.name())
    } else {
        "no log: a restart finds the last checkpoint, if any".into()
    };
    // A password is not shown: without a command there is a prompt to type it at.
    let command = if settings.password().is_some() { "" } else { " SET greeting hello" };
    format!(
        "{} is ready at port {port} of {bind}: {shards} shard(s), {runtime}, data in {dir} ({log}), node {me}. \
         Try: cluster-admin --node {host}:{try_port} cli{command}",
        version(),
        port = settings.port,
        bind = settings.bind.join(" "),
        dir = settings.dir.display(),
        host = settings.announced_host().unwrap_or_else(|| "127.0.0.1".into()),
        try_port =
            if settings.cluster_announce_ip.is_empty() { settings.port } else { settings.announced_port() },
    )
}

/// Fresh random bytes from the system.
///
/// # Panics
/// If the system has no randomness to give: nothing would be unique.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut file = std::fs::File::open("/dev/urandom").expect("/dev/urandom exists");
    std::io::Read::read_exact(&mut file, &mut bytes).expect("/dev/urandom gives bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_the_banner_can_be_copied() {
        for (bind, announced, host) in [
            ("*", "", "127.0.0.1"),
            ("127.0.0.1 -::1", "", "127.0.0.1"),
            ("-::1", "", "127.0.0.1"),
            ("0.0.0.0", "", "127.0.0.1"),
            ("-10.0.0.9 10.0.0.5", "", "10.0.0.5"),
            ("*", "10.0.0.7", "10.0.0.7"),
        ] {
            let mut settings = Settings {
                bind: bind.split(' ').map(String::from).collect(),
                cluster_announce_ip: announced.into(),
                ..Settings::default()
            };
            let line = banner(&settings, 2, "epoll", NodeId([1; 20]));
            let command = format!("Try: cluster-admin --node {host}:6379 cli");
            assert!(line.ends_with(&format!("{command} SET greeting hello")), "{line}");
            settings.requirepass = "secret".into();
            let line = banner(&settings, 2, "epoll", NodeId([1; 20]));
            assert!(line.ends_with(&command) && !line.contains("secret"), "{line}");
        }
    }
}
