//! Pure modules stay pure: they name no runtime, socket, file, clock or source of randomness, and no module that drives
//! them. That is what lets a whole cluster of them run in one thread, repeatable by its seed.
//!
//! The sources are read as tokens, so that comments and strings do not count, and code under `#[cfg(test)]` is left out.
//! Names are followed through `use`, renamings, `super` and `self`; macros that expand to such a name are not seen.

mod paths;
mod tokens;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use paths::{Named, named_paths};
use tokens::tokens;

/// Folders and files of pure code, below the workspace.
const PURE: &[&str] = &[
    "protocol/src",
    "server/src/command",
    "server/src/config",
    "server/src/persist/record.rs",
    "server/src/persist/transactions.rs",
    "server/src/placement",
    "server/src/rdb",
    "server/src/replication",
    "server/src/shard",
    "server/src/store",
    "server/src/transfer",
    "server/src/varint.rs",
];

/// Drivers that lie in a folder of pure code. Each is also forbidden to that code, below.
const DRIVERS: &[&str] = &[
    "server/src/shard/drive.rs",
    "server/src/shard/drive",
    // The log as `drive` uses it.
    "server/src/shard/journal.rs",
    "server/src/shard/mailbox.rs",
];

/// What pure code must not name, and what it should do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("async_std", RUNTIME),
    ("compio", RUNTIME),
    ("glommio", RUNTIME),
    ("monoio", RUNTIME),
    ("smol", RUNTIME),
    ("tokio", RUNTIME),
    ("std::thread", RUNTIME),
    ("socket2", SOCKET),
    ("std::net::TcpListener", SOCKET),
    ("std::net::TcpStream", SOCKET),
    ("std::net::ToSocketAddrs", SOCKET),
    ("std::net::UdpSocket", SOCKET),
    ("std::os", SOCKET),
    ("libc", FILE),
    ("memmap2", FILE),
    ("nix", FILE),
    ("redb", FILE),
    ("rustix", FILE),
    ("std::env", FILE),
    ("std::fs", FILE),
    ("std::io::stderr", FILE),
    ("std::io::stdin", FILE),
    ("std::io::stdout", FILE),
    ("std::process", FILE),
    ("tempfile", FILE),
    ("std::time::Instant", CLOCK),
    ("std::time::SystemTime", CLOCK),
    ("std::time::UNIX_EPOCH", CLOCK),
    ("fastrand", DICE),
    ("getrandom", DICE),
    ("rand", DICE),
    ("hashbrown::DefaultHashBuilder", DICE),
    ("hashbrown::HashMap", DICE),
    ("hashbrown::HashSet", DICE),
    ("rapidhash::RandomState", DICE),
    ("rapidhash::fast::RandomState", DICE),
    ("rapidhash::quality::RandomState", DICE),
    ("std::collections::HashMap", DICE),
    ("std::collections::HashSet", DICE),
    ("std::collections::hash_map", DICE),
    ("std::collections::hash_set", DICE),
    ("std::hash::RandomState", DICE),
    ("openraft", DRIVER),
    ("crate::boot", DRIVER),
    ("crate::conn", DRIVER),
    ("crate::control", DRIVER),
    ("crate::peer", DRIVER),
    ("crate::persist", DRIVER),
    ("crate::raft", DRIVER),
    ("crate::runtime", DRIVER),
    ("crate::shard::drive", DRIVER),
    ("crate::shard::journal", DRIVER),
    ("crate::shard::mailbox", DRIVER),
];

/// What lies below a forbidden name and is pure all the same.
const ALLOWED: &[&str] = &["crate::persist::record", "crate::persist::transactions"];

/// Uses that are known to be harmless: file, name, why. One that is used no more must go.
const EXCUSED: &[(&str, &str, &str)] = &[];

const RUNTIME: &str = "a runtime: return an action and let the driver wait";
const SOCKET: &str = "a socket: return an action that sends";
const FILE: &str = "a file or the process: take what you need as an argument, storage as a trait";
const CLOCK: &str = "a clock: take `now: Now`";
const DICE: &str = "a source of randomness, be it the order of a hash map: take a seed, or use a BTreeMap";
const DRIVER: &str = "a driver: dependencies point from drivers to pure modules";

