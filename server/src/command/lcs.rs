//! LCS: the longest common subsequence of two strings.
//!
//! Redis fills a table of numbers, L(i, j) being the length for the first i bytes of one string and the first j of
//! the other. Here a row of that table is a row of bits, one per byte of the second string: bit j is clear where
//! L(i, j + 1) = L(i, j) + 1. A row follows from the one before it by an addition with carry, 64 bytes at a time
//! (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004), which takes about a hundredth of the time and a
//! thirty-second of the memory. And the bits are all that the way back through the table asks: where two bytes
//! differ, L(i - 1, j) > L(i, j - 1) exactly if L(i, j) > L(i, j - 1), for then L(i, j) is L(i - 1, j).

use carousel_protocol::resp::Argv;

use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use crate::store::VALUE_BYTES_MAX;

/// `LCS key1 key2 [LEN | IDX [MINMATCHLEN n] [WITHMATCHLEN]]`
pub(super) fn lcs(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let first = string_at(exec, argv, 1)?;
    let second = string_at(exec, argv, 2)?;
    let options = Options::parse(argv)?;
    check_size(first.len(), second.len())?;
    match options.wanted {
        Wanted::Len => {
            let table = Table::fill(&first, &second, Rows::Last);
            exec.reply.integer(table.len() as i64);
        }
        Wanted::Text => {
            let matches = Table::fill(&first, &second, Rows::All).matches(&first, &second);
            let mut text = Vec::new();
            matches.iter().rev().for_each(|found| text.extend_from_slice(&first[found.first..][..found.len]));
            exec.reply.bulk(&text);
        }
        Wanted::Places => {
            let table = Table::fill(&first, &second, Rows::All);
            reply_places(exec, &options, table.matches(&first, &second), table.len());
        }
    }
    Ok(())
}

/// The value of a key, empty where there is none.
fn string_at(exec: &mut Exec<'_>, argv: Argv<'_>, index: usize) -> Result<Vec<u8>, CommandError> {
    let (at, key) = exec.key_of_any_slot(argv, index);
    let value = exec.read_as::<&[u8]>(at, key).map_err(|_| CommandError::LcsNotStrings)?;
    Ok(value.unwrap_or_default().to_vec())
}

/// Refuses what Redis refuses: where its table of 32-bit numbers would be larger than a value may be.
fn check_size(first_bytes: usize, second_bytes: usize) -> Outcome {
    let cells = (first_bytes as u64 + 1) * (second_bytes as u64 + 1);
    if cells * 4 > VALUE_BYTES_MAX as u64 {
        return Err(CommandError::LcsTooLarge);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The subsequence itself.
    Text,
    /// `LEN`
    Len,
    /// `IDX`
    Places,
}

struct Options {
    wanted: Wanted,
    /// `MINMATCHLEN`: shorter matches are not shown.
    match_bytes_min: i64,
    /// `WITHMATCHLEN`
    shows_match_len: bool,
}

impl Options {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        let mut options = Self { wanted: Wanted::Text, match_bytes_min: 0, shows_match_len: false };
        let (mut wants_len, mut wants_places) = (false, false);
        let mut at = 3;
        while at < argv.len() {
            let option = argv.get(at);
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            at += 1;
            match () {
                () if is("IDX") => wants_places = true,
                () if is("LEN") => wants_len = true,
                () if is("WITHMATCHLEN") => options.shows_match_len = true,
                () if is("MINMATCHLEN") && at < argv.len() => {
                    options.match_bytes_min = integer(argv.get(at))?;
                    at += 1;
                }
                () => return Err(CommandError::Syntax),
            }
        }
        options.wanted = match (wants_len, wants_places) {
            (true, true) => return Err(CommandError::LcsLenAndIdx),
            (true, false) => Wanted::Len,
            (false, true) => Wanted::Places,
            (false, false) => Wanted::Text,
        };
        Ok(options)
    }
}

