//! The replies of one batch, and what they still wait for.

use carousel_protocol::ShardId;

use super::errand::Errand;
use crate::shard::{Hold, HoldState, Shard};

/// Replies in request order; some may have to wait, some come from other shards.
#[derive(Default)]
pub(super) struct Batch {
    /// Reply bytes, without those that come from elsewhere.
    pub(super) out: Vec<u8>,
    /// Replies that may not leave yet, by their place in `out`.
    held: Vec<Held>,
    /// Replies that come from elsewhere, by where in `out` they belong.
    holes: Vec<Hole>,
    /// Per shard, what is sent there and comes back.
    pub(super) errands: Vec<Sent>,
}

/// A place between two replies.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    out: usize,
    held: usize,
    holes: usize,
}

struct Held {
    hold: Hold,
    start: usize,
    end: usize,
}

/// A missing reply: one of an errand.
struct Hole {
    at: usize,
    /// Index in `errands`.
    errand: usize,
    /// Which of its replies.
    reply: usize,
}

/// An errand of this batch to one other shard.
pub(super) struct Sent {
    /// Whose.
    pub(super) shard: ShardId,
    /// How many requests.
    count: usize,
    /// `None` while it is away.
    pub(super) errand: Option<Box<Errand>>,
}

/// What became of waiting for a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    /// Everything may leave.
    Yes,
    /// Another shard has not answered.
    Unanswered,
    /// Something is held for its copies or for the log.
    Held,
}

impl Batch {
    /// The reply in `out[start..]` waits for `hold`.
    #[inline]
    pub(super) fn hold(&mut self, hold: Hold, start: usize) {
        if hold == Hold::None {
            return;
        }
        let end = self.out.len();
        self.held.push(Held { hold, start, end });
    }

    /// Where the next reply begins.
    pub(super) fn mark(&self) -> Mark {
        Mark { out: self.out.len(), held: self.held.len(), holes: self.holes.len() }
    }

    /// The replies since `mark` are not wanted. What other shards are asked for is asked all the same.
    pub(super) fn mute_since(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.held.truncate(mark.held);
        self.holes.truncate(mark.holes);
    }

    /// A request goes with the errand to `shard`, which `begin` makes if there is none yet: its reply belongs at the present
    /// end of `out`.
    pub(super) fn send_along(
        &mut self,
        shard: ShardId,
        begin: impl FnOnce() -> Box<Errand>,
        add: impl FnOnce(&mut Errand) -> usize,
    ) {
        let errand = self.errands.iter().position(|sent| sent.shard == shard).unwrap_or_else(|| {
            self.errands.push(Sent { shard, count: 0, errand: Some(begin()) });
            self.errands.len() - 1
        });
        let sent = &mut self.errands[errand];
        sent.count += 1;
        let reply = add(sent.errand.as_mut().expect("errands leave when the batch ends"));
        self.holes.push(Hole { at: self.out.len(), errand, reply });
    }

    /// Requests for other shards.
    pub(super) fn asked(&self) -> usize {
        self.errands.iter().map(|sent| sent.count).sum()
    }

    /// Nothing is to be waited for.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.held.is_empty() && self.errands.is_empty() && self.holes.is_empty()
    }

    /// Looks whether everything may leave; once `overdue`, what is still held becomes an error that says so.
    pub(super) fn settle(&mut self, shard: &Shard, overdue: bool) -> Settled {
        if self.errands.iter().any(|sent| sent.errand.is_none()) {
            return Settled::Unanswered;
        }
        // Released marks go from the front; what is lost stays until it is rewritten.
        let mut holds = self.held.iter().map(|held| held.hold);
        if !overdue && holds.any(|hold| shard.hold_state(hold) == HoldState::Held) {
            return Settled::Held;
        }
        self.assemble(shard);
        Settled::Yes
    }

    /// Puts all replies into `out`, in order.
    fn assemble(&mut self, shard: &Shard) {
        let failed: Vec<_> =
            self.held.drain(..).filter(|held| shard.hold_state(held.hold) != HoldState::Released).collect();
        if failed.is_empty() {
            return self.fill_holes();
        }
        let mut whole = Vec::with_capacity(self.out.len() + 256);
        let mut at = 0;
        let mut failed = failed.into_iter().peekable();
        let mut holes = self.holes.drain(..).peekable();
        loop {
            let next_hole = holes.peek().map_or(usize::MAX, |hole| hole.at);
            let next_failed = failed.peek().map_or(usize::MAX, |held| held.start);
            if next_hole == usize::MAX && next_failed == usize::MAX {
                break;
            }
            if next_hole <= next_failed {
                let hole = holes.next().expect("peeked");
                whole.extend_from_slice(&self.out[at..hole.at]);
                at = hole.at;
                whole.extend_from_slice(reply_of(&self.errands, &hole));
            } else {
                let held = failed.next().expect("peeked");
                if held.start < at {
                    continue; // a reply that waited for several slots, of which one failed already
                }
                whole.extend_from_slice(&self.out[at..held.start]);
                write_unknown(shard, held.hold, &mut whole);
                at = held.end;
            }
        }
        drop(holes);
        whole.extend_from_slice(&self.out[at..]);
        self.out = whole;
    }

    /// Puts the replies of other shards where they belong, from the last to the first, so that nothing moves twice.
    fn fill_holes(&mut self) {
        let mut from = self.out.len();
        let bytes: usize = self.holes.iter().map(|hole| reply_of(&self.errands, hole).len()).sum();
        self.out.resize(from + bytes, 0);
        let mut to = self.out.len();
        for hole in self.holes.drain(..).rev() {
            let moved = from - hole.at;
            self.out.copy_within(hole.at..from, to - moved);
            let reply = reply_of(&self.errands, &hole);
            (from, to) = (hole.at, to - moved - reply.len());
            self.out[to..to + reply.len()].copy_from_slice(reply);
        }
        debug_assert_eq!(from, to, "what is before the first hole stays");
    }
}

