//! What a route does: redirects, rewrites, answers, time limits, retries, clusters that fail.

use super::suite;
use crate::oracle::Suite;
use crate::request::{call, get, post};
use crate::rules::{everywhere, path, prefix, regex, segment, status};

pub(super) fn suites() -> Vec<Suite> {
    vec![redirects(), redirected_paths(), rewrites(), answers(), failures(), times(), retries()]
}

fn redirects() -> Suite {
    let routes = everywhere([
        path("/301").redirect(status(301).host("new.test")),
        path("/302").redirect(status(302).host("new.test")),
        path("/303").redirect(status(303).host("new.test")),
        path("/307").redirect(status(307).host("new.test")),
        path("/308").redirect(status(308).host("new.test")),
        path("/port").redirect(status(301).port(8443)),
        path("/host-port").redirect(status(301).host("new.test").port(8443)),
        path("/https").redirect(status(301).https().port(443)),
        path("/http").redirect(status(301).scheme("http").port(80)),
        path("/https-port").redirect(status(301).https().port(8443)),
        path("/https-80").redirect(status(301).https().port(80)),
        path("/path").redirect(status(301).path("/elsewhere")),
        path("/all").redirect(status(302).https().host("new.test").port(444).path("/elsewhere")),
    ]);
    suite(
        "redirects",
        routes,
        [
            get("/301"),
            get("/302?a=b"),
            get("/303"),
            get("/307"),
            post("/308", "body"),
            get("/301").host("svc.test:8080"),
            get("/port"),
            get("/port").host("svc.test:80"),
            get("/port").host("[::1]:80"),
            get("/port").host("[::1]"),
            get("/host-port").host("svc.test:80"),
            get("/https"),
            get("/https").host("svc.test:80"),
            get("/https").host("svc.test:8080"),
            get("/http"),
            get("/http").host("svc.test:8080"),
            get("/https-port").host("svc.test:8080"),
            get("/https-80").host("svc.test"),
            get("/path"),
            get("/path?a=b&c"),
            get("/path?"),
            get("/all?x").host("svc.test:80"),
            call("HEAD", "/301"),
            get("/301").http2(),
            get("/all?x").http2(),
        ],
    )
}

fn redirected_paths() -> Suite {
    let routes = everywhere([
        segment("/seg").redirect(status(302).prefix("/new")),
        segment("/deep/seg").redirect(status(302).prefix("/x/y/z")),
        path("/exact").redirect(status(302).prefix("/new")),
        prefix("/").redirect(status(302).prefix("/all/")),
    ]);
    suite(
        "redirect-prefix",
        routes,
        [
            get("/seg"),
            get("/seg/"),
            get("/seg/a/b?c=d"),
            get("/deep/seg/1"),
            get("/exact"),
            get("/exact?q"),
            get("/"),
            get("/other/path"),
        ],
    )
}

fn rewrites() -> Suite {
    let routes = everywhere([
        segment("/seg").to("alpha").rewrite_prefix("/new"),
        segment("/deep/er").to("alpha").rewrite_prefix("/x"),
        path("/exact").to("beta").rewrite_prefix("/whole"),
        path("/exact-slash").to("beta").rewrite_prefix("/whole/"),
        regex("/r/[a-z]+").to("gamma").rewrite_prefix("/matched"),
        path("/full").to("alpha").rewrite_regex("^.*$", "/full/path"),
        segment("/strip").to("alpha").rewrite_regex("^/strip/?", "/"),
        path("/host").to("alpha").rewrite_host("inner.test"),
        path("/host-port").to("alpha").rewrite_host("inner.test:8080"),
        path("/host2").to("delta").rewrite_host("inner.test"),
        segment("/all").to("delta").rewrite_host("inner.test").rewrite_prefix("/new").set("x-new", "1"),
        prefix("/").to("alpha").rewrite_prefix("/root/"),
    ]);
    suite(
        "rewrites",
        routes,
        [
            get("/seg"),
            get("/seg/"),
            get("/seg/a/b?c=d"),
            get("/seg?x"),
            get("/deep/er/x"),
            get("/exact"),
            get("/exact?a=b"),
            get("/exact-slash"),
            get("/r/abc?d"),
            get("/full"),
            get("/full?a=b"),
            get("/strip"),
            get("/strip/"),
            get("/strip/a/b"),
            get("/strip?a"),
            get("/host"),
            get("/host").host("svc.test:80"),
            get("/host-port"),
            get("/host2"),
            get("/all/x?y"),
            get("/all/x?y").http2(),
            get("/host").http2(),
            get("/"),
            get("/other?q"),
        ],
    )
}

