//! The live line, the final table and the JSON report.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::stats::Stats;
use crate::{Verdict, human};

/// Requests that left later than intended by more than this were held up by the generator itself.
const LAG_WORTH_A_NOTE: Duration = Duration::from_millis(20);

/// All phases of a load.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub workload: Workload,
    /// In the order in which they ran.
    pub phases: Vec<PhaseReport>,
    /// Failed requests of all phases.
    pub errors: u64,
    /// Violations of all phases.
    pub violations: u64,
}

/// The options that make one load comparable with another.
#[derive(Debug, Clone, Serialize)]
pub struct Workload {
    /// How many different keys.
    pub keys: u32,
    /// Shares of the types.
    pub types: String,
    /// Items of a collection.
    pub items: u32,
    /// How often each key is asked for.
    pub distribution: String,
    /// Bytes of a value, or their range.
    pub value_size: String,
    /// Share of reads.
    pub reads: f64,
    /// Connections to each node.
    pub connections: u16,
    /// Threads that generated.
    pub threads: u16,
    /// Requests that each connection had under way; none where a rate was kept.
    pub pipeline: Option<u16>,
}

/// One phase.
#[derive(Debug, Serialize)]
pub struct PhaseReport {
    /// `fill`, `load` or `verify`.
    pub phase: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// Requests per second asked for; none where the phase goes as fast as it can.
    pub rate_wanted: Option<u64>,
    /// Requests per second that succeeded.
    pub rate: f64,
    /// Each command that was sent, and all together.
    pub operations: Vec<OperationReport>,
    /// Reads that found nothing where nothing was promised.
    pub misses: u64,
    /// Failed requests by kind.
    pub errors: BTreeMap<String, u64>,
    /// Violations by kind.
    pub violations: BTreeMap<&'static str, u64>,
    /// The first faults of each kind, one line each.
    pub examples: Vec<String>,
    /// The most that a request left the generator later than intended, in microseconds.
    pub lag_max_us: u64,
}

