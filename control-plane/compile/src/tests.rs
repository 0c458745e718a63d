//! Laws over random meshes and nodes, good or not: what comes out is closed, the same each time, and does what the weights say.

mod random;

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use random::{mesh, namespace, node};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_model::mesh::*;
use weir_model::node::Target;
use weir_model::*;

/// What holds of every resource, whatever it was compiled from.
fn check_resource(resource: &Resource) {
    let configuration = match resource {
        Resource::Route(routes) => Some(routes),
        Resource::Listener(Listener { kind: ListenerKind::Http(http), .. }) => match &http.routes {
            RouteSource::Inline(routes) => Some(routes),
            RouteSource::Rds(_) => None,
        },
        _ => None,
    };
    if let Some(routes) = configuration {
        let domains: Vec<&String> = routes.virtual_hosts.iter().flat_map(|host| &host.domains).collect();
        assert_eq!(domains.len(), domains.iter().collect::<BTreeSet<_>>().len(), "a domain is there twice");
        for route in routes.virtual_hosts.iter().flat_map(|host| &host.routes) {
            assert!(route.matches.fraction.is_none_or(|fraction| (1..1_000_000).contains(&fraction.0)));
            if let RouteAction::Forward(forward) = &route.action {
                let sum: u64 = forward.clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
                assert!((1..=u64::from(u32::MAX)).contains(&sum), "the weights add up to {sum}");
                assert!(
                    forward
                        .retry
                        .as_ref()
                        .is_none_or(|retry| (1..=limits::RETRIES).contains(&retry.attempts))
                );
                let timeouts =
                    [forward.timeouts.request, forward.timeouts.backend_request, forward.timeouts.idle];
                assert!(timeouts.into_iter().flatten().all(|timeout| !timeout.is_zero()));
            }
        }
    }
    if let Resource::Endpoints(endpoints) = resource {
        let weights: u64 = endpoints.localities.iter().map(|locality| u64::from(locality.weight)).sum();
        assert!(weights <= u64::from(u32::MAX), "locality weights add up to {weights}");
        for locality in &endpoints.localities {
            let weights: u64 = locality.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
            assert_eq!(weights, u64::from(locality.weight));
            assert!(
                locality.endpoints.is_sorted_by(|a, b| a.address < b.address)
                    && !locality.endpoints.is_empty()
            );
            assert!(locality.endpoints.iter().all(|endpoint| endpoint.weight > 0));
        }
    }
}