fn answers() -> Suite {
    let routes = everywhere([
        path("/200").answer(200, "fine"),
        path("/201").answer(201, ""),
        path("/204").answer(204, ""),
        path("/304").answer(304, ""),
        path("/404").answer(404, "not here\n"),
        path("/418").answer(418, "teapot"),
        path("/503").answer(503, ""),
        path("/599").answer(599, "odd"),
        path("/json").answer(200, "{}").set_back("content-type", "application/json"),
        path("/nothing").answer(200, "").set_back("content-type", "application/json"),
    ]);
    suite(
        "answers",
        routes,
        [
            get("/200"),
            get("/201"),
            get("/204"),
            get("/304"),
            get("/404"),
            get("/418"),
            get("/503"),
            get("/599"),
            get("/json"),
            get("/nothing"),
            call("HEAD", "/json"),
            get("/json").http2(),
            call("HEAD", "/200"),
            post("/200", "ignored body"),
            call("POST", "/200").chunks(&["ignored", "body"]),
            get("/200").http2(),
            get("/204").http2(),
            call("HEAD", "/200").http2(),
            post("/200", "ignored body").http2(),
        ],
    )
}

fn failures() -> Suite {
    let routes = everywhere([
        path("/empty").to("empty"),
        path("/refused").to("refused"),
        path("/alpha").to("alpha"),
        path("/delta").to("delta"),
        path("/half").split(&[("empty", 1), ("refused", 0)]),
    ]);
    suite(
        "failures",
        routes,
        [
            get("/empty"),
            call("HEAD", "/empty"),
            post("/empty", "body"),
            get("/empty").http2(),
            get("/refused"),
            post("/refused", "body"),
            get("/refused").http2(),
            get("/half"),
            get("/alpha").echo("close").with("x-key", "never"),
            get("/delta").echo("close"),
            get("/alpha").echo("cut").alone(),
            get("/alpha").echo("until-close"),
            get("/alpha").echo("status=500"),
            get("/alpha").echo("status=503"),
            get("/alpha").echo("status=404"),
            get("/alpha").echo("status=204"),
            get("/alpha").echo("status=304"),
            get("/alpha").echo("status=299"),
            get("/alpha").echo("status=599"),
            get("/delta").echo("status=503"),
            get("/delta").echo("status=204"),
        ],
    )
}

fn times() -> Suite {
    let routes = everywhere([
        path("/short").to("alpha").timeout_ms(200),
        path("/short2").to("delta").timeout_ms(200),
        path("/long").to("alpha").timeout_ms(2000),
        path("/none").to("alpha").timeout_ms(0),
        path("/idle").to("alpha").idle_ms(200),
    ]);
    suite(
        "time-limits",
        routes,
        [
            get("/short"),
            get("/short").echo("delay=500"),
            call("HEAD", "/short").echo("delay=500"),
            post("/short", "body").echo("delay=500"),
            get("/short2").echo("delay=500"),
            get("/short").echo("delay=500").http2(),
            get("/long").echo("delay=150"),
            get("/none").echo("delay=150"),
            get("/idle"),
            get("/idle").echo("delay=500"),
        ],
    )
}

fn retries() -> Suite {
    let routes = everywhere([
        path("/5xx").to("alpha").retry("5xx", 2),
        path("/gateway").to("alpha").retry("gateway-error", 1),
        path("/connect").to("refused").retry("connect-failure", 1),
        path("/reset").to("alpha").retry("reset", 1),
    ]);
    suite(
        "retries",
        routes,
        [
            get("/5xx"),
            get("/5xx").echo("status=503;times=1").with("x-key", "a"),
            get("/5xx").echo("status=500;times=2").with("x-key", "b"),
            get("/5xx").echo("status=503;times=9").with("x-key", "c"),
            get("/5xx").echo("status=404;times=9").with("x-key", "d"),
            get("/gateway").echo("status=503;times=9").with("x-key", "e"),
            get("/gateway").echo("status=500;times=9").with("x-key", "f"),
            get("/connect"),
            get("/reset").echo("close;times=1").with("x-key", "g"),
            get("/reset").echo("status=503;times=9").with("x-key", "h"),
            call("HEAD", "/5xx").echo("status=503;times=1").with("x-key", "i"),
        ],
    )
}