fn reply_places(exec: &mut Exec<'_>, options: &Options, mut matches: Vec<Match>, len: usize) {
    matches.retain(|found| found.len as i64 >= options.match_bytes_min);
    exec.reply.map(2);
    exec.reply.bulk(b"matches");
    exec.reply.array(matches.len());
    for found in matches {
        exec.reply.array(if options.shows_match_len { 3 } else { 2 });
        for start in [found.first, found.second] {
            exec.reply.array(2);
            exec.reply.integer(start as i64);
            exec.reply.integer((start + found.len - 1) as i64);
        }
        if options.shows_match_len {
            exec.reply.integer(found.len as i64);
        }
    }
    exec.reply.bulk(b"len");
    exec.reply.integer(len as i64);
}

/// Bytes of the subsequence that follow each other in both strings.
#[derive(Clone, Copy)]
struct Match {
    /// Where they begin in the first string.
    first: usize,
    /// Where they begin in the second string.
    second: usize,
    len: usize,
}

/// Which rows of a [`Table`] are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Enough for the length.
    Last,
    /// What the way back needs.
    All,
}

/// The rows of bits; see the module's head.
struct Table {
    /// Words of a row. Bits after the end of the second string are set.
    width: usize,
    /// Row i is about the first i bytes of the first string; the first row is all ones.
    rows: Vec<u64>,
}

impl Table {
    fn fill(first: &[u8], second: &[u8], kept: Rows) -> Self {
        let width = second.len().div_ceil(64);
        let places = Places::of(first, second, width);
        let mut rows = vec![u64::MAX; width];
        if kept == Rows::All {
            rows.reserve_exact(width * first.len());
        }
        for byte in first {
            if kept == Rows::All {
                rows.extend_from_within(rows.len() - width..);
            }
            let row = rows.len() - width;
            let mut carry = false;
            for (word, equal) in rows[row..].iter_mut().zip(places.get(*byte)) {
                let hit = *word & equal;
                let (sum, carries) = word.carrying_add(hit, carry);
                carry = carries;
                *word = sum | (*word & !hit);
            }
        }
        Self { width, rows }
    }

    /// The length of the subsequence.
    fn len(&self) -> usize {
        let last = &self.rows[self.rows.len() - self.width..];
        last.iter().map(|word| word.count_zeros() as usize).sum()
    }

    /// Whether L(i, j) = L(i, j - 1) + 1.
    fn grows(&self, i: usize, j: usize) -> bool {
        let bit = j - 1;
        self.rows[i * self.width + bit / 64] & (1 << (bit % 64)) == 0
    }

    /// The matches that Redis finds, last one first: of several subsequences it takes the one that the way back comes
    /// to when it prefers to leave out a byte of the second string.
    fn matches(&self, first: &[u8], second: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (first.len(), second.len());
        while i > 0 && j > 0 {
            if first[i - 1] == second[j - 1] {
                match matches.last_mut() {
                    Some(found) if found.first == i && found.second == j => {
                        *found = Match { first: i - 1, second: j - 1, len: found.len + 1 };
                    }
                    Some(_) | None => matches.push(Match { first: i - 1, second: j - 1, len: 1 }),
                }
                i -= 1;
                j -= 1;
            } else if self.grows(i, j) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}

/// Where in the second string each byte of the first is, as rows of bits.
struct Places {
    width: usize,
    /// The number of a byte's row.
    row_of: [u16; 256],
    rows: Vec<u64>,
}

impl Places {
    fn of(first: &[u8], second: &[u8], width: usize) -> Self {
        // The row of the bytes that are only in the second string, which nobody asks for.
        const UNUSED: u16 = u16::MAX;
        let (mut row_of, mut count) = ([UNUSED; 256], 0);
        for &byte in first {
            let row = &mut row_of[usize::from(byte)];
            if *row == UNUSED {
                *row = count;
                count += 1;
            }
        }
        let mut rows = vec![0; usize::from(count) * width];
        for (at, &byte) in second.iter().enumerate() {
            let row = row_of[usize::from(byte)];
            if row != UNUSED {
                rows[usize::from(row) * width + at / 64] |= 1 << (at % 64);
            }
        }
        Self { width, row_of, rows }
    }

    /// The places of a byte of the first string.
    fn get(&self, byte: u8) -> &[u64] {
        let row = usize::from(self.row_of[usize::from(byte)]);
        &self.rows[row * self.width..][..self.width]
    }
}
