use super::*;
use crate::store::{KeyHasher, NewValue, Table};

/// Values in every encoding: `value, encoding: payload`. Redis 7.0.15 restores them to the same (those of version 10 and
/// below).
const PAYLOADS: &str = include_str!("payloads.txt");

struct Sample {
    value: &'static str,
    encoding: &'static str,
    payload: Vec<u8>,
}

fn samples() -> Vec<Sample> {
    let sample = |line: &'static str| {
        let (name, hex) = line.split_once(": ").expect("name: payload");
        let (value, encoding) = name.split_once(", ").expect("value, encoding");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        Sample { value, encoding, payload: (0..hex.len()).step_by(2).map(byte).collect() }
    };
    PAYLOADS.lines().map(sample).collect()
}

/// The parts as text, in an order that does not depend on the encoding.
fn parts(payload: &[u8]) -> Result<Vec<String>, LoadError> {
    let (mut parts, mut is_ordered) = (Vec::new(), false);
    load(payload, &mut |part| {
        is_ordered |= matches!(part, Part::Element(_));
        parts.push(match part {
            Part::String(text) => format!("{}", text.escape_ascii()),
            Part::Element(text) | Part::Member(text) => format!("{}", text.escape_ascii()),
            Part::Field(field, value) => format!("{} = {}", field.escape_ascii(), value.escape_ascii()),
            Part::Scored(member, score) => format!("{} at {score:?}", member.escape_ascii()),
        });
        Ok(())
    })?;
    if !is_ordered {
        parts.sort();
    }
    Ok(parts)
}

