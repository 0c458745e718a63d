//! `healthCheck`: what is asked, how often, and what of it counts.

use super::super::{MILLISECOND, duration_field, write_duration};
use super::{COUNT, flag};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::fields;
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::{HeaderMutation, HealthCheck, HttpProbe, NO_TRAFFIC_INTERVAL, Probe, limits};

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(1);
const UNHEALTHY: u32 = 3;
const HEALTHY: u32 = 2;

pub(super) fn read(at: &At<'_>) -> Option<HealthCheck> {
    let fields = at.object(&Schema::of(&[
        "http",
        "grpc",
        "tcp",
        "interval",
        "timeout",
        "initialJitter",
        "intervalJitter",
        "unhealthyThreshold",
        "healthyThreshold",
        "reuseConnection",
        "noTrafficInterval",
        "noTrafficHealthyInterval",
        "unhealthyInterval",
        "unhealthyEdgeInterval",
        "healthyEdgeInterval",
    ]))?;
    let probes = [fields.get("http"), fields.get("grpc"), fields.get("tcp")];
    let probe = match probes {
        [Some(at), None, None] => read_http(&at),
        [None, Some(at), None] => read_grpc(&at),
        [None, None, Some(at)] => read_tcp(&at),
        [None, None, None] => {
            at.error("it does not say what to check", "add http, grpc or tcp");
            None
        }
        _ => {
            at.error("it says more than one of http, grpc and tcp", "keep one");
            None
        }
    };
    let time = |name: &str, least| duration_field(&fields, name, least);
    let threshold = |name: &str| fields.get(name).and_then(|at| at.count(1..=COUNT));
    let interval = time("interval", MILLISECOND).unwrap_or(INTERVAL);
    let idle = time("noTrafficInterval", MILLISECOND).unwrap_or(NO_TRAFFIC_INTERVAL);
    let unhealthy = time("unhealthyInterval", MILLISECOND).unwrap_or(interval);
    let times = HealthCheck {
        timeout: time("timeout", MILLISECOND).unwrap_or(TIMEOUT),
        interval,
        initial_jitter: time("initialJitter", Duration::ZERO).unwrap_or(jitter(interval)),
        interval_jitter: time("intervalJitter", Duration::ZERO).unwrap_or(jitter(interval)),
        interval_jitter_percent: 0,
        unhealthy_threshold: threshold("unhealthyThreshold").unwrap_or(UNHEALTHY),
        healthy_threshold: threshold("healthyThreshold").unwrap_or(HEALTHY),
        reuse_connection: flag(&fields, "reuseConnection").unwrap_or(true),
        no_traffic_interval: idle,
        no_traffic_healthy_interval: time("noTrafficHealthyInterval", MILLISECOND).unwrap_or(idle),
        unhealthy_interval: unhealthy,
        unhealthy_edge_interval: time("unhealthyEdgeInterval", MILLISECOND).unwrap_or(unhealthy),
        healthy_edge_interval: time("healthyEdgeInterval", MILLISECOND).unwrap_or(interval),
        probe: Probe::Tcp { send: Vec::new(), receive: Vec::new() },
    };
    Some(HealthCheck { probe: probe?, ..times })
}

/// A tenth, so that sidecars that start together do not all ask together.
pub(super) fn jitter(interval: Duration) -> Duration {
    Duration::from_millis(u64::try_from(interval.as_millis() / 10).unwrap_or(u64::MAX))
}

pub(super) fn write(check: &HealthCheck) -> Value {
    let (name, probe) = match &check.probe {
        Probe::Http(http) => ("http", write_http(http)),
        Probe::Grpc { service, authority } => ("grpc", write_grpc(service, authority)),
        Probe::Tcp { send, receive } => ("tcp", write_tcp(send, receive)),
    };
    let unless = |value: Duration, default: Duration| (value != default).then(|| write_duration(value));
    fields([
        (name, Some(probe)),
        ("interval", Some(write_duration(check.interval))),
        ("timeout", Some(write_duration(check.timeout))),
        ("initialJitter", unless(check.initial_jitter, jitter(check.interval))),
        ("intervalJitter", unless(check.interval_jitter, jitter(check.interval))),
        ("unhealthyThreshold", Some(json!(check.unhealthy_threshold))),
        ("healthyThreshold", Some(json!(check.healthy_threshold))),
        ("reuseConnection", (!check.reuse_connection).then_some(Value::Bool(false))),
        ("noTrafficInterval", unless(check.no_traffic_interval, NO_TRAFFIC_INTERVAL)),
        ("noTrafficHealthyInterval", unless(check.no_traffic_healthy_interval, check.no_traffic_interval)),
        ("unhealthyInterval", unless(check.unhealthy_interval, check.interval)),
        ("unhealthyEdgeInterval", unless(check.unhealthy_edge_interval, check.unhealthy_interval)),
        ("healthyEdgeInterval", unless(check.healthy_edge_interval, check.interval)),
    ])
}

/// A host and perhaps a port.
fn authority(fields: &Fields<'_>, name: &str) -> String {
    let Some((at, text)) = fields.get_text(name) else { return String::new() };
    if text.parse::<http::uri::Authority>().is_err() {
        at.error(format!("{} is not a host", excerpt(&Value::from(text))), "write one, such as reviews:9080");
    }
    text.to_owned()
}

