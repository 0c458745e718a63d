//! Conditions on headers, and changes to them.

use super::suite;
use crate::oracle::Suite;
use crate::request::{get, post};
use crate::rules::{Text, everywhere, path, prefix, share};

pub(super) fn suites() -> Vec<Suite> {
    vec![conditions(), requests(), responses(), answers(), shares()]
}

fn conditions() -> Suite {
    let routes = everywhere([
        path("/h").header("x-a", Text::Exact("one")).to("alpha"),
        path("/h").header("x-a", Text::Regex("t.o")).to("beta"),
        path("/h").header("x-a", Text::Prefix("pre")).to("gamma"),
        path("/h").header("x-a", Text::Suffix("post")).to("delta"),
        path("/h").header("x-a", Text::Contains("in")).to("alpha"),
        path("/h").header("x-b", Text::Present).header("x-c", Text::Present).to("beta"),
        path("/h").header("x-list", Text::Exact("a,b")).to("gamma"),
        path("/h").header("cookie", Text::Regex("(.*; )?user=me(;.*)?")).to("delta"),
        path("/h").header("host", Text::Exact("named.test")).to("alpha"),
        path("/h").header("x-empty", Text::Exact("")).to("delta"),
        prefix("/").to("alpha"),
    ]);
    suite(
        "header-conditions",
        routes,
        [
            get("/h").with("x-a", "one"),
            get("/h").with("X-A", "one"),
            get("/h").with("x-a", "ONE"),
            get("/h").with("x-a", " one "),
            get("/h").with("x-a", "one").with("x-a", "two"),
            get("/h").with("x-a", "two"),
            get("/h").with("x-a", "xtwo"),
            get("/h").with("x-a", "prefixed"),
            get("/h").with("x-a", "pre"),
            get("/h").with("x-a", "my-post"),
            get("/h").with("x-a", "xinx"),
            get("/h").with("x-b", ""),
            get("/h").with("x-b", "").with("x-c", "v"),
            get("/h").with("x-b", "1").with("x-c", "2"),
            get("/h").with("x-list", "a").with("x-list", "b"),
            get("/h").with("x-list", "a,b"),
            get("/h").with("x-list", "a, b"),
            get("/h").with("cookie", "user=me"),
            get("/h").with("cookie", "a=b; user=me; c=d"),
            get("/h").with("cookie", "user=you"),
            get("/h").host("named.test"),
            get("/h").with("x-empty", ""),
            get("/h").with("x-empty", "x"),
            get("/h"),
            get("/h").with("x-a", "one").http2(),
            get("/h").with("cookie", "a=b").with("cookie", "user=me").http2(),
        ],
    )
}

fn requests() -> Suite {
    let routes = everywhere([
        path("/add").to("alpha").add("x-new", "1").add("x-old", "2").add("x-new", "3"),
        path("/set").to("alpha").set("x-new", "1").set("x-old", "2"),
        path("/remove").to("alpha").remove("x-old").remove("x-none"),
        path("/set-add").to("alpha").set("x-old", "1").add("x-old", "2"),
        path("/again").to("alpha").remove("x-old").add("x-old", "1").add("x-old", "2"),
        path("/both").to("alpha").set("x-set", "s").add("x-add", "a").remove("x-old"),
        path("/empty").to("alpha").set("x-old", ""),
        path("/percent").to("alpha").set("x-new", "100%% sure"),
        path("/agent").to("alpha").set("user-agent", "mesh").remove("accept"),
        path("/two").to("delta").add("x-new", "1").remove("x-old"),
    ]);
    suite(
        "request-headers",
        routes,
        [
            get("/add"),
            get("/add").with("x-old", "0"),
            get("/add").with("x-new", "0").with("x-old", "0").with("x-old", "00"),
            get("/set"),
            get("/set").with("x-old", "0").with("x-old", "00"),
            get("/remove"),
            get("/remove").with("x-old", "0").with("X-OLD", "00"),
            get("/set-add").with("x-old", "0"),
            get("/both").with("x-old", "0").with("x-add", "0").with("x-set", "0"),
            get("/again"),
            get("/again").with("x-old", "0"),
            get("/empty").with("x-old", "0"),
            get("/percent"),
            get("/agent").with("user-agent", "curl").with("accept", "*/*"),
            get("/two").with("x-old", "0"),
            get("/two").with("x-old", "0").http2(),
            post("/both", "body").with("x-old", "0"),
        ],
    )
}

