//! What a listener makes of HTTP where there is a choice: limits on bodies and heads, names of servers and proxies, ports of authorities,
//! underscores.

use super::suite;
use crate::oracle::Suite;
use crate::request::{call, get, post};
use crate::rules::{configuration, everywhere, host, path, prefix};

pub(super) fn suites() -> Vec<Suite> {
    vec![sizes(), names()]
}

fn sizes() -> Suite {
    let routes =
        everywhere([path("/1").to("alpha"), path("/2").to("delta"), prefix("/").answer(200, "said")]);
    let (fits, more) = ("x".repeat(1000), "x".repeat(1001));
    let half = "x".repeat(600);
    let head = "v".repeat(7000);
    let large = "v".repeat(9000);
    let few = |mut request: crate::request::Request, count: usize| {
        for number in 0..count {
            request = request.with(&format!("x-{number}"), "1");
        }
        request
    };
    suite(
        "sizes",
        routes,
        [
            post("/1", ""),
            post("/1", "short"),
            post("/1", &fits),
            post("/1", &more).alone(),
            post("/2", &fits),
            post("/2", &more).alone(),
            post("/1", &fits).http2(),
            post("/1", &more).http2(),
            post("/2", &fits).http2(),
            post("/2", &more).http2(),
            call("POST", "/1").chunks(&[&half]),
            call("POST", "/1").chunks(&[&half, &half]).alone(),
            call("POST", "/2").chunks(&[&half, &half]).alone(),
            call("POST", "/1").chunks(&[&half, &half]).http2(),
            post("/local", "short"),
            post("/local", &more).alone(),
            get("/1").with("x-large", &head),
            get("/1").with("x-large", &large).alone(),
            get("/2").with("x-large", &head).http2(),
            few(get("/1"), 10),
            few(get("/1"), 30).alone(),
            few(get("/1"), 10).http2(),
        ],
    )
}

fn names() -> Suite {
    let routes = configuration(vec![
        host(&["svc.test"], [path("/1").to("alpha"), prefix("/").answer(200, "said")]),
        host(&["other.test"], [prefix("/").to("beta")]),
        host(&["*"], [prefix("/").answer(404, "nobody")]),
    ]);
    suite(
        "names",
        routes,
        [
            get("/1"),
            get("/1").host("svc.test:80"),
            get("/1").host("svc.test:8080"),
            get("/1").host("svc.test."),
            get("/1").host("svc.test.:8080"),
            get("/1").host("other.test:1").http2(),
            get("/1").host("other.test"),
            get("/1").host("nobody.test:1"),
            get("/1").http2(),
            get("/local"),
            get("/local").http2(),
            get("/1").echo("header=server:theirs"),
            get("/1").echo("header=via:1.1 theirs"),
            get("/1").with("via", "1.0 one"),
            get("/1").with("via", "1.0 one").http2(),
            get("/1").with("x_under", "score"),
            get("/1").with("x_under", "score").http2(),
            get("/1").with("x-request-id", "mine"),
            get("/1").with("x-request-id", "mine").http2(),
        ],
    )
}
