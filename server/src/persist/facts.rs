//! The format of the small files of a data directory: lines of `name value`, then the CRC-32C of those lines.
//! Text, so that an operator can read them; checked, so that a damaged one is never believed. Pure.

use std::fmt::{Display, Write};

/// The lines of a small file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Facts(Vec<(String, String)>);

impl Facts {
    /// With one more line. Values are of one line.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        assert!(!value.contains('\n') && !name.contains([' ', '\n']), "{name} {value}");
        self.0.push((name.to_owned(), value));
        self
    }

    /// The value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// The value of that name, if it is a proper one.
    pub(super) fn parse<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// The content of the file.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            writeln!(text, "{name} {value}").expect("a string takes all");
        }
        let crc = crc_fast::crc32_iscsi(text.as_bytes());
        writeln!(text, "crc32c {crc:08x}").expect("a string takes all");
        text
    }

    /// Reads a file, or `None` where it is not as it was written.
    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let (lines, crc) = text.split_at(text.strip_suffix('\n')?.rfind('\n')? + 1);
        if crc != format!("crc32c {:08x}\n", crc_fast::crc32_iscsi(lines.as_bytes())) {
            return None;
        }
        let fact = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
        lines.lines().map(fact).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_read_back_and_any_damage_to_them_is_seen() {
        let facts = Facts::default().with("generation", 3).with("boot", "a b").with("empty", "");
        let text = facts.encode();
        assert_eq!(Facts::decode(text.as_bytes()), Some(facts.clone()));
        assert_eq!(
            (facts.parse("generation"), facts.get("boot"), facts.get("x")),
            (Some(3), Some("a b"), None)
        );
        for bit in 0..text.len() * 8 {
            let mut damaged = text.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Facts::decode(&damaged), None, "bit {bit}");
        }
        for cut in 0..text.len() {
            assert_eq!(Facts::decode(&text.as_bytes()[..cut]), None, "cut at {cut}");
        }
    }
}
