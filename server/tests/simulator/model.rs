//! What clients may see: the states that a pair of keys can be in, given all replies so far.
//!
//! A *cell* is two keys of one slot that one client alone writes. A request with an unknown outcome leaves both the
//! state with and the state without it possible; each reply rules out the states that would have given another.
//! When none is left, an acknowledged write was lost, a deleted key came back, or a reader was shown what never
//! was. Other clients read the cell as well: what they were shown must stay.

use carousel_protocol::resp::Reply;
use carousel_protocol::{Database, SlotId};

/// Bytes of one written piece: its number in brackets.
const PIECE: usize = 8;

/// A request on a cell; keys are 0 and 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CellOp {
    /// GET.
    Get(usize),
    /// SET, with PXAT if there is a time (Unix ms).
    Set(usize, Option<u64>),
    /// APPEND.
    Append(usize),
    /// SETRANGE at that piece.
    SetRange(usize, usize),
    /// DEL.
    Del(usize),
    /// GETDEL.
    GetDel(usize),
    /// PERSIST.
    Persist(usize),
    /// MSET of both keys.
    MSet,
}

/// Unix times, in milliseconds, between which a request executed, by any node's clock.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Not before.
    pub low: u64,
    /// Not after.
    pub high: u64,
}

/// A key's state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyState {
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Unix time in milliseconds.
    pub expire_at: Option<u64>,
    /// Number of the last request that wrote it.
    pub version: u64,
}

/// A state of both keys.
pub type State = [KeyState; 2];

/// A request on its way.
#[derive(Clone, Debug)]
struct Pending {
    op: CellOp,
    number: u64,
    /// When it may be executed.
    window: Window,
    /// Somebody was shown what it wrote.
    seen: bool,
}

/// See the module.
pub struct Cell {
    /// Its slot.
    pub slot: SlotId,
    /// Its database.
    pub database: Database,
    /// Its keys.
    pub keys: [Vec<u8>; 2],
    /// The slot has officially lost data: nothing is known, and the cell is not used any more.
    pub retired: bool,
    states: Vec<State>,
    pending: Option<Pending>,
    last_number: u64,
    /// Readers on their way, each with every state that was possible since they began.
    watchers: Vec<(u64, Vec<State>)>,
}

impl Cell {
    /// A cell whose keys do not exist.
    pub fn new(slot: SlotId, database: Database, keys: [Vec<u8>; 2]) -> Self {
        Self {
            slot,
            database,
            keys,
            retired: false,
            states: vec![State::default()],
            pending: None,
            last_number: 0,
            watchers: Vec::new(),
        }
    }

    /// Is the state so uncertain that only reads should follow?
    pub fn is_vague(&self) -> bool {
        self.states.len() > 8
    }

    /// Its owner begins a request. `window`: from now to whenever it may be executed at the latest.
    pub fn begin(&mut self, op: CellOp, window: Window) -> Vec<Vec<u8>> {
        self.last_number += 1;
        let number = self.last_number;
        let request = self.encode(&op, number);
        // Whatever it may lead to can be seen from now on.
        let after: Vec<_> = self.outcomes(&op, number, window).into_iter().map(|(state, _)| state).collect();
        for (_, seen) in &mut self.watchers {
            after.iter().for_each(|state| add(seen, state));
        }
        self.pending = Some(Pending { op, number, window, seen: false });
        request
    }

    /// The owner's request is answered.
    pub fn answered(&mut self, reply: &Reply, window: Window) -> Result<(), String> {
        let pending = self.pending.take().expect("a request was begun");
        let mut left = Vec::new();
        for (state, expected) in self.outcomes(&pending.op, pending.number, window) {
            if expected == *reply {
                add(&mut left, &state);
            }
        }
        if left.is_empty() {
            return Err(format!(
                "slot {}: request {} ({:?}) was answered {}, impossible from any of {}",
                self.slot,
                pending.number,
                pending.op,
                show(reply),
                show_states(&self.states)
            ));
        }
        self.states = left;
        Ok(())
    }

