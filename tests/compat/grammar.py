"""The forms of every command, for the generated differential test.

One form a line: words in capitals are themselves, `[a | b]` is one of them or nothing, `(a | b)` one of them, `<a>` several times a, and
words in small letters are arguments of that kind (see `generator.py`). Words in capitals inside brackets are options: each is counted.
"""

FORMS = """
GET s
SET new value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT later | PXAT later_ms | KEEPTTL]
MGET <any>
MSET <new value>
MSETNX <fresh value>
SETNX fresh value
SETEX new seconds value
PSETEX new milliseconds value
GETSET s value
GETDEL s
GETEX s [EX seconds | PX milliseconds | EXAT later | PXAT later_ms | PERSIST]
SETRANGE s offset value
GETRANGE s index index
SUBSTR s index index
APPEND s value
STRLEN s
INCR n
DECR n
INCRBY n integer
DECRBY n integer
INCRBYFLOAT n half
LCS s s [LEN | IDX [MINMATCHLEN count] [WITHMATCHLEN]]
LPUSH l <member>
RPUSH l <member>
LPUSHX l <member>
RPUSHX l <member>
LPOP l [count_form]
RPOP l [count_form]
LLEN l
LRANGE l index index
LINDEX l index
LSET l index member
LINSERT l (BEFORE | AFTER) member member
LREM l index member
LTRIM l index index
LPOS l member [RANK rank] [COUNT count] [MAXLEN count]
LMOVE l l (LEFT | RIGHT) (LEFT | RIGHT)
RPOPLPUSH l l
LMPOP keys_l (LEFT | RIGHT) [COUNT positive]
BLPOP <l> timeout
BRPOP <l> timeout
BLMOVE l l (LEFT | RIGHT) (LEFT | RIGHT) timeout
BRPOPLPUSH l l timeout
BLMPOP timeout keys_l (LEFT | RIGHT) [COUNT positive]
SETBIT s bit (0 | 1)
GETBIT s bit
BITCOUNT s [index index [BYTE | BIT]]
BITPOS s (0 | 1) [index [index [BYTE | BIT]]]
BITOP (AND | OR | XOR) s <s>
BITOP NOT s s
BITFIELD s <(GET field_type field_at | SET field_type field_at integer | INCRBY field_type field_at integer | OVERFLOW (WRAP | SAT | FAIL) INCRBY field_type field_at integer)>
BITFIELD_RO s <GET field_type field_at>
DEL <any>
UNLINK <any>
EXISTS <any>
TYPE any
EXPIRE any seconds [NX | XX | GT | LT]
PEXPIRE any milliseconds [NX | XX | GT | LT]
EXPIREAT any at [NX | XX | GT | LT]
PEXPIREAT any at_ms [NX | XX | GT | LT]
TTL any
PTTL any
EXPIRETIME any
PEXPIRETIME any
PERSIST any
SCAN zero [MATCH pattern] [COUNT positive] [TYPE type]
KEYS pattern
DBSIZE
FLUSHALL [ASYNC | SYNC]
FLUSHDB [ASYNC | SYNC]
TOUCH <any>
RANDOMKEY
OBJECT ENCODING any
OBJECT REFCOUNT any
OBJECT IDLETIME any
OBJECT FREQ any
OBJECT HELP
SORT sortable [BY by] [LIMIT small count] [GET get] [ASC | DESC] ALPHA [STORE l]
SORT numbers [BY by] [LIMIT small count] [GET get] [ASC | DESC] [ALPHA] [STORE l]
SORT_RO sortable [BY by] [LIMIT small count] [GET get] [ASC | DESC] ALPHA
SORT_RO numbers [BY by] [LIMIT small count] [GET get] [ASC | DESC] [ALPHA]
COPY any new_any [DB database] [REPLACE]
RENAME any any
RENAMENX any fresh
MOVE any database
SWAPDB database database
DUMP any
RESTORE fresh (0 | milliseconds) payload [IDLETIME count | FREQ small]
RESTORE any (0 | milliseconds) payload REPLACE_
RESTORE any at_ms payload REPLACE_ [ABSTTL]
RESTORE-ASKING fresh (0 | milliseconds) payload
HSET h <field value>
HSETNX h field value
HMSET h <field value>
HGET h field
HMGET h <field>
HGETALL h
HDEL h <field>
HLEN h
HSTRLEN h field
HEXISTS h field
HKEYS h
HVALS h
HINCRBY h number_field integer
HINCRBYFLOAT h number_field half
HRANDFIELD h [random_count [WITHVALUES]]
HSCAN h zero [MATCH pattern] [COUNT positive]
SADD t <member>
SREM t <member>
SISMEMBER t member
SMISMEMBER t <member>
SCARD t
SMEMBERS t
SPOP t [count_form]
SRANDMEMBER t [random_count]
SMOVE t t member
SINTER <t>
SINTERCARD keys_t [LIMIT count]
SINTERSTORE t <t>
SUNION <t>
SUNIONSTORE t <t>
SDIFF <t>
SDIFFSTORE t <t>
SSCAN t zero [MATCH pattern] [COUNT positive]
ZADD z [NX | XX] [CH] <score member>
ZADD z [XX] [GT | LT] [CH] <score member>
ZADD z [NX | XX] [CH] [INCR] score member
ZREM z <member>
ZSCORE z member
ZMSCORE z <member>
ZINCRBY z score member
ZCARD z
ZCOUNT z from_score to_score
ZLEXCOUNT lex from_lex to_lex
ZRANGE z index index [REV] [WITHSCORES]
ZRANGE z from_score to_score BYSCORE_ [LIMIT small count] [WITHSCORES]
ZRANGE z to_score from_score [BYSCORE] [REV] [LIMIT small count]
ZRANGE lex from_lex to_lex [BYLEX] [LIMIT small count]
ZRANGESTORE z z index index [REV]
ZRANGESTORE z z from_score to_score [BYSCORE] [LIMIT small count]
ZRANGESTORE z lex to_lex from_lex [BYLEX] [REV] [LIMIT small count]
ZRANGEBYSCORE z from_score to_score [WITHSCORES] [LIMIT small count]
ZREVRANGEBYSCORE z to_score from_score [WITHSCORES] [LIMIT small count]
ZRANGEBYLEX lex from_lex to_lex [LIMIT small count]
ZREVRANGEBYLEX lex to_lex from_lex [LIMIT small count]
ZREVRANGE z index index [WITHSCORES]
ZRANK z member [WITHSCORE]
ZREVRANK z member [WITHSCORE]
ZREMRANGEBYRANK z index index
ZREMRANGEBYSCORE z from_score to_score
ZREMRANGEBYLEX lex from_lex to_lex
ZPOPMIN z [count]
ZPOPMAX z [count]
ZMPOP keys_z (MIN | MAX) [COUNT positive]
BZPOPMIN <z> timeout
BZPOPMAX <z> timeout
BZMPOP timeout keys_z (MIN | MAX) [COUNT positive]
ZRANDMEMBER z [random_count [WITHSCORES]]
ZSCAN z zero [MATCH pattern] [COUNT positive]
ZUNION keys_zt [WEIGHTS_] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZINTER keys_zt [WEIGHTS_] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZDIFF keys_zt [WITHSCORES]
ZUNIONSTORE z keys_zt [WEIGHTS_] [AGGREGATE (SUM | MIN | MAX)]
ZINTERSTORE z keys_zt [WEIGHTS_] [AGGREGATE (SUM | MIN | MAX)]
ZDIFFSTORE z keys_zt
ZINTERCARD keys_zt [LIMIT count]
PING [value]
ECHO value
HELLO [protocol]
HELLO protocol SETNAME name
SELECT database
RESET
CLIENT GETNAME
CLIENT GETREDIR
CLIENT ID
CLIENT INFO
CLIENT LIST [TYPE (NORMAL | MASTER | REPLICA | PUBSUB)]
CLIENT NO-EVICT (ON | OFF)
CLIENT NO-TOUCH (ON | OFF)
CLIENT SETINFO (LIB-NAME | LIB-VER) name
CLIENT SETNAME name
CLIENT TRACKING OFF_
CLIENT TRACKINGINFO
CLIENT UNPAUSE
CLIENT UNBLOCK count
CLIENT HELP
COMMAND
COMMAND COUNT
COMMAND DOCS [command]
COMMAND GETKEYS command_line
COMMAND GETKEYSANDFLAGS command_line
COMMAND INFO [command]
COMMAND LIST [FILTERBY (PATTERN pattern | ACLCAT category)]
COMMAND HELP
CONFIG GET setting
CONFIG SET settable
CONFIG RESETSTAT
CONFIG HELP
INFO [section]
TIME
LASTSAVE
MULTI
EXEC
DISCARD
WATCH <any>
UNWATCH
MEMORY USAGE any [SAMPLES count]
MEMORY DOCTOR
MEMORY STATS
MEMORY PURGE
MEMORY MALLOC-STATS
MEMORY HELP
SLOWLOG GET [index]
SLOWLOG LEN
SLOWLOG RESET
SLOWLOG HELP
LATENCY LATEST
LATENCY HISTORY name
LATENCY RESET [name]
LATENCY DOCTOR
LATENCY HISTOGRAM [name]
LATENCY HELP
ROLE
LOLWUT
ACL WHOAMI
ACL USERS
ACL LIST
ACL CAT [category]
ACL GETUSER user
ACL LOG
ACL HELP
"""

