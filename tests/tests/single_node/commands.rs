//! Commands, alone, in pipelines and over several shards.

use carousel_tests::eventually;
use redis::{AsyncCommands, RedisResult, Value};

use crate::each_kind;

#[tokio::test]
async fn strings_answer_as_documented() {
    for server in each_kind().await {
        let mut client = server.client().await;
        let () = client.set("s", "hello").await.unwrap();
        assert_eq!(client.get::<_, String>("s").await.unwrap(), "hello");
        assert_eq!(client.append::<_, _, i64>("s", " world").await.unwrap(), 11);
        assert_eq!(client.strlen::<_, i64>("s").await.unwrap(), 11);
        assert_eq!(client.getrange::<_, String>("s", -5, -1).await.unwrap(), "world");
        assert_eq!(client.setrange::<_, _, i64>("s", 6, "there").await.unwrap(), 11);
        assert_eq!(client.getset::<_, _, String>("s", "new").await.unwrap(), "hello there");
        assert_eq!(client.get_del::<_, String>("s").await.unwrap(), "new");
        assert_eq!(client.get::<_, Option<String>>("s").await.unwrap(), None);
        assert!(client.set_nx::<_, _, bool>("s", "once").await.unwrap());
        assert!(!client.set_nx::<_, _, bool>("s", "twice").await.unwrap());
        assert_eq!(client.incr::<_, _, i64>("n", 41).await.unwrap(), 41);
        assert_eq!(client.decr::<_, _, i64>("n", -1).await.unwrap(), 42);
        assert_eq!(client.incr::<_, _, f64>("n", 0.5).await.unwrap(), 42.5);
        let refused: RedisResult<i64> = client.incr("s", 1).await;
        assert!(refused.unwrap_err().to_string().contains("value is not an integer or out of range"));
        let binary = [0, 255, b'\r', b'\n', 128];
        let () = client.set(&binary[..], &binary[..]).await.unwrap();
        assert_eq!(client.get::<_, Vec<u8>>(&binary[..]).await.unwrap(), binary);
    }
}