    /// Nobody knows whether the owner's request was executed.
    pub fn unknown(&mut self, window: Window) {
        let pending = self.pending.take().expect("a request was begun");
        let mut left = Vec::new();
        if !pending.seen {
            self.states.iter().for_each(|state| add(&mut left, state));
        }
        for (state, _) in self.outcomes(&pending.op, pending.number, window) {
            add(&mut left, &state);
        }
        self.states = left;
    }

    /// The owner's request was refused.
    pub fn refused(&mut self) -> Result<(), String> {
        let pending = self.pending.take().expect("a request was begun");
        if pending.seen {
            return Err(format!("slot {}: request {} was refused, and seen", self.slot, pending.number));
        }
        Ok(())
    }

    /// Another client begins to read a key.
    pub fn watch(&mut self, watcher: u64) {
        let mut seen = self.states.clone();
        if let Some(pending) = &self.pending {
            for (state, _) in self.outcomes(&pending.op, pending.number, pending.window) {
                add(&mut seen, &state);
            }
        }
        self.watchers.push((watcher, seen));
    }

    /// The other client gives up.
    pub fn unwatch(&mut self, watcher: u64) {
        self.watchers.retain(|(of, _)| *of != watcher);
    }

    /// The other client was shown `value`.
    pub fn shown(
        &mut self,
        watcher: u64,
        key: usize,
        value: Option<&[u8]>,
        window: Window,
    ) -> Result<(), String> {
        let at = self.watchers.iter().position(|(of, _)| *of == watcher).expect("a reader was announced");
        let (_, seen) = self.watchers.swap_remove(at);
        let possible = seen.iter().any(|state| {
            alternatives(&state[key], window).iter().any(|state| state.value.as_deref() == value)
        });
        if !possible {
            return Err(format!(
                "slot {}: a reader was shown {} as key {key}, not one of {}",
                self.slot,
                show_value(value),
                show_states(&seen)
            ));
        }
        let Some(version) = value.map(version_of) else { return Ok(()) };
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.number == version) {
            pending.seen = true;
            return Ok(());
        }
        let known = self.states.clone();
        self.states.retain(|state| state[key].version >= version);
        if self.states.is_empty() {
            return Err(format!(
                "slot {}: a reader was shown request {version} of key {key}, which is lost: {}",
                self.slot,
                show_states(&known)
            ));
        }
        Ok(())
    }

    /// Compares with what a primary holds at rest.
    pub fn compare(&self, key: usize, value: Option<&[u8]>, window: Window) -> Result<(), String> {
        let fits = |state: &KeyState| {
            alternatives(state, window).iter().any(|state| state.value.as_deref() == value)
        };
        if value.is_some() && self.states.iter().any(|state| state[key].value.as_deref() == value) {
            return Ok(()); // due, but not removed yet
        }
        if !self.states.iter().any(|state| fits(&state[key])) {
            return Err(format!(
                "slot {}: key {key} is {} in the end, not one of {}",
                self.slot,
                show_value(value),
                show_states(&self.states)
            ));
        }
        Ok(())
    }

    fn encode(&self, op: &CellOp, number: u64) -> Vec<Vec<u8>> {
        let key = |k: usize| self.keys[k].clone();
        match op {
            CellOp::Get(k) => vec![b"GET".to_vec(), key(*k)],
            CellOp::Set(k, None) => vec![b"SET".to_vec(), key(*k), piece(number)],
            CellOp::Set(k, Some(at)) => {
                vec![b"SET".to_vec(), key(*k), piece(number), b"PXAT".to_vec(), at.to_string().into_bytes()]
            }
            CellOp::Append(k) => vec![b"APPEND".to_vec(), key(*k), piece(number)],
            CellOp::SetRange(k, at) => {
                let offset = (at * PIECE).to_string().into_bytes();
                vec![b"SETRANGE".to_vec(), key(*k), offset, piece(number)]
            }
            CellOp::Del(k) => vec![b"DEL".to_vec(), key(*k)],
            CellOp::GetDel(k) => vec![b"GETDEL".to_vec(), key(*k)],
            CellOp::Persist(k) => vec![b"PERSIST".to_vec(), key(*k)],
            CellOp::MSet => vec![b"MSET".to_vec(), key(0), piece(number), key(1), piece(number)],
        }
    }

    /// All ways in which a request can go in any of the possible states.
    fn outcomes(&self, op: &CellOp, number: u64, window: Window) -> Vec<(State, Reply)> {
        let mut all = Vec::new();
        for state in &self.states {
            for first in alternatives_if(op.touches(0), &state[0], window) {
                for second in alternatives_if(op.touches(1), &state[1], window) {
                    let mut state = [first.clone(), second.clone()];
                    let reply = op.apply(&mut state, number);
                    all.push((state, reply));
                }
            }
        }
        all
    }
}

