//! Clients that wait until a key has elements.
//!
//! A client waits in a queue of each key that it named, on the shard of the key. When a command has changed such a key,
//! those who wait are served before anything else is executed, in the order in which they came: their command is executed
//! for them, as if it had been sent now. A client that waits on several shards is served by the one that *claims* it first;
//! so is the end of its patience a claim. Source: `blocked.c` of Redis 7.2.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carousel_protocol::resp::{ReplyWriter, Version};

use super::{Hold, Refusal, Room, Shard};
use crate::Now;
use crate::command::{KeyPlace, awaited_keys, has_awaited};
use crate::shard::encoded::Encoded;

/// Says who may end a client's waiting: whoever takes it first.
#[derive(Clone, Default, Debug)]
pub struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Takes it; false where somebody has.
    pub fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Gives it back.
    pub fn release(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether somebody has taken it.
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A client that waits.
pub struct Waiter {
    /// Its connection, as the process numbers them.
    pub connection: u64,
    /// Shared by all shards that it waits on.
    pub claim: Claim,
    /// Its command, with those of its keys that this shard has.
    pub request: Encoded,
    /// What it understands.
    pub version: Version,
    /// The command cannot be executed here alone: its connection is told to execute it.
    pub is_called: bool,
}

/// How a client's waiting has ended.
#[derive(Debug)]
pub enum Served {
    /// With this reply, which waits for the holds.
    Reply(Vec<u8>, Vec<Hold>),
    /// There is something for it: its connection is to execute the command. It keeps its place meanwhile; see
    /// [`Shard::wait_on`].
    Called,
}

/// The clients that wait on a shard's keys.
#[derive(Default)]
pub(crate) struct Blocked {
    waiters: BTreeMap<u64, Waiter>,
    queues: BTreeMap<KeyPlace, VecDeque<u64>>,
    /// Keys that have changed while their slot could not be used.
    postponed: Vec<KeyPlace>,
    served: Vec<(u64, Served)>,
    is_serving: bool,
}

impl Blocked {
    /// A command of one that waits is being executed.
    pub(crate) fn is_serving(&self) -> bool {
        self.is_serving
    }
}

impl Shard {
    /// Adds a client to the queues of its keys.
    pub fn block(&mut self, waiter: Waiter) {
        let places = self.places_of(&waiter.request);
        for place in places {
            self.effects.change_interest(|interest| interest.await_key(place.clone()));
            let queue = self.blocked.queues.entry(place).or_default();
            if !queue.contains(&waiter.connection) {
                queue.push_back(waiter.connection);
            }
        }
        self.blocked.waiters.insert(waiter.connection, waiter);
    }

    /// Removes a client from all queues, if it is in any: others may be served then.
    pub fn unblock(&mut self, connection: u64) {
        let Some(waiter) = self.blocked.waiters.remove(&connection) else { return };
        for place in self.places_of(&waiter.request) {
            let Some(queue) = self.blocked.queues.get_mut(&place) else { continue };
            queue.retain(|known| *known != connection);
            if queue.is_empty() {
                self.blocked.queues.remove(&place);
                self.effects.change_interest(|interest| interest.forget_key(&place));
            } else if waiter.is_called {
                // Those behind have waited for what becomes of it.
                self.blocked.postponed.push(place);
            }
        }
    }

    /// A client that was [called](Served::Called) found nothing: it waits on, where it was.
    pub fn wait_on(&mut self, connection: u64) {
        let Some(waiter) = self.blocked.waiters.get(&connection) else { return };
        waiter.claim.release();
        let places = self.places_of(&waiter.request);
        self.blocked.postponed.extend(places);
    }

    /// Number of clients that wait.
    pub fn blocked_count(&self) -> usize {
        self.blocked.waiters.len()
    }

    fn places_of(&self, request: &Encoded) -> Vec<KeyPlace> {
        request.with_argv(|argv| {
            let keys = awaited_keys(request.spec, argv).map(|index| argv.get(index));
            keys.map(|key| (carousel_protocol::key_slot(key), request.database, key.into())).collect()
        })
    }

    /// Whether somebody waits for a key that may have something for him.
    pub(crate) fn has_to_serve(&self) -> bool {
        self.effects.interest().has_changed() || !self.blocked.postponed.is_empty()
    }

    /// Serves those who wait for keys that have changed, first come first served.
    #[cold]
    pub(crate) fn serve_blocked(&mut self, now: Now, room: &impl Room) {
        // What one gets may be what another waits for (BLMOVE), so there may be several rounds.
        self.blocked.is_serving = true;
        let mut places = std::mem::take(&mut self.blocked.postponed);
        let mut postponed = Vec::new();
        loop {
            places.extend(self.effects.change_interest(|interest| interest.take_changed()));
            if places.is_empty() {
                break;
            }
            for place in std::mem::take(&mut places) {
                if !self.serve_key(now, &place, room) {
                    postponed.push(place);
                }
            }
        }
        self.blocked.postponed.append(&mut postponed);
        self.blocked.is_serving = false;
        if !self.blocked.served.is_empty() {
            self.turn.news = true;
        }
    }

    /// Serves those who wait for one key; false where its slot cannot be used now.
    fn serve_key(&mut self, now: Now, place: &KeyPlace, room: &impl Room) -> bool {
        let mut at = 0;
        loop {
            let Some(queue) = self.blocked.queues.get(place) else { return true };
            let Some(&connection) = queue.get(at) else { return true };
            let waiter = &self.blocked.waiters[&connection];
            if waiter.claim.is_taken() {
                if waiter.is_called {
                    // Whether those behind get something depends on it.
                    return true;
                }
                self.unblock(connection);
                continue;
            }
            match self.admit(place.0, true) {
                Ok(()) => {}
                Err(Refusal::Locked | Refusal::Park(_)) => return false,
                Err(refusal @ Refusal::Answer(_)) => {
                    let waiter = &self.blocked.waiters[&connection];
                    if waiter.claim.take() {
                        let mut reply = Vec::new();
                        ReplyWriter::new(&mut reply, waiter.version).error(&refusal.into_text());
                        self.blocked.served.push((connection, Served::Reply(reply, Vec::new())));
                    }
                    self.unblock(connection);
                    continue;
                }
            }
            let waiter = &self.blocked.waiters[&connection];
            let key_at = self.tables.key_at(place.0, place.1, &place.2);
            if !has_awaited(waiter.request.spec, &self.tables, key_at, &place.2, now.unix_ms) {
                // The next may wait for another type.
                at += 1;
                continue;
            }
            if waiter.claim.take() {
                if waiter.is_called {
                    self.blocked.served.push((connection, Served::Called));
                    return true;
                }
                let (request, version) = (waiter.request.clone(), waiter.version);
                let (reply, holds) = request.reply(self, now, version, &|bytes| room(bytes));
                self.blocked.served.push((connection, Served::Reply(reply, holds)));
            }
            self.unblock(connection);
        }
    }

    /// Those whose waiting has ended.
    pub fn take_served(&mut self) -> Vec<(u64, Served)> {
        std::mem::take(&mut self.blocked.served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Wanted;
    use crate::shard::testing::{NOW, lone_shard, request, room, run};

    fn block(shard: &mut Shard, connection: u64, line: &str) -> Claim {
        let claim = Claim::default();
        let version = Version::Resp2;
        let waiter =
            Waiter { connection, claim: claim.clone(), request: request(line), version, is_called: false };
        shard.block(waiter);
        claim
    }

    /// Who was served, with what.
    fn served(shard: &mut Shard) -> Vec<(u64, String)> {
        let text = |served| match served {
            Served::Reply(reply, _) => String::from_utf8(reply).unwrap().replace("\r\n", "|"),
            Served::Called => "called".into(),
        };
        shard.take_served().into_iter().map(|(connection, served)| (connection, text(served))).collect()
    }

    fn nobody_waits(shard: &Shard) -> bool {
        shard.blocked_count() == 0 && shard.blocked.queues.is_empty() && shard.effects.interest().is_empty()
    }

    #[test]
    fn who_came_first_is_served_first() {
        let mut shard = lone_shard();
        for connection in 1..=3 {
            block(&mut shard, connection, "BLPOP a b 0");
        }
        run(&mut shard, "RPUSH b 1 2");
        assert_eq!(served(&mut shard), [(1, "*2|$1|b|$1|1|".into()), (2, "*2|$1|b|$1|2|".into())]);
        assert_eq!(run(&mut shard, "EXISTS b"), ":0|");
        run(&mut shard, "RPUSH a 3");
        assert_eq!(served(&mut shard), [(3, "*2|$1|a|$1|3|".into())]);
        assert!(nobody_waits(&shard));
    }

    #[test]
    fn only_values_of_the_type_that_is_waited_for_serve() {
        let mut shard = lone_shard();
        block(&mut shard, 1, "BLPOP k 0");
        block(&mut shard, 2, "BZPOPMIN k 0");
        run(&mut shard, "SET k text");
        run(&mut shard, "DEL k");
        run(&mut shard, "HSET k f v");
        run(&mut shard, "DEL k");
        assert_eq!(served(&mut shard), []);
        run(&mut shard, "ZADD k 2 b 1 a");
        assert_eq!(served(&mut shard), [(2, "*3|$1|k|$1|a|$1|1|".into())]);
        shard.unblock(1);
        assert!(nobody_waits(&shard));
    }

    #[test]
    fn who_has_been_claimed_elsewhere_takes_nothing() {
        let mut shard = lone_shard();
        let gone = block(&mut shard, 1, "BLPOP k 0");
        block(&mut shard, 2, "BLPOP k 0");
        assert!(gone.take());
        run(&mut shard, "RPUSH k x");
        assert_eq!(served(&mut shard), [(2, "*2|$1|k|$1|x|".into())]);
        assert!(nobody_waits(&shard));
    }

    #[test]
    fn a_move_serves_those_who_wait_for_its_destination() {
        let mut shard = lone_shard();
        block(&mut shard, 1, "BLMOVE a b LEFT RIGHT 0");
        block(&mut shard, 2, "BLPOP b 0");
        run(&mut shard, "RPUSH a x");
        assert_eq!(served(&mut shard), [(1, "$1|x|".into()), (2, "*2|$1|b|$1|x|".into())]);
        assert_eq!(run(&mut shard, "EXISTS a b"), ":0|");
        assert!(nobody_waits(&shard));
    }

    #[test]
    fn a_transaction_serves_when_it_is_over() {
        let mut shard = lone_shard();
        block(&mut shard, 1, "BLPOP k 0");
        let slot = carousel_protocol::key_slot(b"k");
        let two = |shard: &mut Shard| (run(shard, "RPUSH k x"), run(shard, "DEL k"));
        shard.transact(NOW, &[slot], true, room, two).unwrap();
        assert_eq!(served(&mut shard), [], "it is gone again");
        let three = |shard: &mut Shard| (two(shard), run(shard, "RPUSH k y"));
        shard.transact(NOW, &[slot], true, room, three).unwrap();
        assert_eq!(served(&mut shard), [(1, "*2|$1|k|$1|y|".into())]);
    }

    #[test]
    fn a_locked_key_serves_when_it_is_given_back() {
        let mut shard = lone_shard();
        block(&mut shard, 1, "BLPOP k 0");
        let id = shard.new_transaction();
        let wanted = Wanted::Slots(vec![carousel_protocol::key_slot(b"k")]);
        assert_eq!(shard.try_lock(id, &wanted), Ok(true));
        shard.act(id, |shard| run(shard, "RPUSH k x"));
        assert!(shard.has_to_serve());
        shard.serve_blocked(NOW, &room);
        assert_eq!(served(&mut shard), []);
        shard.unlock(id);
        assert!(shard.has_to_serve());
        shard.serve_blocked(NOW, &room);
        assert_eq!(served(&mut shard), [(1, "*2|$1|k|$1|x|".into())]);
    }

    #[test]
    fn who_is_called_keeps_its_place_until_it_has_tried() {
        let mut shard = lone_shard();
        let claim = Claim::default();
        let (request, version) = (request("BLMOVE k elsewhere LEFT LEFT 0"), Version::Resp2);
        shard.block(Waiter { connection: 1, claim: claim.clone(), request, version, is_called: true });
        block(&mut shard, 2, "BLPOP k 0");
        run(&mut shard, "RPUSH k x y");
        assert_eq!(served(&mut shard), [(1, "called".into())]);
        run(&mut shard, "RPUSH k z");
        assert_eq!(served(&mut shard), [], "the second waits for the first");
        // It has found nothing, whyever, and is called again.
        shard.wait_on(1);
        shard.serve_blocked(NOW, &room);
        assert_eq!(served(&mut shard), [(1, "called".into())]);
        assert!(claim.is_taken());
        run(&mut shard, "LPOP k");
        shard.unblock(1);
        assert!(shard.has_to_serve());
        shard.serve_blocked(NOW, &room);
        assert_eq!(served(&mut shard), [(2, "*2|$1|k|$1|y|".into())]);
        assert!(nobody_waits(&shard));
    }
}