#[tokio::test]
async fn keys_expire_whether_or_not_somebody_looks() {
    for server in each_kind().await {
        let mut client = server.client().await;
        for n in 0..100 {
            let () = client.pset_ex(format!("short:{n}"), "x", 50).await.unwrap();
        }
        let () = client.set_ex("long", "x", 1000).await.unwrap();
        assert!((990..=1000).contains(&client.ttl::<_, i64>("long").await.unwrap()));
        assert!(client.persist::<_, bool>("long").await.unwrap());
        assert_eq!(client.ttl::<_, i64>("long").await.unwrap(), -1);
        assert_eq!(client.ttl::<_, i64>("none").await.unwrap(), -2);
        eventually("a key expires for who reads it", async || {
            match client.get::<_, Option<String>>("short:7").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        // Nobody reads the other 99.
        eventually("keys that nobody reads are removed", async || {
            match redis::cmd("DBSIZE").query_async::<i64>(&mut client).await {
                Ok(1) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn replies_of_a_pipeline_come_in_the_order_of_its_requests() {
    for server in each_kind().await {
        let mut client = server.client().await;
        let mut pipe = redis::pipe();
        for n in 0..5_000 {
            // Keys of all shards by turns, errors and commands of no key in between.
            pipe.cmd("SET").arg(format!("k{n}")).arg(n);
            pipe.cmd("INCRBY").arg(format!("k{n}")).arg(1);
            match n % 3 {
                0 => pipe.cmd("GET").arg(format!("k{}", n / 2)),
                1 => pipe.cmd("ECHO").arg(n),
                _ => pipe.cmd("EXISTS").arg(format!("k{n}")).arg(format!("k{}", n + 1)),
            };
        }
        pipe.ignore_errors();
        let replies: Vec<Value> = pipe.query_async(&mut client).await.unwrap();
        assert_eq!(replies.len(), 15_000);
        for (n, three) in replies.chunks(3).enumerate() {
            let n = n as i64;
            assert_eq!(three[..2], [Value::Okay, Value::Int(n + 1)], "{n}");
            let third = match n % 3 {
                // Key 0 is itself, just counted up; so is every key before.
                0 => Value::BulkString((n / 2 + 1).to_string().into()),
                1 => Value::BulkString(n.to_string().into()),
                _ => Value::Int(1),
            };
            assert_eq!(three[2], third, "{n}");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_pipeline_stays_at_its_place() {
    for server in each_kind().await {
        let mut raw = server.raw().await;
        raw.send(b"SET a x\r\nINCR a\r\nNOSUCH\r\nGET a b\r\nGET a\r\n").await;
        assert_eq!(raw.reply().await.as_str(), Some("OK"));
        assert_eq!(raw.reply().await.as_error(), Some("ERR value is not an integer or out of range"));
        let unknown = raw.reply().await;
        assert!(unknown.as_error().unwrap().starts_with("ERR unknown command 'NOSUCH'"), "{unknown:?}");
        assert_eq!(raw.reply().await.as_error(), Some("ERR wrong number of arguments for 'get' command"));
        assert_eq!(raw.reply().await.as_str(), Some("x"));
    }
}

#[tokio::test]
async fn commands_of_many_keys_reach_all_shards() {
    for server in each_kind().await {
        let mut client = server.client().await;
        let pairs: Vec<_> = (0..1_000).map(|n| (format!("k{n}"), n)).collect();
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
        let () = client.mset(&pairs).await.unwrap();

        let mut asked = keys.clone();
        asked.insert(500, "missing".into());
        let values: Vec<Option<i64>> = client.mget(&asked).await.unwrap();
        let expected: Vec<_> = (0..500).map(Some).chain([None]).chain((500..1_000).map(Some)).collect();
        assert_eq!(values, expected);

        // A key that is named twice counts twice.
        let twice: Vec<_> = keys.iter().chain(&keys[..10]).collect();
        assert_eq!(client.exists::<_, i64>(&twice).await.unwrap(), 1_010);
        assert_eq!(redis::cmd("TOUCH").arg(&asked).query_async::<i64>(&mut client).await.unwrap(), 1_000);
        assert_eq!(client.del::<_, i64>(&asked[..501]).await.unwrap(), 500);
        assert_eq!(client.unlink::<_, i64>(&twice).await.unwrap(), 500);
        assert_eq!(client.exists::<_, i64>(&keys).await.unwrap(), 0);
        // This one decides over all its keys at once, so they must lie together.
        let tagged = |key: &str| format!("{{tag}}:{key}");
        assert!(client.mset_nx::<_, _, bool>(&[(tagged("a"), 1), (tagged("b"), 1)]).await.unwrap());
        assert!(!client.mset_nx::<_, _, bool>(&[(tagged("c"), 2), (tagged("b"), 2)]).await.unwrap());
        assert!(!client.exists::<_, bool>(tagged("c")).await.unwrap(), "all or nothing");
    }
}

#[tokio::test]
async fn big_values_come_back_whole() {
    const BYTES: usize = 10 * 1024 * 1024;
    for server in each_kind().await {
        let mut client = server.client().await;
        let value: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
        for key in ["a", "b", "c"] {
            let () = client.set(key, &value).await.unwrap();
        }
        // Together, so that the replies are far more than a socket takes at once.
        let all: Vec<Vec<u8>> = client.mget(&["a", "b", "c"]).await.unwrap();
        assert!(all.iter().all(|held| *held == value));
        assert_eq!(client.append::<_, _, usize>("a", &value).await.unwrap(), 2 * BYTES);
        let seam: Vec<u8> = client.getrange("a", BYTES as isize - 5, BYTES as isize + 4).await.unwrap();
        assert_eq!(seam, [&value[BYTES - 5..], &value[..5]].concat());
    }
}

#[tokio::test]
async fn a_key_without_its_value_is_refused_wherever_its_keys_are() {
    for server in super::each_kind().await {
        let mut client = server.raw().await;
        for (command, name) in [("MSET a 1 b", "mset"), ("MSETNX a 1 b 2 c", "msetnx")] {
            let reply = client.call(command).await;
            let expected = format!("ERR wrong number of arguments for '{name}' command");
            assert_eq!(reply.as_error(), Some(expected.as_str()), "{command}");
        }
        assert_eq!(client.call("DBSIZE").await.as_integer(), Some(0));
    }
}
