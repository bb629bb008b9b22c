use proptest::prelude::*;

use super::*;

#[test]
fn the_longest_common_subsequence() {
    TestShard::new().check(
        r#"
        MSET a ohmytext b mynewtext => OK
        LCS a b => "mytext"
        LCS a b LEN => :6
        LCS a b IDX => ["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]
        LCS a b idx minmatchlen 4 => ["matches", [[[:4, :7], [:5, :8]]], "len", :6]
        LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN => ["matches", [[[:4, :7], [:5, :8], :4]], "len", :6]
        LCS a b WITHMATCHLEN IDX MINMATCHLEN 0 => ["matches", [[[:4, :7], [:5, :8], :4], [[:2, :3], [:0, :1], :2]], "len", :6]
        LCS a b IDX MINMATCHLEN -5 => ["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]
        LCS a b IDX MINMATCHLEN 9223372036854775807 => ["matches", [], "len", :6]
        LCS a b MINMATCHLEN 5 WITHMATCHLEN => "mytext"
        LCS a b LEN LEN => :6
        LCS a a => "ohmytext"
        LCS a none => ""
        LCS none a LEN => :0
        LCS none none IDX => ["matches", [], "len", :0]
        LCS a b LEN IDX => -ERR If you want both the length and indexes, please just use IDX.
        LCS a b MINMATCHLEN => -ERR syntax error
        LCS a b MINMATCHLEN x => -ERR value is not an integer or out of range
        LCS a b WHAT => -ERR syntax error
        "#,
    );
}

#[test]
fn strings_of_a_table_larger_than_a_value_are_refused() {
    let mut shard = TestShard::new();
    // (11585 + 1) * (11585 + 1) numbers of four bytes are just above 512 MiB.
    shard.reply(&[b"SET", b"a", &[b'x'; 11_585]]);
    shard.reply(&[b"SET", b"b", &[b'x'; 11_583]]);
    let refused = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    assert_eq!(shard.run("LCS a a LEN"), refused);
    assert_eq!(shard.run("LCS a a"), refused);
    shard.check("LCS a b LEN => :11583\n LCS b a LEN => :11583");
    assert_eq!(shard.reply(&[b"LCS", b"b", b"a"]), Reply::Bulk(vec![b'x'; 11_583]));
}

/// The table of lengths as Redis fills it, and the ranges that it finds on the way back.
fn model(a: &[u8], b: &[u8]) -> (usize, Vec<[usize; 3]>) {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i][j] = match a[i - 1] == b[j - 1] {
                true => table[i - 1][j - 1] + 1,
                false => table[i - 1][j].max(table[i][j - 1]),
            };
        }
    }
    let mut ranges: Vec<[usize; 3]> = Vec::new();
    let (mut i, mut j, mut in_range) = (a.len(), b.len(), false);
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            match ranges.last_mut() {
                Some([first, second, len]) if in_range => (*first, *second, *len) = (i, j, *len + 1),
                _ => ranges.push([i, j, 1]),
            }
            in_range = true;
        } else {
            in_range = false;
            if table[i - 1][j] > table[i][j - 1] { i -= 1 } else { j -= 1 }
        }
    }
    (table[a.len()][b.len()], ranges)
}

proptest! {
    #[test]
    fn matches_are_those_of_the_table_of_lengths(
        a in prop::collection::vec(b'a'..b'e', 0..200),
        b in prop::collection::vec(b'b'..b'f', 0..200),
    ) {
        let mut shard = TestShard::new();
        shard.reply(&[b"SET", b"a", &a]);
        shard.reply(&[b"SET", b"b", &b]);
        let (len, ranges) = model(&a, &b);
        prop_assert_eq!(shard.run("LCS a b LEN"), format!(":{len}"));
        let text: Vec<_> = ranges.iter().rev().flat_map(|[first, _, len]| &a[*first..first + len]).copied().collect();
        prop_assert_eq!(text.len(), len);
        prop_assert_eq!(shard.reply(&[b"LCS", b"a", b"b"]), Reply::Bulk(text));
        let shown: Vec<_> = ranges
            .iter()
            .map(|[a, b, len]| format!("[[:{a}, :{}], [:{b}, :{}], :{len}]", a + len - 1, b + len - 1))
            .collect();
        let expected = format!("[\"matches\", [{}], \"len\", :{len}]", shown.join(", "));
        prop_assert_eq!(shard.run("LCS a b IDX WITHMATCHLEN"), expected);
    }
}
