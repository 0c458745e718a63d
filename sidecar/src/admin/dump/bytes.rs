//! Listeners for opaque bytes and filter chains, as JSON.

use serde_json::{Value, json};
use weir_model::{ChainKind, ChainMatch, FilterChains, IpNet, SourceType, TcpListener};

use super::{access_log, http};

pub(super) fn tcp(it: &TcpListener) -> Value {
    let target = |target: &weir_model::TcpTarget| json!({"cluster": target.cluster, "weight": target.weight});
    json!({
        "clusters": it.targets.iter().map(target).collect::<Value>(),
        "attempts": it.attempts,
        "idle_timeout_ms": it.idle_timeout.map(|time| time.as_millis() as u64),
        "max_duration_ms": it.max_duration.map(|time| time.as_millis() as u64),
        "hash_source": it.hash_source,
        "access_log": access_log(it.access_log.as_deref()),
    })
}

pub(super) fn chains(it: &FilterChains) -> Value {
    let kind = |kind: &ChainKind| match kind {
        ChainKind::Http(it) => json!({"http": http(it)}),
        ChainKind::Tcp(it) => json!({"tcp": tcp(it)}),
    };
    let chain = |chain: &weir_model::FilterChain| json!({"name": chain.name, "match": matches(&chain.matches), "kind": kind(&chain.kind)});
    json!({
        "inspect": it.inspect.map(|inspect| json!({
            "tls": inspect.tls,
            "http": inspect.http,
            "wait_ms": inspect.wait.as_millis() as u64,
            "go_on": inspect.go_on,
        })),
        "chains": it.chains.iter().map(chain).collect::<Value>(),
        "otherwise": it.otherwise.as_ref().map(kind),
    })
}

/// What is asked; what is not is left out.
fn matches(it: &ChainMatch) -> Value {
    let nets = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Value>();
    let source = match it.source_type {
        SourceType::Any => Value::Null,
        SourceType::Local => json!("local"),
        SourceType::External => json!("external"),
    };
    let transport = if it.transport.is_empty() { Value::Null } else { json!(it.transport) };
    let all = [
        ("destination_port", json!(it.destination_port)),
        ("destinations", nets(&it.destinations)),
        ("server_names", json!(it.server_names)),
        ("transport", transport),
        ("application_protocols", json!(it.application_protocols)),
        ("direct_sources", nets(&it.direct_sources)),
        ("source_type", source),
        ("sources", nets(&it.sources)),
        ("source_ports", json!(it.source_ports)),
    ];
    let asked = all.into_iter().filter(|(_, value)| !value.is_null() && *value != json!([]));
    asked.map(|(name, value)| (name.to_owned(), value)).collect()
}
