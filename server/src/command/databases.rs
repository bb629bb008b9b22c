//! Keys of the databases beside the first.
//!
//! A slot's keys of database 0 are in a table that is always there, and is found in one step: nothing else is on the hot
//! path. The tables of another database are made with its first key, [`GROUP`] neighbouring slots at a time, so that a
//! database costs nothing until it is used, and then some KiB.

use carousel_protocol::Database;

use super::effect::Effect;
use super::tables::GROUP;
use crate::store::{KeyHasher, ScanPosition, Table};

type Group = Box<[Table; GROUP]>;

/// A shard's tables of all databases but the first, by the number of the slot on the shard.
#[derive(Default)]
pub(super) struct Databases {
    /// For each database from 1 on; without groups where it never had a key.
    groups: Vec<Vec<Option<Group>>>,
    /// What every table that was never made looks like; it stays empty.
    empty: Table,
    /// Of everything but what the tables count themselves.
    own_bytes: usize,
}

impl Databases {
    fn existing(&self, index: usize, database: Database) -> Option<&Table> {
        let group = self.groups.get(database.index() - 1)?.get(index / GROUP)?.as_ref()?;
        Some(&group[index % GROUP])
    }

    fn existing_mut(&mut self, index: usize, database: Database) -> Option<&mut Table> {
        let group = self.groups.get_mut(database.index() - 1)?.get_mut(index / GROUP)?.as_mut()?;
        Some(&mut group[index % GROUP])
    }

    /// The table to look into.
    pub(super) fn table(&self, index: usize, database: Database) -> &Table {
        self.existing(index, database).unwrap_or(&self.empty)
    }

    /// The table to look into, and to change or remove keys that are there.
    pub(super) fn table_mut(&mut self, index: usize, database: Database) -> &mut Table {
        // (Asked twice: a borrow that is returned from one branch lasts through the other as well.)
        if self.existing(index, database).is_none() {
            debug_assert!(self.empty.is_empty(), "nothing is inserted where no table was made");
            return &mut self.empty;
        }
        self.existing_mut(index, database).expect("just seen")
    }

    /// The table to insert into, made where there is none; the shard has `slots` slots.
    pub(super) fn made(&mut self, index: usize, database: Database, slots: usize) -> &mut Table {
        let at = database.index() - 1;
        if self.groups.len() <= at {
            self.own_bytes += (at + 1 - self.groups.len()) * size_of::<Vec<Option<Group>>>();
            self.groups.reserve_exact(at + 1 - self.groups.len());
            self.groups.resize_with(at + 1, Vec::new);
        }
        let groups = &mut self.groups[at];
        if groups.is_empty() {
            groups.reserve_exact(slots.div_ceil(GROUP));
            groups.resize_with(slots.div_ceil(GROUP), || None);
            self.own_bytes += groups.len() * size_of::<Option<Group>>();
        }
        let group = &mut groups[index / GROUP];
        if group.is_none() {
            self.own_bytes += size_of::<[Table; GROUP]>();
        }
        &mut group.get_or_insert_with(Group::default)[index % GROUP]
    }

    /// The first database from `from` on (which is not the main one) that has keys of the slot.
    pub(super) fn next_used(&self, index: usize, from: Database) -> Option<Database> {
        let numbers = from.index()..=self.groups.len();
        numbers
            .filter_map(|number| Database::new(u16::try_from(number).ok()?))
            .find(|&database| self.existing(index, database).is_some_and(|table| !table.is_empty()))
    }

    /// Calls `visit` with all tables that were made.
    pub(super) fn each(&self, mut visit: impl FnMut(Database, usize, &Table)) {
        for (at, groups) in self.groups.iter().enumerate() {
            let database = Database::new(at as u16 + 1).expect("made for a database");
            for (g, group) in groups.iter().enumerate() {
                for (i, table) in group.iter().flat_map(|group| group.iter()).enumerate() {
                    visit(database, g * GROUP + i, table);
                }
            }
        }
    }

    /// Calls `change` with all tables that were made.
    pub(super) fn each_mut(&mut self, change: impl FnMut(&mut Table)) {
        let groups = self.groups.iter_mut().flatten().flatten();
        groups.flat_map(|group| group.iter_mut()).for_each(change);
    }

    /// Bytes of everything but what the tables count themselves.
    pub(super) fn own_bytes(&self) -> usize {
        self.own_bytes
    }
}

/// The keys of one slot apart from its shard: a copy that is being built.
#[derive(Default)]
pub struct SlotKeys {
    tables: Vec<(Database, Table)>,
}

impl SlotKeys {
    /// A slot without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies an effect on one of the databases; always the same hasher.
    pub fn apply(&mut self, database: Database, effect: &Effect<'_>, hasher: &KeyHasher) {
        match *effect {
            Effect::Swap { with } => {
                let number = |of| {
                    if of == database {
                        with
                    } else if of == with {
                        database
                    } else {
                        of
                    }
                };
                self.tables.iter_mut().for_each(|table| table.0 = number(table.0));
            }
            ref effect => {
                effect.apply(self.table_mut(database), hasher);
            }
        }
    }

    fn table_mut(&mut self, database: Database) -> &mut Table {
        let at = self.tables.iter().position(|table| table.0 == database).unwrap_or_else(|| {
            self.tables.push((database, Table::new()));
            self.tables.len() - 1
        });
        &mut self.tables[at].1
    }

    /// The tables, in no order.
    pub(super) fn into_tables(self) -> Vec<(Database, Table)> {
        self.tables
    }

    pub(super) fn of_tables(tables: Vec<(Database, Table)>) -> Self {
        Self { tables }
    }
}

/// A place in the order of a slot's keys: by database, then by hash. What comes before it has been walked over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WalkPosition {
    /// In which database.
    pub database: Database,
    /// Where in that database's table.
    pub position: ScanPosition,
}

impl WalkPosition {
    /// Before all keys.
    pub const START: Self = Self { database: Database::MAIN, position: ScanPosition::START };

    /// The place of a key.
    pub fn of_hash(database: Database, hash: u64) -> Self {
        Self { database, position: ScanPosition::of_hash(hash) }
    }

    /// Where to go on in the table of a database that is this position's, or a later one.
    pub fn within(self, database: Database) -> ScanPosition {
        if database == self.database { self.position } else { ScanPosition::START }
    }
}

/// How many keys of a database there are, in the slots that somebody asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatabaseKeys {
    /// The database.
    pub database: Database,
    /// Keys.
    pub keys: u64,
    /// Of those, keys with an expiry.
    pub volatile: u64,
}
