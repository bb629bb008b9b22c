use proptest::prelude::*;

use carousel_protocol::{Database, SlotId};

use super::codec::{CLEAR, DELETE};
use super::*;

const KEY: &[u8] = b"key";
/// A list of `a` and 5.
const PACKED: &[u8] = b"\x01\x02\0\x01a\xc5";
/// `one` and nothing.
const TWO: Items<'static> = Items(b"\x03one\0");

fn examples() -> Vec<Effect<'static>> {
    vec![
        Effect::Set { key: KEY, value: b"value", expire_at_ms: None },
        Effect::Set { key: b"", value: b"", expire_at_ms: Some(u64::MAX) },
        Effect::Set { key: KEY, value: &[7; 300], expire_at_ms: Some(0) },
        Effect::Delete { key: KEY },
        Effect::Expire { key: KEY, expire_at_ms: Some(1_700_000_000_000) },
        Effect::Expire { key: KEY, expire_at_ms: None },
        Effect::Patch { key: KEY, offset: 1 << 20, bytes: b"tail" },
        Effect::Clear,
        Effect::Store { key: KEY, packed: PACKED, expire_at_ms: None },
        Effect::Store { key: b"", packed: PACKED, expire_at_ms: Some(7) },
        Effect::HashSet { key: KEY, pairs: TWO },
        Effect::HashRemove { key: KEY, fields: TWO },
        Effect::SetAdd { key: KEY, members: TWO },
        Effect::SetRemove { key: b"", members: Items(b"") },
        Effect::Score { key: KEY, pairs: Items(b"\x08\0\0\0\0\0\0\xf8\x3f\x01m") },
        Effect::Unscore { key: KEY, members: TWO },
        Effect::Splice { key: KEY, index: 300, removed: 1, elements: TWO },
        Effect::Swap { with: Database::new(300).unwrap() },
    ]
}

#[test]
fn effects_survive_their_encoding_and_every_cut_of_it_is_noticed() {
    for effect in examples() {
        let mut bytes = Vec::new();
        effect.encode(&mut bytes);
        assert_eq!(EffectIter::new(&bytes).collect::<Vec<_>>(), [Ok((Database::MAIN, effect))]);
        for cut in 1..bytes.len() {
            let cut: Vec<_> = EffectIter::new(&bytes[..cut]).collect();
            assert_eq!(cut, [Err(EffectError::Truncated)]);
        }
    }
    let mut bytes = Vec::new();
    examples().iter().for_each(|effect| effect.encode(&mut bytes));
    let decoded: Result<Vec<_>, _> = EffectIter::new(&bytes).collect();
    assert_eq!(decoded, Ok(examples().into_iter().map(|effect| (Database::MAIN, effect)).collect()));
}

#[test]
fn a_database_is_named_where_it_changes_and_anew_in_each_payload() {
    let numbers = [0, 0, 3, 3, 300, 0].map(|number| Database::new(number).unwrap());
    let mut payload = EffectsBuf::default();
    numbers.iter().for_each(|&database| payload.push(database, &Effect::Clear));
    let bytes = payload.take();
    assert_eq!(bytes, b"\x07\x07\x11\x03\x07\x07\x11\xac\x02\x07\x11\x00\x07");
    let named = |bytes: &[u8]| EffectIter::new(bytes).map(|effect| effect.unwrap().0).collect::<Vec<_>>();
    assert_eq!(named(&bytes), numbers);
    payload.push(numbers[2], &Effect::Clear);
    assert_eq!(payload.take(), b"\x11\x03\x07");

    let joined = join_payloads(&[&bytes, b"\x07", b"\x11\x03\x07"]);
    let expected: Vec<_> = numbers.into_iter().chain([numbers[0], numbers[2]]).collect();
    assert_eq!(named(&joined), expected, "what is joined means the same");

    let [a, b] = [1, 2].map(|slot| SlotId::new(slot).unwrap());
    let mut sink = EffectSink::new();
    sink.set_recording(true);
    for (slot, number) in [(a, 3), (a, 3), (b, 3), (b, 0), (a, 3)] {
        sink.push(slot, Database::new(number).unwrap(), Effect::Clear);
    }
    let groups: Vec<_> = sink.groups().map(|(slot, bytes)| (slot, bytes.to_vec())).collect();
    let expected = [(a, &b"\x11\x03\x07\x07"[..]), (b, b"\x11\x03\x07\x11\x00\x07"), (a, b"\x11\x03\x07")];
    assert_eq!(groups, expected.map(|(slot, bytes)| (slot, bytes.to_vec())));
}

