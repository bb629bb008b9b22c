//! Which transactions of several slots or shards a restart finds complete.
//!
//! Between a transaction's [`Note::Begin`] in a log and its [`Note::Commit`] nobody else writes to its slots there. So a
//! transaction that is not complete is taken out by passing over the records of its slots from its `Begin` on. It is
//! complete where each shard that it wrote on has its `Commit`, or any says that it [counts](Note::SettledBefore).
//!
//! A process that dies leaves all that it wrote, and gave back the slots of no transaction that was not complete: then
//! nothing is passed over but the transaction itself. A power loss may take the end of one log and leave that of another.
//! Then others may have written to the slots, and that goes with the transaction; a later transaction that was executed
//! upon it is taken out too, on all of its shards, and so on. All of it was written after something that the disk had not
//! been told to keep, so none of it was promised to survive.
//!
//! That a transaction counts is written to a log only when every shard has its `Commit` on stable storage. Otherwise a
//! power loss could leave one log that says so, and another without its part.

use std::collections::{BTreeMap, BTreeSet};

use carousel_protocol::{Epoch, Seq, ShardId, SlotId};
use serde::{Deserialize, Serialize};

use super::record::{RecordHeader, RecordKind};

/// Names a transaction for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TransactionId {
    /// A random number of the process.
    pub process: u64,
    /// The shard that coordinates it.
    pub shard: ShardId,
    /// Its number there.
    pub number: u64,
}

/// What a log says of a transaction. Its encoding is that of `postcard`: numbers as LEB128 varints, lists preceded by
/// their length, the variant first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Note {
    /// From here on the records of these slots are the transaction's.
    Begin {
        /// Which.
        transaction: TransactionId,
        /// The slots, all of this log's shard; none are all of them.
        slots: Vec<SlotId>,
    },
    /// It has run; it counts once all these shards have said so.
    Commit {
        /// Which.
        transaction: TransactionId,
        /// The shards that it has written on.
        shards: Vec<ShardId>,
    },
    /// What has become of it.
    Settled {
        /// Which.
        transaction: TransactionId,
        /// Whether its records count.
        counts: bool,
    },
    /// What has become of all that began in this log before that position: they count, but those of which a log says that
    /// they don't.
    SettledBefore {
        /// Bytes of records before it.
        position: u64,
    },
}

impl Note {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bytes = postcard::to_stdvec(self).expect("lists of numbers always encode");
        out.extend_from_slice(&bytes);
    }

    /// The header of its record, which is of no slot.
    pub fn header(&self) -> RecordHeader {
        let kind = match self {
            Self::Begin { .. } => RecordKind::Begin,
            Self::Commit { .. } => RecordKind::Commit,
            Self::Settled { .. } | Self::SettledBefore { .. } => RecordKind::Settled,
        };
        RecordHeader { kind, slot: const { SlotId::new(0).unwrap() }, epoch: Epoch(0), seq: Seq(0) }
    }

    /// The note of a payload.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        postcard::from_bytes(payload).ok()
    }
}

/// Records to pass over: those of the slots, from one position of the log up to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Void {
    /// The slots; none are all of the log.
    pub slots: Vec<SlotId>,
    /// The position of the first record to be passed over.
    pub from: u64,
    /// The position of the first record behind.
    pub to: u64,
}

impl Void {
    /// Whether it passes over the record at that position, of that slot.
    pub fn has(&self, position: u64, slot: SlotId) -> bool {
        (self.from..self.to).contains(&position) && (self.slots.is_empty() || self.slots.contains(&slot))
    }
}

/// What one log says of transactions, with the position of each note.
#[derive(Default, Debug)]
pub struct LogNotes {
    notes: Vec<(u64, Note)>,
    /// Transactions that have begun, and of which this log does not say yet that they count.
    open: usize,
}

impl LogNotes {
    /// Takes the note at that position of the log of `shard`.
    pub fn push(&mut self, shard: ShardId, at: u64, note: Note) {
        match &note {
            Note::Begin { .. } => self.open += 1,
            Note::Commit { transaction, shards } if shards == &[shard] => {
                self.open = self.open.saturating_sub(1);
                // One of this shard alone needs nobody to say that it counts, unless it may have been built on another.
                let begun =
                    |note: &Note| matches!(note, Note::Begin { transaction: id, .. } if id == transaction);
                if self.open == 0 && self.notes.pop_if(|(_, last)| begun(last)).is_some() {
                    return;
                }
            }
            Note::Commit { .. } => {}
            Note::Settled { .. } => self.open = self.open.saturating_sub(1),
            Note::SettledBefore { position } => {
                let later = || self.notes.iter().rev().take_while(|(at, _)| at >= position);
                let begun = later().filter(|(_, note)| matches!(note, Note::Begin { .. })).count();
                let alone = |note: &Note| matches!(note, Note::Commit { shards, .. } if shards == &[shard]);
                self.open = begun.saturating_sub(later().filter(|(_, note)| alone(note)).count());
            }
        }
        self.notes.push((at, note));
    }
}

