"""A node joins and takes its part while clients go on: no error, no key lost."""

import os

import harness
from load import Load, connect

#: Keys that lie in the cluster when it grows; more of them make the moves take longer.
KEYS = int(os.environ.get("COMPAT_KEYS", 40_000))


def value_of(n):
    return f"{n:08d}" * 12


def fill(client):
    for start in range(0, KEYS, 2_000):
        with client.pipeline() as pipe:
            for n in range(start, min(start + 2_000, KEYS)):
                pipe.set(f"key:{n}", value_of(n), ex=100_000 if n % 10 == 0 else None)
            assert all(pipe.execute())


def wrong_keys(client):
    wrong = []
    for start in range(0, KEYS, 2_000):
        numbers = range(start, min(start + 2_000, KEYS))
        with client.pipeline() as pipe:
            for n in numbers:
                pipe.get(f"key:{n}").ttl(f"key:{n}")
            replies = pipe.execute()
        for n, value, ttl in zip(numbers, replies[0::2], replies[1::2]):
            lives = 90_000 < ttl <= 100_000 if n % 10 == 0 else ttl == -1
            if value != value_of(n) or not lives:
                wrong.append((n, value, ttl))
    return wrong


def test_a_fourth_node_takes_its_part_under_load(cluster):
    with connect(cluster.nodes) as client:
        fill(client)
    with Load(cluster.nodes) as load:
        newcomer = cluster.add()
        assert newcomer.address in {node["address"] for node in cluster.status()["nodes"]}
        before = slot_map(cluster.nodes[0])
        foreseen = harness.admin(cluster.nodes[0], "rebalance", "--dry-run").replace(",", "")
        assert "4096" in foreseen and "12288" in foreseen, foreseen
        assert slot_map(cluster.nodes[0]) == before, "a dry run moves nothing"
        print(harness.admin(cluster.nodes[0], "rebalance", "--wait"))
        load.await_progress()
        status = cluster.status()
    assert load.errors() == []
    assert load.violations(cluster.nodes) == []
    assert [node["primaries"] for node in status["nodes"]] == [4096] * 4
    assert [node["slots"] for node in status["nodes"]] == [12_288] * 4
    assert (status["rebalance"], status["slots_served"]) == (None, 16_384)

    for nodes in (cluster.nodes, [newcomer]):
        with connect(nodes) as client:
            assert wrong_keys(client) == []
            expected = KEYS + sum(len(writer.keys) for writer in load.writers)
            assert client.dbsize(target_nodes=client.PRIMARIES) == expected
    for node in cluster.nodes:
        output = harness.run_tool(["redis-cli", "--cluster", "check", node.address])
        assert "[OK] All nodes agree about slots configuration." in output
        assert "[OK] All 16384 slots covered." in output

    before = slot_map(cluster.nodes[0])
    harness.admin(cluster.nodes[0], "rebalance", "--wait")
    assert slot_map(cluster.nodes[0]) == before, "what is balanced stays as it is"


def slot_map(node):
    with harness.Raw(node.port) as raw:
        return raw.call("CLUSTER", "SLOTS")


def test_a_grown_cluster_survives_the_crash_of_all(cluster):
    with connect(cluster.nodes) as client:
        fill(client)
    cluster.add()
    harness.admin(cluster.nodes[0], "rebalance", "--wait")
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    cluster.await_service()
    with connect(cluster.nodes) as client:
        assert wrong_keys(client) == []
