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
        LCS a
        SETBIT a 1
        SETBIT a 1 1 1
        GETBIT a
        GETBIT a 1 1
        BITCOUNT
        BITPOS a
        BITOP AND a
        BITFIELD
        BITFIELD_RO
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
    "bits": r"""
        GETBIT none 0
        SETBIT k 7 1
        GET k
        SETBIT k 7 0
        SETBIT k 0 1
        SETBIT k 17 1
        GET k
        GETBIT k 0
        GETBIT k 17
        GETBIT k 1000
        GETBIT k 4294967295
        GETBIT k 4294967296
        GETBIT k -1
        GETBIT k #1
        GETBIT k ""
        SETBIT k 4294967296 1
        SETBIT k 9223372036854775807 1
        SETBIT k x 2
        SETBIT k 0 2
        SETBIT k 0 -1
        SETBIT k 0 01
        SETBIT zero 0 0
        GET zero
        SETBIT zero 20 0
        STRLEN zero
        SET t vv EX 100
        SETBIT t 15 1
        TTL t
        SET n 12
        SETBIT n 6 1
        GET n
        INCR n
        BITCOUNT none
        BITCOUNT none 0
        BITCOUNT none a b c d
        SET k foobar
        BITCOUNT k
        BITCOUNT k 0 0
        BITCOUNT k 1 1 BYTE
        BITCOUNT k 5 30 bit
        BITCOUNT k 7 9 BIT
        BITCOUNT k 0 -5
        BITCOUNT k -2 -1
        BITCOUNT k -1 -2
        BITCOUNT k -1 -2 nosuch
        BITCOUNT k 0 1 nosuch
        BITCOUNT k 0 -100
        BITCOUNT k -200 -100
        BITCOUNT k -100 -200
        BITCOUNT k 100 200
        BITCOUNT k -9223372036854775808 9223372036854775807 BIT
        BITCOUNT k 0
        BITCOUNT k 0 1 BIT x
        BITCOUNT k x 1
        BITCOUNT k 0 1.5
        SET n 12345
        BITCOUNT n
        BITPOS n 1
        SET empty ""
        BITCOUNT empty
        BITCOUNT empty 0 -1 BIT
        BITPOS empty 0
        BITPOS empty 1
        BITPOS empty 0 0
        BITPOS none 0
        BITPOS none 1
        BITPOS none 0 5 9
        BITPOS none 1 a b c d e
        BITPOS none 2
        BITPOS none x
        SET ones "\xff\xff\xff"
        BITPOS ones 0
        BITPOS ones 0 1
        BITPOS ones 0 -1
        BITPOS ones 0 3
        BITPOS ones 0 0 -1
        BITPOS ones 0 0 -1 BIT
        BITPOS ones 0 0 100
        BITPOS ones 1 2
        SET zeros "\x00\x00\x00"
        BITPOS zeros 1
        BITPOS zeros 1 0 -1
        BITPOS zeros 0 2
        SET k "\xff\xf0\x00\x0f"
        BITPOS k 0
        BITPOS k 1 2
        BITPOS k 1 2 2
        BITPOS k 0 3
        BITPOS k 1 12 27 BIT
        BITPOS k 1 12 28 BIT
        BITPOS k 0 3 11 bit
        BITPOS k 0 3 12 bit
        BITPOS k 1 5 5 BIT
        BITPOS k 1 -1 -100
        BITPOS k 1 -100 -200
        BITPOS k 1 0 x nosuch
        BITPOS k 1 0 x BIT
        BITPOS k 1 x 0 nosuch
        BITPOS k 1 0 1 BIT x
    """,
    "operations on bits": r"""
        SET {t}a abcdef EX 100
        SET {t}b ab
        BITOP AND {t}d {t}a {t}b
        GET {t}d
        BITOP or {t}d {t}a {t}b
        GET {t}d
        BITOP XOR {t}d {t}a {t}b
        GET {t}d
        BITOP XOR {t}d {t}b {t}b {t}a
        GET {t}d
        BITOP NOT {t}d {t}b
        GET {t}d
        BITOP OR {t}d {t}none {t}a
        GET {t}d
        BITOP AND {t}d {t}a {t}none
        GET {t}d
        SET {t}d x EX 100
        BITOP OR {t}d {t}a
        TTL {t}d
        TTL {t}a
        BITOP OR {t}a {t}a {t}b
        TTL {t}a
        BITOP AND {t}d {t}none {t}empty
        EXISTS {t}d
        BITOP NOT {t}d {t}none
        BITOP NOT {t}d {t}a {t}b
        BITOP NAND {t}d {t}a {t}b
        SET {t}n 12
        BITOP NOT {t}d {t}n
        GET {t}d
        SET {t}long 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-
        BITOP XOR {t}d {t}long {t}a {t}n
        GET {t}d
        BITOP NOT {t}d {t}long
        GET {t}d
        COMMAND GETKEYS BITOP AND {t}d {t}a {t}b
    """,
    "bit fields": r"""
        BITFIELD k
        BITFIELD k OVERFLOW SAT
        BITFIELD k GET u8 0 GET i64 100
        EXISTS k
        BITFIELD k SET u8 0 97 get u8 0 incrby u8 0 1
        GET k
        BITFIELD k SET u8 #2 99 GET u8 #0 GET u8 #1 GET u8 #2
        BITFIELD k SET i13 5 -1 GET i13 5 GET u13 5
        GET k
        BITFIELD k GET i64 16 GET u63 23
        BITFIELD k GET u64 0
        BITFIELD k GET i65 0
        BITFIELD k GET u0 0
        BITFIELD k GET i 0
        BITFIELD k GET "" 0
        BITFIELD k GET I8 0
        BITFIELD k GET i08 0
        BITFIELD k SET u8 0 1 GET
        BITFIELD k GET u8
        BITFIELD k SET u8 0
        BITFIELD k INCRBY u8 0
        BITFIELD k OVERFLOW
        BITFIELD k DECRBY u8 0 1
        BITFIELD k OVERFLOW NONE SET u8 0 1
        BITFIELD k SET u8 0 x
        BITFIELD k SET u8 0 9223372036854775808
        BITFIELD k SET u8 -1 1
        BITFIELD k SET u8 # 1
        BITFIELD k SET u8 #-1 1
        BITFIELD k SET u8 ##1 1
        BITFIELD k SET u8 4294967296 1
        BITFIELD k SET u8 #536870912 1
        BITFIELD k GET u8 4294967295
        STRLEN k
        BITFIELD k SET u8 0 255
        BITFIELD k INCRBY u8 0 1
        BITFIELD k INCRBY u8 0 -1
        BITFIELD k OVERFLOW SAT INCRBY u8 0 10 INCRBY u8 0 -256 OVERFLOW WRAP INCRBY u8 0 -2
        BITFIELD k OVERFLOW FAIL INCRBY u8 0 2 GET u8 0 INCRBY u8 0 1
        BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0
        BITFIELD k SET u8 0 -2 GET u8 0
        BITFIELD k OVERFLOW fail SET u8 0 -1 SET u8 0 256 GET u8 0
        BITFIELD k OVERFLOW SAT SET i8 0 1000 GET i8 0 SET i8 0 -1000 GET i8 0
        BITFIELD k INCRBY i8 0 -1 INCRBY i8 0 1
        BITFIELD k SET i64 0 9223372036854775807
        BITFIELD k OVERFLOW FAIL INCRBY i64 0 1
        BITFIELD k OVERFLOW SAT INCRBY i64 0 1
        BITFIELD k INCRBY i64 0 1
        BITFIELD k INCRBY i64 0 -9223372036854775808
        BITFIELD k OVERFLOW SAT INCRBY u63 1 9223372036854775807 INCRBY u63 1 1
        BITFIELD k OVERFLOW SAT INCRBY u63 1 -9223372036854775808
        GET k
        BITFIELD new OVERFLOW FAIL INCRBY u2 100 100
        STRLEN new
        BITFIELD new SET u8 100 0
        STRLEN new
        SET t v EX 100
        BITFIELD t SET u8 32 1
        TTL t
        GET t
        BITFIELD_RO t GET u8 0 GET i5 #1
        BITFIELD_RO t OVERFLOW FAIL
        BITFIELD_RO t SET u8 0 1
        BITFIELD_RO t SET u8 0 x
        BITFIELD_RO none GET u8 0
        BITFIELD_RO none
    """,
    "longest common subsequence": r"""
        MSET {t}a ohmytext {t}b mynewtext
        LCS {t}a {t}b
        LCS {t}a {t}b LEN
        LCS {t}a {t}b IDX
        LCS {t}b {t}a IDX
        LCS {t}a {t}b idx minmatchlen 4
        LCS {t}a {t}b IDX MINMATCHLEN 4 WITHMATCHLEN
        LCS {t}a {t}b WITHMATCHLEN IDX MINMATCHLEN 0
        LCS {t}a {t}b IDX MINMATCHLEN -5
        LCS {t}a {t}b IDX MINMATCHLEN 9223372036854775807
        LCS {t}a {t}b MINMATCHLEN 5 WITHMATCHLEN
        LCS {t}a {t}b LEN LEN
        LCS {t}a {t}a IDX
        LCS {t}a {t}none
        LCS {t}none {t}a LEN
        LCS {t}none {t}none IDX
        LCS {t}a {t}b LEN IDX
        LCS {t}a {t}b MINMATCHLEN
        LCS {t}a {t}b MINMATCHLEN x
        LCS {t}a {t}b WHAT
        MSET {t}a abcbdabxyzabcbdabxyzabcbdabxyzabcbdabxyzabcbdabxyzabcbdabxyzabcbdabxyz {t}b bdcabazyxbdcabazyxbdcabazyxbdcabazyxbdcabazyxbdcabazyxbdcabazyxbdcabazyx
        LCS {t}a {t}b
        LCS {t}a {t}b IDX WITHMATCHLEN
        LCS {t}b {t}a IDX WITHMATCHLEN
        SETRANGE {t}a 20000 x
        LCS {t}a {t}a
        COMMAND GETKEYS LCS {t}a {t}b LEN
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
