//! The operator's command: a thin client of the policy API. What it prints is a table for a person and, with `-o`, JSON or YAML for a program.
//!
//! Exit status: 0 done; 1 refused or failed, with the reason on standard error; 2 wrong usage; for `diff` and `validate` 1 also means that
//! there is something to say, as `diff` and `kubectl diff` have it.

#![allow(clippy::print_stdout, reason = "printing is what a command line tool does")]

mod args;
mod client;
mod commands;
mod demo;
mod files;
mod output;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.command {
        Command::Completions { shell } => {
            args::completions(*shell);
            return ExitCode::SUCCESS;
        }
        Command::DemoExec(exec) => return fail(&demo::process::exec(exec)),
        _ => {}
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::anyhow!("no runtime: {error}")),
    };
    let done = runtime.block_on(run(args));
    // A read of standard input cannot be given up, and is not worth waiting for.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Demo(options) => demo::run(options, args.output).await,
        Command::DemoApp(options) => demo::app::run(options).await.map(|()| ExitCode::SUCCESS),
        _ => commands::run(args).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    use owo_colors::OwoColorize;
    anstream::eprintln!("{}: {error:#}", "error".red().bold());
    ExitCode::FAILURE
}
