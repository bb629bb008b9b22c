//! What connections and shards ask of the control thread.

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;
use futures::channel::oneshot;

use crate::shard::ReadyChange;

/// A message to the control thread.
pub enum ToControl {
    /// A client's request; the answer is a bulk string, or an error with its code.
    Request {
        /// What is asked.
        request: ControlRequest,
        /// Gets the answer.
        reply: oneshot::Sender<Result<String, String>>,
    },
    /// Changes to propose.
    Changes(Vec<ReadyChange>),
    /// A shard's log failed for good.
    LogFailed,
}

/// A request that only the control thread can answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlRequest {
    /// `CAROUSEL CREATE host:port...`
    Create(Vec<String>),
    /// `CAROUSEL ADDNODE host:port`
    AddNode(String),
    /// `CAROUSEL REBALANCE [DRYRUN]`
    Rebalance {
        /// Only say what would be done.
        dry_run: bool,
    },
    /// `CAROUSEL STATUS`
    Status,
    /// `CAROUSEL PROBE`: a node that is to be joined says who it is.
    Probe,
    /// `CAROUSEL RESERVE milliseconds token`: keep clients out until the node has joined.
    Reserve {
        /// For how long; 0 lets clients in again.
        ms: u64,
        /// Number of the process that lets the node join: only that one can prolong or end it.
        token: u64,
    },
    /// `SAVE`, `BGSAVE`, `BGREWRITEAOF`
    Save(SaveRequest),
    /// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE]`
    Shutdown {
        /// Take a checkpoint first; `None`: if the settings ask for any and there is no log.
        save: Option<bool>,
        /// Stop also where it fails.
        force: bool,
    },
}

/// A request for a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaveRequest {
    /// `SAVE`: answered when there is one.
    Save,
    /// `BGSAVE [SCHEDULE]`
    BgSave {
        /// After the one that is being taken, if there is one.
        schedule: bool,
    },
    /// `BGREWRITEAOF`
    BgRewriteAof,
}

impl ControlRequest {
    /// The answer is a status, not a bulk string.
    pub fn answers_status(&self) -> bool {
        matches!(self, Self::Save(_))
    }

    /// What a request of a client means.
    ///
    /// # Errors
    /// The text of an error reply.
    pub fn parse(spec: &CommandSpec, argv: Argv<'_>) -> Result<Self, String> {
        match spec.id {
            CommandId::Shutdown => return parse_shutdown(argv),
            CommandId::Save => return Ok(Self::Save(SaveRequest::Save)),
            CommandId::BgRewriteAof => return Ok(Self::Save(SaveRequest::BgRewriteAof)),
            CommandId::BgSave => {
                return match argv.len() {
                    1 => Ok(Self::Save(SaveRequest::BgSave { schedule: false })),
                    2 if is(argv.get(1), "SCHEDULE") => {
                        Ok(Self::Save(SaveRequest::BgSave { schedule: true }))
                    }
                    _ => Err("ERR syntax error".into()),
                };
            }
            _ => {}
        }
        let sub = argv.get(1);
        let rest: Vec<String> =
            argv.iter().skip(2).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        match rest.as_slice() {
            [_, ..] if is(sub, "CREATE") => Ok(Self::Create(rest)),
            [address] if is(sub, "ADDNODE") => Ok(Self::AddNode(address.clone())),
            [] if is(sub, "REBALANCE") => Ok(Self::Rebalance { dry_run: false }),
            [word] if is(sub, "REBALANCE") && word.eq_ignore_ascii_case("DRYRUN") => {
                Ok(Self::Rebalance { dry_run: true })
            }
            [] if is(sub, "STATUS") => Ok(Self::Status),
            [] if is(sub, "PROBE") => Ok(Self::Probe),
            [ms, token] if is(sub, "RESERVE") => {
                let number =
                    |text: &str| text.parse().map_err(|_| "ERR value is not an integer or out of range");
                Ok(Self::Reserve { ms: number(ms)?, token: number(token)? })
            }
            _ => Err(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Use cluster-admin, or CAROUSEL CREATE \
                 host:port..., ADDNODE host:port, REBALANCE [DRYRUN], STATUS.",
                String::from_utf8_lossy(sub)
            )),
        }
    }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] | ABORT`. Nothing is waited for but a checkpoint, and that is not called off.
fn parse_shutdown(argv: Argv<'_>) -> Result<ControlRequest, String> {
    let (mut save, mut nosave, mut now, mut force, mut abort) = (false, false, false, false, false);
    for word in argv.skip(1).iter() {
        match () {
            () if is(word, "SAVE") => save = true,
            () if is(word, "NOSAVE") => nosave = true,
            () if is(word, "NOW") => now = true,
            () if is(word, "FORCE") => force = true,
            () if is(word, "ABORT") => abort = true,
            () => return Err("ERR syntax error".into()),
        }
    }
    if save && nosave || abort && (save || nosave || now || force) {
        return Err("ERR syntax error".into());
    }
    if abort {
        return Err("ERR No shutdown in progress.".into());
    }
    Ok(ControlRequest::Shutdown { save: (save || nosave).then_some(save), force })
}

fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}
