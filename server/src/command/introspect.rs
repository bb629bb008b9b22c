//! COMMAND: what the command table says, in the form of Redis 7.

use carousel_protocol::command_table::{
    self, CommandId, CommandSpec, Flags, Keys, Merge, Place, SubcommandSpec,
};
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::glob::{Case, glob_match};
use super::session::{help, subcommand, syntax_error};

pub(super) fn command(spec: &'static CommandSpec, argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    if argv.len() == 1 {
        return entries(reply);
    }
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    match sub.name {
        "COUNT" => reply.integer(command_table::all().len() as i64),
        "INFO" if argv.len() == 2 => entries(reply),
        "INFO" => {
            reply.array(argv.len() - 2);
            for name in argv.skip(2) {
                match Entry::find(name) {
                    Some(entry) => entry.write(reply),
                    None => reply.null_array(),
                }
            }
        }
        "DOCS" => docs(argv, reply),
        "LIST" => list(argv, reply),
        "GETKEYS" => get_keys(argv.skip(2), reply, Shown::Keys),
        "GETKEYSANDFLAGS" => get_keys(argv.skip(2), reply, Shown::KeysAndFlags),
        "HELP" => help(reply, HELP),
        other => unreachable!("COMMAND {other} is in the table and has no handler"),
    }
}

fn entries(reply: &mut ReplyWriter<'_>) {
    reply.array(command_table::all().len());
    command_table::all().iter().for_each(|spec| Entry::Command(spec).write(reply));
}

/// A command or a subcommand, which `COMMAND` describes alike.
#[derive(Clone, Copy)]
enum Entry {
    Command(&'static CommandSpec),
    Subcommand(&'static CommandSpec, &'static SubcommandSpec),
}

impl Entry {
    /// By its name: `get`, or `config|get`.
    fn find(name: &[u8]) -> Option<Self> {
        let Some(bar) = name.iter().position(|&byte| byte == b'|') else {
            return command_table::lookup(name).map(Self::Command);
        };
        let spec = command_table::lookup(&name[..bar])?;
        Some(Self::Subcommand(spec, spec.subcommand(&name[bar + 1..])?))
    }

    fn name(self) -> String {
        match self {
            Self::Command(spec) => spec.name.to_ascii_lowercase(),
            Self::Subcommand(spec, sub) => format!("{}|{}", spec.name, sub.name).to_ascii_lowercase(),
        }
    }

    fn flags(self) -> Flags {
        match self {
            Self::Command(spec) => spec.flags,
            Self::Subcommand(_, sub) => sub.flags,
        }
    }

    fn keys(self) -> Keys {
        match self {
            // A container's keys are those of its subcommands.
            Self::Command(spec) if spec.is_container() => Keys::NONE,
            Self::Command(spec) => spec.keys,
            Self::Subcommand(_, sub) => sub.keys,
        }
    }

    fn subcommands(self) -> &'static [SubcommandSpec] {
        match self {
            Self::Command(spec) => spec.subcommands,
            Self::Subcommand(..) => &[],
        }
    }

