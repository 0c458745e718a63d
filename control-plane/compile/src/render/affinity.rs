//! The lines of [`Affinity`]. Every field is in them.

use super::time;
use weir_model::{Affinity, Cookie, HashSource, RingSize, Spread, StickySplit};

pub(super) fn lines(it: &Affinity) -> Vec<String> {
    let mut lines = Vec::new();
    for policy in &it.hash {
        let terminal = if policy.terminal { ", and nothing else" } else { "" };
        lines.push(format!("hash {}{terminal}", source(&policy.source)));
    }
    match &it.split {
        Some(StickySplit::Hash) => lines.push("split by the hash".to_owned()),
        Some(StickySplit::Header(name)) => lines.push(format!("split by the number in header {name}")),
        None => {}
    }
    if let Some(session) = &it.session {
        let strict = if session.strict { ", strictly" } else { "" };
        lines.push(format!("session in {}{strict}", cookie(&session.cookie)));
    }
    lines
}

pub(super) fn ring(size: &RingSize) -> String {
    let mut text = "ring hash".to_owned();
    if let Some(minimum) = size.minimum {
        text.push_str(&format!(" of at least {minimum} points"));
    }
    if let Some(maximum) = size.maximum {
        text.push_str(&format!(" of at most {maximum} points"));
    }
    text
}

/// What is not as the compiler has it by default.
pub(super) fn spread(it: &Spread) -> Vec<&'static str> {
    let lines = [(it.by_locality, "localities as one"), (it.draining_sessions, "draining ends sessions")];
    lines.into_iter().filter(|(usual, _)| !usual).map(|(_, line)| line).collect()
}

fn source(source: &HashSource) -> String {
    match source {
        HashSource::Header(name) => format!("header {name}"),
        HashSource::Cookie(it) => cookie(it),
        HashSource::SourceAddress => "source address".to_owned(),
        HashSource::Query(name) => format!("query parameter {name}"),
    }
}

fn cookie(it: &Cookie) -> String {
    let mut text = format!("cookie {}", it.name);
    match it.ttl {
        None => text.push_str(", never issued"),
        Some(ttl) if ttl.is_zero() => {}
        Some(ttl) => text.push_str(&format!(", for {}", time(ttl))),
    }
    if !it.path.is_empty() {
        text.push_str(&format!(", path {}", it.path));
    }
    for (name, value) in &it.attributes {
        text.push_str(&format!(", {name}={value}"));
    }
    text
}