fn check_grpc(resource: &Resource) {
    let Resource::Route(routes) = resource else { return };
    for route in routes.virtual_hosts.iter().flat_map(|host| &host.routes) {
        assert!(route.matches.method.is_none() && route.matches.query.is_empty());
        assert!(route.request_headers.is_empty() && route.response_headers.is_empty());
        match &route.action {
            RouteAction::Redirect(_) => panic!("a redirect"),
            RouteAction::Direct(_) => {}
            RouteAction::Forward(forward) => {
                assert_eq!(forward.rewrite, Rewrite::default());
                assert!(forward.timeouts.backend_request.is_none() && forward.timeouts.idle.is_none());
                assert!(forward.retry.as_ref().is_none_or(|retry| retry.on.statuses.is_empty()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_comes_out_is_closed_and_within_bounds(mesh in mesh(), node in node()) {
        let compiled = compile(&mesh, &node);
        prop_assert_eq!(compiled.resources.dangling(), []);
        prop_assert!(compiled.diagnostics.is_sorted());
        for (_, _, version, resource) in compiled.resources.iter() {
            prop_assert_eq!(version, resource.version());
            check_resource(resource);
            if node.target == Target::Grpc {
                check_grpc(resource);
            }
            prop_assert!(!render(resource).is_empty());
        }
    }

    #[test]
    fn a_shared_compiler_answers_as_a_fresh_one(mesh in mesh(), nodes in vec(node(), 1..4)) {
        let mut shared = Compiler::new(&mesh);
        for node in nodes.iter().chain(nodes.iter().rev()) {
            prop_assert_eq!(shared.compile(node), compile(&mesh, node));
        }
    }

    #[test]
    fn every_name_of_a_service_means_it(mesh in mesh(), from in namespace()) {
        for (name, service) in mesh.services.iter().filter(|(name, _)| !name.name.is_empty() && !name.name.contains('.')) {
            for port in &service.ports {
                for authority in authorities(name, service, port.port, &from) {
                    prop_assert_eq!(resolve(&mesh, &authority, &from), Some((name.clone(), port.port)), "{}", authority);
                }
            }
        }
    }

    /// Each backend gets its share of the requests, and what does not resolve answers 500 for its own.
    #[test]
    fn shares_are_what_the_weights_say(weights in vec((any::<bool>(), 0..1_000_000u32), 1..16)) {
        prop_assume!(weights.iter().any(|(_, weight)| *weight > 0));
        let routes = routes_for(&weights);
        let total: f64 = weights.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let (mut left, mut failed, mut served) = (1.0, 0.0, BTreeMap::new());
        for route in &routes {
            // One number decides over all fractions, so each says how far it reaches.
            let reach = route.matches.fraction.map_or(1.0, |fraction| f64::from(fraction.0) / 1e6);
            let share = reach - (1.0 - left);
            left -= share;
            match &route.action {
                RouteAction::Direct(_) => failed += share,
                RouteAction::Forward(forward) => {
                    let sum: u32 = forward.clusters.iter().map(|cluster| cluster.weight).sum();
                    for cluster in &forward.clusters {
                        *served.entry(cluster.cluster.clone()).or_insert(0.0) += share * f64::from(cluster.weight) / f64::from(sum);
                    }
                }
                RouteAction::Redirect(_) => panic!("no redirect was asked for"),
            }
        }
        // A fraction is rounded to one in a million.
        let tolerance = 1e-6 * weights.len() as f64;
        prop_assert!(left.abs() < 1e-9, "{left} of the requests find no route");
        let missing: f64 = weights.iter().filter(|(there, _)| !there).map(|(_, weight)| f64::from(*weight)).sum();
        prop_assert!((failed - missing / total).abs() <= tolerance, "{failed} fail, not {}", missing / total);
        for (index, (there, weight)) in weights.iter().enumerate() {
            let got = served.get(&format!("outbound/a/s{index}:80")).copied().unwrap_or(0.0);
            let want = if *there { f64::from(*weight) / total } else { 0.0 };
            prop_assert!((got - want).abs() <= tolerance, "backend {index} gets {got}, not {want}");
        }
    }
}

fn http_service() -> Service {
    let port = ServicePort {
        name: String::new(),
        port: 80,
        target: TargetPort::Number(80),
        protocol: AppProtocol::Http,
    };
    Service { selector: BTreeMap::new(), ports: vec![port], distribution: None }
}

fn asking(target: Target, authority: &str) -> node::Node {
    node::Node {
        id: String::new(),
        target,
        namespace: "a".to_owned(),
        service: String::new(),
        service_account: SERVICE_ACCOUNT.to_owned(),
        labels: BTreeMap::new(),
        locality: Locality::default(),
        outbound: None,
        outbound_tcp: BTreeMap::new(),
        inbound: Vec::new(),
        upstreams: BTreeSet::new(),
        uses: BTreeSet::from([authority.to_owned()]),
        sampling: None,
        access_log: false,
    }
}

fn rule_to(backends: Vec<Backend>, matches: Vec<RouteMatch>) -> HttpRule {
    let (filters, timeouts) = (HttpFilters::default(), Timeouts::default());
    HttpRule { name: String::new(), matches, filters, backends, timeouts, retry: None, session: None }
}

fn backend(service: &str, weight: u32) -> Backend {
    let target = BackendTarget { service: Name::new("a", service), port: 80 };
    Backend { target, weight, filters: HttpFilters::default() }
}

/// The routes of a service with one rule whose backends are there or not, each with a weight.
fn routes_for(weights: &[(bool, u32)]) -> Vec<Route> {
    let mut mesh = Mesh::default();
    mesh.services.insert(Name::new("a", "parent"), http_service());
    let mut backends = Vec::new();
    for (index, (there, weight)) in weights.iter().enumerate() {
        let name = format!("s{index}");
        if *there {
            mesh.services.insert(Name::new("a", &name), http_service());
        }
        backends.push(backend(&name, *weight));
    }
    let parents = vec![ParentRef { service: Name::new("a", "parent"), port: None }];
    let route = HttpRoute { parents, rules: vec![rule_to(backends, Vec::new())], created_millis: 0 };
    mesh.http_routes.insert(RouteName::new(RouteKind::Http, Name::new("a", "route")), route);
    routes_of(&compile(&mesh, &asking(Target::Weir, "parent")), "outbound/a/parent:80")
}

fn routes_of(compiled: &Compiled, name: &str) -> Vec<Route> {
    match &*compiled.resources.get(ResourceType::Route, name).unwrap().1 {
        Resource::Route(routes) => routes.virtual_hosts[0].routes.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_ready_is_no_endpoint_and_an_address_counts_once() {
    let mut mesh = Mesh::default();
    let mut service = http_service();
    service.selector = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
    mesh.services.insert(Name::new("a", "x"), service);
    for (name, host, ready) in [("one", 1, true), ("again", 1, true), ("off", 2, false), ("other", 3, true)] {
        let ports =
            vec![WorkloadPort { name: String::new(), number: 0, address: ([10, 0, 0, host], 80).into() }];
        let labels = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
        let workload = Workload { labels, locality: Locality::default(), weight: 2, ports, ready };
        mesh.workloads.insert(Name::new("a", name), workload);
    }
    let compiled = compile(&mesh, &asking(Target::Weir, "x"));
    let endpoints = compiled.resources.get(ResourceType::Endpoints, "outbound/a/x:80").unwrap();
    assert_eq!(
        render(&endpoints.1),
        "endpoints outbound/a/x:80\n  locality // priority 0 weight 4\n    10.0.0.1:80 weight 2 (again)\n    10.0.0.3:80 weight 2 (other)\n"
    );
}

#[test]
fn of_two_policies_for_one_service_the_older_one_applies_and_only_its_own_namespace() {
    let mut mesh = Mesh::default();
    mesh.services.insert(Name::new("a", "x"), http_service());
    let target = ParentRef { service: Name::new("a", "x"), port: None };
    for (namespace, name, created_millis, seconds) in
        [("b", "foreign", 0, 9), ("a", "a-young", 2, 5), ("a", "b-old", 1, 3)]
    {
        let policy = TrafficPolicy {
            targets: BTreeSet::from([target.clone()]),
            load_balancing: None,
            connect_timeout: Some(Duration::from_secs(seconds)),
            timeouts: Timeouts::default(),
            affinity: Default::default(),
            retry: None,
            circuit_breakers: None,
            health: Default::default(),
            actions: Default::default(),
            created_millis,
        };
        mesh.traffic_policies.insert(Name::new(namespace, name), policy);
    }
    let compiled = compile(&mesh, &asking(Target::Weir, "x"));
    let Resource::Cluster(cluster) =
        &*compiled.resources.get(ResourceType::Cluster, "outbound/a/x:80").unwrap().1
    else {
        panic!("a cluster")
    };
    assert_eq!(cluster.connect_timeout, Duration::from_secs(3));
}

#[test]
fn ten_thousand_routes_come_out_in_order() {
    let mut mesh = Mesh::default();
    mesh.services.insert(Name::new("a", "x"), http_service());
    for index in 0..1000 {
        let one = |rule: usize| {
            let path = PathMatch::Prefix(format!("/{index}/{}", "a".repeat(rule + 1)));
            rule_to(vec![backend("x", 1)], vec![RouteMatch { path, ..RouteMatch::default() }])
        };
        let parents = vec![ParentRef { service: Name::new("a", "x"), port: Some(80) }];
        let route = HttpRoute { parents, rules: (0..10).map(one).collect(), created_millis: 0 };
        let name = Name::new("a", format!("route-{index}"));
        mesh.http_routes.insert(RouteName::new(RouteKind::Http, name), route);
    }
    let routes = routes_of(&compile(&mesh, &asking(Target::Weir, "x")), "outbound/a/x:80");
    assert_eq!(routes.len(), 10_000);
    let length = |route: &Route| match &route.matches.path {
        PathMatch::Prefix(path) => path.len(),
        other => panic!("{other:?}"),
    };
    assert!(routes.is_sorted_by(|a, b| length(a) >= length(b)), "longest prefix first");
}