    fn categories(self) -> Vec<&'static str> {
        match self {
            Self::Command(spec) => spec.acl_categories().collect(),
            Self::Subcommand(_, sub) => sub.flags.acl_categories().collect(),
        }
    }

    /// Ten elements: name, arity, flags, first key, last key, step, categories, tips, key specifications, subcommands.
    fn write(self, reply: &mut ReplyWriter<'_>) {
        let keys = self.keys();
        reply.array(10);
        reply.bulk(self.name().as_bytes());
        reply.integer(match self {
            Self::Command(spec) => spec.arity.signed(),
            Self::Subcommand(_, sub) => sub.arity.signed(),
        });
        // What SORT_RO looks for by patterns are keys too.
        let has_patterns = matches!(self, Self::Command(spec) if spec.id == CommandId::SortRo);
        let movable = (keys.are_movable() || has_patterns).then_some("movablekeys");
        simple_set(reply, &self.flags().names().chain(movable).collect::<Vec<_>>());
        let of_place = if keys.are_all_counted() { Keys::NONE } else { keys };
        reply.integer(of_place.first.into());
        reply.integer(of_place.last.into());
        reply.integer(of_place.step.into());
        simple_set(reply, &self.categories());
        let tips = self.tips();
        reply.set(tips.len());
        tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
        self.write_key_specs(reply);
        reply.set(self.subcommands().len());
        if let Self::Command(spec) = self {
            spec.subcommands.iter().for_each(|sub| Self::Subcommand(spec, sub).write(reply));
        }
    }

    /// How a client that knows several nodes asks them all, as Redis' tips say it.
    fn tips(self) -> Vec<&'static str> {
        let Self::Command(spec) = self else { return Vec::new() };
        let request = match (spec.place, spec.merge) {
            (Place::AllShards, _) => Some("request_policy:all_shards"),
            (Place::Key, Merge::Sum | Merge::Ok | Merge::PerKey) => Some("request_policy:multi_shard"),
            (Place::Connection, _) if spec.id == CommandId::Ping => Some("request_policy:all_shards"),
            (Place::Key | Place::Slot | Place::Connection | Place::Control, _) => None,
            (Place::Blocking | Place::Transaction, _) => None,
        };
        let response = match spec.merge {
            Merge::Sum => Some("response_policy:agg_sum"),
            Merge::Ok => Some("response_policy:all_succeeded"),
            Merge::Any => Some("response_policy:special"),
            Merge::None if spec.id == CommandId::Ping => Some("response_policy:all_succeeded"),
            Merge::None | Merge::PerKey | Merge::Concat => None,
        };
        request.into_iter().chain(response).collect()
    }

    /// One specification for the keys of fixed places and one for those that an argument counts, in the words `flags`, `begin_search` and `find_keys`.
    fn write_key_specs(self, reply: &mut ReplyWriter<'_>) {
        let keys = self.keys();
        if keys.first == 0 {
            return reply.set(0);
        }
        let writes = self.flags().contains(Flags::WRITE);
        let (of_place, counted) = (!keys.are_all_counted(), keys.count_at > 0);
        reply.set(usize::from(of_place) + usize::from(counted));
        let begin = |reply: &mut ReplyWriter<'_>, writes: bool, index: i64| {
            reply.map(3);
            reply.bulk(b"flags");
            simple_set(reply, key_flags(writes));
            reply.bulk(b"begin_search");
            search_step(reply, "index", &[("index", index)]);
            reply.bulk(b"find_keys");
        };
        if of_place {
            // SORT writes only where STORE says.
            begin(reply, writes && keys.options_at == 0, keys.first.into());
            // Relative to the first key, unless counted from the end.
            let last = if keys.last < 0 { keys.last } else { keys.last - keys.first };
            search_step(
                reply,
                "range",
                &[("lastkey", last.into()), ("keystep", keys.step.into()), ("limit", 0)],
            );
        }
        if counted {
            // Behind a destination they are only read.
            begin(reply, writes && !of_place, keys.count_at.into());
            search_step(reply, "keynum", &[("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]);
        }
    }

    fn write_docs(self, reply: &mut ReplyWriter<'_>) {
        let (summary, since, group) = match self {
            Self::Command(spec) => (spec.summary, spec.since, spec.group),
            Self::Subcommand(spec, sub) => (sub.summary, sub.since, spec.group),
        };
        let subcommands = self.subcommands();
        reply.bulk(self.name().as_bytes());
        reply.map(3 + usize::from(!subcommands.is_empty()));
        for (name, value) in [("summary", summary), ("since", since), ("group", group)] {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
        if let (Self::Command(spec), false) = (self, subcommands.is_empty()) {
            reply.bulk(b"subcommands");
            reply.map(subcommands.len());
            subcommands.iter().for_each(|sub| Self::Subcommand(spec, sub).write_docs(reply));
        }
    }
}

/// What is done to a key, in the words of key specifications.
fn key_flags(writes: bool) -> &'static [&'static str] {
    if writes { &["RW", "access", "update"] } else { &["RO", "access"] }
}

fn simple_set(reply: &mut ReplyWriter<'_>, words: &[&str]) {
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

fn search_step(reply: &mut ReplyWriter<'_>, kind: &str, spec: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(spec.len());
    for (name, value) in spec {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

fn docs(argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    let found: Vec<Entry> = match argv.len() {
        2 => command_table::all().iter().map(Entry::Command).collect(),
        _ => argv.skip(2).iter().filter_map(Entry::find).collect(),
    };
    reply.map(found.len());
    found.into_iter().for_each(|entry| entry.write_docs(reply));
}

/// `COMMAND LIST [FILTERBY (MODULE name | ACLCAT category | PATTERN pattern)]`; subcommands are matched too.
fn list(argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    let is = |i: usize, word: &str| argv.get(i).eq_ignore_ascii_case(word.as_bytes());
    let mut names: Vec<String> = Vec::new();
    if argv.len() == 2 {
        names.extend(command_table::all().iter().map(|spec| spec.name.to_ascii_lowercase()));
    } else if argv.len() == 5 && is(2, "FILTERBY") && (is(3, "MODULE") || is(3, "ACLCAT") || is(3, "PATTERN"))
    {
        let given = argv.get(4).to_ascii_lowercase();
        let category = [b"@", given.as_slice()].concat();
        let wanted = |entry: Entry| {
            if is(3, "PATTERN") {
                glob_match(argv.get(4), entry.name().as_bytes(), Case::Insensitive)
            } else {
                is(3, "ACLCAT") && entry.categories().iter().any(|name| name.as_bytes() == category)
            }
        };
        for spec in command_table::all() {
            let subcommands = spec.subcommands.iter().map(|sub| Entry::Subcommand(spec, sub));
            let entries = std::iter::once(Entry::Command(spec)).chain(subcommands);
            names.extend(entries.filter(|entry| wanted(*entry)).map(Entry::name));
        }
    } else {
        return syntax_error(reply);
    }
    reply.set(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
}

/// What is shown of a request.
enum Shown {
    Keys,
    KeysAndFlags,
}

/// The keys of the request that follows, which must be a whole one.
fn get_keys(request: Argv<'_>, reply: &mut ReplyWriter<'_>, shown: Shown) {
    let Some(spec) = command_table::lookup(request.get(0)) else {
        return reply.error("ERR Invalid command specified");
    };
    let sub = if request.len() > 1 { spec.subcommand(request.get(1)) } else { None };
    let keys = match sub {
        Some(sub) => sub.keys,
        None => Entry::Command(spec).keys(),
    };
    if keys.first == 0 {
        return reply.error("ERR The command has no key arguments");
    }
    let fits = spec.arity_ok(request.len()) && sub.is_none_or(|sub| sub.arity.fits(request.len()));
    if !fits {
        return reply.error("ERR Invalid number of arguments specified for command");
    }
    let indices = keys.indices(request.len(), |index| request.get(index));
    reply.array(indices.clone().count());
    let writes = match sub {
        Some(sub) => sub.flags.contains(Flags::WRITE),
        None => spec.flags.contains(Flags::WRITE),
    };
    for i in indices {
        match shown {
            Shown::Keys => reply.bulk(request.get(i)),
            Shown::KeysAndFlags => {
                // Keys that are counted behind a destination are only read, as is what SORT sorts.
                let is_destination = i == keys.first as usize;
                let is_read = keys.options_at > 0 && is_destination
                    || keys.count_at > 0 && !keys.are_all_counted() && !is_destination;
                reply.array(2);
                reply.bulk(request.get(i));
                simple_set(reply, key_flags(writes && !is_read));
            }
        }
    }
}

const HELP: &str = "\
COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
(no subcommand)
    Return details about all commands.
COUNT
    Return the total number of commands in this server.
LIST
    Return a list of all commands in this server.
INFO [<command-name> ...]
    Return details about multiple commands.
    If no command names are given, documentation details for all
    commands are returned.
DOCS [<command-name> ...]
    Return documentation details about multiple commands.
    If no command names are given, documentation details for all
    commands are returned.
GETKEYS <full-command>
    Return the keys from a full command.
GETKEYSANDFLAGS <full-command>
    Return the keys and the access flags from a full command.
HELP
    Print this help.";

#[cfg(test)]
mod tests {
    use crate::command::session::testing::{Tester, check};
    use carousel_protocol::command_table::COMMAND_COUNT;
    use carousel_protocol::resp::{Reply, parse_reply};

    fn reply(tester: &mut Tester, line: &str) -> Reply {
        let text = tester.run(line);
        let (reply, used) = parse_reply(text.as_bytes()).unwrap().unwrap();
        assert_eq!(used, text.len(), "one whole reply");
        reply
    }

    fn elements(reply: Reply) -> Vec<Reply> {
        match reply {
            Reply::Array(elements) | Reply::Set(elements) => elements,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_command_has_an_entry_of_ten_elements_in_both_protocols() {
        let mut tester = Tester::new();
        for hello in ["HELLO 2", "HELLO 3"] {
            tester.run(hello);
            for line in ["COMMAND", "COMMAND INFO"] {
                let entries = elements(reply(&mut tester, line));
                assert_eq!(entries.len(), COMMAND_COUNT);
                assert!(entries.into_iter().all(|entry| elements(entry).len() == 10));
            }
            assert!(matches!(reply(&mut tester, "COMMAND DOCS"), Reply::Array(_) | Reply::Map(_)));
        }
        check(&mut tester, &[("COMMAND COUNT", &format!(":{COMMAND_COUNT}|"))]);
    }

    #[test]
    fn an_entry_is_that_of_redis() {
        let mut tester = Tester::new();
        let get = "*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*3|+@read|+@string|+@fast|*0|*1|*6|$5|flags|*2|+RO|+access|\
            $12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|\
            $9|find_keys|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|*0|";
        let found = tester.run("COMMAND INFO get nope").replace("\r\n", "|");
        let sorted = |text: &str| {
            let mut parts: Vec<_> = text.split('|').map(String::from).collect();
            parts.sort();
            parts
        };
        // The order of categories is free: they are a set.
        assert_eq!(sorted(&found), sorted(&format!("*2|{get}*-1|")));
        assert!(
            tester.run("COMMAND INFO config|get").contains("$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n")
        );
        assert!(
            tester
                .run("COMMAND INFO dbsize")
                .contains("request_policy:all_shards\r\n$23\r\nresponse_policy:agg_sum")
        );
        assert!(
            tester
                .run("COMMAND INFO object")
                .starts_with("*1\r\n*10\r\n$6\r\nobject\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n")
        );
    }

    #[test]
    fn lists_are_filtered() {
        let mut tester = Tester::new();
        assert_eq!(elements(reply(&mut tester, "COMMAND LIST")).len(), COMMAND_COUNT);
        check(
            &mut tester,
            &[
                ("COMMAND LIST FILTERBY PATTERN setr*", "*1|$8|setrange|"),
                ("COMMAND LIST FILTERBY PATTERN CONFIG|GE?", "*1|$10|config|get|"),
                ("COMMAND LIST FILTERBY MODULE x", "*0|"),
                ("COMMAND LIST FILTERBY ACLCAT nope", "*0|"),
                ("COMMAND LIST FILTERBY foo bar", "-ERR syntax error|"),
                ("COMMAND LIST x", "-ERR syntax error|"),
            ],
        );
        let strings = elements(reply(&mut tester, "COMMAND LIST FILTERBY ACLCAT string"));
        assert!(strings.contains(&Reply::Bulk(b"append".to_vec())));
    }

    #[test]
    fn keys_are_found_in_a_request() {
        check(
            &mut Tester::new(),
            &[
                ("COMMAND GETKEYS get a", "*1|$1|a|"),
                ("COMMAND GETKEYS MSET a b c d", "*2|$1|a|$1|c|"),
                ("COMMAND GETKEYS del a b", "*2|$1|a|$1|b|"),
                ("COMMAND GETKEYS object encoding k", "*1|$1|k|"),
                ("COMMAND GETKEYS mset a", "-ERR Invalid number of arguments specified for command|"),
                ("COMMAND GETKEYS ping x", "-ERR The command has no key arguments|"),
                ("COMMAND GETKEYS nope x", "-ERR Invalid command specified|"),
                ("COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command|"),
            ],
        );
    }

    #[test]
    fn docs_have_summaries_and_subcommands() {
        let mut tester = Tester::new();
        check(&mut tester, &[("COMMAND DOCS nope", "*0|")]);
        let docs = tester.run("COMMAND DOCS get config");
        assert!(docs.contains("$7\r\nsummary\r\n") && docs.contains("$11\r\nsubcommands\r\n"));
        assert!(docs.contains("$14\r\nconfig|rewrite\r\n"));
    }
}
