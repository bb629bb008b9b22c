//! The network between shards: connections that are ordered, slow, cut and reset.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use carousel_protocol::{Incarnation, NodeId, ShardId};
use carousel_server::shard::slot::{LinkId, PeerIndex};

use super::events::{At, Event, Life};
use super::scenario::{MS, US};
use super::world::World;

/// Names a connection.
pub type ConnId = u64;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The shard that leads.
    Dialler,
    /// The shard that holds copies.
    Acceptor,
}

/// A connection between shards of two nodes.
pub struct Conn {
    dialler: At,
    peer: PeerIndex,
    /// Whom the hello is for.
    to: (NodeId, ShardId),
    to_node: usize,
    from: NodeId,
    incarnation: Incarnation,
    /// The accepting end, once the hello was taken.
    acceptor: Option<(At, LinkId)>,
    /// Nothing arrives any more.
    broken: bool,
    /// When the last bytes arrive, per receiving side: a connection keeps its order.
    arrivals: [u64; 2],
    /// What a partition holds back, per receiving side.
    stalled: [VecDeque<Event>; 2],
}

impl Conn {
    fn node_at(&self, side: Side) -> usize {
        match side {
            Side::Dialler => self.dialler.node,
            Side::Acceptor => self.to_node,
        }
    }

    fn other(side: Side) -> Side {
        match side {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }

    /// Whether one of its ends is that process.
    fn is_of(&self, node: usize, life: Life) -> Option<Side> {
        if (self.dialler.node, self.dialler.life) == (node, life) {
            return Some(Side::Dialler);
        }
        self.acceptor.filter(|(at, _)| (at.node, at.life) == (node, life)).map(|_| Side::Acceptor)
    }
}

impl World {
    /// The node of a connection's side.
    pub fn node_at(&self, id: ConnId, side: Side) -> Option<usize> {
        self.conns.get(&id).map(|conn| conn.node_at(side))
    }

    /// A shard dials one that holds copies.
    pub fn dial(&mut self, at: At, peer: PeerIndex, to: NodeId, shard: ShardId) {
        let Some(process) = self.process(at.node, at.life) else { return };
        // The shard's own state decides, as in `peer::link`.
        let state = process.seats[at.seat].core.cluster().cloned();
        let registered = process.incarnation_of(at.seat);
        let again = |world: &mut Self| {
            let pause = world.rng.between(5 * MS, 40 * MS);
            world.after(pause, Event::Dial { at, peer, to, shard });
        };
        let (Some(state), Some(incarnation)) = (state, registered) else { return again(self) };
        if !state.members.contains_key(&to) {
            return again(self);
        }
        let Some(to_node) = self.node_of(to) else { return };
        if self.blocked[at.node][to_node]
            || self.blocked[to_node][at.node]
            || self.nodes[to_node].process.is_none()
        {
            return again(self);
        }
        let id = self.new_id();
        let from = self.nodes[at.node].id;
        self.say(format_args!("n{}.{} dials n{to_node}: conn {id}", at.node, at.seat));
        self.conns.insert(
            id,
            Conn {
                dialler: at,
                peer,
                to: (to, shard),
                to_node,
                from,
                incarnation,
                acceptor: None,
                broken: false,
                arrivals: [self.now; 2],
                stalled: [VecDeque::new(), VecDeque::new()],
            },
        );
        self.transmit(id, Side::Acceptor, Event::Open(id));
        let seat = self.live_seat(at.node, at.seat);
        seat.links_out.insert(peer, id);
        seat.core.link_up(peer);
        self.touch(at);
    }

    /// Puts something on its way to a side of a connection.
    fn transmit(&mut self, id: ConnId, to: Side, event: Event) {
        let delay = self.delay();
        let arrival = {
            let conn = self.conns.get_mut(&id).expect("exists");
            let last = &mut conn.arrivals[to as usize];
            *last = (*last + 2).max(self.now + delay);
            *last
        };
        self.at(arrival, event);
    }

