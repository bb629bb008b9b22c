//! A node whose memory is limited.

use carousel_tests::{Server, eventually};
use redis::AsyncCommands;

const LIMIT: u64 = 48 << 20;

async fn used_memory(server: &Server) -> u64 {
    server.info("used_memory").await.parse().unwrap()
}

/// Waits until the server's clock shows another second.
async fn next_second(client: &mut redis::aio::MultiplexedConnection) {
    let time = async |client: &mut redis::aio::MultiplexedConnection| {
        let (seconds, _): (u64, u64) = redis::cmd("TIME").query_async(client).await.unwrap();
        seconds
    };
    let before = time(client).await;
    eventually("a second goes by", async || match time(client).await {
        now if now > before => Ok(()),
        now => Err(format!("{now}")),
    })
    .await;
}

/// Writes about 100 MB to two shards.
#[tokio::test]
async fn memory_stays_below_its_limit_and_hot_keys_stay() {
    let limit = LIMIT.to_string();
    for policy in ["allkeys-lru", "allkeys-lfu", "volatile-ttl", "allkeys-random"] {
        let server =
            Server::start_new(&[("shards", "2"), ("maxmemory", &limit), ("maxmemory-policy", policy)]).await;
        let mut client = server.client().await;
        let value = vec![b'v'; 1000];
        for round in 0..100 {
            if policy == "allkeys-lru" && round % 10 == 0 {
                // Uses are noted to the second: what is hot must have been used in a later one.
                next_second(&mut client).await;
            }
            let mut pipe = redis::pipe();
            for i in 0..1000 {
                pipe.cmd("SET")
                    .arg(format!("key:{round}:{i}"))
                    .arg(&value)
                    .arg("EX")
                    .arg(1000 + round)
                    .ignore();
            }
            // The keys of the first round are hot.
            for i in 0..1000 {
                pipe.cmd("GET").arg(format!("key:0:{i}")).ignore();
            }
            let () = pipe.query_async(&mut client).await.unwrap();
            let used = used_memory(&server).await;
            // Shards tell each other every 50 ms what they use: for so long, what is written may be too much.
            assert!(used < LIMIT + LIMIT / 4, "{policy}: {used} bytes in round {round}");
        }
        assert!(server.info("evicted_keys").await.parse::<u64>().unwrap() > 10_000, "{policy}");
        let keys: usize = redis::cmd("DBSIZE").query_async(&mut client).await.unwrap();
        assert!(keys > 10_000, "{policy}: {keys} keys are left");
        let hot: Vec<String> = (0..1000).map(|i| format!("key:0:{i}")).collect();
        let left: usize = client.exists(&hot).await.unwrap();
        match policy {
            "allkeys-lru" | "allkeys-lfu" => assert!(left > 850, "{policy}: {left} hot keys are left"),
            _ => assert!(left < 800, "{policy}: {left} hot keys are left"),
        }
    }
}

#[tokio::test]
async fn without_a_policy_writes_are_refused_until_there_is_room() {
    let server = Server::start_new(&[("shards", "2"), ("maxmemory", &LIMIT.to_string())]).await;
    let mut client = server.client().await;
    let value = vec![b'v'; 10_000];
    let mut refused = None;
    for i in 0..20_000 {
        if let Err(error) = client.set::<_, _, ()>(format!("key:{i}"), &value).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.expect("there is no room for all");
    assert_eq!(refused.code(), Some("OOM"), "{refused}");
    assert_eq!(client.get::<_, Vec<u8>>("key:1").await.unwrap(), value, "reads go on");
    let keys: Vec<String> = (0..1000).map(|i| format!("key:{i}")).collect();
    assert_eq!(client.del::<_, usize>(&keys).await.unwrap(), 1000);
    let () = client.set("small", "value").await.unwrap();
    let usage: u64 =
        redis::cmd("MEMORY").arg("USAGE").arg("key:1500").query_async(&mut client).await.unwrap();
    assert!((10_000..13_000).contains(&usage), "{usage}");
    let () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).query_async(&mut client).await.unwrap();
    for i in 0..2000 {
        let () = client.set(format!("more:{i}"), &value).await.unwrap();
    }
}
