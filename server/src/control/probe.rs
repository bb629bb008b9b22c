//! Asking another node, by its client address, who it is.

use std::time::Duration;

use carousel_protocol::resp::{Reply, encode_request, parse_reply};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::limits::SHARDS_MAX;

/// How long a node may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer to a probe.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// What a node says of itself to those who may join it: the reply of `CAROUSEL PROBE`, as JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// Its software's version.
    pub carousel_version: String,
    /// Version of its peer protocol.
    pub peer_protocol: u16,
    /// Node id, 40 hex digits.
    pub id: String,
    /// Peer port.
    pub peer_port: u16,
    /// Number of shards.
    pub shards: u16,
    /// Placement weight.
    pub weight: u32,
    /// Failure zone.
    pub zone: String,
    /// Random number of its process.
    pub process: u64,
    /// Cluster that it is a member of.
    pub cluster_id: Option<String>,
    /// It follows the config group and redirects clients accordingly.
    pub joined: bool,
    /// Keys that it holds.
    pub keys: u64,
}

/// Sends one command to a node's client port and returns its reply; an `-ERR` reply is [`Reply::Error`].
///
/// # Errors
/// One line for the operator that says what is wrong with that address.
pub(super) async fn call(address: &str, password: Option<&str>, args: &[&[u8]]) -> Result<Reply, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.map_err(|error| {
            format!(
                "cannot reach {address}: {error}. Is carousel-server running there, and the address right?"
            )
        })?;
        let mut request = Vec::new();
        if let Some(password) = password {
            encode_request(&mut request, &[b"AUTH", password.as_bytes()]);
        }
        encode_request(&mut request, args);
        let talk = |error: std::io::Error| format!("{address} does not answer as a Carousel node: {error}");
        stream.write_all(&request).await.map_err(talk)?;
        let (mut buffer, mut at) = (Vec::new(), 0);
        let mut skip = usize::from(password.is_some());
        loop {
            let parsed = parse_reply(&buffer[at..])
                .map_err(|error| format!("{address} does not answer as a Carousel node: {error}"))?;
            if let Some((reply, used)) = parsed {
                at += used;
                // A node that turns us away says so once, whatever it was asked, and closes.
                let turned_away = matches!(&reply, Reply::Error(text) if is_refusal_to_talk(text));
                if skip == 0 || turned_away {
                    return Ok(reply);
                }
                skip -= 1;
                continue;
            }
            if buffer.len() > REPLY_BYTES_MAX {
                return Err(format!("{address} does not answer as a Carousel node: its reply has no end"));
            }
            if stream.read_buf(&mut buffer).await.map_err(talk)? == 0 {
                return Err(format!("{address} closed the connection: it is no Carousel node, or stopping"));
            }
        }
    };
    tokio::time::timeout(PROBE_TIMEOUT, exchange)
        .await
        .map_err(|_| format!("{address} did not answer within {} s", PROBE_TIMEOUT.as_secs()))?
}

/// What a node says to a connection that it does not take, before it closes it.
fn is_refusal_to_talk(text: &str) -> bool {
    text.starts_with("DENIED") || text.starts_with("ERR max number of clients")
}

/// Asks the node at `address` who it is.
///
/// # Errors
/// As [`call`]; and where something else than Carousel answers.
pub(super) async fn probe(address: &str, password: Option<&str>) -> Result<Probe, String> {
    match call(address, password, &[b"CAROUSEL", b"PROBE"]).await? {
        Reply::Bulk(json) => read_probe(&json)
            .map_err(|why| format!("{address} answers as no Carousel node of this version: {why}")),
        Reply::Error(text) => Err(if text.starts_with("NOAUTH") || text.starts_with("WRONGPASS") {
            format!("{address} wants another password: all nodes of a cluster share one requirepass")
        } else if text.starts_with("DENIED") {
            format!(
                "{address} is in protected mode: set requirepass, the same on all nodes, or protected-mode no"
            )
        } else if is_refusal_to_talk(&text) {
            format!("{address} has as many clients as its maxclients allows: raise it, or try again")
        } else {
            format!("{address} is not a Carousel node: it answered '{text}'")
        }),
        other => Err(format!("{address} is not a Carousel node: it answered {other:?}")),
    }
}

