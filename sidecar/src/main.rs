//! The sidecar: arguments, then wiring, then running until it is told to stop.
//!
//! - [`arguments`]: what was asked for, or everything that is wrong with it;
//! - [`identity`]: who this sidecar is, if nobody said;
//! - [`handover`]: which process serves, while one version replaces another;
//! - [`run`]: sockets, configuration, workers, admin endpoint, and the way out in [`lifecycle`];
//! - [`admin`]: how it stands.
//!
//! One thread for configuration and administration, one per worker for requests, and one each for traces and the access log
//! where those are wanted.

mod admin;
mod arguments;
mod handover;
mod identity;
mod lifecycle;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What clap exits with too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // A sidecar's heap is a few megabytes, spread over a page or two for each thread; where the system gives every process huge
    // pages, each of those would be two megabytes. If the kernel does not let us, it only takes more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let options = match arguments::Arguments::parse().check(weir_runtime::workers::available_cpus()) {
        Ok(options) => options,
        Err(mistakes) => {
            for mistake in mistakes {
                complain(&mistake);
            }
            say("\nFor more information, try '--help'.");
            return ExitCode::from(USAGE);
        }
    };
    if let Err(error) = weir_telemetry::log::init("info") {
        complain(&error.to_string());
        return ExitCode::from(USAGE);
    }
    let runtime = match weir_runtime::workers::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run::run(options));
    // What still runs (a disk that hangs, a worker cut off) must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn complain(mistake: &str) {
    say(&format!("error: {mistake}"));
}

/// To stderr; if that is closed there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
