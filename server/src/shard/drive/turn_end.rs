//! The end of a turn: what it made goes to replicas and into the log, and when it is durable, acks and replies go.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use carousel_protocol::{Epoch, SlotId};
use futures::channel::oneshot;

use super::{SealReports, ShardHandle};
use crate::control::ToControl;
use crate::runtime::{LocalNotify, Runtime};
use crate::shard::ReadyChange;
use crate::shard::slot::{LinkId, PeerIndex};

/// What waits for the end of a turn, or for its durability.
#[derive(Default)]
pub(super) struct TurnEnd {
    /// The turn is to be ended.
    pub(super) asked: LocalNotify,
    /// Waits for fdatasync: per turn, what may leave then.
    unsynced: RefCell<VecDeque<Unsynced>>,
    /// Promises of this turn.
    seals: RefCell<Vec<SealAnswer>>,
    /// Seals asked for before this process may say anything of its copies.
    early_seals: RefCell<Vec<EarlySeal>>,
}

/// Who asked for a seal, and what it is told when the promise is durable.
type SealAnswer = (oneshot::Sender<SealReports>, SealReports);

/// A seal that waits for the process to begin: epoch, slots, and who gets the reports.
type EarlySeal = (Epoch, Arc<Vec<SlotId>>, oneshot::Sender<SealReports>);

struct Unsynced {
    turn: u64,
    to_primaries: Vec<(LinkId, Vec<u8>)>,
    seals: Vec<SealAnswer>,
}

impl ShardHandle {
    /// Promises an epoch and reports when that is durable; see [`crate::shard::Shard::seal`].
    pub(super) fn seal(&self, epoch: Epoch, slots: Arc<Vec<SlotId>>, reply: oneshot::Sender<SealReports>) {
        if !self.core.borrow().has_begun() {
            // The node that restarted is most often the best successor of itself, and moments from being able to
            // report: answered with nothing, the coordinator would choose among the others.
            self.turn_end.early_seals.borrow_mut().push((epoch, slots, reply));
            return;
        }
        let reports = self.core.borrow_mut().seal(epoch, &slots);
        self.turn_end.seals.borrow_mut().push((reply, reports));
        self.touch();
    }

    /// The process has begun: answers those who asked before.
    pub(super) fn seal_early_ones(&self) {
        for (epoch, slots, reply) in self.turn_end.early_seals.take() {
            self.seal(epoch, slots, reply);
        }
    }

    /// Ends the turn. Returns whether there is more to do at once.
    fn end_turn<R: Runtime>(self: &Rc<Self>) -> bool {
        let output = self.core.borrow_mut().end_turn(self.now());
        for (peer, node, shard) in output.dial {
            R::spawn(crate::peer::link::lead::<R>(self.clone(), peer, node, shard));
        }
        self.send_to_replicas(output.to_replicas);
        let seals = self.turn_end.seals.take();
        let log = self
            .log
            .borrow_mut()
            .as_mut()
            .map_or(Ok(false), |log| log.append(&output.log, output.turn, !seals.is_empty()));
        self.note_log_position();
        self.core.borrow_mut().recycle(output.log);
        match log {
            Ok(syncs) => {
                let unsynced = Unsynced { turn: output.turn, to_primaries: output.to_primaries, seals };
                self.turn_end.unsynced.borrow_mut().push_back(unsynced);
                if !syncs {
                    self.synced(output.turn);
                }
            }
            // What could not be written is never acknowledged: neither here nor to a primary.
            Err(error) => self.log_failed(&error),
        }
        self.tell_news();
        // A change is ready by what earlier turns made durable, so it is proposed whatever became of this one; its slot
        // waits for the outcome.
        self.propose(output.changes);
        output.more
    }

    /// Wakes those who wait for something that may have happened.
    fn tell_news(&self) {
        if self.core.borrow_mut().take_news() {
            self.wake_waiting();
        }
        self.end_batch();
    }

    /// Everything of the turns up to `turn` is as durable as `appendfsync` says.
    pub(super) fn synced(&self, turn: u64) {
        self.core.borrow_mut().durable(turn);
        loop {
            let mut unsynced = self.turn_end.unsynced.borrow_mut();
            let Some(next) = unsynced.pop_front_if(|next| next.turn <= turn) else { break };
            drop(unsynced);
            for (link, bytes) in next.to_primaries {
                if let Some(inbound) = self.links_in.borrow().get(&link) {
                    inbound.out.send(bytes);
                }
            }
            for (reply, reports) in next.seals {
                let _ = reply.send(reports);
            }
        }
        let sends = self.core.borrow_mut().take_sends();
        self.send_to_replicas(sends);
        self.tell_news();
    }

    fn send_to_replicas(&self, sends: Vec<(PeerIndex, Vec<u8>)>) {
        let links = self.links_out.borrow();
        for (peer, bytes) in sends {
            if let Some(out) = links.get(&peer) {
                out.send(bytes);
            }
        }
    }

    fn propose(&self, changes: Vec<ReadyChange>) {
        if !changes.is_empty() {
            let _ = self.control.send(ToControl::Changes(changes));
        }
    }

    /// Ends the last turn. Returns whether the log was closed cleanly.
    pub(super) fn stop(&self) -> bool {
        self.ticks_open.set(false);
        let Some(log) = self.log.take() else { return true };
        if !self.core.borrow().has_begun() {
            // Nothing was written, and the marks of the process before tell the next start what this one found.
            return true;
        }
        let rest = self.core.borrow_mut().end_turn(self.now());
        let closed = log.close(&rest.log, self.incarnation.get());
        closed.inspect_err(|error| tracing::error!(%error, "the log was not closed cleanly")).is_ok()
    }

    /// Tries again what found no room on the disk.
    pub(super) fn retry_log(&self) {
        let retried = self.log.borrow_mut().as_mut().map_or(Ok(()), |log| log.retry());
        if let Err(error) = retried {
            self.log_failed(&error);
        }
        self.note_log_position();
    }

    /// This shard acknowledges nothing more, so it follows no one. Says so once: to the operator, and to the control
    /// thread.
    pub(super) fn log_failed(&self, error: &dyn std::error::Error) {
        if !self.core.borrow_mut().lose_log() {
            return;
        }
        tracing::error!(%error, "this shard acknowledges nothing more");
        let _ = self.control.send(ToControl::LogFailed);
        self.links_in.borrow().values().for_each(|inbound| inbound.out.close());
        self.turn_end.unsynced.take();
    }
}

/// Ends a turn whenever one is to be ended.
pub(super) async fn flush_loop<R: Runtime>(handle: Rc<ShardHandle>) {
    loop {
        handle.turn_end.asked.wait().await;
        if handle.end_turn::<R>() {
            handle.touch();
            R::yield_now().await;
        }
    }
}
