//! What a connection can do besides reading and writing keys, and its end.

use carousel_protocol::resp::Reply;
use carousel_tests::{Server, bulk, eventually};
use redis::AsyncCommands;

use crate::each_kind;

#[tokio::test]
async fn hello_switches_the_protocol_and_says_who_is_there() {
    for server in each_kind().await {
        let mut raw = server.raw().await;
        let Reply::Map(facts) = raw.call("HELLO 3").await else { panic!("RESP3 answers with a map") };
        let fact =
            |name: &str| facts.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value);
        assert_eq!(fact("server").and_then(Reply::as_str), Some("redis"));
        assert_eq!(fact("proto").and_then(Reply::as_integer), Some(3));
        // RESP3 has a null of its own: the reply parser takes both, the bytes differ.
        raw.send(b"GET none\r\nQUIT\r\n").await;
        assert_eq!(raw.until_closed().await, b"_\r\n+OK\r\n");

        let mut raw = server.raw().await;
        assert!(matches!(raw.call("HELLO 2").await, Reply::Array(_)));
        let refused = raw.call("HELLO 4").await;
        assert_eq!(refused.as_error(), Some("NOPROTO unsupported protocol version"));
        raw.send(b"GET none\r\nQUIT\r\n").await;
        assert_eq!(raw.until_closed().await, b"$-1\r\n+OK\r\n");
    }
}

#[tokio::test]
async fn stock_clients_speak_resp3_too() {
    for server in each_kind().await {
        let url = format!("redis://{}/?protocol=resp3", server.address());
        let mut client = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        let () = client.set("a", 1).await.unwrap();
        assert_eq!(client.mget::<_, Vec<Option<i64>>>(&["a", "none"]).await.unwrap(), [Some(1), None]);
    }
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let server = Server::start_new(&[("requirepass", "secret"), ("shards", "2")]).await;
    let mut raw = server.raw().await;
    for command in
        ["GET a", "SET a 1", "DBSIZE", "CLUSTER SLOTS", "CAROUSEL STATUS", "CONFIG GET requirepass"]
    {
        assert_eq!(raw.call(command).await.as_error(), Some("NOAUTH Authentication required."), "{command}");
    }
    let wrong = raw.call("AUTH guess").await;
    assert!(wrong.as_error().unwrap().starts_with("WRONGPASS "), "{wrong:?}");
    assert_eq!(raw.call("AUTH secret").await.as_str(), Some("OK"));
    assert_eq!(raw.call("SET a 1").await.as_str(), Some("OK"));
    let mut other = server.raw().await;
    assert!(other.call("GET a").await.as_error().is_some(), "a password is given per connection");
    assert!(matches!(other.call("HELLO 3 AUTH default secret").await, Reply::Map(_)));
    assert_eq!(other.call("GET a").await.as_str(), Some("1"));

    let url = |password: &str| format!("redis://:{password}@{}/", server.address());
    let client = redis::Client::open(url("secret")).unwrap();
    assert_eq!(client.get_multiplexed_async_connection().await.unwrap().get::<_, i64>("a").await.unwrap(), 1);
    let client = redis::Client::open(url("guess")).unwrap();
    assert!(client.get_multiplexed_async_connection().await.is_err());
}

#[tokio::test]
async fn clients_are_listed_and_can_be_ended() {
    for server in each_kind().await {
        let (mut victim, mut other) = (server.raw().await, server.raw().await);
        assert_eq!(victim.call("CLIENT SETNAME victim").await.as_str(), Some("OK"));
        assert_eq!(victim.call("CLIENT GETNAME").await.as_str(), Some("victim"));
        let id = victim.call("CLIENT ID").await.as_integer().unwrap();
        let list = String::from_utf8(bulk(other.call("CLIENT LIST").await)).unwrap();
        let line = list.lines().find(|line| line.starts_with(&format!("id={id} "))).expect("it is listed");
        assert!(line.contains(" name=victim "), "{line}");

        assert_eq!(other.call(&format!("CLIENT KILL ID {id}")).await.as_integer(), Some(1));
        assert_eq!(victim.until_closed().await, b"");
        eventually("who was ended is listed no more", async || {
            let list = String::from_utf8(bulk(other.call("CLIENT LIST").await)).unwrap();
            if list.contains("name=victim") { Err(list) } else { Ok(()) }
        })
        .await;
        assert_eq!(other.call(&format!("CLIENT KILL ID {id}")).await.as_integer(), Some(0));
    }
}

#[tokio::test]
async fn clients_beyond_the_limit_are_told_and_others_stay() {
    let server = Server::start_new(&[("maxclients", "5"), ("shards", "2")]).await;
    // The probe of the start may still be there.
    let mut clients = eventually("five clients are in", async || {
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut raw = server.raw().await;
            match raw.try_call(&[b"PING"]).await {
                Ok(reply) if reply.as_str() == Some("PONG") => clients.push(raw),
                other => return Err(format!("{other:?}")),
            }
        }
        Ok(clients)
    })
    .await;
    let before = server_rejections(&mut clients[0]).await;
    let mut sixth = server.raw().await;
    assert_eq!(sixth.until_closed().await, b"-ERR max number of clients reached\r\n");
    for client in &mut clients {
        assert_eq!(client.call("PING").await.as_str(), Some("PONG"));
    }
    assert_eq!(server_rejections(&mut clients[0]).await, before + 1);
    clients.pop();
    eventually("a place that was left is taken", async || {
        match server.raw().await.try_call(&[b"PING"]).await {
            Ok(reply) if reply.as_str() == Some("PONG") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

async fn server_rejections(client: &mut carousel_tests::Raw) -> i64 {
    stat(client, "rejected_connections").await
}

async fn stat(client: &mut carousel_tests::Raw, name: &str) -> i64 {
    let info = String::from_utf8(bulk(client.call("INFO stats").await)).unwrap();
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("INFO has it").parse().unwrap()
}

#[tokio::test]
async fn info_counts_what_happened() {
    for server in super::each_kind().await {
        let mut client = server.raw().await;
        let before = [
            stat(&mut client, "total_error_replies").await,
            stat(&mut client, "total_net_input_bytes").await,
            stat(&mut client, "total_net_output_bytes").await,
            stat(&mut client, "keyspace_hits").await,
        ];
        client.call("SET counted abc").await;
        client.call("GET counted").await;
        client.call("INCR counted").await; // no integer
        client.call("GET").await; // wrong arity
        client.call("NONSENSE").await;
        assert_eq!(stat(&mut client, "total_error_replies").await - before[0], 3);
        assert!(stat(&mut client, "total_net_input_bytes").await - before[1] >= 60);
        assert!(stat(&mut client, "total_net_output_bytes").await - before[2] >= 60);
        eventually("the hit is published", async || {
            match stat(&mut client, "keyspace_hits").await - before[3] {
                1 => Ok(()),
                hits => Err(format!("{hits} hits")),
            }
        })
        .await;
        let stats = String::from_utf8(bulk(client.call("INFO commandstats").await)).unwrap();
        for (name, counts) in [
            ("get", "calls=1 rejected_calls=1 failed_calls=0"),
            ("incr", "calls=1 rejected_calls=0 failed_calls=1"),
        ] {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:")));
            let fields = line.unwrap_or_else(|| panic!("{name} in {stats}")).split(',');
            let counted: Vec<_> = fields.filter(|field| !field.starts_with("usec")).collect();
            assert_eq!(counted.join(" "), counts, "of {name}");
        }
    }
}
