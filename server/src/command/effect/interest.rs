//! Keys whose changes somebody waits for.
//!
//! A transaction that [watches](Interest::watch) a key is told of its first change by a flag; a client that blocks until a
//! key has elements [awaits](Interest::await_key) it. While nobody does either, a change costs one comparison.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carousel_protocol::{Database, SlotId};

use super::Effect;

/// Set when a watched key has changed.
#[derive(Clone, Default, Debug)]
pub struct Trip(Arc<AtomicBool>);

impl Trip {
    /// A key has changed.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether one has.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A key and where it is.
pub type KeyPlace = (SlotId, Database, Box<[u8]>);

/// See the module.
#[derive(Default)]
pub struct Interest {
    watched: BTreeMap<KeyPlace, Vec<Trip>>,
    /// Keys that clients block on; true once they have changed.
    awaited: BTreeMap<KeyPlace, bool>,
    /// Those that have changed, in the order in which they did.
    changed: Vec<KeyPlace>,
}

impl Interest {
    /// Nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.awaited.is_empty()
    }

    /// Sets `trip` when the key changes.
    pub fn watch(&mut self, place: &KeyPlace, trip: &Trip) {
        let trips = self.watched.entry(place.clone()).or_default();
        if !trips.iter().any(|known| known.is_of(trip)) {
            trips.push(trip.clone());
        }
    }

    /// Takes back a [`Self::watch`].
    pub fn unwatch(&mut self, place: &KeyPlace, trip: &Trip) {
        if let Some(trips) = self.watched.get_mut(place) {
            trips.retain(|known| !known.is_of(trip));
            if trips.is_empty() {
                self.watched.remove(place);
            }
        }
    }

    /// Changes of the key are to be noted, from now on.
    pub fn await_key(&mut self, place: KeyPlace) {
        self.awaited.entry(place).or_insert(false);
    }

    /// No more.
    pub fn forget_key(&mut self, place: &KeyPlace) {
        self.awaited.remove(place);
    }

    /// Awaited keys that have changed since this was asked, in the order of their first changes.
    pub fn take_changed(&mut self) -> Vec<KeyPlace> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().for_each(|place| {
            if let Some(changed) = self.awaited.get_mut(place) {
                *changed = false;
            }
        });
        changed
    }

    /// Whether an awaited key has changed.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// All that is known of the slot is void: it is not served here any more.
    pub fn slot_gone(&mut self, slot: SlotId) {
        self.watched
            .iter()
            .filter(|((of, ..), _)| *of == slot)
            .for_each(|(_, trips)| trips.iter().for_each(Trip::set));
        for (place, changed) in self.awaited.iter_mut().filter(|((of, ..), _)| *of == slot) {
            if !std::mem::replace(changed, true) {
                self.changed.push(place.clone());
            }
        }
    }

    /// Tells those who wait for what the effect changes.
    #[cold]
    pub(super) fn tell(&mut self, slot: SlotId, database: Database, effect: &Effect<'_>) {
        let Some(key) = effect.key() else { return self.slot_gone(slot) };
        let place: KeyPlace = (slot, database, key.into());
        if let Some(trips) = self.watched.get(&place) {
            trips.iter().for_each(Trip::set);
        }
        if let Some(changed) = self.awaited.get_mut(&place)
            && !std::mem::replace(changed, true)
        {
            self.changed.push(place);
        }
    }
}
