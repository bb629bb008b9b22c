"""What the differential test asks: one request a line, in sessions that each start on an empty server.

Arguments are quoted as in a shell; `\\xHH` and `\\n` inside are bytes. Marks at the start of a line say how far the replies may
differ: `~` an integer may be off by a second's worth of milliseconds, `{}` the order of an array's elements means nothing, `?`
only the type of the reply counts.

The reference may be Redis 7.0, Carousel answers as 7.2: where the two differ (`COMMAND GETKEYS` wants one argument less in 7.2) nothing is asked.
"""

import shlex

SLACK_MS = 1_000


def parse_line(line):
    """The marks and the arguments of a line."""
    marks = set()
    while (head := line.split(" ", 1))[0] in ("~", "{}", "?"):
        marks.add(head[0])
        line = head[1]
    return marks, [word.encode("latin1").decode("unicode_escape").encode("latin1") for word in shlex.split(line)]


def normalised(marks, reply):
    """The reply with what the marks allow to differ taken out."""
    if "?" in marks:
        return reply[:1]
    if "{}" in marks and reply[:1] in b"*~":
        head, *elements = reply.split(b"\r\n$")
        return head, sorted(element.removesuffix(b"\r\n") for element in elements)
    if "~" in marks and reply[:1] == b":" and int(reply[1:]) > SLACK_MS:
        return b":", round(int(reply[1:]) / SLACK_MS / 10)
    return reply


