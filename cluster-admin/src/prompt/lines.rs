//! Commands from a pipe or a file, one per line.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, Result, bail};

use super::format::Form;
use super::session::Session;
use super::{Line, show, show_answer, verdict};
use crate::{Verdict, note};

/// Sends line after line and shows each reply; goes on after an error reply, and stops where a node is lost: what
/// comes after may build on what was lost.
///
/// # Errors
/// One line, with the number of the line at which it stopped.
pub async fn run(mut session: Session, form: Form) -> Result<Verdict> {
    let mut worst = Verdict::Good;
    for number in 1_u64.. {
        // On another thread: the connection is looked after while the pipe has nothing to give.
        let line = tokio::task::spawn_blocking(read).await.context("reading panicked")?;
        let Some(line) = line.context("cannot read standard input")? else { break };
        let shown = match Line::read(&line) {
            Ok(Line::Empty) => Ok(()),
            Ok(Line::Leave(_)) => break,
            Ok(Line::Help(text)) => show(text.as_bytes()),
            Ok(Line::Command(command)) => match session.ask(&command, |_| {}).await {
                Ok(answer) => {
                    if verdict(&answer) != Verdict::Good {
                        worst = Verdict::Refused;
                    }
                    show_answer(form, &command, &answer)
                }
                Err(error) => bail!("line {number}: {error:#}; the lines after it were not sent"),
            },
            Err(error) => {
                worst = Verdict::Refused;
                note(format!("cluster-admin: line {number}: {error}"));
                Ok(())
            }
        };
        if shown.is_err() {
            // Nobody reads what would come.
            break;
        }
    }
    Ok(worst)
}

/// The next line without its end; `None` after the last.
fn read() -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    // Buffered by the standard library across calls.
    let bytes = io::stdin().lock().read_until(b'\n', &mut line)?;
    Ok((bytes > 0).then_some(line))
}
