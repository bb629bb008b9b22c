//! As much of Rust's lexical structure as it takes to tell names from comments, strings, characters and lifetimes.

/// A token and the line it starts on, counted from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

/// What a token is; whatever matters to nobody here is a mark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An identifier or keyword, a raw one without its `r#`.
    Name(String),
    /// `::`.
    Separator,
    /// The content of a string literal, escapes as written.
    Text(String),
    /// Any other character.
    Mark(char),
}

/// The tokens of a source.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = match token_at(&chars, at) {
            (end, Some(kind)) => {
                found.push(Token { kind, line });
                end
            }
            (end, None) => end,
        };
        line += chars[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    found
}

/// Where the token (or the space or comment) at `at` ends, and what it is.
fn token_at(chars: &[char], at: usize) -> (usize, Option<Kind>) {
    let next = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (chars[at], next(1)) {
        ('/', '/') => (find(chars, at, |c| c == '\n'), None),
        ('/', '*') => (comment_end(chars, at), None),
        (':', ':') => (at + 2, Some(Kind::Separator)),
        ('"', _) => string(chars, at),
        ('\'', _) => (quote_end(chars, at), None),
        (c, _) if c.is_whitespace() => (at + 1, None),
        (c, _) if c.is_alphanumeric() || c == '_' => {
            let end = find(chars, at, |c| !(c.is_alphanumeric() || c == '_'));
            let name: String = chars[at..end].iter().collect();
            let hashes = find(chars, end, |c| c != '#') - end;
            let after = chars.get(end + hashes).copied().unwrap_or('\0');
            match name.as_str() {
                "r" | "br" | "cr" if after == '"' => raw_string(chars, end, hashes),
                "b" | "c" if hashes == 0 && after == '"' => string(chars, end),
                "b" if hashes == 0 && after == '\'' => (quote_end(chars, end), None),
                "r" if hashes == 1 => (end + 1, None),
                _ => (end, Some(Kind::Name(name))),
            }
        }
        (c, _) => (at + 1, Some(Kind::Mark(c))),
    }
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| stop(c)).map_or(chars.len(), |ahead| from + ahead)
}

fn comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// A string whose opening quote is at `open`.
fn string(chars: &[char], open: usize) -> (usize, Option<Kind>) {
    let mut at = open + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    let end = at.min(chars.len());
    (end.saturating_add(1).min(chars.len()), Some(Kind::Text(chars[open + 1..end].iter().collect())))
}

/// A raw string whose hashes begin at `from`.
fn raw_string(chars: &[char], from: usize, hashes: usize) -> (usize, Option<Kind>) {
    let start = from + hashes + 1;
    let closes = |at: usize| {
        chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    let end = (start..chars.len()).find(|&at| closes(at)).unwrap_or(chars.len());
    ((end + 1 + hashes).min(chars.len()), Some(Kind::Text(chars[start..end].iter().collect())))
}

/// The end of a character literal, or of a lifetime, whose quote is at `open`.
fn quote_end(chars: &[char], open: usize) -> usize {
    match (chars.get(open + 1), chars.get(open + 2)) {
        (Some('\\'), _) => (find(chars, (open + 3).min(chars.len()), |c| c == '\'') + 1).min(chars.len()),
        (_, Some('\'')) => open + 3,
        _ => open + 1,
    }
}
