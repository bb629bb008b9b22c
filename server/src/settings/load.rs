//! Reading settings from arguments and files.

use std::path::{Path, PathBuf};

use super::foreign::{self, Verdict};
use super::{Settings, TABLE, split_words, table};
use crate::command::{Case, glob_match};
use crate::limits::INCLUDE_DEPTH_MAX;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Invocation {
    /// Run a node.
    Run(Box<Loaded>),
    /// Print [`help`] and end.
    Help,
    /// Print [`version`] and end.
    Version,
}

/// Settings as read.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// What the operator should know, one line each, to be logged once.
    pub warnings: Vec<String>,
}

/// Settings that cannot be used. Its text is one line for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct SettingsError {
    /// File and line, or the argument.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

/// One line of version, as `--version` prints it.
pub fn version() -> String {
    format!("carousel-server {}", env!("CARGO_PKG_VERSION"))
}

/// What `--help` prints: usage and all settings.
pub fn help() -> String {
    let mut out = String::from(
        "Usage: carousel-server [FILE] [--setting value]...\n\n\
         A sharded, replicated key-value store that speaks the Redis protocol.\n\
         FILE has redis.conf syntax; arguments win over it.\n\n  \
         -h, --help       print this\n  -v, --version    print the version\n\nSettings:\n",
    );
    for spec in TABLE {
        let unit = if spec.unit.is_empty() { String::new() } else { format!(" {}", spec.unit) };
        let default = if spec.default.is_empty() { "empty" } else { spec.default };
        out.push_str(&format!(
            "  --{} <{}>\n      {} [default: {default}{unit}]\n",
            spec.name,
            spec.values(),
            spec.doc
        ));
    }
    out
}

/// Reads the arguments (without the program's name) and the files that they name.
///
/// Makes `dir` and the file's path absolute. Fails on the first thing that is unknown, refused or does not parse.
pub fn invoke(args: impl IntoIterator<Item = String>) -> Result<Invocation, SettingsError> {
    let args: Vec<String> = args.into_iter().collect();
    match args.first().map(String::as_str) {
        Some("-h" | "--help") => return Ok(Invocation::Help),
        Some("-v" | "--version") => return Ok(Invocation::Version),
        _ => {}
    }
    let mut loader = Loader { settings: Settings::default(), warnings: Vec::new() };
    let mut rest = &args[..];
    if let Some(file) = rest.first().filter(|arg| !arg.starts_with('-')) {
        let path = absolute(Path::new(file))?;
        loader.file(&path, 0)?;
        loader.settings.config_file = Some(path);
        rest = &rest[1..];
    }
    loader.arguments(rest)?;
    let fail = |reason| SettingsError { place: "settings".into(), reason };
    loader.settings.check().map_err(fail)?;
    loader.settings.dir = absolute(&loader.settings.dir)?;
    if !loader.settings.unixsocket.is_empty() {
        loader.settings.unixsocket = absolute(Path::new(&loader.settings.unixsocket))?.display().to_string();
    }
    Ok(Invocation::Run(Box::new(Loaded { settings: loader.settings, warnings: loader.warnings })))
}

fn absolute(path: &Path) -> Result<PathBuf, SettingsError> {
    std::path::absolute(path)
        .map_err(|error| SettingsError { place: path.display().to_string(), reason: error.to_string() })
}

struct Loader {
    settings: Settings,
    warnings: Vec<String>,
}

impl Loader {
    fn file(&mut self, path: &Path, depth: u8) -> Result<(), SettingsError> {
        let fail = |place: String, reason: String| SettingsError { place, reason };
        let shown = path.display();
        if depth > INCLUDE_DEPTH_MAX {
            return Err(fail(shown.to_string(), "files include each other too deep".into()));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(shown.to_string(), format!("cannot read the file: {error}")))?;
        for (i, line) in text.lines().enumerate() {
            let place = || format!("{shown} line {}", i + 1);
            let Some(words) = directive_words(line)
                .ok_or_else(|| fail(place(), format!("'{}': unbalanced quotes", line.trim())))?
            else {
                continue;
            };
            let (name, values) = words.split_first().expect("a directive has a name");
            if name.eq_ignore_ascii_case("include") {
                let [target] = values else {
                    return Err(fail(place(), "include takes one file".into()));
                };
                for path in included(&absolute(Path::new(target))?).map_err(|reason| fail(place(), reason))? {
                    self.file(&path, depth + 1)?;
                }
                continue;
            }
            self.directive(name, values)
                .map_err(|reason| fail(place(), format!("'{}': {reason}", line.trim())))?;
        }
        Ok(())
    }

