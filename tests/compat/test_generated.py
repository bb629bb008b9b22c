"""Generated sequences of all commands, on several connections, are answered as Redis answers them.

`GENERATED_SEED` says which sequences. A difference is shown as the shortest sequence found that leads to it.
"""

import os
import socket
import time
from collections import Counter

import accepted
import compare
import generator
import grammar
import harness
import pytest

SEED = int(os.environ.get("GENERATED_SEED", "1"))
#: How often each command and each option must have been answered with neither an error nor nil.
ANSWERS_MIN = 100
SECONDS_MIN = float(os.environ.get("GENERATED_SECONDS", "40"))
SECONDS_MAX = 170
CONNECTIONS = 3
BATCH = 40
EPISODE_REQUESTS = 600
DIFFERENCES_MAX = int(os.environ.get("GENERATED_DIFFERENCES", "12"))
TRANSACTION_REQUESTS_MAX = 5


class Request:
    """A request and what is to be known to compare its replies."""

    def __init__(self, connection, args, name, options=frozenset()):
        self.connection, self.args, self.name, self.options = connection, args, name, options
        self.mark = compare.mark_of(name)
        self.is_arbitrary = name.startswith("SORT") and is_order_arbitrary([arg.upper() for arg in args])
        if self.is_arbitrary:
            self.mark = "random" if any(arg.upper() == b"LIMIT" for arg in args) else "unordered"

    def __repr__(self):
        words = " ".join(repr(arg)[1:] if set(arg) - WORD or not arg else arg.decode() for arg in self.args)
        return f"{self.connection}> {words}"


def is_order_arbitrary(args):
    """Whether SORT may answer in any order: sets that are not sorted, and equal weights that are text."""
    by = [after for word, after in zip(args, args[1:]) if word == b"BY"]
    return bool(by) and (b"*" not in by[-1] or b"ALPHA" in args)


WORD = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-+.*#|")


class Side:
    """One server and the connections to it."""

    def __init__(self, port):
        self.sockets = [socket.create_connection((harness.HOST, port), timeout=60) for _ in range(CONNECTIONS)]
        for each in self.sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.streams = [compare.Stream(each) for each in self.sockets]

    def send(self, requests):
        for request in requests:
            assert request.connection == requests[0].connection
        self.sockets[requests[0].connection].sendall(b"".join(harness.encode(request.args) for request in requests))

    def replies(self, requests):
        return [self.streams[request.connection].reply() for request in requests]

    def call(self, connection, *args):
        self.sockets[connection].sendall(harness.encode(args))
        return self.streams[connection].reply()

    def walk(self, request):
        """All that a SCAN and its like give, or the error."""
        at = next((at for at, arg in enumerate(request.args) if arg == b"0"), None)
        found, args = set(), list(request.args)
        while True:
            reply = self.call(request.connection, *args)
            if reply[0] in "-+":
                return reply
            if at is None:
                return "*", []  # From somewhere in the middle: anything may come.
            found.update(repr(pair) for pair in in_pairs(request.name, reply[1][1][1]))
            if reply[1][0][1] == b"0":
                return "*", [("$", element.encode()) for element in sorted(found)]
            args[at] = reply[1][0][1]

    def close(self):
        for each in self.sockets:
            each.close()


def in_pairs(name, items):
    if name == "ZSCAN":
        return zip(items[::2], (float(score) + 0.0 for _, score in items[1::2]))
    return zip(items[::2], items[1::2]) if name == "HSCAN" else items


