//! The sections of INFO about commands: how often, how long, and with what errors.

use carousel_protocol::command_table;

use super::info::{Facts, Text};

pub(super) fn command_stats(text: &mut Text, facts: &Facts<'_>) {
    for (spec, totals) in command_table::all().iter().zip(&facts.totals.by_command) {
        if totals.calls + totals.failed + totals.rejected == 0 {
            continue;
        }
        let micros = totals.nanos as f64 / 1000.0;
        text.line(
            &format!("cmdstat_{}", spec.name.to_ascii_lowercase()),
            format!(
                "calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}",
                totals.calls,
                micros.round() as u64,
                micros / totals.calls.max(1) as f64,
                totals.rejected,
                totals.failed
            ),
        );
    }
}

pub(super) fn error_stats(text: &mut Text, facts: &Facts<'_>) {
    for (word, count) in &facts.totals.error_prefixes {
        text.line(&format!("errorstat_{word}"), format!("count={count}"));
    }
}

pub(super) fn latency_stats(text: &mut Text, facts: &Facts<'_>) {
    let settings = facts.node.settings();
    for spec in command_table::all() {
        let times = facts.node.times(spec.id);
        if times.total() == 0 {
            continue;
        }
        let shown = settings
            .latency_percentiles
            .0
            .iter()
            .map(|percent| format!("p{percent}={:.3}", times.percentile(*percent) as f64 / 1000.0));
        let shown: Vec<_> = shown.collect();
        text.line(&format!("latency_percentiles_usec_{}", spec.name.to_ascii_lowercase()), shown.join(","));
    }
}

#[cfg(test)]
mod tests {
    use crate::command::session::testing::Tester;
    use carousel_protocol::command_table::CommandId;

    #[test]
    fn commands_have_their_times_and_errors_their_first_words() {
        let mut tester = Tester::new();
        for shard in &tester.node.shards {
            shard.command(CommandId::Get);
            shard.took(CommandId::Get, 1_500, 1, true);
            shard.command_failed(CommandId::Get, b"-WRONGTYPE Operation against a key\r\n");
        }
        tester.node.shards[0].error(b"ERR unknown command");
        let info = tester.run("INFO commandstats errorstats latencystats");
        for line in [
            "cmdstat_get:calls=2,usec=3,usec_per_call=1.50,rejected_calls=0,failed_calls=2",
            "errorstat_ERR:count=1",
            "errorstat_WRONGTYPE:count=2",
            "latency_percentiles_usec_get:p50=1.535,p99=1.535,p99.9=1.535",
        ] {
            assert!(info.contains(&format!("\r\n{line}\r\n")), "{line} is not in {info}");
        }
        tester.run("CONFIG SET latency-tracking-info-percentiles 75");
        assert!(tester.run("INFO latencystats").contains("usec_get:p75=1.535\r\n"));
        tester.run("CONFIG RESETSTAT");
        assert!(!tester.run("INFO everything").contains("stat_"));
    }
}
