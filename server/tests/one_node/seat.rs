//! A shard with its log, as `shard::drive` and `shard::journal` drive it.

use carousel_server::Now;
use carousel_server::persist::storage::memory::MemoryStorage;
use carousel_server::persist::{AppendError, Log, LogPosition};
use carousel_server::shard::Shard;

/// The process is over.
pub struct Died;

/// A shard, its log, and what its log has not taken yet.
pub struct Seat {
    pub core: Shard,
    pub log: Log<MemoryStorage>,
    /// What found no room, in order.
    backlog: Vec<u8>,
    /// The last turn that was ended.
    turn: Option<u64>,
    /// Replies wait for a sync.
    is_always: bool,
}

impl Seat {
    pub fn new(mut core: Shard, log: Log<MemoryStorage>, is_always: bool) -> Self {
        core.begin(true);
        core.set_log_position(log.position());
        Self { core, log, backlog: Vec::new(), turn: None, is_always }
    }

    /// Makes room for a command that writes so much in this turn.
    pub fn room(&mut self, bytes: usize) -> Result<(), &'static str> {
        if !self.backlog.is_empty() {
            return Err("MISCONF no room");
        }
        self.log.reserve(bytes).map_err(|_| "MISCONF no room")
    }

    /// Ends the turn. Returns whether everything that the shard has done is in the log.
    pub fn end_turn(&mut self, now: Now) -> Result<bool, Died> {
        let output = self.core.end_turn(now);
        self.backlog.extend_from_slice(&output.log.concat());
        self.turn = Some(output.turn);
        if !self.backlog.is_empty() {
            match self.log.append(&self.backlog) {
                Ok(_) => self.backlog.clear(),
                Err(AppendError::NoSpace { .. }) => {}
                Err(_) => return Err(Died),
            }
        }
        self.core.set_log_position(LogPosition(self.log.position().0 + self.backlog.len() as u64));
        if !self.is_always {
            self.tell();
        }
        Ok(self.backlog.is_empty())
    }

    /// Syncs what is written. Returns whether that is everything.
    pub fn sync(&mut self) -> Result<bool, Died> {
        self.log.sync().map_err(|_| Died)?;
        self.tell();
        Ok(self.backlog.is_empty())
    }

    /// Releases the replies of the turns so far.
    pub fn tell(&mut self) {
        if let Some(turn) = self.turn.filter(|_| self.backlog.is_empty()) {
            self.core.durable(turn);
        }
    }

    /// Whether everything of the turns that have ended is in the log.
    pub fn is_written(&self) -> bool {
        self.backlog.is_empty()
    }

    /// What is to be written at the very end.
    pub fn into_rest(mut self, now: Now) -> (Log<MemoryStorage>, Vec<u8>) {
        let rest = self.core.end_turn(now).log.concat();
        self.backlog.extend_from_slice(&rest);
        (self.log, self.backlog)
    }
}
