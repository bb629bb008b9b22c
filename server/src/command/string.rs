//! Commands on strings.

use carousel_protocol::resp::Argv;
use carousel_protocol::resp::number::{Decimal, parse_i64};

use super::error::CommandError;
use super::exec::{Exec, Outcome, integer, view};
use super::expiry::{Base, ExpiryOption, Unit, positive_time};
use super::long_double::LongDouble;
use crate::store::VALUE_BYTES_MAX;

pub(super) fn get(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    exec.reply_value(at, key)?;
    Ok(())
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT unix-s | PXAT unix-ms | KEEPTTL]`
pub(super) fn set(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let value = argv.get(2);
    if argv.len() == 3 {
        exec.set(at, key, value, None);
        exec.reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(argv)?;
    let mut expire_at_ms = match options.expiry {
        ExpiryOption::At(unit, base, text) => Some(positive_time("SET", unit, base, text, exec.now.unix_ms)?),
        ExpiryOption::Unsaid | ExpiryOption::Keep | ExpiryOption::Persist => None,
    };
    if options.replies_old_value {
        exec.reply_value(at, key)?;
    }
    let found = exec.find(at, key).map(|entry| entry.expire_at_ms());
    let refused = match options.condition {
        None => false,
        Some(Condition::Missing) => found.is_some(),
        Some(Condition::Present) => found.is_none(),
    };
    if refused {
        if !options.replies_old_value {
            exec.reply.null();
        }
        return Ok(());
    }
    if options.expiry == ExpiryOption::Keep {
        expire_at_ms = found.flatten();
    }
    exec.set(at, key, value, expire_at_ms);
    if !options.replies_old_value {
        exec.reply.ok();
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `NX`
    Missing,
    /// `XX`
    Present,
}

#[derive(Default)]
struct SetOptions<'a> {
    condition: Option<Condition>,
    replies_old_value: bool,
    expiry: ExpiryOption<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(argv: Argv<'a>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 3;
        while at < argv.len() {
            let option = argv.get(at);
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            at += 1;
            if is("NX") || is("XX") {
                let condition = if is("NX") { Condition::Missing } else { Condition::Present };
                if options.condition.is_some_and(|said| said != condition) {
                    return Err(CommandError::Syntax);
                }
                options.condition = Some(condition);
            } else if is("GET") {
                options.replies_old_value = true;
            } else if is("KEEPTTL") {
                options.expiry = options.expiry.join(ExpiryOption::Keep)?;
            } else {
                options.expiry = options.expiry.join(timed_option(argv, option, &mut at)?)?;
            }
        }
        Ok(options)
    }
}

/// `EX`, `PX`, `EXAT` or `PXAT`, whose argument is at `at`.
fn timed_option<'a>(argv: Argv<'a>, option: &[u8], at: &mut usize) -> Result<ExpiryOption<'a>, CommandError> {
    match ExpiryOption::timed(option) {
        Some((unit, base)) if *at < argv.len() => {
            *at += 1;
            Ok(ExpiryOption::At(unit, base, argv.get(*at - 1)))
        }
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn setnx(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let is_missing = exec.find(at, key).is_none();
    if is_missing {
        exec.set(at, key, argv.get(2), None);
    }
    exec.reply.integer(is_missing.into());
    Ok(())
}

pub(super) fn setex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    set_expiring(exec, argv, "SETEX", Unit::Seconds)
}

pub(super) fn psetex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    set_expiring(exec, argv, "PSETEX", Unit::Milliseconds)
}

fn set_expiring(exec: &mut Exec<'_>, argv: Argv<'_>, command: &'static str, unit: Unit) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let expire_at_ms = positive_time(command, unit, Base::Now, argv.get(2), exec.now.unix_ms)?;
    exec.set(at, key, argv.get(3), Some(expire_at_ms));
    exec.reply.ok();
    Ok(())
}

pub(super) fn getset(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    exec.reply_value(at, key)?;
    exec.set(at, key, argv.get(2), None);
    Ok(())
}

pub(super) fn getdel(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    if exec.reply_value(at, key)? {
        exec.tables.remove(at, key, exec.effects);
    }
    Ok(())
}

/// `GETEX key [EX s | PX ms | EXAT unix-s | PXAT unix-ms | PERSIST]`
pub(super) fn getex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let mut expiry = ExpiryOption::Unsaid;
    let mut next = 2;
    while next < argv.len() {
        let option = argv.get(next);
        next += 1;
        let option = if option.eq_ignore_ascii_case(b"PERSIST") {
            ExpiryOption::Persist
        } else {
            timed_option(argv, option, &mut next)?
        };
        expiry = expiry.join(option)?;
    }
    // As in Redis, a missing key hides an impossible time.
    let Some(old_expiry) = exec.find_string(at, key)?.map(|entry| entry.expire_at_ms()) else {
        exec.reply_value(at, key)?;
        return Ok(());
    };
    match expiry {
        ExpiryOption::Unsaid | ExpiryOption::Keep => {
            exec.reply_value(at, key)?;
        }
        ExpiryOption::Persist => {
            exec.reply_value(at, key)?;
            if old_expiry.is_some() {
                exec.tables.set_expire(at, key, None, exec.effects);
            }
        }
        ExpiryOption::At(unit, base, text) => {
            let expire_at_ms = positive_time("GETEX", unit, base, text, exec.now.unix_ms)?;
            exec.reply_value(at, key)?;
            if expire_at_ms <= exec.now.unix_ms {
                exec.tables.remove(at, key, exec.effects);
            } else {
                exec.tables.set_expire(at, key, Some(expire_at_ms), exec.effects);
            }
        }
    }
    Ok(())
}

pub(super) fn mget(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    exec.reply.array(argv.len() - 1);
    exec.each_key(argv, 1, |exec, at, key, _| {
        if exec.reply_value(at, key).is_err() {
            exec.reply.null(); // it holds no string
        }
    });
    Ok(())
}

pub(super) fn mset(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    set_pairs(exec, argv);
    exec.reply.ok();
    Ok(())
}

pub(super) fn msetnx(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let mut any_present = false;
    exec.each_key(argv, 2, |exec, at, key, _| any_present |= exec.find(at, key).is_some());
    if !any_present {
        set_pairs(exec, argv);
    }
    exec.reply.integer((!any_present).into());
    Ok(())
}

fn set_pairs(exec: &mut Exec<'_>, argv: Argv<'_>) {
    exec.each_key(argv, 2, |exec, at, key, index| exec.set(at, key, argv.get(index + 1), None));
}

pub(super) fn strlen(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let len = exec.read_as::<&[u8]>(at, key)?.map_or(0, <[u8]>::len);
    exec.reply.integer(len as i64);
    Ok(())
}

pub(super) fn append(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let bytes = argv.get(2);
    let len = match exec.find_as::<&[u8]>(at, key)?.map(<[u8]>::len) {
        None => {
            exec.set(at, key, bytes, None);
            bytes.len()
        }
        Some(len) => {
            check_len(len, bytes.len())?;
            if !bytes.is_empty() {
                exec.tables.patch(at, key, len, bytes, exec.effects);
            }
            len + bytes.len()
        }
    };
    exec.reply.integer(len as i64);
    Ok(())
}

pub(super) fn setrange(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let offset = usize::try_from(integer(argv.get(2))?).map_err(|_| CommandError::Offset)?;
    let bytes = argv.get(3);
    let mut len = exec.find_as::<&[u8]>(at, key)?.map_or(0, <[u8]>::len);
    if !bytes.is_empty() {
        check_len(offset, bytes.len())?;
        exec.tables.patch(at, key, offset, bytes, exec.effects);
        len = len.max(offset + bytes.len());
    }
    exec.reply.integer(len as i64);
    Ok(())
}

fn check_len(offset: usize, bytes: usize) -> Outcome {
    match offset.checked_add(bytes) {
        Some(len) if len <= VALUE_BYTES_MAX => Ok(()),
        _ => Err(CommandError::TooLong),
    }
}

pub(super) fn getrange(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (start, end) = (integer(argv.get(2))?, integer(argv.get(3))?);
    let value: &[u8] = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?.unwrap_or_default();
    exec.reply.bulk(range_of(value, start, end));
    Ok(())
}

/// Both ends inclusive; negative ones count from the end.
fn range_of(value: &[u8], start: i64, end: i64) -> &[u8] {
    let len = value.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let from_end = |index: i64| if index < 0 { index.saturating_add(len).max(0) } else { index };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end { &[] } else { &value[start as usize..=end as usize] }
}

pub(super) fn incr(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    add(exec, argv, 1)
}

pub(super) fn decr(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    add(exec, argv, -1)
}

pub(super) fn incrby(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    add(exec, argv, integer(argv.get(2))?)
}

pub(super) fn decrby(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let decrement = integer(argv.get(2))?;
    add(exec, argv, decrement.checked_neg().ok_or(CommandError::DecrementOverflow)?)
}

fn add(exec: &mut Exec<'_>, argv: Argv<'_>, increment: i64) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (old, expire_at_ms) = match exec.find_string(at, key)? {
        Some(entry) => (integer(entry.bytes())?, entry.expire_at_ms()),
        None => (0, None),
    };
    let new = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    exec.set(at, key, &Decimal::new(new), expire_at_ms);
    exec.reply.integer(new);
    Ok(())
}

pub(super) fn incrbyfloat(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let parse = |text: &[u8]| LongDouble::parse(text).ok_or(CommandError::NotAFloat);
    let (old, expire_at_ms) = match exec.find_string(at, key)? {
        Some(entry) => (parse(entry.bytes())?, entry.expire_at_ms()),
        None => (LongDouble::ZERO, None),
    };
    let sum = old.add(parse(argv.get(2))?);
    let text = sum.to_text().ok_or(CommandError::NotFinite)?;
    exec.set(at, key, text.as_bytes(), expire_at_ms);
    exec.reply.bulk(text.as_bytes());
    Ok(())
}

/// How Redis would hold the value: what `OBJECT ENCODING` says.
pub(super) fn encoding(value: &[u8]) -> &'static str {
    /// Longest string that Redis keeps in one allocation with its object (`OBJ_ENCODING_EMBSTR_SIZE_LIMIT`).
    const EMBEDDED_BYTES_MAX: usize = 44;
    if parse_i64(value).is_some() {
        "int"
    } else if value.len() <= EMBEDDED_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}
