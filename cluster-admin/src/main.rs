//! Carousel's command line for operators: makes clusters, grows, rebalances, watches and loads them.
//!
//! Each command is a module with a `run` function that returns how it went; errors are one line each and go
//! to standard error. The nodes do the work: this program only asks (`CAROUSEL ...`, see
//! `carousel_protocol::admin`) and shows.

mod ask;
mod cli;
mod follow;
mod human;
mod load;
mod membership;
mod playground;
mod progress;
mod prompt;
mod rebalance;
mod status;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use ask::Target;
use cli::{Cli, Command};

/// How a command that did its work found things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Good,
    /// The answer is bad, and was shown: exit code 3.
    Bad,
    /// A node refused a command of the user's, in words that were shown: exit code 1.
    Refused,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::from(error).context("cannot start the runtime")),
    };
    match runtime.block_on(run(cli)) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(3),
        Ok(Verdict::Refused) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<Verdict> {
    let password = cli.password.or_else(|| std::env::var("CAROUSEL_PASSWORD").ok());
    let target = Target { node: cli.node, password };
    match cli.command {
        Command::Create(args) => membership::create(&target, &args.nodes).await,
        Command::AddNode(args) => membership::add_node(&target, &args.new).await,
        Command::Rebalance(args) => rebalance::run(&target, &args).await,
        Command::Status(args) => status::run(&target, &args).await,
        Command::Playground(args) => playground::run(args).await,
        Command::Load(args) => load::run(&target, args).await,
        Command::Cli(args) => prompt::run(target, args).await,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "cluster-admin: {line}");
    ExitCode::FAILURE
}

/// Writes to standard output. A reader that has gone (`| head`) is not an error worth a panic.
pub(crate) fn say(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref());
    let _ = out.flush();
}

/// Writes to standard error, for what goes along with the result.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}
