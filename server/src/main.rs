//! `carousel-server`: one node.

use std::io::Write;
use std::process::ExitCode;

use carousel_server::boot;
use carousel_server::settings::{Invocation, Loaded, LogLevel, Settings, help, invoke, version};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc at start: what was freed goes back to the system within a second, by a thread of its own.
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,narenas:4\0";

fn main() -> ExitCode {
    let loaded = match invoke(std::env::args().skip(1)) {
        Ok(Invocation::Run(loaded)) => loaded,
        Ok(Invocation::Help) => {
            tell(std::io::stdout(), &help());
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Version) => {
            tell(std::io::stdout(), &format!("{}\n", version()));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            return fail(&error);
        }
    };
    let Loaded { settings, warnings } = *loaded;
    let set_log_level = match start_logging(&settings) {
        Ok(set_log_level) => set_log_level,
        Err(error) => {
            return fail(&format!("cannot open the log file {}: {error}", settings.logfile));
        }
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match boot::run(settings, set_log_level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

/// Ends with one line that says why.
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    tell(std::io::stderr(), &format!("carousel-server: {error}\n"));
    ExitCode::FAILURE
}

/// Says something where it can be said: what is read may be closed, or be a file on a disk that is full, and neither is a
/// reason to panic, as the macros of the standard library do.
fn tell(mut out: impl Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Starts logging; what it returns changes the least level that is logged.
fn start_logging(settings: &Settings) -> std::io::Result<Box<dyn Fn(LogLevel)>> {
    // Whoever filters by the environment knows better than `loglevel`, now and later.
    let chosen = std::env::var("CAROUSEL_LOG").ok();
    let filter = chosen.clone().unwrap_or_else(|| filter(settings.loglevel));
    let (writer, is_watched) = if settings.logfile.is_empty() {
        (BoxMakeWriter::new(std::io::stdout), std::io::IsTerminal::is_terminal(&std::io::stdout()))
    } else {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&settings.logfile)?;
        (BoxMakeWriter::new(std::sync::Mutex::new(file)), false)
    };
    let builder = tracing_subscriber::fmt()
        .with_target(false)
        // Where a line of the log cannot be written, one more about that cannot be either, and would end the process.
        .log_internal_errors(false)
        // Colours are for people who watch, not for files and journals.
        .with_ansi(is_watched)
        .with_writer(writer)
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    Ok(Box::new(move |level| {
        if chosen.is_none()
            && let Err(error) = handle.reload(EnvFilter::new(self::filter(level)))
        {
            tracing::error!(%error, "loglevel could not be changed");
        }
    }))
}

fn filter(level: LogLevel) -> String {
    // What the Raft library says about itself is for its own developers.
    format!("{},openraft=off", level.tracing_filter())
}
