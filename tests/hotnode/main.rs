//! `weir-hotnode`: endpoints of which one is slow, and a load that does not wait for them. For `tests/bench`.
//!
//! ```text
//! weir-hotnode serve --port 20080 --endpoints 10 --slower 10
//! weir-hotnode load --target 127.0.0.1:15001 --host bench.default:9080 --rate 1600 --seconds 3
//! {"sent": 4803, "answered": 4803, "failed": 0, "slow": 12, "p50_ms": …, "p99_ms": …, "p999_ms": …, "late_ms": …}
//! ```
//!
//! [`serve`] is the endpoints: each is a server with so many hands and a queue before them. [`load`] sends at a fixed rate whatever
//! becomes of it, and takes each time from the moment at which the request was due. Plain threads that sleep, because a runtime's timer
//! rounds to a millisecond, which is a tenth of what is measured.

#![allow(
    clippy::disallowed_methods,
    reason = "a measuring tool: real time is what it measures, and its threads carry nothing but their own request"
)]

mod load;
mod serve;

use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Endpoints of which one is slow, and a load that does not wait for them.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Endpoints on 127.0.0.1, 127.0.0.2 and so on; the last one is slow.
    Serve(serve::Args),
    /// Requests at a fixed rate; one line of JSON says what came of them.
    Load(load::Args),
}

fn main() -> ExitCode {
    let outcome = match Args::parse().what {
        What::Serve(args) => serve::run(&args),
        What::Load(args) => load::run(&args).and_then(|line| {
            let mut out = std::io::stdout();
            writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output")
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads it where standard error is closed, and that changes nothing.
            let _closed = writeln!(std::io::stderr(), "weir-hotnode: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The address of an endpoint.
fn address(endpoint: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, endpoint + 1)), port)
}

/// The lines of a message's head, without the empty one; nothing at the end of the connection.
fn head(reader: &mut impl BufRead) -> std::io::Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => return Ok(Some(lines)),
            text => lines.push(text.to_owned()),
        }
    }
}
