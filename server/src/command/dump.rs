//! `DUMP` and `RESTORE`: values in Redis' own form.

use carousel_protocol::resp::Argv;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::effect::{Effect, EffectIter, ItemsBuf};
use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use super::expiry::{Base, Unit, any_time};
use crate::limits;
use crate::rdb::{self, LoadError, Part};
use crate::store::KeyHasher;

/// No request could bring back a longer payload.
const PAYLOAD_BYTES_MAX: usize = limits::BULK_BYTES_MAX as usize;

/// Items of a collection are restored in pieces of about so many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// `DUMP key`
pub(super) fn dump(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let Some(entry) = exec.tables.read(at, key, exec.now.unix_ms, exec.effects) else {
        exec.reply.null();
        return Ok(());
    };
    let out = &mut *exec.reply.out;
    let start = out.len();
    if !rdb::save(entry.value(), out, PAYLOAD_BYTES_MAX) {
        return Err(CommandError::PayloadTooLong { max: PAYLOAD_BYTES_MAX });
    }
    // The length, which stands before the payload, is known only now.
    let head = format!("${}\r\n", out.len() - start);
    out.splice(start..start, head.into_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The options of RESTORE.
struct Options {
    replaces: bool,
    is_absolute: bool,
}

impl Options {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        let mut options = Self { replaces: false, is_absolute: false };
        let (mut is_idle_said, mut is_frequency_said) = (false, false);
        let mut next = 4;
        while next < argv.len() {
            let is = |name: &str| argv.get(next).eq_ignore_ascii_case(name.as_bytes());
            let has_argument = next + 1 < argv.len();
            match () {
                () if is("REPLACE") => options.replaces = true,
                () if is("ABSTTL") => options.is_absolute = true,
                () if is("IDLETIME") && has_argument && !is_frequency_said => {
                    next += 1;
                    if integer(argv.get(next))? < 0 {
                        return Err(CommandError::Argument("Invalid IDLETIME value, must be >= 0"));
                    }
                    is_idle_said = true;
                }
                () if is("FREQ") && has_argument && !is_idle_said => {
                    next += 1;
                    if !(0..=255).contains(&integer(argv.get(next))?) {
                        return Err(CommandError::Argument("Invalid FREQ value, must be >= 0 and <= 255"));
                    }
                    is_frequency_said = true;
                }
                () => return Err(CommandError::Syntax),
            }
            next += 1;
        }
        Ok(options)
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub(super) fn restore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let options = Options::parse(argv)?;
    let (at, key) = exec.first_key(argv);
    let is_taken = exec.find(at, key).is_some();
    if is_taken && !options.replaces {
        return Err(CommandError::BusyKey);
    }
    let ttl_ms = integer(argv.get(2))?;
    if ttl_ms < 0 {
        return Err(CommandError::Argument("Invalid TTL value, must be >= 0"));
    }
    let base = if options.is_absolute { Base::Epoch } else { Base::Now };
    let expire_at_ms = match ttl_ms {
        0 => None,
        _ => Some(any_time("restore", Unit::Milliseconds, base, ttl_ms, exec.now.unix_ms)?.unsigned_abs()),
    };
    let restored = Restored::new(key, argv.get(3), expire_at_ms)?;
    if !restored.are_items_distinct(exec.tables.hasher()) {
        return Err(BAD_DATA);
    }
    let is_due = expire_at_ms.is_some_and(|at_ms| at_ms <= exec.now.unix_ms);
    if !is_due {
        exec.room.reserve(restored.effects.len())?;
    }
    if is_taken {
        exec.tables.remove(at, key, exec.effects);
    }
    if !is_due {
        for effect in EffectIter::new(&restored.effects) {
            exec.change(at, effect.expect("just encoded").1);
        }
    }
    exec.reply.ok();
    Ok(())
}

const BAD_DATA: CommandError = CommandError::Argument("Bad data format");

/// A payload as the effects that make its key.
struct Restored {
    effects: Vec<u8>,
    /// How many items that must be distinct they name: fields or members.
    distinct: usize,
}

impl Restored {
    fn new(key: &[u8], payload: &[u8], expire_at_ms: Option<u64>) -> Result<Self, CommandError> {
        let mut making =
            Making { key, effects: Vec::new(), items: ItemsBuf::new(), kind: None, before: 0, count: 0 };
        let expiry = Effect::Expire { key, expire_at_ms };
        rdb::load(payload, &mut |part| making.take(part)).map_err(|error| match error {
            LoadError::VersionOrChecksum => {
                CommandError::Argument("DUMP payload version or checksum are wrong")
            }
            LoadError::Format => BAD_DATA,
            LoadError::TooLong => CommandError::ResultTooLong { max: limits::WRITE_ARGUMENTS_BYTES_MAX },
        })?;
        making.flush();
        if expire_at_ms.is_some() {
            expiry.encode(&mut making.effects);
        }
        let distinct = if making.kind == Some(Kind::List) { 0 } else { making.count };
        Ok(Self { effects: making.effects, distinct: usize::try_from(distinct).expect("they are in memory") })
    }

    /// Whether no field or member is named twice.
    fn are_items_distinct(&self, hasher: &KeyHasher) -> bool {
        let mut seen: HashTable<&[u8]> = HashTable::with_capacity(self.distinct);
        let mut is_new = |item| {
            let found = seen.entry(hasher.hash(item), |other| *other == item, |other| hasher.hash(other));
            match found {
                Entry::Occupied(_) => false,
                Entry::Vacant(place) => {
                    place.insert(item);
                    true
                }
            }
        };
        EffectIter::new(&self.effects).all(|effect| match effect.expect("just encoded").1 {
            Effect::HashSet { pairs, .. } => pairs.pairs().all(|(field, _)| is_new(field)),
            Effect::SetAdd { members, .. } => members.iter().all(&mut is_new),
            Effect::Score { pairs, .. } => pairs.pairs().all(|(_, member)| is_new(member)),
            _ => true,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Hash,
    Set,
    SortedSet,
}

/// Effects in the making.
struct Making<'a> {
    key: &'a [u8],
    effects: Vec<u8>,
    /// What the next effect will be about.
    items: ItemsBuf,
    /// Of what kind; `None` where it is a string, or nothing yet.
    kind: Option<Kind>,
    /// How many parts there were before those of `items`.
    before: u64,
    /// How many parts there were.
    count: u64,
}

impl Making<'_> {
    fn take(&mut self, part: Part<'_>) -> Result<(), LoadError> {
        let bytes_max = limits::WRITE_ARGUMENTS_BYTES_MAX;
        let kind = match part {
            Part::String(value) => {
                Effect::Set { key: self.key, value, expire_at_ms: None }.encode(&mut self.effects);
                return Ok(());
            }
            Part::Element(element) => {
                self.items.push(element);
                Kind::List
            }
            Part::Field(field, value) => {
                self.items.push(field);
                self.items.push(value);
                Kind::Hash
            }
            Part::Member(member) => {
                self.items.push(member);
                Kind::Set
            }
            Part::Scored(member, score) => {
                self.items.push_score(score);
                self.items.push(member);
                Kind::SortedSet
            }
        };
        self.kind = Some(kind);
        self.count += 1;
        // Each piece names the key: however long that is, all pieces together take at most about twice the value's bytes.
        if self.items.len_bytes() >= PIECE_BYTES.max(self.key.len()) {
            self.flush();
        }
        if self.effects.len() > bytes_max { Err(LoadError::TooLong) } else { Ok(()) }
    }

    /// Makes an effect of the items so far.
    fn flush(&mut self) {
        let Some(kind) = self.kind else { return };
        let (key, items) = (self.key, self.items.items());
        if items.is_empty() {
            return;
        }
        let effect = match kind {
            Kind::List => Effect::Splice { key, index: self.before, removed: 0, elements: items },
            Kind::Hash => Effect::HashSet { key, pairs: items },
            Kind::Set => Effect::SetAdd { key, members: items },
            Kind::SortedSet => Effect::Score { key, pairs: items },
        };
        effect.encode(&mut self.effects);
        self.items.clear();
        self.before = self.count;
    }
}
