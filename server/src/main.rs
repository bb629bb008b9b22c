//! `carousel-server`: one node.

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
            print!("{}", help());
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Version) => {
            println!("{}", version());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("carousel-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Loaded { settings, warnings } = *loaded;
    let set_log_level = match start_logging(&settings) {
        Ok(set_log_level) => set_log_level,
        Err(error) => {
            eprintln!("carousel-server: cannot open the log file {}: {error}", settings.logfile);
            return ExitCode::FAILURE;
        }
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match boot::run(settings, set_log_level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carousel-server: {error:#}");
            ExitCode::FAILURE
        }
    }
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