/// A name that pure code must not use.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Violation {
    file: String,
    line: usize,
    path: String,
    rule: &'static str,
    why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}` is {}", self.file, self.line, self.path, self.why)
    }
}

/// What the text of a module breaks. `module` is its path, such as `["crate", "store"]`.
fn violations(file: &str, module: &[&str], text: &str) -> Vec<Violation> {
    let mut found: Vec<Violation> = Vec::new();
    for named in named_paths(&tokens(text), module) {
        if let Some(&(rule, why)) = FORBIDDEN.iter().find(|(rule, _)| breaks(&named, rule)) {
            let violation =
                Violation { file: file.to_owned(), line: named.line, path: named.path.join("::"), rule, why };
            if !found.iter().any(|known| known.line == violation.line && known.rule == rule) {
                found.push(violation);
            }
        }
    }
    found
}

fn breaks(named: &Named, rule: &str) -> bool {
    let below = |parent: &str| {
        let mut parts = parent.split("::");
        let mut path = named.path.iter();
        parts.all(|part| path.next().is_some_and(|name| name == part))
    };
    if ALLOWED.iter().any(|allowed| below(allowed)) {
        return false;
    }
    // `use std::time::*` brings the clocks although it does not say so.
    let hidden =
        named.glob && named.path[0] == "std" && rule.starts_with(&format!("{}::", named.path.join("::")));
    below(rule) || hidden
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server lies in the workspace").to_owned()
}

/// All sources below `root` in the order of their names.
fn sources(root: &Path) -> Vec<PathBuf> {
    if root.is_file() {
        return vec![root.to_owned()];
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    entries.sort();
    entries
        .iter()
        .flat_map(|path| {
            if path.is_dir() {
                sources(path)
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                vec![path.clone()]
            } else {
                Vec::new()
            }
        })
        .collect()
}

/// The folder in which the modules of a source lie: its own for `mod.rs`, one of its name for others.
fn folder_of(source: &Path) -> PathBuf {
    let stem = source.file_stem().expect("a source has a name");
    if ["mod", "lib", "main"].iter().any(|name| stem == *name) {
        source.with_file_name("")
    } else {
        source.with_extension("")
    }
}

/// Files and folders of modules that a source declares under `#[cfg(test)]`.
fn test_files(source: &Path, text: &str) -> Vec<PathBuf> {
    let modules = paths::test_modules(&tokens(text));
    modules
        .into_iter()
        .flat_map(|module| {
            let file = match module.file {
                Some(file) => source.with_file_name(file),
                None => folder_of(source).join(format!("{}.rs", module.name)),
            };
            [folder_of(&file), file]
        })
        .collect()
}

/// `["crate", "store", "entry"]` for `server/src/store/entry.rs`.
fn module_of(source: &Path) -> Vec<String> {
    let parts: Vec<String> = source.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let src = parts.iter().rposition(|part| part == "src").expect("sources lie in src");
    let mut module = vec!["crate".to_owned()];
    module.extend(parts[src + 1..].iter().map(|part| part.trim_end_matches(".rs").to_owned()));
    if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        module.pop();
    }
    module
}

#[test]
fn pure_modules_name_nothing_of_the_world() {
    let root = workspace();
    let mut files = Vec::new();
    for folder in PURE {
        let found = sources(&root.join(folder));
        assert!(!found.is_empty(), "{folder} has no sources: has it moved?");
        files.extend(found.into_iter().map(|path| {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, text)
        }));
    }
    let mut left_out: Vec<PathBuf> = files.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    left_out.extend(DRIVERS.iter().map(|driver| root.join(driver)));
    files.retain(|(path, _)| !left_out.iter().any(|left| path.starts_with(left)));

    let mut found = Vec::new();
    for (path, text) in &files {
        let file = path.strip_prefix(&root).expect("below the workspace").display().to_string();
        let module = module_of(path);
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        found.extend(violations(&file, &module, text));
    }
    for (file, rule, _) in EXCUSED {
        let before = found.len();
        found.retain(|violation| violation.file != *file || violation.rule != *rule);
        assert!(found.len() < before, "{file} does not use {rule} any more: take it off the list of excuses");
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "pure modules name what they must not:\n{}", lines.join("\n"));
}