/// What all logs together say about transactions: what does not count, and what each log is to be told.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Per shard, what to pass over.
    pub voids: BTreeMap<ShardId, Vec<Void>>,
    /// Per shard, the notes that say for ever what was decided now.
    pub settle: BTreeMap<ShardId, Vec<Note>>,
}

#[derive(Default)]
struct Transaction {
    parts: BTreeMap<ShardId, Part>,
    /// Those that it wrote on, as any of its commits says.
    shards: Option<Vec<ShardId>>,
    committed: BTreeSet<ShardId>,
    counts: Option<bool>,
}

struct Part {
    slots: Vec<SlotId>,
    begin: u64,
    /// Where this log says what has become of it alone.
    settled: Option<u64>,
    /// This log says that it counts, together with others.
    is_before_settled: bool,
}

impl Part {
    /// The log says for ever what has become of it.
    fn is_known(&self) -> bool {
        self.settled.is_some() || self.is_before_settled
    }
}

/// Decides from the notes of all logs.
pub fn decide(logs: impl IntoIterator<Item = (ShardId, LogNotes)>) -> Verdict {
    let mut transactions: BTreeMap<TransactionId, Transaction> = BTreeMap::new();
    let mut settled_before: BTreeMap<ShardId, u64> = BTreeMap::new();
    let notes = logs
        .into_iter()
        .flat_map(|(shard, notes)| notes.notes.into_iter().map(move |(at, note)| (shard, at, note)));
    for (shard, at, note) in notes {
        match note {
            Note::Begin { transaction, slots } => {
                let part = Part { slots, begin: at, settled: None, is_before_settled: false };
                transactions.entry(transaction).or_default().parts.insert(shard, part);
            }
            Note::Commit { transaction, shards } => {
                let known = transactions.entry(transaction).or_default();
                known.shards = Some(shards);
                known.committed.insert(shard);
            }
            Note::Settled { transaction, counts } => {
                let known = transactions.entry(transaction).or_default();
                known.counts = Some(counts);
                if let Some(part) = known.parts.get_mut(&shard) {
                    part.settled = Some(at);
                }
            }
            Note::SettledBefore { position } => {
                let before = settled_before.entry(shard).or_default();
                *before = position.max(*before);
            }
        }
    }
    for transaction in transactions.values_mut() {
        for (shard, part) in &mut transaction.parts {
            part.is_before_settled = settled_before.get(shard).is_some_and(|before| part.begin < *before);
        }
        if transaction.counts.is_none() && transaction.parts.values().any(|part| part.is_before_settled) {
            transaction.counts = Some(true);
        }
    }
    let mut void: BTreeSet<TransactionId> = BTreeSet::new();
    for (id, transaction) in &transactions {
        let is_committed = || {
            let shards = transaction.shards.as_ref();
            shards.is_some_and(|shards| shards.iter().all(|shard| transaction.committed.contains(shard)))
        };
        if !transaction.counts.unwrap_or_else(is_committed) {
            void.insert(*id);
        }
    }
    while let Some(id) = built_on_void(&transactions, &void) {
        void.insert(id);
    }
    let mut verdict = Verdict::default();
    let mut counting: BTreeMap<ShardId, u64> = BTreeMap::new();
    for (id, transaction) in transactions {
        let counts = !void.contains(&id);
        // What a shard did alone is clear from its log, for ever.
        let is_clear = counts && transaction.shards.as_ref().is_some_and(|shards| shards.len() == 1);
        for (shard, part) in transaction.parts {
            if !counts {
                let to = part.settled.unwrap_or(u64::MAX);
                let void = Void { slots: part.slots, from: part.begin, to };
                verdict.voids.entry(shard).or_default().push(void);
                if part.settled.is_none() {
                    let note = Note::Settled { transaction: id, counts };
                    verdict.settle.entry(shard).or_default().push(note);
                }
            } else if !part.is_known() && !is_clear {
                let last = counting.entry(shard).or_default();
                *last = part.begin.max(*last);
            }
        }
    }
    for (shard, last) in counting {
        // (Behind those that do not count, which it would cover.)
        verdict.settle.entry(shard).or_default().push(Note::SettledBefore { position: last + 1 });
    }
    verdict
}