fn reply_of<'a>(errands: &'a [Sent], hole: &Hole) -> &'a [u8] {
    errands[hole.errand].errand.as_ref().expect("settled").reply(hole.reply)
}

/// A reply that could not be confirmed: the outcome is unknown, never "failed".
pub(crate) fn write_unknown(shard: &Shard, hold: Hold, out: &mut Vec<u8>) {
    let (copies, needed) = shard.copies_of(hold);
    let text = match shard.hold_state(hold) {
        HoldState::Lost => {
            "-NOQUORUM The slot's primary changed before the write was confirmed, outcome unknown\r\n"
                .to_string()
        }
        HoldState::Held | HoldState::Released => {
            format!("-NOQUORUM {copies} of {needed} replicas hold the write, outcome unknown\r\n")
        }
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use carousel_protocol::resp::parse_reply;

    use super::*;
    use crate::shard::testing::lone_shard;

    // The first turn of its shards never becomes durable: what is held by it stays held.

    fn reply(batch: &mut Batch, text: &str, holds: &[Hold]) {
        let start = batch.out.len();
        batch.out.extend_from_slice(text.as_bytes());
        holds.iter().for_each(|hold| batch.hold(*hold, start));
    }

    fn replies(mut bytes: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some((_, used)) = parse_reply(bytes).expect("whole replies") {
            texts.push(String::from_utf8_lossy(&bytes[..used]).trim_end().to_string());
            bytes = &bytes[used..];
        }
        assert!(bytes.is_empty());
        texts
    }

    #[test]
    fn nothing_of_a_turn_that_is_not_durable_leaves_as_a_success() {
        let (shard, mut batch) = (lone_shard(), Batch::default());
        reply(&mut batch, "+PONG\r\n", &[]);
        (0..3).for_each(|_| reply(&mut batch, "+OK\r\n", &[Hold::Turn(0)]));
        assert_eq!(batch.settle(&shard, false), Settled::Held);
        assert_eq!(batch.settle(&shard, true), Settled::Yes);
        let left = replies(&batch.out);
        assert_eq!((left.len(), left[0].as_str()), (4, "+PONG"));
        assert!(left[1..].iter().all(|text| text.starts_with("-NOQUORUM")), "{left:?}");
    }

    #[test]
    fn a_reply_that_waits_for_several_slots_fails_once() {
        let (shard, mut batch) = (lone_shard(), Batch::default());
        reply(&mut batch, "*0\r\n", &[Hold::Turn(0), Hold::Turn(1), Hold::Turn(2)]);
        reply(&mut batch, "+PONG\r\n", &[]);
        assert_eq!(batch.settle(&shard, true), Settled::Yes);
        let left = replies(&batch.out);
        assert!(left[0].starts_with("-NOQUORUM") && left[1] == "+PONG" && left.len() == 2, "{left:?}");
    }

    #[test]
    fn a_reply_that_is_not_wanted_leaves_nothing_behind() {
        let (shard, mut batch) = (lone_shard(), Batch::default());
        reply(&mut batch, "+PONG\r\n", &[]);
        let mark = batch.mark();
        reply(&mut batch, "+OK\r\n", &[Hold::Turn(0)]);
        batch.send_along(ShardId(1), Default::default, |_| 0);
        batch.mute_since(mark);
        reply(&mut batch, ":1\r\n", &[]);
        assert_eq!(batch.settle(&shard, false), Settled::Yes);
        assert_eq!(replies(&batch.out), ["+PONG", ":1"]);
    }
}
