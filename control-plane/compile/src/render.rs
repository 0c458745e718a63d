//! A resource as lines that a person reads: golden tests compare it, a dry run shows what changes in it.

mod affinity;
mod bytes;
mod filters;
mod health;

use http::StatusCode;
use std::fmt::{Display, Write};
use std::time::Duration;
use weir_model::{
    CircuitBreakers, Cluster, ClusterKind, Detection, DirectResponse, Discovery, Endpoints, Fallback,
    Forward, HeaderMatch, HeaderMutation, Health, HttpListener, Listener, ListenerKind, LoadBalancing,
    OVERPROVISIONING, PathMatch, PathRewrite, Priority, Redirect, ResetFormat, Resource, RetryPolicy, Route,
    RouteAction, RouteConfiguration, RouteMatch, RouteSource, StaticAnswer, StringMatch, Thresholds,
    Timeouts,
};

/// The lines of a resource; equal resources give equal lines, and every field is in them.
pub fn render(resource: &Resource) -> String {
    let mut out = Lines::default();
    match resource {
        Resource::Cluster(it) => cluster(&mut out, it),
        Resource::Endpoints(it) => endpoints(&mut out, 0, it),
        Resource::Listener(it) => listener(&mut out, it),
        Resource::Route(it) => routes(&mut out, 0, it),
    }
    out.text
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, indent: usize, text: impl Display) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.text, "{:indent$}{text}", "", indent = indent * 2);
    }
}

fn cluster(out: &mut Lines, it: &Cluster) {
    out.line(0, format_args!("cluster {}", it.name));
    match &it.kind {
        ClusterKind::Service { namespace, name, port } => {
            out.line(1, format_args!("service {namespace}/{name}:{port}"))
        }
        ClusterKind::Application => out.line(1, "the application"),
        ClusterKind::Unknown => out.line(1, "unknown kind"),
    }
    let balance = match &it.load_balancing {
        LoadBalancing::RoundRobin => "round robin".to_owned(),
        LoadBalancing::Random => "random".to_owned(),
        LoadBalancing::LeastRequest { choices } => format!("least request of {choices}"),
        LoadBalancing::PeakEwma { decay, default_rtt } => {
            format!("peak EWMA, decay {}, default {}", time(*decay), time(*default_rtt))
        }
        LoadBalancing::RingHash(size) => affinity::ring(size),
        LoadBalancing::Maglev { table_size: None } => "maglev".to_owned(),
        LoadBalancing::Maglev { table_size: Some(size) } => format!("maglev of {size} slots"),
    };
    out.line(1, format_args!("balance {balance}"));
    affinity::spread(&it.spread).into_iter().for_each(|line| out.line(1, line));
    out.line(1, format_args!("speak {:?}", it.http));
    out.line(1, format_args!("connect {}, idle {}", time(it.connect_timeout), time(it.idle_timeout)));
    let breakers = &it.circuit_breakers;
    let budget = &breakers.retry_budget;
    out.line(
        1,
        format_args!(
            "at most {} connections, {} pending, {} requests; retries {} and at least {}",
            breakers.max_connections,
            breakers.max_pending,
            breakers.max_requests,
            percent(budget.parts_per_million),
            budget.min_concurrency
        ),
    );
    more_breakers(out, breakers);
    health::lines(&it.health).into_iter().for_each(|line| out.line(1, line));
    match &it.discovery {
        Discovery::Eds(name) => out.line(1, format_args!("endpoints from {name}")),
        Discovery::Static(list) => endpoints(out, 1, list),
        Discovery::Dns(dns) => {
            for host in dns.hosts.iter().flat_map(|locality| &locality.hosts) {
                out.line(1, format_args!("endpoints by name {}:{}", host.name, host.port));
            }
        }
    }
}

/// What most clusters leave at its default.
fn more_breakers(out: &mut Lines, it: &CircuitBreakers) {
    let high = &it.high;
    if *high != Thresholds::default() {
        let budget = &high.retry_budget;
        out.line(
            1,
            format_args!(
                "of high priority {} connections, {} pending, {} requests; retries {} and at least {}",
                high.max_connections,
                high.max_pending,
                high.max_requests,
                percent(budget.parts_per_million),
                budget.min_concurrency
            ),
        );
    }
    if let Some(most) = it.max_endpoint_connections {
        out.line(1, format_args!("at most {most} connections to an endpoint"));
    }
    if let Some(most) = it.connection.max_requests {
        out.line(1, format_args!("at most {most} requests on a connection"));
    }
    if let Some(most) = it.connection.max_duration {
        out.line(1, format_args!("connections for at most {}", time(most)));
    }
}

fn endpoints(out: &mut Lines, indent: usize, it: &Endpoints) {
    out.line(indent, format_args!("endpoints {}", it.name));
    if it.overprovisioning != OVERPROVISIONING {
        out.line(indent + 1, format_args!("overprovisioned by {} %", it.overprovisioning));
    }
    for group in &it.localities {
        let place = &group.locality;
        out.line(
            indent + 1,
            format_args!("locality {place} priority {} weight {}", group.priority, group.weight),
        );
        for endpoint in &group.endpoints {
            let health = match endpoint.health {
                Health::Healthy => String::new(),
                other => format!(" {other:?}").to_lowercase(),
            };
            let workload = if endpoint.workload.is_empty() {
                String::new()
            } else {
                format!(" ({})", endpoint.workload)
            };
            out.line(
                indent + 2,
                format_args!("{} weight {}{workload}{health}", endpoint.address, endpoint.weight),
            );
        }
    }
}

