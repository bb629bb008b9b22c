//! Which rows of the command table a line is about: completion, hints and `help`.

use std::borrow::Cow;

use carousel_protocol::command_table::{self, Arity, CommandSpec, SubcommandSpec};
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// What only the prompt knows.
const OWN: [&str; 2] = ["HELP", "EXIT"];

const HELP: &str = "\
Type a command of the server, for example SET greeting \"hello world\". In double quotes \\n, \\r, \\t, \\\\, \\\" and \\xHH
stand for bytes; in single quotes only \\' does.

  help COMMAND [SUBCOMMAND]   what it does, and how many arguments it takes
  Tab                         completes names of commands and subcommands
  Ctrl-R                      searches the history, which holds no line with a password
  Ctrl-C                      clears the line, or stops waiting for a reply
  Ctrl-D, quit, exit          leave
";

/// The text of `help NAMES`.
pub fn help(names: &[Vec<u8>]) -> String {
    let [name, rest @ ..] = names else { return HELP.to_owned() };
    let Some(spec) = command_table::lookup(name) else {
        return format!(
            "no command is named {}; Tab completes names, COMMAND LIST asks the node for all of them\n",
            String::from_utf8_lossy(name)
        );
    };
    match rest.first().and_then(|name| spec.subcommand(name)) {
        Some(sub) => {
            let name = format!("{} {}", spec.name, sub.name);
            entry(&name, sub.summary, sub.since, spec.group, &arguments(sub.arity, 2))
        }
        None => {
            let mut text = entry(spec.name, spec.summary, spec.since, spec.group, &arguments(spec.arity, 1));
            if !spec.subcommands.is_empty() {
                let names: Vec<_> = spec.subcommands.iter().map(|sub| sub.name).collect();
                text.push_str(&format!("  subcommands: {}\n", names.join(", ")));
            }
            text
        }
    }
}

fn entry(name: &str, summary: &str, since: &str, group: &str, arguments: &str) -> String {
    format!("  {name}\n  summary: {summary}\n  since: {since}\n  group: {group}\n  arguments: {arguments}\n")
}

/// How many arguments follow the first `names` words.
fn arguments(arity: Arity, names: u8) -> String {
    match arity {
        Arity::Exactly(count) => match count - names {
            0 => "none".to_owned(),
            count => count.to_string(),
        },
        Arity::AtLeast(count) => match count.saturating_sub(names) {
            0 => "any number".to_owned(),
            count => format!("{count} or more"),
        },
    }
}

/// What `line` may go on with at its end, and where the word begins that this replaces.
fn completions(line: &str) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
    let typed = &line[start..];
    let mut before: Vec<&str> = line[..start].split_whitespace().collect();
    let helping = before.first().is_some_and(|word| word.eq_ignore_ascii_case("HELP"));
    if helping {
        before.remove(0);
    }
    let names: Vec<&str> = match before[..] {
        [] => {
            let own = if helping { &[] } else { &OWN[..] };
            command_table::all().iter().map(|spec| spec.name).chain(own.iter().copied()).collect()
        }
        [command] => match command_table::lookup(command.as_bytes()) {
            Some(spec) => spec.subcommands.iter().map(|sub| sub.name).collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    // An empty word is written as the one before it.
    let model = if typed.is_empty() { before.last().copied().unwrap_or_default() } else { typed };
    let lower = model.starts_with(|first: char| first.is_ascii_lowercase());
    let mut found: Vec<String> = names
        .into_iter()
        .filter(|name| name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed)))
        .map(|name| if lower { name.to_ascii_lowercase() } else { name.to_owned() })
        .collect();
    found.sort_unstable();
    (start, found)
}

/// Said behind a line that is the name of a command and a blank: what comes next.
fn hint(line: &str) -> Option<String> {
    if !line.ends_with(' ') {
        return None;
    }
    let (spec, sub) = named(line)?;
    let (arity, names, summary) = match sub {
        Some(sub) => (sub.arity, 2, sub.summary),
        None => (spec.arity, 1, spec.summary),
    };
    Some(format!(" {summary} Arguments: {}", arguments(arity, names)))
}

