//! Keeping a shard within its share of the memory.

use carousel_protocol::command_table::{CommandSpec, Flags};

use super::slot::Serve;
use super::{Refusal, Shard};
use crate::command::{Evicted, EvictionRules, Scope, StepBounds, Tracking};
use crate::store::Packing;
use crate::{Now, limits};

/// What a write gets for which no room could be made, in Redis' words.
pub const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// How much memory a shard may use, and what it does about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryRules {
    /// Bytes that its keys and tables may use; `None` for any.
    pub limit_bytes: Option<usize>,
    /// Which keys go first.
    pub eviction: EvictionRules,
    /// What is kept of the use of keys.
    pub tracking: Tracking,
    /// Up to where collections are packed.
    pub packing: Packing,
}

/// The limit of one of several shards that share `limit` bytes, of which the others use `others`.
///
/// Each may use an equal share at any time, and beyond it what the others leave of theirs; but not the last
/// sixteenth of what one of them may still take, so that a shard which begins to fill finds room before this one has
/// noticed. So together they stay below the limit, however unevenly keys are spread.
pub fn limit_of_shard(limit: usize, others: &[usize]) -> usize {
    const KEPT_PART: usize = 16;
    let share = limit / (others.len() + 1);
    let reserved = |used: &usize| (*used).max((used + share / KEPT_PART).min(share));
    share.max(limit.saturating_sub(others.iter().map(reserved).sum()))
}

impl Shard {
    /// Puts rules in force. A limit that is lower than what is used is reached by [`Self::evict`].
    pub fn set_memory(&mut self, now: Now, rules: MemoryRules) {
        if self.memory.tracking != rules.tracking {
            self.tables.set_tracking(rules.tracking, now.unix_ms);
        }
        self.tables.set_packing(rules.packing);
        self.memory = rules;
    }

    /// Makes room for a command that may need more memory.
    ///
    /// # Errors
    /// There is none, and nothing that may go.
    #[inline]
    pub(super) fn make_room(
        &mut self,
        now: Now,
        spec: &CommandSpec,
        room: &dyn Fn(usize) -> Result<(), &'static str>,
    ) -> Result<(), Refusal> {
        match self.memory.limit_bytes {
            Some(limit) if self.tables.used_bytes() > limit && spec.flags.contains(Flags::DENYOOM) => {
                self.make_room_slowly(now, room)
            }
            Some(_) | None => Ok(()),
        }
    }

    #[cold]
    fn make_room_slowly(
        &mut self,
        now: Now,
        room: &dyn Fn(usize) -> Result<(), &'static str>,
    ) -> Result<(), Refusal> {
        if !self.may_serve_blocked() {
            // Within a transaction: what is evicted must not be a part of it, and is soon.
            return match self.nothing_to_evict || self.memory.eviction.scope == Scope::Nothing {
                true => Err(Refusal::Answer(OUT_OF_MEMORY.into())),
                false => Ok(()),
            };
        }
        let bytes = self.turn_log_bytes() + limits::EVICT_LOG_BYTES;
        room(bytes).map_err(|text| Refusal::Answer(text.into()))?;
        match self.evict(now) {
            // As in Redis a command goes on while evicting helps: the next ones and the ticks do the rest.
            Evicted::Enough | Evicted::Some => Ok(()),
            Evicted::Nothing => Err(Refusal::Answer(OUT_OF_MEMORY.into())),
        }
    }

    /// Removes keys while more memory is used than may be, up to the bounds of one step.
    pub fn evict(&mut self, now: Now) -> Evicted {
        let Some(limit) = self.memory.limit_bytes else { return Evicted::Enough };
        if self.has_lost_log() {
            return Evicted::Nothing;
        }
        let (serve, local) = (&self.serve, self.tables.local_slots());
        let owned = |slot| serve[local.index_of(slot)] == Serve::Leading;
        let bounds =
            StepBounds { keys: limits::EVICT_KEYS_PER_STEP, name_bytes: limits::EVICT_LOG_BYTES / 2 };
        self.tables.begin_command(now.unix_ms, true);
        let evicted = self.evictor.step(
            &mut self.tables,
            &mut self.effects,
            self.memory.eviction,
            &owned,
            (limit, bounds),
            now.unix_ms,
        );
        if !self.effects.is_empty() {
            self.record_effects();
        }
        self.nothing_to_evict = evicted == Evicted::Nothing;
        evicted
    }
}

#[cfg(test)]
mod tests {
    use carousel_protocol::command_table::lookup;
    use carousel_protocol::resp::{ArgRange, Argv, Version};
    use carousel_protocol::{Database, key_slot};

    use super::*;
    use crate::command::Order;
    use crate::shard::Request;
    use crate::shard::testing::lone_shard;

    const LIMIT: usize = 2 << 20;

    struct Server {
        shard: Shard,
        now: Now,
    }

    impl Server {
        fn new(rules: MemoryRules) -> Self {
            let mut shard = lone_shard();
            let now = Now { mono_ns: 0, unix_ms: 1_700_000_000_000 };
            shard.set_memory(now, rules);
            Self { shard, now }
        }