    /// Sends bytes to the other end of a connection, in pieces as a network does.
    pub fn send(&mut self, id: ConnId, to: Side, bytes: Vec<u8>) {
        let Some(conn) = self.conns.get(&id) else { return };
        if conn.broken {
            return;
        }
        let mut bytes = Bytes::from(bytes);
        while bytes.len() > 1 && self.rng.one_in(6) {
            let at = self.rng.between(1, bytes.len() as u64 - 1) as usize;
            let piece = bytes.split_to(at);
            self.transmit(id, to, Event::Bytes { conn: id, to, bytes: piece });
        }
        self.transmit(id, to, Event::Bytes { conn: id, to, bytes });
    }

    /// Does a partition hold this back? Then it arrives when the partition ends.
    fn stalls(&mut self, id: ConnId, to: Side, event: &Event) -> bool {
        let conn = self.conns.get_mut(&id).expect("looked up before");
        let blocked = self.blocked[conn.node_at(Conn::other(to))][conn.node_at(to)];
        if blocked || !conn.stalled[to as usize].is_empty() {
            conn.stalled[to as usize].push_back(event.clone());
            return true;
        }
        false
    }

    /// What a partition held back goes on its way.
    pub fn release_stalled(&mut self, from: usize, to: usize) {
        let ids: Vec<_> = self.conns.keys().copied().collect();
        for id in ids {
            for side in [Side::Dialler, Side::Acceptor] {
                let conn = self.conns.get_mut(&id).expect("listed");
                if (conn.node_at(Conn::other(side)), conn.node_at(side)) != (from, to) {
                    continue;
                }
                if !conn.stalled[side as usize].is_empty() {
                    let delay = self.delay();
                    self.after(delay, Event::Unstall { conn: id, to: side });
                }
            }
        }
    }

    /// What a partition held back arrives, before anything that was sent later.
    pub fn unstall(&mut self, id: ConnId, to: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        for event in std::mem::take(&mut conn.stalled[to as usize]) {
            match event {
                Event::Open(id) => self.open(id),
                Event::Bytes { conn, to, bytes } => self.bytes(conn, to, bytes),
                other => unreachable!("{other:?} is not held back"),
            }
        }
    }

    /// A hello arrives: taken if the shard means it and the process may listen to the sender.
    pub fn open(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        if conn.broken || self.stalls(id, Side::Acceptor, &Event::Open(id)) {
            return;
        }
        let conn = &self.conns[&id];
        let (to, node, from, incarnation) = (conn.to, conn.to_node, conn.from, conn.incarnation);
        let accepted = self.nodes[node].process.as_mut().and_then(|process| {
            let life = process.life;
            let seat = process.seats.iter().position(|seat| seat.id == to.1)?;
            let core = &mut process.seats[seat].core;
            // As `peer::link::may_follow`.
            let state = core.cluster()?;
            let known = state.members.get(&from)?;
            if known.incarnation > incarnation {
                return None;
            }
            let link = LinkId(process.seats[seat].next_link);
            process.seats[seat].next_link += 1;
            process.seats[seat].core.inbound_up(link, from).then_some((At { node, life, seat }, link))
        });
        match accepted {
            Some((at, link)) => {
                self.conns.get_mut(&id).expect("exists").acceptor = Some((at, link));
                self.live_seat(at.node, at.seat).links_in.insert(link, id);
                self.touch(at);
            }
            None => {
                self.say(format_args!("conn {id} is refused by n{node}"));
                self.conns.get_mut(&id).expect("exists").broken = true;
                self.transmit(id, Side::Dialler, Event::Closed { conn: id, at: Side::Dialler });
            }
        }
    }

