//! The agreed state, as the Raft library drives it: commands in, snapshots out and in, each new state published.
//!
//! The state itself is in memory only; the disk has the last snapshot and the entries after it.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{EntryPayload, RaftSnapshotBuilder, StorageIOError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::disk::{Disk, Op, OpenError, SnapshotSource};
use super::message::{decode, encode};
use super::types::{Entry, LogId, Membership, Replies, SnapshotMeta, StorageError, TypeConfig};
use crate::config::{ClusterState, ConfigReply, apply};

/// Version of a snapshot's layout: this byte, then [`Content`] in postcard.
const FORMAT: u8 = 1;

/// What a snapshot holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Content {
    state: Arc<ClusterState>,
    replies: Replies,
}

impl Content {
    /// A snapshot's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(encode(self));
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&FORMAT, content)) => decode(content),
            Some((format, _)) => Err(format!("a snapshot of format {format}, this version reads {FORMAT}")),
            None => Err("an empty snapshot".into()),
        }
    }
}

/// The state machine. Clones are handles on the same one.
#[derive(Clone)]
pub(super) struct StateMachine {
    disk: Disk,
    machine: Arc<Mutex<Machine>>,
    published: Arc<watch::Sender<Arc<ClusterState>>>,
}

struct Machine {
    content: Content,
    applied: Option<LogId>,
    membership: Membership,
    snapshot: Option<(SnapshotMeta, Arc<Vec<u8>>)>,
}

impl StateMachine {
    /// The state as of the snapshot that the disk had, if any; the library replays what follows.
    pub(super) fn new(disk: Disk, snapshot: Option<(SnapshotMeta, Vec<u8>)>) -> Result<Self, OpenError> {
        let mut machine = Machine {
            content: Content::default(),
            applied: None,
            membership: Membership::default(),
            snapshot: None,
        };
        if let Some((meta, bytes)) = snapshot {
            machine.content = Content::decode(&bytes)
                .map_err(|reason| OpenError::Start(format!("its snapshot does not decode: {reason}")))?;
            machine.applied = meta.last_log_id;
            machine.membership = meta.last_membership.clone();
            machine.snapshot = Some((meta, Arc::new(bytes)));
        }
        let published = Arc::new(watch::Sender::new(machine.content.state.clone()));
        Ok(Self { disk, machine: Arc::new(Mutex::new(machine)), published })
    }

    /// Every state from now on; published after each batch of entries.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.published.subscribe()
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    fn apply(&mut self, entry: Entry) -> ConfigReply {
        self.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => ConfigReply::Done,
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(entry.log_id), membership);
                ConfigReply::Done
            }
            EntryPayload::Normal(proposal) => {
                if let Some(reply) = self.content.replies.get(proposal.id) {
                    return reply.clone();
                }
                let reply = apply(Arc::make_mut(&mut self.content.state), &proposal.command);
                self.content.replies.put(proposal.id, reply.clone());
                reply
            }
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        let machine = self.machine();
        Ok((machine.applied, machine.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<ConfigReply>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut machine = self.machine();
        let replies = entries.into_iter().map(|entry| machine.apply(entry)).collect();
        let state = machine.content.state.clone();
        drop(machine);
        self.published.send_if_modified(|now| {
            let new = !Arc::ptr_eq(now, &state);
            *now = state;
            new
        });
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let received = snapshot.into_inner();
        let failed = |error: &std::io::Error| StorageIOError::write_snapshot(Some(meta.signature()), error);
        let content = Content::decode(&received).map_err(|why| failed(&std::io::Error::other(why)))?;
        let source = SnapshotSource::Received(received);
        let written = self.disk.write(|done| Op::Snapshot(meta.clone(), source, done)).await;
        let bytes = written.map_err(|error| failed(&error))?;
        let state = content.state.clone();
        {
            let mut machine = self.machine();
            machine.content = content;
            machine.applied = meta.last_log_id;
            machine.membership = meta.last_membership.clone();
            machine.snapshot = Some((meta.clone(), bytes));
        }
        self.published.send_replace(state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let machine = self.machine();
        Ok(machine.snapshot.as_ref().map(|(meta, bytes)| Snapshot {
            meta: meta.clone(),
            snapshot: Box::new(Cursor::new(bytes.to_vec())),
        }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let (meta, content) = {
            let machine = self.machine();
            let applied = machine.applied;
            // Two snapshots at one place of the log are equal, so the place names them.
            let snapshot_id = applied.map_or_else(|| "empty".into(), |id| id.to_string());
            let meta = SnapshotMeta {
                last_log_id: applied,
                last_membership: machine.membership.clone(),
                snapshot_id,
            };
            (meta, machine.content.clone())
        };
        let source = SnapshotSource::Content(content);
        let written = self.disk.write(|done| Op::Snapshot(meta.clone(), source, done)).await;
        let bytes =
            written.map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error))?;
        let snapshot = Box::new(Cursor::new(bytes.to_vec()));
        let mut machine = self.machine();
        // A leader's newer snapshot may have come in meanwhile.
        if machine.snapshot.as_ref().is_none_or(|(newest, _)| newest.last_log_id <= meta.last_log_id) {
            machine.snapshot = Some((meta.clone(), bytes));
        }
        drop(machine);
        Ok(Snapshot { meta, snapshot })
    }
}
