//! The client of a whole cluster: pools, driven by the router and one [`Operation`] per call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use carousel_protocol::command_table::{self, Flags};
use carousel_protocol::resp::Reply;
use carousel_protocol::{SlotId, key_slot};
use tokio::time::Instant;

use crate::pool::Pool;
use crate::{
    Address, ClientError, Connection, Intent, Next, Operation, Options, Outcome, RequestError, Router,
    parse_cluster_slots,
};

/// Asks the right node for each key and follows the cluster as it changes. Clones share everything.
///
/// Calls may run at the same time in any number; they share connections and writes. Calls that run at the
/// same time are not ordered among each other, also not for the same key.
#[derive(Clone, Debug)]
pub struct ClusterClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seeds: Vec<Address>,
    options: Options,
    state: RwLock<State>,
    refreshing: AtomicBool,
    dice: AtomicU64,
}

#[derive(Debug)]
struct State {
    router: Router,
    pools: HashMap<Address, Arc<Pool>>,
}

impl ClusterClient {
    /// Fetches the slot map from the first of `seeds` that answers. A server without cluster support is
    /// taken as the only node.
    ///
    /// # Errors
    /// [`ClientError::NoNode`] with the fault of each seed.
    pub async fn connect(seeds: Vec<Address>, options: Options) -> Result<Self, ClientError> {
        if seeds.is_empty() {
            return Err(ClientError::NoNode { why: "no address was given".to_owned() });
        }
        let state = State { router: Router::new(seeds.clone()), pools: HashMap::new() };
        let shared = Shared {
            seeds,
            options,
            state: RwLock::new(state),
            refreshing: AtomicBool::new(false),
            dice: AtomicU64::new(0),
        };
        let client = Self { shared: Arc::new(shared) };
        client.refresh().await?;
        Ok(client)
    }

