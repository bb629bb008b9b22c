//! The control thread's part while what is on disk is read: it hands clients to the shards, which tell them so, and
//! heeds whoever wants the node to stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::channel::oneshot;
use futures::future::join_all;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::activate::FoundOnDisk;
use super::request::{ControlRequest, ToControl};
use super::service_manager::{tell_status, tell_stopping};
use crate::conn::LOADING;
use crate::load::{Loaded, load};
use crate::metrics::NodeView;
use crate::persist::{DataDir, DiskStorage};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;
use crate::shard::{Shard, ShardOptions};

/// Between two words to the service manager.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Reads what is on disk and gives the shards what there is. `None`: the node is to stop instead.
///
/// # Errors
/// One line for the operator.
pub(super) async fn load_shards(
    dir: DataDir<DiskStorage>,
    options: Vec<ShardOptions>,
    view: &Arc<NodeView>,
    shards: &[Sender<ToShard>],
    mailbox: &mut mpsc::UnboundedReceiver<ToControl>,
) -> anyhow::Result<Option<FoundOnDisk>> {
    let is_logged = view.settings().appendonly;
    let (done, loaded) = oneshot::channel();
    let thread_view = view.clone();
    let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
        // Whoever waited may be gone: the process stops.
        let _ = done.send(load(dir, options, &thread_view));
    })?;
    let loaded = tokio::select! {
        loaded = loaded => Some(loaded),
        () = tell_progress(view) => None,
        stopped = told_to_stop(mailbox) => {
            stopped?;
            None
        }
    };
    if loaded.is_none() {
        tell_stopping();
        view.loading.abandon();
    }
    thread.join().map_err(|_| anyhow!("the thread that read the log panicked, see above"))?;
    let Some(loaded) = loaded else { return Ok(None) };
    let Loaded { shards: cores, logs, marks, dir } = loaded.context("the thread that read the log")??;
    let holds_copies = cores.iter().any(Shard::holds_cluster_copies);
    let taken = cores.into_iter().zip(logs).zip(shards).map(|((core, log), shard)| {
        let (reply, taken) = oneshot::channel();
        shard.send(ToShard::Loaded { core: Box::new(core), log: log.map(Box::new), reply });
        taken
    });
    for taken in join_all(taken).await {
        taken.context("a shard has stopped")?.context("the thread that syncs a log cannot be started")?;
    }
    let dir = Arc::new(Mutex::new(dir));
    Ok(Some(FoundOnDisk { dir, marks, is_logged, holds_copies }))
}

/// Tells the service manager every second how far it has come; never completes.
async fn tell_progress(view: &NodeView) {
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    loop {
        ticks.tick().await;
        tell_status(&format!("reading the logs: {:.0} %", view.loading.percent()));
    }
}

/// Completes when a signal or SHUTDOWN asks the node to stop.
async fn told_to_stop(mailbox: &mut mpsc::UnboundedReceiver<ToControl>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            message = mailbox.recv() => match message {
                // (No reply ends the connection, as with Redis.)
                Some(ToControl::Request { request: ControlRequest::Shutdown { .. }, .. }) => return Ok(()),
                Some(ToControl::Request { reply, .. }) => {
                    let _ = reply.send(Err(LOADING.into()));
                }
                // Shards ask for nothing while they have nothing.
                Some(ToControl::Changes(_) | ToControl::LogFailed) => {}
                None => return Ok(()),
            },
        }
    }
}
