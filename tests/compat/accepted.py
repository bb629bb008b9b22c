"""Where Carousel's replies may differ from those of the Redis that is compared with, and why.

Carousel answers as Redis 7.2; the Redis of most distributions is older. An entry is a command, patterns for both replies as they are
shown, and a reason; `OPTIONS` are those that the other Redis does not know at all.
"""

import re

OPTIONS = {
    ("ZRANK", "WITHSCORE"): "since 7.2",
    ("ZREVRANK", "WITHSCORE"): "since 7.2",
}

#: Commands that the other Redis does not know.
COMMANDS = {
    "CLIENT|SETINFO": "since 7.2",
    "CLIENT|NO-TOUCH": "since 7.2",
}

#: Command, our reply, theirs, reason.
REPLIES = [
    (r"Z(REV)?RANK", r"-ERR syntax error|.*", r"-ERR wrong number of arguments.*", "7.2 takes WITHSCORE"),
    (r"OBJECT\|ENCODING", r"\$listpack", r"\$(quicklist|hashtable)", "7.2 packs lists, and sets that are not all integers"),
    (r"OBJECT\|ENCODING", r"\$embstr", r"\$raw", "Carousel goes by the string, Redis by how it was made"),
    (r"OBJECT\|ENCODING", r"\$int", r"\$(embstr|raw)", "Carousel goes by the string, Redis by how it was made"),
    (r"OBJECT\|ENCODING", r"\$listpack", r"\$skiplist", "Redis unpacks a sorted set to SORT it"),
    (r"OBJECT\|ENCODING", r"\$(skiplist|hashtable)", r"\$listpack", "Redis leaves packed what RESTORE brings packed, also long items"),
    (r"LREM", r"-ERR value is out of range, value must between.*", r":0", "7.2 refuses a count that cannot be negated"),
    (r"B[LRZ].*", r"-ERR timeout is out of range", r"-ERR timeout is negative", "7.0 takes a number that is too large for a small one"),
    (r".*", r"-.*(\x00|\xef\xbf\xbd).*", r"-.*", "errors of Carousel are UTF-8, those of Redis end at the first NUL of what they quote"),
    (r"[HSZ]?SCAN", r"-ERR invalid cursor", r"\*.*", "for Redis a cursor ends at its first NUL"),
    (r"COMMAND\|GETKEYS.*", r".*", r".*", "7.2 takes one argument more or less"),
]


def ends_transaction(name, args):
    """Whether one of the servers refuses to queue it: an option that the other Redis does not know, or a key without a value,
    which Redis finds out when it executes."""
    if name in ("MSET", "MSETNX") and len(args) % 2 == 0:
        return True
    words = {arg.upper().decode("latin1") for arg in args}
    return name in COMMANDS or any(command == name and option in words for command, option in OPTIONS)


def why(name, options, ours, theirs):
    """The reason for which the difference is accepted, or None."""
    if name in COMMANDS:
        return COMMANDS[name]
    for option in options:
        if (name, option) in OPTIONS:
            return OPTIONS[name, option]
    for command, our, their, reason in REPLIES:
        if re.fullmatch(command, name) and re.fullmatch(our, shown(ours), re.S) and re.fullmatch(their, shown(theirs), re.S):
            return reason
    return None


def shown(reply):
    """A reply as text."""
    kind, content = reply
    if isinstance(content, list):
        return f"{kind}[{', '.join(map(shown, content))}]"
    return kind + ("nil" if content is None else content.decode("latin1"))
