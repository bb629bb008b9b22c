//! CLUSTER: the map as clients read it.
//!
//! Clients compare these replies between nodes and choose by vote: ranges, their order and the nodes' order are the
//! same on all nodes that have the same map. Only primaries are shown, each under one address. A node that belongs to
//! no cluster shows itself as the owner of all slots, at the address that the client reached it at.

use std::net::Ipv4Addr;

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::{Argv, ReplyWriter};
use carousel_protocol::{NodeId, SlotId, key_slot};

use super::session::{Session, help, subcommand};
use crate::metrics::{MapView, NodeView, PrimaryRange};
use crate::settings::Settings;

pub(super) fn cluster(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    session: &Session,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
) {
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    let map = node.map();
    match sub.name {
        "KEYSLOT" => reply.integer(key_slot(argv.get(2)).get().into()),
        "MYID" => reply.bulk(map.me.to_string().as_bytes()),
        "INFO" => reply.verbatim("txt", info(&map).as_bytes()),
        "SLOTS" if map.joined() => cached(reply, &map, Cached::Slots),
        "SHARDS" if map.joined() => cached(reply, &map, Cached::Shards),
        "NODES" if map.joined() => {
            let text =
                map.rendered().nodes.get_or_init(|| nodes(&map, &endpoints(&map), &map.primary_ranges()));
            reply.verbatim("txt", text.as_bytes());
        }
        "SLOTS" => slots(reply, &[Endpoint::lone(&map, session, &node.settings())], &[all_slots(map.me)]),
        "SHARDS" => shards(reply, &[Endpoint::lone(&map, session, &node.settings())], &[all_slots(map.me)]),
        "NODES" => {
            let lone = [Endpoint::lone(&map, session, &node.settings())];
            reply.verbatim("txt", nodes(&map, &lone, &[all_slots(map.me)]).as_bytes());
        }
        // The links between nodes are not those of Redis' bus.
        "LINKS" => reply.array(0),
        "HELP" => help(reply, HELP),
        other => unreachable!("CLUSTER {other} is in the table and has no handler"),
    }
}

/// A node as clients reach it.
struct Endpoint {
    id: NodeId,
    host: String,
    port: u16,
    peer_port: u16,
    reachable: bool,
}

impl Endpoint {
    /// This node, of no cluster: under its announced host, or else the one that the client used.
    fn lone(map: &MapView, session: &Session, settings: &Settings) -> Self {
        let host = match settings.cluster_announce_ip.as_str() {
            // Who comes by a Unix socket is on this machine.
            "" => session.client.laddr.ip().unwrap_or(Ipv4Addr::LOCALHOST.into()).to_string(),
            announced => announced.into(),
        };
        let (port, peer_port) = (settings.announced_port(), settings.peer_port());
        Self { id: map.me, host, port, peer_port, reachable: true }
    }
}

/// All members, by id.
fn endpoints(map: &MapView) -> Vec<Endpoint> {
    let of = |(&id, member): (&NodeId, &crate::config::Member)| Endpoint {
        id,
        host: member.spec.host.clone(),
        port: member.spec.port,
        peer_port: member.spec.peer_port,
        reachable: !map.unreachable.contains(&id),
    };
    map.state.members.iter().map(of).collect()
}

fn all_slots(primary: NodeId) -> PrimaryRange {
    let [first, last] = [0, SlotId::COUNT - 1].map(|slot| SlotId::new(slot).expect("first and last slot"));
    PrimaryRange { first, last, primary }
}

#[derive(Clone, Copy)]
enum Cached {
    Slots,
    Shards,
}

/// Appends a reply that is made once per map and protocol version.
fn cached(reply: &mut ReplyWriter<'_>, map: &MapView, which: Cached) {
    let version = reply.version;
    let cell = match which {
        Cached::Slots => map.rendered().slots(version),
        Cached::Shards => map.rendered().shards(version),
    };
    let bytes = cell.get_or_init(|| {
        let mut bytes = Vec::new();
        let mut writer = ReplyWriter::new(&mut bytes, version);
        match which {
            Cached::Slots => slots(&mut writer, &endpoints(map), &map.primary_ranges()),
            Cached::Shards => shards(&mut writer, &endpoints(map), &map.primary_ranges()),
        }
        bytes
    });
    reply.out.extend_from_slice(bytes);
}

/// Per range: first and last slot, and its primary as host, port, id and further names.
fn slots(reply: &mut ReplyWriter<'_>, endpoints: &[Endpoint], ranges: &[PrimaryRange]) {
    reply.array(ranges.len());
    for range in ranges {
        let primary = endpoints.iter().find(|endpoint| endpoint.id == range.primary);
        let primary = primary.expect("the state machine gives slots to members only");
        reply.array(3);
        reply.integer(range.first.get().into());
        reply.integer(range.last.get().into());
        reply.array(4);
        reply.bulk(primary.host.as_bytes());
        reply.integer(primary.port.into());
        reply.bulk(primary.id.to_string().as_bytes());
        reply.map(0);
    }
}

