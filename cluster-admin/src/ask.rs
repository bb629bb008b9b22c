//! Asking a node with the `CAROUSEL` command, and saying clearly why there is no answer.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use carousel_client::{Address, ConnectOptions, Connection, Reply};
use serde::de::DeserializeOwned;

/// The node that the user named, and what it takes to talk to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// `--node`.
    pub node: Address,
    /// `--password`.
    pub password: Option<String>,
}

impl Target {
    /// The same password at another node.
    pub fn at(&self, node: Address) -> Self {
        Self { node, password: self.password.clone() }
    }

    /// How the client library connects.
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions { password: self.password.clone(), ..ConnectOptions::default() }
    }

    /// Connects.
    ///
    /// # Errors
    /// One line with the address, the fault and what to try.
    pub async fn connect(&self) -> Result<Connection> {
        self.connect_with(&self.connect_options()).await
    }

    /// Connects with options that began as [`Self::connect_options`].
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(&self, options: &ConnectOptions) -> Result<Connection> {
        match Connection::connect(&self.node, options).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                let text = error.to_string();
                if text.contains("DENIED") {
                    bail!(
                        "{} is in protected mode and takes no connection from other machines: set requirepass, the same \
                         on all nodes, or protected-mode no",
                        self.node
                    );
                }
                let hint = if text.contains("NOAUTH") {
                    "give its password with --password or CAROUSEL_PASSWORD"
                } else if text.contains("max number of clients") {
                    "raise its maxclients, or name another node with --node HOST:PORT"
                } else if text.contains("WRONGPASS") || text.contains("AUTH") {
                    "check --password or CAROUSEL_PASSWORD"
                } else {
                    "is the node running? Name another one with --node HOST:PORT"
                };
                bail!("{text}; {hint}")
            }
        }
    }

    /// Sends `CAROUSEL` and `words`; the JSON of the reply as a `T`.
    ///
    /// # Errors
    /// One line: no connection, a refusal in the node's own words, no answer within `timeout`, or an answer
    /// of another version.
    pub async fn carousel<T: DeserializeOwned>(&self, words: &[&str], timeout: Duration) -> Result<T> {
        let connection = self.connect().await?;
        let mut args: Vec<&[u8]> = vec![b"CAROUSEL"];
        args.extend(words.iter().map(|word| word.as_bytes()));
        let reply = match tokio::time::timeout(timeout, connection.request(&args)).await {
            Ok(reply) => reply.with_context(|| format!("{} broke the connection", self.node))?,
            Err(_) => bail!(
                "{} did not answer CAROUSEL {} within {} s; whether it took effect is not known: \
                 look with `cluster-admin --node {} status`",
                self.node,
                words.join(" "),
                timeout.as_secs(),
                self.node
            ),
        };
        self.read(reply)
    }

    fn read<T: DeserializeOwned>(&self, reply: Reply) -> Result<T> {
        match reply {
            Reply::Error(text) if text.to_lowercase().starts_with("err unknown command") => {
                bail!("{} is not a Carousel node: it answers '{text}'", self.node)
            }
            Reply::Error(text) if text.starts_with("LOADING") => {
                bail!("{} is reading what it holds and serves nothing yet: try again in a moment", self.node)
            }
            Reply::Error(text) => bail!("{}", text.strip_prefix("ERR ").unwrap_or(&text)),
            reply => {
                let json = reply.as_bytes().unwrap_or_default();
                serde_json::from_slice(json).with_context(|| {
                    format!("{} answers in a way that this version does not understand", self.node)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_client::mock::{Act, MockServer};
    use carousel_protocol::admin::Plan;

    async fn fault(act: Act) -> String {
        let server = MockServer::start(move |_| act.clone()).await;
        let target = Target { node: server.address().clone(), password: None };
        let result = target.carousel::<Plan>(&["REBALANCE"], Duration::from_secs(5)).await;
        format!("{:#}", result.unwrap_err()).replace(server.address().as_str(), "NODE")
    }

    #[tokio::test]
    async fn each_kind_of_refusal_is_one_clear_line() {
        assert_eq!(fault(Act::error("ERR a rebalance runs already")).await, "a rebalance runs already");
        assert_eq!(
            fault(Act::error("ERR unknown command 'CAROUSEL', with args beginning with:")).await,
            "NODE is not a Carousel node: it answers 'ERR unknown command 'CAROUSEL', with args beginning with:'"
        );
        assert!(
            fault(Act::bulk(b"{}")).await.starts_with("NODE answers in a way that this version does not")
        );
        assert!(fault(Act::ok()).await.starts_with("NODE answers in a way"));
        assert!(fault(Act::Drop).await.starts_with("NODE broke the connection"));
    }

    #[tokio::test]
    async fn a_node_that_is_down_or_locked_comes_with_a_hint() {
        let (listener, node) = carousel_client::mock::listener().await;
        drop(listener);
        let target = Target { node: node.clone(), password: None };
        let error = target.connect().await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cannot connect to {node}: connection refused; is the node running? Name another one with --node \
                 HOST:PORT"
            )
        );
        let server = MockServer::start(|_| Act::error("WRONGPASS invalid username-password pair")).await;
        let target = Target { node: server.address().clone(), password: Some("x".into()) };
        assert!(
            target
                .connect()
                .await
                .unwrap_err()
                .to_string()
                .ends_with("; check --password or CAROUSEL_PASSWORD")
        );
    }

    #[tokio::test]
    async fn a_node_that_takes_no_connection_says_why() {
        for (said, hint) in [
            ("DENIED running in protected mode", "or protected-mode no"),
            (
                "ERR max number of clients reached",
                "raise its maxclients, or name another node with --node HOST:PORT",
            ),
            ("NOAUTH Authentication required.", "; give its password with --password or CAROUSEL_PASSWORD"),
        ] {
            let (listener, node) = carousel_client::mock::listener().await;
            let target = Target { node: node.clone(), password: None };
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.readable().await.unwrap();
                let line = format!("-{said}\r\n");
                tokio::io::AsyncWriteExt::write_all(&mut stream, line.as_bytes()).await.unwrap();
                stream
            };
            let (connected, _stream) = tokio::join!(target.connect(), serve);
            let fault = connected.unwrap_err().to_string();
            assert!(fault.contains(node.as_str()) && fault.ends_with(hint), "{fault}");
        }
    }
}