/// The command, and perhaps subcommand, of which `line` is the whole name.
fn named(line: &str) -> Option<(&'static CommandSpec, Option<&'static SubcommandSpec>)> {
    let mut words = line.split_whitespace();
    let spec = command_table::lookup(words.next()?.as_bytes())?;
    let sub = match words.next() {
        Some(name) => Some(spec.subcommand(name.as_bytes())?),
        None => None,
    };
    words.next().is_none().then_some((spec, sub))
}

/// The line editor's way to all this.
#[derive(Debug)]
pub struct Assistant;

/// Shown, and never made part of the line.
#[derive(Debug)]
pub struct Shown(String);

impl Hint for Shown {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(completions(&line[..pos]))
    }
}

impl Hinter for Assistant {
    type Hint = Shown;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Shown> {
        if pos == line.len() { hint(line).map(Shown) } else { None }
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        format!("\x1b[90m{hint}\x1b[0m").into()
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> String {
        let (start, found) = completions(line);
        format!("{start}: {}", found.join(" "))
    }

    #[test]
    fn names_are_completed_in_the_case_in_which_they_were_begun() {
        assert_eq!(completed("GETR"), "0: GETRANGE");
        assert_eq!(completed("getr"), "0: getrange");
        assert_eq!(completed("gEtR"), "0: getrange");
        assert_eq!(completed("pexpire"), "0: pexpire pexpireat pexpiretime");
        assert_eq!(completed("qui"), "0: quit");
        assert_eq!(completed("client getn"), "7: getname");
        assert_eq!(completed("client GETN"), "7: GETNAME");
        assert_eq!(completed("CONFIG "), "7: GET HELP RESETSTAT REWRITE SET");
        assert_eq!(completed("config  re"), "8: resetstat rewrite");
    }

    #[test]
    fn help_is_completed_with_what_it_explains() {
        assert_eq!(completed("help getr"), "5: getrange");
        assert_eq!(completed("help client getn"), "12: getname");
        assert_eq!(completed("help qui"), "5: quit", "the server's, not the prompt's");
    }

    #[test]
    fn arguments_are_not_completed() {
        for line in ["get ", "get k", "client getname ", "nosuch ", "nosuch", "gé", "config set re"] {
            assert_eq!(completions(line).1, Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn everything_is_offered_where_nothing_is_typed() {
        assert_eq!(completions("").1.len(), command_table::COMMAND_COUNT + OWN.len());
    }

    #[test]
    fn a_name_and_a_blank_bring_a_hint_that_goes_with_the_first_argument() {
        assert_eq!(hint("get ").unwrap(), " Returns the string value of a key. Arguments: 1");
        assert!(hint("client setname ").unwrap().ends_with("Arguments: 1"));
        for line in ["get", "get k", "get k ", "client nosuch ", "nosuch ", "", " "] {
            assert_eq!(hint(line), None, "{line:?}");
        }
    }

    #[test]
    fn help_tells_a_row_of_the_table() {
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(
            help(&words("get")),
            "  GET\n  summary: Returns the string value of a key.\n  since: 1.0.0\n  group: string\n  arguments: 1\n"
        );
        assert!(help(&words("config")).ends_with("  subcommands: GET, RESETSTAT, REWRITE, SET, HELP\n"));
        let text = help(&words("client setname"));
        assert!(text.starts_with("  CLIENT SETNAME\n") && text.ends_with("arguments: 1\n"), "{text}");
        assert!(help(&words("nosuch")).starts_with("no command is named nosuch; "));
        assert!(help(&[]).contains("Ctrl-D"));
    }

    #[test]
    fn help_counts_the_arguments_of_every_row() {
        for spec in command_table::all() {
            assert!(help(&[spec.name.into()]).contains("arguments: "), "{}", spec.name);
            for sub in spec.subcommands {
                let text = help(&[spec.name.into(), sub.name.into()]);
                assert!(text.contains("arguments: "), "{} {}", spec.name, sub.name);
            }
        }
    }
}
