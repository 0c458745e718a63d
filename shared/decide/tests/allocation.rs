//! Finding a route and picking an endpoint allocate nothing on common paths.

#![allow(unsafe_code, reason = "counting allocations takes an allocator, which is unsafe to implement")]

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;
use weir_decide::balance::{Loads, Position, Table};
use weir_decide::route::{Head, Matcher};
use weir_decide::{header, hop, latency, split::Split};
use weir_model::{
    DirectResponse, Endpoint, Endpoints, Fraction, HeaderMatch, HeaderMutation, HeaderName, Health,
    LoadBalancing, Locality, LocalityEndpoints, PathMatch, QueryMatch, Random, Route, RouteAction,
    RouteConfiguration, RouteMatch, StringMatch, Time, VirtualHost,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(act: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    act();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

fn route(matches: RouteMatch) -> Route {
    Route {
        name: String::new(),
        stat_prefix: String::new(),
        matches,
        action: RouteAction::Direct(DirectResponse { status: StatusCode::OK, body: String::new() }),
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    }
}

#[test]
fn finding_a_route_allocates_nothing() {
    let path = |path| RouteMatch { path, ..RouteMatch::default() };
    let prefix = |n: usize| path(PathMatch::Prefix(format!("/prefix/{n}")));
    let exact = |text: usize| StringMatch::Exact(text.to_string());
    let tenant = |n| HeaderMatch { name: HeaderName::from_static("x-tenant"), value: exact(n) };
    let digits = || StringMatch::Regex("[0-9]+".to_owned());
    let mut matches = Vec::new();
    for n in 0..100 {
        matches.push(path(PathMatch::Exact(format!("/exact/{n}"))));
        matches.push(path(PathMatch::Regex(format!("/regex/{n}/[a-z]+"))));
        matches.push(path(PathMatch::Regex(format!("/shared/[a-z]+/{n}"))));
        matches.push(RouteMatch { headers: vec![tenant(n)], ..prefix(0) });
        let page = QueryMatch { name: "page".to_owned(), value: exact(n) };
        matches.push(RouteMatch { query: vec![page], method: Some(Method::GET), ..prefix(1) });
        let page = QueryMatch { name: "page".to_owned(), value: digits() };
        matches.push(RouteMatch { query: vec![page], fraction: Some(Fraction(10_000)), ..prefix(2) });
    }
    matches.push(prefix(0));
    matches.push(prefix(3));
    let domains =
        ["reviews", "reviews:80", "reviews.default:9080", "*.default.svc"].map(str::to_owned).to_vec();
    let host = VirtualHost {
        name: String::new(),
        domains,
        routes: matches.into_iter().map(route).collect(),
        filters: None,
        options: None,
    };
    let matcher = Matcher::compile(&RouteConfiguration {
        name: String::new(),
        virtual_hosts: vec![host],
        options: None,
    })
    .unwrap();

    let mut headers = HeaderMap::new();
    for name in ["user-agent", "accept", "x-request-id", "x-tenant"] {
        headers.insert(name, HeaderValue::from_static("77"));
    }
    let mut random = Random::new(1);
    let authorities = ["reviews", "reviews:80", "reviews.default:9080", "reviews.default.svc"];
    let targets = [
        ("/exact/77", None),
        ("/regex/77/x", None),
        ("/shared/x/77", None),
        ("/prefix/0/x", None),
        ("/prefix/1", Some("a=b&page=77")),
        ("/prefix/2/y", Some("page=77")),
        ("/prefix/3/y", Some("page=77")),
        ("/none", None),
    ];
    let mut found = 0;
    let count = allocations(|| {
        for authority in authorities {
            for (path, query) in targets {
                let head = Head { authority, method: &Method::GET, path, query, headers: &headers };
                found += usize::from(matcher.find(&head, &mut random).is_some());
            }
        }
    });
    assert_eq!(count, 0);
    assert!(found >= 4 * 6, "{found}");
}

struct Idle;

impl Loads for Idle {
    fn active(&self, _endpoint: usize) -> u32 {
        0
    }

    fn latency(&self, _endpoint: usize, now: Time) -> Option<Duration> {
        latency::read(latency::observe(latency::UNMEASURED, DECAY, now, DECAY), now, DECAY)
    }

    fn ejected(&self, endpoint: usize) -> bool {
        endpoint == 5
    }
}

const DECAY: Duration = Duration::from_secs(10);

#[test]
fn picking_an_endpoint_allocates_nothing() {
    let endpoints = (0..100).map(|n| Endpoint {
        details: None,
        address: ([10, 0, 0, n], 80).into(),
        workload: String::new(),
        health: Health::Healthy,
        weight: 1 + u32::from(n % 3),
    });
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: endpoints.collect(),
    };
    let endpoints = Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: String::new(),
        localities: vec![locality],
        overprovisioning: weir_model::OVERPROVISIONING,
    };
    for policy in [
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
        LoadBalancing::PeakEwma { decay: DECAY, default_rtt: DECAY },
        LoadBalancing::RingHash(weir_model::RingSize::default()),
        LoadBalancing::Maglev { table_size: None },
    ] {
        let table = Table::new(&policy, &weir_model::Spread::default(), &endpoints);
        let (mut position, mut random) = (Position::default(), Random::new(1));
        let mut pick =
            |n: u64| table.pick(&mut position, &Idle, Some(n << 32 | n << 8), Time(n), &mut random);
        // The first picks set out turns and find what is ejected.
        (0..5000).for_each(|n| {
            pick(n);
        });
        let count = allocations(|| (0..1000).for_each(|n| assert!(pick(n).is_some())));
        assert_eq!(count, 0, "{policy:?}");
    }
}

#[test]
fn what_surrounds_them_allocates_nothing() {
    let split = Split::new(&[90, 10]).unwrap();
    let mut random = Random::new(1);
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("reviews"));
    headers.insert("x-a", HeaderValue::from_static("1"));
    let mutation = HeaderMutation {
        set: vec![(HeaderName::from_static("x-a"), HeaderValue::from_static("2"))],
        ..HeaderMutation::default()
    };
    let count = allocations(|| {
        split.pick(&mut random);
        header::apply(&mutation, &mut headers);
        hop::request(&mut headers, http::Version::HTTP_11);
        hop::response(&mut headers, StatusCode::OK, http::Version::HTTP_11);
    });
    assert_eq!(count, 0);
}

#[test]
fn looking_at_a_request_allocates_nothing() {
    use weir_decide::{authority, framing::Framing, path};
    let bytes = b"POST /a/b HTTP/1.1\r\nHost: reviews:9080\r\nContent-Length: 3\r\nX: y\r\n\r\nabc".repeat(3);
    let mut framing = Framing::new();
    let counted = allocations(|| {
        for part in bytes.chunks(17) {
            assert_eq!(framing.advance(std::hint::black_box(part)), None);
        }
        assert!(authority::is_valid(std::hint::black_box("reviews:9080")));
        let normal = path::normalize(std::hint::black_box("/a/b"), &weir_model::Paths::BASE);
        assert_eq!(normal, path::Outcome::Same);
    });
    assert_eq!(counted, 0);
}
