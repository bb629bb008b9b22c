//! What a failed call means.

use std::time::Duration;

use crate::Address;

/// Why a call failed, with the facts to act on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// No connection to this node.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// The node.
        address: Address,
        /// The operating system's or the server's words.
        why: String,
    },
    /// None of the nodes named at the start tells the slot map.
    #[error("no node answers: {why}")]
    NoNode {
        /// Each node that was tried, with its fault.
        why: String,
    },
    /// The write may or may not have happened.
    #[error("{address}: outcome of the write unknown after {}: {why}", seconds(*waited))]
    OutcomeUnknown {
        /// The node that was asked.
        address: Address,
        /// What broke.
        why: String,
        /// Time since the call began.
        waited: Duration,
    },
    /// The time was up. The operation did not happen; a read simply has no answer.
    #[error("gave up after {} and {attempts} attempts; last: {last}", seconds(*waited))]
    Deadline {
        /// Time since the call began.
        waited: Duration,
        /// Requests sent.
        attempts: u32,
        /// What the last attempt met.
        last: String,
    },
    /// The server answered with an error that no retry cures.
    #[error("{address}: {text}")]
    Refused {
        /// The node.
        address: Address,
        /// Its words, starting with the error's code.
        text: String,
    },
    /// The reply is not of the kind that the command has.
    #[error("{address}: expected {expected}, got {got}")]
    UnexpectedReply {
        /// The node.
        address: Address,
        /// The kind expected.
        expected: &'static str,
        /// The reply, shortened.
        got: String,
    },
}

impl ClientError {
    /// A short name of the kind, to count by: the server's error code where it refused.
    pub fn kind(&self) -> &str {
        match self {
            Self::Connect { .. } => "connect",
            Self::NoNode { .. } => "no-node",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::Deadline { .. } => "deadline",
            Self::Refused { text, .. } => text.split(' ').next().unwrap_or("refused"),
            Self::UnexpectedReply { .. } => "unexpected-reply",
        }
    }

    /// May the operation have happened nevertheless?
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }
}

/// `1.234 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