#[test]
fn a_small_set_has_three_bytes_of_encoding() {
    let mut bytes = Vec::new();
    Effect::Set { key: KEY, value: b"value", expire_at_ms: None }.encode(&mut bytes);
    assert_eq!(bytes, b"\x01\x03key\x05value");
}

#[test]
fn damaged_effects_are_errors() {
    let error = |bytes: &[u8]| EffectIter::new(bytes).last().unwrap().unwrap_err();
    assert_eq!(error(&[99]), EffectError::UnknownKind(99));
    assert_eq!(error(b"\x11\x80\x80\x01\x07"), EffectError::Database(16_384));
    assert_eq!(error(b"\x12\x80\x80\x01"), EffectError::Database(16_384));
    assert_eq!(error(b"\x11\x01"), EffectError::Truncated, "a switch to nothing");
    for items in [
        &b"\x0a\x03k\x01\x02"[..],
        b"\x0a\x01k\x02\x01f",
        b"\x0e\x01k\x04\x01s\x01m",
        b"\x08\x01k\x03\x01\x02\0",
    ] {
        assert_ne!(error(items), EffectError::UnknownKind(items[0]), "{items:?}");
    }
    let mut unnumbered = Vec::new();
    let score = ItemsBuf::from_iter([&f64::NAN.to_le_bytes()[..], b"m"]);
    Effect::Score { key: KEY, pairs: score.items() }.encode(&mut unnumbered);
    assert_eq!(error(&unnumbered), EffectError::Items);
    assert_eq!(
        error(&[DELETE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
        EffectError::Varint
    );
    assert_eq!(error(&[&[DELETE][..], &[0x80; 10]].concat()), EffectError::Varint);
    let mut far = Vec::new();
    Effect::Patch { key: KEY, offset: u32::MAX.into(), bytes: b"x" }.encode(&mut far);
    assert_eq!(error(&far), EffectError::TooLong { end: 1 << 32 });
}

proptest! {
    #[test]
    fn any_bytes_decode_to_something_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let decoded: Vec<_> = EffectIter::new(&bytes).collect();
        let errors = decoded.iter().filter(|effect| effect.is_err()).count();
        prop_assert_eq!(errors, usize::from(decoded.last().is_some_and(Result::is_err)));
    }
}

#[test]
fn a_sink_groups_by_slot_and_only_while_recording() {
    let [a, b] = [1, 2].map(|slot| SlotId::new(slot).unwrap());
    let mut sink = EffectSink::new();
    sink.push(a, Database::MAIN, Effect::Clear);
    assert!(sink.is_empty());
    sink.set_recording(true);
    for slot in [a, a, b, a] {
        sink.push(slot, Database::MAIN, Effect::Clear);
    }
    let groups: Vec<_> = sink.groups().collect();
    assert_eq!(groups, [(a, &[CLEAR, CLEAR][..]), (b, &[CLEAR]), (a, &[CLEAR])]);
    sink.clear();
    assert!(sink.is_empty());
    assert_eq!(sink.groups().count(), 0);
}

#[test]
fn applied_effects_do_what_they_say() {
    let hasher = KeyHasher::new(1);
    let mut table = Table::new();
    let state = |table: &Table| {
        table.get(hasher.hash(KEY), KEY).map(|entry| (entry.bytes().to_vec(), entry.expire_at_ms()))
    };
    let steps = [
        (Effect::Expire { key: KEY, expire_at_ms: Some(3) }, None),
        (Effect::Set { key: KEY, value: b"abc", expire_at_ms: Some(5) }, Some((b"abc".to_vec(), Some(5)))),
        (Effect::Patch { key: KEY, offset: 4, bytes: b"e" }, Some((b"abc\0e".to_vec(), Some(5)))),
        (Effect::Expire { key: KEY, expire_at_ms: None }, Some((b"abc\0e".to_vec(), None))),
        (Effect::Delete { key: KEY }, None),
        (Effect::Patch { key: KEY, offset: 1, bytes: b"x" }, Some((b"\0x".to_vec(), None))),
        (Effect::Clear, None),
    ];
    for (effect, expected) in steps {
        for _ in 0..2 {
            effect.apply(&mut table, &hasher);
            assert_eq!(state(&table), expected, "{effect:?}");
        }
    }
}
