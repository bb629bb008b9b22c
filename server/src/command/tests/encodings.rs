use super::*;
use crate::store::Packing;

fn encodings(shard: &mut TestShard) -> Vec<String> {
    ["h", "i", "s", "z", "l"].map(|key| shard.run(&format!("OBJECT ENCODING {key}"))).to_vec()
}

/// Makes one of each type, of so many items of so many bytes.
fn fill(shard: &mut TestShard, items: usize, bytes: usize) {
    shard.run("DEL h i s z l");
    for i in 0..items {
        let item = format!("{i:0>bytes$}x");
        for line in [
            format!("HSET h {item} v"),
            format!("SADD i {i}"),
            format!("SADD s {item}"),
            format!("ZADD z {i} {item}"),
            format!("RPUSH l {item}"),
        ] {
            assert_eq!(shard.run(&line)[..1], *":", "{line}");
        }
    }
}

#[test]
fn collections_are_packed_up_to_what_is_set() {
    const SMALL: [&str; 5] = ["\"listpack\"", "\"intset\"", "\"listpack\"", "\"listpack\"", "\"listpack\""];
    const BIG: [&str; 5] =
        ["\"hashtable\"", "\"hashtable\"", "\"hashtable\"", "\"skiplist\"", "\"quicklist\""];
    let mut shard = TestShard::new();
    let set = |shard: &mut TestShard, packing: Packing| {
        shard.tables.set_packing(packing);
        shard.copy.set_packing(packing);
    };
    let few = Packing {
        hash_fields: 10,
        set_integers: 10,
        set_members: 10,
        sorted_set_members: 10,
        list_elements: 10,
        ..Packing::default()
    };
    set(&mut shard, few);
    fill(&mut shard, 10, 5);
    assert_eq!(encodings(&mut shard), SMALL);
    shard.check(
        "HSET h one more => :1\n SADD i 99 => :1\n SADD s m => :1\n ZADD z 9 m => :1\n RPUSH l m => :11",
    );
    assert_eq!(encodings(&mut shard), BIG);
    assert_eq!(shard.run("LRANGE l 9 -1"), "[\"00009x\", \"m\"]");
    shard.check("SREM i 99 => :1\n LPOP l => \"00000x\"");
    assert_eq!(encodings(&mut shard), BIG, "what is big stays so");

    set(&mut shard, Packing::default());
    fill(&mut shard, 120, 5);
    assert_eq!(encodings(&mut shard), SMALL);
    set(&mut shard, few);
    shard.check("HSET h 00000x w => :0\n HGET h 00000x => \"w\"");
    assert_eq!(encodings(&mut shard), SMALL, "what is packed stays so until it gets more");
    shard.check(
        "HSET h one more => :1\n SADD i 999 => :1\n SADD s m => :1\n ZADD z 9 m => :1\n RPUSH l m => :121",
    );
    assert_eq!(encodings(&mut shard), BIG);

    let wide = Packing {
        hash_fields: Packing::ITEMS_MAX / 2,
        hash_item_bytes: 1000,
        set_integers: Packing::ITEMS_MAX,
        set_members: Packing::ITEMS_MAX,
        set_item_bytes: 1000,
        sorted_set_members: Packing::ITEMS_MAX / 2,
        sorted_set_item_bytes: 1000,
        ..Packing::default().with_list_size(-5)
    };
    set(&mut shard, wide);
    fill(&mut shard, 150, 400);
    assert_eq!(encodings(&mut shard), SMALL);
}

#[test]
fn no_packed_collection_has_more_items_than_two_bytes_count() {
    let mut shard = TestShard::new();
    let packing = Packing { set_integers: Packing::ITEMS_MAX, ..Packing::default().with_list_size(-5) };
    shard.tables.set_packing(packing);
    shard.copy.set_packing(packing);
    let elements: Vec<_> = (0..=Packing::ITEMS_MAX).map(|i| (i % 10).to_string()).collect();
    let push = |count: usize| {
        let elements = elements[..count].iter().map(String::as_bytes);
        [&b"RPUSH"[..], b"l"].into_iter().chain(elements).collect::<Vec<_>>()
    };
    shard.run_bytes(&push(Packing::ITEMS_MAX - 1));
    shard.check("RPUSH l a => :65535\n OBJECT ENCODING l => \"listpack\"\n LPUSH l b => :65536");
    shard.check("OBJECT ENCODING l => \"quicklist\"\n LINDEX l 0 => \"b\"\n LINDEX l -1 => \"a\"");
}