fn read_http(at: &At<'_>) -> Option<Probe> {
    let known = &["path", "host", "method", "http2", "expectedStatuses", "retriableStatuses"];
    let fields = at.object(&Schema::of(known))?;
    let (at, path) = fields.required_text("path", "name one, such as /healthz")?;
    let good = path.starts_with('/')
        && path.len() <= limits::NAME_BYTES
        && path.parse::<http::uri::PathAndQuery>().is_ok();
    if !good {
        at.error(format!("{} is not a path", excerpt(&Value::from(path))), "write one, such as /healthz");
    }
    let methods = [
        ("GET", http::Method::GET),
        ("HEAD", http::Method::HEAD),
        ("POST", http::Method::POST),
        ("PUT", http::Method::PUT),
        ("DELETE", http::Method::DELETE),
        ("OPTIONS", http::Method::OPTIONS),
        ("TRACE", http::Method::TRACE),
        ("PATCH", http::Method::PATCH),
    ];
    let method = match fields.get_text("method") {
        None => Some(http::Method::GET),
        Some((at, text)) => {
            let found = methods.iter().find(|(name, _)| *name == text).map(|(_, method)| method.clone());
            if found.is_none() {
                at.not_one_of(text, &methods.map(|(name, _)| name));
            }
            found
        }
    };
    let ranges = |name: &str| fields.get(name).map_or(Some(Vec::new()), |at| read_ranges(&at));
    let (expected, retriable) = (ranges("expectedStatuses"), ranges("retriableStatuses"));
    good.then_some(Probe::Http(HttpProbe {
        host: authority(&fields, "host"),
        path: path.to_owned(),
        method: method?,
        http2: flag(&fields, "http2").unwrap_or(false),
        expected: expected?,
        retriable: retriable?,
        headers: HeaderMutation::default(),
    }))
}

fn read_ranges(at: &At<'_>) -> Option<Vec<(u16, u16)>> {
    let ranges: Vec<Option<(u16, u16)>> =
        at.list(1..=limits::HEALTH_CHECK_PARTS)?.iter().map(read_range).collect();
    ranges.into_iter().collect()
}

/// `204`, `"204"` or `"200-299"`.
fn read_range(at: &At<'_>) -> Option<(u16, u16)> {
    if at.value().is_number() {
        let status = u16::try_from(at.integer(100..=599)?).ok()?;
        return Some((status, status + 1));
    }
    let text = at.text()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last + 1)),
        _ => {
            let found = excerpt(&Value::from(text));
            at.error(format!("{found} is no status and no range of them"), "write 204 or \"200-299\"");
            None
        }
    }
}

fn write_http(http: &HttpProbe) -> Value {
    let ranges = |ranges: &[(u16, u16)]| {
        let range = |(from, below): &(u16, u16)| match below - from {
            1 => json!(from.to_string()),
            _ => json!(format!("{from}-{}", below - 1)),
        };
        (!ranges.is_empty()).then(|| Value::from(ranges.iter().map(range).collect::<Vec<_>>()))
    };
    fields([
        ("path", Some(json!(http.path))),
        ("host", (!http.host.is_empty()).then(|| json!(http.host))),
        ("method", (http.method != http::Method::GET).then(|| json!(http.method.as_str()))),
        ("http2", http.http2.then_some(Value::Bool(true))),
        ("expectedStatuses", ranges(&http.expected)),
        ("retriableStatuses", ranges(&http.retriable)),
    ])
}

fn read_grpc(at: &At<'_>) -> Option<Probe> {
    let fields = at.object(&Schema::of(&["service", "authority"]))?;
    let service = fields.get_text("service").map(|(_, text)| text.to_owned()).unwrap_or_default();
    Some(Probe::Grpc { service, authority: authority(&fields, "authority") })
}

fn write_grpc(service: &str, authority: &str) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| json!(text));
    fields([("service", text(service)), ("authority", text(authority))])
}

fn read_tcp(at: &At<'_>) -> Option<Probe> {
    let fields = at.object(&Schema::of(&["send", "receive"]))?;
    let bytes = |at: &At<'_>, text: &str| {
        if text.len() > limits::HEALTH_CHECK_BYTES {
            at.error(format!("{} bytes, more than {}", text.len(), limits::HEALTH_CHECK_BYTES), "write less");
        }
        text.as_bytes().to_vec()
    };
    let send = fields.get_text("send").map(|(at, text)| bytes(&at, text)).unwrap_or_default();
    let mut receive = Vec::new();
    if let Some(at) = fields.get("receive") {
        for at in at.list(1..=limits::HEALTH_CHECK_PARTS)? {
            match at.text()? {
                "" => at.error("it is empty", "write what is expected, or leave it out"),
                text => receive.push(bytes(&at, text)),
            }
        }
    }
    Some(Probe::Tcp { send, receive })
}

fn write_tcp(send: &[u8], receive: &[Vec<u8>]) -> Value {
    // What came as text is text.
    let text = |bytes: &[u8]| json!(String::from_utf8_lossy(bytes));
    let blocks: Vec<Value> = receive.iter().map(|bytes| text(bytes)).collect();
    fields([
        ("send", (!send.is_empty()).then(|| text(send))),
        ("receive", (!blocks.is_empty()).then(|| Value::from(blocks))),
    ])
}
