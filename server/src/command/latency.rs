//! LATENCY.

use carousel_protocol::command_table::{self, CommandSpec};
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::session::{help, subcommand};
use crate::Now;
use crate::metrics::{NodeView, Series, Times};

pub(super) fn latency(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
    now: Now,
) {
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    match sub.name {
        "LATEST" => latest(node, reply),
        "HISTORY" => history(argv, node, reply),
        "RESET" => {
            let named = |event: &str| {
                argv.len() == 2 || argv.skip(2).iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
            };
            reply.integer(node.latency.forget(named) as i64);
        }
        "GRAPH" => match series(argv.get(2), node) {
            Some((event, series)) => reply.verbatim("txt", graph(event, &series, now).as_bytes()),
            None => no_samples(argv.get(2), reply),
        },
        "DOCTOR" => reply.verbatim("txt", advice(node).as_bytes()),
        "HISTOGRAM" => histogram(argv, node, reply),
        "HELP" => help(reply, HELP),
        other => unreachable!("LATENCY {other} is in the table and has no handler"),
    }
}

fn series(name: &[u8], node: &NodeView) -> Option<(&'static str, Series)> {
    node.latency.all().into_iter().find(|(event, _)| event.as_bytes().eq_ignore_ascii_case(name))
}

fn no_samples(name: &[u8], reply: &mut ReplyWriter<'_>) {
    let mut text = b"ERR No samples available for event '".to_vec();
    text.extend_from_slice(&name[..name.len().min(128)]);
    text.push(b'\'');
    reply.error_bytes(&text);
}

fn latest(node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let events = node.latency.all();
    reply.array(events.len());
    for (event, series) in events {
        let last = series.spikes.back().expect("a series has a spike");
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(last.unix_s as i64);
        reply.integer(last.ms as i64);
        reply.integer(series.longest_ms as i64);
    }
}

fn history(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let spikes = series(argv.get(2), node).map(|(_, series)| series.spikes).unwrap_or_default();
    reply.array(spikes.len());
    for spike in spikes {
        reply.array(2);
        reply.integer(spike.unix_s as i64);
        reply.integer(spike.ms as i64);
    }
}

/// Rows of a graph.
const GRAPH_ROWS: u64 = 4;
/// Spikes that fit its width.
const GRAPH_COLUMNS: usize = 72;

/// The last spikes as columns of characters, and below each how long ago it was.
fn graph(event: &str, series: &Series, now: Now) -> String {
    let skipped = series.spikes.len().saturating_sub(GRAPH_COLUMNS);
    let shown: Vec<_> = series.spikes.iter().skip(skipped).collect();
    let (high, low) =
        shown.iter().fold((0, u64::MAX), |(high, low), spike| (spike.ms.max(high), spike.ms.min(low)));
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.longest_ms,
        "-".repeat(80)
    );
    // Each row has three steps: a spike ends in one of these characters and stands on full ones.
    let steps = |ms: u64| {
        if high == low { 3 * GRAPH_ROWS - 1 } else { (ms - low) * (3 * GRAPH_ROWS - 1) / (high - low) }
    };
    for row in (0..GRAPH_ROWS).rev() {
        let line: String = shown
            .iter()
            .map(|spike| match steps(spike.ms).checked_sub(3 * row) {
                None => ' ',
                Some(0) => '_',
                Some(1) => 'o',
                Some(2) => '#',
                Some(_) => '|',
            })
            .collect();
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    let ages: Vec<Vec<char>> = shown
        .iter()
        .map(|spike| age((now.unix_ms / 1000).saturating_sub(spike.unix_s)).chars().collect())
        .collect();
    for row in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
        text.extend(ages.iter().map(|age| age.get(row).unwrap_or(&' ')));
        text.push('\n');
    }
    text
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What an operator may do about the spikes.
fn advice(node: &NodeView) -> String {
    let threshold_ms = node.settings().latency_monitor_threshold_ms;
    let events = node.latency.all();
    if threshold_ms == 0 {
        return "Spikes of latency are not noted. Say from how many ms on they are with CONFIG SET \
                latency-monitor-threshold <ms>, and ask again later.\n"
            .into();
    }
    if events.is_empty() {
        return format!("Nothing has taken {threshold_ms} ms or more since the last LATENCY RESET.\n");
    }
    let mut text = format!("Events of {threshold_ms} ms and more:\n\n");
    for (event, series) in &events {
        let count = series.spikes.len() as u64;
        let sum: u64 = series.spikes.iter().map(|spike| spike.ms).sum();
        text.push_str(&format!(
            "- {event}: {count} second(s) with spikes, {} ms on average, {} ms at most.\n  {}\n",
            sum / count.max(1),
            series.longest_ms,
            match *event {
                "command" => "See SLOWLOG GET for the commands, and ask for less at a time (SCAN for KEYS, ranges for whole collections).",
                "fast-command" => "Commands that take no time themselves were held up: look for other processes on this machine's cores, for swapping, and for huge pages.",
                _ => "See SLOWLOG GET and the server's log for what happened at the time.",
            }
        ));
    }
    text
}

