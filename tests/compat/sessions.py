"""What the differential test asks: one request a line, in sessions that each start on an empty server.

Arguments are quoted as in a shell; `\\xHH` and `\\n` inside are bytes. Marks at the start of a line say how far the replies may
differ: `~` an integer may be off by a second's worth of milliseconds, `{}` the order of an array's elements means nothing, `?`
only the type of the reply counts.

The reference may be Redis 7.0, Carousel answers as 7.2: where the two differ (`COMMAND GETKEYS` wants one argument less in 7.2, ZRANK
has WITHSCORE, doubles have their shortest text) nothing is asked.
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
    if "{}" in marks and reply[:1] in b"*~%":
        head, *elements = reply.split(b"\r\n$")
        return head, sorted(element.removesuffix(b"\r\n") for element in elements)
    if "~" in marks and reply[:1] == b":" and int(reply[1:]) > SLACK_MS:
        return b":", round(int(reply[1:]) / SLACK_MS / 10)
    return reply


#: A member too long for a small sorted set: one that had it stays a large one.
LONG_MEMBER = "m" * 65

#: Asked of a small sorted set and of a large one.
SORTED_SET_RANGES = rf"""
    ZADD z 1 a 2 b 2 c 2.5 d 3 e inf f -inf g 0 h -1.5 i
    ZREM z {LONG_MEMBER}
    ZCARD z
    ZRANGE z 0 -1
    ZRANGE z 0 -1 WITHSCORES
    ZRANGE z 0 -1 REV WITHSCORES
    ZRANGE z 1 3
    ZRANGE z -3 -2 withscores
    ZRANGE z 3 1
    ZRANGE z 100 200
    ZRANGE z -100 1
    ZRANGE z -100 -50
    ZRANGE z 0 9223372036854775807
    ZRANGE z -9223372036854775808 0 REV
    ZRANGE z a 1
    ZRANGE z 0 1.5
    ZRANGE z 0 -1 NOSUCH
    ZRANGE z 0 -1 WITHSCORES WITHSCORES
    ZRANGE z 0 -1 REV REV
    ZRANGE z 0 -1 LIMIT 0 1
    ZRANGE z 0 -1 LIMIT 3 -1
    ZRANGE z 0 -1 LIMIT 0
    ZRANGE z 0 -1 BYLEX WITHSCORES
    ZRANGE z 0 -1 BYSCORE BYLEX
    ZRANGE z 0 -1 BYLEX
    ZRANGE z -inf +inf BYSCORE
    ZRANGE z +inf -inf BYSCORE REV WITHSCORES
    ZRANGE z 1 2 BYSCORE
    ZRANGE z (1 (3 BYSCORE
    ZRANGE z (3 (1 REV BYSCORE
    ZRANGE z 1 3 BYSCORE REV
    ZRANGE z -inf inf BYSCORE LIMIT 2 3
    ZRANGE z -inf inf BYSCORE LIMIT 2 -1
    ZRANGE z -inf inf BYSCORE LIMIT -1 3
    ZRANGE z -inf inf BYSCORE LIMIT 0 0
    ZRANGE z -inf inf BYSCORE LIMIT 7 100 WITHSCORES
    ZRANGE z -inf inf BYSCORE LIMIT 100 100
    ZRANGE z -inf inf BYSCORE LIMIT a 1
    ZRANGE z -inf inf BYSCORE LIMIT 0 b
    ZRANGE z inf -inf BYSCORE REV LIMIT 1 2 WITHSCORES
    ZRANGE none 0 -1
    ZRANGE none a b
    ZREVRANGE z 0 -1
    ZREVRANGE z 1 2 WITHSCORES
    ZREVRANGE z 0 -1 REV
    ZREVRANGE z 0 -1 BYSCORE
    ZREVRANGE z 0 -1 LIMIT 0 1
    ZREVRANGE none 0 -1 WITHSCORES
    ZRANGEBYSCORE z -inf inf
    ZRANGEBYSCORE z (2 3 WITHSCORES LIMIT 0 1
    ZRANGEBYSCORE z "" 1
    ZRANGEBYSCORE z " 1" 2
    ZRANGEBYSCORE z "1 " 2
    ZRANGEBYSCORE z ( 2
    ZRANGEBYSCORE z ((1 2
    ZRANGEBYSCORE z nan 1
    ZRANGEBYSCORE z 1 nan
    ZRANGEBYSCORE z 0x1 0x3
    ZRANGEBYSCORE z 1e400 1e500
    ZRANGEBYSCORE z (-inf (inf
    ZRANGEBYSCORE z 5 1
    ZRANGEBYSCORE z (2 2
    ZRANGEBYSCORE z (2 (2
    ZRANGEBYSCORE z 1 2 REV
    ZRANGEBYSCORE z 1 2 BYSCORE
    ZRANGEBYSCORE z a b
    ZRANGEBYSCORE z 1 2 LIMIT
    ZREVRANGEBYSCORE z inf -inf
    ZREVRANGEBYSCORE z 3 (1 WITHSCORES
    ZREVRANGEBYSCORE z 1 3
    ZREVRANGEBYSCORE z inf -inf LIMIT 8 5
    ZREVRANGEBYSCORE z inf -inf LIMIT 9 5
    ZCOUNT z -inf inf
    ZCOUNT z (1 3
    ZCOUNT z 1 (3
    ZCOUNT z 2 2
    ZCOUNT z (2 2
    ZCOUNT z 3 1
    ZCOUNT z a 1
    ZCOUNT z 1 [2
    ZCOUNT none 1 2
    ZCOUNT none a 2
    ZRANK z a
    ZRANK z g
    ZRANK z f
    ZRANK z none
    ZRANK none a
    ZREVRANK z a
    ZREVRANK z f
    ZREVRANK z none
    ZREMRANGEBYRANK z 0 0
    ZREMRANGEBYRANK z -1 -1
    ZREMRANGEBYRANK z 5 100
    ZREMRANGEBYRANK z 3 2
    ZREMRANGEBYRANK z a 2
    ZREMRANGEBYSCORE z (2 2.5
    ZREMRANGEBYSCORE z a 2
    ZREMRANGEBYSCORE z 100 200
    ZRANGE z 0 -1 WITHSCORES
    ZADD z 7 a 7 aa 7 ab 7 b 7 ba 7 c 7 \x00 7 \xff 7 ""
    ZREMRANGEBYSCORE z -inf (7
    ZRANGE z - + BYLEX
    ZRANGE z + - BYLEX REV
    ZRANGE z - + BYLEX REV
    ZRANGE z [aa (b BYLEX
    ZRANGE z (aa [b BYLEX LIMIT 1 5
    ZRANGE z [b [aa BYLEX REV LIMIT 0 2
    ZRANGE z aa b BYLEX
    ZRANGE z [a +b BYLEX
    ZRANGE z -a [b BYLEX
    ZRANGE z "" [b BYLEX
    ZRANGEBYLEX z - +
    ZRANGEBYLEX z [a [a
    ZRANGEBYLEX z (a [a
    ZRANGEBYLEX z [b [a
    ZRANGEBYLEX z + -
    ZRANGEBYLEX z + +
    ZRANGEBYLEX z - -
    ZRANGEBYLEX z [ (aa
    ZRANGEBYLEX z ( [\xff
    ZRANGEBYLEX z - + LIMIT 2 2
    ZRANGEBYLEX z - + LIMIT -1 2
    ZRANGEBYLEX z - + WITHSCORES
    ZRANGEBYLEX z a b
    ZRANGEBYLEX none - +
    ZREVRANGEBYLEX z + -
    ZREVRANGEBYLEX z [b (a
    ZREVRANGEBYLEX z (a [b
    ZREVRANGEBYLEX z + - LIMIT 1 3
    ZLEXCOUNT z - +
    ZLEXCOUNT z [a (b
    ZLEXCOUNT z [b [a
    ZLEXCOUNT z [zz +
    ZLEXCOUNT z 1 2
    ZLEXCOUNT none - +
    ZREMRANGEBYLEX z [aa (b
    ZREMRANGEBYLEX z a b
    ZREMRANGEBYLEX z [x [w
    ZRANGE z 0 -1
    ZREMRANGEBYLEX z - +
    EXISTS z
    ZREMRANGEBYLEX z - +
    ZREMRANGEBYRANK z 0 -1
    ZREMRANGEBYSCORE z -inf inf
"""

SESSIONS = {
    "encodings": r"""
        CONFIG SET hash-max-listpack-entries 3
        CONFIG GET hash-max-listpack-entries
        CONFIG GET hash-max-ziplist-entries
        HSET h a 1 b 2 c 3
        OBJECT ENCODING h
        HSET h d 4
        OBJECT ENCODING h
        CONFIG SET hash-max-ziplist-entries 512 hash-max-ziplist-value 10
        CONFIG GET hash-max-listpack-value
        HSET h2 a 0123456789
        OBJECT ENCODING h2
        HSET h2 a 01234567890
        OBJECT ENCODING h2
        CONFIG SET hash-max-listpack-value 64 set-max-intset-entries 2 zset-max-listpack-entries 2
        SADD i 1 2
        OBJECT ENCODING i
        SADD i 3
        ZADD z 1 a 2 b
        OBJECT ENCODING z
        ZADD z 3 c
        OBJECT ENCODING z
        ZRANGE z 0 -1 WITHSCORES
        CONFIG SET set-max-intset-entries 512 zset-max-listpack-entries 128
        CONFIG SET zset-max-listpack-value x
        CONFIG SET list-max-listpack-size x
        CONFIG GET list-max-listpack-size
        CONFIG GET list-max-ziplist-size
    """,
    "memory": r"""
        SET k v
        OBJECT REFCOUNT k
        OBJECT REFCOUNT none
        OBJECT FREQ k
        OBJECT FREQ none
        OBJECT IDLETIME none
        OBJECT FREQ
        OBJECT IDLETIME a b
        CONFIG SET maxmemory-policy nosuch
        CONFIG SET maxmemory -1
        CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru
        CONFIG GET maxmemory
        CONFIG GET maxmemory-policy
        CONFIG GET maxmemory-samples
        CONFIG GET maxmemory-eviction-tenacity
        SET k v
        OBJECT IDLETIME k
        OBJECT FREQ k
        CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 10 lfu-decay-time 1
        SET new v
        OBJECT FREQ new
        OBJECT IDLETIME new
        CONFIG GET lfu-log-factor
        CONFIG GET lfu-decay-time
        CONFIG SET maxmemory-policy volatile-ttl maxmemory-samples 0
        CONFIG SET maxmemory-policy noeviction maxmemory 0
        ? MEMORY USAGE k
        ? MEMORY USAGE k SAMPLES 5
        MEMORY USAGE none
        MEMORY USAGE k SAMPLES
        MEMORY USAGE k SAMPLES x
        MEMORY USAGE k SAMPLES -1
        MEMORY USAGE k NOSUCH 1
        MEMORY USAGE
        MEMORY
        MEMORY NOSUCH
        MEMORY PURGE
        MEMORY PURGE x
        ? MEMORY STATS
        ? MEMORY DOCTOR
        ? MEMORY MALLOC-STATS
        ? MEMORY HELP
    """,
    "databases": r"""
        SET k zero
        SET only v EX 100
        SELECT 3
        GET k
        DBSIZE
        KEYS *
        RANDOMKEY
        SET k three
        RPUSH list a b c
        HSET hash f v
        {} KEYS *
        DBSIZE
        MOVE k 0
        MOVE none 0
        MOVE list 3
        MOVE list 16
        MOVE list -1
        MOVE list x
        MOVE list 99999999999
        MOVE list
        MOVE list 5
        EXISTS list
        COPY hash hash
        COPY hash hash DB 3
        COPY hash hash DB 0
        COPY hash hash DB 0
        COPY k k DB 0
        COPY k k DB 0 REPLACE
        COPY k k DB 16
        COPY k k DB x
        COPY k k DB 99999999999
        COPY k k DB
        COPY k other DB 7 REPLACE
        SELECT 0
        GET k
        {} HGETALL hash
        DBSIZE
        MOVE only 5
        SELECT 5
        ~ PTTL only
        LRANGE list 0 -1
        DBSIZE
        RENAME list renamed
        SORT renamed ALPHA STORE sorted
        MGET only k
        SWAPDB 5 0
        {} KEYS *
        SWAPDB 5 5
        SWAPDB x 1
        SWAPDB 1 x
        SWAPDB 99999999999 1
        SWAPDB 1 16
        SWAPDB -1 1
        SWAPDB 1
        SWAPDB 5 9
        DBSIZE
        SELECT 9
        DBSIZE
        FLUSHDB
        DBSIZE
        SELECT 0
        {} KEYS *
        FLUSHDB
        SELECT 3
        DBSIZE
        FLUSHALL
        DBSIZE
        SELECT 7
        DBSIZE
        SELECT 99999999999
        SELECT 15
        INCR counter
        RESET
        EXISTS counter
        SELECT 15
        GET counter
    """,
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
        CLIENT PAUSE
        CLIENT PAUSE abc
        CLIENT PAUSE -1
        CLIENT PAUSE 10 maybe
        CLIENT PAUSE 1 2 3
        CLIENT PAUSE 0
        CLIENT PAUSE 0 write
        CLIENT UNPAUSE
        CLIENT UNPAUSE now
        CLIENT UNBLOCK 99999
        CLIENT UNBLOCK 99999 timeout
        CLIENT UNBLOCK 99999 error
        CLIENT UNBLOCK 99999 maybe
        CLIENT UNBLOCK abc
        CLIENT UNBLOCK 1 2 3
        CLIENT CACHING yes
        CLIENT CACHING maybe
        CLIENT REPLY maybe
        CLIENT REPLY on
        SLOWLOG
        SLOWLOG NOSUCH
        SLOWLOG GET abc
        SLOWLOG GET -2
        SLOWLOG GET 1 2
        SLOWLOG LEN 1
        SLOWLOG RESET
        SLOWLOG GET 0
        MONITOR now
        LATENCY
        LATENCY NOSUCH
        LATENCY LATEST
        LATENCY LATEST now
        LATENCY HISTORY command
        LATENCY HISTORY
        LATENCY RESET command
        LATENCY RESET
        LATENCY GRAPH nosuch
        LATENCY HISTOGRAM nosuch
        ROLE now
        WAIT 0 0
        WAIT 0 abc
        WAIT abc 0
        WAIT 0 -1
        WAIT 0
        ACL
        ACL NOSUCH
        ACL WHOAMI
        ACL USERS
        ACL GETUSER nobody
        ACL CAT nosuch
        ? ACL CAT
        ? ACL LIST
        ACL LOG RESET
        ACL LOG
        SHUTDOWN maybe
        SHUTDOWN ABORT
        SHUTDOWN SAVE NOSAVE
        SHUTDOWN ABORT NOW
        ? LOLWUT
        ? LOLWUT VERSION 5
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
    "hashes": r"""
        HSET h a 1 b two
        HSET h a 3 c "" c x
        HSET h a
        HSET h
        HSET h a 1 b
        HMSET h d 4 e
        HMSET h d 4 f 6
        HSETNX h a 9
        HSETNX h g 9
        HSETNX h g
        HGETALL h
        HKEYS h
        HVALS h
        HGETALL none
        HKEYS none
        HVALS none
        HGET h b
        HGET h none
        HGET none b
        HGET h
        HMGET h b none a
        HMGET none a b
        HMGET h
        HLEN h
        HLEN none
        HSTRLEN h b
        HSTRLEN h none
        HSTRLEN none b
        HEXISTS h a
        HEXISTS h none
        HEXISTS none a
        OBJECT ENCODING h
        TYPE h
        HDEL h a a none
        HDEL none a
        HDEL h
        HINCRBY h n 5
        HINCRBY h n -7
        HINCRBY h n x
        HINCRBY h n
        HINCRBY h b 1
        HSET h n 9223372036854775807
        HINCRBY h n 1
        HINCRBY h n -9223372036854775808
        HINCRBYFLOAT h f 10.5
        HINCRBYFLOAT h f 0.1
        HINCRBYFLOAT h f 1e400
        HINCRBYFLOAT h f inf
        HINCRBYFLOAT h f nan
        HINCRBYFLOAT h f x
        HINCRBYFLOAT h b 1
        HINCRBYFLOAT h n 0.5
        HGET h f
        HDEL h f
        OBJECT ENCODING h
        DEL h
        HSET h a 1 n 2 b two
        HSCAN h 0
        HSCAN h 0 MATCH ?
        HSCAN h 0 MATCH n COUNT 1
        HSCAN h 0 COUNT 0
        HSCAN h 0 COUNT x
        HSCAN h 0 WHAT
        HSCAN h 0 MATCH
        HSCAN h x
        HSCAN none 0
        HSCAN none 0 WHAT
        HSCAN h
        HRANDFIELD none
        HRANDFIELD none 3
        HRANDFIELD none -3 WITHVALUES
        HRANDFIELD h 0
        HRANDFIELD h x
        HRANDFIELD h 3 WHAT
        HRANDFIELD h 3 WITHVALUES 1
        HRANDFIELD h -9223372036854775808
        HRANDFIELD h 9223372036854775807 WITHVALUES
        ? HRANDFIELD h
        {} HRANDFIELD h 100
        {} HRANDFIELD h 100 WITHVALUES
        DEL h
        HSET one f v
        HRANDFIELD one
        HRANDFIELD one -3
        HRANDFIELD one -2 WITHVALUES
        HRANDFIELD one 5 WITHVALUES
        HSET long f 0123456789012345678901234567890123456789012345678901234567890123
        OBJECT ENCODING long
        HSET long f 01234567890123456789012345678901234567890123456789012345678901234
        OBJECT ENCODING long
        HSET long a 1 b 2 c 3
        {} HGETALL long
        {} HKEYS long
        {} HVALS long
        HDEL long f
        OBJECT ENCODING long
        HDEL long a b c
        EXISTS long
        SET text v
        HSET text a 1
        HSETNX text a 1
        HGET text a
        HMGET text a
        HGETALL text
        HDEL text a
        HLEN text
        HSTRLEN text a
        HEXISTS text a
        HINCRBY text a 1
        HINCRBYFLOAT text a 1
        HRANDFIELD text
        HRANDFIELD text 2
        HSCAN text 0
    """,
    "sets": r"""
        SADD s 3 1 2 1
        SADD s 3 1
        SADD s
        OBJECT ENCODING s
        SMEMBERS s
        SADD s 100000 -5 10000000000
        SMEMBERS s
        SISMEMBER s 1
        SISMEMBER s 01
        SISMEMBER s x
        SISMEMBER none x
        SISMEMBER s
        SMISMEMBER s 1 x 2
        SMISMEMBER none x
        SMISMEMBER s
        SCARD s
        SCARD none
        SREM s 1 1 x
        SREM s
        SREM none x
        SADD s x y
        {} SMEMBERS s
        TYPE s
        SREM s 2 3 100000 -5 10000000000 x y
        EXISTS s
        SADD {s}a 1 2 3 4
        SADD {s}b 3 4 5
        SADD {s}c 4 x
        SET {s}text v
        {} SINTER {s}a {s}b
        {} SINTER {s}a {s}b {s}c
        SINTER {s}a {s}none
        SINTER {s}none {s}a
        SINTER {s}a {s}text
        SINTER
        {} SUNION {s}b {s}c
        SUNION {s}none
        SUNION {s}a {s}text
        {} SDIFF {s}a {s}b {s}none
        SDIFF {s}none {s}a
        SDIFF {s}a {s}a
        SDIFF {s}text {s}a
        SINTERCARD 2 {s}a {s}b
        SINTERCARD 2 {s}a {s}b LIMIT 1
        SINTERCARD 2 {s}a {s}b LIMIT 0
        SINTERCARD 2 {s}a {s}b limit 9
        SINTERCARD 0 {s}a
        SINTERCARD -1 {s}a
        SINTERCARD x {s}a
        SINTERCARD 3 {s}a {s}b
        SINTERCARD 1 {s}a LIMIT -1
        SINTERCARD 1 {s}a LIMIT x
        SINTERCARD 1 {s}a LIMIT
        SINTERCARD 1 {s}a {s}b
        SINTERCARD 2 {s}a {s}text
        SINTERSTORE {s}to {s}a {s}b
        {} SMEMBERS {s}to
        EXPIRE {s}to 100
        SUNIONSTORE {s}to {s}to {s}c
        TTL {s}to
        {} SMEMBERS {s}to
        SDIFFSTORE {s}to {s}none
        EXISTS {s}to
        SDIFFSTORE {s}to {s}a {s}c
        {} SMEMBERS {s}to
        SINTERSTORE {s}to {s}a {s}text
        SCARD {s}to
        SUNIONSTORE {s}text {s}a
        TYPE {s}text
        SUNIONSTORE {s}a
        SMOVE {s}a {s}b 1
        SMOVE {s}a {s}b 9
        SMOVE {s}a {s}a 2
        SMOVE {s}a {s}new 2
        {} SMEMBERS {s}new
        SMOVE {s}none {s}b 1
        SMOVE {s}a {s}b
        SET {s}string v
        SMOVE {s}a {s}string 3
        SMOVE {s}string {s}a 3
        SMOVE {s}none {s}string 3
        SSCAN {s}b 0 COUNT 100
        SSCAN {s}b 0 MATCH ? COUNT 100
        SSCAN {s}b 0 COUNT 0
        SSCAN {s}b x
        SSCAN none 0
        SSCAN {s}string 0
        SPOP none
        SPOP none 3
        SPOP {s}b 0
        SPOP {s}b -1
        SPOP {s}b x
        SPOP {s}b 1 2
        SPOP {s}string
        {} SPOP {s}b 100
        EXISTS {s}b
        SADD one m
        SRANDMEMBER one
        SRANDMEMBER one -3
        SRANDMEMBER one 3
        SRANDMEMBER one 0
        SRANDMEMBER one x
        SRANDMEMBER one 1 2
        SRANDMEMBER one -9223372036854775808
        SRANDMEMBER none
        SRANDMEMBER none 3
        SRANDMEMBER {s}string
        SPOP one
        EXISTS one
        SADD {s}string x
        SREM {s}string x
        SCARD {s}string
        SISMEMBER {s}string x
        SMISMEMBER {s}string x
        SMEMBERS {s}string
    """,
    "ranges of small sorted sets": SORTED_SET_RANGES,
    "ranges of large sorted sets": f"ZADD z 5 {LONG_MEMBER}" + SORTED_SET_RANGES,
    "sorted sets": r"""
        ZADD z
        ZADD z 1
        ZADD z 1 a 2
        ZADD z NX
        ZADD z NX XX
        ZADD z NX XX 1 a
        ZADD z NX GT 1 a
        ZADD z NX LT 1 a
        ZADD z GT LT 1 a
        ZADD z NX GT LT 1 a
        ZADD z INCR 1 a 2 b
        ZADD z INCR
        ZADD z nan a
        ZADD z abc a
        ZADD z "" a
        ZADD z " 1" a
        ZADD z "1 " a
        ZADD z 1e400 a
        ZADD z 1e-400 a
        ZADD z 1 a x b
        EXISTS z
        ZADD z 1 a 2 b
        ZADD z 1 a 2 b 3 c
        ZADD z CH 1 a 5 b 4 d
        ZADD z ch nx 9 a 1 n
        ZADD z XX 9 x
        ZADD z XX CH 9 a
        ZADD z GT CH 8 a 10 b
        ZADD z LT CH 8 a 11 b
        ZADD z GT 1 fresh1
        ZADD z LT 1 fresh2
        ZADD z XX GT CH 20 a 1 never
        ZADD z 1 t 2 t 3 t
        ZADD z CH 1 u 2 u 2 u 3 u
        ZADD z CH NX 1 v 2 v
        ZADD z CH GT 5 w 3 w 7 w
        ZADD z INCR 1.5 a
        ZADD z INCR 1.5 fresh3
        ZADD z NX INCR 1 a
        ZADD z XX INCR 1 none
        ZADD z GT INCR -1 a
        ZADD z LT INCR -1 a
        ZADD z INCR 0 a
        ZADD z INCR inf infinite
        ZADD z INCR -inf infinite
        ZSCORE z infinite
        ZADD none XX 1 a
        ZADD none XX INCR 1 a
        EXISTS none
        ZADD z 0x10 hex +2 plus .5 half 5. five -0 negative Infinity long
        ZSCORE z hex
        ZSCORE z half
        ZSCORE z negative
        ZSCORE z long
        ZADD z 0 negative
        ZSCORE z negative
        ZINCRBY z 1 counter
        ZINCRBY z -2.5 counter
        ZINCRBY z inf counter
        ZINCRBY z -inf counter
        ZINCRBY z abc counter
        ZINCRBY z nx counter
        ZINCRBY z nan counter
        ZINCRBY z 1
        ZINCRBY fresh 3 m
        ZSCORE z a
        ZSCORE z none
        ZSCORE none a
        ZSCORE z
        ZMSCORE z a none b
        ZMSCORE none a b
        ZMSCORE z
        ZCARD z
        ZCARD none
        ZCARD
        ZRANGE z 0 -1 WITHSCORES
        OBJECT ENCODING z
        TYPE z
        ZREM z a a none b
        ZREM z a
        ZREM none a
        ZREM z
        ZADD many 1 a 2 b 3 c 4 d 5 e 6 f 7 g
        ZPOPMIN many
        ZPOPMAX many
        ZPOPMIN many 0
        ZPOPMIN many -1
        ZPOPMIN many abc
        ZPOPMIN many 1 2
        ZPOPMIN many 2
        ZPOPMAX many 2
        ZPOPMIN many 100
        EXISTS many
        ZPOPMIN many
        ZPOPMAX many 5
        ZPOPMIN many 0
        ZADD {p}a 1 a 2 b 3 c
        ZADD {p}b 4 d 5 e
        ZMPOP 1 {p}none MIN
        ZMPOP 2 {p}none {p}a MIN
        ZMPOP 3 {p}none {p}a {p}b max COUNT 2
        ZMPOP 2 {p}a {p}b MAX COUNT 10
        ZMPOP 2 {p}a {p}b MIN COUNT 10
        EXISTS {p}a {p}b
        ZMPOP 0 {p}a MIN
        ZMPOP -1 {p}a MIN
        ZMPOP abc {p}a MIN
        ZMPOP 2 {p}a MIN
        ZMPOP 9223372036854775807 {p}a MIN
        ZMPOP 1 {p}a MIDDLE
        ZMPOP 1 {p}a {p}b MIN
        ZMPOP 1 {p}a MIN COUNT
        ZMPOP 1 {p}a MIN COUNT 0
        ZMPOP 1 {p}a MIN COUNT abc
        ZMPOP 1 {p}a MIN COUNT 1 COUNT 2
        ZMPOP 1 {p}a MIN NOSUCH 1
        ZADD one 1.5 only
        ZRANDMEMBER one
        ZRANDMEMBER one 5
        ZRANDMEMBER one -3
        ZRANDMEMBER one 0
        ZRANDMEMBER one 2 WITHSCORES
        ZRANDMEMBER one -2 WITHSCORES
        ZRANDMEMBER one 1 NOSUCH
        ZRANDMEMBER one 1 WITHSCORES extra
        ZRANDMEMBER one abc
        ZRANDMEMBER one 9223372036854775807 WITHSCORES
        ZRANDMEMBER one -9223372036854775808
        ZRANDMEMBER none
        ZRANDMEMBER none 3
        ZRANDMEMBER none -3 WITHSCORES
        ZSCAN one 0
        ZSCAN one 0 MATCH o* COUNT 100
        ZSCAN one 0 MATCH x*
        ZSCAN one abc
        ZSCAN one 0 COUNT 0
        ZSCAN one 0 COUNT
        ZSCAN one 0 NOSUCH 1
        ZSCAN none 0
        ZSCAN one
        SET text v
        SADD set m
        ZADD text 1 a
        ZADD set 1 a
        ZADD text abc a
        ZINCRBY text 1 a
        ZREM text a
        ZSCORE text a
        ZMSCORE text a
        ZCARD text
        ZCOUNT text 1 2
        ZCOUNT text a 2
        ZLEXCOUNT text - +
        ZRANGE text 0 -1
        ZRANGE set 0 -1
        ZRANGESTORE dest text 0 -1
        ZRANK text a
        ZREMRANGEBYRANK text 0 -1
        ZREMRANGEBYSCORE text 0 1
        ZREMRANGEBYLEX text - +
        ZPOPMIN text
        ZPOPMAX text 0
        ZMPOP 2 {text}none text MIN
        ZRANDMEMBER text
        ZRANDMEMBER text 1
        ZSCAN text 0
        GET one
        INCR one
        EXPIRE one 100
        ZADD one 2 another
        TTL one
        ZREM one only another
        TTL one
    """,
    "combined sorted sets": r"""
        ZADD {s}a 1 a 2 b 3 c 0.5 d
        ZADD {s}b 10 b 20 c 30 e
        ZADD {s}c 100 c inf i -inf j
        SADD {s}set b c x
        SADD {s}numbers 1 2 3
        SET {s}text v
        ZUNION 2 {s}a {s}b
        ZUNION 2 {s}a {s}b WITHSCORES
        ZUNION 3 {s}a {s}b {s}c WEIGHTS 1 2 3 WITHSCORES
        ZUNION 3 {s}a {s}b {s}c AGGREGATE MIN WITHSCORES
        ZUNION 3 {s}a {s}b {s}c aggregate max withscores
        ZUNION 2 {s}a {s}b AGGREGATE SUM WEIGHTS -1 0.5 WITHSCORES
        ZUNION 2 {s}a {s}set WITHSCORES
        ZUNION 3 {s}none {s}set {s}numbers WEIGHTS 1 2 4 WITHSCORES
        ZUNION 2 {s}c {s}c WEIGHTS 1 -1 WITHSCORES
        ZUNION 1 {s}c WEIGHTS 0 WITHSCORES
        ZUNION 1 {s}c WEIGHTS -inf WITHSCORES
        ZUNION 2 {s}a {s}a WITHSCORES
        ZUNION 1 {s}none
        ZUNION 2 {s}a {s}text
        ZUNION 0 {s}a
        ZUNION -1 {s}a
        ZUNION abc {s}a
        ZUNION 3 {s}a {s}b
        ZUNION 1 {s}a {s}b
        ZUNION 1 {s}a WEIGHTS
        ZUNION 2 {s}a {s}b WEIGHTS 1
        ZUNION 1 {s}a WEIGHTS abc
        ZUNION 1 {s}a WEIGHTS nan
        ZUNION 1 {s}a AGGREGATE
        ZUNION 1 {s}a AGGREGATE AVG
        ZUNION 1 {s}a NOSUCH
        ZUNION 1 {s}a LIMIT 1
        ZUNION 1
        ZINTER 2 {s}a {s}b
        ZINTER 2 {s}a {s}b WITHSCORES
        ZINTER 3 {s}a {s}b {s}c WITHSCORES
        ZINTER 3 {s}a {s}b {s}c WEIGHTS 2 3 4 AGGREGATE SUM WITHSCORES
        ZINTER 2 {s}a {s}b AGGREGATE MIN WITHSCORES
        ZINTER 2 {s}a {s}b AGGREGATE MAX WITHSCORES
        ZINTER 3 {s}set {s}b {s}a WITHSCORES
        ZINTER 2 {s}c {s}c WEIGHTS 1 -1 WITHSCORES
        ZINTER 2 {s}c {s}c WEIGHTS 1 0 AGGREGATE MIN WITHSCORES
        ZINTER 2 {s}c {s}c WEIGHTS 0 1 AGGREGATE MAX WITHSCORES
        ZINTER 2 {s}a {s}none
        ZINTER 1 {s}set WITHSCORES
        ZINTER 2 {s}none {s}text
        ZINTER 0 {s}a
        ZDIFF 1 {s}a WITHSCORES
        ZDIFF 2 {s}a {s}b WITHSCORES
        ZDIFF 3 {s}a {s}set {s}c
        ZDIFF 2 {s}set {s}a WITHSCORES
        ZDIFF 2 {s}none {s}a
        ZDIFF 2 {s}a {s}none
        ZDIFF 2 {s}a {s}a
        ZDIFF 2 {s}a {s}text
        ZDIFF 1 {s}a WEIGHTS 1
        ZDIFF 1 {s}a AGGREGATE SUM
        ZDIFF 0 {s}a
        ZINTERCARD 2 {s}a {s}b
        ZINTERCARD 2 {s}a {s}b LIMIT 1
        ZINTERCARD 2 {s}a {s}b LIMIT 0
        ZINTERCARD 2 {s}a {s}b LIMIT -1
        ZINTERCARD 2 {s}a {s}b LIMIT abc
        ZINTERCARD 2 {s}a {s}b LIMIT
        ZINTERCARD 2 {s}a {s}none
        ZINTERCARD 1 {s}set
        ZINTERCARD 1 {s}text
        ZINTERCARD 0 {s}a
        ZINTERCARD 1 {s}a WITHSCORES
        ZINTERCARD 1 {s}a WEIGHTS 1
        ZINTERCARD 3 {s}a {s}b
        ZUNIONSTORE {s}d 2 {s}a {s}b WEIGHTS 2 1
        ZRANGE {s}d 0 -1 WITHSCORES
        ZINTERSTORE {s}d 2 {s}a {s}b AGGREGATE MAX
        ZRANGE {s}d 0 -1 WITHSCORES
        ZDIFFSTORE {s}d 2 {s}a {s}b
        ZRANGE {s}d 0 -1 WITHSCORES
        ZDIFFSTORE {s}d 2 {s}a {s}a
        EXISTS {s}d
        ZUNIONSTORE {s}d 1 {s}none
        EXISTS {s}d
        ZUNIONSTORE {s}d 1 {s}a WITHSCORES
        ZUNIONSTORE {s}d 0 {s}a
        ZINTERSTORE {s}d 0 {s}a
        ZDIFFSTORE {s}d 0 {s}a
        ZUNIONSTORE {s}d abc {s}a
        ZUNIONSTORE {s}d 5 {s}a
        ZUNIONSTORE {s}d 1 {s}text
        ZUNIONSTORE {s}d 1
        ZUNIONSTORE {s}text 1 {s}a
        TYPE {s}text
        ZUNIONSTORE {s}a 2 {s}a {s}set
        ZRANGE {s}a 0 -1 WITHSCORES
        EXPIRE {s}a 100
        ZINTERSTORE {s}a 1 {s}a
        TTL {s}a
        ZRANGESTORE {s}d {s}a 0 -1
        ZRANGE {s}d 0 -1 WITHSCORES
        ZRANGESTORE {s}d {s}a 1 2 REV
        ZRANGE {s}d 0 -1 WITHSCORES
        ZRANGESTORE {s}d {s}a (1 inf BYSCORE LIMIT 1 1
        ZRANGE {s}d 0 -1 WITHSCORES
        ZRANGESTORE {s}d {s}a [b + BYLEX
        ZRANGESTORE {s}d {s}a 5 1
        EXISTS {s}d
        ZRANGESTORE {s}set {s}none 0 -1
        EXISTS {s}set
        ZRANGESTORE {s}d {s}a 0 -1 WITHSCORES
        ZRANGESTORE {s}d {s}a 0 -1 LIMIT 0 1
        ZRANGESTORE {s}d {s}a a b
        ZRANGESTORE {s}d {s}a a b BYSCORE
        ZRANGESTORE {s}d {s}a a b BYLEX
        ZRANGESTORE {s}d {s}a 0
        ZRANGESTORE {s}a {s}a 0 0
        ZRANGE {s}a 0 -1
        COMMAND GETKEYS ZUNION 2 a b WEIGHTS 1 2
        COMMAND GETKEYS ZUNIONSTORE d 2 a b
        COMMAND GETKEYS ZRANGESTORE d s 0 -1
        COMMAND GETKEYS ZMPOP 2 a b MIN
        COMMAND GETKEYS ZINTERCARD 1 a
        COMMAND GETKEYS ZADD a 1 m
    """,
    "keys of several types": r"""
        SET {k}text v EX 100
        HSET {k}hash f v
        SADD {k}set 1 2 3
        COPY {k}text {k}copy
        TTL {k}copy
        COPY {k}hash {k}copy
        COPY {k}hash {k}copy REPLACE
        TTL {k}copy
        HGETALL {k}copy
        COPY {k}none {k}copy
        COPY {k}hash {k}hash
        COPY {k}hash {k}copy WHAT
        COPY {k}hash {k}copy DB
        COPY {k}hash {k}copy DB x
        COPY {k}hash
        EXPIRE {k}set 100
        RENAME {k}set {k}copy
        EXISTS {k}set
        SMEMBERS {k}copy
        TTL {k}copy
        RENAME {k}none {k}copy
        RENAME {k}copy {k}copy
        RENAME {k}none {k}none
        RENAME {k}copy
        RENAMENX {k}copy {k}hash
        RENAMENX {k}copy {k}copy
        RENAMENX {k}copy {k}new
        RENAMENX {k}none {k}copy
        TYPE {k}new
        TYPE {k}hash
        TYPE none
        OBJECT ENCODING {k}new
        ? SCAN 0 TYPE hash COUNT 100
        ? SCAN 0 TYPE HASH COUNT 100
        ? SCAN 0 TYPE what COUNT 100
        GET {k}hash
        SET {k}hash v GET
        GETSET {k}hash v
        GETDEL {k}hash
        GETEX {k}hash
        APPEND {k}hash v
        STRLEN {k}hash
        SETRANGE {k}hash 1 v
        GETRANGE {k}hash 0 1
        INCR {k}hash
        INCRBYFLOAT {k}hash 1
        MGET {k}hash {k}text
        SETNX {k}hash v
        MSETNX {k}hash v {k}other v
        GETBIT {k}hash 1
        SETBIT {k}hash 1 1
        BITCOUNT {k}hash
        BITPOS {k}hash 1
        BITOP NOT {k}to {k}hash
        BITFIELD {k}hash GET u8 0
        LCS {k}hash {k}text
        EXPIRE {k}hash 100
        TTL {k}hash
        PERSIST {k}hash
        EXISTS {k}hash {k}new {k}text
        SET {k}hash v
        TYPE {k}hash
        MSET {k}new v
        TYPE {k}new
        DEL {k}hash {k}new {k}text
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
        ? SCAN 0 TYPE
    """,
    "lists": r"""
        LPUSH k a
        LPUSH k b c d
        RPUSH k x "" 1 -5 007
        LRANGE k 0 -1
        LLEN k
        LLEN none
        TYPE k
        LPUSHX k first
        RPUSHX k last again
        LPUSHX none a
        RPUSHX none a b
        EXISTS none
        LRANGE k 0 -1
        LRANGE k 2 4
        LRANGE k -3 -1
        LRANGE k -100 100
        LRANGE k 5 2
        LRANGE k 100 200
        LRANGE k -2 -100
        LRANGE none 0 -1
        LRANGE k -9223372036854775808 9223372036854775807
        LRANGE k 9223372036854775807 -9223372036854775808
        LINDEX k 0
        LINDEX k -1
        LINDEX k 3
        LINDEX k 100
        LINDEX k -100
        LINDEX k -9223372036854775808
        LINDEX none 0
        LINDEX none abc
        LINDEX k abc
        LINDEX k 1.5
        LSET k 0 new
        LSET k -1 "a b"
        LSET k 5 12345678901
        LSET k 100 x
        LSET k -100 x
        LSET k abc x
        LSET none 0 x
        LSET none abc x
        LRANGE k 0 -1
        LINSERT k BEFORE c inserted
        LINSERT k after c inserted2
        LINSERT k BEFORE absent x
        LINSERT k MIDDLE c x
        LINSERT none BEFORE a b
        LINSERT k BEFORE 1 int
        LINSERT k AFTER 12345678901 int
        LRANGE k 0 -1
        LPOP k
        RPOP k
        LPOP k 2
        RPOP k 3
        LPOP k 0
        RPOP k 0
        LPOP k -1
        LPOP k abc
        RPOP k 9223372036854775808
        LPOP none
        RPOP none
        LPOP none 5
        RPOP none 0
        LPOP none -1
        LPOP k 1 2
        RPOP k 1 2
        LRANGE k 0 -1
        RPOP k 1000
        EXISTS k
        RPUSH k a b c d e f g
        LTRIM k 1 -2
        LRANGE k 0 -1
        LTRIM k -3 100
        LRANGE k 0 -1
        LTRIM k 0 0
        LRANGE k 0 -1
        LTRIM k 5 10
        EXISTS k
        LTRIM none 0 1
        LTRIM none a b
        RPUSH k a
        LTRIM k 2 1
        EXISTS k
        RPUSH k a b a c a b a
        EXPIRE k 100
        RPUSH k a
        LREM k 2 a
        LRANGE k 0 -1
        LREM k -2 a
        LRANGE k 0 -1
        LREM k 0 absent
        LREM k 0 b
        LRANGE k 0 -1
        TTL k
        LREM none 1 a
        LREM none x a
        LREM k abc a
        LREM k -9223372036854775807 a
        LREM k 9223372036854775807 c
        EXISTS k
        RPUSH k 1 01 1 -1 1.0
        LREM k 0 1
        LRANGE k 0 -1
        DEL k
        SET s v
        LPUSH s a
        RPUSHX s a
        LPOP s
        LPOP s 0
        LLEN s
        LRANGE s 0 1
        LRANGE s a b
        LINDEX s 0
        LINDEX s abc
        LSET s 0 a
        LINSERT s BEFORE a b
        LINSERT s x a b
        LREM s 0 a
        LTRIM s 0 1
        LPOS s a
        GET s
        RPUSH k a
        GET k
        INCR k
        APPEND k x
        SETRANGE k 0 x
        GETRANGE k 0 1
        STRLEN k
        MGET k s
        SETNX k v
        GETSET k v
        SET k v GET
        GETDEL k
        SET k v
        GET k
    """,
    "places of list elements": r"""
        RPUSH k a b c 1 2 3 c c
        LPOS k c
        LPOS k absent
        LPOS none c
        LPOS k 3
        LPOS k 03
        LPOS k c RANK 2
        LPOS k c RANK -1
        LPOS k c RANK -3
        LPOS k c RANK 4
        LPOS k c RANK 0
        LPOS k c RANK abc
        LPOS k c RANK -9223372036854775807
        LPOS k c COUNT 0
        LPOS k c COUNT 2
        LPOS k c COUNT 1
        LPOS k c COUNT 100
        LPOS k c COUNT 2 RANK -1
        LPOS k c RANK 2 COUNT 0
        LPOS k c COUNT -1
        LPOS k c COUNT abc
        LPOS k absent COUNT 0
        LPOS none c COUNT 0
        LPOS none c COUNT 1 RANK 0
        LPOS k c MAXLEN 2
        LPOS k c MAXLEN 3
        LPOS k c MAXLEN 0
        LPOS k c COUNT 0 MAXLEN 7
        LPOS k c COUNT 0 MAXLEN 1 RANK -1
        LPOS k c MAXLEN -1
        LPOS k c RANK
        LPOS k c COUNT
        LPOS k c NOSUCH
        LPOS k c NOSUCH 1
        LPOS k c rank 2 rank 1
        LPOS k c RANK -1 MAXLEN 1 COUNT 5
    """,
    "elements between lists": r"""
        RPUSH {t}a 1 2 3 4
        LMOVE {t}a {t}b LEFT RIGHT
        LMOVE {t}a {t}b right left
        LRANGE {t}b 0 -1
        LMOVE {t}a {t}a LEFT RIGHT
        LRANGE {t}a 0 -1
        LMOVE {t}a {t}a LEFT LEFT
        LMOVE {t}a {t}a RIGHT RIGHT
        LRANGE {t}a 0 -1
        RPOPLPUSH {t}a {t}b
        RPOPLPUSH {t}a {t}b
        EXISTS {t}a
        LRANGE {t}b 0 -1
        RPOPLPUSH {t}a {t}b
        LMOVE {t}a {t}b LEFT LEFT
        LMOVE {t}a {t}b MIDDLE LEFT
        LMOVE {t}a {t}b LEFT MIDDLE
        RPUSH {t}one x
        EXPIRE {t}one 100
        LMOVE {t}one {t}one LEFT RIGHT
        RPOPLPUSH {t}one {t}one
        TTL {t}one
        SET {t}s v
        LMOVE {t}b {t}s LEFT LEFT
        LMOVE {t}s {t}b LEFT LEFT
        RPOPLPUSH {t}b {t}s
        RPOPLPUSH {t}s {t}b
        LMOVE {t}none {t}s LEFT LEFT
        LRANGE {t}b 0 -1
        EXPIRE {t}b 100
        RPUSH {t}c moved
        LMOVE {t}c {t}b LEFT LEFT
        TTL {t}b
        LMPOP 1 {t}b LEFT
        LMPOP 2 {t}none {t}b RIGHT COUNT 2
        LMPOP 2 {t}none {t}b left count 100
        LMPOP 2 {t}none {t}b LEFT
        LMPOP 1 {t}none RIGHT COUNT 5
        RPUSH {t}b 1 2 3
        LMPOP 0 {t}b LEFT
        LMPOP -1 {t}b LEFT
        LMPOP abc {t}b LEFT
        LMPOP 9223372036854775807 {t}b LEFT
        LMPOP 3 {t}b LEFT
        LMPOP 1 {t}b MIDDLE
        LMPOP 1 {t}b {t}b LEFT
        LMPOP 1 {t}b LEFT COUNT
        LMPOP 1 {t}b LEFT COUNT 0
        LMPOP 1 {t}b LEFT COUNT -1
        LMPOP 1 {t}b LEFT COUNT abc
        LMPOP 1 {t}b LEFT COUNT 0 COUNT 1
        LMPOP 1 {t}b LEFT COUNT 1 COUNT 1
        LMPOP 1 {t}b LEFT NOSUCH 1
        LMPOP 1 {t}b LEFT COUNT 1 NOSUCH
        LMPOP 2 {t}s {t}b LEFT
        LMPOP 2 {t}b {t}s LEFT
        LMPOP 2 {t}b {t}s LEFT COUNT 2
        EXISTS {t}b
        LPUSH
        LPUSH k
        RPUSH k
        LPUSHX k
        RPUSHX k
        LPOP
        RPOP
        LLEN
        LLEN a b
        LRANGE k 0
        LRANGE k 0 1 2
        LRANGE k a 1
        LRANGE k 1 b
        LINDEX k
        LSET k 0
        LINSERT k BEFORE a
        LREM k 0
        LTRIM k 0
        LPOS k
        LMOVE a b LEFT
        RPOPLPUSH a
        LMPOP 1 a
        COMMAND GETKEYS LMPOP 2 a b LEFT
        COMMAND GETKEYS LMOVE a b LEFT LEFT
        COMMAND GETKEYS SORT a BY store GET STORE STORE b
    """,
    "sorting": r"""
        RPUSH {t}l 3 10 1 2.5 -1 2
        SORT {t}l
        SORT {t}l DESC
        SORT {t}l ALPHA
        SORT {t}l alpha desc
        SORT {t}l DESC ASC
        SORT {t}l LIMIT 1 2
        SORT {t}l LIMIT 0 -1
        SORT {t}l LIMIT -5 2
        SORT {t}l LIMIT 4 100
        SORT {t}l LIMIT 6 1
        SORT {t}l LIMIT 100 1
        SORT {t}l LIMIT 0 0
        SORT {t}l LIMIT 1 -5
        SORT {t}l LIMIT 9223372036854775807 9223372036854775807
        SORT {t}l LIMIT 2 1 LIMIT 0 1
        SORT {t}l LIMIT a 1
        SORT {t}l LIMIT 1 b
        SORT {t}l LIMIT 1
        SORT {t}l LIMIT
        SORT {t}l BY
        SORT {t}l GET
        SORT {t}l STORE
        SORT {t}l NOSUCH
        SORT {t}l BY nosort
        SORT {t}l BY nosort DESC
        SORT {t}l BY nosort LIMIT 1 2
        SORT {t}l BY nosort DESC LIMIT 1 2
        SORT {t}l BY nosort LIMIT 10 2
        SORT {t}l BY #
        SORT {t}none
        SORT {t}none BY {t}w_* GET #
        SORT_RO {t}l
        SORT_RO {t}l DESC LIMIT 0 2
        SORT_RO {t}l STORE {t}d
        SORT_RO {t}none
        RPUSH {t}words banana Apple cherry "" apple 10 9
        SORT {t}words
        SORT {t}words ALPHA
        SORT {t}words ALPHA DESC
        SORT {t}words ALPHA STORE {t}d
        LRANGE {t}d 0 -1
        SORT {t}words STORE {t}d
        LRANGE {t}d 0 -1
        EXPIRE {t}d 100
        SORT {t}l STORE {t}d
        TTL {t}d
        LRANGE {t}d 0 -1
        SORT {t}none STORE {t}d
        EXISTS {t}d
        SET {t}d string
        SORT {t}l LIMIT 0 3 STORE {t}d
        LRANGE {t}d 0 -1
        SORT {t}d DESC STORE {t}d
        LRANGE {t}d 0 -1
        SORT {t}l LIMIT 0 0 STORE {t}d
        EXISTS {t}d
        RPUSH {t}n "" " 1" 0x10 1e3 inf -inf 5. .5 +7
        SORT {t}n
        SORT {t}n DESC
        RPUSH {t}bad 1 2 "3 "
        SORT {t}bad
        SORT {t}bad LIMIT 0 1
        SORT {t}bad BY nosort
        SORT {t}bad STORE {t}d
        DEL {t}bad
        RPUSH {t}bad nan
        SORT {t}bad
        DEL {t}bad
        RPUSH {t}bad 1e400
        SORT {t}bad
        DEL {t}bad
        RPUSH {t}bad 1e-400
        SORT {t}bad
        RPUSH {t}ids 1 2 3 4
        MSET {t}w_1 30 {t}w_2 10 {t}w_3 20 {t}o_1 one {t}o_2 two {t}o_4 four
        SORT {t}ids BY {t}w_*
        SORT {t}ids BY {t}w_* DESC
        SORT {t}ids BY {t}w_* LIMIT 1 2
        SORT {t}ids BY {t}w_* GET {t}o_*
        SORT {t}ids BY {t}w_* GET # GET {t}o_* GET {t}w_*
        SORT {t}ids GET {t}none_*
        SORT {t}ids GET constant
        SORT {t}ids GET #
        SORT {t}ids BY nosort GET {t}o_* STORE {t}d
        LRANGE {t}d 0 -1
        SORT {t}ids BY {t}o_* ALPHA
        SORT {t}ids BY {t}o_* ALPHA DESC
        SORT {t}ids BY {t}o_* ALPHA GET # STORE {t}d
        LRANGE {t}d 0 -1
        SORT {t}ids BY {t}o_*
        SORT {t}ids BY {t}ids*
        SORT {t}ids BY {t}w_* BY nosort
        SORT {t}ids BY nosort BY {t}w_*
        SORT {t}ids GET {t}o_*x
        SORT {t}ids GET {t}*
        SORT {t}ids GET {t}o_*->f
        SORT {t}ids GET {t}ids*
        SET {t}s v
        SORT {t}s
        SORT {t}s BY nosort
        SORT {t}s STORE {t}d
        SORT_RO {t}s
        SORT
        SORT_RO
        RPUSH {t}ties b a 1 c 1 1
        SORT {t}ties BY {t}absent_*
        SORT {t}ties BY {t}absent_* DESC
    """,
    "transactions": r"""
        EXEC
        EXEC now
        MULTI
        SET k 0
        EXEC now
        EXEC
        EXISTS k
        DISCARD
        MULTI
        MULTI
        SET k 1
        INCR k
        GET k
        LPUSH k x
        EXEC
        MULTI
        SET k
        NOSUCH
        SET k 2
        EXEC
        GET k
        MULTI
        SET k 3
        DISCARD
        GET k
        MULTI
        EXEC
        WATCH k j
        MULTI
        WATCH k
        UNWATCH
        SET k 4
        EXEC
        WATCH
        WATCH k
        SET k 5
        MULTI
        SET k 6
        EXEC
        GET k
        WATCH k
        SET k 7
        UNWATCH
        MULTI
        SET k 8
        EXEC
        MULTI
        PING
        ECHO hello
        TYPE k
        BLPOP none 0
        BLMOVE none other LEFT RIGHT 0
        BZPOPMIN none 1
        BLMPOP 0 2 none other LEFT
        EXEC
        MULTI
        SELECT 3
        SET k in3
        SELECT 0
        EXEC
        GET k
        MULTI
        RESET
        EXEC
        MULTI
        FLUSHALL
        DBSIZE
        SET a 1
        DBSIZE
        EXEC
    """,
    "blocking": r"""
        RPUSH l a b c
        BLPOP l 0
        BLPOP none l 0
        BRPOP none l 0.1
        BLPOP none 0.01
        BRPOP none 0.01
        BLPOP l -1
        BLPOP l x
        BLPOP l
        RPUSH l a b c
        BLMOVE l m LEFT RIGHT 0
        BLMOVE l m RIGHT LEFT 0
        BLMOVE l m UP LEFT 0
        BLMOVE none m LEFT LEFT 0.01
        LRANGE m 0 -1
        BRPOPLPUSH m n 0
        BRPOPLPUSH none n 0.01
        BLMPOP 0 2 none m LEFT
        BLMPOP 0.01 1 none RIGHT COUNT 3
        BLMPOP 0 0 m LEFT
        BLMPOP 0 1 m UP
        BLMPOP x 1 m LEFT
        SET s text
        BLPOP s 0
        BLPOP none s 0
        BLMOVE n s LEFT LEFT 0
        BZPOPMIN s 0
        ZADD z 1 a 2 b 3 c 4 d
        BZPOPMIN none z 0
        BZPOPMAX z 0
        BZPOPMIN none 0.01
        BZPOPMAX none 0.01
        BZMPOP 0 2 none z MIN COUNT 1
        BZMPOP 0.01 1 none MAX
        BZMPOP 0 1 z UP
        ZCARD z
    """,
}
SESSIONS = {name: [line.strip() for line in text.strip().splitlines()] for name, text in SESSIONS.items()}