#[test]
fn every_kind_of_planted_violation_is_found() {
    for (text, rule, line) in [
        ("use tokio::net::TcpStream;", "tokio", 1),
        ("use std::fs;", "std::fs", 1),
        ("\nfn f() { let _ = std::fs::read(\"x\"); }", "std::fs", 2),
        ("use std::time::{Duration, Instant};", "std::time::Instant", 1),
        (
            "use std::{io, time::{self as when, Duration}};\nfn f() { when::SystemTime::now(); }",
            "std::time::SystemTime",
            2,
        ),
        ("use std::time;\n\nfn f() { time::Instant::now(); }", "std::time::Instant", 3),
        ("use std::time::*;", "std::time::Instant", 1),
        ("pub(crate) use ::rand::Rng as _;", "rand", 1),
        ("fn f<T: rustix::fd::AsFd>(_: T) {}", "rustix", 1),
        ("#[derive(Debug)]\nstruct A { socket: compio::net::TcpStream }", "compio", 2),
        ("use std::collections::{BTreeMap, HashMap};", "std::collections::HashMap", 1),
        ("use crate::runtime::Runtime;", "crate::runtime", 1),
        ("use super::super::conn;", "crate::conn", 1),
        ("use crate::{limits, peer::link};", "crate::peer", 1),
        ("use crate::persist::{Log, record::RecordKind};", "crate::persist", 1),
        ("fn f() -> super::super::raft::Node { todo() }", "crate::raft", 1),
        ("use super::super::shard::journal::Journal;", "crate::shard::journal", 1),
        ("mod inner { use std::env; }", "std::env", 1),
        ("#[cfg(test)]\nmod tests { use std::fs; }\nuse std::net::TcpStream;", "std::net::TcpStream", 3),
        ("#[cfg(not(test))]\nuse std::process;", "std::process", 2),
        ("const C: char = '\"'; use std::fs; const D: char = '\"';", "std::fs", 1),
        ("fn f<'a>(x: &'a str) -> &'a str { std::env::var(x); x }", "std::env", 1),
    ] {
        let found = violations("planted.rs", &["crate", "store", "planted"], text);
        let found: Vec<_> = found.iter().map(|violation| (violation.rule, violation.line)).collect();
        assert_eq!(found, [(rule, line)], "{text}");
    }
}

#[test]
fn what_only_looks_like_a_violation_is_not_one() {
    for text in [
        "// use std::fs;",
        "/* use tokio; /* nested */ use rand; */",
        "/// Not [`std::time::Instant`].\nstruct A;",
        "const A: &str = \"use std::fs; \\\" tokio::spawn\";",
        "const A: &str = r#\"\" std::fs::read \"#; const B: &[u8] = br\"rand::random\";",
        "use std::time::Duration;",
        "use std::net::{IpAddr, SocketAddr};",
        "use std::io; fn f() -> io::Result<()> { Ok(()) }",
        "use crate::persist::record::{RecordHeader, RecordKind};",
        "#[cfg(test)]\nmod tests {\n use std::fs; fn f() { if true { std::env::args(); } }\n}\nfn g() {}",
        "#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;",
        "#[cfg(all(test, unix))]\nuse std::fs;",
        "fn f() { self.rand.next(); let tokio = 1; s.fs(); }",
        "struct A { rand: u64 }",
        "use super::shard; fn f() { x.runtime(); }",
    ] {
        assert_eq!(violations("innocent.rs", &["crate", "store", "innocent"], text), [], "{text}");
    }
}

#[test]
fn files_of_test_modules_are_found() {
    let of = |source: &str, text: &str| {
        test_files(Path::new(source), text).iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("src/store/mod.rs", "#[cfg(test)]\nmod tests;"), ["src/store/tests", "src/store/tests.rs"]);
    assert_eq!(
        of("src/store/entry.rs", "#[cfg(test)] mod tests;"),
        ["src/store/entry/tests", "src/store/entry/tests.rs"]
    );
    let renamed = "#[cfg(test)]\n#[path = \"entry_tests.rs\"]\nmod tests;";
    assert_eq!(of("src/store/entry.rs", renamed), ["src/store/entry_tests", "src/store/entry_tests.rs"]);
    assert_eq!(of("src/store/mod.rs", "mod tests; #[cfg(test)] mod inline { }"), Vec::<String>::new());
}