    fn arguments(&mut self, args: &[String]) -> Result<(), SettingsError> {
        let mut rest = args;
        while let Some((first, after)) = rest.split_first() {
            let fail = |reason| SettingsError { place: format!("argument '{first}'"), reason };
            let Some(name) = first.strip_prefix("--").filter(|name| !name.is_empty()) else {
                return Err(fail("expected a setting such as '--port 6379' (see --help)".into()));
            };
            if let Some((name, value)) = name.split_once('=') {
                return Err(fail(format!("write '--{name} {value}'")));
            }
            let count = after.iter().take_while(|arg| !arg.starts_with("--")).count();
            self.directive(name, &after[..count]).map_err(fail)?;
            rest = &after[count..];
        }
        Ok(())
    }

    fn directive(&mut self, name: &str, values: &[String]) -> Result<(), String> {
        if let Some(spec) = table::find(name) {
            let value = match (&spec.kind, values) {
                // As in Redis, several lines are several points, and an empty one takes them all away.
                (table::Kind::Words { .. }, values)
                    if spec.name == "save" && values.iter().any(|v| !v.is_empty()) =>
                {
                    [&self.settings.save[..], values].concat().join(" ")
                }
                (table::Kind::Words { .. } | table::Kind::Composite { .. }, values) => values.join(" "),
                (_, [value]) => value.clone(),
                (_, []) => return Err(format!("a value is missing: {}", spec.values())),
                (_, [_, _, ..]) => return Err("wrong number of arguments".into()),
            };
            return spec.set(&mut self.settings, &value).map_err(|why| match why.as_str() {
                // Other faults name what is allowed themselves.
                table::NOT_AN_INTEGER | table::NOT_MEMORY => format!("{why}: {}", spec.values()),
                _ => why,
            });
        }
        let setting = foreign::find(name).ok_or("unknown setting (see --help)")?;
        if values.is_empty() {
            return Err("wrong number of arguments".into());
        }
        let value = values.join(" ");
        setting.check(&value)?;
        let why = match setting.verdict {
            Verdict::NotDone(why) => Some(format!("has no effect, {why}")),
            Verdict::NoMeaning => Some("has no meaning here".into()),
            Verdict::Refused(_) => None,
        };
        if let Some(why) = why.filter(|_| value != setting.shown)
            && !self.settings.foreign.contains_key(setting.name)
        {
            self.warnings.push(format!("{} {value}: {why}", setting.name));
        }
        self.settings.foreign.insert(setting.name, value);
        Ok(())
    }
}

