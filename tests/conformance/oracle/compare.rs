//! What differs between two outcomes of one request, one line for each part.

use std::collections::BTreeSet;

use crate::request::{Outcome, Seen};

/// One part that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Difference {
    /// Which, such as `answer.header.server` or `seen[0].target`.
    pub(crate) part: String,
    /// What Envoy did; empty for nothing.
    pub(crate) envoy: String,
    /// What weir did.
    pub(crate) weir: String,
}

/// All that differs.
pub(crate) fn compare(envoy: &Outcome, weir: &Outcome) -> Vec<Difference> {
    let mut found = Differences::default();
    let (one, other) = (&envoy.answer, &weir.answer);
    found.part("answer.broken", debug(&one.broken), debug(&other.broken));
    found.part("answer.interim", debug(&one.interim), debug(&other.interim));
    found.part("answer.status", one.status.to_string(), other.status.to_string());
    found.fields("answer.header", &one.headers, &other.headers);
    found.part("answer.body", one.body.clone(), other.body.clone());
    found.fields("answer.trailer", &one.trailers, &other.trailers);
    found.part("attempts", envoy.seen.len().to_string(), weir.seen.len().to_string());
    for (index, (one, other)) in envoy.seen.iter().zip(&weir.seen).enumerate() {
        found.seen(&format!("seen[{index}]"), one, other);
    }
    let (one, other) = (envoy.logged.clone().unwrap_or_default(), weir.logged.clone().unwrap_or_default());
    found.part("log", envoy.logged.is_some().to_string(), weir.logged.is_some().to_string());
    if envoy.logged.is_some() && weir.logged.is_some() {
        found.part("log.status", one.status, other.status);
        found.part("log.flags", one.flags, other.flags);
        found.part("log.route", one.route, other.route);
        found.part("log.cluster", one.cluster, other.cluster);
    }
    found.0
}

fn debug<T: std::fmt::Debug>(value: &T) -> String {
    format!("{value:?}")
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn part(&mut self, part: &str, envoy: String, weir: String) {
        if envoy != weir {
            self.0.push(Difference { part: part.to_owned(), envoy, weir });
        }
    }

    /// Fields by name: their values in order, several joined by ` | `.
    fn fields(&mut self, part: &str, envoy: &[(String, String)], weir: &[(String, String)]) {
        let names: BTreeSet<String> =
            envoy.iter().chain(weir).map(|(name, _)| name.to_ascii_lowercase()).collect();
        for name in names {
            let values = |all: &[(String, String)]| {
                let of_name = all.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&name));
                let values: Vec<String> = of_name.map(|(_, value)| format!("{value:?}")).collect();
                values.join(" | ")
            };
            self.part(&format!("{part}.{name}"), values(envoy), values(weir));
        }
    }

    fn seen(&mut self, part: &str, envoy: &Seen, weir: &Seen) {
        self.part(&format!("{part}.backend"), envoy.backend.clone(), weir.backend.clone());
        self.part(&format!("{part}.version"), envoy.version.clone(), weir.version.clone());
        self.part(&format!("{part}.method"), envoy.method.clone(), weir.method.clone());
        self.part(&format!("{part}.target"), envoy.target.clone(), weir.target.clone());
        self.fields(&format!("{part}.header"), &envoy.headers, &weir.headers);
        self.part(&format!("{part}.body"), envoy.body.clone(), weir.body.clone());
        self.fields(&format!("{part}.trailer"), &envoy.trailers, &weir.trailers);
    }
}
