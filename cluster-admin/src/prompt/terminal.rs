//! The prompt: lines from a line editor, with history and completion.
//!
//! The editor blocks, so it has a thread while it edits; meanwhile this one looks after the connection. Pushes that
//! come while a line is typed are shown when it is entered: rustyline can print above a line, but with that on it
//! sits on what was pasted until another key is hit.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use carousel_client::Reply;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::sync::mpsc;

use super::format::Form;
use super::names::Assistant;
use super::session::Session;
use super::{Line, history, show, show_answer};
use crate::{Verdict, note};

/// Until the user leaves.
///
/// # Errors
/// Of the terminal; all else is told at the prompt.
pub async fn run(
    mut session: Session,
    form: Form,
    mut pushes: mpsc::Receiver<Vec<Reply>>,
) -> Result<Verdict> {
    let mut typist = Typist::new().context("cannot use this terminal")?;
    if let Err(error) = session.connect().await {
        complain(&error);
    }
    loop {
        let prompt =
            if session.is_connected() { format!("{}> ", session.node()) } else { "not connected> ".into() };
        let reading = tokio::task::spawn_blocking(move || typist.read(&prompt));
        let (back, line) = reading.await.context("the line editor panicked")?;
        typist = back;
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(Verdict::Good),
            Err(error) => return Err(error).context("cannot read from the terminal"),
        };
        while let Ok(push) = pushes.try_recv() {
            show_push(form, push)?;
        }
        match Line::read(line.as_bytes()) {
            Ok(Line::Empty) => {}
            Ok(Line::Leave(_)) => return Ok(Verdict::Good),
            Ok(Line::Help(text)) => show(text.as_bytes()).context("cannot print")?,
            Ok(Line::Command(command)) => send(&mut session, form, &mut pushes, &command).await?,
            Err(error) => complain(&error),
        }
    }
}

/// Sends a command and shows what comes until its reply is there or the user waits no longer.
async fn send(
    session: &mut Session,
    form: Form,
    pushes: &mut mpsc::Receiver<Vec<Reply>>,
    command: &[Vec<u8>],
) -> Result<()> {
    let answer = {
        let mut asking = std::pin::pin!(session.ask(command, |redirect| {
            let line = format!("-> Redirected to slot [{}] located at {}\n", redirect.slot, redirect.to);
            // Whether the terminal is there shows with the reply.
            let _ = show(line.as_bytes());
        }));
        loop {
            tokio::select! {
                // A push that came with the reply was first.
                biased;
                Some(push) = pushes.recv() => show_push(form, push)?,
                answer = &mut asking => break Some(answer),
                _ = tokio::signal::ctrl_c() => break None,
            }
        }
    };
    match answer {
        Some(Ok(answer)) => show_answer(form, command, &answer).context("cannot print")?,
        Some(Err(error)) => complain(&error),
        None => {
            session.disconnect();
            note("interrupted; the command may have taken effect");
        }
    }
    Ok(())
}

fn show_push(form: Form, push: Vec<Reply>) -> Result<()> {
    show(&form.show(&[], &Reply::Push(push))).context("cannot print")
}

fn complain(error: &anyhow::Error) {
    let line = format!("{error:#}");
    let here = if line.contains("NOAUTH") { ", or type AUTH PASSWORD" } else { "" };
    note(format!("{line}{here}"));
}

/// The line editor and its history.
struct Typist {
    editor: Editor<Assistant, FileHistory>,
    /// Where lines are kept, while that works.
    file: Option<PathBuf>,
}

impl Typist {
    fn new() -> rustyline::Result<Self> {
        let config = Config::builder()
            .max_history_size(history::LINES_MAX)?
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Assistant));
        let file = history::file().filter(|file| history::make_room(file).is_ok());
        if let Some(file) = &file {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, file })
    }

    fn read(mut self, prompt: &str) -> (Self, rustyline::Result<String>) {
        let line = self.editor.readline(prompt);
        if let Ok(line) = &line
            && history::is_kept(line)
        {
            self.keep(line);
        }
        (self, line)
    }

    /// At once, for other prompts and in case this one does not end well.
    fn keep(&mut self, line: &str) {
        if self.editor.add_history_entry(line).is_err() {
            return;
        }
        let Some(file) = &self.file else { return };
        if let Err(error) = self.editor.append_history(file) {
            note(format!("no further line is kept in {}: {error}", file.display()));
            self.file = None;
        }
    }
}