/// A payload with that type and value, as they are, and a right checksum.
fn sealed(value: &[u8]) -> Vec<u8> {
    let mut payload = [value, &VERSION.to_le_bytes()].concat();
    let sum = checksum(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

#[test]
fn the_checksum_is_that_of_redis() {
    assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    assert_eq!(checksum(b""), 0);
}

#[test]
fn a_value_is_the_same_in_every_encoding() {
    let samples = samples();
    let mut seen = Vec::new();
    for sample in &samples {
        let name = format!("{}, {}", sample.value, sample.encoding);
        let read = parts(&sample.payload).unwrap_or_else(|error| panic!("{name}: {error}"));
        let first = samples.iter().find(|other| other.value == sample.value).expect("itself");
        assert_eq!(read, parts(&first.payload).unwrap(), "{name}");
        seen.push(sample.payload[0]);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20]);
    assert_eq!(parts(&samples[0].payload).unwrap(), ["abcabcabcabcabcabcabc"]);
    let list = samples.iter().find(|sample| sample.value == "list").unwrap();
    let list = parts(&list.payload).unwrap();
    assert_eq!(list[..8], ["a", "", "12", "127", "-1", "128", "-4096", "4095"]);
    assert_eq!(list[14..18], ["9223372036854775807", "-9223372036854775808", "-0", "007"]);
    let scores = samples.iter().find(|sample| sample.value == "sorted set").unwrap();
    let scores = parts(&scores.payload).unwrap();
    for expected in ["a at 0.0", "12 at -2.25", "127 at inf", "-1 at -inf", "-4096 at 1e300"] {
        assert!(scores.contains(&expected.to_owned()), "{expected} in {scores:?}");
    }
}

#[test]
fn what_is_saved_is_loaded() {
    let hasher = KeyHasher::new(1);
    let mut table = Table::new();
    let texts: Vec<Vec<u8>> =
        ["", "0", "-1", "127", "128", "-32768", "40000", "2147483647", "2147483648", "-0", "01"]
            .into_iter()
            .map(|text| text.as_bytes().to_vec())
            .chain([vec![0xff; 63], vec![1; 64], vec![2; 16_383], vec![3; 16_384]])
            .collect();
    for text in &texts {
        table.set(&hasher, hasher.hash(b"k"), b"k", text, None);
        let mut payload = b"before".to_vec();
        let value = table.get(hasher.hash(b"k"), b"k").unwrap().value();
        assert!(save(value, &mut payload, usize::MAX));
        assert_eq!(parts(&payload[6..]).unwrap(), [text.escape_ascii().to_string()]);
        let len = payload.len() - 6;
        payload.truncate(6);
        assert!(save(value, &mut payload, len));
        payload.truncate(6);
        assert!(!save(value, &mut payload, len - 1) && payload == b"before", "too long by one");
    }
    table.set_value(&hasher, hasher.hash(b"k"), b"k", NewValue::Packed(&[4, 2, 0, 1, b'm', 0xc7]), None);
    let mut payload = Vec::new();
    assert!(save(table.get(hasher.hash(b"k"), b"k").unwrap().value(), &mut payload, usize::MAX));
    assert_eq!(parts(&payload).unwrap(), ["m at 7.0"]);
}

#[test]
fn a_payload_of_another_version_or_with_another_checksum_is_refused() {
    for sample in samples() {
        let mut payload = sample.payload;
        for at in 0..payload.len() {
            payload[at] ^= 0x10;
            assert_eq!(parts(&payload), Err(LoadError::VersionOrChecksum), "byte {at}");
            payload[at] ^= 0x10;
        }
        for len in 0..payload.len() {
            assert_eq!(parts(&payload[..len]), Err(LoadError::VersionOrChecksum), "{len} bytes");
        }
        let end = payload.len() - 10;
        payload[end..end + 2].copy_from_slice(&12u16.to_le_bytes());
        let sum = checksum(&payload[..end + 2]);
        payload[end + 2..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(parts(&payload), Err(LoadError::VersionOrChecksum), "version 12");
    }
}

#[test]
fn a_value_with_any_byte_changed_or_cut_off_is_refused_or_another_value() {
    for sample in samples() {
        let value = &sample.payload[..sample.payload.len() - 10];
        for len in 0..value.len() {
            assert_eq!(
                parts(&sealed(&value[..len])),
                Err(LoadError::Format),
                "{} cut at {len}",
                sample.encoding
            );
        }
        assert_eq!(parts(&sealed(&[value, &[0]].concat())), Err(LoadError::Format), "a byte too many");
        let mut changed = value.to_vec();
        for at in 0..value.len() {
            for new in [0, 1, 0x3f, 0x80, 0x81, 0xc3, 0xf0, 0xff, value[at] ^ 1] {
                changed[at] = new;
                let mut count = 0;
                let loaded = load(&sealed(&changed), &mut |_| {
                    count += 1;
                    Ok(())
                });
                assert!(loaded.is_err() || count > 0);
            }
            changed[at] = value[at];
        }
    }
}

#[test]
fn collections_that_are_empty_or_contradict_themselves_are_refused() {
    let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let ziplist = |body: &[u8], last: u8, count: u8| {
        let len = 11 + body.len() as u8;
        [&[len, len, 0, 0, 0, last, 0, 0, 0, count, 0], body, &[0xff]].concat()
    };
    let cases: &[(&str, Vec<u8>)] = &[
        ("a list of nothing", vec![1, 0]),
        ("a set of nothing", vec![2, 0]),
        ("a hash of nothing", vec![4, 0]),
        ("more elements than there are", [&[1][..], &huge].concat()),
        ("a string longer than the payload", [&[0][..], &huge].concat()),
        ("inflated to more than can be meant", [&[0, 0xc3, 3][..], &huge, &[0, b'a', 0]].concat()),
        ("an unknown length", vec![0, 0x82, 1]),
        ("an unknown encoding", vec![0, 0xc4, 1]),
        ("a quicklist of empty nodes", [&[14, 1][..], &ziplist(&[], 10, 0)].concat()),
        ("a hash whose last field has no value", [&[13][..], &ziplist(&[0, 1, b'a'], 10, 1)].concat()),
        ("a ziplist with a wrong length before", [&[10][..], &ziplist(&[1, 1, b'a'], 10, 1)].concat()),
        ("a ziplist with a wrong last entry", [&[10][..], &ziplist(&[0, 1, b'a'], 11, 1)].concat()),
        ("a ziplist with a wrong count", [&[10][..], &ziplist(&[0, 1, b'a'], 10, 2)].concat()),
        ("a listpack with a wrong length behind", vec![16, 11, 11, 0, 0, 0, 2, 0, 1, 1, 2, 2, 0xff]),
        ("a score that is no number", [&[12][..], &ziplist(&[0, 1, b'a', 3, 1, b'b'], 13, 2)].concat()),
        ("NaN as text", vec![3, 1, 1, b'a', 253]),
        ("NaN", [&[5, 1, 1, b'a'][..], &f64::NAN.to_le_bytes()].concat()),
        ("integers out of order", vec![11, 12, 2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 4, 0]),
        ("an integer twice", vec![11, 12, 2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 5, 0]),
        ("integers of three bytes", vec![11, 11, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0]),
        ("a container of another kind", vec![18, 1, 3, 1, b'a']),
        ("an element that stands alone and is empty", vec![18, 1, 1, 0]),
        ("a stream", vec![15, 0]),
        ("a module", vec![7, 0]),
        ("no type", vec![99, 0]),
        ("nothing", vec![]),
    ];
    for (what, value) in cases {
        assert_eq!(parts(&sealed(value)), Err(LoadError::Format), "{what}");
    }
    assert_eq!(parts(&sealed(&[&[10][..], &ziplist(&[0, 1, b'a'], 10, 1)].concat())).unwrap(), ["a"]);
}

#[test]
fn who_takes_the_parts_can_stop() {
    for sample in samples() {
        assert_eq!(load(&sample.payload, &mut |_| Err(LoadError::TooLong)), Err(LoadError::TooLong));
    }
}