class Play:
    """Plays requests against both servers; knows what is queued for EXEC."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs
        self.queued = [None] * CONNECTIONS
        self.remembers_frequency = False

    def begin(self):
        """Nothing on either server, and fresh connections. Every other time keys remember when they were used last, else how
        often."""
        policy = "allkeys-lfu" if self.remembers_frequency else "allkeys-lru"
        for side in (self.ours, self.theirs):
            for connection in range(CONNECTIONS):
                assert side.call(connection, "RESET") == ("+", b"RESET")
                side.call(connection, "HELLO", "3" if connection == 2 else "2")
            assert side.call(0, "FLUSHALL") == ("+", b"OK")
            side.call(0, "CONFIG", "RESETSTAT")
            assert side.call(0, "CONFIG", "SET", "maxmemory-policy", policy) == ("+", b"OK")
        self.queued = [None] * CONNECTIONS

    def lapse(self, connection, key):
        """The key's time passes on both servers."""
        for side in (self.ours, self.theirs):
            side.call(connection, "PEXPIRE", key, "1")
            deadline = time.monotonic() + 30
            while side.call(connection, "EXISTS", key) != (":", b"0"):
                assert time.monotonic() < deadline, f"{key} does not expire"

    def batch(self, requests):
        """Both replies to each request, and whether they are the same."""
        if requests[0].mark == "walk" and self.queued[requests[0].connection] is None:
            pairs = [(self.ours.walk(requests[0]), self.theirs.walk(requests[0]))]
        elif requests[0].name == "LAPSE":
            if self.queued[requests[0].connection] is None:
                self.lapse(requests[0].connection, requests[0].args[1])
            return []
        else:
            try:
                for side in (self.ours, self.theirs):
                    side.send(requests)
                pairs = list(zip(self.ours.replies(requests), self.theirs.replies(requests)))
            except OSError as error:
                text = "\n".join(f"    {each!r}" for each in requests)
                raise AssertionError(f"seed {SEED}: {error} while it was asked\n{text}") from error
        return [(request, our, their, self.judge(request, our, their)) for request, (our, their) in zip(requests, pairs)]

    def judge(self, request, ours, theirs):
        name, queue = request.name, self.queued[request.connection]
        is_ok = ours == ("+", b"OK")
        if name in ("MULTI",) and is_ok:
            self.queued[request.connection] = []
        elif name in ("EXEC", "DISCARD", "RESET"):
            self.queued[request.connection] = None
            if name == "EXEC" and queue and isinstance(ours[1], list) and isinstance(theirs[1], list):
                same = len(ours[1]) == len(theirs[1]) == len(queue)
                return same and all(map(self.is_same, queue, ours[1], theirs[1]))
        elif queue is not None and ours == ("+", b"QUEUED"):
            queue.append(request)
        return self.is_same(request, ours, theirs)

    def is_same(self, request, ours, theirs):
        mark = "shape" if request.mark == "walk" and self.queued[request.connection] is not None else request.mark
        same = compare.is_same(mark, ours, theirs)
        return same or accepted.why(request.name, request.options, ours, theirs) is not None

    def differs(self, requests):
        """Whether the last request is answered differently, after the others."""
        self.begin()
        results = []
        for batch in in_batches(requests):
            results = self.batch(batch)
        return any(not result[3] for result in results[-1:])


def in_batches(requests):
    """What one connection sends in a row goes together, as it did at first."""
    batch = []
    for request in requests:
        alone = request.mark == "walk" or request.name == "LAPSE"
        if batch and (alone or batch[-1].connection != request.connection or batch[-1].mark == "walk" or batch[-1].name == "LAPSE"):
            yield batch
            batch = []
        batch.append(request)
    yield batch


def shortest(play, requests):
    """Leaves out what is not needed for the last request's answers to differ."""
    if not play.differs(requests):
        return None
    size, deadline = len(requests) // 2, time.monotonic() + 20
    while size >= 1 and time.monotonic() < deadline:
        at = 0
        while at < len(requests) - 1 and time.monotonic() < deadline:
            fewer = requests[:at] + requests[min(at + size, len(requests) - 1) :]
            if play.differs(fewer):
                requests = fewer
            else:
                at += size
        size //= 2
    return requests


def commands_of(side):
    """Names of all commands and subcommands, from the server's own table."""
    names = set()
    for entry in side.call(0, "COMMAND")[1]:
        name = entry[1][0][1].decode()
        subcommands = [sub[1][0][1].decode() for sub in entry[1][9][1]]
        names.update(subcommands or [name])
        if subcommands and int(entry[1][1][1]) in (-1, 1):
            names.add(name)
    return {name.upper() for name in names}


class Plan:
    """What is asked next: what was answered least."""

    def __init__(self, forms, dice):
        self.forms, self.dice, self.answers = forms, dice, Counter()
        self.wanted = {(form.name, None) for form in forms} | {(form.name, option) for form in forms for option in form.options}

    def missing(self):
        return [want for want in self.wanted if self.answers[want] < ANSWERS_MIN]

    def next(self):
        """A form, and an option that it should have."""
        missing = self.missing()
        if missing and self.dice.random() < 0.7:
            name, option = min(self.dice.sample(sorted(missing, key=str), min(4, len(missing))), key=self.answers.__getitem__)
            fitting = [form for form in self.forms if form.name == name and (option is None or option in form.options)]
            return self.dice.choice(fitting), option
        return self.dice.choice(self.forms), None


