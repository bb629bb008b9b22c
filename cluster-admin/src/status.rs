//! `status`: the members, their shares and what is wrong, as a table or JSON.

use std::time::Duration;

use anyhow::Result;
use carousel_client::Address;
use carousel_protocol::SlotId;
use carousel_protocol::admin::{NodeStatus, Status};
use comfy_table::{CellAlignment, Table, presets};

use crate::ask::Target;
use crate::cli::StatusArgs;
use crate::{Verdict, human, rebalance, say};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Ranges of slots that are down which are listed one by one.
const DOWN_RANGES_SHOWN: usize = 20;

/// `cluster-admin status`.
pub async fn run(target: &Target, args: &StatusArgs) -> Result<Verdict> {
    let mut status: Status = target.carousel(&["STATUS"], TIMEOUT).await?;
    if args.wait && status.rebalance.is_some() {
        status = rebalance::follow_running(target, status).await?;
    }
    if args.json {
        say(serde_json::to_string_pretty(&status)?);
    } else {
        say(show(&status, &target.node));
    }
    Ok(verdict(&status))
}

fn verdict(status: &Status) -> Verdict {
    // A node without a cluster serves itself; nothing of it is down.
    let alone = status.cluster_id.is_none();
    let served = u32::from(SlotId::COUNT) == status.slots_served;
    if status.slots_down.is_empty() && (alone || served) { Verdict::Good } else { Verdict::Bad }
}

fn show(status: &Status, asked: &Address) -> String {
    let Some(cluster_id) = &status.cluster_id else {
        return format!(
            "{asked} is a member of no cluster; `cluster-admin create` makes one, `add-node` lets it join one"
        );
    };
    let mut lines = vec![headline(cluster_id, status)];
    lines.push(format!(
        "copies of each slot {}, of which {} must hold a write; config version {}, led by {}",
        status.replicas,
        status.write_quorum,
        status.config_version,
        leader(status),
    ));
    lines.push(table(&status.nodes).to_string());
    lines.push("U up, D not reachable; V votes in the config group, L learns".to_owned());
    if let Some(progress) = &status.rebalance {
        lines.push(format!(
            "rebalance running: {} of {} slots done, {} and {} sent",
            human::count(u64::from(progress.slots_done)),
            human::count(u64::from(progress.slots_total)),
            human::plural(progress.keys_sent, "key"),
            human::bytes(progress.bytes_sent),
        ));
    }
    for range in status.slots_down.iter().take(DOWN_RANGES_SHOWN) {
        lines.push(format!("DOWN slots {}-{}: {}", range.first, range.last, range.reason));
    }
    if let Some(more) = status.slots_down.len().checked_sub(DOWN_RANGES_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("DOWN ... and {} (all with --json)", human::plural(more as u64, "further range")));
    }
    lines.extend(status.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// The config group's leader by its address, which people know, where it is a member we were told of.
fn leader(status: &Status) -> &str {
    let Some(leader) = status.config_leader.as_deref() else { return "nobody" };
    status.nodes.iter().find(|node| node.id == leader).map_or(leader, |node| &node.address)
}

fn headline(cluster_id: &str, status: &Status) -> String {
    let all = u32::from(SlotId::COUNT);
    let health = match status.slots_served {
        served if served == all && status.slots_down.is_empty() => "all slots served".to_owned(),
        served => format!(
            "{} of {} slots DOWN",
            human::count(u64::from(all.saturating_sub(served))),
            human::count(u64::from(all))
        ),
    };
    format!("cluster {cluster_id}: {}, {health}", human::plural(status.nodes.len() as u64, "node"))
}

fn table(nodes: &[NodeStatus]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_header(["", "node", "id", "leads", "holds", "keys", "size", "shards", "weight", "starts"]);
    for node in nodes {
        let state =
            format!("{}{}", if node.reachable { "U" } else { "D" }, if node.voter { "V" } else { "L" });
        table.add_row([
            state,
            node.address.clone(),
            node.id.chars().take(8).collect(),
            human::count(u64::from(node.primaries)),
            human::count(u64::from(node.slots)),
            human::count(node.keys),
            human::bytes(node.bytes),
            node.shards.to_string(),
            node.weight.to_string(),
            node.incarnation.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::tests::{node, status};
    use carousel_protocol::admin::{DownRange, Progress};

    fn text(status: &Status) -> String {
        show(status, &"h:9".parse().unwrap())
    }

    #[test]
    fn a_healthy_cluster_is_good_and_says_so() {
        let status = status(vec![node("h:1", 8192, 16384), node("h:2", 8192, 16384)], None);
        assert_eq!(verdict(&status), Verdict::Good);
        let text = text(&status);
        assert!(text.contains(": 2 nodes, all slots served"), "{text}");
        assert!(text.contains("led by h:1\n"), "an address and not an id: {text}");
        let row = text.lines().find(|line| line.contains("h:2")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(
            cells[1..cells.len() - 1],
            ["UV", "h:2", "01234567", "8,192", "16,384", "1,000", "2.0", "KiB", "2", "100", "1"]
        );
    }

    #[test]
    fn slots_that_are_down_are_listed_with_their_reason_and_make_the_verdict_bad() {
        let mut status = status(vec![node("h:1", 0, 0)], None);
        status.nodes[0].reachable = false;
        status.nodes[0].voter = false;
        status.slots_served = 16_284;
        status.slots_down =
            vec![DownRange { first: 0, last: 99, reason: "h:2 is down; start it again".into() }];
        assert_eq!(verdict(&status), Verdict::Bad);
        let text = text(&status);
        assert!(text.contains("100 of 16,384 slots DOWN"), "{text}");
        assert!(text.contains("DOWN slots 0-99: h:2 is down; start it again"), "{text}");
        assert!(text.lines().any(|line| line.contains(" DL ") && line.contains("h:1")), "{text}");
    }

    #[test]
    fn slots_missing_from_the_count_are_bad_even_if_no_range_names_them() {
        let mut status = status(vec![node("h:1", 0, 0)], None);
        status.slots_served = 16_383;
        assert_eq!(verdict(&status), Verdict::Bad);
    }

    #[test]
    fn a_node_without_cluster_is_no_fault_and_says_what_to_do() {
        let mut status = status(vec![node("h:1", 0, 0)], None);
        status.cluster_id = None;
        status.slots_served = 0;
        assert_eq!(verdict(&status), Verdict::Good);
        status.nodes.clear();
        status.notes.push("This node is on its own: create a cluster with 'create'.".into());
        assert_eq!(
            text(&status),
            "h:9 is a member of no cluster; `cluster-admin create` makes one, `add-node` lets it join one"
        );
    }

    #[test]
    fn a_running_rebalance_and_notes_are_shown() {
        let progress = Progress {
            plan: 1,
            slots_total: 4096,
            slots_done: 1024,
            keys_sent: 1_000,
            bytes_sent: 1_048_576,
        };
        let mut status = status(vec![node("h:1", 0, 0)], Some(progress));
        status.notes.push("two nodes do not survive the loss of one".into());
        let text = text(&status);
        assert!(
            text.contains("rebalance running: 1,024 of 4,096 slots done, 1,000 keys and 1.0 MiB sent"),
            "{text}"
        );
        assert!(text.ends_with("note: two nodes do not survive the loss of one"), "{text}");
    }
}
