//! The client against scripted servers.

use std::time::Duration;

use carousel_protocol::resp::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::mock::{Act, MockServer, Seen, listener};
use crate::{
    Address, ClientError, ClusterClient, ConnectOptions, Connection, Options, RequestError, RetryOptions,
};

fn quick() -> Options {
    Options {
        connections_per_node: 1,
        refresh_pause: Duration::from_millis(1),
        retry: RetryOptions {
            deadline: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(5),
            pause_min: Duration::from_millis(1),
            pause_max: Duration::from_millis(5),
            retry_unknown_writes: false,
        },
        ..Options::default()
    }
}

/// Holds the runtime's clock: time passes only by [`tokio::time::advance`], while sockets work as ever.
///
/// A paused clock would jump ahead whenever all tasks wait for sockets; it does not while a blocking task runs.
struct HeldClock {
    _release: std::sync::mpsc::Sender<()>,
}

impl HeldClock {
    fn new() -> Self {
        tokio::time::pause();
        let (release, held) = std::sync::mpsc::channel::<()>();
        // Ends when the sender is dropped.
        tokio::task::spawn_blocking(move || held.recv());
        Self { _release: release }
    }
}

/// Lets everything else run until `happened`, which is a bug where it takes half a minute of real time.
#[track_caller]
fn until(happened: impl FnMut() -> bool) -> impl Future<Output = ()> {
    step_until(Duration::ZERO, happened)
}

/// As [`until`], and lets `step` of held time pass again and again.
#[track_caller]
fn step_until(step: Duration, mut happened: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let started = std::time::Instant::now();
        while !happened() {
            assert!(started.elapsed() < Duration::from_secs(30), "never happened: {caller}");
            if step.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::advance(step).await;
            }
        }
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server with all slots that leaves everything but the map to `script`.
async fn whole(mut script: impl FnMut(&Seen) -> Act + Send + 'static) -> MockServer {
    let (listener, own) = listener().await;
    MockServer::on(listener, move |seen| match seen.words.as_str() {
        "CLUSTER SLOTS" => Act::slots(&[(0, 16383, &own)]),
        _ => script(seen),
    })
}

async fn client_of(server: &MockServer, options: Options) -> ClusterClient {
    ClusterClient::connect(vec![server.address().clone()], options).await.unwrap()
}

/// Answers `first` once and `rest` from then on.
fn once(first: Act, rest: Act) -> impl FnMut(&Seen) -> Act + Send {
    let mut first = Some(first);
    move |_| first.take().unwrap_or_else(|| rest.clone())
}

