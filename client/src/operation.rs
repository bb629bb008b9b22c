//! One operation's way through redirections, retries and broken connections.
//!
//! Pure: the driver does what [`Next`] says and comes back with the [`Outcome`] and the time. What may be sent
//! again is decided here and nowhere else:
//!
//! | outcome | read | write |
//! |---|---|---|
//! | never sent (no connection, queue dropped) | again | again |
//! | `MOVED`, `ASK` | there | there |
//! | `TRYAGAIN` `CLUSTERDOWN` `LOADING` `MASTERDOWN` `NOREPLICAS` `READONLY` (refused before execution) | again | again |
//! | sent, then broken or silent; `NOQUORUM` | again | outcome unknown, or again if so configured |
//! | any other reply | done | done |

use std::time::Duration;

use carousel_protocol::SlotId;
use carousel_protocol::resp::Reply;

use crate::{Address, ClientError, RetryOptions};

/// Redirections in a row that are followed without a pause. Slots move one hop at a time, so a longer chain
/// means that nodes disagree for the moment.
const REDIRECTS_IN_ROW_MAX: u32 = 6;

/// Does the operation change data?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// No: may always be repeated.
    Read,
    /// Yes: repeating it may do it twice.
    Write,
}

/// What an attempt met.
#[derive(Debug)]
pub enum Outcome {
    /// A reply, which may be an error.
    Replied(Reply),
    /// The request never left this process.
    NotSent {
        /// What broke.
        why: String,
    },
    /// The request may have been executed; its reply did not come.
    Unknown {
        /// What broke.
        why: String,
    },
}

/// What to do now.
#[derive(Debug)]
pub enum Next {
    /// Send the request to this node, then call [`Operation::on_outcome`].
    Send {
        /// The node.
        to: Address,
        /// Send `ASKING` directly before it on the same connection.
        asking: bool,
        /// What the map should learn first: this slot is at `to`.
        moved: Option<SlotId>,
    },
    /// Fetch the map again if it was not just fetched, pause, then call [`Operation::route`].
    Wait {
        /// How long.
        pause: Duration,
    },
    /// Done.
    Return(Reply),
    /// Given up.
    Fail(ClientError),
}

/// A redirection, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `ASK`: only this once. Otherwise `MOVED`: from now on.
    pub ask: bool,
    /// The slot.
    pub slot: SlotId,
    /// Where to.
    pub to: Address,
}

impl Redirect {
    /// Parses `MOVED 3999 127.0.0.1:7001` and `ASK ...`. An empty host means the host of `from`, the node
    /// that redirects. `None` where the text is neither.
    pub fn parse(text: &str, from: &Address) -> Option<Self> {
        let mut words = text.split(' ');
        let ask = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let slot = words.next()?.parse().ok().and_then(SlotId::new)?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = if host.is_empty() { from.host() } else { host };
        Some(Self { ask, slot, to: Address::new(host, port.parse().ok()?)? })
    }
}

/// The state of one operation. Times are since it began.
#[derive(Debug)]
pub struct Operation<'a> {
    intent: Intent,
    retry: &'a RetryOptions,
    /// Spreads the pauses of operations that failed together.
    dice: u64,
    attempts: u32,
    redirects_in_row: u32,
    pauses: u32,
    /// Where an earlier attempt of this write may have been executed: then no later refusal can undo that.
    maybe_done_at: Option<Address>,
    last: String,
}

impl<'a> Operation<'a> {
    /// An operation that begins now. `dice` is any number that differs between operations.
    pub fn new(intent: Intent, retry: &'a RetryOptions, dice: u64) -> Self {
        Self {
            intent,
            retry,
            dice,
            attempts: 0,
            redirects_in_row: 0,
            pauses: 0,
            maybe_done_at: None,
            last: String::new(),
        }
    }

    /// At the start and after each pause: `node` is what the router says.
    pub fn route(&mut self, elapsed: Duration, node: Option<&Address>) -> Next {
        self.redirects_in_row = 0;
        match node {
            Some(node) => self.send(node.clone(), false, None),
            None => {
                self.last = "no node is known".to_owned();
                self.pause(elapsed)
            }
        }
    }

