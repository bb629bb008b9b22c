//! The command line as clap reads it.

use carousel_client::Address;
use clap::{Args, Parser, Subcommand};

use crate::load::LoadArgs;
use crate::playground::PlaygroundArgs;
use crate::prompt::PromptArgs;

const AFTER_HELP: &str = "\
Start here:
  cluster-admin playground                 three nodes on this machine, Ctrl-C stops them
  cluster-admin --node 127.0.0.1:7000 load --fill --keys 1000000
  cluster-admin --node 127.0.0.1:7000 cli  a prompt, to type commands such as SET and GET
  cluster-admin playground add             a fourth node, from a second terminal
  cluster-admin --node 127.0.0.1:7000 rebalance --wait

Exit codes:
  0  done, all is well
  1  failed; one line on standard error says why and what to do (cli: or a reply was an error)
  2  the command line was not understood
  3  the answer is bad: slots are down (status), values were wrong or requests failed (load)";

/// Carousel's operators' command line.
#[derive(Debug, Parser)]
#[command(
    name = "cluster-admin",
    version,
    about = "Create, grow, rebalance, watch, load and query a Carousel cluster",
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// A member of the cluster to ask; any will do. Or the path of a node's Unix socket
    #[arg(long, global = true, value_name = "HOST:PORT|PATH", default_value = "127.0.0.1:6379")]
    pub node: Address,

    /// Password of the nodes; better given as the environment variable CAROUSEL_PASSWORD, which no other
    /// user of this machine can see
    #[arg(long, global = true, value_name = "PASSWORD")]
    pub password: Option<String>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a cluster of running, empty nodes
    #[command(after_help = "\
Examples:
  cluster-admin create 10.0.0.1:6379 10.0.0.2:6379 10.0.0.3:6379

The nodes must run, hold no keys and be members of no cluster. Each slot gets up to three copies on
different nodes; two of them must hold a write before it is acknowledged.")]
    Create(CreateArgs),

    /// Make a running, empty node a member; it gets slots with the next rebalance
    #[command(after_help = "\
Examples:
  cluster-admin --node 10.0.0.1:6379 add-node 10.0.0.4:6379
  cluster-admin --node 10.0.0.1:6379 rebalance --wait")]
    AddNode(AddNodeArgs),

    /// Move slots until each node holds its share; clients go on meanwhile
    #[command(after_help = "\
Examples:
  cluster-admin --node 10.0.0.1:6379 rebalance --dry-run     what would move
  cluster-admin --node 10.0.0.1:6379 rebalance --wait        move, and watch until it is done

Without --wait the command returns once the plan is agreed; `status` shows how far it has come.
Interrupting --wait does not stop the rebalance; `status --wait` follows it again.")]
    Rebalance(RebalanceArgs),

    /// Show the members, their slots and keys, and what is wrong
    #[command(after_help = "\
Examples:
  cluster-admin --node 10.0.0.1:6379 status
  cluster-admin --node 10.0.0.1:6379 status --json | jq .slots_down
  cluster-admin --node 10.0.0.1:6379 status --wait           follow a rebalance that runs to its end

Exits with 3 when slots are down.")]
    Status(StatusArgs),

    /// Run a real cluster on this machine, for trying things out
    Playground(PlaygroundArgs),

    /// Send requests at a fixed rate or as fast as they are answered, measure latency and verify values
    Load(LoadArgs),

    /// Send any command to a node: one, those of a file, or what is typed at a prompt
    Cli(PromptArgs),
}

/// `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The nodes, by the addresses that clients will use
    #[arg(required = true, value_name = "HOST:PORT")]
    pub nodes: Vec<Address>,
}

/// `add-node`.
#[derive(Debug, Args)]
pub struct AddNodeArgs {
    /// The new node, by the address that clients will use
    #[arg(value_name = "HOST:PORT")]
    pub new: Address,
}

/// `rebalance`.
#[derive(Debug, Args)]
pub struct RebalanceArgs {
    /// Only show what would move
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,

    /// Stay until it is done, showing progress
    #[arg(long)]
    pub wait: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON document, for programs
    #[arg(long)]
    pub json: bool,

    /// While a rebalance runs, show its progress and wait until it is done
    #[arg(long, conflicts_with = "json")]
    pub wait: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_node_may_be_named_before_or_after_the_command() {
        for line in ["cluster-admin --node h:7000 status", "cluster-admin status --node h:7000"] {
            assert_eq!(parse(line).unwrap().node.as_str(), "h:7000");
        }
        assert_eq!(parse("cluster-admin status").unwrap().node.as_str(), "127.0.0.1:6379");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            ("cluster-admin create", "<HOST:PORT>"),
            ("cluster-admin create localhost", "'localhost' is not HOST:PORT, for example 127.0.0.1:6379"),
            ("cluster-admin rebalance --dry-run --wait", "cannot be used with"),
            ("cluster-admin status --json --wait", "cannot be used with"),
            ("cluster-admin --node 7000 status", "'7000' is not HOST:PORT"),
            ("cluster-admin cli --raw --no-raw", "cannot be used with"),
            ("cluster-admin cli -x", "<COMMAND>"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn what_follows_the_name_of_a_servers_command_is_not_read_as_options() {
        let cli = parse("cluster-admin cli --raw --node h:7000 SET k -1 --node --raw").unwrap();
        assert_eq!(cli.node.as_str(), "h:7000");
        let Command::Cli(args) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(args.words, ["SET", "k", "-1", "--node", "--raw"]);
        let Command::Cli(args) = parse("cluster-admin cli help").unwrap().command else { panic!() };
        assert_eq!(args.words, ["help"]);
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_help().to_string();
            assert!(help.contains("Examples:"), "{}", command.get_name());
        }
    }
}
