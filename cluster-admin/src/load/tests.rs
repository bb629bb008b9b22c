//! Whole loads against a scripted server that stores, forgets or falsifies.

use std::collections::{BTreeMap, HashMap};

use carousel_client::mock::{Act, MockServer};

use super::options::tests::parse;
use super::*;

/// A server that answers `GET` and `SET`, as `falsify` changes it: it gets the words and the true answer.
async fn server(mut falsify: impl FnMut(&[&[u8]], Act) -> Act + Send + 'static) -> MockServer {
    let mut data: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    MockServer::start(move |seen| {
        let words: Vec<&[u8]> = seen.args.iter().map(Vec::as_slice).collect();
        let answer = match words[..] {
            [b"SET", key, value] => {
                data.insert(key.to_vec(), value.to_vec());
                Act::ok()
            }
            [b"GET", key] => data.get(key).map_or(Act::Raw(b"$-1\r\n".to_vec()), |value| Act::bulk(value)),
            _ => Act::error("ERR This instance has cluster support disabled"),
        };
        falsify(&words, answer)
    })
    .await
}

async fn phases(server: &MockServer, line: &str) -> Vec<PhaseReport> {
    let args = parse(line).unwrap();
    args.check().unwrap();
    let target = Target { node: server.address().clone(), password: None };
    let ledger = Arc::new(Ledger::new(run_id(), args.keys));
    let wanted = [
        args.fill.then_some(Phase::Fill),
        args.timed().map(Phase::Timed),
        args.verify.then_some(Phase::Verify),
    ];
    let mut reports = Vec::new();
    for phase in wanted.into_iter().flatten() {
        let shared = Arc::new(Shared {
            args: args.clone(),
            ledger: ledger.clone(),
            stop: Arc::default(),
            next_key: AtomicU32::new(0),
            outstanding: AtomicU64::new(0),
        });
        reports.push(run_phase(&target, phase, shared).await.unwrap());
    }
    reports
}

fn violations(reports: &[PhaseReport]) -> Vec<(&'static str, u64)> {
    reports.iter().flat_map(|report| report.violations.iter().map(|(kind, count)| (*kind, *count))).collect()
}

#[tokio::test]
async fn an_honest_server_passes_all_phases_at_the_rate_asked_for() {
    let server = server(|_, answer| answer).await;
    let reports =
        phases(&server, "--fill --keys 500 --rate 2000 --duration 500ms --threads 2 --mix 1:1 --verify")
            .await;
    let requests: Vec<u64> = reports
        .iter()
        .map(|report| {
            report.operations.iter().filter(|row| row.operation != "all").map(|row| row.count).sum()
        })
        .collect();
    assert_eq!(requests, [500, 1000, 500]);
    let verdict = Report::new(parse("").unwrap().workload(), reports).verdict(false);
    assert_eq!(verdict, Verdict::Good);
}

#[tokio::test]
async fn a_key_that_was_acknowledged_and_is_gone_is_a_violation_in_load_and_verification() {
    let server = server(|words, answer| match words {
        [b"GET", b"load:0000000003"] => Act::Raw(b"$-1\r\n".to_vec()),
        _ => answer,
    })
    .await;
    let reports =
        phases(&server, "--fill --keys 4 --rate 1000 --duration 200ms --get-ratio 1 --verify").await;
    let found = violations(&reports);
    assert!(matches!(found[..], [("lost", 2..), ("lost", 1)]), "{found:?}");
}

#[tokio::test]
async fn verification_alone_misses_keys_that_no_run_wrote() {
    let server = server(|_, answer| answer).await;
    let reports = phases(&server, "--verify --keys 5").await;
    assert_eq!(violations(&reports), [("lost", 5)]);
}

#[tokio::test]
async fn a_server_that_acknowledges_and_forgets_is_caught_as_stale() {
    let mut writes = 0;
    let mut first: Option<Act> = None;
    let server = server(move |words, answer| match words {
        [b"SET", ..] => {
            writes += 1;
            answer
        }
        [b"GET", _] => {
            // From the third write on, answers what it answered after the first.
            if writes == 1 && first.is_none() {
                first = Some(answer.clone());
            }
            if writes >= 3 { first.clone().unwrap_or(answer) } else { answer }
        }
        _ => answer,
    })
    .await;
    // One request at a time: the order of reads and writes is that of the seed.
    let line = "--fill --keys 1 --rate 2000 --duration 300ms --max-outstanding 1 --get-ratio 0.7";
    let found = violations(&phases(&server, line).await);
    assert!(matches!(found[..], [("stale", 1..)]), "{found:?}");
}

