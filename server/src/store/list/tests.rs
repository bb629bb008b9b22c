use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::packed::put_item;
use super::*;

type Model = VecDeque<Vec<u8>>;

/// Counts everything instead of keeping sums, and looks at every bound and order that the list relies on.
fn assert_sound(list: &List) {
    let (mut len, mut bytes) = (0, 0);
    for group in &list.groups {
        assert!((1..=GROUP_RUNS_MAX).contains(&group.runs().len()));
        assert_eq!(group.len(), group.runs().iter().map(Run::len).sum::<usize>());
        for run in group.runs() {
            assert!(Packed::check(run.bytes(), run.len()) && run.len() > 0);
            assert!(run.bytes().len() <= RUN_BYTES_MAX || run.len() == 1);
            bytes += run.heap_bytes();
        }
        len += group.len();
        bytes += deque_bytes(group.runs());
    }
    assert_eq!((list.len, list.groups_bytes), (len, bytes));

    let Some((group, run)) = list.last_run() else {
        assert_eq!(list.used_bytes(), 0, "an empty list has no memory");
        return;
    };
    let run = &list.groups[group].runs()[run];
    assert!((1..=run.len().min(LAST_LENS_MAX)).contains(&list.last_lens.len()));
    let mut end = run.bytes().len();
    for (i, &item_len) in list.last_lens.iter().rev().enumerate() {
        assert_eq!(run.items().range_of(run.len() - 1 - i, 1), end - item_len as usize..end);
        end -= item_len as usize;
    }
}

fn assert_agrees(list: &List, model: &Model) {
    assert_sound(list);
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    assert!(list.iter_from(0).map(|item| item.as_bytes().to_vec()).eq(model.iter().cloned()));
    if let Some(last) = model.len().checked_sub(1) {
        let backwards = list.iter_back_from(last).map(|item| item.as_bytes().to_vec());
        assert!(backwards.eq(model.iter().rev().cloned()));
    }
    for index in (0..model.len() + 2).step_by(model.len() / 20 + 1) {
        let item = list.get(index).map(|item| item.as_bytes().to_vec());
        assert_eq!(item.as_ref(), model.get(index));
        if index < model.len() {
            assert_eq!(list.iter_from(index).count(), model.len() - index);
            assert_eq!(list.iter_back_from(index).count(), index + 1);
        }
    }
}

fn splice(list: &mut List, model: &mut Model, index: usize, removed: usize, items: &[Vec<u8>]) {
    list.splice(index, removed, items.iter().map(Vec::as_slice));
    let tail = model.split_off(index);
    model.extend(items.iter().cloned());
    model.extend(tail.into_iter().skip(removed));
}