fn listener(out: &mut Lines, it: &Listener) {
    let address = it.address.map_or_else(|| "by name".to_owned(), |address| format!("on {address}"));
    out.line(0, format_args!("listener {} {:?} {address}", it.name, it.direction));
    match &it.kind {
        ListenerKind::Http(http) => http_listener(out, http),
        ListenerKind::Tcp(it) => bytes::tcp(out, 1, it),
        ListenerKind::Chains(it) => bytes::chains(out, it),
    }
}

fn http_listener(out: &mut Lines, it: &HttpListener) {
    if let Some(tracing) = &it.tracing {
        out.line(1, format_args!("trace {}", percent(tracing.sampling.0)));
    }
    if it.access_log.is_some() {
        out.line(1, "access log");
    }
    filters::filters(out, 1, it.filters.as_deref());
    let limits = [
        ("silent stream", it.limits.stream_idle),
        ("stream", it.limits.stream),
        ("idle connection", it.limits.idle),
        ("connection", it.limits.connection),
    ];
    for (name, limit) in limits {
        if let Some(limit) = limit {
            out.line(1, format_args!("{name} within {}", time(limit)));
        }
    }
    if it.paths != weir_model::Paths::BASE {
        out.line(1, format_args!("paths by {:?}", it.paths));
    }
    if it.forwarded != weir_model::Forwarded::Pass {
        out.line(1, format_args!("forwarded by {:?}", it.forwarded));
    }
    match &it.routes {
        RouteSource::Rds(name) => out.line(1, format_args!("routes from {name}")),
        RouteSource::Inline(inline) => routes(out, 1, inline),
    }
    if let Some(detection) = &it.detection {
        let Detection { otherwise, wait } = &**detection;
        out.line(1, format_args!("bytes that are not HTTP, or nothing for {wait:?}"));
        bytes::tcp(out, 2, otherwise);
    }
}

fn routes(out: &mut Lines, indent: usize, it: &RouteConfiguration) {
    out.line(indent, format_args!("routes {}", it.name));
    for host in &it.virtual_hosts {
        out.line(indent + 1, format_args!("host {} for {}", host.name, host.domains.join(" ")));
        filters::filters(out, indent + 2, host.filters.as_deref());
        for one in &host.routes {
            route(out, indent + 2, one);
        }
    }
}

fn route(out: &mut Lines, indent: usize, it: &Route) {
    out.line(indent, format_args!("{}  [{}]", matches(&it.matches), it.name));
    headers(out, indent + 1, "request", &it.request_headers);
    headers(out, indent + 1, "response", &it.response_headers);
    filters::filters(out, indent + 1, it.filters.as_deref());
    match &it.action {
        RouteAction::Forward(it) => forward(out, indent + 1, it),
        RouteAction::Redirect(it) => out.line(indent + 1, redirect(it)),
        RouteAction::Direct(DirectResponse { status, body }) => {
            out.line(indent + 1, format_args!("answer {} {body:?}", status.as_u16()));
        }
    }
}

fn matches(it: &RouteMatch) -> String {
    let mut parts = Vec::new();
    if let Some(method) = &it.method {
        parts.push(method.to_string());
    }
    parts.push(match &it.path {
        PathMatch::Exact(path) => format!("= {path}"),
        PathMatch::Prefix(path) => format!("{path}{}*", if path.ends_with('/') { "" } else { "/" }),
        PathMatch::Characters(prefix) => format!("{prefix}*"),
        PathMatch::Regex(regex) => format!("~ {regex}"),
    });
    parts.extend(it.headers.iter().map(field));
    parts.extend(it.query.iter().map(|query| format!("?{}{}", query.name, value(&query.value))));
    parts.extend(it.fraction.map(|fraction| format!("{} of them", percent(fraction.0))));
    parts.join(" ")
}

fn forward(out: &mut Lines, indent: usize, it: &Forward) {
    let sum: u64 = it.clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    for cluster in &it.clusters {
        out.line(indent, format_args!("to {} {}/{sum}", cluster.cluster, cluster.weight));
        headers(out, indent + 1, "request", &cluster.request_headers);
        headers(out, indent + 1, "response", &cluster.response_headers);
    }
    if let Some(host) = &it.rewrite.host {
        out.line(indent, format_args!("rewrite host {host}"));
    }
    if let Some(path) = &it.rewrite.path {
        out.line(indent, format_args!("rewrite {}", rewrite(path)));
    }
    let tied = it.affinity.iter().flat_map(|affinity| affinity::lines(affinity));
    tied.for_each(|line| out.line(indent, line));
    timeouts(out, indent, &it.timeouts);
    if let Some(policy) = &it.retry {
        out.line(indent, retry(policy));
    }
    if it.priority == Priority::High {
        out.line(indent, "of high priority");
    }
    match it.fallback.as_deref() {
        Some(Fallback::Cluster(cluster)) => out.line(indent, format_args!("else to {cluster}")),
        Some(Fallback::Direct(StaticAnswer { response: DirectResponse { status, body }, content_type })) => {
            let kind = content_type.as_ref().map_or_else(String::new, |kind| format!(" {kind:?}"));
            out.line(indent, format_args!("else answer {}{kind} {body:?}", status.as_u16()));
        }
        None => {}
    }
    for mirror in &it.mirrors {
        let host = if mirror.marks_host { "" } else { ", same host" };
        out.line(indent, format_args!("mirror {} to {}{host}", percent(mirror.fraction.0), mirror.cluster));
    }
}

