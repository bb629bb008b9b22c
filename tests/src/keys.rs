//! Many keys with values that follow from their names.

use redis::cluster_async::ClusterConnection;
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::wait::within;

/// Requests under way at a time.
const AT_ONCE: u32 = 50;
/// Every so many-th key has an expiry, far away.
const VOLATILE_EVERY: u32 = 10;
const EXPIRE_S: i64 = 100_000;

fn name(n: u32) -> String {
    format!("key:{n}")
}

/// 96 bytes.
fn value(n: u32) -> String {
    format!("{n:08}").repeat(12)
}

/// Writes keys 0 to `count`.
///
/// # Panics
/// If the client meets an error.
pub async fn write(cluster: &Cluster, count: u32) {
    for_all(cluster, count, |n, mut client| async move {
        let mut set = redis::cmd("SET");
        set.arg(name(n)).arg(value(n));
        if n % VOLATILE_EVERY == 0 {
            set.arg("EX").arg(EXPIRE_S);
        }
        set.query_async::<()>(&mut client).await.map(|()| None)
    })
    .await;
}

/// Asserts that the cluster holds exactly what [`write()`] wrote: values and expiries.
///
/// # Panics
/// If not.
pub async fn assert_right(cluster: &Cluster, count: u32) {
    let wrong = for_all(cluster, count, |n, mut client| async move {
        let held: Option<String> = redis::cmd("GET").arg(name(n)).query_async(&mut client).await?;
        let ttl: i64 = redis::cmd("TTL").arg(name(n)).query_async(&mut client).await?;
        let lives =
            if n % VOLATILE_EVERY == 0 { ttl > EXPIRE_S - 10_000 && ttl <= EXPIRE_S } else { ttl == -1 };
        let right = held.as_deref() == Some(value(n).as_str()) && lives;
        Ok((!right).then(|| format!("{} holds {held:?}, lives {ttl} s", name(n))))
    })
    .await;
    assert!(wrong.is_empty(), "{} of {count} keys are wrong, the first: {}", wrong.len(), wrong[0]);
}

/// Does something with each number, several at a time, and collects what it found.
async fn for_all<F>(cluster: &Cluster, count: u32, work: impl Fn(u32, ClusterConnection) -> F) -> Vec<String>
where
    F: Future<Output = redis::RedisResult<Option<String>>> + Send + 'static,
{
    let client = cluster.client().await;
    let mut running: JoinSet<redis::RedisResult<Option<String>>> = JoinSet::new();
    let mut found = Vec::new();
    for n in 0..count + AT_ONCE {
        if n >= AT_ONCE
            && let Some(done) = within("an answer", running.join_next()).await
        {
            found.extend(done.expect("no panic").expect("the client meets no error"));
        }
        if n < count {
            running.spawn(work(n, client.clone()));
        }
    }
    while let Some(done) = running.join_next().await {
        found.extend(done.expect("no panic").expect("the client meets no error"));
    }
    found
}
