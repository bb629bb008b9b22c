//! Choosing the runtime at start.

use std::fmt;
use std::str::FromStr;

use super::uring::{self, UringUnavailable};

/// What `--runtime` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// io_uring where it works, else epoll.
    #[default]
    Auto,
    /// io_uring, or do not start.
    Uring,
    /// epoll.
    Epoll,
}

/// `--runtime` named no runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown runtime '{0}': expected auto, uring or epoll")]
pub struct ParseChoiceError(String);

impl FromStr for RuntimeChoice {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(ParseChoiceError(text.to_owned())),
        }
    }
}

impl fmt::Display for RuntimeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        })
    }
}

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

    /// As [`RuntimeChoice::select`], and logs the one line that says what was chosen and why.
    pub fn resolve(self) -> Result<RuntimeKind, SelectError> {
        let selected = self.select()?;
        tracing::info!(requested = %self, "runtime: {}", selected.reason);
        Ok(selected.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_parses_what_it_prints() {
        for choice in [RuntimeChoice::Auto, RuntimeChoice::Uring, RuntimeChoice::Epoll] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "iocp".parse::<RuntimeChoice>().unwrap_err();
        assert_eq!(error.to_string(), "unknown runtime 'iocp': expected auto, uring or epoll");
    }

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