fn responses() -> Suite {
    let routes = everywhere([
        path("/add").to("alpha").add_back("x-new", "1").add_back("x-old", "2"),
        path("/set").to("alpha").set_back("x-new", "1").set_back("x-old", "2"),
        path("/remove").to("alpha").remove_back("x-old").remove_back("x-backend"),
        path("/set-add").to("alpha").set_back("x-old", "1").add_back("x-old", "2"),
        path("/server").to("alpha").set_back("server", "mine"),
        path("/unserver").to("alpha").remove_back("server"),
        path("/two").to("delta").add_back("x-new", "1").remove_back("x-old"),
        path("/none").to("empty").add_back("x-new", "1"),
    ]);
    let old = "header=x-old:0;header=X-Old:00";
    suite(
        "response-headers",
        routes,
        [
            get("/add"),
            get("/add").echo(old),
            get("/set"),
            get("/set").echo(old),
            get("/remove").echo(old),
            get("/set-add").echo(old),
            get("/server"),
            get("/server").echo("header=server:theirs"),
            get("/unserver").echo("header=server:theirs"),
            get("/two").echo(old),
            get("/two").echo(old).http2(),
            get("/add").echo("status=404"),
            get("/add").echo("status=503"),
            get("/none"),
        ],
    )
}

fn answers() -> Suite {
    let routes = everywhere([
        path("/direct").answer(200, "said").add_back("x-new", "1").set_back("content-type", "text/html"),
        path("/quiet").answer(204, "").set_back("x-new", "1"),
        path("/plain").answer(503, "later\n").remove_back("content-type"),
    ]);
    suite("answer-headers", routes, [get("/direct"), get("/quiet"), get("/plain"), get("/direct").http2()])
}

fn shares() -> Suite {
    let both = |prefix: &str| {
        vec![
            share("alpha", 1).set("x-side", "alpha").add_back("x-side", "alpha").remove("x-old"),
            share("beta", 2).add("x-side", prefix).set_back("x-side", prefix).remove_back("x-old"),
        ]
    };
    let routes = everywhere([
        path("/one")
            .shares(vec![share("alpha", 1).set("x-side", "a").add_back("x-side", "a"), share("beta", 0)]),
        path("/both").shares(both("b")),
        path("/route-too").shares(both("c")).set("x-route", "r").set_back("x-route", "r"),
        path("/same")
            .shares(vec![
                share("alpha", 1).set("x-set", "a").add("x-add", "a").remove("x-gone"),
                share("beta", 0),
            ])
            .set("x-set", "r")
            .add("x-add", "r")
            .add("x-gone", "r"),
        path("/crossed")
            .shares(vec![share("alpha", 1).add("x-one", "a").set("x-two", "a").add("x-three", "a")])
            .remove("x-one")
            .add("x-two", "r")
            .set("x-three", "r"),
        path("/back-too")
            .shares(vec![
                share("alpha", 1).add_back("x-one", "a").set_back("x-two", "a").remove_back("x-three"),
            ])
            .set_back("x-one", "r")
            .add_back("x-two", "r")
            .add_back("x-three", "r"),
        path("/uneven").split(&[("alpha", 9), ("beta", 1)]),
        path("/zero").split(&[("alpha", 0), ("gamma", 7), ("empty", 0)]),
    ]);
    suite(
        "split-headers",
        routes,
        [
            get("/one").with("x-old", "0"),
            get("/both").with("x-old", "0").echo("header=x-old:0"),
            get("/both").with("x-side", "0"),
            get("/both").with("x-side", "0"),
            get("/route-too").with("x-route", "0").echo("header=x-route:0"),
            get("/same"),
            get("/same").with("x-set", "0").with("x-add", "0").with("x-gone", "0"),
            get("/crossed"),
            get("/crossed").with("x-one", "0").with("x-two", "0").with("x-three", "0"),
            get("/back-too"),
            get("/back-too").echo("header=x-one:0;header=x-two:0;header=x-three:0"),
            get("/uneven"),
            get("/uneven"),
            get("/zero"),
            get("/zero"),
        ],
    )
}