def episode(plan, make):
    """Batches of requests, each of one connection, without end."""
    dice = plan.dice

    def request(connection, form, option=None):
        args, options = make.request(form, option)
        return Request(connection, args, form.name, frozenset(options))

    def settle(done):
        """What follows a request that leaves the servers in different states."""
        last = done[-1]
        if last.name == "SPOP" and len(last.args) > 1:
            yield Request(last.connection, [b"DEL", last.args[1]], "DEL")
        if last.is_arbitrary:
            stored = [after for word, after in zip(last.args, last.args[1:]) if word.upper() == b"STORE"]
            yield from (Request(last.connection, [b"DEL", key], "DEL") for key in stored)
        if last.name in ("FLUSHALL", "FLUSHDB"):
            yield from (Request(last.connection, args, args[0].decode()) for args in make.preface())

    first = [Request(0, args, args[0].decode()) for args in make.preface()]
    yield first
    while True:
        connection, requests = dice.randrange(CONNECTIONS), []
        if dice.random() < 0.05:
            yield [Request(connection, [b"LAPSE", make.any()], "LAPSE")]
        while len(requests) < BATCH and (not requests or dice.random() < 0.97):
            form, option = plan.next()
            if form.name in ("EXEC", "DISCARD", "MULTI") and dice.random() < 0.95:
                requests.append(Request(connection, [b"MULTI"], "MULTI"))
                for _ in range(dice.randrange(TRANSACTION_REQUESTS_MAX)):
                    inner = dice.choice(plan.forms)
                    made = request(connection, inner)
                    if inner.name not in NOT_IN_TRANSACTIONS and not accepted.ends_transaction(inner.name, made.args):
                        requests.append(made)
                end = "DISCARD" if form.name == "DISCARD" else "EXEC"
                requests.append(Request(connection, [end.encode()], end))
                continue
            if compare.mark_of(form.name) == "walk":
                if requests:
                    yield requests
                yield [request(connection, form, option)]
                requests = []
                continue
            requests.append(request(connection, form, option))
            requests.extend(settle(requests))
        if requests:
            yield requests


#: What would leave the two servers in different states, or answers in bulk.
NOT_IN_TRANSACTIONS = {"SPOP", "SORT", "SCAN", "SSCAN", "HSCAN", "ZSCAN", "MULTI", "EXEC", "DISCARD", "WATCH", "RESET", "HELLO", "FLUSHALL", "FLUSHDB"}


def play_all(ours, theirs, tag, until, report):
    """Plays episodes until `until(plan, seconds)`; returns the plan and the differences."""
    play = Play(ours, theirs)
    names = commands_of(ours)
    containers = {name.split("|")[0].lower() for name in names if "|" in name}
    lines = [line for line in grammar.FORMS.strip().splitlines() if line]
    forms = [form for form in (generator.Form(line, containers) for line in lines) if form.name in names]
    left_out = {name.upper() for name in grammar.LEFT_OUT}
    unknown = names - {form.name for form in forms} - left_out
    unknown = {name for name in unknown if name.split("|")[0] not in left_out}
    assert not unknown, f"commands without a form in grammar.py: {sorted(unknown)}"
    databases = ours.call(0, "SELECT", "1") == ("+", b"OK")
    make = generator.Generator(forms, SEED, tag, databases)
    plan = Plan(forms, make.dice)
    started, differences, seen, requests_total, number = time.monotonic(), [], set(), 0, 0
    while not until(plan, time.monotonic() - started) and len(differences) < DIFFERENCES_MAX:
        number += 1
        play.remembers_frequency = number % 2 == 0
        play.begin()
        done = []
        for requests in episode(plan, make):
            results = play.batch(requests)
            requests_total += len(results)
            bad = next((at for at, result in enumerate(results) if not result[3]), None)
            for request, our, _, _ in results[: bad if bad is not None else len(results)]:
                if compare.is_answer(our) and our != ("+", b"QUEUED"):
                    plan.answers[request.name, None] += 1
                    for option in request.options:
                        plan.answers[request.name, option] += 1
            if bad is not None:
                request, our, their, _ = results[bad]
                kind = (request.name, accepted.shown(our)[:24], accepted.shown(their)[:24])
                script = done + requests[: bad + 1]
                if kind not in seen:
                    seen.add(kind)
                    less = shortest(play, script) or script[-8:]
                    text = "\n".join(f"    {each!r}" for each in less)
                    differences.append(
                        f"seed {SEED}, episode {number}:\n{text}\n    carousel: {accepted.shown(our)[:600]}\n    redis:    {accepted.shown(their)[:600]}"
                    )
                break
            done += requests
            if len(done) > EPISODE_REQUESTS:
                break
    report(f"{requests_total} requests in {number} episodes and {time.monotonic() - started:.0f} s with GENERATED_SEED={SEED}")
    return plan, differences


