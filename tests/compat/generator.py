"""Makes requests out of the grammar."""

import random
import re

import grammar
import rdb

TYPES = {"s": "string", "n": "string", "l": "list", "h": "hash", "t": "set", "z": "zset", "x": "zset"}
JUNK = [b"", b"0", b"-1", b"1", b"abc", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"1.5", b"nan", b"inf", b"-inf", b"1e400", b" 1", b"01", b"\x00\xff\r\n", b"(1", b"[a", b"x" * 70, b"WITHSCORES", b"LIMIT", b"STORE", b"COUNT"]
MEMBERS = [b"a", b"b", b"c", b"d", b"1", b"2", b"3", b"10", b"-7", b"alpha", b"m" * 65, b"\x00\xff"]
NUMBERS = [b"1", b"2", b"3", b"10", b"-7"]
FIELDS = [b"f1", b"f2", b"f3", b"f4", b"long" * 17]
#: What no blocking command takes for a time: 0 is for ever.
NO_TIMES = [b"", b"-1", b"abc", b"nan", b"(1", b"x" * 70, b"LIMIT"]
#: A second or a millisecond passes on one server before it does on the other.
TIMED = ("SET", "SETEX", "PSETEX", "GETEX", "EXPIRE", "PEXPIRE", "RESTORE", "RESTORE-ASKING")
SETTINGS = [b"maxmemory", b"max*", b"*", b"port", b"none", b"timeout"]
COMMANDS = [b"get", b"set", b"nosuch", b"zadd", b"client|list"]
FAR_MS = 4_000_000_000_000


class Node:
    """A part of a form: a word, a sequence, a choice, or something repeated."""

    def __init__(self, kind, parts=(), word=None):
        self.kind, self.parts, self.word = kind, list(parts), word

    def options(self, within=False):
        """The words in brackets."""
        if self.kind == "word":
            is_option = self.word[:1].isupper() and (within or self.word.endswith("_"))
            return {self.word.rstrip("_")} if is_option else set()
        return set().union(*(part.options(within or self.kind in ("optional", "choice")) for part in self.parts))

    def has(self, option):
        return self.word.rstrip("_") == option if self.kind == "word" else any(part.has(option) for part in self.parts)


def parse(text):
    """A form as a tree."""
    tokens = re.findall(r"[\[\]()<>|]|[^\s\[\]()<>|]+", text)
    at = 0

    def alternatives(end):
        nonlocal at
        found = [[]]
        while at < len(tokens) and tokens[at] != end:
            token, at = tokens[at], at + 1
            if token == "|":
                found.append([])
            elif token in "[(<":
                kind, close = {"[": ("optional", "]"), "(": ("choice", ")"), "<": ("repeated", ">")}[token]
                inner = alternatives(close)
                at += 1
                found[-1].append(Node(kind, [Node("sequence", parts) for parts in inner]))
            else:
                found[-1].append(Node("word", word=token))
        return found

    return Node("sequence", alternatives(None)[0])


class Form:
    """One way to write a command."""

    def __init__(self, line, containers):
        self.tree = parse(line)
        words = line.split()
        self.name = words[0]
        if words[0].lower() in containers and len(words) > 1 and words[1][:1].isupper():
            self.name = f"{words[0]}|{words[1]}"
        self.options = self.tree.options()


