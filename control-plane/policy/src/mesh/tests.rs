use super::*;
use std::time::Duration;
use weir_model::mesh::AppProtocol;
use weir_model::{AskedWait, LoadBalancing};

fn mesh(text: &str) -> Mesh {
    let (objects, found) = crate::parse_yaml(text);
    assert!(!found.iter().any(|found| found.severity == weir_model::Severity::Error), "{found:#?}");
    to_mesh(&objects)
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  selector: {app: x}\n  \
     ports: [{name: web, port: 80, targetPort: http, appProtocol: kubernetes.io/h2c}, {name: raw, port: 81, appProtocol: mongo}, {name: any, port: 82}]\n---\n";

#[test]
fn protocols_and_target_ports_have_their_meaning() {
    let mesh = mesh(SERVICE);
    let ports = &mesh.services[&Name::new("default", "x")].ports;
    let protocols: Vec<_> = ports.iter().map(|port| port.protocol).collect();
    assert_eq!(protocols, [AppProtocol::Http2, AppProtocol::Tcp, AppProtocol::Unspecified]);
    assert_eq!(ports[0].target, TargetPort::Named("http".to_owned()));
    assert_eq!(ports[1].target, TargetPort::Number(81));
}

#[test]
fn protocols_are_told_by_name() {
    let protocol = |name: &str| {
        crate::ServicePortSpec {
            name: String::new(),
            port: 1,
            target: None,
            app_protocol: Some(name.to_owned()),
        }
        .protocol()
    };
    for (name, expected) in [
        ("http", AppProtocol::Http),
        ("HTTP", AppProtocol::Http),
        ("kubernetes.io/ws", AppProtocol::Http),
        ("http2", AppProtocol::Http2),
        ("kubernetes.io/h2c", AppProtocol::Http2),
        ("grpc", AppProtocol::Grpc),
        ("tcp", AppProtocol::Tcp),
        ("tls", AppProtocol::Tcp),
        ("https", AppProtocol::Tcp),
        ("kubernetes.io/wss", AppProtocol::Tcp),
        ("example.com/mine", AppProtocol::Tcp),
    ] {
        assert_eq!(protocol(name), expected, "{name}");
    }
}

#[test]
fn a_workload_is_reached_at_its_address_on_each_of_its_ports() {
    let mesh = mesh(
        "apiVersion: weir.dev/v1\nkind: Workload\nmetadata: {name: a, labels: {app: x}}\nspec: {address: '::1', ports: {http: 80, rpc: 90}, locality: eu/1}",
    );
    let workload = &mesh.workloads[&Name::new("default", "a")];
    assert_eq!(workload.labels["app"], "x");
    assert_eq!(workload.locality.to_string(), "eu/1/");
    let ports: Vec<_> =
        workload.ports.iter().map(|port| format!("{} {} {}", port.name, port.number, port.address)).collect();
    assert_eq!(ports, ["http 80 [::1]:80", "rpc 90 [::1]:90"]);
    assert!(workload.ready);
}

#[test]
fn section_names_become_port_numbers() {
    let route = |parent: &str| {
        let text = format!(
            "{SERVICE}apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, creationTimestamp: 1970-01-01T00:00:01Z}}\n\
             spec: {{parentRefs: [{{group: '', kind: Service, {parent}}}], rules: [{{backendRefs: [{{name: x, port: 80}}]}}]}}"
        );
        let mesh = mesh(&text);
        let route = &mesh.http_routes[&RouteName::new(RouteKind::Http, Name::new("default", "r"))];
        assert_eq!(route.created_millis, 1000);
        route.parents.iter().map(|parent| (parent.service.name.clone(), parent.port)).collect::<Vec<_>>()
    };
    assert_eq!(route("name: x"), [("x".to_owned(), None)]);
    assert_eq!(route("name: x, port: 7"), [("x".to_owned(), Some(7))]);
    assert_eq!(route("name: x, sectionName: web"), [("x".to_owned(), Some(80))]);
    assert_eq!(route("name: x, sectionName: web, port: 80"), [("x".to_owned(), Some(80))]);
    assert_eq!(route("name: x, sectionName: web, port: 81"), []);
    assert_eq!(route("name: x, sectionName: nothing"), []);
    assert_eq!(route("name: other, sectionName: web"), []);
    assert_eq!(route("name: other, port: 5"), [("other".to_owned(), Some(5))]);
}

fn policy(spec: &str) -> TrafficPolicy {
    let text = format!(
        "{SERVICE}apiVersion: weir.dev/v1\nkind: TrafficPolicy\nmetadata: {{name: p}}\nspec: {{targetRefs: [{{kind: Service, name: x, sectionName: web}}], {spec}}}"
    );
    mesh(&text).traffic_policies[&Name::new("default", "p")].clone()
}

#[test]
fn what_a_policy_leaves_out_keeps_its_default() {
    let plain = policy("loadBalancing: {policy: LeastRequest}");
    assert_eq!(
        plain.targets,
        BTreeSet::from([ParentRef { service: Name::new("default", "x"), port: Some(80) }])
    );
    assert_eq!(plain.load_balancing, Some(LoadBalancing::LeastRequest { choices: 2 }));
    assert_eq!((plain.retry, plain.circuit_breakers, plain.connect_timeout), (None, None, None));
    assert_eq!(plain.created_millis, u64::MAX, "what is not stored yet is the newest");
    let retries = policy("retries: {attempts: 5}").retry.unwrap();
    assert_eq!(retries, RetryPolicy { attempts: 5, ..RetryPolicy::default() });
    let backoff = policy("retries: {backoff: {base: 2s}}").retry.unwrap();
    assert_eq!((backoff.backoff_base, backoff.backoff_max), (Duration::from_secs(2), Duration::from_secs(2)));
    let budget = policy("retries: {budget: {percent: 12.5}}").circuit_breakers.unwrap();
    let said = RetryBudget { parts_per_million: 125_000, min_concurrency: 3 };
    let high = Thresholds { retry_budget: said.clone(), ..Thresholds::default() };
    assert_eq!(budget, CircuitBreakers { retry_budget: said, high, ..CircuitBreakers::default() });
    let breakers = policy("circuitBreakers: {maxRequests: 7}").circuit_breakers.unwrap();
    assert_eq!(breakers, CircuitBreakers { max_requests: 7, ..CircuitBreakers::default() });
    let high = policy("circuitBreakers: {high: {maxRequests: 7}}").circuit_breakers.unwrap();
    let of_high = Thresholds { max_requests: 7, ..Thresholds::default() };
    assert_eq!(high, CircuitBreakers { high: of_high, ..CircuitBreakers::default() });
}

#[test]
fn retry_conditions_unfold() {
    let on = policy("retries: {on: [503, gateway-error, 429, unavailable, cancelled, refused-stream]}")
        .retry
        .unwrap()
        .on;
    let statuses: Vec<u16> = on.statuses.iter().map(StatusCode::as_u16).collect();
    assert_eq!(statuses, [429, 502, 503, 504]);
    assert_eq!(on.grpc, [1, 14]);
    assert_eq!(
        (on.connect_failure, on.refused_stream, on.reset),
        (false, true, true),
        "no answer is a gateway's error"
    );
    assert_eq!(policy("retries: {on: [5xx]}").retry.unwrap().on.statuses.len(), 100);
    let plain = policy("retries: {on: [503, rate-limited]}").retry.unwrap().on;
    assert!(plain.rate_limited && !plain.reset);
}

#[test]
fn hedging_waiting_and_the_life_of_connections_are_what_the_policy_says() {
    let retry = policy("retries: {hedge: true, retryAfter: 2s}").retry.unwrap();
    assert_eq!((retry.hedge, retry.asked), (true, Some(AskedWait::retry_after(Duration::from_secs(2)))));
    assert_eq!(policy("retries: {retryAfter: 0s}").retry.unwrap().asked, None);
    let limits = "maxConnectionsPerEndpoint: 3, maxRequestsPerConnection: 100, maxConnectionDuration: 5m";
    let breakers = policy(&format!("circuitBreakers: {{{limits}}}")).circuit_breakers.unwrap();
    assert_eq!(breakers.max_endpoint_connections, Some(3));
    assert_eq!(breakers.connection.max_requests, Some(100));
    assert_eq!(breakers.connection.max_duration, Some(Duration::from_secs(300)));
    assert_eq!(policy("timeouts: {stream: 1h}").timeouts.stream, Some(Duration::from_secs(3600)));
}
