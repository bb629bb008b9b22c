//! `create` and `add-node`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use carousel_client::Address;
use carousel_protocol::admin::{Added, Created};

use crate::ask::Target;
use crate::{Verdict, human, say};

/// A node may have to start its config group and reach all others.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `cluster-admin create`: asks the first of `nodes`, which does the rest.
pub async fn create(target: &Target, nodes: &[Address]) -> Result<Verdict> {
    let created = create_cluster(target, nodes).await?;
    // Fewer nodes than copies wanted hold one each.
    let there = |wanted: u8| usize::from(wanted).min(created.nodes.len());
    say(format!(
        "created cluster {} of {}: {} of each slot, a write is acknowledged once {} it",
        created.cluster_id,
        human::plural(created.nodes.len() as u64, "node"),
        match there(created.replicas) {
            1 => "1 copy".to_owned(),
            copies => format!("{copies} copies"),
        },
        match there(created.write_quorum) {
            1 => "1 node holds".to_owned(),
            nodes => format!("{nodes} nodes hold"),
        },
    ));
    for node in &created.nodes {
        say(format!("  {}  leads {}", node.address, human::plural(u64::from(node.primaries), "slot")));
    }
    notes(&created.notes);
    Ok(Verdict::Good)
}

/// The request behind [`create`].
pub async fn create_cluster(target: &Target, nodes: &[Address]) -> Result<Created> {
    if let Some(twice) = nodes.iter().enumerate().find(|(i, node)| nodes[..*i].contains(node)) {
        bail!("{} is named twice; name each node once", twice.1);
    }
    // Found out here, the fault names the node; and nothing is half done.
    for node in nodes {
        target.at(node.clone()).connect().await?;
    }
    let mut words = vec!["CREATE"];
    words.extend(nodes.iter().map(Address::as_str));
    target.at(nodes[0].clone()).carousel(&words, TIMEOUT).await
}

/// `cluster-admin add-node`.
pub async fn add_node(target: &Target, new: &Address) -> Result<Verdict> {
    let added = join(target, new).await?;
    say(format!("{} is a member now; it leads no slot yet", added.node.address));
    notes(&added.notes);
    say(format!("next: cluster-admin --node {} rebalance --wait", target.node));
    Ok(Verdict::Good)
}

/// The request behind [`add_node`].
pub async fn join(target: &Target, new: &Address) -> Result<Added> {
    if *new == target.node {
        bail!("{new} cannot be added to itself; name a member of the cluster with --node HOST:PORT");
    }
    target.at(new.clone()).connect().await?;
    let context = || format!("cannot add {new}");
    target.carousel(&["ADDNODE", new.as_str()], TIMEOUT).await.with_context(context)
}

fn notes(notes: &[String]) {
    for note in notes {
        say(format!("note: {note}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_client::mock::{Act, MockServer, listener};

    const CREATED: &str = r#"{"cluster_id":"c","nodes":[],"replicas":3,"write_quorum":2,"notes":[]}"#;

    fn target() -> Target {
        Target { node: "127.0.0.1:1".parse().unwrap(), password: None }
    }

    #[tokio::test]
    async fn create_asks_the_first_node_named_and_not_the_default() {
        let first = MockServer::start(|_| Act::bulk(CREATED.as_bytes())).await;
        let second = MockServer::start(|_| Act::error("ERR not asked")).await;
        let nodes = [first.address().clone(), second.address().clone()];
        assert_eq!(create_cluster(&target(), &nodes).await.unwrap().replicas, 3);
        assert_eq!(first.count(&format!("CAROUSEL CREATE {} {}", nodes[0], nodes[1])), 1);
        assert!(second.seen().is_empty());
    }

    #[tokio::test]
    async fn create_asks_nobody_while_a_node_is_missing_or_named_twice() {
        let first = MockServer::start(|_| Act::bulk(CREATED.as_bytes())).await;
        let (down, absent) = listener().await;
        drop(down);
        let error = create_cluster(&target(), &[first.address().clone(), absent.clone()]).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot connect to {absent}: ")), "{error}");
        let error = create_cluster(&target(), &[first.address().clone(), first.address().clone()]).await;
        assert!(error.unwrap_err().to_string().ends_with("is named twice; name each node once"));
        assert!(first.seen().is_empty());
    }

    #[tokio::test]
    async fn a_refusal_to_add_says_what_was_refused() {
        let member = MockServer::start(|_| Act::error("ERR it holds 5 keys; flush it first")).await;
        let new = MockServer::start(|_| Act::ok()).await;
        let target = Target { node: member.address().clone(), password: None };
        let error = join(&target, new.address()).await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!("cannot add {}: it holds 5 keys; flush it first", new.address())
        );
        assert!(join(&target, member.address()).await.unwrap_err().to_string().contains("added to itself"));
    }
}
