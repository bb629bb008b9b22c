//! CONFIG and TIME.

use std::collections::BTreeMap;

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::glob::{Case, glob_match};
use super::session::{help, subcommand, syntax_error};
use crate::Now;
use crate::metrics::NodeView;
use crate::settings::foreign::{self, FOREIGN, ForeignSetting};
use crate::settings::{SettingSpec, Settings, TABLE, table};

/// The time to the millisecond, in the form of seconds and microseconds.
pub(super) fn time(reply: &mut ReplyWriter<'_>, now: Now) {
    reply.array(2);
    reply.bulk_integer((now.unix_ms / 1000) as i64);
    reply.bulk_integer((now.unix_ms % 1000 * 1000) as i64);
}

pub(super) fn config(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
) {
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    match sub.name {
        "GET" => get(argv, &node.settings(), reply),
        "SET" => set(argv, node, reply),
        "RESETSTAT" => {
            node.reset_totals();
            reply.ok();
        }
        "REWRITE" => match node.rewrite_settings() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(&format!("ERR {error}")),
        },
        "HELP" => help(reply, HELP),
        other => unreachable!("CONFIG {other} is in the table and has no handler"),
    }
}

/// Every setting whose name matches a pattern, once, by name.
fn get(argv: Argv<'_>, settings: &Settings, reply: &mut ReplyWriter<'_>) {
    let wanted = |name: &str| {
        argv.skip(2).iter().any(|pattern| glob_match(pattern, name.as_bytes(), Case::Insensitive))
    };
    let mut values = BTreeMap::new();
    for spec in TABLE.iter().filter(|spec| wanted(spec.name)) {
        values.insert(spec.name, spec.get(settings));
    }
    for (old, _) in table::OLD_NAMES.iter().filter(|(old, _)| wanted(old)) {
        values.insert(old, table::find(old).expect("the name of a setting").get(settings));
    }
    for setting in FOREIGN.iter().filter(|setting| wanted(setting.name)) {
        let value = settings.foreign.get(setting.name).map_or(setting.shown, String::as_str);
        values.insert(setting.name, value.into());
    }
    reply.map(values.len());
    for (name, value) in values {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

/// A setting of either kind.
#[derive(Clone, Copy)]
enum Target {
    Own(&'static SettingSpec),
    Foreign(&'static ForeignSetting),
}

impl Target {
    fn find(name: &str) -> Option<Self> {
        table::find(name).map(Self::Own).or_else(|| foreign::find(name).map(Self::Foreign))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Own(spec) => spec.name,
            Self::Foreign(setting) => setting.name,
        }
    }

    fn set(self, settings: &mut Settings, value: &str) -> Result<(), String> {
        match self {
            Self::Own(spec) => spec.set(settings, value),
            Self::Foreign(setting) => {
                setting.check(value)?;
                settings.foreign.insert(setting.name, value.into());
                Ok(())
            }
        }
    }
}

/// All of the settings, or none where one cannot be set.
fn set(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    if argv.len() % 2 == 1 {
        return syntax_error(reply);
    }
    let changes = match changes(argv) {
        Ok(changes) => changes,
        Err(text) => return reply.error(&text),
    };
    let result = node.settings.update(|settings| {
        changes.iter().try_for_each(|(target, value)| {
            target.set(settings, value).map_err(|why| failed(target.name(), &why))
        })
    });
    match result {
        Ok(()) => reply.ok(),
        Err(text) => reply.error(&text),
    }
}

/// What a `CONFIG SET` asks for, as far as it can be judged without the values. The first problem counts.
fn changes<'a>(argv: Argv<'a>) -> Result<Vec<(Target, &'a str)>, String> {
    let mut changes: Vec<(Target, &str)> = Vec::new();
    for i in (2..argv.len()).step_by(2) {
        let name = String::from_utf8_lossy(argv.get(i));
        let target = Target::find(&name)
            .ok_or_else(|| format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))?;
        if matches!(target, Target::Own(spec) if !spec.mutable) {
            return Err(failed(target.name(), "can't set immutable config"));
        }
        if changes.iter().any(|(earlier, _)| earlier.name() == target.name()) {
            return Err(failed(target.name(), "duplicate parameter"));
        }
        let value = std::str::from_utf8(argv.get(i + 1))
            .map_err(|_| failed(target.name(), "argument must be UTF-8"))?;
        changes.push((target, value));
    }
    Ok(changes)
}

fn failed(name: &str, why: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

const HELP: &str = "\
CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
GET <pattern>
    Return parameters matching the glob-like <pattern> and their values.
SET <directive> <value>
    Set the configuration <directive> to <value>.
RESETSTAT
    Reset statistics reported by the INFO command.
REWRITE
    Rewrite the configuration file.
HELP
    Print this help.";

#[cfg(test)]
mod tests {
    use crate::command::session::testing::{Tester, check};
    use carousel_protocol::command_table::CommandId;

    #[test]
    fn time_has_seconds_and_microseconds() {
        check(&mut Tester::new(), &[("TIME", "*2|$4|1005|$6|500000|")]);
    }

    #[test]
    fn get_shows_each_setting_that_a_pattern_matches_once() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                ("CONFIG GET timeout", "*2|$7|timeout|$1|0|"),
                ("CONFIG GET TIMEOUT timeo* nope", "*2|$7|timeout|$1|0|"),
                ("CONFIG GET appendfsyn? save", "*4|$11|appendfsync|$8|everysec|$4|save|$0||"),
                ("CONFIG GET nope", "*0|"),
                ("CONFIG GET proto-max-bulk-len", "*2|$18|proto-max-bulk-len|$9|536870912|"),
                ("CONFIG GET databases", "*2|$9|databases|$2|16|"),
            ],
        );
        assert!(tester.run("CONFIG GET *").lines().count() > 2 * 100);
        tester.run("HELLO 3");
        check(&mut tester, &[("CONFIG GET appendonly", "%1|$10|appendonly|$3|yes|")]);
    }

    #[test]
    fn set_changes_all_or_nothing() {
        let mut tester = Tester::new();
        let fails = "-ERR CONFIG SET failed (possibly related to argument";
        check(
            &mut tester,
            &[
                ("CONFIG SET timeout 5 appendfsync ALWAYS", "+OK|"),
                (
                    "CONFIG SET timeout 6 maxclients 0",
                    &format!("{fails} 'maxclients') - argument must be between 1 and 4294967295 inclusive|"),
                ),
                (
                    "CONFIG SET databases 6 foo 7",
                    &format!("{fails} 'databases') - can't set immutable config|"),
                ),
                (
                    "CONFIG SET timeout 6 foo 7",
                    "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'|",
                ),
                ("CONFIG SET timeout 6 timeout 7", &format!("{fails} 'timeout') - duplicate parameter|")),
                ("CONFIG SET timeout 6 port 7", &format!("{fails} 'port') - can't set immutable config|")),
                ("CONFIG SET timeout 6 port", "-ERR syntax error|"),
                ("CONFIG SET timeout", "-ERR wrong number of arguments for 'config|set' command|"),
                (
                    "CONFIG SET notify-keyspace-events KEA",
                    &format!("{fails} 'notify-keyspace-events') - keyspace notifications are not supported|"),
                ),
                ("CONFIG GET timeout", "*2|$7|timeout|$1|5|"),
                ("CONFIG SET hz 9", "+OK|"),
                ("CONFIG GET hz", "*2|$2|hz|$1|9|"),
            ],
        );
        assert_eq!(tester.node.settings().appendfsync.name(), "always");
        assert_eq!(tester.args(&[b"CONFIG", b"SET", b"save", b""]), "+OK\r\n");
    }

    #[test]
    fn rewrite_needs_a_file_and_keeps_what_was_set() {
        let mut tester = Tester::new();
        check(&mut tester, &[("CONFIG REWRITE", "-ERR The server is running without a config file|")]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.conf");
        let point_at = |path: &std::path::Path| {
            tester.node.settings.update(|settings| {
                settings.config_file = Some(path.into());
                Ok::<_, ()>(())
            })
        };
        point_at(&path).unwrap();
        assert!(tester.run("CONFIG REWRITE").starts_with("-ERR Rewriting config file: No such file"));
        std::fs::write(&path, "timeout 1\n").unwrap();
        check(&mut tester, &[("CONFIG SET timeout 8", "+OK|"), ("CONFIG REWRITE", "+OK|")]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "timeout 8\n");
    }

    #[test]
    fn resetstat_starts_the_totals_over() {
        let mut tester = Tester::new();
        tester.node.shards[0].command(CommandId::Get);
        assert!(tester.run("INFO stats").contains("total_commands_processed:1\r\n"));
        check(&mut tester, &[("CONFIG RESETSTAT", "+OK|")]);
        assert!(tester.run("INFO stats").contains("total_commands_processed:0\r\n"));
    }
}
