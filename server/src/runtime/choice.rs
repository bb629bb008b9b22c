//! Choosing the runtime at start.

#[cfg(feature = "glommio")]
use super::glommio;
use super::uring::{self, UringUnavailable};
pub use crate::settings::RuntimeChoice;

/// A runtime to start shards with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// [`uring::Uring`].
    Uring,
    /// [`super::epoll::Epoll`].
    Epoll,
    /// [`glommio::Glommio`].
    #[cfg(feature = "glommio")]
    Glommio,
}

/// The outcome of [`RuntimeChoice::select`].
#[derive(Debug)]
pub struct Selected {
    /// What to start.
    pub kind: RuntimeKind,
    /// Why, as one line for the log.
    pub reason: String,
}

/// The runtime that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// `--runtime uring` does not work here.
    #[error("--runtime uring: {0}; use --runtime auto or epoll to run without it")]
    Uring(#[from] UringUnavailable),
    /// `--runtime glommio` does not work here.
    #[cfg(feature = "glommio")]
    #[error("--runtime glommio: {0}; or use --runtime auto or epoll")]
    Glommio(#[from] glommio::GlommioUnavailable),
    /// The program has no such runtime.
    #[cfg(not(feature = "glommio"))]
    #[error(
        "--runtime glommio: this program was built without it; build one with `cargo build --release -p carousel-server --features glommio`, or \
         use --runtime auto"
    )]
    NotBuilt,
}

impl RuntimeChoice {
    /// Decides by trying out what is asked for; epoll needs no trial.
    ///
    /// Errors: what is asked for does not work, or is not in this program.
    pub fn select(self) -> Result<Selected, SelectError> {
        let (kind, reason) = match self {
            Self::Epoll => (RuntimeKind::Epoll, "epoll, as asked for".to_owned()),
            Self::Uring => {
                uring::probe()?;
                (RuntimeKind::Uring, "io_uring, as asked for".to_owned())
            }
            #[cfg(feature = "glommio")]
            Self::Glommio => {
                glommio::probe()?;
                (RuntimeKind::Glommio, "glommio, as asked for".to_owned())
            }
            #[cfg(not(feature = "glommio"))]
            Self::Glommio => return Err(SelectError::NotBuilt),
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

    #[cfg(not(feature = "glommio"))]
    #[test]
    fn a_runtime_that_is_not_in_the_program_is_refused_with_how_to_get_it() {
        let refusal = RuntimeChoice::Glommio.select().unwrap_err().to_string();
        assert!(refusal.contains("--features glommio"), "{refusal}");
    }

    #[cfg(feature = "glommio")]
    #[test]
    fn glommio_agrees_with_its_probe() {
        match (RuntimeChoice::Glommio.select(), glommio::probe()) {
            (Ok(selected), Ok(())) => assert_eq!(selected.kind, RuntimeKind::Glommio),
            (Err(refusal), Err(why)) => assert!(refusal.to_string().contains(&why.to_string()), "{refusal}"),
            (selected, probed) => panic!("{selected:?}, but {probed:?}"),
        }
    }
}
