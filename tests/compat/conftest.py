"""Fixtures: a lone node, a Redis beside it, and a cluster of three."""

import harness
import pytest


@pytest.fixture(scope="module")
def workspace():
    with harness.Workspace() as path:
        yield path


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "three shards"])
def node(request, workspace):
    """A node that has not joined a cluster: a plain server for any client."""
    node = harness.carousel(workspace, shards=request.param).start()
    yield node
    if node.child:
        node.kill()


@pytest.fixture(scope="module")
def redis_server(workspace):
    server = harness.reference(workspace).start()
    yield server
    server.kill()


def three_nodes():
    with harness.Workspace() as path:
        cluster = harness.Cluster(path)
        try:
            cluster.create(3)
            yield cluster
        finally:
            for process in list(harness.RUNNING):
                if process.directory.is_relative_to(path):
                    process.kill()


@pytest.fixture
def cluster():
    """Three nodes for one test, which may do to them what it likes."""
    yield from three_nodes()


@pytest.fixture(scope="module")
def trio():
    """Three nodes that all tests of a file share."""
    yield from three_nodes()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for process in harness.RUNNING:
            report.sections.append((f"end of the log of {process.name}", process.log_tail()))
    return report