#[tokio::test]
async fn many_requests_at_once_share_a_connection_and_each_gets_its_own_reply() {
    let server = MockServer::start(|seen| Act::bulk(seen.words.as_bytes())).await;
    let connection = Connection::connect(server.address(), &ConnectOptions::default()).await.unwrap();
    let tasks: Vec<_> = (0..2000)
        .map(|i| {
            let connection = connection.clone();
            tokio::spawn(async move {
                let word = i.to_string();
                let reply = connection.request(&[b"ECHO", word.as_bytes()]).await.unwrap();
                assert_eq!(reply, Reply::Bulk(format!("ECHO {i}").into_bytes()));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn push_messages_answer_no_request() {
    let reply = Act::Raw(b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n:7\r\n".to_vec());
    let server = MockServer::start(move |_| reply.clone()).await;
    let connection = Connection::connect(server.address(), &ConnectOptions::default()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(connection.request(&[b"DBSIZE"]).await, Ok(Reply::Integer(7)));
    }
}

#[tokio::test]
async fn push_messages_go_where_they_were_asked_for_and_hold_up_replies_only_while_nobody_takes_them() {
    let reply = Act::Raw(b":7\r\n>1\r\n$1\r\nx\r\n>1\r\n$1\r\ny\r\n".to_vec());
    let server = MockServer::start(move |_| reply.clone()).await;
    let (sender, mut pushes) = tokio::sync::mpsc::channel(1);
    let options = ConnectOptions { pushes: Some(sender), ..ConnectOptions::default() };
    let connection = Connection::connect(server.address(), &options).await.unwrap();
    assert_eq!(connection.request(&[b"A"]).await, Ok(Reply::Integer(7)));
    let second = connection.request(&[b"B"]);
    let taken = async {
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.extend(pushes.recv().await.unwrap());
        }
        taken
    };
    let (second, taken) = tokio::join!(second, taken);
    assert_eq!(second, Ok(Reply::Integer(7)));
    assert_eq!(taken, ["x", "y", "x", "y"].map(|text| Reply::Bulk(text.into())));
    drop(pushes);
    assert_eq!(connection.request(&[b"C"]).await, Ok(Reply::Integer(7)));
}

#[tokio::test]
async fn a_full_connection_makes_requests_wait_and_closing_it_sorts_sent_from_unsent() {
    let server = MockServer::start(|_| Act::Silent).await;
    let options = ConnectOptions { in_flight_max: 2, ..ConnectOptions::default() };
    let connection = Connection::connect(server.address(), &options).await.unwrap();
    let request = || {
        let connection = connection.clone();
        tokio::spawn(async move { connection.request(&[b"GET", b"k"]).await })
    };
    let sent = [request(), request()];
    until(|| server.count("GET k") == 2).await;
    let waiting = request();
    tokio::task::yield_now().await;
    connection.close("test over");
    for task in sent {
        assert_eq!(task.await.unwrap(), Err(RequestError::Unknown { why: "test over".into() }));
    }
    assert_eq!(waiting.await.unwrap(), Err(RequestError::NotSent { why: "test over".into() }));
    assert_eq!(server.count("GET k"), 2);
}

#[tokio::test]
async fn passwords_are_sent_and_their_refusal_is_told() {
    let server = MockServer::start(|seen| match seen.words.as_str() {
        "AUTH right" => Act::ok(),
        "HELLO 3 AUTH default right" => Act::error("ERR unknown command 'HELLO'"),
        _ => Act::error("WRONGPASS invalid username-password pair"),
    })
    .await;
    let connect = |password: &str, resp3| {
        let options = ConnectOptions { password: Some(password.into()), resp3, ..ConnectOptions::default() };
        let address = server.address().clone();
        async move { Connection::connect(&address, &options).await }
    };
    assert!(connect("right", false).await.is_ok());
    assert!(connect("right", true).await.is_ok(), "falls back to RESP2");
    let error = connect("wrong", false).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to 127.0.0.1:") && error.contains("WRONGPASS"), "{error}");
}

#[tokio::test]
async fn a_moved_slot_is_followed_and_the_map_fetched_again() {
    let (new_listener, new) = listener().await;
    let (old_listener, old) = listener().await;
    let redirect = format!("MOVED 12182 {new}");
    let (a, b) = (old.clone(), new.clone());
    let slots = move || Act::slots(&[(0, 12181, &a), (12182, 16383, &b)]);
    let (then, mut first_map) = (slots.clone(), Some(Act::slots(&[(0, 16383, &old)])));
    let old = MockServer::on(old_listener, move |seen| match seen.words.as_str() {
        "CLUSTER SLOTS" => first_map.take().unwrap_or_else(&slots),
        _ => Act::error(&redirect),
    });
    let new = MockServer::on(new_listener, move |seen| match seen.words.as_str() {
        "CLUSTER SLOTS" => then(),
        _ => Act::bulk(b"bar"),
    });
    let client = client_of(&old, quick()).await;
    for _ in 0..5 {
        assert_eq!(client.get(b"foo").await.unwrap(), Some(b"bar".to_vec()));
    }
    assert_eq!((old.count("GET foo"), new.count("GET foo")), (1, 5), "learned from the first redirection");
    until(|| old.count("CLUSTER SLOTS") + new.count("CLUSTER SLOTS") >= 2).await;
}

#[tokio::test]
async fn an_ask_is_followed_with_asking_and_the_next_request_goes_to_the_old_node() {
    let target = MockServer::start(|_| Act::ok()).await;
    let redirect = format!("ASK 12182 {}", target.address());
    let source = whole(move |_| Act::error(&redirect)).await;
    let client = client_of(&source, quick()).await;
    client.set(b"foo", b"1").await.unwrap();
    client.set(b"foo", b"2").await.unwrap();
    let words: Vec<String> = target.seen().into_iter().map(|seen| seen.words).collect();
    assert_eq!(words, ["ASKING", "SET foo 1", "ASKING", "SET foo 2"]);
    assert_eq!(source.count("SET foo 2"), 1);
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    for text in ["TRYAGAIN later", "CLUSTERDOWN slot down", "LOADING log", "NOREPLICAS 1 of 2"] {
        let server = whole(once(Act::error(text), Act::ok())).await;
        client_of(&server, quick()).await.set(b"k", b"v").await.unwrap();
        assert_eq!(server.count("SET k v"), 2, "{text}");
    }
}

#[tokio::test]
async fn a_broken_write_is_reported_a_broken_read_repeated() {
    let server = whole(once(Act::Drop, Act::bulk(b"v"))).await;
    let error = client_of(&server, quick()).await.set(b"k", b"v").await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert_eq!(server.count("SET k v"), 1);

    let server = whole(once(Act::Drop, Act::bulk(b"v"))).await;
    assert_eq!(client_of(&server, quick()).await.get(b"k").await.unwrap(), Some(b"v".to_vec()));
    assert_eq!(server.count("GET k"), 2);
}

#[tokio::test]
async fn a_broken_write_is_repeated_where_that_is_allowed() {
    let server = whole(once(Act::Drop, Act::ok())).await;
    client_of(&server, quick().retry_unknown_writes()).await.set(b"k", b"v").await.unwrap();
    assert_eq!(server.count("SET k v"), 2);
}

#[tokio::test]
async fn a_silent_server_ends_at_the_deadline_and_reads_try_a_new_connection() {
    const DEADLINE: Duration = Duration::from_secs(3600);
    let _clock = HeldClock::new();
    let server = whole(|_| Act::Silent).await;
    let mut options = quick();
    options.retry.deadline = DEADLINE;
    options.retry.attempt_timeout = ms(100);
    let client = client_of(&server, options).await;
    let (reader, writer) = (client.clone(), client);
    let read = tokio::spawn(async move { reader.get(b"k").await });
    until(|| server.count("GET k") == 1).await;
    // Small steps: a timer that is not set yet must not be stepped over.
    step_until(ms(1), || server.count("GET k") >= 2).await;
    let connections: Vec<usize> =
        server.seen().iter().filter(|seen| seen.words == "GET k").map(|seen| seen.connection).collect();
    assert!(connections[0] < connections[1], "{connections:?}");
    assert!(!read.is_finished());
    step_until(DEADLINE, || read.is_finished()).await;
    let error = read.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Deadline { attempts: 2.., .. }), "{error}");

    let write = tokio::spawn(async move { writer.set(b"k", b"v").await });
    until(|| server.count("SET k v") == 1).await;
    tokio::time::advance(DEADLINE - ms(2)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!write.is_finished(), "a write waits until the deadline");
    step_until(ms(2), || write.is_finished()).await;
    assert!(write.await.unwrap().unwrap_err().outcome_unknown());
    assert_eq!(server.count("SET k v"), 1);
}

#[tokio::test]
async fn a_slow_server_that_still_sends_is_not_asked_twice() {
    const SIGNS_OF_LIFE: usize = 10;
    let _clock = HeldClock::new();
    let mut echoes = 0;
    // Sends something at each ECHO, but the reply to the GET, which is before them, only with the last.
    let server = whole(move |seen| {
        if seen.words.starts_with("GET") {
            return Act::Silent;
        }
        echoes += 1;
        let replies = if echoes < SIGNS_OF_LIFE { 0 } else { 1 + SIGNS_OF_LIFE };
        Act::Raw([b">1\r\n$1\r\nx\r\n".to_vec(), b"$1\r\nv\r\n".repeat(replies)].concat())
    })
    .await;
    let mut options = quick();
    options.retry.attempt_timeout = ms(200);
    let client = client_of(&server, options).await;
    let connection = client.connection(server.address()).await.unwrap();
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.get(b"k").await }
    });
    until(|| server.count("GET k") == 1).await;
    let mut signs = Vec::new();
    for _ in 0..SIGNS_OF_LIFE {
        tokio::time::advance(ms(150)).await;
        assert_eq!(connection.silent_for(), ms(150));
        let client = client.clone();
        signs.push(tokio::spawn(async move { client.command(&[b"ECHO", b"x"]).await }));
        until(|| connection.silent_for().is_zero()).await;
    }
    assert_eq!(slow.await.unwrap().unwrap(), Some(b"v".to_vec()));
    assert_eq!(server.count("GET k"), 1);
    for sign in signs {
        sign.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_lost_node_is_left_for_the_one_that_took_over() {
    let (heir_listener, heir) = listener().await;
    let map = Act::slots(&[(0, 16383, &heir)]);
    let heir = MockServer::on(heir_listener, move |seen| match seen.words.as_str() {
        "CLUSTER SLOTS" => map.clone(),
        _ => Act::ok(),
    });
    let lost = whole(|_| Act::Drop).await;
    let seeds = vec![lost.address().clone(), heir.address().clone()];
    let client = ClusterClient::connect(seeds, quick()).await.unwrap();
    drop(lost);
    // The connection breaks under the request or before it: only the former leaves the outcome open.
    let client = match client.set(b"k", b"v").await {
        Ok(()) => client,
        Err(error) if error.outcome_unknown() => client,
        Err(error) => panic!("{error}"),
    };
    client.set(b"k", b"w").await.unwrap();
    assert_eq!(heir.count("SET k w"), 1);
}

#[tokio::test]
async fn a_server_without_cluster_is_the_only_node() {
    let server = MockServer::start(|seen| match seen.words.as_str() {
        "CLUSTER SLOTS" => Act::error("ERR This instance has cluster support disabled"),
        _ => Act::bulk(b"v"),
    })
    .await;
    let client = client_of(&server, quick()).await;
    assert!(client.is_single());
    assert_eq!(client.get(b"any").await.unwrap(), Some(b"v".to_vec()));
}

#[tokio::test]
async fn a_unix_socket_serves_as_an_address() {
    let path = std::env::temp_dir().join(format!("carousel-client-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"SLOTS\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            if seen.ends_with(b"PING\r\n") {
                stream.write_all(b"+PONG\r\n").await.unwrap();
            }
        }
        stream.write_all(b"-ERR This instance has cluster support disabled\r\n").await.unwrap();
        stream.read_buf(&mut seen).await.unwrap();
    });
    let address: crate::Address = path.to_str().unwrap().parse().unwrap();
    let client = ClusterClient::connect(vec![address.clone()], quick()).await.unwrap();
    assert_eq!(client.nodes(), std::slice::from_ref(&address));
    drop(client);
    serving.await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = ClusterClient::connect(vec![address.clone()], quick()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot connect to {address}: no such file")), "{error}");
}

#[tokio::test]
async fn a_node_that_is_down_is_named_with_its_fault() {
    let (listener, address) = listener().await;
    drop(listener);
    let error = ClusterClient::connect(vec![address.clone()], quick()).await.unwrap_err().to_string();
    assert_eq!(error, format!("no node answers: cannot connect to {address}: connection refused"));
}

#[tokio::test]
async fn an_error_that_no_retry_cures_is_returned_at_once_with_the_node() {
    let server = whole(|_| Act::error("WRONGTYPE Operation against a key")).await;
    let client = client_of(&server, quick()).await;
    let error = client.get(b"k").await.unwrap_err();
    assert_eq!(error.to_string(), format!("{}: WRONGTYPE Operation against a key", server.address()));
    let error = client.command(&[b"INCR", b"k"]).await.unwrap_err();
    assert_eq!(error.kind(), "WRONGTYPE");
    assert_eq!(server.seen().len(), 3, "the map and two requests");
}

#[tokio::test]
async fn bytes_that_are_no_reply_end_the_connection_with_words() {
    let server = MockServer::start(|_| Act::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let connection = Connection::connect(server.address(), &ConnectOptions::default()).await.unwrap();
    let error = connection.request(&[b"GET", b"k"]).await.unwrap_err();
    assert!(error.to_string().contains("does not speak the Redis protocol"), "{error}");
    assert!(connection.is_closed());
}

/// The type may cross threads, as callers expect.
#[test]
fn clients_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<ClusterClient>();
    shared::<Connection>();
    shared::<Address>();
}
