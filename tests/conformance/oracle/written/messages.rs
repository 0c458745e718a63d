//! Messages as the RFCs have them: bodies, hop-by-hop headers, trailers, both versions on both sides.

use super::suite;
use crate::oracle::Suite;
use crate::request::{call, get, post};
use crate::rules::{everywhere, path};

pub(super) fn suites() -> Vec<Suite> {
    vec![bodies(), hops()]
}

fn bodies() -> Suite {
    let routes = everywhere([path("/1").to("alpha"), path("/2").to("delta")]);
    let long = "0123456789abcdef".repeat(4096);
    suite(
        "bodies",
        routes,
        [
            post("/1", ""),
            post("/1", "short"),
            post("/1", &long),
            post("/2", ""),
            post("/2", "short"),
            post("/2", &long),
            post("/1", "short").http2(),
            post("/2", "short").http2(),
            post("/1", &long).http2(),
            call("POST", "/1").chunks(&[]),
            call("POST", "/1").chunks(&["one"]),
            call("POST", "/1").chunks(&["one", "two", "three"]),
            call("POST", "/2").chunks(&["one", "two"]),
            call("POST", "/1").chunks(&["one", "two"]).http2(),
            call("POST", "/2").chunks(&["one", "two"]).http2(),
            call("POST", "/1").chunks(&["one"]).trailer("x-sum", "3"),
            call("POST", "/2").chunks(&["one"]).trailer("x-sum", "3"),
            call("POST", "/2").chunks(&["one"]).trailer("x-sum", "3").http2(),
            call("PUT", "/1").chunks(&["one"]),
            call("GET", "/1").chunks(&["odd"]),
            call("DELETE", "/1").chunks(&["odd"]),
            get("/1").with("content-length", "0"),
            get("/1").echo("body="),
            get("/1").echo("chunked"),
            get("/2").echo("chunked"),
            get("/1").echo("chunked").http2(),
            get("/2").echo("chunked").http2(),
            get("/2").echo("chunked;trailer=x-t:1"),
            get("/2").echo("chunked;trailer=x-t:1").http2(),
            call("HEAD", "/1").echo("chunked"),
            call("HEAD", "/2"),
        ],
    )
}

fn hops() -> Suite {
    let routes = everywhere([path("/1").to("alpha"), path("/2").to("delta")]);
    suite(
        "hops",
        routes,
        [
            get("/1").with("connection", "keep-alive"),
            get("/1").with("connection", "close"),
            get("/1").with("connection", "x-mine").with("x-mine", "1"),
            get("/1").with("connection", "close, x-mine").with("x-mine", "1"),
            get("/1").with("keep-alive", "timeout=5"),
            get("/1").with("proxy-connection", "keep-alive"),
            get("/1").with("te", "trailers"),
            get("/1").with("te", "gzip"),
            get("/2").with("te", "trailers"),
            get("/2").with("te", "trailers").http2(),
            get("/1").with("upgrade", "h2c"),
            get("/1").with("connection", "upgrade").with("upgrade", "echo").alone(),
            get("/1").with("proxy-authorization", "Basic x"),
            get("/1").echo("header=connection:keep-alive"),
            get("/1").echo("header=keep-alive:timeout=5"),
            get("/1").echo("header=proxy-connection:close"),
            get("/2").with("connection", "x-mine").with("x-mine", "1"),
            get("/1").with("x-forwarded-for", "10.1.1.1"),
            get("/1").with("x-forwarded-proto", "https"),
            get("/1").with("x-forwarded-host", "outer.test"),
            get("/1").with("forwarded", "for=10.1.1.1"),
            get("/1").with("via", "1.0 other"),
            get("/1").with("accept-encoding", "gzip").with("accept", "*/*"),
            get("/1").with("x-request-id", "mine"),
            get("/1").with("x-envoy-original-path", "/forged"),
            get("/1").with("cookie", "a=b").with("cookie", "c=d"),
            get("/1").with("cookie", "a=b").with("cookie", "c=d").http2(),
            get("/1").echo("header=set-cookie:a=b;header=set-cookie:c=d"),
            get("/1").echo("header=date:Mon, 01 Jan 2024 00:00:00 GMT"),
            get("/1").echo("header=server:theirs"),
            get("/1").echo("header=via:1.1 theirs"),
            get("/1").echo("header=x-empty:"),
            get("/1").with("x-empty", ""),
            get("/1").with("X-MiXeD", "Case"),
            get("/1").with("x_under", "score"),
        ],
    )
}
