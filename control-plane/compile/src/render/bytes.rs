//! The lines of listeners for opaque bytes and of filter chains. Every field is in them.

use super::{Lines, http_listener, time};
use std::fmt::Display;
use weir_model::{ChainKind, ChainMatch, FilterChains, SourceType, TcpListener, limits};

pub(super) fn tcp(out: &mut Lines, indent: usize, it: &TcpListener) {
    let sum: u64 = it.targets.iter().map(|target| u64::from(target.weight)).sum();
    match it.targets.as_slice() {
        [only] => out.line(indent, format_args!("bytes to {}", only.cluster)),
        targets => {
            for target in targets {
                out.line(indent, format_args!("bytes to {} {}/{sum}", target.cluster, target.weight));
            }
        }
    }
    if it.attempts != limits::TCP_ATTEMPTS {
        out.line(indent, format_args!("at most {} attempts", it.attempts));
    }
    match it.idle_timeout {
        Some(limits::TCP_IDLE) => {}
        Some(limit) => out.line(indent, format_args!("idle within {}", time(limit))),
        None => out.line(indent, "idle for ever"),
    }
    if let Some(limit) = it.max_duration {
        out.line(indent, format_args!("connections for at most {}", time(limit)));
    }
    if it.hash_source {
        out.line(indent, "hash the source address");
    }
    if it.access_log.is_some() {
        out.line(indent, "access log");
    }
}

pub(super) fn chains(out: &mut Lines, it: &FilterChains) {
    if let Some(inspect) = it.inspect {
        let what = match (inspect.tls, inspect.http) {
            (true, true) => "TLS and HTTP",
            (true, false) => "TLS",
            (false, _) => "HTTP",
        };
        let then = if inspect.go_on { "go on" } else { "close" };
        out.line(1, format_args!("look for {what} within {}, else {then}", time(inspect.wait)));
    }
    for chain in &it.chains {
        let name = if chain.name.is_empty() { String::new() } else { format!("  [{}]", chain.name) };
        out.line(1, format_args!("chain{}{name}", matches(&chain.matches)));
        kind(out, 2, &chain.kind);
    }
    if let Some(otherwise) = &it.otherwise {
        out.line(1, "chain for everything else");
        kind(out, 2, otherwise);
    }
}

fn kind(out: &mut Lines, indent: usize, it: &ChainKind) {
    match it {
        ChainKind::Tcp(it) => tcp(out, indent, it),
        ChainKind::Http(it) => http_listener(out, it),
    }
}

fn matches(it: &ChainMatch) -> String {
    let mut text = String::new();
    let mut say = |what: &str, values: Vec<String>| {
        if !values.is_empty() {
            text.push_str(&format!(" {what} {}", values.join(" ")));
        }
    };
    fn each<T: Display>(values: &[T]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }
    say("to port", it.destination_port.iter().map(u16::to_string).collect());
    say("to", each(&it.destinations));
    say("for", each(&it.server_names));
    say("over", Some(it.transport.clone()).into_iter().filter(|name| !name.is_empty()).collect());
    say("speaking", each(&it.application_protocols));
    say("directly from", each(&it.direct_sources));
    match it.source_type {
        SourceType::Any => {}
        SourceType::Local => say("from", vec!["this host".to_owned()]),
        SourceType::External => say("from", vec!["other hosts".to_owned()]),
    }
    say("from", each(&it.sources));
    say("from port", each(&it.source_ports));
    text
}
