//! Which virtual host an authority means.

use super::suite;
use crate::oracle::Suite;
use crate::request::get;
use crate::rules::{configuration, host, prefix};

pub(super) fn suites() -> Vec<Suite> {
    vec![domains(), without_any()]
}

fn domains() -> Suite {
    let all = |answer: &str| [prefix("/").answer(200, answer)];
    let routes = configuration(vec![
        host(&["exact.test"], all("exact")),
        host(&["port.test:8080"], all("port")),
        host(&["*.wild.test"], all("wild")),
        host(&["*.deep.wild.test"], all("deep")),
        host(&["*.wild.test:9090"], all("wild port")),
        host(&["one.test", "two.test", "*.three.test"], all("several")),
        host(&["10.0.0.1", "[::1]"], all("addresses")),
        host(&["*"], all("any")),
    ]);
    suite(
        "domains",
        routes,
        [
            get("/").host("exact.test"),
            get("/").host("EXACT.Test"),
            get("/").host("exact.test."),
            get("/").host("exact.test:80"),
            get("/").host("exact.test:8080"),
            get("/").host("xexact.test"),
            get("/").host("exact.tes"),
            get("/").host("port.test:8080"),
            get("/").host("PORT.test:8080"),
            get("/").host("port.test"),
            get("/").host("port.test:80"),
            get("/").host("a.wild.test"),
            get("/").host("A.WILD.test"),
            get("/").host("a.b.wild.test"),
            get("/").host("wild.test"),
            get("/").host(".wild.test"),
            get("/").host("a.wild.test:80"),
            get("/").host("a.wild.test:9090"),
            get("/").host("a.deep.wild.test"),
            get("/").host("deep.wild.test"),
            get("/").host("a.deep.wild.test:9090"),
            get("/").host("one.test"),
            get("/").host("two.test"),
            get("/").host("x.three.test"),
            get("/").host("three.test"),
            get("/").host("10.0.0.1"),
            get("/").host("10.0.0.1:80"),
            get("/").host("[::1]"),
            get("/").host("[::1]:80"),
            get("/").host("unknown"),
            get("/").host("localhost:1234"),
            get("/").host("exact.test").http2(),
            get("/").host("a.wild.test:9090").http2(),
            get("/").host("unknown").http2(),
        ],
    )
}

fn without_any() -> Suite {
    let routes = configuration(vec![
        host(&["known.test"], [prefix("/in").to("alpha")]),
        host(&["*.known.test"], [prefix("/").to("beta")]),
    ]);
    suite(
        "no-such-host",
        routes,
        [
            get("/in").host("known.test"),
            get("/out").host("known.test"),
            get("/in").host("a.known.test"),
            get("/in").host("unknown.test"),
            get("/in").host("known.test.unknown"),
            get("/in").host("unknown.test").http2(),
        ],
    )
}
