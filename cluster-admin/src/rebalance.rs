//! `rebalance`: shows the plan, and with `--wait` follows it to its end.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context, Result};
use carousel_protocol::admin::{Plan, Status};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::ask::Target;
use crate::cli::RebalanceArgs;
use crate::follow::Follower;
use crate::progress::Meter;
use crate::{Verdict, human, say};

/// Planning and agreeing take moments; a config group that elects a leader takes a little more.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Between two looks at the progress.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Between two lines where no terminal shows a bar.
const LINE_PAUSE: Duration = Duration::from_secs(2);

/// A member that knows of no rebalance may just not have heard of it. After this long the plan is over,
/// although the shares are not those that it foresaw.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// `cluster-admin rebalance`.
pub async fn run(target: &Target, args: &RebalanceArgs) -> Result<Verdict> {
    let words: &[&str] = if args.dry_run { &["REBALANCE", "DRYRUN"] } else { &["REBALANCE"] };
    let started = Instant::now();
    let plan: Plan = target.carousel(words, TIMEOUT).await.context("cannot rebalance")?;
    if plan.slots == 0 {
        say("nothing to do: each node holds its share");
        return Ok(Verdict::Good);
    }
    say(describe(&plan, args.dry_run));
    if args.dry_run {
        return Ok(Verdict::Good);
    }
    if !args.wait {
        say(format!("it has begun; see how far it is: cluster-admin --node {} status", target.node));
        return Ok(Verdict::Good);
    }
    let mut view = View::new(plan.slots);
    let outcome = follow(target, &plan, started, &mut view).await.with_context(|| unwatched(target));
    view.clear();
    let (meter, end) = outcome?;
    say(format!("rebalanced {}", meter.summary()));
    if end == End::Elsewhere {
        say(format!(
            "note: the nodes' shares differ from the plan, as when members changed meanwhile; look with \
             `cluster-admin --node {} status`",
            target.node
        ));
    }
    Ok(Verdict::Good)
}

fn unwatched(target: &Target) -> String {
    format!(
        "the rebalance goes on without being watched; look with `cluster-admin --node {} status`",
        target.node
    )
}

/// Follows the rebalance that `status` names, however it was begun, until none runs; the status from then.
///
/// # Errors
/// When no member answers any more.
pub async fn follow_running(target: &Target, status: Status) -> Result<Status> {
    let mut view = View::new(status.rebalance.as_ref().map_or(0, |progress| progress.slots_total));
    let outcome = follow_any(target, status, &mut view).await.with_context(|| unwatched(target));
    view.clear();
    outcome
}

async fn follow_any(target: &Target, mut status: Status, view: &mut View) -> Result<Status> {
    let started = Instant::now();
    let mut follower = Follower::new(target);
    follower.learn(status.nodes.iter().map(|node| node.address.as_str()));
    let mut version = 0;
    let mut current: Option<(u64, Meter)> = None;
    loop {
        // A member that lags behind what was seen already proves nothing.
        if status.config_version >= version {
            version = status.config_version;
            let Some(progress) = &status.rebalance else { return Ok(status) };
            let at = started.elapsed();
            match &mut current {
                Some((plan, meter)) if *plan == progress.plan => meter.observe(at, progress),
                _ => current = Some((progress.plan, Meter::joining(at, progress))),
            }
        }
        if let Some((_, meter)) = &current {
            view.show(started.elapsed(), meter);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        status = follower.status().await?;
    }
}

fn describe(plan: &Plan, dry_run: bool) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(["node", "leads", "then", "holds", "then"]);
    for node in &plan.nodes {
        let numbers = [node.primaries_before, node.primaries_after, node.slots_before, node.slots_after];
        let mut row = vec![node.address.clone()];
        row.extend(numbers.map(|number| human::count(u64::from(number))));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{table}\n{} {}: {} to copy ({}, {} of memory), {} get another primary",
        human::plural(u64::from(plan.slots), "slot"),
        if dry_run { "would change" } else { "change" },
        human::plural(u64::from(plan.copies), "slot"),
        human::plural(plan.keys, "key"),
        human::bytes(plan.bytes),
        human::count(u64::from(plan.primaries_moved)),
    )
}