/// Per node: its ranges, and itself as the one node that clients see of them.
fn shards(reply: &mut ReplyWriter<'_>, endpoints: &[Endpoint], ranges: &[PrimaryRange]) {
    reply.array(endpoints.len());
    for endpoint in endpoints {
        let led: Vec<_> = ranges.iter().filter(|range| range.primary == endpoint.id).collect();
        reply.map(2);
        reply.bulk(b"slots");
        reply.array(2 * led.len());
        for range in led {
            reply.integer(range.first.get().into());
            reply.integer(range.last.get().into());
        }
        reply.bulk(b"nodes");
        reply.array(1);
        reply.map(7);
        let text = |reply: &mut ReplyWriter<'_>, name: &str, value: &str| {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        };
        text(reply, "id", &endpoint.id.to_string());
        reply.bulk(b"port");
        reply.integer(endpoint.port.into());
        text(reply, "ip", &endpoint.host);
        text(reply, "endpoint", &endpoint.host);
        text(reply, "role", "master");
        reply.bulk(b"replication-offset");
        reply.integer(0);
        text(reply, "health", if endpoint.reachable { "online" } else { "fail" });
    }
}

/// Per node a line of `id ip:port@peer-port flags primary ping pong epoch link` and its ranges.
fn nodes(map: &MapView, endpoints: &[Endpoint], ranges: &[PrimaryRange]) -> String {
    let mut text = String::new();
    for endpoint in endpoints {
        let flags = match (endpoint.id == map.me, endpoint.reachable) {
            (true, _) => "myself,master",
            (false, true) => "master",
            (false, false) => "master,fail?",
        };
        let link = if endpoint.reachable { "connected" } else { "disconnected" };
        let Endpoint { id, host, port, peer_port, .. } = endpoint;
        let epoch = map.epoch_of(*id);
        text.push_str(&format!("{id} {host}:{port}@{peer_port} {flags} - 0 0 {epoch} {link}"));
        for range in ranges.iter().filter(|range| range.primary == *id) {
            if range.first == range.last {
                text.push_str(&format!(" {}", range.first));
            } else {
                text.push_str(&format!(" {}-{}", range.first, range.last));
            }
        }
        text.push('\n');
    }
    text
}

fn info(map: &MapView) -> String {
    let runs = if map.joined() { map.state.slots.runs() } else { &[] };
    let count = |wanted: &dyn Fn(&carousel_protocol::SlotRun) -> bool| -> usize {
        runs.iter().filter(|run| wanted(run)).map(|run| run.len()).sum()
    };
    let all = usize::from(SlotId::COUNT);
    let assigned = if map.joined() { count(&|_| true) } else { all };
    let failed = count(&|run| run.recovering);
    let suspect = count(&|run| map.is_suspect(run));
    let state = if assigned == all && failed == 0 && map.registered { "ok" } else { "fail" };
    let (known, size) = if map.joined() {
        let leads = |id: &&NodeId| runs.iter().any(|run| run.primary() == **id);
        (map.state.members.len(), map.state.members.keys().filter(leads).count())
    } else {
        (1, 1)
    };
    let ok = assigned - failed - suspect;
    let (current_epoch, my_epoch) = (map.state.last_epoch, map.epoch_of(map.me));
    format!(
        "cluster_state:{state}\r\ncluster_slots_assigned:{assigned}\r\ncluster_slots_ok:{ok}\r\n\
         cluster_slots_pfail:{suspect}\r\ncluster_slots_fail:{failed}\r\ncluster_known_nodes:{known}\r\n\
         cluster_size:{size}\r\ncluster_current_epoch:{current_epoch}\r\ncluster_my_epoch:{my_epoch}\r\n\
         cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n"
    )
}

const HELP: &str = "\
CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
COUNTKEYSINSLOT <slot>
    Return the number of keys in <slot>.
GETKEYSINSLOT <slot> <count>
    Return key names stored by current node in a slot.
INFO
    Return information about the cluster.
KEYSLOT <key>
    Return the hash slot for <key>.
MYID
    Return the node id.
NODES
    Return cluster configuration seen by node. Output format:
    <id> <ip:port@peer-port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...
SLOTS
    Return information about slots range mappings. Each range is made of:
    start, end, master IP address, port and id
SHARDS
    Return information about slot range mappings and the nodes associated with them.
LINKS
    Return information about all network links between this node and its peers.