impl CellOp {
    fn touches(&self, key: usize) -> bool {
        match self {
            Self::Get(k)
            | Self::Set(k, _)
            | Self::Append(k)
            | Self::SetRange(k, _)
            | Self::Del(k)
            | Self::GetDel(k)
            | Self::Persist(k) => *k == key,
            Self::MSet => true,
        }
    }

    fn apply(&self, state: &mut State, number: u64) -> Reply {
        let ok = || Reply::Simple("OK".into());
        let read = |state: &KeyState| state.value.clone().map_or(Reply::Null, Reply::Bulk);
        match self {
            Self::Get(k) => read(&state[*k]),
            Self::Set(k, expire_at) => {
                state[*k] = KeyState { value: Some(piece(number)), expire_at: *expire_at, version: number };
                ok()
            }
            Self::Append(k) => {
                let value = state[*k].value.get_or_insert_default();
                value.extend(piece(number));
                let len = value.len();
                state[*k].version = number;
                Reply::Integer(len as i64)
            }
            Self::SetRange(k, at) => {
                let value = state[*k].value.get_or_insert_default();
                let end = (at + 1) * PIECE;
                value.resize(value.len().max(end), 0);
                value[at * PIECE..end].copy_from_slice(&piece(number));
                let len = value.len();
                state[*k].version = number;
                Reply::Integer(len as i64)
            }
            Self::Del(k) => {
                let existed = state[*k].value.is_some();
                state[*k] = KeyState { version: number, ..KeyState::default() };
                Reply::Integer(existed.into())
            }
            Self::GetDel(k) => {
                let reply = read(&state[*k]);
                state[*k] = KeyState { version: number, ..KeyState::default() };
                reply
            }
            Self::Persist(k) => Reply::Integer(state[*k].expire_at.take().is_some().into()),
            Self::MSet => {
                for state in state {
                    *state = KeyState { value: Some(piece(number)), expire_at: None, version: number };
                }
                ok()
            }
        }
    }
}

fn piece(number: u64) -> Vec<u8> {
    format!("[{number:06}]").into_bytes()
}

/// The highest piece in a value is the last one written.
fn version_of(value: &[u8]) -> u64 {
    let number = |piece: &[u8]| std::str::from_utf8(piece.get(1..7)?).ok()?.parse().ok();
    value.chunks(PIECE).filter_map(number).max().unwrap_or(0)
}

/// A key as it may be found in that time: with its value, or expired.
fn alternatives(state: &KeyState, window: Window) -> Vec<KeyState> {
    let mut all = Vec::new();
    if state.expire_at.is_none_or(|at| at >= window.low) {
        all.push(state.clone());
    }
    if state.expire_at.is_some_and(|at| at < window.high) {
        all.push(KeyState { value: None, expire_at: None, version: state.version });
    }
    all
}

fn alternatives_if(touched: bool, state: &KeyState, window: Window) -> Vec<KeyState> {
    if touched { alternatives(state, window) } else { vec![state.clone()] }
}

/// Adds a state unless one that behaves alike is there; of two the lower version says less.
fn add(states: &mut Vec<State>, state: &State) {
    let alike = |a: &KeyState, b: &KeyState| a.value == b.value && a.expire_at == b.expire_at;
    match states.iter_mut().find(|other| alike(&other[0], &state[0]) && alike(&other[1], &state[1])) {
        Some(other) => {
            for (other, state) in other.iter_mut().zip(state) {
                other.version = other.version.min(state.version);
            }
        }
        None => states.push(state.clone()),
    }
}