fn timeouts(out: &mut Lines, indent: usize, it: &Timeouts) {
    let limits = [
        ("request", it.request),
        ("backend request", it.backend_request),
        ("idle", it.idle),
        ("idle attempt", it.attempt_idle),
        ("stream", it.stream),
        ("grpc-timeout", it.grpc.max),
    ];
    for (name, limit) in limits {
        if let Some(limit) = limit {
            out.line(indent, format_args!("{name} within {}", time(limit)));
        }
    }
    if !it.grpc.offset.is_zero() {
        out.line(indent, format_args!("grpc-timeout less {}", time(it.grpc.offset)));
    }
}

fn retry(it: &RetryPolicy) -> String {
    let mut on = Vec::new();
    for (is, name) in [
        (it.on.connect_failure, "connect failure"),
        (it.on.refused_stream, "refused stream"),
        (it.on.reset, "reset"),
    ] {
        if is {
            on.push(name.to_owned());
        }
    }
    on.extend(status_runs(&it.on.statuses));
    on.extend(it.on.grpc.iter().map(|status| format!("grpc {status}")));
    on.extend(it.on.headers.iter().map(field));
    if it.on.rate_limited {
        on.push("rate limits".to_owned());
    }
    let (base, max) = (time(it.backoff_base), time(it.backoff_max));
    let mut line = format!("retry {} times on {}, after {base} to {max}", it.attempts, on.join(", "));
    if let Some(asked) = &it.asked {
        let fields = asked.fields.iter().map(|(name, format)| match format {
            ResetFormat::Seconds => name.to_string(),
            ResetFormat::UnixTimestamp => format!("{name} (a moment)"),
        });
        line += &format!(", or as {} asks, up to {}", fields.collect::<Vec<_>>().join(", "), time(asked.max));
    }
    if it.avoid_tried {
        line += ", elsewhere";
    }
    if !it.requests.is_empty() {
        line += &format!(", only with {}", it.requests.iter().map(field).collect::<Vec<_>>().join(" or "));
    }
    if it.hedge {
        line += ", hedged";
    }
    line
}

fn field(it: &HeaderMatch) -> String {
    format!("{}{}", it.name, value(&it.value))
}

fn value(it: &StringMatch) -> String {
    match it {
        StringMatch::Exact(text) => format!("={text}"),
        StringMatch::Regex(regex) => format!("~{regex}"),
        StringMatch::Present => String::new(),
    }
}

/// `429, 500–504`: statuses in order, neighbours joined.
fn status_runs(statuses: &[StatusCode]) -> Vec<String> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for status in statuses.iter().map(StatusCode::as_u16) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            _ => runs.push((status, status)),
        }
    }
    let show = |(first, last)| if first == last { format!("{first}") } else { format!("{first}–{last}") };
    runs.into_iter().map(show).collect()
}

fn redirect(it: &Redirect) -> String {
    let mut parts = vec![format!("redirect {}", it.status.as_u16())];
    parts.extend(it.scheme.iter().map(|scheme| format!("scheme {scheme}")));
    parts.extend(it.host.iter().map(|host| format!("host {host}")));
    parts.extend(it.port.iter().map(|port| format!("port {port}")));
    parts.extend(it.path.iter().map(rewrite));
    parts.join(", ")
}

fn rewrite(it: &PathRewrite) -> String {
    match it {
        PathRewrite::Full(path) => format!("path {path}"),
        PathRewrite::Prefix(prefix) => format!("prefix {prefix}"),
        PathRewrite::Characters(prefix) => format!("characters {prefix}"),
        PathRewrite::Substitute(it) => format!("path by s/{}/{}/", it.pattern, it.replacement),
    }
}

fn headers(out: &mut Lines, indent: usize, side: &str, it: &HeaderMutation) {
    for (verb, fields) in [("set", &it.set), ("add", &it.add)] {
        for (name, value) in fields {
            out.line(
                indent,
                format_args!("{side} {verb} {name}: {}", String::from_utf8_lossy(value.as_bytes())),
            );
        }
    }
    for name in &it.remove {
        out.line(indent, format_args!("{side} remove {name}"));
    }
}

fn time(duration: Duration) -> String {
    format!("{duration:?}")
}

fn percent(parts_per_million: u32) -> String {
    format!("{} %", f64::from(parts_per_million) / 10_000.0)
}
