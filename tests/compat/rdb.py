"""Writes payloads for RESTORE in every encoding that versions of Redis have used for the core types.

Redis itself writes only those of its own version; the older ones it can still read.
"""

import struct

STRING, LIST, SET, ZSET_TEXT, HASH, ZSET = range(6)
HASH_ZIPMAP, LIST_ZIPLIST, SET_INTEGERS, ZSET_ZIPLIST, HASH_ZIPLIST, QUICKLIST = range(9, 15)
HASH_LISTPACK, ZSET_LISTPACK, QUICKLIST_2 = range(16, 19)
SET_LISTPACK = 20


def crc64(data):
    """CRC-64 as Redis computes it: the polynomial of Jones, reflected."""
    crc = 0
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def _table():
    polynomial = int(f"{0xAD93D23594C935A9:064b}"[::-1], 2)
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = _table()
assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA


def payload(kind, body, version):
    data = bytes([kind]) + body + struct.pack("<H", version)
    return data + struct.pack("<Q", crc64(data))


def length(n):
    if n < 64:
        return bytes([n])
    if n < 16_384:
        return struct.pack(">H", 0x4000 | n)
    if n < 1 << 32:
        return b"\x80" + struct.pack(">I", n)
    return b"\x81" + struct.pack(">Q", n)