    /// Bytes arrive.
    pub fn bytes(&mut self, id: ConnId, to: Side, bytes: Bytes) {
        let Some(conn) = self.conns.get(&id) else { return };
        if conn.broken || self.stalls(id, to, &Event::Bytes { conn: id, to, bytes: bytes.clone() }) {
            return;
        }
        self.trace.fold_bytes(&bytes);
        let conn = &self.conns[&id];
        let (peer, dialler, acceptor) = (conn.peer, conn.dialler, conn.acceptor);
        let (at, result) = match to {
            Side::Dialler => {
                let Some(seat) = self.seat(dialler.node, dialler.life, dialler.seat) else { return };
                if seat.links_out.get(&peer) != Some(&id) {
                    return;
                }
                (dialler, seat.core.from_replica(peer, bytes))
            }
            Side::Acceptor => {
                let Some((at, link)) = acceptor else { return };
                let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
                if seat.links_in.get(&link) != Some(&id) {
                    return;
                }
                (at, seat.core.from_primary(link, bytes))
            }
        };
        if let Err(error) = result {
            panic!("a link between shards carried bytes that make no sense: {error}");
        }
        self.touch(at);
    }

    /// A side learns that a connection has ended.
    pub fn closed(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get(&id) else { return };
        let (peer, dialler, acceptor, (to, shard)) = (conn.peer, conn.dialler, conn.acceptor, conn.to);
        self.say(format_args!("conn {id} is down for its {side:?}"));
        match side {
            Side::Dialler => {
                let Some(seat) = self.seat(dialler.node, dialler.life, dialler.seat) else { return };
                if seat.links_out.get(&peer) != Some(&id) {
                    return;
                }
                seat.links_out.remove(&peer);
                seat.core.link_down(peer);
                self.touch(dialler);
                let pause = self.rng.between(5 * MS, 40 * MS);
                self.after(pause, Event::Dial { at: dialler, peer, to, shard });
            }
            Side::Acceptor => {
                let Some((at, link)) = acceptor else { return };
                let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
                if seat.links_in.remove(&link).is_some() {
                    seat.core.inbound_down(link);
                    self.touch(at);
                }
            }
        }
    }

    /// Cuts a connection: what is on its way is lost, and the ends learn of it whenever.
    pub fn reset(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if std::mem::replace(&mut conn.broken, true) {
            return;
        }
        for side in [Side::Dialler, Side::Acceptor] {
            let delay = if self.rng.one_in(3) {
                self.rng.between(10 * MS, 200 * MS)
            } else {
                self.rng.between(10 * US, 5 * MS)
            };
            self.after(delay, Event::Closed { conn: id, at: side });
        }
    }

    /// A process is gone: its ends of connections are closed. `silent`: the others hear nothing for long, as when a
    /// machine loses its power.
    pub fn drop_links(&mut self, node: usize, life: Life, silent: bool) {
        let ended: Vec<_> = self
            .conns
            .iter()
            .filter_map(|(id, conn)| conn.is_of(node, life).map(|side| (*id, side)))
            .collect();
        for (id, side) in ended {
            let other = Conn::other(side);
            // What it had sent may still arrive, or not.
            if self.rng.one_in(2) {
                self.conns.get_mut(&id).expect("listed").broken = true;
            }
            let delay = if silent || self.rng.one_in(5) {
                self.rng.between(50 * MS, 400 * MS)
            } else {
                self.rng.between(10 * US, 3 * MS)
            };
            let last = self.conns[&id].arrivals[other as usize];
            self.at((self.now + delay).max(last + 2), Event::Closed { conn: id, at: other });
        }
        // What was dialled and not accepted yet is reset: the next process knows nothing of it.
        let unaccepted: Vec<_> = self
            .conns
            .iter_mut()
            .filter(|(_, conn)| conn.to_node == node && conn.acceptor.is_none() && !conn.broken)
            .map(|(id, conn)| {
                conn.broken = true;
                *id
            })
            .collect();
        for id in unaccepted {
            self.transmit(id, Side::Dialler, Event::Closed { conn: id, at: Side::Dialler });
        }
        self.forget_conns();
    }

    /// Forgets connections that neither end has any more.
    fn forget_conns(&mut self) {
        if self.conns.len() < 200 {
            return;
        }
        let mut used = BTreeSet::new();
        for process in self.nodes.iter().filter_map(|node| node.process.as_ref()) {
            for seat in &process.seats {
                used.extend(seat.links_out.values().chain(seat.links_in.values()).copied());
            }
        }
        self.conns.retain(|id, _| used.contains(id));
    }
}
