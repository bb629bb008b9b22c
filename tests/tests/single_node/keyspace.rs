//! Commands about all keys, which lie on all shards.

use std::collections::BTreeSet;

use redis::AsyncCommands;

use crate::each_kind;

#[tokio::test]
async fn the_keyspace_is_one_over_all_shards() {
    for server in each_kind().await {
        let mut client = server.client().await;
        let keys: BTreeSet<String> = (0..3_000).map(|n| format!("key:{n}")).collect();
        let pairs: Vec<_> = keys.iter().map(|key| (key, "x")).collect();
        let () = client.mset(&pairs).await.unwrap();

        assert_eq!(redis::cmd("DBSIZE").query_async::<usize>(&mut client).await.unwrap(), keys.len());
        let listed: Vec<String> = client.keys("*").await.unwrap();
        assert_eq!(listed.len(), keys.len());
        assert_eq!(BTreeSet::from_iter(listed), keys);
        let some: BTreeSet<String> = client.keys("key:12?").await.unwrap();
        assert_eq!(some, (120..130).map(|n| format!("key:{n}")).collect());
        let random: String = redis::cmd("RANDOMKEY").query_async(&mut client).await.unwrap();
        assert!(keys.contains(&random));

        let () = redis::cmd("FLUSHALL").query_async(&mut client).await.unwrap();
        assert_eq!(redis::cmd("DBSIZE").query_async::<usize>(&mut client).await.unwrap(), 0);
        assert_eq!(client.keys::<_, Vec<String>>("*").await.unwrap(), [""; 0]);
        let none: Option<String> = redis::cmd("RANDOMKEY").query_async(&mut client).await.unwrap();
        assert_eq!(none, None);
    }
}

#[tokio::test]
async fn scan_shows_every_key_that_is_there_all_the_time() {
    for server in each_kind().await {
        let mut client = server.client().await;
        let stay: BTreeSet<String> = (0..2_000).map(|n| format!("stay:{n}")).collect();
        let pairs: Vec<_> = stay.iter().map(|key| (key, "x")).collect();
        let () = client.mset(&pairs).await.unwrap();
        // All in one slot, so that its table is far larger than the others.
        let tagged: Vec<_> = (0..2_000).map(|n| (format!("{{tag}}:{n}"), n)).collect();
        let () = client.mset(&tagged).await.unwrap();

        let (mut seen, mut cursor, mut calls) = (BTreeSet::new(), 0u64, 0);
        loop {
            let (next, keys): (u64, Vec<String>) =
                redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(50).query_async(&mut client).await.unwrap();
            seen.extend(keys);
            calls += 1;
            // Others come and go meanwhile.
            let () = client.set(format!("{{tag}}:new:{calls}"), 1).await.unwrap();
            let () = client.del(format!("{{tag}}:new:{}", calls / 2)).await.unwrap();
            if next == 0 {
                break;
            }
            cursor = next;
        }
        assert!(calls > 10, "50 at a time is not all at once");
        assert!(stay.is_subset(&seen));
        assert!(tagged.iter().all(|(key, _)| seen.contains(key)));
    }
}

#[tokio::test]
async fn scan_filters_by_pattern_and_type() {
    for server in each_kind().await {
        let mut client = server.client().await;
        let pairs: Vec<_> = (0..500).map(|n| (format!("key:{n}"), n)).collect();
        let () = client.mset(&pairs).await.unwrap();
        let mut found = BTreeSet::new();
        let mut keys = client.scan_match::<_, String>("key:4?").await.unwrap();
        while let Some(key) = keys.next_item().await {
            found.insert(key.unwrap());
        }
        drop(keys);
        assert_eq!(found, (40..50).map(|n| format!("key:{n}")).collect());

        for (kind, count) in [("string", 500), ("hash", 0)] {
            let (mut cursor, mut keys) = (0u64, 0);
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("COUNT").arg(1_000).arg("TYPE").arg(kind);
                let (next, found): (u64, Vec<String>) = scan.query_async(&mut client).await.unwrap();
                keys += found.len();
                cursor = next;
                if next == 0 {
                    break;
                }
            }
            assert_eq!(keys, count, "{kind}");
        }
    }
}
