//! Glob patterns of KEYS, SCAN and CONFIG GET.

/// Whether letters match their other case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// `a` matches `a` only.
    Sensitive,
    /// ASCII letters match either case.
    Insensitive,
}

/// Whether `text` matches `pattern`, as Redis' `stringmatchlen` has it: `*`, `?`, `[abc]`, `[^a-z]`, `\x`.
///
/// Its corner cases are kept: a class that is not closed ends with the pattern, a range may be written
/// backwards, and the empty text is matched by the empty pattern only (KEYS and SCAN know `*` themselves).
///
/// Takes at most `pattern.len() * text.len()` steps: only the last `*` seen is ever reconsidered, since an
/// earlier one that took more could not make the rest match either.
pub fn glob_match(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // The pattern behind the last star, and where the text that it does not take begins.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            star = Some((p, t));
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if p < pattern.len() {
            let (matches, next) = match_one(pattern, p, text[t], case);
            if matches {
                (p, t) = (next, t + 1);
                continue;
            }
        }
        let Some((behind, taken)) = star else { return false };
        star = Some((behind, taken + 1));
        (p, t) = (behind, taken + 1);
    }
}

/// Matches one byte against the element at `p`, which is not a star; also returns where the next element is.
fn match_one(pattern: &[u8], p: usize, byte: u8, case: Case) -> (bool, usize) {
    let same = |a: u8, b: u8| match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(&b),
    };
    match (pattern[p], pattern.get(p + 1)) {
        (b'?', _) => (true, p + 1),
        (b'[', _) => match_class(pattern, p + 1, byte, case),
        (b'\\', Some(&escaped)) => (same(escaped, byte), p + 2),
        (literal, _) => (same(literal, byte), p + 1),
    }
}

/// Matches one byte against the class whose inside begins at `p`.
fn match_class(pattern: &[u8], mut p: usize, byte: u8, case: Case) -> (bool, usize) {
    let fold = |b: u8| if case == Case::Insensitive { b.to_ascii_lowercase() } else { b };
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [b']', ..] => {
                p += 1;
                break;
            }
            [] => break,
            [from, b'-', to, ..] => {
                let (low, high) = (fold(from.min(to)), fold(from.max(to)));
                found |= (low..=high).contains(&fold(byte));
                p += 3;
            }
            [one, ..] => {
                found |= fold(one) == fold(byte);
                p += 1;
            }
        }
    }
    (found != negated, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Redis' own recursion, written down without a thought for speed.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            (_, []) => false,
            (_, [byte, rest @ ..]) => {
                let (matches, next) = match_one(pattern, 0, *byte, Case::Sensitive);
                matches && reference(&pattern[next..], rest)
            }
        }
    }

    #[test]
    fn patterns_match_as_in_redis() {
        let yes: &[(&str, &str)] = &[
            ("", ""),
            ("*", "anything"),
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("h[\\]]llo", "h]llo"),
            ("h\\*llo", "h*llo"),
            ("a**b***", "ab"),
            ("*ab*ab", "abab"),
            ("[abc", "c"),
            ("[a-", "-"),
            ("a\\", "a\\"),
            ("[^", "x"),
            ("*[0-9]", "key:7"),
        ];
        for (pattern, text) in yes {
            assert!(glob_match(pattern.as_bytes(), text.as_bytes(), Case::Sensitive), "{pattern} {text}");
        }
        let no: &[(&str, &str)] = &[
            ("*", ""),
            ("a", ""),
            ("", "a"),
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("h[]llo", "hllo"),
            ("h\\*llo", "hallo"),
            ("abc", "ABC"),
            ("*ab*ab", "ab"),
            ("[a-c]", "d"),
            ("a?", "a"),
        ];
        for (pattern, text) in no {
            assert!(!glob_match(pattern.as_bytes(), text.as_bytes(), Case::Sensitive), "{pattern} {text}");
        }
        assert!(glob_match(b"MAX*[A-C]", b"maxmemory-b", Case::Insensitive));
        assert!(!glob_match(b"MAX*", b"mix", Case::Insensitive));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"*a".repeat(500);
        assert!(!glob_match(&[&pattern[..], b"b"].concat(), &b"a".repeat(5000), Case::Sensitive));
    }

    proptest::proptest! {
        #[test]
        fn the_fast_way_agrees_with_the_obvious_one(pattern in r"[ab*?\[\]^\\-]{0,12}", text in "[ab^-]{1,10}") {
            proptest::prop_assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes(), Case::Sensitive),
                reference(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