@pytest.fixture(params=[(1, b""), (3, b"{k}"), (3, b"")], ids=["one shard", "three shards and a tag", "three shards"])
def sides(request, workspace, redis_server):
    shards, tag = request.param
    node = harness.carousel(workspace, shards=shards, appendonly=False).start()
    ours, theirs = Side(node.port), Side(redis_server.port)
    # What is odd about a slow machine is not asked about.
    for side in (ours, theirs):
        side.call(0, "CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")
    yield ours, theirs, shards, tag
    ours.close()
    theirs.close()
    node.kill()


def test_generated_requests_are_answered_as_by_redis(sides, capfd):
    ours, theirs, shards, tag = sides
    is_full = shards == 1

    def until(plan, seconds):
        if is_full:
            return (not plan.missing() and seconds >= SECONDS_MIN) or seconds > SECONDS_MAX
        return seconds >= SECONDS_MIN / 2

    def report(text):
        with capfd.disabled():
            print("\n" + text)

    plan, differences = play_all(ours, theirs, tag, until, report)
    rows = Counter()
    for name, option in plan.wanted:
        rows[name] = rows[name]
    lines = []
    for name in sorted(rows):
        options = sorted(option for command, option in plan.wanted if command == name and option)
        parts = "".join(f" {option}={plan.answers[name, option]}" for option in options)
        lines.append(f"{name}={plan.answers[name, None]}{parts}")
    if is_full:
        report("answers that were neither an error nor nil, by command and option:\n" + "\n".join(lines))
    assert not differences, f"{len(differences)} differences:\n" + "\n".join(differences)
    if is_full:
        missing = sorted(f"{name} {option or ''} {plan.answers[name, option]}" for name, option in plan.missing())
        assert not missing, f"answered fewer than {ANSWERS_MIN} times: {missing}"


def test_the_comparison_sees_what_differs():
    one, two, nil, error = ("$", b"1"), ("$", b"2"), ("$", None), ("-", b"ERR")
    for mark in ("exact", "unordered", "pairs", "float", "walk"):
        assert compare.is_same(mark, ("*", [one, two]), ("*", [one, two]))
        assert not compare.is_same(mark, ("*", [one, two]), ("*", [one, one]))
    for mark in ("exact", "unordered", "pairs", "float", "walk", "random", "shape"):
        assert not compare.is_same(mark, one, nil) and not compare.is_same(mark, one, error)
        assert not compare.is_same(mark, ("-", b"ERR a"), ("-", b"ERR b"))
    assert compare.is_same("unordered", ("*", [one, two]), ("*", [two, one]))
    assert not compare.is_same("exact", ("*", [one, two]), ("*", [two, one]))
    assert compare.is_same("exact", ("~", [one, two]), ("~", [two, one])), "a set has no order"
    assert not compare.is_same("pairs", ("*", [one, two]), ("*", [two, one]))
    assert compare.is_same("float", ("$", b"0.1"), ("$", b"0.10000000000000001"))
    assert not compare.is_same("exact", ("$", b"0.1"), ("$", b"0.10000000000000001"))
    assert not compare.is_same("random", ("*", [one]), ("*", [one, two]))
    assert compare.is_same("time", (":", b"100"), (":", b"99")) and not compare.is_same("time", (":", b"100"), (":", b"-1"))
    assert accepted.why("ZRANK", {"WITHSCORE"}, one, error) and not accepted.why("ZRANK", set(), one, two)
