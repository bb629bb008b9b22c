"""Starts real nodes, and a real Redis to compare with, on free ports of this machine."""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

HOST = "127.0.0.1"
BIN_DIR = Path(os.environ["CAROUSEL_BIN_DIR"])
PEER_PORT_OFFSET = 10_000
START_SECONDS = 30
PR_SET_PDEATHSIG = 1

#: Every process started and not yet stopped; a failed test shows the end of their logs.
RUNNING = []


def eventually(what, condition, seconds=60):
    """Waits until `condition()` is true, and returns what it returned. Errors count as not yet."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, AssertionError, RuntimeError, subprocess.SubprocessError) as error:
            last = error
        time.sleep(0.02)
    raise TimeoutError(f"not within {seconds} s: {what}; last seen: {last!r}")


def free_ports(count):
    """Client ports that are free together with their peer ports, all below the range of outgoing connections."""
    ports = []
    while len(ports) < count:
        port = random.randrange(11_000, 21_000)
        if port not in ports and all(is_free(p) for p in (port, port + PEER_PORT_OFFSET)):
            ports.append(port)
    return ports


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
            return True
        except OSError:
            return False


def die_with_parent():
    """An interrupted test run leaves no server behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A server on a port, with its own directory and log; may be killed and started again."""

    def __init__(self, name, port, directory, argv):
        self.name, self.port, self.directory, self.argv = name, port, Path(directory), [str(a) for a in argv]
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory.parent / f"{self.directory.name}.log"
        self.child = None

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def spawn(self):
        assert self.child is None, f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        RUNNING.append(self)

    def start(self):
        self.spawn()
        eventually(f"{self.name} answers on {self.address}", self.answers, START_SECONDS)
        return self

    def refuses_to_start(self):
        """Starts what must end by itself; returns its exit status and what it said."""
        self.spawn()
        try:
            return self.child.wait(timeout=START_SECONDS), self.log_tail()
        finally:
            self.kill()

    def answers(self):
        code = self.child.poll()
        if code is not None:
            raise SystemExit(f"{self.name} ended with {code}\n{self.log_tail()}")
        with Raw(self.port, timeout=2) as raw:
            return raw.call("PING") == b"+PONG\r\n"

    def end(self, how):
        """Sends the signal and waits until the process is gone; returns its exit status."""
        self.child.send_signal(how)
        code = self.child.wait(timeout=30)
        self.child = None
        RUNNING.remove(self)
        return code

    def kill(self):
        """As a crash of the process: no warning, no clean-up."""
        self.end(signal.SIGKILL)

    def stop(self):
        """As an operator stops it; an orderly end is exit status 0."""
        assert self.end(signal.SIGTERM) == 0, f"{self.name} did not end well\n{self.log_tail()}"

    def log_tail(self, size=6_000):
        text = self.log_path.read_bytes() if self.log_path.exists() else b""
        return text[-size:].decode(errors="replace")


def carousel(directory, port=None, shards=1, appendonly=True):
    """A node that is not started yet."""
    port = port or free_ports(1)[0]
    home = Path(directory) / f"node-{port}"
    argv = [BIN_DIR / "carousel-server", "--bind", HOST, "--port", port, "--dir", home, "--shards", shards]
    # All nodes of a test share the machine: pinned, they would share its first processors.
    argv += ["--pin", "no", "--appendonly", "yes" if appendonly else "no"]
    return Process(f"carousel-server :{port}", port, home, argv)


def reference(directory):
    """A Redis that keeps nothing, to compare replies with; not started yet."""
    port = free_ports(1)[0]
    home = Path(directory) / f"redis-{port}"
    argv = ["redis-server", "--bind", HOST, "--port", port, "--dir", home, "--save", "", "--appendonly", "no"]
    return Process(f"redis-server :{port}", port, home, argv)


def admin(node, *arguments, seconds=300):
    """Runs cluster-admin by way of a node; returns what it printed, and fails where it does."""
    argv = [BIN_DIR / "cluster-admin", "--node", node.address, *arguments]
    return run_tool(argv, seconds=seconds)


def run_tool(argv, seconds=300, stdin=None):
    """Runs a client program; returns its output, and fails where it does."""
    argv = [str(a) for a in argv]
    done = subprocess.run(
        argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, text=True, errors="replace"
    )
    assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


class Cluster:
    """Nodes that form one cluster."""

    def __init__(self, directory):
        self.directory = directory
        self.nodes = []

    def create(self, count):
        self.nodes = [carousel(self.directory, port).start() for port in free_ports(count)]
        admin(self.nodes[0], "create", *(node.address for node in self.nodes))
        self.await_service()

    def add(self):
        """Starts one more node and makes it a member, without a slot."""
        node = carousel(self.directory).start()
        admin(self.nodes[0], "add-node", node.address)
        self.nodes.append(node)
        return node

    def status(self, node=None):
        return json.loads(admin(node or self.nodes[0], "status", "--json"))

    def await_service(self, seconds=60):
        """Until every node says that every slot is served."""
        for node in self.nodes:
            eventually(f"all slots are served, as {node.name} sees it", lambda: is_whole(node), seconds)

    def stop(self):
        for node in self.nodes:
            if node.child:
                node.kill()


def is_whole(node):
    with Raw(node.port, timeout=5) as raw:
        info = raw.call("CLUSTER", "INFO").decode()
    return "cluster_state:ok" in info and "cluster_slots_ok:16384" in info


class Raw:
    """A connection that shows replies as the bytes that came."""

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def call(self, *args):
        self.socket.sendall(encode(args))
        return self.reply()

    def reply(self):
        """The next reply, whole."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"the connection ended within a reply: {line!r}")
        kind, rest = line[:1], line[1:-2]
        if kind in b"$=!" and rest != b"-1":
            size = int(rest) + 2
            body = self.file.read(size)
            if len(body) != size:
                raise ConnectionError("the connection ended within a bulk string")
            return line + body
        if kind in b"*~>" and rest != b"-1":
            return line + b"".join(self.reply() for _ in range(int(rest)))
        if kind == b"%":
            return line + b"".join(self.reply() for _ in range(2 * int(rest)))
        return line

    def exchange(self, payload):
        """Sends bytes and no more after them; returns everything that comes until the server closes."""
        self.socket.sendall(payload)
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server was faster to close.
        received = b""
        try:
            while part := self.file.read1(65_536):
                received += part
        except ConnectionResetError:
            pass  # What it had not read is lost, what it had answered is not.
        return received


def encode(args):
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Workspace:
    """A directory for a test's servers, away when the test is over."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="carousel-compat-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)