/// `LATENCY HISTOGRAM [command...]`: commands that nobody has called are left out.
fn histogram(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let asked: Vec<&'static CommandSpec> = match argv.len() {
        2 => command_table::all().iter().collect(),
        _ => argv.skip(2).iter().filter_map(command_table::lookup).collect(),
    };
    let found: Vec<(&CommandSpec, Times)> = asked
        .into_iter()
        .map(|spec| (spec, node.times(spec.id)))
        .filter(|(_, times)| times.total() > 0)
        .collect();
    reply.map(found.len());
    for (spec, times) in found {
        reply.bulk(spec.name.to_ascii_lowercase().as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(times.total() as i64);
        reply.bulk(b"histogram_usec");
        let rows = times.cumulative_us();
        reply.map(rows.len());
        for (micros, calls) in rows {
            reply.integer(micros as i64);
            reply.integer(calls as i64);
        }
    }
}

const HELP: &str = "\
LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
DOCTOR
    Return a human readable latency analysis report.
GRAPH <event>
    Return an ASCII latency graph for the <event> class.
HISTORY <event>
    Return time-latency samples for the <event> class.
LATEST
    Return the latest latency samples for all events.
RESET [<event> ...]
    Reset latency data of one or more <event> classes.
    (default: reset all data for all event classes)
HISTOGRAM [COMMAND ...]
    Return a cumulative distribution of commands in histogram format.
HELP
    Print this help.";

#[cfg(test)]
mod tests {
    use crate::command::session::testing::{Tester, check};
    use carousel_protocol::command_table::CommandId;

    #[test]
    fn spikes_are_shown_and_forgotten() {
        let mut tester = Tester::new();
        check(&mut tester, &[("LATENCY LATEST", "*0|"), ("LATENCY HISTORY command", "*0|")]);
        assert!(tester.run("LATENCY DOCTOR").contains("latency-monitor-threshold"));
        tester.run("CONFIG SET latency-monitor-threshold 10");
        assert!(tester.run("LATENCY DOCTOR").contains("Nothing has taken 10 ms"));
        [(1001, 12), (1002, 40), (1002, 30)]
            .into_iter()
            .for_each(|(unix_s, ms)| tester.node.latency.note("command", unix_s, ms));
        tester.node.latency.note("fast-command", 1003, 11);
        check(
            &mut tester,
            &[
                ("LATENCY LATEST", "*2|*4|$7|command|:1002|:40|:40|*4|$12|fast-command|:1003|:11|:11|"),
                ("LATENCY HISTORY COMMAND", "*2|*2|:1001|:12|*2|:1002|:40|"),
                ("LATENCY GRAPH nope", "-ERR No samples available for event 'nope'|"),
                ("LATENCY RESET nope", ":0|"),
                ("LATENCY RESET fast-command", ":1|"),
            ],
        );
        let graph = tester.run("LATENCY GRAPH command");
        assert!(graph.contains("command - high 40 ms, low 12 ms (all time high 40 ms)\n"), "{graph}");
        assert!(graph.contains("\n #\n |\n |\n_|\n\n43\nss\n"), "{graph}");
        assert!(
            tester
                .run("LATENCY DOCTOR")
                .contains("- command: 2 second(s) with spikes, 26 ms on average, 40 ms")
        );
        check(&mut tester, &[("LATENCY RESET", ":1|"), ("LATENCY LATEST", "*0|")]);
    }

    #[test]
    fn histograms_are_of_the_commands_that_were_called() {
        let mut tester = Tester::new();
        check(&mut tester, &[("LATENCY HISTOGRAM", "*0|"), ("LATENCY HISTOGRAM get nope", "*0|")]);
        tester.node.shards[0].took(CommandId::Get, 700, 1, true);
        tester.node.shards[1].took(CommandId::Get, 3000, 1, true);
        let expected = "*2|$3|get|*4|$5|calls|:2|$14|histogram_usec|*4|:1|:1|:4|:2|";
        check(&mut tester, &[("LATENCY HISTOGRAM", expected), ("LATENCY HISTOGRAM GET set", expected)]);
        check(&mut tester, &[("CONFIG RESETSTAT", "+OK|"), ("LATENCY HISTOGRAM", "*0|")]);
    }
}