def integer_of(text, least, most):
    """The integer that the text is in its shortest form and within bounds, or None."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number).encode() == text and least <= number <= most else None


def plain(text):
    return length(len(text)) + text


def string(text, compress=False):
    """As Redis writes it: an integer as one, and, where asked for, LZF."""
    number = integer_of(text, -(1 << 31), (1 << 31) - 1)
    if number is not None:
        for kind, form in enumerate("bhi"):
            if -(1 << 8 * struct.calcsize(form) - 1) <= number < 1 << 8 * struct.calcsize(form) - 1:
                return bytes([0xC0 | kind]) + struct.pack("<" + form, number)
    if compress and text:
        packed = lzf(text)
        return b"\xc3" + length(len(packed)) + length(len(text)) + packed
    return plain(text)


def lzf(text):
    """Compresses; not well, but with every form that there is."""
    out, literal, at, seen = bytearray(), bytearray(), 0, {}

    def flush():
        while literal:
            part = literal[:32]
            out.append(len(part) - 1)
            out.extend(part)
            del literal[:32]

    while at < len(text):
        before = seen.get(text[at : at + 3])
        seen[text[at : at + 3]] = at
        if before is None or at - before > 8_192 or at + 3 > len(text):
            literal.append(text[at])
            at += 1
            continue
        count = 3
        while count < 264 and at + count < len(text) and text[before + count] == text[at + count]:
            count += 1
        flush()
        back, less = at - before - 1, count - 2
        if less < 7:
            out += bytes([less << 5 | back >> 8, back & 255])
        else:
            out += bytes([7 << 5 | back >> 8, less - 7, back & 255])
        at += count
    flush()
    return bytes(out)


def listpack(items):
    body = b"".join(_listpack_entry(item) for item in items)
    return struct.pack("<IH", len(body) + 7, min(len(items), 65_535)) + body + b"\xff"


def _listpack_entry(text):
    number = integer_of(text, -(1 << 63), (1 << 63) - 1)
    if number is None:
        n = len(text)
        head = bytes([0x80 | n]) if n < 64 else struct.pack(">H", 0xE000 | n) if n < 4_096 else b"\xf0" + struct.pack("<I", n)
        entry = head + text
    elif 0 <= number < 128:
        entry = bytes([number])
    elif -4_096 <= number < 4_096:
        entry = struct.pack(">H", 0xC000 | number & 0x1FFF)
    else:
        kind, width = next((k, w) for k, w in ((0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)) if -(1 << 8 * w - 1) <= number < 1 << 8 * w - 1)
        entry = bytes([kind]) + number.to_bytes(width, "little", signed=True)
    n = len(entry)
    size = 1 + sum(n >= bound for bound in (128, 16_383, 2_097_151, 268_435_455))
    return entry + bytes((n >> 7 * (size - 1 - i)) & 127 | (128 if i else 0) for i in range(size))


def ziplist(items):
    body, last, before = b"", 10, 0
    for item in items:
        last = 10 + len(body)
        entry = (bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)) + _ziplist_data(item)
        body += entry
        before = len(entry)
    return struct.pack("<IIH", len(body) + 11, last, min(len(items), 65_535)) + body + b"\xff"


def _ziplist_data(text):
    number = integer_of(text, -(1 << 63), (1 << 63) - 1)
    if number is None:
        n = len(text)
        head = bytes([n]) if n < 64 else struct.pack(">H", 0x4000 | n) if n < 16_384 else b"\x80" + struct.pack(">I", n)
        return head + text
    if 0 <= number <= 12:
        return bytes([0xF1 + number])
    kinds = ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8))
    kind, width = next((k, w) for k, w in kinds if -(1 << 8 * w - 1) <= number < 1 << 8 * w - 1)
    return bytes([kind]) + number.to_bytes(width, "little", signed=True)


def zipmap(pairs):
    def size(text):
        return bytes([len(text)]) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text))

    body = b"".join(
        size(field) + field + size(value) + bytes([unused]) + value + bytes(unused)
        for (field, value), unused in zip(pairs, _cycle((0, 3)))
    )
    return bytes([min(len(pairs), 254)]) + body + b"\xff"


def _cycle(values):
    while True:
        yield from values


def intset(numbers):
    numbers = sorted(numbers)
    width = next(w for w in (2, 4, 8) if all(-(1 << 8 * w - 1) <= n < 1 << 8 * w - 1 for n in numbers))
    return struct.pack("<II", width, len(numbers)) + b"".join(n.to_bytes(width, "little", signed=True) for n in numbers)


def score_text(score):
    """As sorted sets were written at first."""
    if score in (float("inf"), float("-inf")):
        return b"\xfe" if score > 0 else b"\xff"
    text = b"%.17g" % score
    return bytes([len(text)]) + text


def score_item(score):
    """As it stands in a ziplist or listpack."""
    if score in (float("inf"), float("-inf")):
        return b"inf" if score > 0 else b"-inf"
    return str(int(score)).encode() if score == int(score) and abs(score) < 1e15 else b"%.17g" % score


def strings(items, compress=False):
    return length(len(items)) + b"".join(string(item, compress) for item in items)


def _nodes(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)]


def of_string(text):
    yield "raw", payload(STRING, plain(text), 10)
    yield "short", payload(STRING, string(text), 6)
    if text:
        yield "compressed", payload(STRING, string(text, True) if integer_of(text, -(1 << 31), (1 << 31) - 1) is None else string(text), 9)


def of_list(items, node_items=40):
    yield "list", payload(LIST, strings(items), 1)
    yield "list, compressed", payload(LIST, strings(items, True), 7)
    yield "ziplist", payload(LIST_ZIPLIST, plain(ziplist(items)), 4)
    nodes = _nodes(items, node_items)
    yield "quicklist", payload(QUICKLIST, length(len(nodes)) + b"".join(plain(ziplist(node)) for node in nodes), 7)
    yield "quicklist, compressed", payload(
        QUICKLIST, length(len(nodes)) + b"".join(string(ziplist(node), True) for node in nodes), 9
    )
    mixed = b"".join(
        b"".join(length(1) + plain(item) for item in node) if at % 3 == 2 and all(node) else length(2) + string(listpack(node), at % 2 == 1)
        for at, node in enumerate(nodes)
    )
    count = sum(len(node) if at % 3 == 2 and all(node) else 1 for at, node in enumerate(nodes))
    yield "quicklist 2", payload(QUICKLIST_2, length(count) + mixed, 10)


def of_set(members):
    yield "set", payload(SET, strings(members), 3)
    yield "set, compressed", payload(SET, strings(members, True), 10)
    yield "listpack", payload(SET_LISTPACK, plain(listpack(members)), 11)
    numbers = [integer_of(member, -(1 << 63), (1 << 63) - 1) for member in members]
    if None not in numbers:
        yield "intset", payload(SET_INTEGERS, string(intset(numbers), True), 5)
        yield "intset, not compressed", payload(SET_INTEGERS, plain(intset(numbers)), 10)


def of_hash(pairs):
    flat = [item for pair in pairs for item in pair]
    count = length(len(pairs))
    yield "hash", payload(HASH, count + b"".join(string(item) for item in flat), 2)
    yield "hash, compressed", payload(HASH, count + b"".join(string(item, True) for item in flat), 9)
    yield "zipmap", payload(HASH_ZIPMAP, plain(zipmap(pairs)), 3)
    yield "ziplist", payload(HASH_ZIPLIST, string(ziplist(flat), True), 6)
    yield "listpack", payload(HASH_LISTPACK, string(listpack(flat), True), 10)
    yield "listpack, not compressed", payload(HASH_LISTPACK, plain(listpack(flat)), 10)


def of_zset(pairs):
    """Pairs of member and score."""
    count = length(len(pairs))
    in_order = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    flat = [item for member, score in in_order for item in (member, score_item(score))]
    yield "text", payload(ZSET_TEXT, count + b"".join(string(m) + score_text(s) for m, s in pairs), 4)
    yield "binary", payload(ZSET, count + b"".join(string(m, True) + struct.pack("<d", s) for m, s in pairs), 8)
    yield "ziplist", payload(ZSET_ZIPLIST, string(ziplist(flat), True), 7)
    yield "listpack", payload(ZSET_LISTPACK, string(listpack(flat), True), 10)
