//! Which key a request is about.

use std::fmt;
use std::str::FromStr;

use rand_distr::{Distribution as _, Zipf};

use super::value::Dice;

/// Zipf's exponent where none is given: that of YCSB.
const ZIPF_THETA: f64 = 0.99;

/// How often each key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Distribution {
    /// All keys alike.
    #[default]
    Uniform,
    /// Key number k in proportion to `1 / (k + 1) ^ theta`.
    Zipf {
        /// The exponent; 0 is uniform.
        theta: f64,
    },
    /// All keys alike, and all in one slot.
    HotSlot,
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, theta) = match text.split_once(':') {
            Some((name, theta)) => (name, Some(theta)),
            None => (text, None),
        };
        match (name, theta) {
            ("uniform", None) => Ok(Self::Uniform),
            ("hot-slot", None) => Ok(Self::HotSlot),
            ("zipf", None) => Ok(Self::Zipf { theta: ZIPF_THETA }),
            ("zipf", Some(theta)) => match theta.parse() {
                Ok(theta) if (0.0..=10.0).contains(&theta) => Ok(Self::Zipf { theta }),
                _ => Err(format!("'{theta}' is not an exponent between 0 and 10")),
            },
            _ => Err(format!("'{text}' is none of uniform, zipf, zipf:THETA and hot-slot")),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf { theta } => write!(f, "zipf:{theta}"),
            Self::HotSlot => f.write_str("hot-slot"),
        }
    }
}

/// Draws keys.
#[derive(Debug, Clone)]
pub struct Keys {
    count: u32,
    zipf: Option<Zipf<f64>>,
}

impl Keys {
    /// Draws among `count` keys, at least one.
    pub fn new(distribution: Distribution, count: u32) -> Self {
        let zipf = match distribution {
            Distribution::Uniform | Distribution::HotSlot => None,
            Distribution::Zipf { theta } => {
                Some(Zipf::new(f64::from(count), theta).expect("the options were checked"))
            }
        };
        Self { count, zipf }
    }

    /// The number of a key.
    pub fn draw(&self, dice: &mut Dice) -> u32 {
        match &self.zipf {
            None => dice.below(self.count),
            // Ranks begin at 1; clamped, because floats round.
            Some(zipf) => (zipf.sample(dice) as u32).clamp(1, self.count) - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(distribution: &str, count: u32) -> Vec<u32> {
        let keys = Keys::new(distribution.parse().unwrap(), count);
        let mut dice = Dice::new(7);
        let mut seen = vec![0; count as usize];
        (0..100_000).for_each(|_| seen[keys.draw(&mut dice) as usize] += 1);
        seen
    }

    #[test]
    fn uniform_keys_are_asked_for_alike() {
        for name in ["uniform", "hot-slot", "zipf:0"] {
            let seen = drawn(name, 10);
            assert!(seen.iter().all(|&times| (9_500..10_500).contains(&times)), "{name}: {seen:?}");
        }
    }

    #[test]
    fn zipf_follows_its_law() {
        for (name, theta) in [("zipf", 0.99), ("zipf:1", 1.0), ("zipf:1.5", 1.5)] {
            let seen = drawn(name, 1000);
            let sum: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-theta)).sum();
            for rank in [1, 2, 10] {
                let wanted = f64::from(rank).powf(-theta) / sum * 100_000.0;
                let got = f64::from(seen[rank as usize - 1]);
                assert!((got / wanted - 1.0).abs() < 0.1, "{name}, rank {rank}: {got} of {wanted}");
            }
        }
        assert_eq!(drawn("zipf", 1), [100_000]);
    }

    #[test]
    fn names_are_read_and_written() {
        for name in ["uniform", "hot-slot", "zipf:0.5"] {
            assert_eq!(name.parse::<Distribution>().unwrap().to_string(), name);
        }
        for (name, part) in [
            ("gauss", "none of uniform"),
            ("zipf:-1", "exponent between"),
            ("zipf:NaN", "exponent"),
            ("uniform:1", "none of"),
        ] {
            assert!(name.parse::<Distribution>().unwrap_err().contains(part), "{name}");
        }
    }
}