fn show_value(value: Option<&[u8]>) -> String {
    value.map_or("nil".into(), |value| String::from_utf8_lossy(value).replace('\0', "."))
}

fn show(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(value) => show_value(Some(value)),
        Reply::Null => "nil".into(),
        other => format!("{other:?}"),
    }
}

fn show_states(states: &[State]) -> String {
    let key = |state: &KeyState| {
        let expiry = state.expire_at.map(|at| format!(" until {at}")).unwrap_or_default();
        format!("{}{expiry} v{}", show_value(state.value.as_deref()), state.version)
    };
    let all: Vec<_> = states.iter().map(|[a, b]| format!("({}, {})", key(a), key(b))).collect();
    all.join(" or ")
}

/// What holds a counter's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CounterKind {
    /// A string.
    Text,
    /// A field of a hash, beside some others.
    Field,
    /// The length of a list, whose elements are so long that it soon is a big one.
    List,
    /// The score of a member whose name is so long that its sorted set is a big one.
    SortedSet,
}

impl CounterKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Field, Self::List, Self::SortedSet];

    /// The request that adds one, or the one that reads.
    pub fn request(self, key: &[u8], incr: bool) -> Vec<Vec<u8>> {
        /// An element, or a member.
        const LONG: [u8; 700] = [b'x'; 700];
        let args: &[&[u8]] = match (self, incr) {
            (Self::Text, true) => &[b"INCR", key],
            (Self::Text, false) => &[b"GET", key],
            (Self::Field, true) => &[b"HINCRBY", key, b"n", b"1"],
            (Self::Field, false) => &[b"HGET", key, b"n"],
            (Self::List, true) => &[b"RPUSH", key, &LONG],
            (Self::List, false) => &[b"LLEN", key],
            (Self::SortedSet, true) => &[b"ZINCRBY", key, b"1", &LONG],
            (Self::SortedSet, false) => &[b"ZSCORE", key, &LONG],
        };
        args.iter().map(|arg| arg.to_vec()).collect()
    }

    /// The number in what a key of that kind holds; see `Value::content`.
    fn number_in(self, content: &[Vec<u8>]) -> i64 {
        let parse =
            |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(-1);
        match self {
            Self::Text => parse(&content[0]),
            Self::Field => parse(content[0].strip_prefix(b"\0\0\0\x01n").unwrap_or_default()),
            Self::List => content.len() as i64,
            Self::SortedSet => f64::from_be_bytes(content[0][..8].try_into().expect("a score")) as i64,
        }
    }
}

/// A key that all clients add to.
pub struct Counter {
    /// Its slot.
    pub slot: SlotId,
    /// Its database.
    pub database: Database,
    /// Its key.
    pub key: Vec<u8>,
    /// What it is.
    pub kind: CounterKind,
    /// As for a cell.
    pub retired: bool,
    begun: u64,
    acked: u64,
    unknown: u64,
    /// The highest value that anybody was shown.
    floor: i64,
    replies: std::collections::BTreeSet<i64>,
}

impl Counter {
    /// A counter whose key does not exist.
    pub fn new(slot: SlotId, database: Database, key: Vec<u8>, kind: CounterKind) -> Self {
        Self {
            slot,
            database,
            key,
            kind,
            retired: false,
            begun: 0,
            acked: 0,
            unknown: 0,
            floor: 0,
            replies: Default::default(),
        }
    }

    /// An addition begins, or a look; returns what its reply must not be below.
    pub fn begin(&mut self, incr: bool) -> i64 {
        self.begun += u64::from(incr);
        self.floor
    }

    /// Its reply.
    pub fn answered(&mut self, incr: bool, floor: i64, reply: &Reply) -> Result<(), String> {
        let value = match reply {
            Reply::Integer(value) => *value,
            Reply::Null => 0,
            Reply::Bulk(text) => std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(-1),
            Reply::Double(score) => *score as i64,
            _ => -1,
        };
        let least = if incr { floor + 1 } else { floor };
        if value < least || value > self.begun as i64 {
            return Err(format!(
                "slot {}: a counter was {value} after {floor} had been seen, with {} increments begun",
                self.slot, self.begun
            ));
        }
        if incr {
            self.acked += 1;
            if !self.replies.insert(value) {
                return Err(format!("slot {}: two increments were answered {value}", self.slot));
            }
        }
        self.floor = self.floor.max(value);
        Ok(())
    }

