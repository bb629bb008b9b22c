"""Replies as values, and what of them may differ."""

import grammar

MARKS = {name: mark for mark, names in grammar.MARKS.items() for name in names.split()}
SLACK_S = 30


def mark_of(name):
    """How replies to a command (`GET`, `CLIENT|LIST`) are compared."""
    return MARKS.get(name) or MARKS.get(name.split("|")[0]) or "exact"


class Stream:
    """A connection that sends many requests at once and reads their replies as values."""

    def __init__(self, socket):
        self.socket, self.buffer, self.at = socket, b"", 0

    def line(self):
        while (end := self.buffer.find(b"\r\n", self.at)) < 0:
            self.fill()
        line, self.at = self.buffer[self.at : end], end + 2
        return line

    def take(self, size):
        while len(self.buffer) - self.at < size + 2:
            self.fill()
        part, self.at = self.buffer[self.at : self.at + size], self.at + size + 2
        return part

    def fill(self):
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionError("the server closed the connection")
        self.buffer, self.at = self.buffer[self.at :] + part, 0

    def reply(self):
        """Kind and content: bytes for strings, a list for aggregates, None for nil."""
        line = self.line()
        kind, rest = line[:1].decode(), line[1:]
        if kind in "$=!":
            return (kind, None) if rest == b"-1" else (kind, self.take(int(rest)))
        if kind in "*~>%":
            if rest == b"-1":
                return kind, None
            return kind, [self.reply() for _ in range(int(rest) * (2 if kind == "%" else 1))]
        return kind, (None if kind == "_" else rest)


def is_answer(reply):
    """Whether it is neither an error nor nil."""
    return reply[0] not in "-!" and reply[1] is not None


def sorted_value(reply, group=1):
    """Its elements in an order of their own, in groups."""
    kind, content = reply
    if not isinstance(content, list):
        return reply
    return kind, sorted((content[at : at + group] for at in range(0, len(content), group)), key=repr)


def ordered(reply):
    """RESP3's sets and maps have no order."""
    kind, content = reply
    if not isinstance(content, list):
        return reply
    inner = (kind, [ordered(element) for element in content])
    return sorted_value(inner, 2 if kind == "%" else 1) if kind in "~%" else inner


def shape(reply):
    """The kind alone; a status, a verbatim string and a string are as good."""
    kind = reply[0]
    return "$" if kind in "$=+" else "*" if kind in "*%~" else kind


def is_same(mark, ours, theirs):
    """Whether two replies to a command of that mark are the same."""
    if ours == theirs:
        return True
    if is_answer(ours) != is_answer(theirs) or ours[0] in "-!" or theirs[0] in "-!":
        return False
    if mark == "shape":
        return shape(ours) == shape(theirs)
    if mark == "random":
        return ours[0] == theirs[0] and size(ours) == size(theirs)
    if mark == "time":
        return ours[0] == theirs[0] and is_near(int(ours[1]), int(theirs[1]))
    if mark == "unordered":
        return sorted_value(ours) == sorted_value(theirs)
    if mark == "pairs":
        return sorted_value(ours, 2) == sorted_value(theirs, 2)
    ours, theirs = ordered(ours), ordered(theirs)
    return ours == theirs or (mark == "float" and are_same_numbers(ours, theirs))


def size(reply):
    return len(reply[1]) if isinstance(reply[1], list) else None


def is_near(ours, theirs):
    """Times in s or ms: as near as two servers on a busy machine are."""
    if ours < 0 or theirs < 0:
        return ours == theirs
    slack = SLACK_S if max(ours, theirs) < 1 << 36 and max(ours, theirs) <= 200_000 else SLACK_S * 1_000
    return abs(ours - theirs) <= slack


def are_same_numbers(ours, theirs):
    """Equal but for how numbers are written: Redis 7.0 gives doubles 17 digits, 7.2 as many as they need."""
    if ours[0] != theirs[0]:
        return False
    if isinstance(ours[1], list):
        return len(ours[1]) == len(theirs[1]) and all(map(are_same_numbers, ours[1], theirs[1]))
    if ours[1] == theirs[1]:
        return True
    try:
        return float(ours[1]) == float(theirs[1])
    except (TypeError, ValueError):
        return False
