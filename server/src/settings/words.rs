//! Words of a line, quoted as in redis.conf.

/// Splits a line at spaces. `"..."` takes `\n`, `\r`, `\t`, `\b`, `\a`, `\xHH` and `\` before any other character;
/// `'...'` takes only `\'`. `None` where quotes do not balance, or a closing one is followed by more than a space.
///
/// Source: Redis' `sdssplitargs`.
pub fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(blank);
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = split_word(rest, &mut word)?.trim_start_matches(blank);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

fn blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\0'
}

/// Appends the first word of `text` to `word` and returns what follows it.
fn split_word<'a>(text: &'a str, word: &mut Vec<u8>) -> Option<&'a str> {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '"' | '\'' => {
                let after = unquote(&rest[1..], c, word)?;
                return after.chars().next().is_none_or(blank).then_some(after);
            }
            c if blank(c) => break,
            c => {
                word.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Some(rest)
}

/// Appends the quoted text up to the closing `quote` and returns what follows that.
fn unquote<'a>(text: &'a str, quote: char, word: &mut Vec<u8>) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let c = rest.chars().next()?;
        if c == quote {
            return Some(&rest[1..]);
        }
        let (bytes, taken) = match (c, quote) {
            ('\\', '"') => escape(rest)?,
            ('\\', _) if rest[1..].starts_with('\'') => (vec![b'\''], 2),
            _ => (rest.as_bytes()[..c.len_utf8()].to_vec(), c.len_utf8()),
        };
        word.extend_from_slice(&bytes);
        rest = &rest[taken..];
    }
}

/// What an escape at the start of `text` stands for, and its length.
fn escape(text: &str) -> Option<(Vec<u8>, usize)> {
    if let Some(hex) = text.strip_prefix("\\x").and_then(|rest| rest.get(..2))
        && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
    {
        return Some((vec![u8::from_str_radix(hex, 16).ok()?], 4));
    }
    let c = text[1..].chars().next()?;
    let mut utf8 = [0; 4];
    let bytes = match c {
        'n' => b"\n",
        'r' => b"\r",
        't' => b"\t",
        'b' => b"\x08",
        'a' => b"\x07",
        c => c.encode_utf8(&mut utf8).as_bytes(),
    };
    Some((bytes.to_vec(), 1 + c.len_utf8()))
}

/// The word as it must be written in a file to be read back by [`split_words`].
pub fn quote_word(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\' | '#');
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u8)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Option<Vec<String>> {
        split_words(line)
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        for (line, expected) in [
            ("save 900 1", &["save", "900", "1"][..]),
            ("  save\t\"\"  ", &["save", ""]),
            (r#"a "b c" 'd e'"#, &["a", "b c", "d e"]),
            (r#""\x41\n\"\q" 'it\'s \n'"#, &["A\n\"q", r"it's \n"]),
            (r#"pre"fix""#, &["prefix"]),
            ("", &[]),
        ] {
            assert_eq!(
                words(line).as_deref(),
                Some(&expected.iter().map(|w| w.to_string()).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [r#"port "12"#, "a 'b", r#"a "b"c"#, r#"a "b\"#, r#""\xff""#] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_reads_back(word in any::<String>()) {
            prop_assert_eq!(words(&format!("dir {}", quote_word(&word))), Some(vec!["dir".into(), word]));
        }

        #[test]
        fn no_line_panics(line in ".*") {
            let _ = words(&line);
        }
    }
}
