//! What a decision costs: prints nanoseconds per `find` and per `pick` for small and large configurations, so that a change that
//! makes cost grow with size is seen. Run with optimisation; it asserts nothing, since machines differ.
//!
//! ```text
//! cargo run -p weir-decide --release --example cost
//! ```

#![allow(clippy::print_stdout, reason = "it prints its measurements")]

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::hint::black_box;
use std::time::{Duration, Instant};
use weir_decide::balance::{Loads, Position, Table};
use weir_decide::route::{Head, Matcher};
use weir_model::{
    DirectResponse, Endpoint, Endpoints, HeaderMatch, HeaderMutation, HeaderName, Health, LoadBalancing,
    Locality, LocalityEndpoints, PathMatch, Random, Route, RouteAction, RouteConfiguration, RouteMatch,
    StringMatch, Time, VirtualHost,
};

fn main() {
    println!("{:<40} {:>10} {:>10} {:>10}", "ns per find, of routes", 10, 1000, 10_000);
    line("exact path", |of, n| (path(PathMatch::Exact(format!("/service/{n}/call"))), of));
    line("prefix", |of, n| (path(PathMatch::Prefix(format!("/service/{n}"))), of));
    line("regex", |of, n| (path(PathMatch::Regex(format!("/service/{n}/[a-z]+"))), of));
    line("one path, by exact header", |of, n| {
        let value = StringMatch::Exact(n.to_string());
        let headers = vec![HeaderMatch { name: HeaderName::from_static("x-tenant"), value }];
        (RouteMatch { headers, ..RouteMatch::default() }, of)
    });
    println!();
    println!("{:<40} {:>10} {:>10} {:>10}", "ns per pick, of endpoints", 2, 100, 1000);
    let peak =
        LoadBalancing::PeakEwma { decay: Duration::from_secs(10), default_rtt: Duration::from_millis(10) };
    for (name, policy, weighted) in [
        ("round robin", LoadBalancing::RoundRobin, false),
        ("round robin, weighted", LoadBalancing::RoundRobin, true),
        ("random", LoadBalancing::Random, false),
        ("random, weighted", LoadBalancing::Random, true),
        ("least request of 2", LoadBalancing::LeastRequest { choices: 2 }, false),
        ("least request of 2, weighted", LoadBalancing::LeastRequest { choices: 2 }, true),
        ("peak EWMA", peak, false),
        ("ring hash", LoadBalancing::RingHash(weir_model::RingSize::default()), false),
        ("Maglev", LoadBalancing::Maglev { table_size: None }, false),
    ] {
        let costs = [2, 100, 1000].map(|of| pick(&policy, of, weighted));
        println!("{name:<40} {:>10.1} {:>10.1} {:>10.1}", costs[0], costs[1], costs[2]);
    }
}

fn line(name: &str, matches: impl Fn(usize, usize) -> (RouteMatch, usize)) {
    let costs = [10, 1000, 10_000].map(|of| find((0..of).map(|n| matches(of, n).0).collect()));
    println!("{name:<40} {:>10.1} {:>10.1} {:>10.1}", costs[0], costs[1], costs[2]);
}

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path, ..RouteMatch::default() }
}

/// Nanoseconds to find each of ten routes spread over the configuration.
fn find(matches: Vec<RouteMatch>) -> f64 {
    let of = matches.len();
    let routes = matches.into_iter().map(|matches| Route {
        name: String::new(),
        stat_prefix: String::new(),
        matches,
        action: RouteAction::Direct(DirectResponse { status: StatusCode::OK, body: String::new() }),
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    });
    let host = VirtualHost {
        name: String::new(),
        domains: vec!["*".to_owned()],
        routes: routes.collect(),
        filters: None,
        options: None,
    };
    let configuration = RouteConfiguration { name: String::new(), virtual_hosts: vec![host], options: None };
    let Ok(matcher) = Matcher::compile(&configuration) else { return f64::NAN };
    let requests: Vec<(String, HeaderMap)> = (0..10)
        .map(|n| {
            let wanted = n * of / 10;
            let mut headers = HeaderMap::new();
            for name in ["user-agent", "accept", "x-request-id", "x-tenant"] {
                headers.insert(name, HeaderValue::from(wanted as u64));
            }
            (format!("/service/{wanted}/call"), headers)
        })
        .collect();
    let mut random = Random::new(1);
    measure(|turn| {
        let (path, headers) = &requests[turn % 10];
        let head = Head { authority: "reviews:9080", method: &Method::GET, path, query: None, headers };
        assert!(black_box(matcher.find(&head, &mut random)).is_some());
    })
}

struct Idle;

impl Loads for Idle {
    fn active(&self, endpoint: usize) -> u32 {
        (endpoint % 7) as u32
    }

    fn latency(&self, endpoint: usize, _now: Time) -> Option<Duration> {
        Some(Duration::from_micros(100 + endpoint as u64 % 7))
    }

    fn ejected(&self, _endpoint: usize) -> bool {
        false
    }
}

fn pick(policy: &LoadBalancing, of: usize, weighted: bool) -> f64 {
    let endpoints = (0..of).map(|n| Endpoint {
        details: None,
        address: ([10, 0, (n >> 8) as u8, n as u8], 80).into(),
        workload: String::new(),
        health: Health::Healthy,
        weight: if weighted { 1 + (n % 5) as u32 } else { 1 },
    });
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: endpoints.collect(),
    };
    let table = Table::new(
        policy,
        &weir_model::Spread::default(),
        &Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: String::new(),
            localities: vec![locality],
            overprovisioning: weir_model::OVERPROVISIONING,
        },
    );
    let (mut position, mut random) = (Position::default(), Random::new(1));
    measure(|turn| {
        let hash = Some((turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        assert!(black_box(table.pick(&mut position, &Idle, hash, Time(turn as u64), &mut random)).is_some());
    })
}

/// The median of some runs, in nanoseconds per call.
#[allow(clippy::disallowed_methods, reason = "a measurement reads the real clock")]
fn measure(mut call: impl FnMut(usize)) -> f64 {
    const CALLS: usize = 200_000;
    let mut runs: Vec<Duration> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            (0..CALLS).for_each(&mut call);
            begin.elapsed()
        })
        .collect();
    runs.sort_unstable();
    runs[runs.len() / 2].as_secs_f64() * 1e9 / CALLS as f64
}
