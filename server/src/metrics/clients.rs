//! The clients of a node: what `CLIENT LIST` shows and `CLIENT KILL` ends.
//!
//! Touched when a client comes and goes; while it is there, its connection writes a few atomics per batch.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use carousel_protocol::command_table::{self, CommandId};
use carousel_protocol::{Database, ShardId};
use futures::task::AtomicWaker;

use crate::Now;

/// One end of a client's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAddr {
    /// Address and port.
    Tcp(SocketAddr),
    /// Path of the Unix socket that clients of this machine connect to; both ends are named by it.
    Unix(Arc<str>),
}

impl ClientAddr {
    /// Is it on this machine for certain?
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(addr) => addr.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The IP address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            Self::Unix(_) => None,
        }
    }
}

/// IPv4 clients of an IPv6 socket are shown by their IPv4 address.
impl From<SocketAddr> for ClientAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "{path}:0"),
        }
    }
}

/// One connected client.
pub struct Client {
    /// Never used twice by a process, starts with 1.
    pub id: u64,
    /// Its address.
    pub addr: ClientAddr,
    /// The address that it connected to.
    pub laddr: ClientAddr,
    /// The shard whose thread serves it.
    pub shard: ShardId,
    /// When it connected.
    pub created_unix_ms: u64,
    last_active_unix_ms: AtomicU64,
    /// The last command's index, and above 16 bits one more than that of its subcommand.
    last_command: AtomicU32,
    resp3: AtomicBool,
    database: AtomicU16,
    readonly: AtomicBool,
    no_evict: AtomicBool,
    no_touch: AtomicBool,
    monitors: AtomicBool,
    /// Bytes read and not executed yet.
    input_bytes: AtomicUsize,
    /// Bytes of replies that are being written.
    output_bytes: AtomicUsize,
    /// Since when these are more than they may be for long; 0 while they are not.
    output_above_since_unix_ms: AtomicU64,
    waiting: AtomicU8,
    /// Its connection, while it waits.
    waiter: AtomicWaker,
    /// Commands queued by MULTI; -1 without.
    queued: AtomicI32,
    names: Mutex<ClientNames>,
    killed: AtomicBool,
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What a client says of itself.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ClientNames {
    /// `CLIENT SETNAME`.
    pub name: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: String,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_version: String,
}

/// How `CLIENT UNBLOCK` ends a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unblock {
    /// As if its time were over.
    Timeout,
    /// With the error `UNBLOCKED`.
    Error,
}

/// A client does not wait; it waits; it waits and is to stop, in one of two ways.
const WAITS_NOT: u8 = 0;
const WAITS: u8 = 1;
const TO_TIME_OUT: u8 = 2;
const TO_FAIL: u8 = 3;

/// No command yet.
const NO_COMMAND: u32 = u32::MAX;

impl Client {
    /// What the client says of itself, to read or change.
    pub fn names(&self) -> MutexGuard<'_, ClientNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the client did last; once per batch is enough.
    #[inline]
    pub fn note(&self, now: Now, id: CommandId) {
        self.last_active_unix_ms.store(now.unix_ms, Ordering::Relaxed);
        self.last_command.store(id.index() as u32, Ordering::Relaxed);
    }

    /// As [`Self::note`] with the index of the subcommand in the command's row.
    pub fn note_subcommand(&self, now: Now, id: CommandId, subcommand: usize) {
        self.last_active_unix_ms.store(now.unix_ms, Ordering::Relaxed);
        self.last_command.store((subcommand as u32 + 1) << 16 | id.index() as u32, Ordering::Relaxed);
    }

    /// Milliseconds since the last [`Self::note`]; what the setting `timeout` is compared with.
    pub fn idle_ms(&self, now: Now) -> u64 {
        now.unix_ms.saturating_sub(self.last_active_unix_ms.load(Ordering::Relaxed))
    }

