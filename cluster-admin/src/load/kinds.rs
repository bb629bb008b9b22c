//! The types of keys that a load makes, and the commands that it sends to them.

use std::fmt;
use std::str::FromStr;

use super::value::Dice;

/// The type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One value per key.
    String,
    /// Fields with values.
    Hash,
    /// Values, pushed and popped in balance.
    List,
    /// Members, added and removed in balance.
    Set,
    /// Members with scores.
    SortedSet,
}

impl Kind {
    /// All of them, in the order of their shares.
    pub const ALL: [Self; 5] = [Self::String, Self::Hash, Self::List, Self::Set, Self::SortedSet];

    /// Its name, as `TYPE` answers it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
        }
    }

    /// What follows the prefix in the names of its keys, so that no two mixes disagree about the type of a key.
    pub const fn infix(self) -> &'static str {
        match self {
            Self::String => "",
            Self::Hash => "hash:",
            Self::List => "list:",
            Self::Set => "set:",
            Self::SortedSet => "zset:",
        }
    }

    /// Does a key that was filled stay there whatever is written later? Lists and sets may be emptied.
    pub const fn lasts(self) -> bool {
        matches!(self, Self::String | Self::Hash | Self::SortedSet)
    }

    /// A read of such a key.
    pub fn read(self, dice: &mut Dice) -> Op {
        match self {
            Self::String => Op::Get,
            Self::Hash => Op::HGet,
            Self::List => Op::LRange,
            Self::Set => Op::SIsMember,
            Self::SortedSet => {
                if dice.chance(0.5) {
                    Op::ZScore
                } else {
                    Op::ZRange
                }
            }
        }
    }

    /// A write of such a key. Over time a collection neither empties nor grows without end.
    pub fn write(self, dice: &mut Dice) -> Op {
        match self {
            Self::String => Op::Set,
            Self::Hash => Op::HSet,
            Self::List => {
                if dice.chance(0.5) {
                    Op::RPush
                } else {
                    Op::LPop
                }
            }
            Self::Set => {
                if dice.chance(0.5) {
                    Op::SAdd
                } else {
                    Op::SRem
                }
            }
            Self::SortedSet => Op::ZAdd,
        }
    }

    /// What writes a whole key.
    pub const fn fill(self) -> Op {
        match self {
            Self::String => Op::Set,
            Self::Hash => Op::HSet,
            Self::List => Op::RPush,
            Self::Set => Op::SAdd,
            Self::SortedSet => Op::ZAdd,
        }
    }

    /// What reads a whole key.
    pub const fn read_all(self) -> Op {
        match self {
            Self::String => Op::Get,
            Self::Hash => Op::HGetAll,
            Self::List => Op::LRange,
            Self::Set => Op::SMembers,
            Self::SortedSet => Op::ZRange,
        }
    }
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the command of that name")]
pub enum Op {
    Get,
    Set,
    HGet,
    HGetAll,
    HSet,
    LRange,
    RPush,
    LPop,
    SIsMember,
    SMembers,
    SAdd,
    SRem,
    ZScore,
    ZRange,
    ZAdd,
}

impl Op {
    /// The command's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Set => "SET",
            Self::HGet => "HGET",
            Self::HGetAll => "HGETALL",
            Self::HSet => "HSET",
            Self::LRange => "LRANGE",
            Self::RPush => "RPUSH",
            Self::LPop => "LPOP",
            Self::SIsMember => "SISMEMBER",
            Self::SMembers => "SMEMBERS",
            Self::SAdd => "SADD",
            Self::SRem => "SREM",
            Self::ZScore => "ZSCORE",
            Self::ZRange => "ZRANGE",
            Self::ZAdd => "ZADD",
        }
    }

    /// Does it change data?
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            Self::Set | Self::HSet | Self::RPush | Self::LPop | Self::SAdd | Self::SRem | Self::ZAdd
        )
    }
}

/// Shares of the types among the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Types {
    /// By [`Kind::ALL`].
    weights: [u32; Kind::ALL.len()],
}

impl Default for Types {
    fn default() -> Self {
        Self { weights: [1, 0, 0, 0, 0] }
    }
}

impl Types {
    /// The type of key number `index`: always the same for the same shares, with the types well mixed.
    pub fn of(&self, index: u32) -> Kind {
        let total: u32 = self.weights.iter().sum();
        let mut place = index % total;
        for (kind, weight) in Kind::ALL.into_iter().zip(self.weights) {
            if place < weight {
                return kind;
            }
            place -= weight;
        }
        unreachable!("a remainder is less than the sum")
    }

    /// The types that have a share.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        Kind::ALL.into_iter().zip(self.weights).filter(|(_, weight)| *weight > 0).map(|(kind, _)| kind)
    }
}

impl FromStr for Types {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = [0; Kind::ALL.len()];
        for part in text.split(',') {
            let (name, weight) = match part.split_once(':') {
                Some((name, weight)) => (name, weight.parse().ok().filter(|weight| *weight <= 1000)),
                None => (part, Some(1)),
            };
            let Some(weight) = weight else {
                return Err(format!("'{part}' has no weight between 0 and 1000"));
            };
            if name == "all" {
                weights.fill(weight);
                continue;
            }
            let Some(place) = Kind::ALL.iter().position(|kind| kind.name() == name) else {
                return Err(format!("'{name}' is none of string, hash, list, set, zset and all"));
            };
            weights[place] = weight;
        }
        if weights.iter().all(|weight| *weight == 0) {
            return Err("no type has a weight above 0".into());
        }
        Ok(Self { weights })
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, weight) in Kind::ALL.into_iter().zip(self.weights).filter(|(_, weight)| *weight > 0) {
            write!(f, "{separator}{}:{weight}", kind.name())?;
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_types_of_their_shares() {
        let types: Types = "string:2,zset,hash:3".parse().unwrap();
        let of = |kind| (0..6000).filter(|index| types.of(*index) == kind).count();
        assert_eq!(Kind::ALL.map(of), [2000, 3000, 0, 0, 1000]);
        assert_eq!(types.to_string(), "string:2,hash:3,zset:1");
        assert_eq!("all".parse::<Types>().unwrap().kinds().count(), 5);
        assert_eq!("all,list:0".parse::<Types>().unwrap().kinds().count(), 4);
    }

    #[test]
    fn shares_that_make_no_sense_are_named() {
        for (text, part) in [
            ("", "'' is none of"),
            ("string,stream", "'stream' is none of string, hash"),
            ("hash:x", "'hash:x' has no weight"),
            ("hash:1001", "'hash:1001' has no weight"),
            ("hash:0", "no type has a weight"),
        ] {
            let error = text.parse::<Types>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn reads_read_and_writes_write() {
        let mut dice = Dice::new(1);
        for kind in Kind::ALL {
            for _ in 0..20 {
                assert!(!kind.read(&mut dice).is_write() && kind.write(&mut dice).is_write(), "{kind:?}");
            }
            assert!(kind.fill().is_write() && !kind.read_all().is_write(), "{kind:?}");
        }
    }
}