#: Commands and subcommands that are not generated, and why.
LEFT_OUT = {
    "quit": "ends the connection; in the payloads of test_differential.py",
    "shutdown": "ends the server; in test_single_node.py",
    "auth": "in the sessions of test_differential.py: without a password it only fails",
    "asking": "Redis refuses it where there is no cluster; in test_cluster.py",
    "readonly": "as ASKING",
    "readwrite": "as ASKING",
    "carousel": "Redis has none of it; in the Rust tests",
    "cluster": "Redis refuses it where there is no cluster; in test_cluster.py",
    "client|kill": "ends connections; in the sessions",
    "client|reply": "leaves replies out; in the sessions",
    "client|pause": "stops all clients; in the sessions",
    "config|rewrite": "Redis has no file to write here; in the Rust tests",
    "latency|graph": "answers only where something has taken long",
    "acl|setuser": "there is one user; in the Rust tests",
    "acl|deluser": "as ACL SETUSER",
    "acl|load": "as ACL SETUSER",
    "acl|save": "as ACL SETUSER",
    "client|caching": "has no meaning without tracking, and fails",
    "monitor": "turns the connection into a stream; in the Rust tests",
    "debug": "its subcommands differ by design; in the Rust tests",
    "save": "writes to disk; in the Rust tests",
    "bgsave": "writes to disk; in the Rust tests",
    "bgrewriteaof": "writes to disk; in the Rust tests",
    "sync": "a replica's",
    "psync": "a replica's",
    "replicaof": "Redis would become a replica",
    "slaveof": "Redis would become a replica",
    "failover": "Redis has no replica",
    "wait": "waits for replicas; in test_cluster.py",
    "waitaof": "since 7.2",
}