/// A transaction that is not void and not settled, but began in a log behind a void one on the same slots.
fn built_on_void(
    transactions: &BTreeMap<TransactionId, Transaction>,
    void: &BTreeSet<TransactionId>,
) -> Option<TransactionId> {
    let overlap =
        |a: &[SlotId], b: &[SlotId]| a.is_empty() || b.is_empty() || a.iter().any(|slot| b.contains(slot));
    let is_built_on = |transaction: &Transaction, below: &Transaction| {
        transaction.parts.iter().any(|(shard, part)| {
            below.parts.get(shard).is_some_and(|base| {
                base.settled.is_none() && base.begin < part.begin && overlap(&base.slots, &part.slots)
            })
        })
    };
    let mut candidates =
        transactions.iter().filter(|(id, it)| !void.contains(*id) && it.counts != Some(true));
    let found = candidates.find(|(_, it)| void.iter().any(|below| is_built_on(it, &transactions[below])));
    found.map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TransactionId {
        TransactionId { process: 7, shard: ShardId(0), number }
    }

    fn slots(slots: &[u16]) -> Vec<SlotId> {
        slots.iter().map(|slot| SlotId::new(*slot).unwrap()).collect()
    }

    fn begin(shard: u16, at: u64, number: u64, of: &[u16]) -> (ShardId, u64, Note) {
        (ShardId(shard), at, Note::Begin { transaction: id(number), slots: slots(of) })
    }

    fn commit(shard: u16, at: u64, number: u64, of: &[u16]) -> (ShardId, u64, Note) {
        let shards = of.iter().map(|shard| ShardId(*shard)).collect();
        (ShardId(shard), at, Note::Commit { transaction: id(number), shards })
    }

    fn settled(shard: u16, at: u64, number: u64, counts: bool) -> (ShardId, u64, Note) {
        (ShardId(shard), at, Note::Settled { transaction: id(number), counts })
    }

    fn void(of: &[u16], from: u64, to: u64) -> Void {
        Void { slots: slots(of), from, to }
    }

    #[test]
    fn notes_read_back_and_nonsense_does_not() {
        for (_, _, note) in [
            begin(0, 0, 1, &[1, 16383]),
            commit(0, 0, 2, &[0, 5]),
            settled(0, 0, 3, false),
            settled_before(0, 0, 1 << 40),
        ] {
            let mut bytes = Vec::new();
            note.encode(&mut bytes);
            assert_eq!(Note::decode(&bytes), Some(note));
            assert_eq!(Note::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Note::decode(b"\x09"), None);
    }

    /// Decides from notes in the order of each log.
    fn decide(notes: impl IntoIterator<Item = (ShardId, u64, Note)>) -> Verdict {
        let mut logs: BTreeMap<ShardId, LogNotes> = BTreeMap::new();
        for (shard, position, note) in notes {
            logs.entry(shard).or_default().push(shard, position, note);
        }
        super::decide(logs)
    }

    fn settled_before(shard: u16, at: u64, position: u64) -> (ShardId, u64, Note) {
        (ShardId(shard), at, Note::SettledBefore { position })
    }

    #[test]
    fn what_every_shard_has_committed_counts() {
        let notes = [
            begin(0, 10, 1, &[1]),
            commit(0, 20, 1, &[0, 1]),
            begin(1, 5, 1, &[16]),
            commit(1, 9, 1, &[0, 1]),
        ];
        let verdict = decide(notes);
        assert_eq!(verdict.voids, BTreeMap::new());
        // And from now on the logs say so by themselves.
        let all_before = |position| vec![Note::SettledBefore { position }];
        assert_eq!(
            verdict.settle,
            BTreeMap::from([(ShardId(0), all_before(11)), (ShardId(1), all_before(6))])
        );
    }

    #[test]
    fn what_began_before_a_position_counts_though_another_log_was_cut() {
        let notes = [
            begin(0, 10, 1, &[1]),
            commit(0, 20, 1, &[0, 1]),
            begin(0, 30, 2, &[2]),
            commit(0, 40, 2, &[0, 1]),
            settled_before(0, 50, 25),
        ];
        let verdict = decide(notes);
        assert_eq!(verdict.voids, BTreeMap::from([(ShardId(0), vec![void(&[2], 30, u64::MAX)])]));
        assert_eq!(verdict.settle[&ShardId(0)], [Note::Settled { transaction: id(2), counts: false }]);
    }

    #[test]
    fn what_one_log_says_does_not_count_stays_out_whatever_is_settled_before_a_position() {
        let notes = [
            begin(0, 10, 1, &[1]),
            settled(0, 20, 1, false),
            settled_before(0, 22, 15),
            begin(1, 10, 1, &[16]),
            commit(1, 12, 1, &[0, 1]),
            settled_before(1, 14, 11),
        ];
        let verdict = decide(notes);
        let expected =
            [(ShardId(0), vec![void(&[1], 10, 20)]), (ShardId(1), vec![void(&[16], 10, u64::MAX)])];
        assert_eq!(verdict.voids, BTreeMap::from(expected));
    }

    #[test]
    fn what_one_shard_lacks_counts_on_none() {
        let notes = [begin(0, 10, 1, &[1, 2]), commit(0, 20, 1, &[0, 1]), begin(1, 5, 1, &[16])];
        let verdict = decide(notes);
        let expected =
            [(ShardId(0), vec![void(&[1, 2], 10, u64::MAX)]), (ShardId(1), vec![void(&[16], 5, u64::MAX)])];
        assert_eq!(verdict.voids, BTreeMap::from(expected));
        let void = Note::Settled { transaction: id(1), counts: false };
        assert_eq!(verdict.settle[&ShardId(1)], [void]);
    }

    #[test]
    fn a_log_that_is_cut_does_not_take_back_what_another_says_counts() {
        let notes = [begin(0, 10, 1, &[1]), commit(0, 20, 1, &[0, 1]), settled(0, 30, 1, true)];
        assert_eq!(decide(notes), Verdict::default());
    }

    #[test]
    fn what_was_taken_out_once_stays_out_and_hides_nothing_that_came_later() {
        let notes =
            [begin(0, 10, 1, &[1]), settled(0, 50, 1, false), begin(0, 60, 2, &[1]), commit(0, 70, 2, &[0])];
        let verdict = decide(notes);
        assert_eq!(verdict.voids, BTreeMap::from([(ShardId(0), vec![void(&[1], 10, 50)])]));
        assert_eq!(verdict.settle, BTreeMap::new());
        let one = &verdict.voids[&ShardId(0)][0];
        assert!(one.has(10, slots(&[1])[0]) && !one.has(50, slots(&[1])[0]) && !one.has(10, slots(&[2])[0]));
    }

    #[test]
    fn what_is_built_on_a_transaction_that_is_taken_out_goes_with_it() {
        // The power failed: shard 1 has lost its end, and with it its part of the first.
        let notes = [
            begin(0, 10, 1, &[1]),
            commit(0, 20, 1, &[0, 1]),
            begin(0, 30, 2, &[1]),
            commit(0, 40, 2, &[0, 2]),
            begin(2, 10, 2, &[32]),
            commit(2, 20, 2, &[0, 2]),
            begin(2, 30, 3, &[32]),
            commit(2, 40, 3, &[2]),
            begin(2, 50, 4, &[33]),
            commit(2, 60, 4, &[2]),
        ];
        let verdict = decide(notes);
        let on = |shard| verdict.voids[&ShardId(shard)].iter().map(|void| void.from).collect::<Vec<_>>();
        assert_eq!((on(0), on(2)), (vec![10, 30], vec![10, 30]));
        assert_eq!(verdict.settle[&ShardId(2)].len(), 2, "the fourth has nothing to do with them");
    }

    #[test]
    fn what_a_shard_did_alone_is_remembered_only_behind_what_is_not_clear() {
        let mut notes = LogNotes::default();
        let push = |notes: &mut LogNotes, (shard, position, note)| notes.push(shard, position, note);
        for number in 0..3 {
            push(&mut notes, begin(0, 2 * number, number, &[1, 2]));
            push(&mut notes, commit(0, 2 * number + 1, number, &[0]));
        }
        push(&mut notes, begin(0, 6, 3, &[1]));
        push(&mut notes, commit(0, 7, 3, &[0, 1]));
        push(&mut notes, begin(0, 8, 4, &[1, 2]));
        push(&mut notes, commit(0, 9, 4, &[0]));
        push(&mut notes, settled_before(0, 10, 8));
        push(&mut notes, begin(0, 11, 5, &[1, 2]));
        push(&mut notes, commit(0, 12, 5, &[0]));
        let positions: Vec<_> = notes.notes.iter().map(|(position, _)| *position).collect();
        assert_eq!(positions, [6, 7, 8, 9, 10]);
    }
}
