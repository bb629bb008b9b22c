//! Inputs made from those of a corpus.

/// Longest input.
const BYTES_MAX: usize = 4096;

/// Makes inputs; the same for the same corpus, seed and number.
pub(super) struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    words: &'a [&'a [u8]],
}

impl<'a> Mutator<'a> {
    pub(super) fn new(corpus: &'a [Vec<u8>], words: &'a [&'a [u8]]) -> Self {
        Self { corpus, words }
    }

    pub(super) fn input(&self, seed: u64, number: u64) -> Vec<u8> {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let mut input = self.corpus[dice.below(self.corpus.len())].clone();
        for _ in 0..=dice.below(6) {
            self.change(&mut input, &mut dice);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&self, input: &mut Vec<u8>, dice: &mut Dice) {
        const BYTES: [u8; 12] = [0, 1, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xf0, 0xfe, 0xff];
        let at = dice.below(input.len() + 1);
        let range = at..(at + dice.below(9)).min(input.len());
        match dice.below(9) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < input.len() => input[at] = BYTES[dice.below(BYTES.len())],
            2 if at < input.len() => input[at] = input[at].wrapping_add([1, 255][dice.below(2)]),
            3 => input.insert(at, dice.below(256) as u8),
            4 => drop(input.drain(range)),
            5 => {
                let part = input[range].to_vec();
                let to = dice.below(input.len() + 1);
                input.splice(to..to, part);
            }
            6 => {
                let other = &self.corpus[dice.below(self.corpus.len())];
                let start = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[start..]);
            }
            7 => {
                let other = &self.corpus[dice.below(self.corpus.len())];
                let start = dice.below(other.len() + 1);
                let end = start + dice.below(other.len() + 1 - start);
                input.splice(at..at, other[start..end].iter().copied());
            }
            _ => {
                let word = self.words[dice.below(self.words.len())];
                input.splice(at..at, word.iter().copied());
            }
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }
}
