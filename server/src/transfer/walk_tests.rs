use carousel_protocol::ShardId;
use proptest::prelude::*;

use super::*;
use crate::command::Items;
use crate::store::Table;

/// What is done to one of the keys. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Action {
    HashSet {
        first: u16,
        count: u8,
    },
    HashRemove {
        first: u16,
        count: u8,
    },
    SetAdd {
        first: u16,
        count: u8,
    },
    SetRemove {
        first: u16,
        count: u8,
    },
    Score {
        first: u16,
        count: u8,
        score: i8,
    },
    Unscore {
        first: u16,
        count: u8,
    },
    /// `part` of 256: where in the list.
    Splice {
        part: u8,
        removed: u8,
        added: u8,
    },
    /// As RPUSH: what is at the end.
    Append {
        added: u8,
    },
    /// All elements but the first give way to some.
    Trim {
        added: u8,
    },
    SetText,
    Store {
        members: u8,
    },
    Delete,
    Expire {
        at: Option<u8>,
    },
    Clear,
    /// The databases of the keys change places.
    Swap,
}

#[derive(Clone, Debug)]
enum Event {
    /// One record with these changes.
    Write(Vec<(u8, Action)>),
    Step,
}

fn action() -> impl Strategy<Value = Action> {
    let items = || (0..300u16, 0..60u8);
    prop_oneof![
        4 => items().prop_map(|(first, count)| Action::HashSet { first, count }),
        3 => items().prop_map(|(first, count)| Action::HashRemove { first, count }),
        4 => items().prop_map(|(first, count)| Action::SetAdd { first, count }),
        3 => items().prop_map(|(first, count)| Action::SetRemove { first, count }),
        4 => (items(), any::<i8>()).prop_map(|((first, count), score)| Action::Score { first, count, score }),
        3 => items().prop_map(|(first, count)| Action::Unscore { first, count }),
        9 => (any::<u8>(), prop_oneof![4 => 0..8u8, 1 => any::<u8>()], 0..12u8)
            .prop_map(|(part, removed, added)| Action::Splice { part, removed, added }),
        2 => (1..12u8).prop_map(|added| Action::Append { added }),
        1 => (0..3u8).prop_map(|added| Action::Trim { added }),
        1 => Just(Action::SetText),
        1 => (1..20u8).prop_map(|members| Action::Store { members }),
        1 => Just(Action::Delete),
        2 => proptest::option::of(any::<u8>()).prop_map(|at| Action::Expire { at }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let clear = prop_oneof![60 => action(), 1 => Just(Action::Clear), 1 => Just(Action::Swap)];
    prop_oneof![
        2 => prop::collection::vec((0..8u8, clear), 1..4).prop_map(Event::Write),
        3 => Just(Event::Step),
    ]
}

/// An item so long that what holds it is big from the first one on.
fn item(number: usize) -> Vec<u8> {
    format!("{number:0>80}").into_bytes()
}

/// The source: tables of one slot, and what makes its changes.
struct Source {
    tables: Tables,
    written: usize,
}

fn slot() -> SlotId {
    SlotId::new(7).unwrap()
}

fn tables(seed: u64) -> Tables {
    Tables::new(ShardId(0), 1, KeyHasher::new(seed))
}

/// The databases of the keys.
fn databases() -> [Database; 2] {
    [0, 5].map(|number| Database::new(number).unwrap())
}

impl Source {
    fn new() -> Self {
        Self { tables: tables(11), written: 0 }
    }

    fn database(number: u8) -> Database {
        databases()[usize::from(number % 3 == 2)]
    }

    fn key(number: u8) -> Vec<u8> {
        format!("key {number}").into_bytes()
    }

    fn list_len(&self, database: Database, key: &[u8]) -> usize {
        let hash = self.tables.hasher().hash(key);
        self.tables.table(slot(), database).get(hash, key).map_or(0, list_len)
    }

    /// A value that was not there before.
    fn fresh(&mut self) -> Vec<u8> {
        self.written += 1;
        item(1_000_000 + self.written)
    }

    fn some(&mut self, count: usize) -> ItemsBuf {
        let all: Vec<_> = (0..count).map(|_| self.fresh()).collect();
        all.iter().map(Vec::as_slice).collect()
    }

    fn pairs(&mut self, first: u16, count: u8) -> ItemsBuf {
        let mut items = ItemsBuf::new();
        for number in first..first + u16::from(count) {
            items.push(&item(number.into()));
            items.push(&self.fresh());
        }
        items
    }

    /// Does one thing to the table and appends its effect.
    fn act(&mut self, key: u8, action: &Action, record: &mut EffectsBuf) {
        let (database, key) = (Self::database(key), &Self::key(key)[..]);
        let names = |first: u16, count: u8| -> ItemsBuf {
            let all: Vec<_> = (first..first + u16::from(count)).map(|number| item(number.into())).collect();
            all.iter().map(Vec::as_slice).collect()
        };
        let len = self.list_len(database, key);
        let splice = |index: usize, removed: usize, elements| Effect::Splice {
            key,
            index: index as u64,
            removed: removed as u64,
            elements,
        };
        match *action {
            Action::HashSet { first, count } => {
                let pairs = self.pairs(first, count);
                self.apply(database, Effect::HashSet { key, pairs: pairs.items() }, record);
            }
            Action::HashRemove { first, count } => {
                self.apply(database, Effect::HashRemove { key, fields: names(first, count).items() }, record);
            }
            Action::SetAdd { first, count } => {
                self.apply(database, Effect::SetAdd { key, members: names(first, count).items() }, record);
            }
            Action::SetRemove { first, count } => {
                self.apply(database, Effect::SetRemove { key, members: names(first, count).items() }, record);
            }
            Action::Score { first, count, score } => {
                let mut pairs = ItemsBuf::new();
                for number in first..first + u16::from(count) {
                    pairs.push_score(f64::from(score) + f64::from(number % 3));
                    pairs.push(&item(number.into()));
                }
                self.apply(database, Effect::Score { key, pairs: pairs.items() }, record);
            }
            Action::Unscore { first, count } => {
                self.apply(database, Effect::Unscore { key, members: names(first, count).items() }, record);
            }
            Action::Splice { part, removed, added } => {
                let elements = self.some(added.into());
                self.apply(
                    database,
                    splice(len * usize::from(part) / 256, removed.into(), elements.items()),
                    record,
                );
            }
            Action::Append { added } => {
                let elements = self.some(added.into());
                self.apply(database, splice(usize::MAX, 0, elements.items()), record);
            }
            Action::Trim { added } => {
                let elements = self.some(added.into());
                self.apply(database, splice(usize::from(added > 1), usize::MAX, elements.items()), record);
            }
            Action::SetText => {
                let value = self.fresh();
                self.apply(database, Effect::Set { key, value: &value, expire_at_ms: Some(7) }, record);
            }
            Action::Store { members } => {
                let (mut table, hasher) = (Table::new(), *self.tables.hasher());
                let members: ItemsBuf =
                    [b"a", b"b"][..usize::from(members % 2) + 1].iter().map(|m| &m[..]).collect();
                table.set_add(&hasher, hasher.hash(key), key, members.items().iter());
                let packed = table.get(hasher.hash(key), key).unwrap().bytes();
                self.apply(database, Effect::Store { key, packed, expire_at_ms: None }, record);
            }
            Action::Delete => self.apply(database, Effect::Delete { key }, record),
            Action::Expire { at } => {
                let expire_at_ms = at.map(u64::from);
                self.apply(database, Effect::Expire { key, expire_at_ms }, record);
            }
            Action::Clear => self.apply(database, Effect::Clear, record),
            Action::Swap => self.apply(databases()[0], Effect::Swap { with: databases()[1] }, record),
        }
    }

    fn apply(&mut self, database: Database, effect: Effect<'_>, record: &mut EffectsBuf) {
        self.tables.apply(slot(), database, &effect);
        record.push(database, &effect);
    }

    /// Each of the first keys holds a big collection, some of them with an expiry.
    fn fill(&mut self) {
        let mut record = EffectsBuf::default();
        for (number, action) in [
            Action::HashSet { first: 0, count: 200 },
            Action::SetAdd { first: 0, count: 200 },
            Action::Score { first: 0, count: 200, score: 1 },
            Action::Append { added: 200 },
            Action::Append { added: 150 },
            Action::HashSet { first: 100, count: 200 },
        ]
        .iter()
        .enumerate()
        {
            self.act(number as u8, action, &mut record);
            self.act(number as u8, &Action::Expire { at: (number % 2 == 0).then_some(9) }, &mut record);
        }
    }
}

/// What the other side, whose hashes are others, makes of what it is given.
fn apply(copy: &mut Tables, effects: &[u8]) {
    for effect in EffectIter::new(effects) {
        let (database, effect) = effect.expect("effects decode");
        copy.apply(slot(), database, &effect);
    }
}

/// A key's database and name, its expiry, and what it holds.
type Held = (Database, Vec<u8>, Option<u64>, Vec<Vec<u8>>);

/// All keys in order.
fn content(tables: &Tables) -> Vec<Held> {
    let held = |database, entry: EntryRef<'_>| {
        (database, entry.key().to_vec(), entry.expire_at_ms(), entry.value().content())
    };
    let of_table = |(database, table): (Database, &Table)| {
        table.iter().map(|entry| held(database, entry)).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = tables.tables_of(slot()).flat_map(of_table).collect();
    all.sort_unstable();
    all
}

fn small(chunk_bytes: usize) -> ShardLimits {
    ShardLimits { chunk_bytes, chunk_keys: 3, ..ShardLimits::default() }
}

fn walk_among_writers(events: &[Event], chunk_bytes: usize) -> (Tables, Tables) {
    let (mut source, mut copy, mut walk) = (Source::new(), tables(12), Walk::new());
    source.fill();
    let step = |walk: &mut Walk, source: &Source, copy: &mut Tables| {
        let chunk = walk.step(&source.tables, slot(), small(chunk_bytes));
        chunk.parts.iter().for_each(|part| apply(copy, part));
    };
    for event in events {
        match event {
            Event::Write(changes) => {
                let mut record = EffectsBuf::default();
                changes.iter().for_each(|(key, action)| source.act(*key, action, &mut record));
                let passed = walk.follow(&record.take(), source.tables.hasher());
                apply(&mut copy, &passed);
            }
            Event::Step => step(&mut walk, &source, &mut copy),
        }
    }
    while !walk.is_done() {
        step(&mut walk, &source, &mut copy);
    }
    (source.tables, copy)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_a_walk_gives_is_what_is_there_whoever_writes_meanwhile(
        events in prop::collection::vec(event(), 1..90),
        chunk_bytes in prop_oneof![Just(1usize), 100..3000usize],
    ) {
        let (source, copy) = walk_among_writers(&events, chunk_bytes);
        prop_assert_eq!(content(&copy), content(&source));
    }
}

#[test]
fn a_list_whose_splices_were_passed_on_uncut_would_be_noticed() {
    let events = [
        vec![Event::Step; 4],
        vec![Event::Write(
            (0..6).map(|key| (key, Action::Splice { part: 200, removed: 3, added: 5 })).collect(),
        )],
    ]
    .concat();
    for (bug, is_equal) in [(None, true), (Some(Bug::UncutSplice), false)] {
        crate::planted::plant(bug);
        let (source, copy) = walk_among_writers(&events, 2000);
        crate::planted::plant(None);
        assert_eq!(content(&copy) == content(&source), is_equal, "{bug:?}");
    }
}

/// A table with one key of each kind of big collection, of so many items.
fn big_ones(items: usize) -> Source {
    let mut source = Source::new();
    let names: Vec<_> = (0..items).map(|number| format!("item {number}").into_bytes()).collect();
    let all: ItemsBuf = names.iter().map(Vec::as_slice).collect();
    let mut scored = ItemsBuf::new();
    for (rank, name) in names.iter().enumerate() {
        scored.push_score(rank as f64);
        scored.push(name);
    }
    let items: Items<'_> = all.items();
    for effect in [
        Effect::HashSet { key: b"hash", pairs: items },
        Effect::SetAdd { key: b"set", members: items },
        Effect::Score { key: b"sorted set", pairs: scored.items() },
        Effect::Splice { key: b"list", index: 0, removed: 0, elements: items },
    ] {
        source.apply(Database::MAIN, effect, &mut EffectsBuf::default());
    }
    source
}

#[test]
fn no_step_does_more_than_it_may_however_large_a_collection_is() {
    const ITEMS: usize = 40_000;
    const LIMIT: usize = 4096;
    let (source, mut copy, mut walk) = (big_ones(ITEMS).tables, tables(12), Walk::new());
    let limits = ShardLimits { chunk_bytes: LIMIT, ..ShardLimits::default() };
    let mut steps = 0;
    while !walk.is_done() {
        let chunk = walk.step(&source, slot(), limits);
        // Items of the same position come together, but few are.
        assert!(chunk.cost < LIMIT + 5 * (ITEM_COST + 40), "{}", chunk.cost);
        let mut items = 0;
        for part in &chunk.parts {
            assert!(part.len() < LIMIT + 100, "{} bytes", part.len());
            apply(&mut copy, part);
            items += EffectIter::new(part).map(|effect| items_of(&effect.unwrap().1)).sum::<usize>();
        }
        assert!(items <= 2 * LIMIT / ITEM_COST + 10, "{items} items in a step");
        steps += 1;
    }
    assert!(steps > 3 * ITEMS * ITEM_COST / LIMIT, "{steps} steps");
    assert_eq!(content(&copy), content(&source));
}

/// Number of byte strings in an effect.
fn items_of(effect: &Effect<'_>) -> usize {
    match effect {
        Effect::HashSet { pairs: items, .. }
        | Effect::SetAdd { members: items, .. }
        | Effect::Score { pairs: items, .. }
        | Effect::Splice { elements: items, .. } => items.iter().count(),
        other => panic!("{other:?} in a walk over big collections"),
    }
}

#[test]
fn a_chunk_of_strings_ends_with_the_key_that_makes_it_full() {
    let mut tables = tables(5);
    let value = |i: u32| vec![b'x'; if i.is_multiple_of(3) { 3000 } else { 10 }];
    let database_of = |i: u32| Database::new((i % 4) as u16 * 5).unwrap();
    for i in 0..20_000u32 {
        let (key, value) = (i.to_string(), value(i));
        let set = Effect::Set { key: key.as_bytes(), value: &value, expire_at_ms: None };
        tables.apply(slot(), database_of(i), &set);
    }
    let limits = ShardLimits { chunk_bytes: 1000, ..ShardLimits::default() };
    let (mut walk, mut seen, mut shared) = (Walk::new(), Vec::new(), 0);
    while !walk.is_done() {
        let chunk = walk.step(&tables, slot(), limits);
        let before = seen.len();
        for part in &chunk.parts {
            assert!(part.len() < 1000 + 3000 + 50, "{} bytes", part.len());
            for effect in EffectIter::new(part) {
                let (database, effect) = effect.unwrap();
                let i = std::str::from_utf8(effect.key().unwrap()).unwrap().parse::<u32>().unwrap();
                assert_eq!(database, database_of(i));
                seen.push(i);
            }
        }
        assert_eq!(chunk.keys, (seen.len() - before) as u64);
        shared += usize::from(chunk.parts.len() > 1);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..20_000).collect::<Vec<_>>(), "every key once");
    assert!(shared > 0, "some long keys share a position");
}
