//! `cli`: commands that a user gives, sent to a node as they are, and the replies shown; what redis-cli is to Redis.
//!
//! A command comes from the arguments, from a prompt, or line by line from a pipe. In each case a [`Session`] sends
//! it, which is connected to one node at a time and follows redirections.

mod format;
mod history;
mod lines;
mod names;
mod session;
mod terminal;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use anyhow::{Context as _, Result};
use carousel_protocol::resp::split_words;
use clap::Args;
use tokio::sync::mpsc;

use crate::Verdict;
use crate::ask::Target;
use format::Form;
use session::{Answer, Manners, Session};

/// Pushes that wait to be shown; a node that sends more of them is read no further until some were.
const PUSHES_MAX: usize = 128;

/// `cli`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cluster-admin --node 127.0.0.1:7000 cli                     a prompt; Tab completes, `help` explains
  cluster-admin --node 127.0.0.1:7000 cli SET greeting hello  one command
  cluster-admin --node 127.0.0.1:7000 cli < commands.txt      one command per line
  cluster-admin --node 127.0.0.1:7000 cli -x SET picture < picture.png

A command whose key another node serves is sent on to that node, and those after it go there first. Replies
are shown with types and quotes on a terminal, bare elsewhere. Exits with 1 if a reply was an error.
The history is in $XDG_STATE_HOME/carousel/cli-history (~/.local/state), without lines that carry passwords.")]
pub struct PromptArgs {
    /// Show replies bare, also on a terminal
    #[arg(long, conflicts_with = "no_raw")]
    pub raw: bool,

    /// Show replies with types and quotes, also in a pipe or file
    #[arg(long)]
    pub no_raw: bool,

    /// Speak RESP3 (HELLO 3), with maps, sets and pushes
    #[arg(long)]
    pub resp3: bool,

    /// Show MOVED and ASK as the errors they are and stay at the node
    #[arg(long)]
    pub no_follow: bool,

    /// Take the last argument of the command from standard input
    #[arg(short = 'x', requires = "words")]
    pub stdin_argument: bool,

    /// The command and its arguments; without any, commands are read from standard input
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub words: Vec<OsString>,
}

/// `cluster-admin cli`.
pub async fn run(target: Target, args: PromptArgs) -> Result<Verdict> {
    let shows_people = io::stdout().is_terminal();
    let form = if args.no_raw || shows_people && !args.raw { Form::People } else { Form::Raw };
    let mut manners = Manners { resp3: args.resp3, follow: !args.no_follow, pushes: None };
    if !args.words.is_empty() {
        let mut words: Vec<Vec<u8>> = args.words.into_iter().map(OsString::into_vec).collect();
        if args.stdin_argument {
            let mut last = Vec::new();
            io::stdin().read_to_end(&mut last).context("cannot read standard input")?;
            words.push(last);
        }
        return once(Session::new(target, manners), form, words).await;
    }
    if shows_people && io::stdin().is_terminal() {
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        manners.pushes = Some(sender);
        return terminal::run(Session::new(target, manners), form, pushes).await;
    }
    lines::run(Session::new(target, manners), form).await
}

async fn once(mut session: Session, form: Form, words: Vec<Vec<u8>>) -> Result<Verdict> {
    let command = match Line::of(words) {
        Line::Help(text) => {
            let _ = show(text.as_bytes());
            return Ok(Verdict::Good);
        }
        // Not the prompt's, where there is none.
        Line::Leave(words) | Line::Command(words) => words,
        Line::Empty => unreachable!("clap gave words"),
    };
    let answer = session.ask(&command, |_| {}).await?;
    // A reader that has gone is not an error.
    let _ = show_answer(form, &command, &answer);
    Ok(verdict(&answer))
}

/// What a line asks for.
#[derive(Debug, PartialEq)]
enum Line {
    /// Nothing.
    Empty,
    /// To be sent.
    Command(Vec<Vec<u8>>),
    /// To leave; the words, for where there is nothing to leave.
    Leave(Vec<Vec<u8>>),
    /// This text.
    Help(String),
}

impl Line {
    /// Splits `line` as a server splits an inline request.
    ///
    /// # Errors
    /// Quotes that do not match.
    fn read(line: &[u8]) -> Result<Self> {
        let words = split_words(line).ok().context(
            "a quote is not closed, or closed in the middle of a word; nothing was sent. A quote that is meant as such \
             is written \\\" inside of \"...\"",
        )?;
        Ok(Self::of(words))
    }

    fn of(words: Vec<Vec<u8>>) -> Self {
        let Some(name) = words.first() else { return Self::Empty };
        let is = |own: &str| name.eq_ignore_ascii_case(own.as_bytes());
        if is("HELP") || is("?") {
            Self::Help(names::help(&words[1..]))
        } else if is("QUIT") || is("EXIT") {
            Self::Leave(words)
        } else {
            Self::Command(words)
        }
    }
}

fn verdict(answer: &Answer) -> Verdict {
    match answer {
        Answer::Reply(reply) if reply.as_error().is_some() => Verdict::Refused,
        Answer::Reply(_) | Answer::Gone => Verdict::Good,
    }
}

fn show_answer(form: Form, command: &[Vec<u8>], answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::Reply(reply) => show(&form.show(command, reply)),
        Answer::Gone => Ok(()),
    }
}

/// Values are bytes, so text will not do.
fn show(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_client::Reply;

    #[test]
    fn a_line_is_a_command_unless_the_prompt_knows_it_itself() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(Line::read(b"  ").unwrap(), Line::Empty);
        assert_eq!(Line::read(br#"set k "a\x41 b""#).unwrap(), Line::Command(words(&["set", "k", "aA b"])));
        assert_eq!(Line::read(b"Exit").unwrap(), Line::Leave(words(&["Exit"])));
        assert!(matches!(Line::read(b"help get").unwrap(), Line::Help(text) if text.contains("GET")));
        assert!(matches!(Line::read(b"?").unwrap(), Line::Help(_)));
        let error = Line::read(b"set k \"a").unwrap_err().to_string();
        assert!(error.contains("nothing was sent"), "{error}");
    }

    #[test]
    fn only_an_error_fails() {
        assert_eq!(verdict(&Answer::Reply(Reply::Error("ERR no".into()))), Verdict::Refused);
        assert_eq!(verdict(&Answer::Reply(Reply::Null)), Verdict::Good);
        assert_eq!(verdict(&Answer::Gone), Verdict::Good);
    }
}