    /// The value of `key`, `None` where there is none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ClientError> {
        match self.run(Intent::Read, Some(key_slot(key)), &[b"GET", key]).await? {
            (_, Reply::Bulk(value)) => Ok(Some(value)),
            (_, Reply::Null) => Ok(None),
            (from, reply) => Err(unexpected(from, "a string or null", &reply)),
        }
    }

    /// Sets `key` to `value`, without expiry.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set(&self, key: &[u8], value: &[u8]) -> Result<(), ClientError> {
        match self.run(Intent::Write, Some(key_slot(key)), &[b"SET", key, value]).await? {
            (_, Reply::Simple(_)) => Ok(()),
            (from, reply) => Err(unexpected(from, "OK", &reply)),
        }
    }

    /// Deletes `key`; was it there?
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn del(&self, key: &[u8]) -> Result<bool, ClientError> {
        match self.run(Intent::Write, Some(key_slot(key)), &[b"DEL", key]).await? {
            (_, Reply::Integer(deleted)) => Ok(deleted > 0),
            (from, reply) => Err(unexpected(from, "an integer", &reply)),
        }
    }

    /// Any command, its name first. The command table says where its first key is and whether it only reads;
    /// all others count as writes. For a command that the table does not have the key is its first argument.
    ///
    /// # Errors
    /// See [`ClientError`]; an error reply is [`ClientError::Refused`].
    pub async fn command(&self, args: &[&[u8]]) -> Result<Reply, ClientError> {
        let Some(name) = args.first() else {
            return Err(ClientError::NoNode { why: "an empty command has no node to go to".to_owned() });
        };
        let (intent, key) = match command_table::lookup(name) {
            Some(spec) => {
                let reads = spec.flags.contains(Flags::READONLY);
                let intent = if reads { Intent::Read } else { Intent::Write };
                (intent, spec.keys.indices(args.len(), |index| args[index]).next())
            }
            None => (Intent::Write, Some(1)),
        };
        let slot = key.and_then(|index| args.get(index)).map(|key| key_slot(key));
        Ok(self.run(intent, slot, args).await?.1)
    }

    /// The nodes that the map names.
    pub fn nodes(&self) -> Vec<Address> {
        self.state().router.nodes().to_vec()
    }

    /// Is this one server without cluster support?
    pub fn is_single(&self) -> bool {
        self.state().router.is_single()
    }

    /// Fetches the slot map now.
    ///
    /// # Errors
    /// [`ClientError::NoNode`] with each node's fault.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        let mut candidates = self.state().router.nodes().to_vec();
        // Nodes added last are redirection targets: they know best.
        candidates.reverse();
        candidates.extend(self.shared.seeds.iter().cloned());
        let mut faults: Vec<String> = Vec::new();
        let mut asked: Vec<Address> = Vec::new();
        for address in candidates {
            if asked.contains(&address) {
                continue;
            }
            match self.fetch_map(&address).await {
                Ok(()) => return Ok(()),
                Err(fault) => faults.push(fault),
            }
            asked.push(address);
        }
        Err(ClientError::NoNode { why: faults.join("; ") })
    }

    async fn fetch_map(&self, address: &Address) -> Result<(), String> {
        let connection = self.connection(address).await.map_err(|error| error.to_string())?;
        let timeout = self.shared.options.retry.attempt_timeout;
        let reply = match tokio::time::timeout(timeout, connection.request(&[b"CLUSTER", b"SLOTS"])).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(format!("{address}: {error}")),
            Err(_) => {
                connection.close("no answer to CLUSTER SLOTS");
                return Err(format!("{address}: no answer to CLUSTER SLOTS within {timeout:?}"));
            }
        };
        match parse_cluster_slots(&reply, address) {
            Ok(ranges) => {
                let mut state = self.state_mut();
                state.router.learn(&ranges);
                let State { router, pools } = &mut *state;
                pools.retain(|address, _| router.nodes().contains(address));
                Ok(())
            }
            // One member of several that knows no cluster is lost, not the only one.
            Err(error) if error.is_single_server() && self.shared.seeds.len() == 1 => {
                self.state_mut().router.set_single(address.clone());
                Ok(())
            }
            Err(error) => Err(format!("{address}: {error}")),
        }
    }

    /// Runs one command to its end. `slot` is the slot of its keys, `None` for one that any node answers.
    /// Returns also who answered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn run(
        &self,
        intent: Intent,
        slot: Option<SlotId>,
        args: &[&[u8]],
    ) -> Result<(Address, Reply), ClientError> {
        let started = Instant::now();
        let dice = self.shared.dice.fetch_add(1, Ordering::Relaxed);
        let mut operation = Operation::new(intent, &self.shared.options.retry, dice);
        let node = self.state().router.route(slot, dice).cloned();
        let mut next = operation.route(Duration::ZERO, node.as_ref());
        loop {
            next = match next {
                Next::Send { to, asking, moved } => {
                    if let Some(slot) = moved {
                        self.state_mut().router.moved(slot, &to);
                        self.refresh_soon();
                    }
                    let patience = |silent| operation.patience(started.elapsed(), silent);
                    let outcome = self.attempt(&to, asking, args, dice, patience).await;
                    match operation.on_outcome(started.elapsed(), &to, outcome) {
                        Next::Return(reply) => return Ok((to, reply)),
                        next => next,
                    }
                }
                Next::Wait { pause } => {
                    self.refresh_soon();
                    tokio::time::sleep(pause).await;
                    let node = self.state().router.route(slot, dice).cloned();
                    operation.route(started.elapsed(), node.as_ref())
                }
                Next::Fail(error) => return Err(error),
                Next::Return(_) => unreachable!("only an attempt returns"),
            };
        }
    }

    async fn attempt(
        &self,
        to: &Address,
        asking: bool,
        args: &[&[u8]],
        dice: u64,
        patience: impl Fn(Duration) -> Duration,
    ) -> Outcome {
        let pool = self.pool(to);
        let connection = match pool.get(dice).await {
            Ok(connection) => connection,
            Err(ClientError::Connect { why, .. }) => return Outcome::NotSent { why },
            Err(error) => return Outcome::NotSent { why: error.to_string() },
        };
        let sent = Instant::now();
        let request = async {
            if asking { connection.request_asking(args).await } else { connection.request(args).await }
        };
        let mut request = std::pin::pin!(request);
        let mut budget = patience(Duration::ZERO);
        loop {
            match tokio::time::timeout(budget, request.as_mut()).await {
                Ok(Ok(reply)) => return Outcome::Replied(reply),
                Ok(Err(RequestError::NotSent { why })) => return Outcome::NotSent { why },
                Ok(Err(RequestError::Unknown { why })) => return Outcome::Unknown { why },
                Err(_) => {}
            }
            // Silence before the request was made is no fault: nothing was asked.
            budget = patience(connection.silent_for().min(sent.elapsed()));
            if budget.is_zero() {
                // The next request finds out with a new connection whether the node lives. This one stays
                // open for those who still wait on it.
                pool.discard(dice, &connection);
                return Outcome::Unknown { why: format!("no reply within {:.3?}", sent.elapsed()) };
            }
        }
    }

    /// The first connection of a node's pool.
    pub(crate) async fn connection(&self, address: &Address) -> Result<Connection, ClientError> {
        self.pool(address).get(0).await
    }

    fn pool(&self, address: &Address) -> Arc<Pool> {
        if let Some(pool) = self.state().pools.get(address) {
            return pool.clone();
        }
        let options = &self.shared.options;
        let new = || Pool::new(address.clone(), options.connect.clone(), options.connections_per_node);
        self.state_mut().pools.entry(address.clone()).or_insert_with(|| Arc::new(new())).clone()
    }

    /// Starts fetching the map unless that is under way or was done a moment ago.
    fn refresh_soon(&self) {
        if self.shared.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let client = self.clone();
        tokio::spawn(async move {
            if let Err(error) = client.refresh().await {
                tracing::debug!(%error, "no node tells the slot map");
            }
            // Slots move in crowds: one fetch for all redirections of this while. Whoever meets an old entry
            // afterwards asks again.
            tokio::time::sleep(client.shared.options.refresh_pause).await;
            client.shared.refreshing.store(false, Ordering::Release);
        });
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.shared.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.shared.state.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn unexpected(address: Address, expected: &'static str, reply: &Reply) -> ClientError {
    let mut got = format!("{reply:?}");
    if got.len() > 80 {
        got = got.chars().take(77).collect::<String>() + "...";
    }
    ClientError::UnexpectedReply { address, expected, got }
}