fn read_probe(json: &[u8]) -> Result<Probe, String> {
    let probe: Probe = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if !(1..=SHARDS_MAX).contains(&probe.shards) {
        return Err(format!("{} shards, where 1 to {SHARDS_MAX} are possible", probe.shards));
    }
    Ok(probe)
}

/// Keeps clients out of nodes that are about to join, for `duration` at most, unless another `token` does already.
///
/// # Errors
/// As [`call`]; and where a node holds keys, is a member, or is being joined by another. Then all of them are as they
/// were.
pub(super) async fn reserve(
    addresses: &[String],
    password: Option<&str>,
    duration: Duration,
    token: u64,
) -> Result<(), String> {
    for (i, address) in addresses.iter().enumerate() {
        if let Err(why) = reserve_one(address, password, duration, token).await {
            release(&addresses[..i], password, token).await;
            return Err(why);
        }
    }
    Ok(())
}

/// Lets clients in again. A node that cannot be told so does it by itself when its time is over.
pub(super) async fn release(addresses: &[String], password: Option<&str>, token: u64) {
    let told = addresses.iter().map(|address| reserve_one(address, password, Duration::ZERO, token));
    futures::future::join_all(told).await;
}

async fn reserve_one(
    address: &str,
    password: Option<&str>,
    duration: Duration,
    token: u64,
) -> Result<(), String> {
    let (ms, token) = (duration.as_millis().to_string(), token.to_string());
    match call(address, password, &[b"CAROUSEL", b"RESERVE", ms.as_bytes(), token.as_bytes()]).await? {
        Reply::Bulk(_) => Ok(()),
        Reply::Error(text) => Err(format!("{address}: {}", text.strip_prefix("ERR ").unwrap_or(&text))),
        other => Err(format!("{address} is not a Carousel node: it answered {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_turns_others_away_is_told_from_something_else() {
        for (said, why) in [
            (
                crate::settings::DENIED,
                "is in protected mode: set requirepass, the same on all nodes, or protected-mode no",
            ),
            (
                "ERR max number of clients reached",
                "has as many clients as its maxclients allows: raise it, or try again",
            ),
            (
                "NOAUTH Authentication required.",
                "wants another password: all nodes of a cluster share one requirepass",
            ),
            ("ERR unknown command", "is not a Carousel node: it answered 'ERR unknown command'"),
        ] {
            for password in [None, Some("secret")] {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap().to_string();
                let serve = async {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let line = format!("-{said}\r\n");
                    // Whoever is turned away gets one line, whatever it asked.
                    let times = if is_refusal_to_talk(said) { 1 } else { 2 };
                    stream.write_all(line.repeat(times).as_bytes()).await.unwrap();
                    stream
                };
                let (fault, _stream) = tokio::join!(probe(&address, password), serve);
                assert_eq!(fault.unwrap_err(), format!("{address} {why}"));
            }
        }
    }

    #[test]
    fn a_node_that_claims_an_impossible_number_of_shards_is_not_believed() {
        let probe = |shards| Probe {
            carousel_version: "0.1.0".into(),
            peer_protocol: 1,
            id: "a".repeat(40),
            peer_port: 17000,
            shards,
            weight: 1,
            zone: String::new(),
            process: 7,
            cluster_id: None,
            joined: false,
            keys: 0,
        };
        for (shards, possible) in [(0, false), (1, true), (SHARDS_MAX, true), (SHARDS_MAX + 1, false)] {
            let json = serde_json::to_vec(&probe(shards)).unwrap();
            assert_eq!(read_probe(&json).ok(), possible.then(|| probe(shards)));
        }
    }
}