        fn run(&mut self, args: &[&[u8]]) -> Result<Vec<u8>, String> {
            let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
            for arg in args {
                let start = buffer.len() as u32;
                buffer.extend_from_slice(arg);
                ranges.push(ArgRange { start, end: buffer.len() as u32 });
            }
            let spec = lookup(args[0]).unwrap();
            let slot = key_slot(args[spec.keys.first as usize]);
            let request = Request {
                spec,
                slot,
                argv: Argv::new(&buffer, &ranges),
                database: Database::MAIN,
                version: Version::Resp2,
                counts_as_use: true,
            };
            let mut out = Vec::new();
            let result = self.shard.execute(self.now, request, &mut out, |_| Ok(()));
            let turn = self.shard.end_turn(self.now).turn;
            self.shard.durable(turn);
            result.map(|_| out).map_err(|refusal| refusal.into_text().into_owned())
        }

        fn has(&mut self, key: &str) -> bool {
            let at = self.shard.tables.key_at(key_slot(key.as_bytes()), Database::MAIN, key.as_bytes());
            self.shard.tables.peek(at, key.as_bytes(), 0).is_some()
        }
    }

    fn rules(scope: Scope, order: Order, tracking: Tracking) -> MemoryRules {
        let eviction = EvictionRules { scope, order, samples: 5 };
        MemoryRules { limit_bytes: Some(LIMIT), eviction, tracking, packing: Packing::default() }
    }

    const LFU: Tracking = Tracking::Frequency { log_factor: 10, decay_minutes: 1 };

    /// Writes 16,000 keys, about four times what fits, while the first 200 are read all the time; returns how many of
    /// those are left, and how many of all.
    fn fill(rules: MemoryRules) -> (usize, usize) {
        let mut server = Server::new(rules);
        let overshoot = 64 << 10;
        for i in 0..16_000 {
            let (key, value) = (format!("key:{i}"), [b'v'; 200]);
            let expiry = format!("{}", 100_000 + i);
            server.run(&[b"SET", key.as_bytes(), &value, b"EX", expiry.as_bytes()]).unwrap();
            let used = server.shard.tables.used_bytes();
            assert!(used <= LIMIT + overshoot, "{used} bytes after {i} keys");
            if i % 100 == 99 {
                // A second: what was used in it was used more recently than what was not.
                server.now.unix_ms += 1000;
                for hot in 0..200 {
                    server.run(&[b"GET", format!("key:{hot}").as_bytes()]).unwrap();
                }
            }
        }
        let (used, slots) = (server.shard.tables.used_bytes(), server.shard.tables.slots());
        let by_slot: usize = slots.map(|slot| server.shard.tables.used_bytes_of(slot)).sum();
        let empty = Server::new(rules).shard.tables.used_bytes();
        assert_eq!(used - empty, by_slot, "what is counted as it changes is what there is");
        assert!(server.shard.tables.counters().evicted > 8000);
        let hot = (0..200).filter(|hot| server.has(&format!("key:{hot}"))).count();
        (hot, server.shard.tables.keys_total())
    }

    #[test]
    fn every_policy_stays_within_the_limit_and_those_that_count_uses_keep_the_hot_keys() {
        for scope in [Scope::All, Scope::Volatile] {
            let (hot, all) = fill(rules(scope, Order::Use, Tracking::Recency));
            assert!(hot >= 195 && all > 3000, "lru: {hot} of 200 hot ones, {all} in all");
            let (hot, all) = fill(rules(scope, Order::Use, LFU));
            assert!(hot >= 195 && all > 3000, "lfu: {hot} of 200 hot ones, {all} in all");
            let (hot, all) = fill(rules(scope, Order::Random, Tracking::Off));
            assert!(hot < 100 && all > 3000, "random: {hot} of 200 hot ones, {all} in all");
        }
        // The first to expire are the oldest, hot or not.
        let (hot, all) = fill(rules(Scope::Volatile, Order::Expiry, Tracking::Off));
        assert!(hot < 20 && all > 3000, "ttl: {hot} of 200, {all} in all");
    }

    #[test]
    fn without_eviction_writes_that_need_memory_are_refused_and_others_are_not() {
        let mut server = Server::new(rules(Scope::Nothing, Order::Random, Tracking::Off));
        let mut refused = None;
        for i in 0..40_000 {
            let key = format!("key:{i}");
            if let Err(text) = server.run(&[b"SET", key.as_bytes(), &[b'v'; 200]]) {
                refused = Some((i, text));
                break;
            }
        }
        let (i, text) = refused.expect("memory is limited");
        assert_eq!(text, OUT_OF_MEMORY);
        assert!(i > 3000);
        assert!(server.run(&[b"GET", b"key:1"]).unwrap().starts_with(b"$200"));
        server.run(&[b"APPEND", b"key:1", b"x"]).unwrap_err();
        for i in 0..100 {
            assert_eq!(server.run(&[b"DEL", format!("key:{i}").as_bytes()]).unwrap(), b":1\r\n");
        }
        server.run(&[b"SET", b"again", b"v"]).unwrap();
    }

