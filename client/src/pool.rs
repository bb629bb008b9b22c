//! Connections to one node, made when first needed and again after they broke.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Address, ClientError, ConnectOptions, Connection};

/// A fixed number of places for connections to one node.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    options: ConnectOptions,
    places: Vec<Place>,
}

#[derive(Debug, Default)]
struct Place {
    connection: Mutex<Option<Connection>>,
    /// Held while connecting, so that a node that is down is tried once and not once per request.
    connecting: tokio::sync::Mutex<Option<ClientError>>,
    /// Counts finished attempts to connect.
    tries: AtomicU64,
}

impl Pool {
    pub(crate) fn new(address: Address, options: ConnectOptions, size: usize) -> Self {
        let places = (0..size.max(1)).map(|_| Place::default()).collect();
        Self { address, options, places }
    }

    /// The connection that `dice` chooses, connected if it was not.
    ///
    /// Of many callers that meet a broken connection one connects; the others share its success or failure.
    pub(crate) async fn get(&self, dice: u64) -> Result<Connection, ClientError> {
        let place = &self.places[(dice % self.places.len() as u64) as usize];
        if let Some(connection) = place.live() {
            return Ok(connection);
        }
        let tries = place.tries.load(Ordering::Acquire);
        let mut last = place.connecting.lock().await;
        if let Some(connection) = place.live() {
            return Ok(connection);
        }
        if let Some(error) = last.as_ref()
            && place.tries.load(Ordering::Acquire) != tries
        {
            return Err(error.clone());
        }
        let result = Connection::connect(&self.address, &self.options).await;
        *last = result.as_ref().err().cloned();
        *place.slot() = result.as_ref().ok().cloned();
        place.tries.fetch_add(1, Ordering::Release);
        result
    }

    /// No further caller gets `connection`, which [`Self::get`] gave for the same `dice`.
    pub(crate) fn discard(&self, dice: u64, connection: &Connection) {
        let mut slot = self.places[(dice % self.places.len() as u64) as usize].slot();
        if slot.as_ref().is_some_and(|current| current.is_same(connection)) {
            *slot = None;
        }
    }
}

impl Place {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn live(&self) -> Option<Connection> {
        self.slot().as_ref().filter(|connection| !connection.is_closed()).cloned()
    }
}