    /// May the setting `timeout` end it? Not while it waits for something, or watches.
    pub fn may_be_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != WAITS_NOT || self.monitors.load(Ordering::Relaxed)
    }

    /// Must its connection end? Its loop looks after each wake-up.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Asks its connection to end and wakes it.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        // Either this finds what wakes, or whoever gives it finds that the connection is killed.
        fence(Ordering::SeqCst);
        if let Some(wake) = self.waker.get() {
            wake();
        }
    }

    /// What wakes the connection when it is killed; may be called on any thread. Given once; from then on a kill wakes,
    /// also one that came before.
    pub fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.waker.set(Box::new(wake));
        fence(Ordering::SeqCst);
        if self.is_killed()
            && let Some(wake) = self.waker.get()
        {
            wake();
        }
    }

    pub(crate) fn set_resp3(&self, on: bool) {
        self.resp3.store(on, Ordering::Relaxed);
    }

    pub(crate) fn set_database(&self, database: Database) {
        self.database.store(database.get(), Ordering::Relaxed);
    }

    pub(crate) fn set_readonly(&self, on: bool) {
        self.readonly.store(on, Ordering::Relaxed);
    }

    pub(crate) fn set_no_evict(&self, on: bool) {
        self.no_evict.store(on, Ordering::Relaxed);
    }

    pub(crate) fn set_no_touch(&self, on: bool) {
        self.no_touch.store(on, Ordering::Relaxed);
    }

    pub(crate) fn set_monitors(&self, on: bool) {
        self.monitors.store(on, Ordering::Relaxed);
    }

    /// Notes the bytes that were read and are not executed.
    #[inline]
    pub fn set_input(&self, bytes: usize) {
        self.input_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Notes that so many bytes of replies are being written from now on, 0 when that is done.
    #[inline]
    pub fn set_output(&self, bytes: usize) {
        self.output_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of replies that the client has not taken yet.
    pub fn output_bytes(&self) -> usize {
        self.output_bytes.load(Ordering::Relaxed)
    }

    /// For how many ms it has let more than `limit` bytes wait, as far as somebody has been looking by this function.
    pub fn output_above_ms(&self, limit: usize, now: Now) -> u64 {
        if self.output_bytes() <= limit {
            self.output_above_since_unix_ms.store(0, Ordering::Relaxed);
            return 0;
        }
        match self.output_above_since_unix_ms.load(Ordering::Relaxed) {
            0 => {
                self.output_above_since_unix_ms.store(now.unix_ms, Ordering::Relaxed);
                0
            }
            since => now.unix_ms.saturating_sub(since),
        }
    }

    /// The client begins to wait in a blocking command, or ends it. What [`Self::unblock`] asked for before is forgotten.
    pub fn set_waiting(&self, waits: bool) {
        self.waiting.store(if waits { WAITS } else { WAITS_NOT }, Ordering::Release);
    }

    /// Who is to be woken when somebody asks it to stop waiting.
    pub fn wake_when_unblocked(&self, waker: &Waker) {
        self.waiter.register(waker);
    }

    /// How many commands MULTI has queued; `None` without MULTI.
    pub fn set_queued(&self, count: Option<usize>) {
        let count = count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
        self.queued.store(count, Ordering::Relaxed);
    }

    /// Asks a client to stop waiting; says whether it was waiting.
    pub fn unblock(&self, how: Unblock) -> bool {
        let asked = match how {
            Unblock::Timeout => TO_TIME_OUT,
            Unblock::Error => TO_FAIL,
        };
        let waits = self.waiting.compare_exchange(WAITS, asked, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.waiter.wake();
        waits
    }

    /// How its wait is to end, where somebody asked for that.
    pub fn unblocked(&self) -> Option<Unblock> {
        match self.waiting.load(Ordering::Acquire) {
            TO_TIME_OUT => Some(Unblock::Timeout),
            TO_FAIL => Some(Unblock::Error),
            _ => None,
        }
    }

    /// Its line in `CLIENT LIST`, as Redis 7.2 writes it, without a newline.
    pub fn line(&self, now: Now) -> String {
        let names = self.names().clone();
        let age_s = now.unix_ms.saturating_sub(self.created_unix_ms) / 1000;
        let idle_s = self.idle_ms(now) / 1000;
        let (input, output) =
            (self.input_bytes.load(Ordering::Relaxed), self.output_bytes.load(Ordering::Relaxed));
        format!(
            "id={} addr={} laddr={} fd=-1 name={} age={age_s} idle={idle_s} flags={} db={} sub=0 psub=0 ssub=0 multi={} \
             qbuf={input} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={output} oll=0 omem={output} tot-mem={} events=r cmd={} \
             user=default redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.addr,
            self.laddr,
            names.name,
            self.flags(),
            self.database.load(Ordering::Relaxed),
            self.queued.load(Ordering::Relaxed),
            input + output,
            self.last_command_name(),
            if self.resp3.load(Ordering::Relaxed) { 3 } else { 2 },
            names.lib_name,
            names.lib_version,
        )
    }

    fn flags(&self) -> String {
        let all = [
            (self.is_killed(), 'A'),
            (self.monitors.load(Ordering::Relaxed), 'O'),
            (self.waiting.load(Ordering::Relaxed) != WAITS_NOT, 'b'),
            (matches!(self.addr, ClientAddr::Unix(_)), 'U'),
            (self.queued.load(Ordering::Relaxed) >= 0, 'x'),
            (self.readonly.load(Ordering::Relaxed), 'r'),
            (self.no_evict.load(Ordering::Relaxed), 'e'),
            (self.no_touch.load(Ordering::Relaxed), 'T'),
        ];
        let flags: String = all.into_iter().filter_map(|(on, letter)| on.then_some(letter)).collect();
        if flags.is_empty() { "N".into() } else { flags }
    }

    fn last_command_name(&self) -> String {
        let last = self.last_command.load(Ordering::Relaxed);
        if last == NO_COMMAND {
            return "NULL".into();
        }
        let spec = &command_table::all()[(last & 0xFFFF) as usize];
        let mut name = spec.name.to_ascii_lowercase();
        if let Some(subcommand) = (last >> 16).checked_sub(1) {
            name.push('|');
            name.push_str(&spec.subcommands[subcommand as usize].name.to_ascii_lowercase());
        }
        name
    }
}

/// All clients of a node.
#[derive(Default)]
pub struct ClientRegistry {
    last_id: AtomicU64,
    count: AtomicUsize,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl ClientRegistry {
    /// Enters a client that just connected; it leaves when the handle is dropped.
    pub fn register(
        self: &Arc<Self>,
        addr: impl Into<ClientAddr>,
        laddr: impl Into<ClientAddr>,
        shard: ShardId,
        now: Now,
    ) -> ClientHandle {
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            addr: addr.into(),
            laddr: laddr.into(),
            shard,
            created_unix_ms: now.unix_ms,
            last_active_unix_ms: AtomicU64::new(now.unix_ms),
            last_command: AtomicU32::new(NO_COMMAND),
            resp3: AtomicBool::new(false),
            database: AtomicU16::new(Database::MAIN.get()),
            readonly: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            input_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            output_above_since_unix_ms: AtomicU64::new(0),
            waiting: AtomicU8::new(WAITS_NOT),
            waiter: AtomicWaker::new(),
            queued: AtomicI32::new(-1),
            names: Mutex::default(),
            killed: AtomicBool::new(false),
            waker: OnceLock::new(),
        });
        self.count.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(client.id, client.clone());
        ClientHandle { registry: self.clone(), client }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by id.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// The client of that id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    /// Takes a client out, if it is still there; dropping its handle does the same.
    pub fn remove(&self, id: u64) {
        if self.lock().remove(&id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's entry in the registry, held by its connection.
pub struct ClientHandle {
    registry: Arc<ClientRegistry>,
    client: Arc<Client>,
}

impl std::ops::Deref for ClientHandle {
    type Target = Arc<Client>;

    fn deref(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.registry.remove(self.client.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry_with_one() -> (Arc<ClientRegistry>, ClientHandle) {
        let registry = Arc::new(ClientRegistry::default());
        let [addr, laddr] =
            ["[::ffff:10.0.0.1]:5000", "127.0.0.1:6379"].map(|text| text.parse::<SocketAddr>().unwrap());
        let handle = registry.register(addr, laddr, ShardId(0), Now { mono_ns: 0, unix_ms: 1000 });
        (registry, handle)
    }

    #[test]
    fn a_client_is_listed_while_its_handle_lives() {
        let (registry, handle) = registry_with_one();
        assert_eq!((registry.len(), registry.all()[0].id), (1, handle.id));
        drop(handle);
        assert!(registry.is_empty() && registry.all().is_empty());
    }

    #[test]
    fn the_line_of_a_client_is_that_of_redis() {
        let (_registry, client) = registry_with_one();
        let now = Now { mono_ns: 0, unix_ms: 9500 };
        client.note(Now { mono_ns: 0, unix_ms: 4000 }, CommandId::Get);
        client.names().name = "worker".into();
        client.set_readonly(true);
        assert_eq!(
            client.line(now),
            "id=1 addr=10.0.0.1:5000 laddr=127.0.0.1:6379 fd=-1 name=worker age=8 idle=5 flags=r db=0 sub=0 psub=0 ssub=0 \
             multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=get \
             user=default redir=-1 resp=2 lib-name= lib-ver="
        );
        let list = CommandId::Client.spec().subcommands.iter().position(|sub| sub.name == "LIST").unwrap();
        client.note_subcommand(now, CommandId::Client, list);
        assert!(
            client.line(now).contains(" idle=0 flags=r ") && client.line(now).contains(" cmd=client|list ")
        );
    }

    #[test]
    fn a_client_of_a_unix_socket_is_shown_as_in_redis() {
        let registry = Arc::new(ClientRegistry::default());
        let path = ClientAddr::Unix("/run/c.sock".into());
        let now = Now { mono_ns: 0, unix_ms: 1000 };
        let client = registry.register(path.clone(), path, ShardId(0), now);
        let line = client.line(now);
        assert!(
            line.contains(" addr=/run/c.sock:0 laddr=/run/c.sock:0 ") && line.contains(" flags=U "),
            "{line}"
        );
        assert!(client.addr.is_local() && client.laddr.ip().is_none());
    }

    #[test]
    fn only_who_waits_can_be_told_to_stop() {
        let (_registry, client) = registry_with_one();
        assert!(!client.unblock(Unblock::Error) && client.unblocked().is_none());
        client.set_waiting(true);
        assert!(client.unblock(Unblock::Timeout) && !client.unblock(Unblock::Error));
        assert_eq!(client.unblocked(), Some(Unblock::Timeout));
        client.set_waiting(false);
        assert_eq!(client.unblocked(), None);
    }

    #[test]
    fn what_a_client_does_not_take_is_known_with_its_age() {
        let (_registry, client) = registry_with_one();
        let at = |unix_ms| Now { mono_ns: 0, unix_ms };
        client.set_output(300);
        assert_eq!((client.output_bytes(), client.output_above_ms(300, at(1000))), (300, 0));
        assert_eq!([1000, 3500].map(|ms| client.output_above_ms(299, at(ms))), [0, 2500]);
        assert!(client.line(at(3500)).contains(" obl=300 "));
        client.set_output(10);
        assert_eq!([3600, 9000].map(|ms| client.output_above_ms(299, at(ms))), [0, 0]);
    }

    #[test]
    fn a_kill_wakes_the_connection_whether_it_comes_early_or_late() {
        let (_registry, client) = registry_with_one();
        let woken = Arc::new(AtomicUsize::new(0));
        client.kill();
        assert!(client.is_killed());
        let counter = woken.clone();
        client.wake_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        client.kill();
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
