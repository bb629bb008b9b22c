//! Choosing the runtime at start.

use super::uring::{self, UringUnavailable};
pub use crate::settings::RuntimeChoice;

/// A runtime to start shards with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// [`uring::Uring`].
    Uring,
    /// [`super::epoll::Epoll`].
    Epoll,
}

/// The outcome of [`RuntimeChoice::select`].
#[derive(Debug)]
pub struct Selected {
    /// What to start.
    pub kind: RuntimeKind,
    /// Why, as one line for the log.
    pub reason: String,
}

/// `--runtime uring` cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("--runtime uring: {0}; use --runtime auto or epoll to run without it")]
pub struct SelectError(#[from] UringUnavailable);

impl RuntimeChoice {
    /// Decides by trying io_uring out, unless epoll is asked for.
    ///
    /// Errors: io_uring is asked for and does not work.
    pub fn select(self) -> Result<Selected, SelectError> {
        let (kind, reason) = match self {
            Self::Epoll => (RuntimeKind::Epoll, "epoll, as asked for".to_owned()),
            Self::Uring => {
                uring::probe()?;
                (RuntimeKind::Uring, "io_uring, as asked for".to_owned())
            }
            Self::Auto => match uring::probe() {
                Ok(()) => (RuntimeKind::Uring, "io_uring: it works here".to_owned()),
                Err(refusal) => (RuntimeKind::Epoll, format!("epoll: {refusal}")),
            },
        };
        Ok(Selected { kind, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoll_is_chosen_without_trying_io_uring() {
        let selected = RuntimeChoice::Epoll.select().unwrap();
        assert_eq!(selected.kind, RuntimeKind::Epoll);
        assert_eq!(selected.reason, "epoll, as asked for");
    }

    #[test]
    fn auto_agrees_with_the_probe() {
        let selected = RuntimeChoice::Auto.select().unwrap();
        match uring::probe() {
            Ok(()) => assert_eq!(selected.kind, RuntimeKind::Uring),
            Err(refusal) => {
                assert_eq!(selected.kind, RuntimeKind::Epoll);
                assert!(selected.reason.contains(&refusal.to_string()), "{}", selected.reason);
            }
        }
    }
}