/// The files that an `include` names: its last part may be a pattern, which may match none.
fn included(target: &Path) -> Result<Vec<PathBuf>, String> {
    let (Some(folder), Some(pattern)) = (target.parent(), target.file_name()) else {
        return Err(format!("include: '{}' is no file", target.display()));
    };
    let pattern = pattern.as_encoded_bytes();
    if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
        return Ok(vec![target.into()]);
    }
    let unreadable = |error: std::io::Error| format!("include: cannot read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if glob_match(pattern, entry.file_name().as_encoded_bytes(), Case::Sensitive) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The words of a line: `Some(None)` for a blank line or a comment, `None` where quotes do not balance.
pub(super) fn directive_words(line: &str) -> Option<Option<Vec<String>>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Some(None);
    }
    split_words(line).map(|words| (!words.is_empty()).then_some(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AppendFsync, RuntimeChoice};

    fn run(args: &[&str]) -> Result<Loaded, String> {
        match invoke(args.iter().map(|arg| arg.to_string())) {
            Ok(Invocation::Run(loaded)) => Ok(*loaded),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn arguments_set_values_as_redis_takes_them() {
        let args =
            "--port 7001 --dir /d --shards 2 --pin no --runtime epoll --appendfsync always --PEER-PORT 7101";
        let settings = run(&args.split(' ').collect::<Vec<_>>()).unwrap().settings;
        assert_eq!(
            (settings.port, settings.peer_port(), settings.shards, settings.pin),
            (7001, 7101, 2, false)
        );
        assert_eq!((settings.runtime, settings.appendfsync), (RuntimeChoice::Epoll, AppendFsync::Always));
        assert_eq!(settings.dir, Path::new("/d"));
    }

    #[test]
    fn without_arguments_the_defaults_hold_and_the_directory_is_absolute() {
        let loaded = run(&[]).unwrap();
        assert_eq!(loaded.settings.dir, std::env::current_dir().unwrap().join("carousel-data"));
        assert_eq!(loaded.warnings, [""; 0]);
        assert_eq!((loaded.settings.port, loaded.settings.appendonly), (6379, true));
    }

    #[test]
    fn a_file_is_read_with_quotes_comments_and_includes_and_arguments_win() {
        let dir = tempfile::tempdir().unwrap();
        let (main, more) = (dir.path().join("main.conf"), dir.path().join("more file.conf"));
        std::fs::write(&more, "timeout 9\nloglevel \"warning\"\n").unwrap();
        let text = format!(
            "# c\n\nport 7002\n  requirepass \"a b\\x21\"\ninclude \"{}\"\ntimeout 10\n",
            more.display()
        );
        std::fs::write(&main, text).unwrap();
        let settings = run(&[main.to_str().unwrap(), "--port", "7003"]).unwrap().settings;
        assert_eq!((settings.port, settings.timeout_s), (7003, 10));
        assert_eq!((settings.requirepass.as_str(), settings.loglevel.name()), ("a b!", "warning"));
        assert_eq!(settings.config_file.as_deref(), Some(&*main));
    }

    #[test]
    fn a_pattern_includes_all_files_that_match_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("b.conf", "timeout 2\n"), ("a.conf", "timeout 1\nport 7009\n"), ("c.txt", "nonsense\n")]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let main = dir.path().join("main");
        let text = format!("include {0}/*.conf\ninclude {0}/none*.conf\n", dir.path().display());
        std::fs::write(&main, text).unwrap();
        let settings = run(&[main.to_str().unwrap()]).unwrap().settings;
        assert_eq!((settings.port, settings.timeout_s), (7009, 2));
    }

    #[test]
    fn a_file_that_includes_itself_ends_with_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loop.conf");
        std::fs::write(&path, format!("include {}\n", path.display())).unwrap();
        assert!(run(&[path.to_str().unwrap()]).unwrap_err().contains("too deep"));
    }

    #[test]
    fn settings_of_redis_are_accepted_with_one_warning_each() {
        let loaded =
            run(&["--save", "", "--daemonize", "yes", "--databases", "32", "--daemonize", "yes"]).unwrap();
        assert_eq!(loaded.warnings, ["daemonize yes: has no effect, the process stays in the foreground"]);
        assert_eq!(loaded.settings.foreign["daemonize"], "yes");
        assert_eq!(loaded.settings.databases, 32);
    }

    #[test]
    fn what_cannot_be_used_is_one_line_that_names_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.conf");
        for (args, error) in [
            (&["--prot", "1"][..], "argument '--prot': unknown setting (see --help)"),
            (&["--port"], "argument '--port': a value is missing: 1-65535"),
            (&["--port", "1", "2"], "argument '--port': wrong number of arguments"),
            (&["--port", "abc"], "argument '--port': argument couldn't be parsed into an integer: 1-65535"),
            (
                &["--proto-max-bulk-len", "lots"],
                "argument '--proto-max-bulk-len': argument must be a memory value: 1mb-1gb",
            ),
            (&["--port=1"], "argument '--port=1': write '--port 1'"),
            (&["-x"], "argument '-x': expected a setting such as '--port 6379' (see --help)"),
            (&["--tls-port", "1"], "argument '--tls-port': TLS is not supported"),
            (&["--databases", "0"], "argument '--databases': argument must be between 1 and 16384 inclusive"),
            (&["--port", "60000"], "settings: port 60000 + 10000 is no port: set peer-port"),
        ] {
            assert_eq!(run(args).unwrap_err(), error);
        }
        for (line, error) in
            [("port abc", "'port abc': argument couldn't"), ("a \"", "'a \"': unbalanced quotes")]
        {
            std::fs::write(&path, format!("\n{line}\n")).unwrap();
            let message = run(&[path.to_str().unwrap()]).unwrap_err();
            assert!(message.starts_with(&format!("{} line 2: {error}", path.display())), "{message}");
        }
        assert!(run(&["/nonexistent/x.conf"]).unwrap_err().contains("cannot read the file"));
    }

    #[test]
    fn help_and_version_are_asked_for_first() {
        assert!(matches!(invoke(["--help".to_string()]), Ok(Invocation::Help)));
        assert!(matches!(invoke(["-v".to_string()]), Ok(Invocation::Version)));
        assert!(help().contains("--handover-timeout") && version().starts_with("carousel-server "));
    }
}