SESSIONS = {
    "connection": r"""
        PING
        ping
        PiNg hello
        PING "two words"
        PING a b
        ECHO hello
        ECHO ""
        ECHO
        ECHO a b
        SELECT 0
        SELECT 16
        SELECT -1
        SELECT abc
        SELECT
        AUTH
        AUTH secret
        AUTH someone secret
        AUTH a b c
        HELLO 4
        HELLO 1
        HELLO abc
        HELLO 2 AUTH
        HELLO 2 NOSUCH
        CLIENT
        CLIENT NOSUCH
        CLIENT GETNAME
        CLIENT SETNAME worker-1
        CLIENT GETNAME
        CLIENT SETNAME "has space"
        CLIENT GETNAME
        CLIENT SETNAME ""
        CLIENT GETNAME
        ? CLIENT ID
        CLIENT ID extra
        CLIENT GETNAME extra
        ? CLIENT LIST
        ? CLIENT INFO
        CLIENT KILL 1.2.3.4:5
        CLIENT KILL ID abc
        CLIENT KILL ID 0
        CLIENT NO-EVICT on
        CLIENT NO-EVICT off
        CLIENT NO-EVICT maybe
        COMMAND GETKEYS SET a b
        COMMAND GETKEYS MSET a 1 b 2
        COMMAND GETKEYS PING hello
        COMMAND GETKEYS NOSUCH a
        COMMAND GETKEYS GET a b
        COMMAND NOSUCH
        ? COMMAND COUNT
        COMMAND COUNT 1
        ? TIME
        TIME 1
        ? INFO
        ? INFO server
        ? INFO server clients
        CONFIG
        CONFIG NOSUCH
        CONFIG GET
        CONFIG SET
        CONFIG SET maxclients
        CONFIG SET nosuch 1
        CONFIG GET nosuch
        CONFIG GET appendfsync
        CONFIG RESETSTAT
        RESET
        PING
    """,
    "unknown commands and arity": r"""
        NOSUCH
        NOSUCH a
        nosuch a b c
        NOSUCH "with space" 'quo"te'
        NOSUCH aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        GET
        GET a b
        SET
        SET a
        MGET
        MSET
        MSET a
        MSET a 1 b
        MSETNX a
        SETNX a
        SETEX a 1
        PSETEX a 1
        GETSET a
        GETDEL
        GETDEL a b
        GETEX
        SETRANGE a 1
        GETRANGE a 1
        SUBSTR a 1
        APPEND a
        STRLEN
        STRLEN a b
        INCR
        DECR a b
        INCRBY a
        DECRBY a
        INCRBYFLOAT a
        DEL
        UNLINK
        EXISTS
        TOUCH
        TYPE
        TYPE a b
        EXPIRE a
        PEXPIRE a
        EXPIREAT a
        PEXPIREAT a
        TTL
        PTTL a b
        EXPIRETIME
        PEXPIRETIME
        PERSIST
        KEYS
        KEYS a b
        SCAN
        DBSIZE x
        RANDOMKEY x
        FLUSHALL NOSUCH
        FLUSHDB NOSUCH
        FLUSHALL ASYNC SYNC
        OBJECT
        OBJECT NOSUCH
        OBJECT ENCODING
        OBJECT ENCODING a b
    """,
    "set and get": r"""
        GET none
        SET k v
        GET k
        get k
        SET k "\x00\xff\r\n\x7f"
        GET k
        SET "" empty-key
        GET ""
        SET k ""
        GET k
        STRLEN k
        SET k v NX
        SET new v NX
        SET none v XX
        GET none
        SET k w XX
        SET k x GET
        GET k
        SET none2 x GET
        GET none2
        SET k y XX GET
        SET none3 y XX GET
        GET none3
        SET k z NX GET
        GET k
        SET k v NX XX
        SET k v EX
        SET k v EX abc
        SET k v EX 0
        SET k v EX -1
        SET k v PX 0
        SET k v EX 1 PX 1
        SET k v KEEPTTL EX 1
        SET k v EX 9223372036854775807
        SET k v EX 9223372036854776
        SET k v PX 9223372036854775807
        SET k v PXAT 0
        SET k v EXAT -5
        SET k v NOSUCH
        SET k v GET GET
        SET k v EX 100
        TTL k
        SET k v2 KEEPTTL
        TTL k
        GET k
        SET k v3
        TTL k
        SET k v PX 100000
        ~ PTTL k
        SET k v EXAT 4102444800
        EXPIRETIME k
        PEXPIRETIME k
        SET k v PXAT 4102444800123
        PEXPIRETIME k
        EXPIRETIME k
        SET k v EXAT 1
        GET k
        EXISTS k
        SET k v ex 100 nx
        TTL k
        SETNX k other
        GET k
        SETNX fresh 1
        SETEX k 100 v
        TTL k
        SETEX k 0 v
        SETEX k -1 v
        SETEX k abc v
        SETEX k 9223372036854775807 v
        PSETEX k 100000 v
        ~ PTTL k
        PSETEX k 0 v
        GETSET k new
        GETSET none4 new
        TTL k
        GETDEL k
        GETDEL k
        GET k
        SET k v EX 100
        GETEX k
        TTL k
        GETEX k PERSIST
        TTL k
        GETEX k EX 200
        TTL k
        GETEX k PX 300000
        ~ PTTL k
        GETEX k EXAT 4102444800
        EXPIRETIME k
        GETEX k PXAT 4102444800999
        PEXPIRETIME k
        GETEX none EX 10
        GETEX k EX 0
        GETEX k EX abc
        GETEX k EX
        GETEX k NX
        GETEX k EX 1 PERSIST
        GETEX k EXAT 1
        EXISTS k
    """,
    "several keys": r"""
        MSET a 1 b 2 c 3
        MGET a b c
        MGET a none c
        MGET none
        MGET a a a
        MSET a x a y
        GET a
        MSETNX {t}y 1 {t}z 2
        MSETNX {t}x 1 {t}y 2
        MGET {t}x {t}y {t}z
        DEL {t}y {t}z
        EXISTS a b c none
        EXISTS a a a
        EXISTS none
        TOUCH a b none
        TOUCH none
        DEL a none
        DEL a
        UNLINK b c none
        EXISTS b c
        DBSIZE
        MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8
        DBSIZE
        DEL a b c d e f g h a b
        DBSIZE
        SET k v EX 100
        MSET k w
        TTL k
        FLUSHDB
        DBSIZE
        SET a 1
        FLUSHALL SYNC
        DBSIZE
        SET a 1
        FLUSHALL ASYNC
        DBSIZE
        SET a 1
        FLUSHDB async
        EXISTS a
        RANDOMKEY
        SET only 1
        RANDOMKEY
    """,
    "parts of strings": r"""
        SETRANGE none 0 ""
        EXISTS none
        SETRANGE k 5 hello
        GET k
        STRLEN k
        SETRANGE k 0 HE
        GET k
        SETRANGE k 8 XYZ
        GET k
        SETRANGE k 20 ""
        STRLEN k
        SETRANGE k -1 x
        SETRANGE k abc x
        SETRANGE k 536870912 x
        SETRANGE none 536870911 xx
        EXISTS none
        SET k "Hello World"
        GETRANGE k 0 4
        GETRANGE k 0 -1
        GETRANGE k -5 -1
        GETRANGE k 6 100
        GETRANGE k 5 3
        GETRANGE k -100 3
        GETRANGE k -3 -5
        GETRANGE k 100 200
        GETRANGE k -100 -50
        GETRANGE none 0 -1
        GETRANGE k a b
        GETRANGE k 0 9223372036854775807
        GETRANGE k -9223372036854775808 2
        SUBSTR k 0 4
        SUBSTR k -5 -1
        APPEND k "!"
        GET k
        APPEND fresh start
        APPEND fresh ""
        APPEND empty ""
        EXISTS empty
        GET fresh
        STRLEN fresh
        STRLEN none
        SET t v EX 100
        APPEND t w
        TTL t
        SETRANGE t 1 xyz
        TTL t
        GET t
        SET n 12
        APPEND n 34
        INCR n
        SETRANGE n 0 9
        GET n
        INCR n
    """,
    "counters": r"""
        INCR n
        INCR n
        GET n
        DECR n
        DECR n
        DECR n
        INCRBY n 10
        INCRBY n -3
        DECRBY n 4
        DECRBY n -4
        INCRBY n 0
        INCRBY n abc
        INCRBY n 1.5
        INCRBY n ""
        INCRBY n " 1"
        INCRBY n +1
        INCRBY n 01
        INCRBY n 9223372036854775808
        DECRBY n -9223372036854775808
        DECRBY n 9223372036854775807
        GET n
        SET n 9223372036854775807
        INCR n
        INCRBY n 1
        DECR n
        GET n
        SET n -9223372036854775808
        DECR n
        INCR n
        SET n abc
        INCR n
        DECRBY n 1
        SET n "12 "
        INCR n
        SET n " 12"
        INCR n
        SET n 012
        INCR n
        SET n ""
        INCR n
        SET n -0
        INCR n
        SET n 1.0
        INCR n
        SET n 10 EX 100
        INCR n
        TTL n
        SET f 10.50
        INCRBYFLOAT f 0.1
        INCRBYFLOAT f -5
        INCRBYFLOAT f 5.0e3
        SET f 5.0e3
        INCRBYFLOAT f 2.0e2
        SET f 0.1
        INCRBYFLOAT f 0.2
        INCRBYFLOAT f 1e10
        INCRBYFLOAT fresh 3
        INCRBYFLOAT fresh 0
        INCRBYFLOAT fresh 1.5
        INCRBYFLOAT fresh -1.5
        INCRBYFLOAT fresh abc
        INCRBYFLOAT fresh ""
        INCRBYFLOAT fresh nan
        INCRBYFLOAT fresh inf
        INCRBYFLOAT fresh " 1"
        INCRBYFLOAT fresh "1 "
        SET f abc
        INCRBYFLOAT f 1
        SET f 3.0
        INCRBYFLOAT f 0
        GET f
        SET f 1 EX 100
        INCRBYFLOAT f 1
        TTL f
        INCR f
    """,
    "expiry": r"""
        TTL none
        PTTL none
        EXPIRETIME none
        PEXPIRETIME none
        EXPIRE none 100
        PERSIST none
        SET k v
        TTL k
        PTTL k
        EXPIRETIME k
        PERSIST k
        EXPIRE k 100
        TTL k
        ~ PTTL k
        PERSIST k
        TTL k
        PEXPIRE k 100000
        TTL k
        EXPIREAT k 4102444800
        EXPIRETIME k
        PEXPIREAT k 4102444800500
        PEXPIRETIME k
        EXPIRETIME k
        EXPIRE k abc
        EXPIRE k 9223372036854775807
        EXPIRE k -9223372036854775808
        PEXPIRE k 9223372036854775807
        EXPIREAT k 9223372036854775807
        EXPIRE k 100 NOSUCH
        EXPIRE k 100 NX XX
        EXPIRE k 100 NX GT
        EXPIRE k 100 GT LT
        EXPIRE k 100 NX
        EXPIRE k 100 XX
        TTL k
        EXPIRE k 50 GT
        EXPIRE k 200 GT
        TTL k
        EXPIRE k 300 LT
        EXPIRE k 100 LT
        TTL k
        EXPIRE k 400 XX GT
        TTL k
        PERSIST k
        EXPIRE k 100 XX
        EXPIRE k 100 GT
        EXPIRE k 100 XX LT
        EXPIRE k 100 LT
        TTL k
        PERSIST k
        EXPIRE k 100 NX
        TTL k
        EXPIRE k 0
        EXISTS k
        SET k v
        EXPIRE k -1
        GET k
        SET k v
        PEXPIREAT k 1
        TYPE k
        SET k v
        EXPIREAT k 1
        EXISTS k
        DBSIZE
        SET k v EX 100
        DEL k
        SET k v
        TTL k
    """,
    "generic": r"""
        TYPE none
        SET k v
        TYPE k
        OBJECT ENCODING none
        OBJECT ENCODING k
        SET k 12345
        OBJECT ENCODING k
        SET k -1
        OBJECT ENCODING k
        SET k 9223372036854775807
        OBJECT ENCODING k
        SET k 9223372036854775808
        OBJECT ENCODING k
        SET k 01
        OBJECT ENCODING k
        SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        OBJECT ENCODING k
        SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        OBJECT ENCODING k
        FLUSHALL
        KEYS *
        MSET hello 1 hallo 2 hxllo 3 hllo 4 heeeello 5 hbllo 6 "h\x5bllo" 7
        {} KEYS *
        {} KEYS h?llo
        {} KEYS h*llo
        {} KEYS h[ae]llo
        {} KEYS h[^e]llo
        {} KEYS h[a-b]llo
        {} KEYS h[b-a]llo
        {} KEYS "h\\\\[llo"
        {} KEYS H*
        {} KEYS ""
        {} KEYS h[llo
        {} KEYS *l*
        {} KEYS **
        KEYS nosuch*
        KEYS hello
        SCAN abc
        SCAN 0 COUNT 0
        SCAN 0 COUNT abc
        SCAN 0 COUNT
        SCAN 0 NOSUCH
        SCAN 0 MATCH
        SCAN 0 TYPE
    """,
}
SESSIONS = {name: [line.strip() for line in text.strip().splitlines()] for name, text in SESSIONS.items()}