#[tokio::test]
async fn a_value_of_another_key_and_a_damaged_one_are_told_apart() {
    let mut other: Option<Act> = None;
    let server = server(move |words, answer| match (words, &answer) {
        ([b"GET", b"load:0000000000"], _) => {
            other = Some(answer.clone());
            answer
        }
        ([b"GET", b"load:0000000001"], Act::Raw(raw)) => {
            let mut raw = raw.clone();
            let at = raw.len() - 10;
            raw[at] ^= 1;
            Act::Raw(raw)
        }
        ([b"GET", b"load:0000000002"], _) => other.clone().unwrap_or(answer),
        _ => answer,
    })
    .await;
    let found = violations(&phases(&server, "--fill --keys 3 --connections 1 --verify").await);
    assert_eq!(found, [("corrupt", 1), ("foreign", 1)]);
}

#[tokio::test]
async fn refusals_are_counted_by_their_code() {
    let server = server(|words, answer| match words {
        [b"SET", b"load:0000000001", _] => Act::error("OOM command not allowed"),
        _ => answer,
    })
    .await;
    let reports = phases(&server, "--fill --keys 3").await;
    assert_eq!(reports[0].errors, BTreeMap::from([("OOM".to_owned(), 1)]));
    assert!(reports[0].examples[0].starts_with("SET load:0000000001: "), "{:?}", reports[0].examples);
    let report = Report::new(parse("").unwrap().workload(), reports);
    assert_eq!((report.verdict(false), report.verdict(true)), (Verdict::Bad, Verdict::Good));
}

#[tokio::test]
async fn a_slow_server_does_not_slow_the_generator_and_the_wait_is_measured() {
    let mut held = 0;
    // Holds the first 20 replies back and lets them go with the 21st.
    let server = server(move |words, answer| match words {
        [b"GET", _] if held < 20 => {
            held += 1;
            Act::Silent
        }
        [b"GET", _] if held == 20 => {
            held += 1;
            Act::Raw(b"$-1\r\n".repeat(21))
        }
        _ => answer,
    })
    .await;
    let reports = phases(&server, "--keys 9 --rate 200 --duration 200ms --get-ratio 1 --connections 1").await;
    let row = &reports[0].operations[0];
    assert_eq!(row.count, 40);
    // The first waits for the 21st, which is due 20 intervals of 5 ms later.
    assert!(row.max_us >= 100_000, "{row:?}");
}

#[tokio::test]
async fn values_inside_collections_are_checked_and_replies_of_the_wrong_kind_are_errors() {
    let mut fields: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let server = MockServer::start(move |seen| {
        let words: Vec<&[u8]> = seen.args.iter().map(Vec::as_slice).collect();
        match words[..] {
            [b"HSET", key, _, value] => {
                fields.insert(key.to_vec(), value.to_vec());
                Act::Raw(b":1\r\n".to_vec())
            }
            // The value of the other key.
            [b"HGETALL", b"load:hash:0000000000"] => {
                let value = &fields[&b"load:hash:0000000002"[..]];
                let text = [format!("*2\r\n$1\r\nf\r\n${}\r\n", value.len()).into_bytes(), value.clone()];
                Act::Raw([text.concat(), b"\r\n".to_vec()].concat())
            }
            [b"HGETALL", _] => Act::Raw(b"*0\r\n".to_vec()),
            [b"SADD", ..] => Act::ok(),
            [b"SMEMBERS", _] => Act::Raw(b"*0\r\n".to_vec()),
            _ => Act::error("ERR This instance has cluster support disabled"),
        }
    })
    .await;
    let reports = phases(&server, "--types hash,set --items 1 --keys 4 --fill --verify").await;
    assert_eq!(reports[0].errors, BTreeMap::from([("unexpected-reply".to_owned(), 2)]));
    // A hash that was filled must be there; a set may have been emptied.
    assert_eq!(violations(&reports[1..]), [("foreign", 1), ("lost", 1)]);
    assert_eq!(reports[1].misses, 2);
}

#[tokio::test]
async fn a_closed_loop_has_as_many_requests_under_way_as_it_was_told() {
    const UNDER_WAY: usize = 12;
    let (mut now, mut crowds) = (0, 0);
    // Three times it answers only once all that may be under way have come.
    let server = MockServer::start(move |seen| match seen.args[0].as_slice() {
        b"SET" if crowds == 3 => Act::ok(),
        b"SET" => {
            now += 1;
            if now < UNDER_WAY {
                return Act::Silent;
            }
            (now, crowds) = (0, crowds + 1);
            Act::Raw(b"+OK\r\n".repeat(UNDER_WAY))
        }
        _ => Act::error("ERR This instance has cluster support disabled"),
    })
    .await;
    // On one connection, because the server answers on that which asked last.
    let line = "--closed --connections 1 --pipeline 12 --duration 200ms --mix 0:1 --unchecked --value-size 3";
    let reports = phases(&server, line).await;
    assert!(reports[0].errors.is_empty(), "{:?}", reports[0].errors);
    let row = &reports[0].operations[0];
    assert_eq!(row.operation, "SET");
    assert!(row.count >= 3 * UNDER_WAY as u64, "{row:?}");
}
