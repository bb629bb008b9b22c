//! `CONFIG REWRITE`: the values in force, back into the file that they came from.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::load::directive_words;
use super::{Kind, SettingSpec, Settings, TABLE, foreign, quote_word, table};

/// Why the file was not rewritten; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The node runs without one.
    #[error("The server is running without a config file")]
    NoFile,
    /// The file could not be read, or its successor not written.
    #[error("Rewriting config file: {0}")]
    Io(#[from] std::io::Error),
}

/// Writes the values in force into the file that they came from. Blocks on the disk.
///
/// Comments, order and unknown lines stay. The new file replaces the old one as a whole.
pub fn rewrite_file(settings: &Settings) -> Result<(), RewriteError> {
    let path = settings.config_file.as_deref().ok_or(RewriteError::NoFile)?;
    let text = rewrite(&std::fs::read_to_string(path)?, settings);
    replace(path, text.as_bytes())?;
    Ok(())
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let successor = Path::new(&name);
    let mut file = std::fs::File::create(successor)?;
    file.set_permissions(std::fs::metadata(path)?.permissions())?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(successor, path)
}

/// The text of the file with the values in force: the first line of a setting gets its value, later ones of the same
/// go, and what is neither in the file nor the default is appended.
fn rewrite(text: &str, settings: &Settings) -> String {
    let defaults = Settings::default();
    // A setting of Redis may have many lines, and we do not know which of them add up: they stay as they are unless
    // the setting was changed since.
    let changed: BTreeSet<&str> = settings
        .foreign
        .iter()
        .filter(|(name, value)| last_value(text, name).is_some_and(|last| last != **value))
        .map(|(name, _)| *name)
        .collect();
    let mut written = BTreeSet::new();
    let mut out = String::new();
    for line in text.lines() {
        let name = directive_words(line).flatten().and_then(|words| words.into_iter().next());
        let replacement = match name.as_deref() {
            Some(name) => match (table::find(name), foreign::find(name)) {
                (Some(spec), _) => written.insert(spec.name).then(|| directive(spec, settings)),
                (None, Some(setting)) => {
                    let is_first = written.insert(setting.name);
                    if changed.contains(setting.name) {
                        is_first.then(|| foreign_directive(setting.name, &settings.foreign[setting.name]))
                    } else {
                        Some(line.into())
                    }
                }
                (None, None) => Some(line.into()),
            },
            None => Some(line.into()),
        };
        if let Some(line) = replacement {
            out.push_str(&line);
            out.push('\n');
        }
    }
    for spec in TABLE.iter().filter(|spec| spec.get(settings) != spec.get(&defaults)) {
        if written.insert(spec.name) {
            out.push_str(&directive(spec, settings));
            out.push('\n');
        }
    }
    for (name, value) in settings.foreign.iter().filter(|(name, _)| !written.contains(*name)) {
        out.push_str(&foreign_directive(name, value));
        out.push('\n');
    }
    out
}

/// What the last line about a setting of Redis says.
fn last_value(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| directive_words(line).flatten());
    let mut named = lines.filter(|words| words[0].eq_ignore_ascii_case(name));
    named.next_back().map(|words| words[1..].join(" "))
}

fn foreign_directive(name: &str, value: &str) -> String {
    if value.is_empty() { format!("{name} \"\"") } else { format!("{name} {value}") }
}

fn directive(spec: &SettingSpec, settings: &Settings) -> String {
    let value = spec.get(settings);
    match spec.kind {
        Kind::Words { .. } | Kind::Composite { .. } if value.is_empty() => format!("{} \"\"", spec.name),
        Kind::Words { .. } | Kind::Composite { .. } => format!("{} {value}", spec.name),
        Kind::Integer { .. }
        | Kind::Signed { .. }
        | Kind::Memory { .. }
        | Kind::YesNo { .. }
        | Kind::Choice { .. }
        | Kind::Text { .. } => {
            format!("{} {}", spec.name, quote_word(&value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Invocation, invoke};

    #[test]
    fn values_in_force_replace_their_lines_and_new_ones_are_appended() {
        let mut settings = Settings { port: 7009, requirepass: "a b".into(), ..Settings::default() };
        settings.foreign.insert("hz", "20".into());
        settings.save = ["900", "1", "300", "10"].map(String::from).to_vec();
        let text = "# keep me\nport 1\n\nsave 900 1\nhz 5\nsave 300 10\nport 2\ntimeout 5\n";
        let expected = "# keep me\nport 7009\n\nsave 900 1 300 10\nhz 20\ntimeout 0\nrequirepass \"a b\"\n";
        assert_eq!(rewrite(text, &settings), expected);
    }

    #[test]
    fn a_setting_of_redis_that_was_changed_has_one_line_with_its_value() {
        let mut settings = Settings::default();
        settings.foreign.insert("dbfilename", "other.rdb".into());
        settings.foreign.insert("hz", "10".into());
        let text = "dbfilename first.rdb\n# why\nhz 10\nDBFILENAME second.rdb\nsave 60 1\n";
        assert_eq!(rewrite(text, &settings), "dbfilename other.rdb\n# why\nhz 10\nsave \"\"\n");
        settings.foreign.insert("dbfilename", String::new());
        assert_eq!(rewrite(text, &settings), "dbfilename \"\"\n# why\nhz 10\nsave \"\"\n");
    }

    #[test]
    fn a_rewritten_file_reads_back_to_the_same_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.conf");
        std::fs::write(&path, "bind * -::*\nlogfile \"with space.log\"\n").unwrap();
        let load = || match invoke([path.display().to_string()]).unwrap() {
            Invocation::Run(loaded) => loaded.settings,
            other => panic!("{other:?}"),
        };
        let mut settings = load();
        settings.maxclients = 77;
        rewrite_file(&settings).unwrap();
        assert_eq!(load(), settings);
        assert!(matches!(rewrite_file(&Settings::default()), Err(RewriteError::NoFile)));
    }
}
