//! Who answers a request: this shard, later, or another node.

use std::borrow::Cow;

use carousel_protocol::{NodeId, SlotId};

use super::slot::Serve;
use super::transaction::IN_DOUBT;
use super::{Shard, Standing};

/// Why a shard does not execute a request now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Wait for the slot's state to change, for at most `handover-timeout`; then answer this error.
    Park(Cow<'static, str>),
    /// Wait until a transaction has given the slot back: it will, without any help from outside.
    Locked,
    /// Answer this error: `MOVED ...`, `CLUSTERDOWN ...`.
    Answer(String),
}

impl Refusal {
    /// The error reply.
    pub fn into_text(self) -> Cow<'static, str> {
        match self {
            Self::Park(text) => text,
            Self::Locked => TRY_AGAIN.into(),
            Self::Answer(text) => text.into(),
        }
    }
}

/// What a parked request gets when its time is up.
pub const TRY_AGAIN: &str = "TRYAGAIN The slot is being handed over, try again";
/// What a write gets while it could not be confirmed.
pub const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";
const JOINING: &str = "CLUSTERDOWN The node is joining a cluster";
const FORGOTTEN: &str = "CLUSTERDOWN The slot belongs to a cluster that this node waits to hear from";

impl Shard {
    /// May a request that writes, or not, execute on the slot now? Hot: one comparison when it may.
    #[inline]
    pub fn admit(&self, slot: SlotId, write: bool) -> Result<(), Refusal> {
        match self.serve(slot) {
            Serve::Leading => Ok(()),
            other => self.admit_slowly(slot, write, other),
        }
    }

    #[cold]
    fn admit_slowly(&self, slot: SlotId, write: bool, serve: Serve) -> Result<(), Refusal> {
        match serve {
            Serve::Leading => Ok(()),
            Serve::LeadingReadOnly if !write => Ok(()),
            Serve::LeadingReadOnly => Err(Refusal::Park(NO_REPLICAS.into())),
            Serve::Waiting | Serve::Deposed => Err(Refusal::Park(TRY_AGAIN.into())),
            Serve::Locked if self.is_acting_on(slot) => Ok(()),
            Serve::Locked if self.is_in_doubt(slot) => Err(Refusal::Answer(IN_DOUBT.into())),
            Serve::Locked => Err(Refusal::Locked),
            Serve::Frozen => Err(self.ask(slot)),
            Serve::Elsewhere => Err(self.moved(slot)),
        }
    }

    /// The error that sends a client to the node that leads the slot, if the map names another one. Any shard knows.
    pub(crate) fn redirect(&self, slot: SlotId) -> Option<String> {
        let leads = |run: &carousel_protocol::SlotRun| run.primary() == self.options.me;
        if self.cluster()?.slots.run_of(slot).is_some_and(leads) {
            return None;
        }
        Some(self.moved(slot).into_text().into_owned())
    }

    /// A hand-over usually takes some milliseconds and ends with MOVED, which every client understands; so a request
    /// is parked first. Only if it takes long the client gets ASK, and the newcomer parks it. (Not every client
    /// follows an ASK to a node that it has never heard of: redis-py does not. So a newcomer that leads nothing yet,
    /// and can be in no client's map, is not named.)
    fn ask(&self, slot: SlotId) -> Refusal {
        let to = self.slot(slot).lead().and_then(|lead| lead.change.target()).map(|target| target[0]);
        let state = self.cluster().expect("only a member freezes a slot");
        let known = |node: &NodeId| state.slots.runs().iter().any(|run| run.primary() == *node);
        Refusal::Park(match to.filter(known).and_then(|node| state.members.get(&node)) {
            Some(member) => format!("ASK {slot} {}:{}", member.spec.host, member.spec.port).into(),
            None => TRY_AGAIN.into(),
        })
    }

    fn moved(&self, slot: SlotId) -> Refusal {
        let Standing::Member { state, incarnation } = &self.standing else {
            let lone = matches!(self.standing, Standing::Lone);
            return Refusal::Answer(if lone { FORGOTTEN } else { JOINING }.into());
        };
        let Some(run) = state.slots.run_of(slot) else {
            return Refusal::Answer("CLUSTERDOWN Hash slot not served".into());
        };
        let primary = run.primary();
        if run.recovering {
            return Refusal::Answer(format!(
                "CLUSTERDOWN Hash slot {slot} is being recovered after a restart of its primary"
            ));
        }
        if primary == self.options.me {
            // The map is ahead of this shard, or the process is not registered yet: never send a client to
            // the address it is on.
            let reason =
                if incarnation.is_some() { "is being taken over" } else { "waits for this node to register" };
            return Refusal::Answer(format!("CLUSTERDOWN Hash slot {slot} {reason}"));
        }
        let spec = &state.members[&primary].spec;
        if self.unreachable.contains(&primary) {
            return Refusal::Answer(format!(
                "CLUSTERDOWN Hash slot {slot} is led by {}:{}, which is down",
                spec.host, spec.port
            ));
        }
        Refusal::Answer(format!("MOVED {slot} {}:{}", spec.host, spec.port))
    }
}
