//! The value of `client-output-buffer-limit`.

use super::table::parse_memory;

/// When a client that does not read its replies is cut off. Zeros stand for no limit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct OutputLimit {
    /// Bytes that wait: at once.
    pub hard_bytes: u64,
    /// Bytes that wait for longer than [`Self::soft_s`].
    pub soft_bytes: u64,
    /// Seconds.
    pub soft_s: u32,
}

/// A limit for each class of clients that Redis has. Only `normal` means something here: there are no others.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct OutputLimits {
    /// Clients, those that watch by `MONITOR` included.
    pub normal: OutputLimit,
    /// Kept for `CONFIG GET`.
    pub replica: OutputLimit,
    /// Kept for `CONFIG GET`.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// Takes over the classes that `text` names, as `normal 256mb 64mb 60 pubsub 32mb 8mb 60`; the others stay.
    ///
    /// # Errors
    /// What is wrong, in Redis' words.
    pub fn change(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut changed = *self;
        for class in words.chunks_exact(4) {
            let place = match class[0].to_ascii_lowercase().as_str() {
                "normal" => &mut changed.normal,
                "slave" | "replica" => &mut changed.replica,
                "pubsub" => &mut changed.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            let bytes = |word| parse_memory(word).ok_or(WRONG_VALUE);
            *place = OutputLimit {
                hard_bytes: bytes(class[1])?,
                soft_bytes: bytes(class[2])?,
                soft_s: class[3].parse().map_err(|_| WRONG_VALUE)?,
            };
        }
        *self = changed;
        Ok(())
    }
}

const WRONG_VALUE: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";

impl std::fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Redis 7 still writes the older word.
        let classes = [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)];
        let texts = classes.map(|(name, limit)| {
            format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_s)
        });
        f.write_str(&texts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_not_named_stay() {
        let mut limits = OutputLimits::default();
        limits.change("normal 1mb 512kb 10").unwrap();
        limits.change("replica 2 1 0 pubsub 32mb 8mb 60").unwrap();
        assert_eq!(limits.to_string(), "normal 1048576 524288 10 slave 2 1 0 pubsub 33554432 8388608 60");
        let mut copy = OutputLimits::default();
        copy.change(&limits.to_string()).unwrap();
        assert_eq!(copy, limits);
        for bad in
            ["", "normal 1 1", "other 1 1 1", "normal x 1 1", "normal 1 1 -1", "normal 9 9 9 pubsub 1 y 1"]
        {
            assert!(limits.change(bad).is_err(), "{bad}");
        }
        assert_eq!(copy, limits, "a refused value changes nothing");
    }
}
