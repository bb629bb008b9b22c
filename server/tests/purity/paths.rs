//! The paths that a source names, each in full.

use std::collections::BTreeMap;

use super::tokens::{Kind, Token};

/// A path and where it is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// Its segments, from the crate on where that could be found out.
    pub(crate) path: Vec<String>,
    /// Everything below it is meant: `use path::*`.
    pub(crate) glob: bool,
    /// Line, counted from 1.
    pub(crate) line: usize,
}

/// A module under `#[cfg(test)]` that lies in a file of its own.
pub(crate) struct TestModule {
    pub(crate) name: String,
    /// What `#[path]` says.
    pub(crate) file: Option<String>,
}

/// All paths in `use` items and elsewhere, outside of test code.
pub(crate) fn named_paths(tokens: &[Token], module: &[&str]) -> Vec<Named> {
    let tokens = without_tests(tokens).0;
    let mut imports = Vec::new();
    let mut others = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at].kind {
            Kind::Name(name) if name == "use" => at = import(&tokens, at + 1, &[], &mut imports),
            Kind::Name(_) => at = plain_path(&tokens, at, &mut others),
            Kind::Separator | Kind::Text(_) | Kind::Mark(_) => at += 1,
        }
    }
    let mut aliases: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for (named, alias) in &imports {
        let path = absolute(&named.path, module);
        if path.first() != Some(alias) {
            aliases.entry(alias.clone()).or_default().push(path);
        }
    }
    let imported = imports.into_iter().map(|(named, _)| named);
    imported.chain(others).flat_map(|named| in_full(named, module, &aliases)).collect()
}

/// The modules under `#[cfg(test)]` that are declared here and lie elsewhere.
pub(crate) fn test_modules(tokens: &[Token]) -> Vec<TestModule> {
    without_tests(tokens).1
}

/// A path with its first segment followed through `super`, `self` and what it was imported as.
fn in_full(named: Named, module: &[&str], aliases: &BTreeMap<String, Vec<Vec<String>>>) -> Vec<Named> {
    let path = absolute(&named.path, module);
    let mut all = vec![Named { path: path.clone(), ..named.clone() }];
    // An alias of an alias is as far as anybody goes.
    for _ in 0..2 {
        let further: Vec<Named> = all
            .iter()
            .flat_map(|named| {
                let known = aliases.get(&named.path[0]).into_iter().flatten();
                known.map(|start| Named {
                    path: [start.as_slice(), &named.path[1..]].concat(),
                    ..named.clone()
                })
            })
            .filter(|named| !all.contains(named))
            .collect();
        all.extend(further);
    }
    all
}

fn absolute(path: &[String], module: &[&str]) -> Vec<String> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let starts_here = supers > 0 || path.first().is_some_and(|name| name == "self");
    if !starts_here || path.len() == 1 && supers == 0 {
        return path.to_vec();
    }
    let skipped = supers.max(usize::from(path[0] == "self"));
    let base = &module[..module.len().saturating_sub(supers)];
    base.iter().map(|name| (*name).to_owned()).chain(path[skipped..].iter().cloned()).collect()
}

/// Reads a tree of imports from `at` to behind its `;`, `,` or `}`; gives each leaf and the name it gets.
fn import(tokens: &[Token], mut at: usize, parent: &[String], found: &mut Vec<(Named, String)>) -> usize {
    let mut path = parent.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut leaf = |path: &[String], alias: &str, glob: bool, line: usize| {
        let path = if path.last().is_some_and(|name| name == "self") && path.len() > 1 {
            &path[..path.len() - 1]
        } else {
            path
        };
        let alias = if alias == "self" { path[path.len() - 1].clone() } else { alias.to_owned() };
        found.push((Named { path: path.to_vec(), glob, line }, alias));
    };
    let mut last_line = line;
    while let Some(token) = tokens.get(at) {
        match &token.kind {
            Kind::Name(name) if name == "as" => {
                if let Some(Token { kind: Kind::Name(alias), .. }) = tokens.get(at + 1) {
                    leaf(&path, alias, false, last_line);
                }
                path.clear();
                at += 2;
            }
            Kind::Name(name) => {
                path.push(name.clone());
                last_line = token.line;
                at += 1;
            }
            Kind::Mark('*') => {
                leaf(&path, "*", true, token.line);
                path.clear();
                at += 1;
            }
            Kind::Mark('{') => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.kind != Kind::Mark('}')) {
                    at = import(tokens, at, &path, found);
                    if tokens.get(at).is_some_and(|token| token.kind == Kind::Mark(',')) {
                        at += 1;
                    }
                }
                // The branches have said it all.
                return at + 1;
            }
            Kind::Separator => at += 1,
            Kind::Mark(_) | Kind::Text(_) => break,
        }
    }
    if path.len() > parent.len() {
        let alias = path[path.len() - 1].clone();
        leaf(&path, &alias, false, last_line);
    }
    at
}

