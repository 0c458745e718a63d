//! `loadBalancing` of a `TrafficPolicy`: how an endpoint is chosen, and what a consistent hash is taken of.

use super::affinity::{read_source, write_source};
use super::{MILLISECOND, duration_field};
use crate::decode::{At, Schema};
use crate::parse::fields;
use crate::scalar::format_duration;
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::{HashSource, LoadBalancing, RingSize, limits};

/// How fast Peak EWMA forgets by default, as in Finagle.
const DECAY: Duration = Duration::from_secs(10);
/// What an endpoint without measurements is assumed to take.
const DEFAULT_RTT: Duration = Duration::from_millis(30);

const SCHEMA: Schema = Schema {
    known: &[
        "policy",
        "choices",
        "decay",
        "defaultRtt",
        "consistentHash",
        "minimumRingSize",
        "maximumRingSize",
        "tableSize",
    ],
    later: &[],
    ignored: &[],
};

/// The fields that only some policies have.
const BELONGS: [(&str, &[&str]); 7] = [
    ("choices", &["LeastRequest"]),
    ("decay", &["PeakEwma"]),
    ("defaultRtt", &["PeakEwma"]),
    ("consistentHash", &["RingHash", "Maglev"]),
    ("minimumRingSize", &["RingHash"]),
    ("maximumRingSize", &["RingHash"]),
    ("tableSize", &["Maglev"]),
];

/// The policy, and what is hashed if it needs a hash.
pub(super) fn read(at: &At<'_>) -> Option<(LoadBalancing, Option<HashSource>)> {
    let fields = at.object(&SCHEMA)?;
    let names = ["RoundRobin", "Random", "LeastRequest", "PeakEwma", "RingHash", "Maglev"];
    let (at, policy) = fields.required_text("policy", "name one, such as LeastRequest")?;
    if !names.contains(&policy) {
        at.not_one_of(policy, &names);
        return None;
    }
    for (field, policies) in BELONGS {
        if let Some(at) = fields.get(field).filter(|_| !policies.contains(&policy)) {
            at.error(format!("{policy} has no {field}"), "remove it, or choose another policy");
        }
    }
    let hash = || {
        let mend = "say what is hashed, such as {header: x-user} or {cookie: {name: user}}";
        read_source(&fields.required("consistentHash", mend)?)
    };
    let size = |name: &str, most: u32| fields.get(name).and_then(|at| at.count(1..=most));
    Some(match policy {
        "RoundRobin" => (LoadBalancing::RoundRobin, None),
        "Random" => (LoadBalancing::Random, None),
        "LeastRequest" => {
            let choices = fields.get("choices").map_or(Some(2), |at| at.count(2..=100))?;
            (LoadBalancing::LeastRequest { choices }, None)
        }
        "PeakEwma" => {
            let decay = duration_field(&fields, "decay", MILLISECOND).unwrap_or(DECAY);
            let default_rtt = duration_field(&fields, "defaultRtt", MILLISECOND).unwrap_or(DEFAULT_RTT);
            (LoadBalancing::PeakEwma { decay, default_rtt }, None)
        }
        "RingHash" => {
            let (minimum, maximum) =
                (size("minimumRingSize", limits::RING_POINTS), size("maximumRingSize", limits::RING_POINTS));
            if let (Some(minimum), Some(maximum)) = (minimum, maximum)
                && minimum > maximum
            {
                let mend = format!("write maximumRingSize: {minimum}");
                fields.here().error("minimumRingSize is above maximumRingSize", mend);
            }
            (LoadBalancing::RingHash(RingSize { minimum, maximum }), Some(hash()?))
        }
        _ => {
            let table_size = size("tableSize", limits::MAGLEV_SLOTS);
            if let (Some(size), Some(at)) = (table_size, fields.get("tableSize"))
                && !weir_model::is_prime(size)
            {
                at.error(format!("{size} is not a prime number"), "write one, such as 65537");
            }
            (LoadBalancing::Maglev { table_size }, Some(hash()?))
        }
    })
}

pub(super) fn write(policy: &LoadBalancing, hash: Option<&HashSource>) -> Value {
    let hash = || hash.map(write_source);
    match policy {
        LoadBalancing::RoundRobin => json!({"policy": "RoundRobin"}),
        LoadBalancing::Random => json!({"policy": "Random"}),
        LoadBalancing::LeastRequest { choices } => json!({"policy": "LeastRequest", "choices": choices}),
        LoadBalancing::PeakEwma { decay, default_rtt } => {
            json!({"policy": "PeakEwma", "decay": format_duration(*decay), "defaultRtt": format_duration(*default_rtt)})
        }
        LoadBalancing::RingHash(size) => fields([
            ("policy", Some(json!("RingHash"))),
            ("consistentHash", hash()),
            ("minimumRingSize", size.minimum.map(|size| json!(size))),
            ("maximumRingSize", size.maximum.map(|size| json!(size))),
        ]),
        LoadBalancing::Maglev { table_size } => fields([
            ("policy", Some(json!("Maglev"))),
            ("consistentHash", hash()),
            ("tableSize", table_size.map(|size| json!(size))),
        ]),
    }
}