    /// The outcome of an addition is unknown.
    pub fn unknown(&mut self) {
        self.unknown += 1;
    }

    /// Compares with what a primary holds at rest.
    pub fn compare(&self, content: Option<&[Vec<u8>]>) -> Result<(), String> {
        let value = content.map_or(0, |content| self.kind.number_in(content));
        if value < self.floor || value < self.acked as i64 || value > (self.acked + self.unknown) as i64 {
            return Err(format!(
                "slot {}: a counter is {value} in the end, with {} increments acknowledged, {} unknown and {} seen",
                self.slot, self.acked, self.unknown, self.floor
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Window = Window { low: 1_000, high: 1_010 };

    fn cell() -> Cell {
        Cell::new(SlotId::new(0).unwrap(), Database::MAIN, [b"a".to_vec(), b"b".to_vec()])
    }

    fn ok() -> Reply {
        Reply::Simple("OK".into())
    }

    fn bulk(number: u64) -> Reply {
        Reply::Bulk(piece(number))
    }

    #[test]
    fn an_unknown_write_may_be_there_or_not_but_not_change_its_mind() {
        let mut cell = cell();
        cell.begin(CellOp::Set(0, None), AT);
        cell.answered(&ok(), AT).unwrap();
        cell.begin(CellOp::Set(0, None), AT);
        cell.unknown(AT);
        cell.begin(CellOp::Get(0), AT);
        cell.answered(&bulk(1), AT).unwrap();
        cell.begin(CellOp::Get(0), AT);
        cell.answered(&bulk(2), AT).unwrap_err();
    }

    #[test]
    fn a_write_that_a_reader_saw_must_stay() {
        let mut cell = cell();
        cell.begin(CellOp::Set(0, None), AT);
        cell.watch(7);
        cell.shown(7, 0, Some(&piece(1)), AT).unwrap();
        cell.unknown(AT);
        cell.begin(CellOp::Get(0), AT);
        cell.answered(&Reply::Null, AT).unwrap_err();
    }

    #[test]
    fn both_keys_of_an_mset_come_together() {
        let mut cell = cell();
        cell.begin(CellOp::MSet, AT);
        cell.unknown(AT);
        cell.begin(CellOp::Get(0), AT);
        cell.answered(&bulk(1), AT).unwrap();
        cell.begin(CellOp::Get(1), AT);
        cell.answered(&Reply::Null, AT).unwrap_err();
    }

    #[test]
    fn a_deleted_or_expired_key_stays_away() {
        let mut cell = cell();
        cell.begin(CellOp::Set(0, Some(1_005)), AT);
        cell.answered(&ok(), AT).unwrap();
        cell.begin(CellOp::Get(0), AT);
        cell.answered(&Reply::Null, AT).unwrap();
        cell.watch(1);
        cell.shown(1, 0, Some(&piece(1)), AT).unwrap_err();
        assert!(cell.compare(0, Some(&piece(1)), AT).is_err());
        assert!(cell.compare(0, None, AT).is_ok());
    }

    #[test]
    fn a_counter_never_goes_back_and_counts_every_acknowledged_increment() {
        let mut counter =
            Counter::new(SlotId::new(0).unwrap(), Database::MAIN, b"c".to_vec(), CounterKind::Text);
        for value in 1..=3 {
            let floor = counter.begin(true);
            counter.answered(true, floor, &Reply::Integer(value)).unwrap();
        }
        let floor = counter.begin(false);
        counter.answered(false, floor, &Reply::Bulk(b"2".to_vec())).unwrap_err();
        counter.begin(true);
        counter.unknown();
        assert!(counter.compare(Some(&[b"2".to_vec()])).is_err());
        assert!(counter.compare(Some(&[b"4".to_vec()])).is_ok());
        assert!(counter.compare(Some(&[b"5".to_vec()])).is_err());
    }
}