/// Reads a path in code; one that is a field or method, or a single name, is none.
fn plain_path(tokens: &[Token], from: usize, found: &mut Vec<Named>) -> usize {
    let is_member = from > 0 && tokens[from - 1].kind == Kind::Mark('.');
    let mut path = Vec::new();
    let mut at = from;
    while let Some(Token { kind: Kind::Name(name), .. }) = tokens.get(at) {
        path.push(name.clone());
        at += 1;
        let goes_on = tokens.get(at).is_some_and(|token| token.kind == Kind::Separator)
            && matches!(tokens.get(at + 1), Some(Token { kind: Kind::Name(_), .. }));
        if !goes_on {
            break;
        }
        at += 1;
    }
    if path.len() > 1 && !is_member {
        found.push(Named { path, glob: false, line: tokens[from].line });
    }
    at
}

/// The tokens outside of items under `#[cfg(test)]`, and the modules among those items that lie in other files.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<TestModule>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !is_test_attribute(&tokens[at..]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut file = None;
        while tokens.get(at).is_some_and(|token| token.kind == Kind::Mark('#')) {
            let end = block_end(tokens, at + 1, '[', ']');
            if let Some(Token { kind: Kind::Text(path), .. }) = tokens.get(at + 4)
                && tokens[at + 2].kind == Kind::Name("path".to_owned())
            {
                file = Some(path.clone());
            }
            at = end;
        }
        let item = at;
        while tokens.get(at).is_some_and(|token| !matches!(token.kind, Kind::Mark('{' | ';'))) {
            at += 1;
        }
        let in_place = tokens.get(at).is_some_and(|token| token.kind == Kind::Mark('{'));
        at = if in_place { block_end(tokens, at, '{', '}') } else { at + 1 };
        // `use a::{b, c};` has braces before its end.
        if tokens.get(item).is_some_and(|token| token.kind == Kind::Name("use".to_owned())) && in_place {
            at += 1;
        }
        let name_of_module =
            tokens[item..].windows(2).take(4).find_map(|pair| match (&pair[0].kind, &pair[1].kind) {
                (Kind::Name(keyword), Kind::Name(name)) if keyword == "mod" => Some(name.clone()),
                _ => None,
            });
        if let Some(name) = name_of_module.filter(|_| !in_place) {
            modules.push(TestModule { name, file });
        }
    }
    (kept, modules)
}

/// Do the tokens start with `#[cfg(test)]` or `#[cfg(all(test, ...))]`?
fn is_test_attribute(tokens: &[Token]) -> bool {
    let starts = |pattern: &[&str]| {
        tokens.len() >= pattern.len()
            && tokens.iter().zip(pattern).all(|(token, expected)| match &token.kind {
                Kind::Name(name) => name == expected,
                Kind::Mark(mark) => mark.to_string() == *expected,
                Kind::Separator | Kind::Text(_) => false,
            })
    };
    starts(&["#", "[", "cfg", "(", "test", ")", "]"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// Behind the bracket that closes the one at `open`.
fn block_end(tokens: &[Token], open: usize, opening: char, closing: char) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Mark(opening) {
            depth += 1;
        } else if token.kind == Kind::Mark(closing) {
            depth -= 1;
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}
