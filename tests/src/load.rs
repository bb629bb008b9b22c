//! Clients that write and read all the time and know what they were promised.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::cluster_async::ClusterConnection;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, connect};
use crate::server::Server;
use crate::wait::{eventually, within};

/// Keys of one writer.
const KEYS: u32 = 100;
/// While a node is down every attempt may fail at once; nothing is gained by a million of them.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// What a writer knows of one of its keys, whose values it counts up: what is held now must lie between the two.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    /// The last value acknowledged or read.
    least: u64,
    /// The last value tried.
    most: u64,
}

/// What holds a key's value.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A string.
    Text,
    /// A field of a hash.
    Field,
    /// The last element of a list, behind all earlier ones.
    Element,
    /// The score of a member of a sorted set.
    Score,
}

impl Form {
    fn of(n: u32) -> Self {
        [Self::Text, Self::Text, Self::Field, Self::Element, Self::Score][(n % 5) as usize]
    }

    fn write(self, key: &str, value: u64) -> redis::Cmd {
        let args: &[&str] = match self {
            Self::Text => &["SET", key],
            Self::Field => &["HSET", key, "field"],
            Self::Element => &["RPUSH", key],
            Self::Score => &["ZADD", key],
        };
        let mut request = redis::cmd(args[0]);
        request.arg(&args[1..]).arg(value);
        if matches!(self, Self::Score) {
            request.arg("member");
        }
        request
    }

    fn read(self, key: &str) -> redis::Cmd {
        let args: &[&str] = match self {
            Self::Text => &["GET", key],
            Self::Field => &["HGET", key, "field"],
            Self::Element => &["LINDEX", key, "-1"],
            Self::Score => &["ZSCORE", key, "member"],
        };
        let mut request = redis::cmd(args[0]);
        request.arg(&args[1..]);
        request
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Times that all keys were written.
    rounds: AtomicU64,
    errors: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
}

struct Writer {
    shared: Arc<Shared>,
    addresses: Vec<String>,
    keys: BTreeMap<String, (Form, Known)>,
}

/// Several clients, each with its own connection and its own keys all over the slots.
pub struct Load {
    writers: Vec<(Arc<Shared>, JoinHandle<Writer>)>,
}

/// What the clients of a [`Load`] met.
pub struct Met {
    /// Every error that a client saw.
    pub errors: Vec<String>,
    writers: Vec<Writer>,
}

impl Load {
    /// Starts `writers` clients and waits until each has written all its keys.
    pub async fn start(cluster: &Cluster, writers: u32) -> Self {
        Self::start_at(cluster.nodes.iter().map(Server::address).collect(), writers).await
    }

    /// The same, of a cluster of which some nodes are at these addresses.
    pub async fn start_at(addresses: Vec<String>, writers: u32) -> Self {
        let start = |number: u32| {
            let shared = Arc::new(Shared::default());
            let key = |n| (format!("redis-rs:{number}:{n}"), (Form::of(n), Known::default()));
            let keys = (0..KEYS).map(key).collect();
            let writer = Writer { shared: shared.clone(), addresses: addresses.clone(), keys };
            (shared, tokio::spawn(writer.run()))
        };
        let load = Self { writers: (0..writers).map(start).collect() };
        load.await_progress().await;
        load
    }

    /// Waits until every client has written each of its keys anew, so that every slot that they use takes writes.
    pub async fn await_progress(&self) {
        for (number, (shared, _)) in self.writers.iter().enumerate() {
            // Two: the round under way may have begun long ago.
            let goal = shared.rounds.load(Ordering::Relaxed) + 2;
            eventually(format!("client {number} writes all its keys"), async || {
                let rounds = shared.rounds.load(Ordering::Relaxed);
                if rounds >= goal { Ok(()) } else { Err(format!("last error: {:?}", shared.last_error())) }
            })
            .await;
        }
    }

    /// Stops the clients.
    ///
    /// # Panics
    /// If one does not stop.
    pub async fn stop(self) -> Met {
        for (shared, _) in &self.writers {
            shared.stop.store(true, Ordering::Relaxed);
        }
        let mut met = Met { errors: Vec::new(), writers: Vec::new() };
        for (shared, task) in self.writers {
            met.writers.push(within("a client stops", task).await.expect("a client does not panic"));
            met.errors.append(&mut shared.errors.lock().expect("no panic"));
        }
        met
    }
}

impl Met {
    /// Reads every key once more. No key may ever have held, or hold now, less than was acknowledged.
    ///
    /// # Panics
    /// If one did.
    pub async fn assert_nothing_lost(&mut self, cluster: &Cluster) {
        self.assert_nothing_lost_at(cluster.nodes.iter().map(Server::address).collect()).await;
    }

    /// The same, of a cluster of which some nodes are at these addresses.
    ///
    /// # Panics
    /// If one did.
    pub async fn assert_nothing_lost_at(&mut self, addresses: Vec<String>) {
        let mut client = connect(addresses).await.expect("the cluster answers");
        for writer in &mut self.writers {
            let keys: Vec<_> = writer.keys.keys().cloned().collect();
            for key in keys {
                if let Err(error) = writer.read(&mut client, &key).await {
                    panic!("{key} cannot be read: {error}");
                }
            }
            let violations = writer.shared.violations.lock().expect("no panic");
            assert!(
                violations.is_empty(),
                "{} violations, the first: {:?}",
                violations.len(),
                &violations[0]
            );
        }
    }

    /// Keys that were written.
    pub fn keys(&self) -> usize {
        self.writers.iter().map(|writer| writer.keys.len()).sum()
    }
}

impl Shared {
    fn last_error(&self) -> Option<String> {
        self.errors.lock().expect("no panic").last().cloned()
    }
}

impl Writer {
    async fn run(mut self) -> Self {
        let mut client = None;
        let keys: Vec<_> = self.keys.keys().cloned().collect();
        while !self.shared.stop.load(Ordering::Relaxed) {
            if let Err(error) = self.round(&mut client, &keys).await {
                self.shared.errors.lock().expect("no panic").push(error.to_string());
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
        self
    }

    async fn round(
        &mut self,
        client: &mut Option<ClusterConnection>,
        keys: &[String],
    ) -> redis::RedisResult<()> {
        let client = match client {
            Some(client) => client,
            None => client.insert(connect(self.addresses.clone()).await?),
        };
        for key in keys {
            if self.shared.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            // Read first: the next value would cover up that the last one was lost.
            self.read(client, key).await?;
            let value = self.known(key).most + 1;
            self.known(key).most = value;
            let () = self.keys[key].0.write(key, value).query_async(client).await?;
            self.known(key).least = value;
            self.read(client, key).await?;
        }
        self.shared.rounds.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn known(&mut self, key: &str) -> &mut Known {
        &mut self.keys.get_mut(key).expect("one of its keys").1
    }

    async fn read(&mut self, client: &mut ClusterConnection, key: &str) -> redis::RedisResult<()> {
        let value: Option<u64> = self.keys[key].0.read(key).query_async(client).await?;
        let value = value.unwrap_or(0);
        let known = self.known(key);
        let (least, most) = (known.least, known.most);
        known.least = least.max(value);
        if !(least..=most).contains(&value) {
            let wrong = format!("{key} holds {value}, acknowledged was {least}, tried was {most}");
            self.shared.violations.lock().expect("no panic").push(wrong);
        }
        Ok(())
    }
}
