//! Settings of Redis that Carousel does not have.
//!
//! Files and test suites written for Redis name them, and clients ask for some. Most have no meaning here: they are
//! accepted, remembered for `CONFIG GET`, and reported once at start. Some would be missed: those are refused unless
//! they say what is the case anyway.

/// A setting of Redis that Carousel does not have.
pub struct ForeignSetting {
    /// Its name, lower case.
    pub name: &'static str,
    /// What `CONFIG GET` shows unless it was given.
    pub shown: &'static str,
    /// What happens to other values.
    pub verdict: Verdict,
}

/// What happens to a value of a [`ForeignSetting`] other than the shown one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Accepted; means nothing here.
    NoMeaning,
    /// Accepted with this warning: what it asks for is not done.
    NotDone(&'static str),
    /// Refused, and why.
    Refused(&'static str),
}

const fn row(name: &'static str, shown: &'static str) -> ForeignSetting {
    ForeignSetting { name, shown, verdict: Verdict::NoMeaning }
}

const fn not_done(name: &'static str, shown: &'static str, why: &'static str) -> ForeignSetting {
    ForeignSetting { name, shown, verdict: Verdict::NotDone(why) }
}

const fn refused(name: &'static str, shown: &'static str, why: &'static str) -> ForeignSetting {
    ForeignSetting { name, shown, verdict: Verdict::Refused(why) }
}

const NO_TLS: &str = "TLS is not supported";
const NO_ACL: &str = "users other than `default` are not supported: use requirepass";
const BY_CLUSTER: &str = "the cluster places replicas itself: use cluster-admin";

/// All of them, sorted by name.
pub const FOREIGN: &[ForeignSetting] = &[
    row("acl-pubsub-default", "resetchannels"),
    refused("aclfile", "", NO_ACL),
    row("acllog-max-len", "128"),
    row("active-defrag-cycle-max", "25"),
    row("active-defrag-cycle-min", "1"),
    row("active-defrag-ignore-bytes", "104857600"),
    row("active-defrag-max-scan-fields", "1000"),
    row("active-defrag-threshold-lower", "10"),
    row("active-defrag-threshold-upper", "100"),
    row("active-expire-effort", "1"),
    row("activedefrag", "no"),
    row("activerehashing", "yes"),
    row("always-show-logo", "no"),
    row("aof-disable-auto-gc", "no"),
    row("aof-load-truncated", "yes"),
    row("aof-rewrite-incremental-fsync", "yes"),
    row("aof-timestamp-enabled", "no"),
    row("aof-use-rdb-preamble", "yes"),
    row("aof_rewrite_cpulist", ""),
    row("appenddirname", "appendonlydir"),
    row("appendfilename", "appendonly.aof"),
    row("bgsave_cpulist", ""),
    row("bind-source-addr", ""),
    row("bio_cpulist", ""),
    row("busy-reply-threshold", "5000"),
    row("cluster-allow-pubsubshard-when-down", "yes"),
    row("cluster-allow-reads-when-down", "no"),
    row("cluster-allow-replica-migration", "yes"),
    row("cluster-announce-bus-port", "0"),
    row("cluster-announce-hostname", ""),
    row("cluster-announce-human-nodename", ""),
    row("cluster-announce-tls-port", "0"),
    row("cluster-config-file", "nodes.conf"),
    not_done("cluster-enabled", "yes", "a node is always able to join a cluster"),
    row("cluster-link-sendbuf-limit", "0"),
    row("cluster-migration-barrier", "1"),
    row("cluster-node-timeout", "15000"),
    not_done("cluster-port", "0", "use peer-port"),
    row("cluster-preferred-endpoint-type", "ip"),
    row("cluster-replica-no-failover", "no"),
    row("cluster-replica-validity-factor", "10"),
    not_done("cluster-require-full-coverage", "no", "slots are served one by one"),
    row("cluster-slave-no-failover", "no"),
    row("cluster-slave-validity-factor", "10"),
    row("crash-log-enabled", "yes"),
    row("crash-memcheck-enabled", "yes"),
    not_done("daemonize", "no", "the process stays in the foreground"),
    row("dbfilename", "dump.rdb"),
    row("disable-thp", "yes"),
    row("dynamic-hz", "yes"),
    row("enable-module-command", "no"),
    row("enable-protected-configs", "no"),
    row("hll-sparse-max-bytes", "3000"),
    row("hz", "10"),
    row("ignore-warnings", ""),
    row("io-threads", "1"),
    row("io-threads-do-reads", "no"),
    row("jemalloc-bg-thread", "yes"),
    row("lazyfree-lazy-eviction", "no"),
    row("lazyfree-lazy-expire", "no"),
    row("lazyfree-lazy-server-del", "no"),
    row("lazyfree-lazy-user-del", "no"),
    row("lazyfree-lazy-user-flush", "no"),
    row("list-compress-depth", "0"),
    refused("loadmodule", "", "modules are not supported"),
    row("locale-collate", ""),
    row("lua-time-limit", "5000"),
    row("masterauth", ""),
    row("masteruser", ""),
    row("maxmemory-clients", "0"),
    not_done("min-replicas-max-lag", "10", "each write waits for its quorum"),
    not_done("min-replicas-to-write", "0", "each write waits for its quorum"),
    not_done("min-slaves-max-lag", "10", "each write waits for its quorum"),
    not_done("min-slaves-to-write", "0", "each write waits for its quorum"),
    row("no-appendfsync-on-rewrite", "no"),
    refused("notify-keyspace-events", "", "keyspace notifications are not supported"),
    row("oom-score-adj", "no"),
    row("oom-score-adj-values", "0 200 800"),
    not_done("pidfile", "", "no file is written"),
    row("proc-title-template", "{title} {listen-addr} {server-mode}"),
    row("propagation-error-behavior", "ignore"),
    row("rdb-del-sync-files", "no"),
    row("rdb-save-incremental-fsync", "yes"),
    row("rdbchecksum", "yes"),
    row("rdbcompression", "yes"),
    refused("rename-command", "", "commands cannot be renamed"),
    row("repl-backlog-size", "1048576"),
    row("repl-backlog-ttl", "3600"),
    row("repl-disable-tcp-nodelay", "no"),
    row("repl-diskless-load", "disabled"),
    row("repl-diskless-sync", "yes"),
    row("repl-diskless-sync-delay", "5"),
    row("repl-diskless-sync-max-replicas", "0"),
    row("repl-ping-replica-period", "10"),
    row("repl-ping-slave-period", "10"),
    row("repl-timeout", "60"),
    row("replica-announce-ip", ""),
    row("replica-announce-port", "0"),
    row("replica-announced", "yes"),
    row("replica-ignore-disk-write-errors", "no"),
    row("replica-ignore-maxmemory", "yes"),
    row("replica-lazy-flush", "no"),
    row("replica-priority", "100"),
    row("replica-read-only", "yes"),
    row("replica-serve-stale-data", "yes"),
    refused("replicaof", "", BY_CLUSTER),
    row("sanitize-dump-payload", "no"),
    row("server_cpulist", ""),
    row("set-proc-title", "yes"),
    row("shutdown-on-sigint", "default"),
    row("shutdown-on-sigterm", "default"),
    row("shutdown-timeout", "10"),
    row("slave-announce-ip", ""),
    row("slave-announce-port", "0"),
    row("slave-ignore-maxmemory", "yes"),
    row("slave-lazy-flush", "no"),
    row("slave-priority", "100"),
    row("slave-read-only", "yes"),
    row("slave-serve-stale-data", "yes"),
    refused("slaveof", "", BY_CLUSTER),
    row("socket-mark-id", "0"),
    row("stop-writes-on-bgsave-error", "yes"),
    row("stream-node-max-bytes", "4096"),
    row("stream-node-max-entries", "100"),
    row("supervised", "no"),
    not_done("syslog-enabled", "no", "log lines go to logfile or standard output"),
    row("syslog-facility", "local0"),
    row("syslog-ident", "redis"),
    row("tls-auth-clients", "yes"),
    refused("tls-ca-cert-dir", "", NO_TLS),
    refused("tls-ca-cert-file", "", NO_TLS),
    refused("tls-cert-file", "", NO_TLS),
    row("tls-ciphers", ""),
    row("tls-ciphersuites", ""),
    refused("tls-client-cert-file", "", NO_TLS),
    refused("tls-client-key-file", "", NO_TLS),
    refused("tls-client-key-file-pass", "", NO_TLS),
    refused("tls-cluster", "no", NO_TLS),
    refused("tls-dh-params-file", "", NO_TLS),
    refused("tls-key-file", "", NO_TLS),
    refused("tls-key-file-pass", "", NO_TLS),
    refused("tls-port", "0", NO_TLS),
    row("tls-prefer-server-ciphers", "no"),
    row("tls-protocols", ""),
    refused("tls-replication", "no", NO_TLS),
    row("tls-session-cache-size", "20480"),
    row("tls-session-cache-timeout", "300"),
    row("tls-session-caching", "yes"),
    row("tracking-table-max-keys", "1000000"),
    refused("user", "", NO_ACL),
];

/// The row of that name, in any case.
pub fn find(name: &str) -> Option<&'static ForeignSetting> {
    FOREIGN.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

impl ForeignSetting {
    /// May it have this value? The error says why not.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.verdict {
            Verdict::Refused(why) if value != self.shown => Err(why.into()),
            Verdict::Refused(_) | Verdict::NoMeaning | Verdict::NotDone(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_settings_are_sorted_and_none_is_ours() {
        assert!(FOREIGN.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(FOREIGN.iter().all(|setting| super::super::table::find(setting.name).is_none()));
    }

    #[test]
    fn what_would_be_missed_is_refused_unless_it_is_off() {
        assert_eq!(find("TLS-PORT").unwrap().check("0"), Ok(()));
        assert_eq!(find("tls-port").unwrap().check("6380"), Err(NO_TLS.into()));
        assert_eq!(find("hz").unwrap().check("900"), Ok(()));
    }
}
