//! Settings as an operator writes them: used or refused, and written back so that they read the same.

use carousel_server::settings::{Invocation, invoke, quote_word, split_words};

pub(super) const WORDS: &[&[u8]] = &[
    b"\nport 7000",
    b"\nsave 900 1",
    b"\nbind 127.0.0.1 -::1",
    b"\nappendfsync always",
    b"\nmaxmemory 1gb",
    b"\nclient-output-buffer-limit normal 0 0 0",
    b"\ndir /tmp",
    b"\nshards 2",
    b"\"",
    b"\\x41",
    b"'",
    b" yes",
    b" no",
    b"0",
    b"18446744073709551616",
    b"mb",
    b"\nrequirepass x",
    b"\nunixsocket /x",
    b"\ntimeout 1",
];

/// The lines of a file, each as an argument.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut args = Vec::new();
    for line in text.lines() {
        let Some(words) = split_words(line) else { continue };
        for word in &words {
            let again = split_words(&quote_word(word));
            assert_eq!(again.as_deref(), Some(std::slice::from_ref(word)), "a quoted word is that word");
        }
        let Some((name, values)) = words.split_first() else { continue };
        let one = std::iter::once(format!("--{name}")).chain(values.iter().cloned());
        args.extend(one.clone());
        check(invoke(one));
    }
    if !args.is_empty() {
        check(invoke(args));
    }
}

fn check(outcome: Result<Invocation, carousel_server::settings::SettingsError>) {
    match outcome {
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty(), "an error says what is wrong"),
    }
}