class Generator:
    """Requests from a seed. `tag` begins every key."""

    def __init__(self, forms, seed, tag=b"", databases=False):
        self.dice = random.Random(seed)
        self.forms, self.tag, self.databases = forms, tag, databases

    def request(self, form, option=None):
        """The arguments of a request of this form, and the options in it; `option` is one of them, if it is given."""
        self.used, self.want = set(), option
        args = self.expand(form.tree, False)
        was_disturbed = False
        # HELLO of older versions does what it has read of a wrong request.
        is_left = form.name == "HELLO"
        # A key that SET gives a time in the past is counted by DBSIZE until somebody looks for it.
        is_timed = self.used & {"EXAT", "PXAT"}
        if not is_timed and not is_left and self.dice.random() < (0.02 if option else 0.08):
            was_disturbed = True
            junk = [text for text in JUNK if text != b"1"] if form.name in TIMED else JUNK
            if form.name.startswith(("BL", "BR", "BZ")):
                junk = NO_TIMES
            self.disturb(args, 2 if "|" in form.name else 1, junk)
        if self.dice.random() < 0.1:
            args[0] = args[0].lower()
        return args, (set() if was_disturbed else self.used)

    def disturb(self, args, first, junk):
        """Makes an argument wrong, or their number."""
        pick, at = self.dice.randrange(5), self.dice.randint(first, len(args))
        if pick == 0:
            args.insert(at, self.dice.choice(junk))
        elif pick == 1 and at < len(args):
            del args[at]
        elif at < len(args):
            args[at] = self.dice.choice(junk) if pick < 4 else self.key("slht")

    def expand(self, node, within):
        dice = self.dice
        if node.kind == "sequence":
            return [arg for part in node.parts for arg in self.expand(part, within)]
        if node.kind == "repeated":
            times = dice.choice((1, 1, 2, 3))
            return [arg for _ in range(times) for arg in self.expand(node.parts[0], within)]
        if node.kind in ("optional", "choice"):
            wanted = [part for part in node.parts if self.want and part.has(self.want)]
            if not wanted and node.kind == "optional" and dice.random() < (0.8 if self.want else 0.6):
                return []
            return self.expand(dice.choice(wanted or node.parts), True)
        word = node.word
        if word[:1].isupper():
            if within or word.endswith("_"):
                self.used.add(word.rstrip("_"))
            if word == "WEIGHTS_":
                return [b"WEIGHTS"] + [dice.choice((b"1", b"2", b"-1", b"0.5", b"0")) for _ in range(self.key_count)]
            text = word.rstrip("_").encode()
            return [text.lower() if dice.random() < 0.05 else text]
        if word[:1].isdigit():
            return [word.encode()]
        made = getattr(self, word, None) or (lambda: self.key(word))
        made = made()
        return made if isinstance(made, list) else [made]

    # Keys.

    def key(self, kinds):
        kind = self.dice.choice(kinds) if self.dice.random() > 0.03 else self.dice.choice("slht")
        return self.tag + b"%s%d" % (kind.encode(), self.dice.randrange(3))

    def s(self):
        return self.key("sssn")

    def any(self):
        return self.key("snlhtz")

    def new(self):
        return self.key("ssn") if self.dice.random() < 0.9 else self.any()

    def new_any(self):
        return self.any()

    def fresh(self):
        return self.tag + b"s%d" % self.dice.randrange(3, 300)

    def sortable(self):
        return self.key("ltz")

    def numbers(self):
        return self.tag + b"numbers"

    def lex(self):
        # All scores are the same, and stay so: ranges of members mean nothing else.
        return self.tag + b"x%d" % self.dice.randrange(3)

    def keys(self, kinds):
        self.key_count = self.dice.randint(1, 3)
        return [b"%d" % self.key_count] + [self.key(kinds) for _ in range(self.key_count)]

    def keys_l(self):
        return self.keys("l")

    def keys_t(self):
        return self.keys("t")

    def keys_z(self):
        return self.keys("z")

    def keys_zt(self):
        return self.keys("zzt")

    # Values.

    def value(self):
        return self.dice.choice((b"5", b"-12", b"3.5", b"hello", b"ohmytext", b"mynewtext", b"v" * 50, b"\x00\xff\x80", b""))

    def member(self):
        return self.dice.choice(MEMBERS)

    def field(self):
        return self.dice.choice(FIELDS) if self.dice.random() < 0.8 else self.number_field()

    def number_field(self):
        return self.dice.choice((b"n1", b"n2"))

    def name(self):
        return self.dice.choice((b"name", b"other", b"x1"))

    def score(self):
        return self.dice.choice((b"0", b"1", b"2", b"-3", b"2.5", b"1e3", b"inf", b"-inf", b"0.1", b"100000000000"))

    def half(self):
        return self.dice.choice((b"0.5", b"-1.5", b"3", b"1e2", b"0.1"))

    def integer(self):
        return self.dice.choice((b"1", b"-1", b"100", b"-200", b"255", b"65536", b"-9223372036854775808", b"9223372036854775807"))

    def index(self):
        return b"%d" % self.dice.choice((0, 0, 1, 2, 3, -1, -1, -2, -4, 100, -100))

    def offset(self):
        return b"%d" % self.dice.randrange(30)

    def bit(self):
        return b"%d" % self.dice.randrange(200)

    def field_type(self):
        return self.dice.choice((b"u1", b"u8", b"i5", b"u63", b"i64", b"i16"))

    def field_at(self):
        return self.dice.choice((b"0", b"#1", b"7", b"#3", b"100"))

    def count(self):
        return b"%d" % self.dice.randrange(6)

    count_form = small = count

    def positive(self):
        return b"%d" % self.dice.randint(1, 20)

    def random_count(self):
        return b"%d" % self.dice.randint(-6, 6)

    def rank(self):
        return self.dice.choice((b"1", b"-1", b"2", b"-2"))

    def from_score(self):
        return self.dice.choice((b"-inf", b"0", b"(0", b"-3", b"1", b"(1"))

    def to_score(self):
        return self.dice.choice((b"+inf", b"inf", b"2", b"(2", b"100", b"(1000"))

    def from_lex(self):
        return self.dice.choice((b"-", b"[a", b"(a", b"[1"))

    def to_lex(self):
        return self.dice.choice((b"+", b"[c", b"(d", b"[m"))

    def seconds(self):
        return b"%d" % self.dice.randint(1_000, 1_000_000)

    def milliseconds(self):
        return b"%d" % self.dice.randint(1_000_000, 1_000_000_000)

    def at(self):
        return b"%d" % (FAR_MS // 1_000 + self.dice.randrange(50)) if self.dice.random() < 0.95 else b"1"

    def at_ms(self):
        return b"%d" % (FAR_MS + self.dice.randrange(50)) if self.dice.random() < 0.95 else b"1"

    def later(self):
        return b"%d" % (FAR_MS // 1_000 + self.dice.randrange(50))

    def later_ms(self):
        return b"%d" % (FAR_MS + self.dice.randrange(50))

    def timeout(self):
        return self.dice.choice((b"0.01", b"0.02"))

    def zero(self):
        return b"0"

    def pattern(self):
        return self.dice.choice((b"*", b"*1", b"*[sa]*", b"?*", b"*\\1*", b"none"))

    def type(self):
        return self.dice.choice(("string", "list", "hash", "set", "zset")).encode()

    def by(self):
        return self.dice.choice((b"nosort", self.tag + b"w_*", self.tag + b"h0->f1"))

    def get(self):
        return self.dice.choice((b"#", self.tag + b"w_*", self.tag + b"h_*->f"))

    def database(self):
        return self.dice.choice((b"0", b"1", b"2")) if self.databases else b"0"

    def protocol(self):
        return self.dice.choice((b"2", b"3"))

    def section(self):
        return self.dice.choice((b"server", b"memory", b"clients", b"keyspace", b"all"))

    def command(self):
        return self.dice.choice(COMMANDS)

    def user(self):
        return b"default"

    def category(self):
        return self.dice.choice((b"string", b"write", b"none"))

    def command_line(self):
        return self.dice.choice(([b"GET", b"k"], [b"MSET", b"a", b"1", b"b", b"2"], [b"ZUNIONSTORE", b"d", b"2", b"a", b"b"], [b"SORT", b"k", b"STORE", b"d"]))

    def setting(self):
        return self.dice.choice(SETTINGS)

    def settable(self):
        # What does no harm whatever it is set to.
        return self.dice.choice(([b"slowlog-max-len", b"50"], [b"slowlog-log-slower-than", b"5000"], [b"none", b"1"], [b"slowlog-max-len", b"x"]))

    def payload(self):
        texts = [self.member() for _ in range(self.dice.randint(1, 6))]
        distinct = list(dict.fromkeys(texts))
        made = self.dice.choice(
            (
                lambda: rdb.of_string(texts[0]),
                lambda: rdb.of_list(texts, 2),
                lambda: rdb.of_set(distinct),
                lambda: rdb.of_hash([(text, text) for text in distinct]),
                lambda: rdb.of_zset([(text, float(len(text))) for text in distinct]),
            )
        )
        return self.dice.choice([payload for _, payload in made() if payload[0] != rdb.SET_LISTPACK])

    def preface(self):
        """Requests that give every key a value."""
        tag, dice = self.tag, self.dice
        yield [b"RPUSH", tag + b"numbers", b"3", b"-1", b"2.5", b"10"]
        for text in MEMBERS:
            yield [b"SET", tag + b"w_" + text, b"%d" % dice.randrange(20)]
            yield [b"HSET", tag + b"h_" + text, b"f", text]
        for at in range(3):
            key = lambda kind: tag + b"%s%d" % (kind, at)
            yield [b"SET", key(b"s"), dice.choice((b"ohmytext", b"mynewtext", b"foobar"))]
            yield [b"SET", key(b"n"), b"%d" % dice.randrange(100)]
            yield [b"RPUSH", key(b"l"), *dice.choices(MEMBERS, k=6)]
            yield [b"HSET", key(b"h"), *(x for field in FIELDS for x in (field, self.value())), b"n1", b"5", b"n2", b"1.5"]
            yield [b"SADD", key(b"t"), *dice.choices(MEMBERS if at else NUMBERS, k=8)]
            yield [b"ZADD", key(b"z"), *(x for member in dice.sample(MEMBERS, 7) for x in (self.score(), member))]
            yield [b"ZADD", key(b"x"), *(x for member in dice.sample(MEMBERS, 9) for x in (b"0", member))]
