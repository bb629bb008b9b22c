//! `carousel-server`: one node.

use std::process::ExitCode;

use carousel_server::boot;
use carousel_server::settings::{Invocation, Loaded, Settings, help, invoke, version};

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
    if let Err(error) = start_logging(&settings) {
        eprintln!("carousel-server: cannot open the log file {}: {error}", settings.logfile);
        return ExitCode::FAILURE;
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match boot::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carousel-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_logging(settings: &Settings) -> std::io::Result<()> {
    let filter = std::env::var("CAROUSEL_LOG").unwrap_or_else(|_| {
        // What the Raft library says about itself is for its own developers.
        format!("{},openraft=off", settings.loglevel.tracing_filter())
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    if settings.logfile.is_empty() {
        // Colours are for people who watch, not for files and journals.
        builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout())).init();
    } else {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&settings.logfile)?;
        builder.with_ansi(false).with_writer(std::sync::Mutex::new(file)).init();
    }
    Ok(())
}
