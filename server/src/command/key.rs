//! Commands on keys of any type.

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;

use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use super::expiry::{Base, Unit, any_time};
use super::string;

pub(super) fn del(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let mut removed = 0;
    exec.each_key(argv, 1, |exec, at, key, _| {
        if exec.find(at, key).is_some() {
            exec.tables.remove(at, key, exec.effects);
            removed += 1;
        }
    });
    exec.reply.integer(removed);
    Ok(())
}

pub(super) fn exists(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let mut found = 0;
    exec.each_key(argv, 1, |exec, at, key, _| found += i64::from(exec.read(at, key).is_some()));
    exec.reply.integer(found);
    Ok(())
}

pub(super) fn type_of(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let name = if exec.read(at, key).is_some() { TYPE_STRING } else { "none" };
    exec.reply.simple(name);
    Ok(())
}

/// The name of the strings' type.
pub(super) const TYPE_STRING: &str = "string";

/// The conditions of EXPIRE. `XX` and one of `GT` and `LT` may come together.
#[derive(Default)]
struct Conditions {
    is_nx: bool,
    is_xx: bool,
    is_gt: bool,
    is_lt: bool,
}

impl Conditions {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for index in 3..argv.len() {
            let option = argv.get(index);
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("NX") => conditions.is_nx = true,
                () if is("XX") => conditions.is_xx = true,
                () if is("GT") => conditions.is_gt = true,
                () if is("LT") => conditions.is_lt = true,
                () => {
                    let option = String::from_utf8_lossy(option).into_owned();
                    return Err(CommandError::UnsupportedOption { option });
                }
            }
        }
        if conditions.is_nx && (conditions.is_xx || conditions.is_gt || conditions.is_lt) {
            return Err(CommandError::NxWithOthers);
        }
        if conditions.is_gt && conditions.is_lt {
            return Err(CommandError::GtWithLt);
        }
        Ok(conditions)
    }

    /// Whether `new_ms` may replace the old expiry; none counts as infinitely late. Both are Unix ms.
    fn allow(&self, old_ms: Option<u64>, new_ms: i64) -> bool {
        let is_later = old_ms.is_some_and(|old| i128::from(new_ms) > i128::from(old));
        let is_earlier = old_ms.is_none_or(|old| i128::from(new_ms) < i128::from(old));
        (!self.is_nx || old_ms.is_none())
            && (!self.is_xx || old_ms.is_some())
            && (!self.is_gt || is_later)
            && (!self.is_lt || is_earlier)
    }
}

/// `EXPIRE key s`, `PEXPIRE key ms`, `EXPIREAT key unix-s`, `PEXPIREAT key unix-ms`, then `[NX | XX | GT | LT]`
pub(super) fn expire(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let unit = match spec.id {
        CommandId::Expire | CommandId::ExpireAt => Unit::Seconds,
        _ => Unit::Milliseconds,
    };
    let base = match spec.id {
        CommandId::Expire | CommandId::PExpire => Base::Now,
        _ => Base::Epoch,
    };
    let (at, key) = exec.first_key(argv);
    let conditions = Conditions::parse(argv)?;
    let now_ms = exec.now.unix_ms;
    let new_ms = any_time(spec.name, unit, base, integer(argv.get(2))?, now_ms)?;
    let old_ms = exec.find(at, key).map(|entry| entry.expire_at_ms());
    let is_allowed = old_ms.is_some_and(|old_ms| conditions.allow(old_ms, new_ms));
    if is_allowed {
        match u64::try_from(new_ms) {
            Ok(ms) if ms > now_ms => exec.tables.set_expire(at, key, Some(ms), exec.effects),
            // In the past already.
            _ => {
                exec.tables.remove(at, key, exec.effects);
            }
        }
    }
    exec.reply.integer(is_allowed.into());
    Ok(())
}

/// `TTL`, `PTTL`: what is left; `EXPIRETIME`, `PEXPIRETIME`: when. -1 for a key without expiry, -2 for none.
pub(super) fn ttl(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let now_ms = exec.now.unix_ms;
    let reply = match exec.read(at, key).map(|entry| entry.expire_at_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => {
            let ms = match spec.id {
                CommandId::Ttl | CommandId::PTtl => at_ms.saturating_sub(now_ms),
                _ => at_ms,
            };
            let count = match spec.id {
                CommandId::Ttl | CommandId::ExpireTime => ms.saturating_add(500) / 1000,
                _ => ms,
            };
            i64::try_from(count).unwrap_or(i64::MAX)
        }
    };
    exec.reply.integer(reply);
    Ok(())
}

pub(super) fn persist(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let is_volatile = exec.find(at, key).is_some_and(|entry| entry.is_volatile());
    if is_volatile {
        exec.tables.set_expire(at, key, None, exec.effects);
    }
    exec.reply.integer(is_volatile.into());
    Ok(())
}

/// `OBJECT ENCODING key`, `OBJECT HELP`
pub(super) fn object(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let subcommand = argv.get(1);
    let is = |name: &str| subcommand.eq_ignore_ascii_case(name.as_bytes());
    if is("ENCODING") {
        if argv.len() != 3 {
            return Err(CommandError::WrongArity { command: "object|encoding".into() });
        }
        let key = argv.get(2);
        let at = exec.tables.key_at(exec.slot, key);
        match exec.tables.read(at, key, exec.now.unix_ms, exec.effects) {
            Some(entry) => exec.reply.bulk(string::encoding(entry.value()).as_bytes()),
            None => exec.reply.null(),
        }
        return Ok(());
    }
    if is("HELP") && argv.len() == 2 {
        const HELP: [&str; 6] = [
            "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "HELP",
            "    Print this help.",
        ];
        exec.reply.array(HELP.len());
        HELP.iter().for_each(|line| exec.reply.simple(line));
        return Ok(());
    }
    Err(CommandError::unknown_subcommand("OBJECT", subcommand))
}
