//! When limits begin and end: requests whose body is slow to come, and answers that are. What is to be within a limit of 400 ms takes no time of
//! its own but for what does not count; what is to exceed it takes twice as long.

use super::suite;
use crate::oracle::Suite;
use crate::request::{Request, call, get, post};
use crate::rules::{Rule, everywhere, path};

pub(super) fn suites() -> Vec<Suite> {
    vec![requests(), attempts(), streams(), grpc()]
}

const LIMIT: u64 = 400;

fn to(at: &str) -> Rule {
    path(at).to("alpha").timeout_ms(0)
}

/// Its body comes in two parts after pauses which together exceed every limit.
fn slow(target: &str) -> Request {
    call("POST", target).chunks(&["one", "two"]).slowly(300)
}

fn requests() -> Suite {
    let routes = everywhere([to("/request").timeout_ms(LIMIT), to("/idle").idle_ms(LIMIT)]);
    suite(
        "timeout-of-requests",
        routes,
        [
            slow("/request"),
            slow("/request").http2(),
            slow("/request").echo("delay=800"),
            get("/request").echo("body=some and more;drip=800").alone(),
            slow("/idle"),
            call("POST", "/idle").chunks(&["one", "two"]).slowly(800).alone(),
            get("/idle").echo("body=some and more;drip=800").alone(),
        ],
    )
}

fn attempts() -> Suite {
    let routes = everywhere([
        to("/once").try_ms(LIMIT),
        to("/twice").retry("reset", 1).try_ms(LIMIT),
        to("/hedge").retry("5xx", 1).try_ms(LIMIT).hedge(),
        to("/quiet").quiet_ms(LIMIT),
        to("/quiet-twice").retry("reset", 1).quiet_ms(LIMIT),
    ]);
    suite(
        "timeout-of-attempts",
        routes,
        [
            slow("/once"),
            slow("/once").http2(),
            get("/once").echo("delay=800"),
            get("/once").echo("body=some and more;drip=800"),
            get("/twice").echo("delay=800"),
            call("PUT", "/twice").chunks(&["one", "two"]).slowly(300).echo("delay=800"),
            get("/hedge").echo("delay=1200;times=1").with("x-key", "hedge-get"),
            get("/hedge").echo("delay=600").with("x-key", "hedge-first"),
            post("/hedge", "body").echo("delay=1200;times=1").with("x-key", "hedge-post"),
            slow("/quiet"),
            get("/quiet").echo("delay=800"),
            get("/quiet").echo("body=some and more;drip=800").alone(),
            get("/quiet-twice").echo("delay=800"),
        ],
    )
}

fn streams() -> Suite {
    let routes = everywhere([
        path("/stream").to("alpha").stream_ms(LIMIT),
        path("/both").to("alpha").timeout_ms(LIMIT).stream_ms(5_000),
    ]);
    suite(
        "timeout-of-streams",
        routes,
        [
            get("/stream"),
            slow("/stream").alone(),
            get("/stream").echo("delay=800"),
            get("/stream").echo("body=some and more;drip=800").alone(),
            get("/both").echo("delay=800"),
        ],
    )
}

fn grpc() -> Suite {
    let asks = |target: &str, timeout: &str| {
        let request =
            call("POST", target).http2().with("content-type", "application/grpc").with("te", "trailers");
        request.with("grpc-timeout", timeout).chunks(&["\0\0\0\0\0"])
    };
    let routes = everywhere([
        path("/any").to("delta").grpc_ms(0, 0),
        path("/most").to("delta").grpc_ms(LIMIT, 0),
        path("/less").to("delta").grpc_ms(0, 4_600),
    ]);
    suite(
        "timeout-of-grpc",
        routes,
        [
            asks("/any", "5S").echo("header=grpc-status:0"),
            asks("/any", "400m").echo("delay=800"),
            asks("/most", "5S").echo("delay=800"),
            asks("/less", "5S").echo("delay=800"),
        ],
    )
}