#: How replies are compared, by command: see `compare.py`. What is not named is compared byte by byte.
MARKS = {
    "unordered": "SMEMBERS SINTER SUNION SDIFF HKEYS HVALS KEYS",
    "pairs": "HGETALL",
    "random": "RANDOMKEY SRANDMEMBER HRANDFIELD ZRANDMEMBER SPOP",
    "walk": "SCAN HSCAN SSCAN ZSCAN",
    "time": "TTL PTTL EXPIRETIME PEXPIRETIME",
    "shape": "ACL DUMP HELLO COMMAND INFO TIME LASTSAVE MEMORY SLOWLOG LATENCY ROLE LOLWUT RESET CONFIG|GET CLIENT|ID CLIENT|INFO CLIENT|LIST CLIENT|HELP"
    " CONFIG|HELP OBJECT|HELP OBJECT|REFCOUNT OBJECT|IDLETIME OBJECT|FREQ CLIENT|TRACKINGINFO",
    "float": "INCRBYFLOAT HINCRBYFLOAT ZADD ZSCORE ZMSCORE ZINCRBY ZRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZREVRANGE ZPOPMIN ZPOPMAX ZMPOP ZUNION"
    " ZINTER ZDIFF BZPOPMIN BZPOPMAX BZMPOP",
}
