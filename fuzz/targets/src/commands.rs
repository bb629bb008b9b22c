//! Scripts of commands on a shard: one reply each, and effects that lead to the same on a copy.

use super::shard::Shard;

pub(super) const WORDS: &[&[u8]] = &[
    b"\nSET k 5",
    b"\nAPPEND k x",
    b"\nHSET h f v",
    b"\nSADD s a 1",
    b"\nZADD z 1 a",
    b"\nRPUSH l a b",
    b"\nSORT l BY * GET # STORE d",
    b"\nLMOVE l l LEFT RIGHT",
    b"\nBITFIELD k SET u8 #1 255 OVERFLOW FAIL INCRBY i64 0 -1",
    b"\nZRANGESTORE d z 0 -1 REV",
    b"\nCOPY h d REPLACE",
    b"\nEXPIRE k 100 NX",
    b"\nLPOS l a RANK -1 COUNT 0",
    b"\nSINTERCARD 2 s s LIMIT 1",
    b"\nHRANDFIELD h -5 WITHVALUES",
    b" -1",
    b" 0",
    b" inf",
    b" (1",
    b" [a",
    b" -",
    b" +",
    b" 9223372036854775807",
    b" -9223372036854775808",
    b" 1e308",
    b" nan",
    b" WITHSCORES",
    b" STORE k",
    b" LIMIT 0 1",
    b" COUNT 2",
    b"\nSCAN 0 MATCH * COUNT 1",
    b"\nLCS k k IDX",
    b"\nZADD z INCR 1 a",
    b"\nZUNION 2 z s WEIGHTS 1 2",
];

/// Numbers in between name an amount of memory or work that a command is right to take, and a fuzzer should not.
const HUGE: std::ops::Range<u64> = 5_000..1 << 40;

/// Lines of arguments with a space between; `~` begins one that is repeated 70 times, which makes it too long to be packed.
pub fn commands(data: &[u8]) {
    let mut shard = Shard::new();
    for line in data.split(|&byte| byte == b'\n').take(40) {
        let args: Vec<Vec<u8>> = line.split(|&byte| byte == b' ').map(argument).collect();
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let is_huge = |arg: &&[u8]| {
            let digits: Vec<u8> = arg.iter().copied().filter(u8::is_ascii_digit).collect();
            str::from_utf8(&digits)
                .is_ok_and(|digits| digits.parse::<u64>().is_ok_and(|count| HUGE.contains(&count)))
        };
        if !args.iter().any(is_huge) {
            shard.run_by_name(&args);
        }
    }
}

fn argument(text: &[u8]) -> Vec<u8> {
    match text.strip_prefix(b"~") {
        Some(rest) => rest.repeat(70),
        None => text.to_vec(),
    }
}