/// How a plan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Each node has the share that the plan gave it.
    AsPlanned,
    /// No rebalance runs any more, but the shares are others.
    Elsewhere,
}

async fn follow(target: &Target, plan: &Plan, started: Instant, view: &mut View) -> Result<(Meter, End)> {
    let mut follower = Follower::new(target);
    follower.learn(plan.nodes.iter().map(|node| node.address.as_str()));
    let mut meter = Meter::new(plan);
    let mut watch = Watch::default();
    loop {
        let status = follower.status().await?;
        let at = started.elapsed();
        if let Some(progress) = status.rebalance.as_ref().filter(|progress| Some(progress.plan) == plan.id) {
            meter.observe(at, progress);
        }
        if let Some(end) = watch.look(at, plan, &status) {
            meter.finish(at);
            return Ok((meter, end));
        }
        view.show(at, &meter);
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// Decides when a plan is over. Pure.
#[derive(Debug, Default)]
struct Watch {
    version: u64,
    gone_since: Option<Duration>,
}

impl Watch {
    fn look(&mut self, at: Duration, plan: &Plan, status: &Status) -> Option<End> {
        // A member that lags behind what was seen already proves nothing.
        if status.config_version < self.version {
            return None;
        }
        self.version = status.config_version;
        if status.rebalance.as_ref().is_some_and(|progress| Some(progress.plan) == plan.id) {
            self.gone_since = None;
            return None;
        }
        if is_as_planned(plan, status) {
            return Some(End::AsPlanned);
        }
        let gone_since = *self.gone_since.get_or_insert(at);
        (at.saturating_sub(gone_since) >= GONE_AFTER).then_some(End::Elsewhere)
    }
}

fn is_as_planned(plan: &Plan, status: &Status) -> bool {
    plan.nodes.iter().all(|planned| {
        status.nodes.iter().any(|node| {
            node.id == planned.id
                && node.primaries == planned.primaries_after
                && node.slots == planned.slots_after
        })
    })
}

/// A bar on a terminal, a line now and then elsewhere.
enum View {
    Bar(ProgressBar),
    Lines { next: Duration },
}

impl View {
    fn new(slots: u32) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { next: LINE_PAUSE };
        }
        let bar = ProgressBar::new(u64::from(slots));
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {percent:>3}%  {msg}");
        // The template is a constant, so it is either right or found out by the first run of any test.
        bar.set_style(style.expect("the template is well-formed").progress_chars("=> "));
        Self::Bar(bar)
    }

    fn show(&mut self, at: Duration, meter: &Meter) {
        match self {
            Self::Bar(bar) => {
                let (_, total) = meter.slots();
                bar.set_length(u64::from(total));
                // The bar shows the work, of which keys are the most; the text has the slots.
                bar.set_position((meter.fraction() * f64::from(total)) as u64);
                bar.set_message(meter.line());
            }
            Self::Lines { next } => {
                if at >= *next {
                    say(meter.line());
                    *next = at + LINE_PAUSE;
                }
            }
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::tests::{answer, node, status};
    use carousel_client::mock::{Act, MockServer};
    use carousel_protocol::admin::{PlanNode, Progress};

    fn plan(address: &str) -> Plan {
        let node = PlanNode {
            id: node(address, 0, 0).id,
            address: address.into(),
            primaries_before: 0,
            primaries_after: 4096,
            slots_before: 0,
            slots_after: 12288,
        };
        Plan {
            id: Some(3),
            slots: 500,
            primaries_moved: 4096,
            copies: 12288,
            keys: 1000,
            bytes: 1 << 20,
            nodes: vec![node],
        }
    }

    fn running(slots_done: u32) -> Option<Progress> {
        Some(Progress {
            plan: 3,
            slots_total: 500,
            slots_done,
            keys_sent: 2 * u64::from(slots_done),
            bytes_sent: 9,
        })
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn done_is_when_the_plan_is_gone_and_the_shares_are_as_planned() {
        let plan = plan("h:1");
        let mut watch = Watch::default();
        let after = node("h:1", 4096, 12288);
        assert_eq!(watch.look(s(0), &plan, &status(vec![node("h:1", 0, 0)], running(0))), None);
        assert_eq!(watch.look(s(1), &plan, &status(vec![after.clone()], running(499))), None, "still named");
        assert_eq!(watch.look(s(2), &plan, &status(vec![after], None)), Some(End::AsPlanned));
    }

    #[test]
    fn a_member_that_has_not_heard_of_the_plan_does_not_end_it() {
        let plan = plan("h:1");
        let mut watch = Watch::default();
        let before = status(vec![node("h:1", 0, 0)], None);
        assert_eq!(watch.look(s(0), &plan, &before), None);
        assert_eq!(watch.look(s(1), &plan, &status(vec![node("h:1", 0, 0)], running(1))), None);
        assert_eq!(watch.look(s(4), &plan, &before), None, "the waiting begins anew");
        assert_eq!(watch.look(s(8), &plan, &before), None);
        assert_eq!(watch.look(s(9), &plan, &before), Some(End::Elsewhere));
    }

    #[test]
    fn an_answer_older_than_one_seen_proves_nothing() {
        let plan = plan("h:1");
        let mut watch = Watch { version: 8, gone_since: None };
        assert_eq!(watch.look(s(0), &plan, &status(vec![node("h:1", 4096, 12288)], None)), None);
    }

    #[tokio::test]
    async fn waiting_follows_the_plan_to_its_end() {
        let mut answers = vec![
            answer(&status(vec![node("h:1", 4096, 12288)], None)),
            Act::Drop,
            answer(&status(vec![node("h:1", 2000, 6000)], running(250))),
            answer(&status(vec![node("h:1", 0, 0)], running(0))),
        ];
        let server = MockServer::start(move |_| answers.pop().expect("asked no more once done")).await;
        let target = Target { node: server.address().clone(), password: None };
        let plan = plan(server.address().as_str());
        let mut view = View::Lines { next: s(100) };
        let (meter, end) = follow(&target, &plan, Instant::now(), &mut view).await.unwrap();
        assert_eq!(end, End::AsPlanned);
        assert!(meter.summary().starts_with("500 slots, 1,000 keys, 18 B in "), "{}", meter.summary());
        assert_eq!(server.count("CAROUSEL STATUS"), 4);
    }

    #[tokio::test]
    async fn a_rebalance_that_runs_is_followed_to_its_end_by_whoever_comes_later() {
        let mut lagging = status(vec![node("h:1", 0, 0)], None);
        lagging.config_version = 6;
        let mut answers = vec![
            answer(&status(vec![node("h:1", 4096, 12288)], None)),
            answer(&lagging),
            answer(&status(vec![node("h:1", 2000, 6000)], running(250))),
        ];
        let server = MockServer::start(move |_| answers.pop().expect("asked no more once done")).await;
        let target = Target { node: server.address().clone(), password: None };
        let first = status(vec![node("h:1", 1000, 3000)], running(100));
        let end = follow_running(&target, first).await.unwrap();
        assert_eq!((end.rebalance, end.nodes[0].slots), (None, 12288));
        assert_eq!(server.count("CAROUSEL STATUS"), 3);
    }

    #[tokio::test]
    async fn a_rebalance_that_runs_already_is_one_line() {
        let server = MockServer::start(|_| Act::error("ERR a rebalance runs already; wait for it")).await;
        let target = Target { node: server.address().clone(), password: None };
        let args = RebalanceArgs { dry_run: false, wait: true };
        let error = run(&target, &args).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot rebalance: a rebalance runs already; wait for it");
    }

    #[test]
    fn the_plan_is_shown_before_and_after() {
        let text = describe(&plan("h:1"), true);
        assert!(text.contains("h:1") && text.contains("4,096") && text.contains("12,288"), "{text}");
        assert!(
            text.contains(
                "500 slots would change: 12,288 slots to copy (1,000 keys, 1.0 MiB of memory), 4,096 get"
            ),
            "{text}"
        );
    }
}
