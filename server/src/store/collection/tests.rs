use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::store::{KeyHasher, NewValue};

const KEY: &[u8] = b"key";

fn hasher() -> KeyHasher {
    KeyHasher::new(7)
}

/// Fields and members: few enough to meet again, some integers, some too long to be packed.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..700u32).prop_map(|i| i.to_string().into_bytes()),
        4 => (0..300u32).prop_map(|i| format!("name {i}").into_bytes()),
        1 => (0..3u8).prop_map(|i| vec![i; 65]),
        1 => any::<i64>().prop_map(|i| i.to_string().into_bytes()),
    ]
}

/// Some rounds, each adding and removing so many names.
fn rounds() -> impl Strategy<Value = Vec<[Vec<Vec<u8>>; 2]>> {
    let names = |max| prop::collection::vec(name(), 0..max);
    prop::collection::vec([names(200), names(200)], 1..8)
}

fn slices(names: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> + Clone {
    names.iter().map(Vec::as_slice)
}

fn value(table: &Table) -> Option<Value<'_>> {
    table.get(hasher().hash(KEY), KEY).map(|entry| entry.value())
}

/// What the table thinks it takes is what it takes: gone with its last key.
fn assert_nothing_is_left(mut table: Table) {
    table.remove(hasher().hash(KEY), KEY);
    assert_eq!((table.len(), table.used_bytes()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_hash_does_what_a_map_does(rounds in rounds(), salt in any::<u32>()) {
        let (hasher, hash, mut table) = (hasher(), hasher().hash(KEY), Table::new());
        let mut model = BTreeMap::new();
        for (round, [set, removed]) in rounds.iter().enumerate() {
            let values: Vec<_> = (0..set.len()).map(|i| format!("{}", salt as usize ^ i ^ round).into_bytes()).collect();
            let new = set.iter().collect::<BTreeSet<_>>().iter().filter(|field| !model.contains_key(**field)).count();
            if !set.is_empty() {
                prop_assert_eq!(table.hash_set(&hasher, hash, KEY, slices(set).zip(slices(&values))), new);
            }
            model.extend(set.iter().cloned().zip(values));
            let before = model.len();
            model.retain(|field, _| !removed.contains(field));
            prop_assert_eq!(table.hash_remove(&hasher, hash, KEY, slices(removed)), before - model.len());
            match value(&table) {
                None => prop_assert!(model.is_empty()),
                Some(Value::Hash(held)) => {
                    prop_assert_eq!(held.len(), model.len());
                    let pair = |(field, value): (Item<'_>, Item<'_>)| (field.as_bytes().to_vec(), value.as_bytes().to_vec());
                    prop_assert_eq!(held.iter().map(pair).collect::<BTreeMap<_, _>>(), model.clone());
                    for (field, value) in &model {
                        prop_assert!(held.get(&hasher, field).unwrap() == value[..]);
                    }
                    prop_assert!(held.get(&hasher, b"absent").is_none());
                    let (field, value) = held.random(salt.into());
                    prop_assert!(value == model[field.as_bytes()][..]);
                }
                Some(_) => prop_assert!(false, "it is a hash"),
            }
        }
        assert_nothing_is_left(table);
    }

    #[test]
    fn a_set_does_what_a_set_does(rounds in rounds(), dice in any::<u64>()) {
        let (hasher, hash, mut table) = (hasher(), hasher().hash(KEY), Table::new());
        let mut model = BTreeSet::new();
        for [added, removed] in &rounds {
            let before = model.len();
            model.extend(added.iter().cloned());
            if !added.is_empty() {
                prop_assert_eq!(table.set_add(&hasher, hash, KEY, slices(added)), model.len() - before);
            }
            let before = model.len();
            model.retain(|member| !removed.contains(member));
            prop_assert_eq!(table.set_remove(&hasher, hash, KEY, slices(removed)), before - model.len());
            match value(&table) {
                None => prop_assert!(model.is_empty()),
                Some(Value::Set(held)) => {
                    prop_assert_eq!(held.len(), model.len());
                    let members: BTreeSet<_> = held.iter().map(|member| member.as_bytes().to_vec()).collect();
                    prop_assert_eq!(&members, &model);
                    prop_assert!(model.iter().all(|member| held.contains(&hasher, member)));
                    prop_assert!(!held.contains(&hasher, b"absent"));
                    prop_assert!(model.contains(held.random(dice).as_bytes()));
                }
                Some(_) => prop_assert!(false, "it is a set"),
            }
        }
        assert_nothing_is_left(table);
    }

    #[test]
    fn a_sorted_set_does_what_a_sorted_vector_does(rounds in rounds(), scores in prop::collection::vec(-3i8..4, 200)) {
        let (hasher, hash, mut table) = (hasher(), hasher().hash(KEY), Table::new());
        let mut model = BTreeMap::new();
        for [set, removed] in &rounds {
            let scores = || scores.iter().map(|score| f64::from(*score) / 2.0);
            let before = model.len();
            model.extend(set.iter().cloned().zip(scores()));
            if !set.is_empty() {
                prop_assert_eq!(table.sorted_set_set(&hasher, hash, KEY, scores().zip(slices(set))), model.len() - before);
            }
            let before = model.len();
            model.retain(|member, _| !removed.contains(member));
            prop_assert_eq!(table.sorted_set_remove(&hasher, hash, KEY, slices(removed)), before - model.len());
            let mut sorted: Vec<_> = model.iter().map(|(member, score)| (*score, member.clone())).collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
            match value(&table) {
                None => prop_assert!(model.is_empty()),
                Some(Value::SortedSet(held)) => {
                    let pair = |(score, member): (f64, Item<'_>)| (score, member.as_bytes().to_vec());
                    prop_assert_eq!(held.len(), sorted.len());
                    prop_assert_eq!(held.iter_from(0).map(pair).collect::<Vec<_>>(), sorted.clone());
                    for (rank, (score, member)) in sorted.iter().enumerate() {
                        prop_assert_eq!(held.score(&hasher, member), Some(*score));
                        prop_assert_eq!(held.rank(&hasher, member), Some(rank));
                    }
                    let below = sorted.iter().filter(|(score, _)| *score < 0.5).count();
                    prop_assert_eq!(held.partition_point(|score, _| score < 0.5), below);
                    prop_assert_eq!(held.partition_point_by_score(|score| score < 0.5), below);
                    let middle = sorted.len() / 2;
                    prop_assert_eq!(held.iter_from(middle).map(pair).collect::<Vec<_>>(), &sorted[middle..]);
                    prop_assert!(held.iter_from(sorted.len() + 1).next().is_none());
                    let back: Vec<_> = sorted[..=middle].iter().rev().cloned().collect();
                    prop_assert_eq!(held.iter_back_from(middle).map(pair).collect::<Vec<_>>(), back);
                    prop_assert_eq!(held.iter_back_from(usize::MAX).count(), sorted.len());
                }
                Some(_) => prop_assert!(false, "it is a sorted set"),
            }
        }
        assert_nothing_is_left(table);
    }

    #[test]
    fn a_list_does_what_a_vector_does(
        splices in prop::collection::vec((0usize..3000, 0usize..200, prop::collection::vec(name(), 0..200)), 1..12),
    ) {
        let (hasher, hash, mut table) = (hasher(), hasher().hash(KEY), Table::new());
        let mut model = Vec::<Vec<u8>>::new();
        for (index, removed, elements) in &splices {
            table.list_splice(&hasher, hash, KEY, *index, *removed, slices(elements));
            let index = *index.min(&model.len());
            let end = (index + removed).min(model.len());
            model.splice(index..end, elements.iter().cloned());
            match value(&table) {
                None => prop_assert!(model.is_empty()),
                Some(Value::List(held)) => {
                    let elements: Vec<_> = held.iter_from(0).map(|element| element.as_bytes().to_vec()).collect();
                    prop_assert_eq!(held.len(), model.len());
                    prop_assert_eq!(&elements, &model);
                    prop_assert!(held.get(index).is_none_or(|element| element == model[index][..]));
                }
                Some(_) => prop_assert!(false, "it is a list"),
            }
        }
        assert_nothing_is_left(table);
    }

    #[test]
    fn any_bytes_are_checked_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), kind in 0u8..7) {
        for bytes in [bytes.clone(), [&[kind, 2, 0], &bytes[..]].concat()] {
            if check_packed(&bytes) {
                prop_assert!(!Value::packed(&bytes).content().is_empty());
            }
        }
    }
}

#[test]
fn collections_grow_where_redis_has_them_grow() {
    let (hasher, hash) = (hasher(), hasher().hash(KEY));
    let numbers = |count: usize| (0..count).map(|i| i.to_string().into_bytes()).collect::<Vec<_>>();
    let words = |count: usize| (0..count).map(|i| format!("w{i}").into_bytes()).collect::<Vec<_>>();
    let set = |members: &[Vec<u8>]| {
        let mut table = Table::new();
        table.set_add(&hasher, hash, KEY, slices(members));
        match value(&table) {
            Some(Value::Set(SetRef::Integers(_))) => "integers",
            Some(Value::Set(SetRef::Packed(_))) => "packed",
            Some(Value::Set(SetRef::Big(_))) => "big",
            _ => "no set",
        }
    };
    assert_eq!([512, 513].map(|count| set(&numbers(count))), ["integers", "big"]);
    assert_eq!([128, 129].map(|count| set(&words(count))), ["packed", "big"]);
    assert_eq!([&numbers(127), &numbers(128)].map(|n| set(&[&n[..], &words(1)].concat())), ["packed", "big"]);
    assert_eq!([64, 65].map(|len| set(&[vec![b'x'; len]])), ["packed", "big"]);

    let mut table = Table::new();
    let mut grown_at = None;
    for (count, field) in words(600).iter().enumerate() {
        table.hash_set(&hasher, hash, KEY, [(&field[..], &b"1"[..])].into_iter());
        let is_big = matches!(value(&table), Some(Value::Hash(HashRef::Big(_))));
        grown_at = grown_at.or(is_big.then_some(count + 1));
    }
    assert_eq!(grown_at, Some(513));
}

#[test]
fn an_effect_on_another_type_begins_anew_and_the_expiry_stays() {
    let (hasher, hash, mut table) = (hasher(), hasher().hash(KEY), Table::new());
    table.set(&hasher, hash, KEY, b"text", Some(9));
    table.set_add(&hasher, hash, KEY, [&b"a"[..]].into_iter());
    assert!(matches!(value(&table), Some(Value::Set(_))));
    table.hash_set(&hasher, hash, KEY, [(&b"f"[..], &b"v"[..])].into_iter());
    assert!(matches!(value(&table), Some(Value::Hash(_))));
    assert_eq!(table.get(hash, KEY).unwrap().expire_at_ms(), Some(9));
    table.patch(&hasher, hash, KEY, 1, b"x");
    assert_eq!(table.get(hash, KEY).unwrap().string(), Some(&b"\0x"[..]));
    assert_eq!(table.volatile_len(), 1);
    table.set_value(&hasher, hash, KEY, NewValue::String(b"end"), None);
    assert_nothing_is_left(table);
}