/// One kind of request. Latencies are in microseconds: at a rate from the intended time of sending, else from the sending.
#[derive(Debug, Serialize)]
pub struct OperationReport {
    /// The command, or `all`.
    pub operation: &'static str,
    /// How many succeeded.
    pub count: u64,
    /// Per second.
    pub rate: f64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Half were faster.
    pub p50_us: u64,
    /// 90%.
    pub p90_us: u64,
    /// 99%.
    pub p99_us: u64,
    /// 99.9%.
    pub p999_us: u64,
    /// 99.99%.
    pub p9999_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Report {
    /// Adds phases up.
    pub fn new(workload: Workload, phases: Vec<PhaseReport>) -> Self {
        let errors = phases.iter().flat_map(|phase| phase.errors.values()).sum();
        let violations = phases.iter().flat_map(|phase| phase.violations.values()).sum();
        Self { workload, phases, errors, violations }
    }

    /// Good without violations, and without errors unless these are allowed.
    pub fn verdict(&self, allow_errors: bool) -> Verdict {
        if self.violations > 0 || (self.errors > 0 && !allow_errors) { Verdict::Bad } else { Verdict::Good }
    }
}

impl PhaseReport {
    /// What `stats` amount to over `took`.
    pub fn new(phase: &'static str, took: Duration, rate_wanted: Option<u64>, stats: &Stats) -> Self {
        let seconds = took.as_secs_f64().max(1e-9);
        let all = stats.all();
        let each = || stats.latencies.iter().filter(|(_, histogram)| !histogram.is_empty());
        let sum = (each().count() > 1).then_some(("all", &all));
        let operations = each().map(|(op, histogram)| (op.name(), histogram)).chain(sum);
        Self {
            phase,
            seconds,
            rate_wanted,
            rate: stats.succeeded_count() as f64 / seconds,
            operations: operations.map(|(name, histogram)| operation(name, histogram, seconds)).collect(),
            misses: stats.misses,
            errors: stats.errors.clone(),
            violations: stats.violations.clone(),
            examples: stats.examples.values().flatten().cloned().collect(),
            lag_max_us: u64::try_from(stats.lag_max.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// For people.
    pub fn show(&self) -> String {
        let took = human::duration(Duration::from_secs_f64(self.seconds));
        let wanted =
            self.rate_wanted.map(|rate| format!(" of {} wanted", human::count(rate))).unwrap_or_default();
        let count = self.operations.iter().filter(|row| row.operation != "all").map(|row| row.count).sum();
        let mut lines = vec![format!(
            "{}: {} in {took}, {}/s{wanted}",
            self.phase,
            human::plural(count, "request"),
            human::count(self.rate.round() as u64),
        )];
        if !self.operations.is_empty() {
            lines.push(self.table().to_string());
        }
        if self.misses > 0 {
            lines.push(format!(
                "reads that found no key, where none was promised: {}",
                human::count(self.misses)
            ));
        }
        for (kind, count) in &self.errors {
            lines.push(format!("ERRORS {kind}: {}", human::count(*count)));
        }
        for (kind, count) in &self.violations {
            lines.push(format!("VIOLATIONS {kind}: {}", human::count(*count)));
        }
        lines.extend(self.examples.iter().map(|example| format!("  {example}")));
        if Duration::from_micros(self.lag_max_us) > LAG_WORTH_A_NOTE {
            lines.push(format!(
                "note: the generator itself was up to {} ms late, which the latencies include; \
                 a lower --rate, more --threads or a less busy machine helps",
                human::millis(self.lag_max_us)
            ));
        }
        lines.join("\n")
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY).set_header([
            "ms",
            "count",
            "per second",
            "mean",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "p99.99",
            "max",
        ]);
        for row in &self.operations {
            let mut cells = vec![
                row.operation.to_owned(),
                human::count(row.count),
                human::count(row.rate.round() as u64),
                human::millis(row.mean_us.round() as u64),
            ];
            let quantiles = [row.p50_us, row.p90_us, row.p99_us, row.p999_us, row.p9999_us, row.max_us];
            cells.extend(quantiles.map(human::millis));
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn operation(operation: &'static str, histogram: &Histogram<u64>, seconds: f64) -> OperationReport {
    let at = |quantile| histogram.value_at_quantile(quantile);
    OperationReport {
        operation,
        count: histogram.len(),
        rate: histogram.len() as f64 / seconds,
        mean_us: histogram.mean(),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        p9999_us: at(0.9999),
        max_us: histogram.max(),
    }
}

/// One second as one line.
pub fn live_line(
    phase: &str,
    at: Duration,
    span: Duration,
    second: &Stats,
    total: &Stats,
    outstanding: u64,
) -> String {
    let all = second.all();
    let rate = second.succeeded_count() as f64 / span.as_secs_f64().max(1e-9);
    format!(
        "{phase} {:>4.0} s {:>9}/s  ms: p50 {:>6} p99 {:>6} p99.9 {:>6} max {:>6}  outstanding {}  errors {}  violations {}",
        at.as_secs_f64(),
        human::count(rate.round() as u64),
        human::millis(all.value_at_quantile(0.5)),
        human::millis(all.value_at_quantile(0.99)),
        human::millis(all.value_at_quantile(0.999)),
        human::millis(all.max()),
        human::count(outstanding),
        human::count(total.error_count()),
        human::count(total.violation_count()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::kinds::Op;
    use crate::load::ledger::Violation;
    use crate::load::options::tests::parse;

    fn sample() -> Stats {
        let mut stats = Stats::new();
        for us in 1..=1000 {
            stats.succeeded(Op::Get, Duration::from_micros(us));
        }
        stats.succeeded(Op::Set, Duration::from_millis(50));
        stats
    }

    #[test]
    fn the_report_has_each_operation_and_the_sum() {
        let report = PhaseReport::new("load", Duration::from_secs(2), Some(500), &sample());
        let names: Vec<_> = report.operations.iter().map(|row| (row.operation, row.count)).collect();
        assert_eq!(names, [("GET", 1000), ("SET", 1), ("all", 1001)]);
        assert_eq!((report.operations[0].p50_us, report.operations[0].max_us), (500, 1000));
        let text = report.show();
        assert!(text.starts_with("load: 1,001 requests in 2.0 s, 501/s of 500 wanted"), "{text}");
        assert!(!text.contains("ERRORS") && !text.contains("note:"), "{text}");
    }

    #[test]
    fn errors_and_violations_decide_the_verdict() {
        let phase = |change: fn(&mut Stats)| {
            let mut stats = sample();
            change(&mut stats);
            Report::new(
                parse("").unwrap().workload(),
                vec![PhaseReport::new("load", Duration::from_secs(1), None, &stats)],
            )
        };
        let fine = phase(|_| {});
        let failed = phase(|stats| stats.failed("deadline", || "GET k: gave up".into()));
        let wrong = phase(|stats| stats.violated(b"k", Violation::Stale { read: 1, acknowledged: 2 }));
        let verdicts = |allow| [&fine, &failed, &wrong].map(|report| report.verdict(allow));
        assert_eq!(verdicts(false), [Verdict::Good, Verdict::Bad, Verdict::Bad]);
        assert_eq!(verdicts(true), [Verdict::Good, Verdict::Good, Verdict::Bad]);
        let text = wrong.phases[0].show();
        assert!(text.contains("VIOLATIONS stale: 1"), "{text}");
        assert!(text.contains("VIOLATION k: stale value: version 1 although 2 was acknowledged"), "{text}");
    }

    #[test]
    fn a_generator_that_was_late_admits_it() {
        let mut stats = sample();
        stats.lag_max = Duration::from_millis(150);
        let report = PhaseReport::new("load", Duration::from_secs(1), Some(1), &stats);
        assert!(report.show().contains("up to 150 ms late"), "{}", report.show());
    }

    #[test]
    fn the_live_line_shows_the_second_and_the_sum_of_faults() {
        let mut total = sample();
        total.failed("x", String::new);
        let line = live_line("load", Duration::from_secs(7), Duration::from_secs(1), &sample(), &total, 3);
        assert!(line.contains("7 s") && line.contains("1,001/s") && line.contains("p50  0.501"), "{line}");
        assert!(line.ends_with("outstanding 3  errors 1  violations 0"), "{line}");
    }
}
