"""kill -9 of one node and of all: no acknowledged write is lost, and every slot comes back without an operator."""

import harness
import pytest
from load import Load


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_node_crashes_and_returns(cluster, which):
    with Load(cluster.nodes) as load:
        victim = cluster.nodes[which]
        victim.kill()
        victim.start()
        cluster.await_service()
        load.await_progress()
    assert load.violations(cluster.nodes) == []


def test_nodes_crash_one_after_the_other(cluster):
    with Load(cluster.nodes) as load:
        for victim in cluster.nodes * 2:
            victim.kill()
            victim.start()
            cluster.await_service()
            load.await_progress()
    assert load.violations(cluster.nodes) == []


@pytest.mark.parametrize("order", ["as they were", "backwards"])
def test_all_nodes_crash_at_once_and_return(cluster, order):
    with Load(cluster.nodes) as load:
        for node in cluster.nodes:
            node.kill()
        for node in cluster.nodes if order == "as they were" else reversed(cluster.nodes):
            node.start()
        cluster.await_service()
        load.await_progress()
    assert load.violations(cluster.nodes) == []


def test_all_nodes_crash_with_nobody_writing(cluster):
    with Load(cluster.nodes) as load:
        pass
    # Nothing failed, so nothing is unknown: every key must hold exactly what was written last.
    assert load.errors() == []
    assert all(writer.known == writer.tried for writer in load.writers)
    for _ in range(2):
        for node in cluster.nodes:
            node.kill()
        for node in cluster.nodes:
            node.start()
        cluster.await_service()
        assert load.violations(cluster.nodes) == []


def test_an_orderly_restart_of_all(cluster):
    with Load(cluster.nodes) as load:
        pass
    for node in cluster.nodes:
        node.stop()
    for node in cluster.nodes:
        node.start()
    cluster.await_service()
    assert load.violations(cluster.nodes) == []
    status = cluster.status()
    assert all(node["incarnation"] >= 2 for node in status["nodes"]), status
    assert sum(node["primaries"] for node in status["nodes"]) == 16_384
