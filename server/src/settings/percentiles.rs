//! The value of `latency-tracking-info-percentiles`.

/// Percentages from 0 to 100, in the order given.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Percentiles(pub Vec<f64>);

impl Eq for Percentiles {}

impl Percentiles {
    /// Reads `50 99 99.9`; nothing at all is fine.
    ///
    /// # Errors
    /// What is wrong, in Redis' words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |word: &str| word.parse::<f64>().ok().filter(|value| (0.0..=100.0).contains(value));
        let values: Option<Vec<f64>> = text.split_ascii_whitespace().map(number).collect();
        values
            .map(Self)
            .ok_or_else(|| "latency-tracking-info-percentiles should be between 0.0 and 100.0".into())
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<String> = self.0.iter().map(f64::to_string).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_read_back_as_they_are_written() {
        for text in ["50 99 99.9", "", "0 100"] {
            assert_eq!(Percentiles::parse(text).unwrap().to_string(), text);
        }
        for text in ["101", "-1", "x", "NaN", "50 200"] {
            assert!(Percentiles::parse(text).is_err(), "{text}");
        }
    }
}
