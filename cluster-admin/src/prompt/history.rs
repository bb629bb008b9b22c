//! Lines typed earlier: where they are kept, and which ones are not.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use carousel_protocol::resp::split_words;

/// Lines that are remembered.
pub const LINES_MAX: usize = 1_000;

/// The file of this user; `None` where the environment names no place for it.
pub fn file() -> Option<PathBuf> {
    file_in(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn file_in(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let given = |dir: OsString| Some(PathBuf::from(dir)).filter(|dir| dir.is_absolute());
    let state = state.and_then(given).or_else(|| Some(home.and_then(given)?.join(".local/state")))?;
    Some(state.join("carousel/cli-history"))
}

/// Makes the directory of `file`, which nobody else may look into. The file itself is made by the line editor,
/// which lets nobody else read it either.
///
/// # Errors
/// As the system's.
pub fn make_room(file: &std::path::Path) -> std::io::Result<()> {
    let dir = file.parent().expect("it is in a directory");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// May this line be kept? Not with a password in it.
pub fn is_kept(line: &str) -> bool {
    let words = split_words(line.as_bytes()).unwrap_or_else(|_| {
        // A mistyped line is worth keeping too, and its password as secret.
        let quote = |char: char| matches!(char, '"' | '\'');
        line.split_whitespace().map(|word| word.trim_matches(quote).as_bytes().to_vec()).collect()
    });
    !carries_password(&words)
}

fn carries_password(words: &[Vec<u8>]) -> bool {
    let upper: Vec<String> =
        words.iter().map(|word| String::from_utf8_lossy(word).to_ascii_uppercase()).collect();
    let is = |index: usize, name: &str| upper.get(index).is_some_and(|word| word == name);
    let names_secret = |word: &String| word.contains("PASS") || word.contains("AUTH");
    match upper.first().map(String::as_str) {
        Some("AUTH") => true,
        Some("HELLO" | "MIGRATE") => upper[1..].iter().any(names_secret),
        Some("ACL") => is(1, "SETUSER"),
        // Which of the words are names does not matter: a line too few is kept rather than one too many.
        Some("CONFIG") => is(1, "SET") && upper[2..].iter().any(names_secret),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_passwords_are_not_kept() {
        for line in [
            "AUTH secret",
            "auth default secret",
            "  \"auth\" secret",
            "AUTH \"secret",
            "hello 3 auth default secret",
            "HELLO 3 SETNAME x AUTH default secret",
            "config set requirepass secret",
            "CONFIG SET maxclients 5 RequirePass \"se cret\"",
            "config set requirepass \"half a quote",
            "config set masterauth secret",
            "acl setuser alice on >secret",
            "migrate h 6379 k 0 100 AUTH2 user secret",
        ] {
            assert!(!is_kept(line), "{line}");
        }
    }

    #[test]
    fn all_other_lines_are_kept() {
        for line in [
            "get auth",
            "set pass word",
            "hello 3",
            "config get requirepass",
            "config set maxclients 5",
            "get \"x",
            "help auth",
            "",
        ] {
            assert!(is_kept(line), "{line}");
        }
    }

    #[test]
    fn the_file_is_where_the_environment_wants_state() {
        let some = |text: &str| Some(OsString::from(text));
        let file = |state, home| file_in(state, home).map(|path| path.display().to_string());
        assert_eq!(file(some("/s"), some("/h")).unwrap(), "/s/carousel/cli-history");
        assert_eq!(file(None, some("/h")).unwrap(), "/h/.local/state/carousel/cli-history");
        assert_eq!(file(some("relative"), some("/h")).unwrap(), "/h/.local/state/carousel/cli-history");
        assert_eq!(file(some(""), None), None);
    }
}