HELP
    Print this help.";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use super::*;
    use crate::command::session::testing::{Tester, check};
    use crate::config::{ClusterState, Member, MemberSpec};
    use carousel_protocol::{Epoch, Incarnation, SlotMap, SlotRun};

    fn id(n: u8) -> NodeId {
        NodeId([n; 20])
    }

    fn member(n: u8) -> (NodeId, Member) {
        let spec = MemberSpec {
            id: id(n),
            host: format!("10.0.0.{n}"),
            port: 7000 + u16::from(n),
            peer_port: 17_000 + u16::from(n),
            shards: 2,
            weight: 2,
            zone: String::new(),
            process: 1,
        };
        (id(n), Member { spec, incarnation: Incarnation(1) })
    }

    fn run(first: u16, last: u16, replicas: &[u8], epoch: u64) -> SlotRun {
        let [first, last] = [first, last].map(|slot| SlotId::new(slot).unwrap());
        SlotRun {
            first,
            last,
            replicas: replicas.iter().map(|&n| id(n)).collect(),
            epoch: Epoch(epoch),
            recovering: false,
        }
    }

    /// Three nodes that lead slots and a fourth that does not yet. Neighbouring runs of one primary differ in replicas.
    fn state() -> ClusterState {
        let runs = vec![
            run(0, 99, &[1, 2], 1),
            run(100, 5000, &[1, 3], 4),
            run(5001, 5001, &[3, 1], 5),
            run(5002, 12_000, &[2, 3], 1),
            run(12_001, 16_383, &[3, 1], 1),
        ];
        ClusterState {
            cluster_id: Some(id(99)),
            version: 9,
            replicas: 2,
            write_quorum: 2,
            members: (1..=4).map(member).collect::<BTreeMap<_, _>>(),
            slots: SlotMap::new(runs),
            last_epoch: Epoch(6),
            plan: None,
        }
    }

    fn tester(me: u8, state: ClusterState, unreachable: &[u8]) -> Tester {
        let tester = Tester::new();
        let unreachable: BTreeSet<_> = unreachable.iter().map(|&n| id(n)).collect();
        tester.node.map.publish(MapView::new(Arc::new(state), id(me), unreachable));
        tester
    }

    #[test]
    fn a_lone_node_shows_itself_where_the_client_reached_it() {
        let mut tester = Tester::new();
        let me = "07".repeat(20);
        check(
            &mut tester,
            &[
                ("CLUSTER MYID", &format!("$40|{me}|")),
                ("CLUSTER KEYSLOT foo", ":12182|"),
                ("CLUSTER LINKS", "*0|"),
                ("CLUSTER SLOTS", &format!("*1|*3|:0|:16383|*4|$8|10.1.1.1|:6379|$40|{me}|*0|")),
                (
                    "CLUSTER NODES",
                    &format!("$101|{me} 10.1.1.1:6379@16379 myself,master - 0 0 0 connected 0-16383\n|"),
                ),
                (
                    "CLUSTER SHARDS",
                    &format!(
                        "*1|*4|$5|slots|*2|:0|:16383|$5|nodes|*1|*14|$2|id|$40|{me}|$4|port|:6379|$2|ip|$8|10.1.1.1|\
                         $8|endpoint|$8|10.1.1.1|$4|role|$6|master|$18|replication-offset|:0|$6|health|$6|online|"
                    ),
                ),
            ],
        );
        let info = tester.run("CLUSTER INFO");
        for line in
            ["state:ok", "slots_assigned:16384", "slots_ok:16384", "known_nodes:1", "size:1", "my_epoch:0"]
        {
            assert!(info.contains(&format!("cluster_{line}\r\n")), "{line}: {info}");
        }
        tester
            .node
            .settings
            .update(|settings| {
                settings.cluster_announce_ip = "10.9.8.7".into();
                Ok::<_, ()>(())
            })
            .unwrap();
        assert!(tester.run("CLUSTER SLOTS").contains("$8\r\n10.9.8.7\r\n"));
    }

    #[test]
    fn a_node_that_the_state_does_not_know_yet_is_alone() {
        let mut tester = tester(7, state(), &[]);
        assert!(tester.run("CLUSTER INFO").contains("cluster_known_nodes:1\r\n"));
        assert_eq!(
            tester.run("CLUSTER NODES").lines().filter(|line| line.contains(" connected ")).count(),
            1
        );
    }

    #[test]
    fn slots_have_one_range_per_run_of_a_primary_and_no_replicas() {
        let range =
            |first, last, n: u8| format!("*3|:{first}|:{last}|*4|$8|10.0.0.{n}|:700{n}|$40|{}|*0|", id(n));
        let all = [range(0, 5000, 1), range(5001, 5001, 3), range(5002, 12_000, 2), range(12_001, 16_383, 3)];
        let expected = format!("*4|{}", all.concat());
        for me in 1..=4 {
            let mut tester = tester(me, state(), &[]);
            // Twice: the second comes from the cache.
            check(&mut tester, &[("CLUSTER SLOTS", &expected), ("CLUSTER SLOTS", &expected)]);
            tester.run("HELLO 3");
            check(&mut tester, &[("CLUSTER SLOTS", &expected.replace("|*0|", "|%0|"))]);
        }
    }

    #[test]
    fn nodes_differ_between_nodes_in_myself_only() {
        let lines = |me: u8| {
            let reply = tester(me, state(), &[]).run("CLUSTER NODES");
            reply.split("\r\n").nth(1).unwrap().to_string()
        };
        let expected = format!(
            "{} 10.0.0.1:7001@17001 master - 0 0 4 connected 0-5000\n\
             {} 10.0.0.2:7002@17002 myself,master - 0 0 1 connected 5002-12000\n\
             {} 10.0.0.3:7003@17003 master - 0 0 5 connected 5001 12001-16383\n\
             {} 10.0.0.4:7004@17004 master - 0 0 0 connected\n",
            id(1),
            id(2),
            id(3),
            id(4)
        );
        assert_eq!(lines(2), expected);
        for me in [1, 3, 4] {
            let theirs = lines(me);
            assert_eq!(theirs.replace("myself,", ""), expected.replace("myself,", ""));
            assert_eq!(theirs.matches("myself,").count(), 1);
        }
    }

    #[test]
    fn who_is_not_reached_is_shown_as_failing() {
        let mut tester = tester(1, state(), &[3]);
        let nodes = tester.run("CLUSTER NODES");
        assert!(
            nodes.contains("10.0.0.3:7003@17003 master,fail? - 0 0 5 disconnected 5001 12001-16383\n"),
            "{nodes}"
        );
        assert!(tester.run("CLUSTER SHARDS").contains("$6\r\nhealth\r\n$4\r\nfail\r\n"));
        let info = tester.run("CLUSTER INFO");
        for line in [
            "state:ok",
            "slots_ok:12000",
            "slots_pfail:4384",
            "known_nodes:4",
            "size:3",
            "current_epoch:6",
            "my_epoch:4",
        ] {
            assert!(info.contains(&format!("cluster_{line}\r\n")), "{line}: {info}");
        }
    }

    #[test]
    fn a_process_that_is_not_registered_leads_nothing() {
        let mut tester = Tester::new();
        let view = MapView::new(Arc::new(state()), id(2), BTreeSet::new()).with_registered(false);
        tester.node.map.publish(view);
        let info = tester.run("CLUSTER INFO");
        for line in ["state:fail", "slots_fail:0", "slots_pfail:6999", "slots_ok:9385"] {
            assert!(info.contains(&format!("cluster_{line}\r\n")), "{line}: {info}");
        }
    }

    #[test]
    fn slots_in_recovery_fail_the_state() {
        let mut state = state();
        state.slots.set(SlotRun { recovering: true, ..run(0, 99, &[1, 2], 1) });
        let mut tester = tester(2, state, &[1]);
        let info = tester.run("CLUSTER INFO");
        for line in
            ["state:fail", "slots_fail:100", "slots_pfail:4901", "slots_ok:11383", "slots_assigned:16384"]
        {
            assert!(info.contains(&format!("cluster_{line}\r\n")), "{line}: {info}");
        }
        assert!(tester.run("CLUSTER SLOTS").starts_with("*4\r\n"), "clients still see every slot once");
    }

    #[test]
    fn shards_list_every_node_with_its_ranges() {
        let mut tester = tester(1, state(), &[]);
        let reply = tester.run("CLUSTER SHARDS");
        assert!(reply.starts_with("*4\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:5000\r\n"));
        assert!(reply.contains("slots\r\n*4\r\n:5001\r\n:5001\r\n:12001\r\n:16383\r\n"));
        assert!(reply.contains("slots\r\n*0\r\n"), "a node without slots is listed");
        assert_eq!(reply.matches("role\r\n$6\r\nmaster\r\n").count(), 4);
    }

    #[test]
    fn a_new_map_replaces_what_was_rendered() {
        let mut tester = tester(1, state(), &[]);
        assert!(tester.run("CLUSTER SLOTS").starts_with("*4\r\n"));
        let mut later = state();
        later.slots.set(run(0, 16_383, &[1, 2], 7));
        tester.node.map.publish(MapView::new(Arc::new(later), id(1), BTreeSet::new()));
        assert!(tester.run("CLUSTER SLOTS").starts_with("*1\r\n"));
    }
}