    /// How much longer an attempt may wait for its reply, on a connection that was silent for `silent` by now.
    /// Zero ends the attempt with an unknown outcome.
    ///
    /// A server that is slow but sends is waited for until the deadline: asking it again would only add to its
    /// work. Only one that is silent is given up before, and only where the operation may be repeated.
    pub fn patience(&self, elapsed: Duration, silent: Duration) -> Duration {
        let left = self.retry.deadline.saturating_sub(elapsed);
        if self.may_repeat() { left.min(self.retry.attempt_timeout.saturating_sub(silent)) } else { left }
    }

    /// After an attempt at `from`.
    pub fn on_outcome(&mut self, elapsed: Duration, from: &Address, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Replied(Reply::Error(text)) => self.on_error(elapsed, from, text.to_string()),
            Outcome::Replied(reply) => Next::Return(reply),
            Outcome::NotSent { why } => {
                self.last = format!("{from}: {why}");
                self.pause(elapsed)
            }
            Outcome::Unknown { why } => self.on_unknown(elapsed, from, why),
        }
    }

    fn on_error(&mut self, elapsed: Duration, from: &Address, text: String) -> Next {
        match text.split(' ').next().unwrap_or_default() {
            "MOVED" | "ASK" => match Redirect::parse(&text, from) {
                Some(redirect) => self.on_redirect(elapsed, from, redirect, text),
                None => self.refused(elapsed, from, text),
            },
            "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "READONLY" => {
                self.last = format!("{from}: {text}");
                self.pause(elapsed)
            }
            "NOQUORUM" => self.on_unknown(elapsed, from, text),
            _ => self.refused(elapsed, from, text),
        }
    }

    fn on_redirect(&mut self, elapsed: Duration, from: &Address, redirect: Redirect, text: String) -> Next {
        self.redirects_in_row += 1;
        let moved = (!redirect.ask).then_some(redirect.slot);
        if self.redirects_in_row > REDIRECTS_IN_ROW_MAX || elapsed >= self.retry.deadline {
            self.last = format!("{from}: {text} (after {} redirections)", self.redirects_in_row);
            return self.pause(elapsed);
        }
        self.send(redirect.to, redirect.ask, moved)
    }

    fn on_unknown(&mut self, elapsed: Duration, from: &Address, why: String) -> Next {
        if self.intent == Intent::Write {
            self.maybe_done_at = Some(from.clone());
        }
        self.last = format!("{from}: {why}");
        if self.may_repeat() {
            return self.pause(elapsed);
        }
        Next::Fail(ClientError::OutcomeUnknown { address: from.clone(), why, waited: elapsed })
    }

    fn refused(&mut self, elapsed: Duration, from: &Address, text: String) -> Next {
        Next::Fail(match self.maybe_done_at.take() {
            Some(address) => {
                let why = format!("sent again after a broken attempt, and then refused: {text}");
                ClientError::OutcomeUnknown { address, why, waited: elapsed }
            }
            None => ClientError::Refused { address: from.clone(), text },
        })
    }

    fn may_repeat(&self) -> bool {
        match self.intent {
            Intent::Read => true,
            Intent::Write => self.retry.retry_unknown_writes,
        }
    }

    fn send(&mut self, to: Address, asking: bool, moved: Option<SlotId>) -> Next {
        self.attempts += 1;
        Next::Send { to, asking, moved }
    }

    /// The next pause: doubling from `pause_min` to `pause_max`, shortened by up to a half by the dice, never
    /// past the deadline.
    fn pause(&mut self, elapsed: Duration) -> Next {
        let left = self.retry.deadline.saturating_sub(elapsed);
        if left.is_zero() {
            let last = std::mem::take(&mut self.last);
            return Next::Fail(match self.maybe_done_at.take() {
                Some(address) => ClientError::OutcomeUnknown { address, why: last, waited: elapsed },
                None => ClientError::Deadline { waited: elapsed, attempts: self.attempts, last },
            });
        }
        let full = self.retry.pause_min.saturating_mul(1 << self.pauses.min(20)).min(self.retry.pause_max);
        self.pauses += 1;
        self.dice = self.dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let share = (self.dice >> 33) as f64 / (1u64 << 31) as f64;
        Next::Wait { pause: full.mul_f64(1.0 - share / 2.0).min(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::ZERO;

    fn at(port: u16) -> Address {
        Address::new("h", port).unwrap()
    }

    fn error(text: &str) -> Outcome {
        Outcome::Replied(Reply::Error(text.into()))
    }

    fn broken() -> Outcome {
        Outcome::Unknown { why: "connection reset".to_owned() }
    }

    #[track_caller]
    fn sent_to(next: Next) -> (u16, bool, Option<u16>) {
        match next {
            Next::Send { to, asking, moved } => (to.port(), asking, moved.map(SlotId::get)),
            other => panic!("not sent: {other:?}"),
        }
    }

    #[track_caller]
    fn pause_of(next: Next) -> Duration {
        match next {
            Next::Wait { pause } => pause,
            other => panic!("no pause: {other:?}"),
        }
    }

    #[track_caller]
    fn failure(next: Next) -> ClientError {
        match next {
            Next::Fail(error) => error,
            other => panic!("no failure: {other:?}"),
        }
    }

    #[test]
    fn moved_is_followed_at_once_and_learned() {
        let retry = RetryOptions::default();
        let mut op = Operation::new(Intent::Write, &retry, 1);
        assert_eq!(sent_to(op.route(T0, Some(&at(1)))), (1, false, None));
        assert_eq!(sent_to(op.on_outcome(T0, &at(1), error("MOVED 77 h:2"))), (2, false, Some(77)));
        let reply = op.on_outcome(T0, &at(2), Outcome::Replied(Reply::Integer(3)));
        assert!(matches!(reply, Next::Return(Reply::Integer(3))));
    }

    #[test]
    fn ask_is_followed_with_asking_and_not_learned() {
        let retry = RetryOptions::default();
        let mut op = Operation::new(Intent::Write, &retry, 1);
        op.route(T0, Some(&at(1)));
        assert_eq!(sent_to(op.on_outcome(T0, &at(1), error("ASK 77 h:2"))), (2, true, None));
    }

    #[test]
    fn an_empty_host_in_a_redirection_is_the_host_that_redirects() {
        let redirect = Redirect::parse("MOVED 1 :7002", &at(1)).unwrap();
        assert_eq!(redirect.to.as_str(), "h:7002");
        for text in ["MOVED", "MOVED x h:1", "MOVED 16384 h:1", "MOVED 1", "MOVED 1 h", "ASKED 1 h:1"] {
            assert_eq!(Redirect::parse(text, &at(1)), None, "{text}");
        }
    }

    #[test]
    fn nodes_that_redirect_to_each_other_cost_a_pause_and_not_a_storm() {
        let retry = RetryOptions::default();
        let mut op = Operation::new(Intent::Read, &retry, 1);
        op.route(T0, Some(&at(1)));
        for _ in 0..REDIRECTS_IN_ROW_MAX {
            sent_to(op.on_outcome(T0, &at(1), error("MOVED 1 h:2")));
        }
        pause_of(op.on_outcome(T0, &at(1), error("MOVED 1 h:2")));
        sent_to(op.route(T0, Some(&at(1))));
        assert_eq!(
            sent_to(op.on_outcome(T0, &at(1), error("MOVED 1 h:2"))).0,
            2,
            "counted anew after a pause"
        );
    }

    #[test]
    fn what_was_refused_before_execution_is_retried_also_for_writes() {
        let retry = RetryOptions::default();
        for text in ["TRYAGAIN x", "CLUSTERDOWN x", "LOADING x", "MASTERDOWN x", "NOREPLICAS x", "READONLY x"]
        {
            let mut op = Operation::new(Intent::Write, &retry, 1);
            op.route(T0, Some(&at(1)));
            pause_of(op.on_outcome(T0, &at(1), error(text)));
            assert_eq!(sent_to(op.route(T0, Some(&at(2)))).0, 2, "{text}");
        }
        let mut op = Operation::new(Intent::Write, &retry, 1);
        pause_of(op.on_outcome(T0, &at(1), Outcome::NotSent { why: "refused".into() }));
    }

    #[test]
    fn a_write_that_may_have_happened_is_not_repeated_unless_allowed() {
        let cautious = RetryOptions::default();
        let bold = RetryOptions { retry_unknown_writes: true, ..cautious.clone() };
        for outcome in [broken, || error("NOQUORUM 1 of 2")] {
            let mut op = Operation::new(Intent::Write, &cautious, 1);
            let error = failure(op.on_outcome(Duration::from_millis(1500), &at(1), outcome()));
            assert!(error.outcome_unknown());
            assert!(
                error.to_string().starts_with("h:1: outcome of the write unknown after 1.500 s: "),
                "{error}"
            );
            pause_of(Operation::new(Intent::Write, &bold, 1).on_outcome(T0, &at(1), outcome()));
            pause_of(Operation::new(Intent::Read, &cautious, 1).on_outcome(T0, &at(1), outcome()));
        }
    }

    #[test]
    fn a_write_whose_time_is_up_stays_unknown_and_a_read_has_just_no_answer() {
        let bold = RetryOptions { retry_unknown_writes: true, ..RetryOptions::default() };
        let late = bold.deadline;
        let mut write = Operation::new(Intent::Write, &bold, 1);
        assert!(failure(write.on_outcome(late, &at(1), broken())).outcome_unknown());
        let mut read = Operation::new(Intent::Read, &bold, 1);
        sent_to(read.route(T0, Some(&at(1))));
        let error = failure(read.on_outcome(late, &at(1), broken()));
        assert_eq!(error.to_string(), "gave up after 10.000 s and 1 attempts; last: h:1: connection reset");
    }

    #[test]
    fn a_refusal_does_not_undo_an_earlier_attempt_of_unknown_outcome() {
        let bold = RetryOptions { retry_unknown_writes: true, ..RetryOptions::default() };
        for (elapsed, text) in [(T0, "OOM x"), (bold.deadline, "CLUSTERDOWN x")] {
            let mut op = Operation::new(Intent::Write, &bold, 1);
            pause_of(op.on_outcome(T0, &at(1), broken()));
            assert!(failure(op.on_outcome(elapsed, &at(2), error(text))).outcome_unknown(), "{text}");
        }
    }

    #[test]
    fn other_errors_are_final() {
        let retry = RetryOptions::default();
        for text in ["WRONGTYPE Operation", "CROSSSLOT x", "ERR unknown command", "OOM x", "MOVED nonsense"] {
            let mut op = Operation::new(Intent::Read, &retry, 1);
            let error = failure(op.on_outcome(T0, &at(1), error(text)));
            assert_eq!(error.kind(), text.split(' ').next().unwrap());
        }
    }

    #[test]
    fn pauses_grow_stay_within_bounds_and_end_at_the_deadline() {
        let retry = RetryOptions::default();
        let mut op = Operation::new(Intent::Read, &retry, 99);
        let mut elapsed = T0;
        let mut pauses = Vec::new();
        loop {
            match op.on_outcome(elapsed, &at(1), error("CLUSTERDOWN x")) {
                Next::Wait { pause } => {
                    assert!(pause <= retry.pause_max && !pause.is_zero());
                    pauses.push(pause);
                    elapsed += pause;
                }
                Next::Fail(error) => {
                    assert_eq!(error.kind(), "deadline");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(elapsed, retry.deadline);
        assert!(pauses[0] <= retry.pause_min && pauses.len() < 100, "{pauses:?}");
        assert!(pauses[10] >= retry.pause_max / 2);
    }

    #[test]
    fn a_silent_server_is_given_up_early_only_by_what_may_be_repeated() {
        let retry = RetryOptions::default();
        let second = Duration::from_secs(1);
        let patience = |intent, elapsed, silent| {
            Operation::new(intent, &retry, 1).patience(second * elapsed, second * silent)
        };
        assert_eq!(patience(Intent::Read, 0, 0), retry.attempt_timeout);
        assert_eq!(patience(Intent::Read, 1, 1), retry.attempt_timeout - second);
        assert_eq!(patience(Intent::Read, 5, 0), retry.attempt_timeout, "slow, but it sends");
        assert_eq!(patience(Intent::Read, 2, 2), T0);
        assert_eq!(patience(Intent::Read, 9, 0), second, "the deadline comes first");
        assert_eq!(patience(Intent::Write, 1, 5), retry.deadline - second);
        assert_eq!(patience(Intent::Write, 11, 0), T0);
    }
}
