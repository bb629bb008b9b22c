//! Checkpoints of all shards, as `shard::drive::checkpoint` and the thread that it writes with take them, and
//! `control::checkpoint` asks for them: one operation at a time, each shard when it likes.

use carousel_protocol::Incarnation;
use carousel_server::persist::storage::memory::MemoryStorage;
use carousel_server::persist::transactions::TransactionId;
use carousel_server::persist::{CheckpointEnd, CheckpointWriter, LogPosition};
use carousel_server::shard::checkpoint::{CheckpointExtent, CheckpointStep};

use crate::life::{Order, World};
use crate::seat::{Died, Seat};

/// A checkpoint under way.
pub struct Checkpoint {
    parts: Vec<Part>,
    stage: Stage,
    /// Shards that have not done it.
    left: Vec<usize>,
}

struct Part {
    writer: Option<CheckpointWriter<MemoryStorage>>,
    walked: Option<CheckpointExtent>,
    end: Option<CheckpointEnd>,
    /// The transactions that began before this, and that have not ended.
    before: LogPosition,
    holders: Option<Vec<TransactionId>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Walk,
    Finish,
    Seal,
    Sync,
    Settle,
    Publish,
}

impl Stage {
    fn next(self, order: Order) -> Option<Self> {
        let next = match self {
            Self::Begin => Self::Walk,
            Self::Walk => Self::Finish,
            Self::Finish if order == Order::LogUnsynced => Self::Publish,
            Self::Finish if order == Order::NotSealed => Self::Sync,
            Self::Finish => Self::Seal,
            Self::Seal if order == Order::SettleUnsynced => Self::Settle,
            Self::Sync if order == Order::NotSettled => Self::Publish,
            Self::Seal => Self::Sync,
            Self::Sync => Self::Settle,
            Self::Settle => Self::Publish,
            Self::Publish => return None,
        };
        Some(next)
    }
}

impl World {
    pub(crate) fn go_on_with_checkpoint(&mut self, seats: &mut [Seat]) -> Result<(), Died> {
        let Some(mut checkpoint) = self.checkpoint.take() else {
            let parts = seats.iter().map(|_| Part {
                writer: None,
                walked: None,
                end: None,
                before: LogPosition(0),
                holders: None,
            });
            let (parts, left) = (parts.collect(), (0..seats.len()).collect());
            self.checkpoint = Some(Checkpoint { parts, stage: Stage::Begin, left });
            return Ok(());
        };
        let which = self.rng.index(checkpoint.left.len());
        let at = checkpoint.left[which];
        // A shard that has walked goes on by itself; the stages behind that are of all together.
        let part = &mut checkpoint.parts[at];
        let stage = match checkpoint.stage {
            Stage::Walk if part.walked.is_some() => Stage::Finish,
            stage => stage,
        };
        let done = self.checkpoint_step(seats, at, part, stage)?;
        let Some(is_done) = done else {
            self.counts.failed_checkpoints += 1;
            self.say(format_args!("shard {at} has no checkpoint"));
            for (seat, part) in seats.iter_mut().zip(checkpoint.parts) {
                seat.core.end_checkpoint();
                part.writer.into_iter().for_each(CheckpointWriter::abandon);
            }
            return if self.storage.is_dead() { Err(Died) } else { Ok(()) };
        };
        if is_done && (stage == checkpoint.stage || stage == Stage::Finish) {
            checkpoint.left.swap_remove(which);
        }
        if checkpoint.left.is_empty() {
            let after = if checkpoint.stage == Stage::Walk { Stage::Finish } else { checkpoint.stage };
            let Some(next) = after.next(self.order) else { return Ok(()) };
            checkpoint.stage = next;
            checkpoint.left = (0..seats.len()).collect();
        }
        self.checkpoint = Some(checkpoint);
        Ok(())
    }

    /// One shard's part of a stage, or a piece of it: whether that is done, or nothing where there will be no checkpoint.
    fn checkpoint_step(
        &mut self,
        seats: &mut [Seat],
        at: usize,
        part: &mut Part,
        stage: Stage,
    ) -> Result<Option<bool>, Died> {
        let seat = &mut seats[at];
        match stage {
            Stage::Begin => {
                let header = seat.log.begin_checkpoint(Some(Incarnation(self.incarnation)));
                let writer = CheckpointWriter::create(self.storage.clone(), seat.log.dir(), header, 1500);
                let Ok(writer) = writer else { return Ok(None) };
                part.writer = Some(writer);
                seat.core.begin_checkpoint();
                Ok(Some(true))
            }
            Stage::Walk => {
                let writer = part.writer.as_mut().expect("it was begun");
                for _ in 0..self.rng.between(1, 300) {
                    let (records, last) = match seat.core.step_checkpoint() {
                        CheckpointStep::More(records) => (records, None),
                        CheckpointStep::Last(records, extent) => (records, Some(extent)),
                    };
                    if writer.write(&records).is_err() {
                        return Ok(None);
                    }
                    if last.is_some() {
                        part.walked = last;
                        break;
                    }
                }
                Ok(Some(false))
            }
            Stage::Finish => {
                if !self.write_out(seats, at)? {
                    return Ok(None);
                }
                let extent = part.walked.expect("it was walked");
                let seat = &mut seats[at];
                assert!(seat.log.position() >= extent.end);
                let end = seat.log.end_checkpoint(extent);
                let writer = part.writer.as_mut().expect("it was begun");
                if writer.finish(end).is_err() {
                    return Ok(None);
                }
                part.end = Some(end);
                Ok(Some(true))
            }
            Stage::Seal => {
                let holders = part.holders.get_or_insert_with(|| {
                    part.before = seat.core.log_position();
                    seat.core.lock_holders()
                });
                holders.retain(|transaction| seat.core.holds_lock(transaction));
                Ok(Some(holders.is_empty()))
            }
            Stage::Sync => self.write_out_and_sync(seats, at),
            Stage::Settle => {
                seat.core.settle_before(part.before);
                self.write_out_and_sync(seats, at)
            }
            Stage::Publish => {
                let retention = self.rng.pick(&[0, 0, 3000]);
                let end = part.end.expect("it was finished");
                if self.order == Order::CutFirst {
                    seat.log.cut(end, retention).run().map_err(|_| Died)?;
                }
                if part.writer.take().expect("it was begun").publish().is_err() {
                    return Ok(None);
                }
                let removed = seat.log.cut(end, retention).run().map_err(|_| Died)?;
                self.counts.cut += removed as u64;
                self.counts.checkpoints += 1;
                let keys = end.extent.keys;
                self.say(format_args!("shard {at} has a checkpoint of {keys} keys, cuts {removed}"));
                Ok(Some(true))
            }
        }
    }

    /// Whether everything that the shard has done is in its log.
    fn write_out(&mut self, seats: &mut [Seat], at: usize) -> Result<bool, Died> {
        self.end_turn(seats, at)?;
        Ok(seats[at].is_written())
    }

    fn write_out_and_sync(&mut self, seats: &mut [Seat], at: usize) -> Result<Option<bool>, Died> {
        if !self.write_out(seats, at)? {
            return Ok(None);
        }
        self.sync(&mut seats[at], at)?;
        Ok(Some(true))
    }
}