/// Items of every size: integers, short ones, some that fill a run's half, and longer than a run.
fn item() -> impl Strategy<Value = Vec<u8>> {
    let text = |len: std::ops::Range<usize>| (len, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    prop_oneof![
        4 => any::<i16>().prop_map(|value| value.to_string().into_bytes()),
        4 => text(0..40),
        2 => text(150..600),
        2 => text(2000..5000),
        1 => text(8150..8250),
        1 => text(9000..20_000),
    ]
}

#[derive(Clone, Debug)]
struct Op {
    /// Where, of the length, in 1/1000.
    at: usize,
    removed: Removed,
    items: Vec<Vec<u8>>,
    times: usize,
}

#[derive(Clone, Debug)]
enum Removed {
    Few(usize),
    /// Of what is there, in 1/1000.
    Part(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let at = prop_oneof![3 => Just(0), 3 => Just(1000), 3 => 0..=1000usize];
    let removed = prop_oneof![
        3 => Just(Removed::Few(0)),
        2 => (1..4usize).prop_map(Removed::Few),
        1 => (0..=1000usize).prop_map(Removed::Part),
    ];
    let items = prop_oneof![
        1 => Just(Vec::new()),
        2 => prop::collection::vec(item(), 1..3),
        1 => prop::collection::vec(item(), 1..60),
    ];
    let times = prop_oneof![3 => Just(1), 1 => 2..40usize];
    (at, removed, items, times).prop_map(|(at, removed, items, times)| Op { at, removed, items, times })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_list_does_what_a_deque_does(ops in prop::collection::vec(op(), 1..40)) {
        let (mut list, mut model) = (List::new(), Model::new());
        for op in ops {
            for _ in 0..op.times {
                // At the end, what is removed is taken from before it.
                let removed = match op.removed {
                    Removed::Few(count) => count.min(model.len()),
                    Removed::Part(part) => model.len() * part / 1000,
                };
                let index = (model.len() * op.at / 1000).min(model.len() - removed);
                splice(&mut list, &mut model, index, removed, &op.items);
            }
            assert_agrees(&list, &model);
        }
    }

    #[test]
    fn a_packed_list_becomes_a_long_one(items in prop::collection::vec(item(), 0..40)) {
        let mut bytes = Vec::new();
        items.iter().for_each(|item| put_item(&mut bytes, item));
        let mut list = List::from_packed(Packed::new(&bytes, items.len()));
        let mut model = Model::from(items);
        assert_agrees(&list, &model);
        splice(&mut list, &mut model, 0, 0, &[b"first".to_vec()]);
        let end = model.len();
        splice(&mut list, &mut model, end, 0, &[b"last".to_vec()]);
        assert_agrees(&list, &model);
    }
}

/// Different items, of 14 bytes each.
fn name(index: usize) -> Vec<u8> {
    format!("item {index:8}").into_bytes()
}

fn long_list(len: usize) -> (List, Model) {
    let (mut list, mut model) = (List::new(), Model::new());
    let items: Vec<_> = (0..len).map(name).collect();
    splice(&mut list, &mut model, 0, 0, &items);
    (list, model)
}

#[test]
fn a_list_pushed_at_either_end_is_full_runs() {
    for is_front in [false, true] {
        let mut list = List::new();
        for i in 0..200_000 {
            let index = if is_front { 0 } else { list.len() };
            list.splice(index, 0, [&name(i)[..]]);
        }
        assert_sound(&list);
        let payload = 200_000 * 14;
        assert!(list.groups.len() >= 3);
        assert!(list.used_bytes() < payload + payload / 50, "{} for {payload}", list.used_bytes());
    }
}

#[test]
fn a_queue_and_a_stack_stay_small_and_leave_nothing() {
    for is_stack in [false, true] {
        let (mut list, mut model) = long_list(3000);
        for i in 0..20_000 {
            let end = model.len();
            splice(&mut list, &mut model, end, 0, &[name(i)]);
            let popped = if is_stack { model.len() - 1 } else { 0 };
            splice(&mut list, &mut model, popped, 1, &[]);
        }
        assert_agrees(&list, &model);
        assert!(list.used_bytes() < 3000 * 14 * 3 / 2);
        while !model.is_empty() {
            let popped = if is_stack { model.len() - 1 } else { 0 };
            splice(&mut list, &mut model, popped, 1, &[]);
            assert_sound(&list);
        }
    }
}

#[test]
fn insertions_in_the_middle_leave_no_tiny_runs() {
    let (mut list, mut model) = long_list(2000);
    for i in 0..60_000 {
        let index = (i * 7919) % model.len();
        splice(&mut list, &mut model, index, 0, &[name(i)]);
    }
    assert_agrees(&list, &model);
    assert!(list.used_bytes() < 62_000 * 14 * 2, "{}", list.used_bytes());
}

#[test]
fn a_list_that_loses_most_items_here_and_there_joins_its_runs() {
    let (mut list, mut model) = long_list(200_000);
    let mut index = 0;
    while index < model.len() {
        list.splice(index, 1.min(model.len() - index), []);
        model.remove(index);
        // Leaves every 40th item.
        if model.len() % 39 == 0 {
            index += 1;
        }
    }
    assert_agrees(&list, &model);
    assert!(model.len() > 4000);
    assert!(list.used_bytes() < model.len() * 14 * 3, "{} for {}", list.used_bytes(), model.len());
    assert!(list.groups.len() <= 2, "{}", list.groups.len());
}

#[test]
fn a_trimmed_list_gives_its_memory_back() {
    let (mut list, mut model) = long_list(300_000);
    splice(&mut list, &mut model, 0, 200_000, &[]);
    splice(&mut list, &mut model, 10, 99_990, &[]);
    assert_agrees(&list, &model);
    assert!(list.used_bytes() < 2000, "{}", list.used_bytes());
}