    #[test]
    fn keys_without_an_expiry_are_safe_from_volatile_policies() {
        let mut server = Server::new(rules(Scope::Volatile, Order::Use, Tracking::Recency));
        for i in 0..1000 {
            server.run(&[b"SET", format!("kept:{i}").as_bytes(), &[b'v'; 200]]).unwrap();
        }
        let mut outcome = Ok(Vec::new());
        for i in 0..8000 {
            outcome = server.run(&[b"SET", format!("v:{i}").as_bytes(), &[b'v'; 200], b"EX", b"9"]);
        }
        assert!(outcome.is_ok() && (0..1000).all(|i| server.has(&format!("kept:{i}"))));
        for i in 0..40_000 {
            outcome = server.run(&[b"SET", format!("more:{i}").as_bytes(), &[b'v'; 200]]);
            if outcome.is_err() {
                break;
            }
        }
        assert_eq!(outcome.unwrap_err(), OUT_OF_MEMORY, "when nothing volatile is left");
    }

    #[test]
    fn a_lower_limit_is_reached_in_bounded_steps_that_are_recorded() {
        let mut server = Server::new(rules(Scope::All, Order::Random, Tracking::Off));
        for i in 0..3000 {
            server.run(&[b"SET", format!("key:{i}").as_bytes(), &[b'v'; 200]]).unwrap();
        }
        let lower = MemoryRules { limit_bytes: Some(LIMIT * 3 / 4), ..server.shard.memory };
        server.shard.set_memory(server.now, lower);
        let mut steps = 0;
        while server.shard.evict(server.now) == Evicted::Some {
            let made = server.shard.turn.made.len();
            assert!((1..=limits::EVICT_KEYS_PER_STEP).contains(&made), "{made} records");
            let turn = server.shard.end_turn(server.now).turn;
            server.shard.durable(turn);
            steps += 1;
        }
        assert!(steps > 1 && server.shard.tables.used_bytes() <= LIMIT * 3 / 4, "{steps} steps");
    }

    #[test]
    fn object_tells_what_the_policy_keeps() {
        let mut server = Server::new(rules(Scope::All, Order::Use, Tracking::Recency));
        let ask = |server: &mut Server, name: &str, key: &str| {
            let request = [&b"OBJECT"[..], name.as_bytes(), key.as_bytes()];
            String::from_utf8(server.run(&request).unwrap()).unwrap()
        };
        server.run(&[b"SET", b"k", b"v"]).unwrap();
        server.now.unix_ms += 7000;
        for _ in 0..2 {
            assert_eq!(ask(&mut server, "IDLETIME", "k"), ":7\r\n", "asking is no use");
            server.run(&[b"TYPE", b"k"]).unwrap();
            server.run(&[b"TTL", b"k"]).unwrap();
        }
        server.run(&[b"TOUCH", b"k"]).unwrap();
        assert_eq!(ask(&mut server, "IDLETIME", "k"), ":0\r\n");
        assert!(ask(&mut server, "FREQ", "k").starts_with("-ERR An LFU maxmemory policy is not selected"));
        assert_eq!(ask(&mut server, "REFCOUNT", "k"), ":1\r\n");
        assert_eq!(ask(&mut server, "IDLETIME", "none"), "$-1\r\n");

        server.shard.set_memory(server.now, rules(Scope::All, Order::Use, LFU));
        server.run(&[b"RPUSH", b"new", b"a"]).unwrap();
        assert_eq!(ask(&mut server, "FREQ", "k"), ":5\r\n", "what is not known yet is as if new");
        assert_eq!(ask(&mut server, "FREQ", "new"), ":5\r\n");
        (0..200).for_each(|_| drop(server.run(&[b"LLEN", b"new"])));
        let often = ask(&mut server, "FREQ", "new");
        assert!(often[1..].trim().parse::<u8>().unwrap() > 6, "{often}");
        assert!(ask(&mut server, "IDLETIME", "k").starts_with("-ERR An LFU maxmemory policy is selected"));

        let noted = server.shard.tables.used_bytes();
        server.shard.set_memory(server.now, rules(Scope::All, Order::Random, Tracking::Off));
        assert!(server.shard.tables.used_bytes() < noted, "what nobody needs is forgotten");
        assert!(
            ask(&mut server, "IDLETIME", "k").starts_with("-ERR An LRU maxmemory policy is not selected")
        );
    }

    #[test]
    fn shards_share_a_limit() {
        assert_eq!(limit_of_shard(1600, &[]), 1600);
        assert_eq!(limit_of_shard(1600, &[0]), 1550, "all but a sixteenth of the other's share");
        assert_eq!(limit_of_shard(1600, &[700]), 850);
        assert_eq!(limit_of_shard(1600, &[800]), 800);
        assert_eq!(limit_of_shard(1600, &[1200]), 800, "its share is its own");
        for used in [[0, 0, 0], [100, 900, 30], [400, 400, 400], [300, 390, 0]] {
            let mine = limit_of_shard(1600, &used);
            assert!(mine >= 400 && (mine == 400 || mine + used.iter().sum::<usize>() <= 1600));
        }
    }
}
