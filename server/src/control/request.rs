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
    /// `SHUTDOWN`
    Shutdown,
}

impl ControlRequest {
    /// What a request of a client means.
    ///
    /// # Errors
    /// The text of an error reply.
    pub fn parse(spec: &CommandSpec, argv: Argv<'_>) -> Result<Self, String> {
        if spec.id == CommandId::Shutdown {
            return shutdown(argv);
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

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] | ABORT`. What was acknowledged is in the log in any case, so that there is nothing
/// to save, nothing to wait for and nothing that would have to be forced; nor does a shutdown take so long that it could
/// be called off.
fn shutdown(argv: Argv<'_>) -> Result<ControlRequest, String> {
    let (mut save, mut nosave, mut other, mut abort) = (false, false, false, false);
    for word in argv.skip(1).iter() {
        match () {
            () if is(word, "SAVE") => save = true,
            () if is(word, "NOSAVE") => nosave = true,
            () if is(word, "NOW") || is(word, "FORCE") => other = true,
            () if is(word, "ABORT") => abort = true,
            () => return Err("ERR syntax error".into()),
        }
    }
    if save && nosave || abort && (save || nosave || other) {
        return Err("ERR syntax error".into());
    }
    if abort { Err("ERR No shutdown in progress.".into()) } else { Ok(ControlRequest::Shutdown) }
}

fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}
