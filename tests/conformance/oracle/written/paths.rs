//! Which path a route takes: exact, by characters, by segments, by expression; and query parameters.

use super::suite;
use crate::oracle::Suite;
use crate::request::{call, get, post};
use crate::rules::{Text, everywhere, path, prefix, regex, segment};

pub(super) fn suites() -> Vec<Suite> {
    vec![kinds(), order(), expressions(), odd(), query(), methods()]
}

fn kinds() -> Suite {
    let routes = everywhere([
        path("/exact").to("alpha"),
        segment("/seg").to("beta"),
        prefix("/chars").to("gamma"),
        prefix("/dir/").to("alpha"),
        regex("/r/[0-9]+").to("beta"),
        path("/two").to("delta"),
    ]);
    suite(
        "path-kinds",
        routes,
        [
            get("/exact"),
            get("/exact?a=b"),
            get("/exact?"),
            get("/exact/"),
            get("/EXACT"),
            get("/exac"),
            get("/exactly"),
            get("/seg"),
            get("/seg?x"),
            get("/seg/"),
            get("/seg//"),
            get("/seg/a?b"),
            get("/segment"),
            get("/Seg"),
            get("/chars"),
            get("/charsandmore/x"),
            get("/char"),
            get("/dir"),
            get("/dir/"),
            get("/dir/x/y"),
            get("/r/12"),
            get("/r/12/"),
            get("/r/12?q=/r/x"),
            get("/r/"),
            get("/two"),
            get("/two?x=1&y=2"),
            get("/"),
            get("/nowhere"),
            get("/exact").http2(),
            get("/seg/a?b").http2(),
            get("/two").http2(),
            get("/nowhere").http2(),
        ],
    )
}

fn order() -> Suite {
    let routes = everywhere([
        segment("/a/b").header("x-go", Text::Exact("first")).to("alpha"),
        prefix("/a").header("x-go", Text::Exact("second")).to("beta"),
        path("/a/b").to("gamma"),
        regex("/a/.*").to("delta"),
        prefix("/").to("alpha"),
    ]);
    suite(
        "path-order",
        routes,
        [
            get("/a/b"),
            get("/a/b").with("x-go", "first"),
            get("/a/b").with("x-go", "second"),
            get("/a/b").with("x-go", "third"),
            get("/a/b/c"),
            get("/a/b/c").with("x-go", "first"),
            get("/a/b/c").with("x-go", "second"),
            get("/ab").with("x-go", "second"),
            get("/ab"),
            get("/a"),
            get("/a/"),
        ],
    )
}

fn expressions() -> Suite {
    let routes = everywhere([
        regex("/v[12]/(users|groups)/[^/]+").to("alpha"),
        regex("/any(/.*)?").to("beta"),
        regex("(?i)/case").to("gamma"),
        regex(r"/dot\.json").to("delta"),
        regex("/a|/b").to("alpha"),
        regex(r"/\d{3}").to("beta"),
    ]);
    suite(
        "path-expressions",
        routes,
        [
            get("/v1/users/7"),
            get("/v2/groups/x-y"),
            get("/v3/users/7"),
            get("/v1/users/7/8"),
            get("/v1/users/"),
            get("/any"),
            get("/any/"),
            get("/any/a/b?c"),
            get("/anyx"),
            get("/CASE"),
            get("/case"),
            get("/dot.json"),
            get("/dotxjson"),
            get("/a"),
            get("/b"),
            get("/a/b"),
            get("/ab"),
            get("/123"),
            get("/12"),
            get("/1234"),
        ],
    )
}

fn odd() -> Suite {
    let routes = everywhere([
        path("/a%2Fb").to("alpha"),
        path("/a/b").to("beta"),
        path("//").to("gamma"),
        segment("/x y").to("alpha"),
        prefix("/.").to("beta"),
        segment("/%7e").to("gamma"),
        prefix("/").to("delta"),
    ]);
    let mut suite = suite(
        "path-odd",
        routes,
        [
            get("/a%2Fb"),
            get("/a%2fb"),
            get("/a/b"),
            get("//"),
            get("///"),
            get("//a/b"),
            get("/./a/b"),
            get("/../a/b"),
            get("/a/../a/b"),
            get("/a/./b"),
            get("/%7e"),
            get("/%7E"),
            get("/~"),
            get("/;a=b"),
            get("/a/b;c"),
            get("/a/b,c"),
            get("/:a@b!$&'()*+,=-._~"),
            get("/%"),
            get("/%zz"),
            get("/%00"),
            get("/a%20b"),
            get("/?"),
            get("/??"),
            get("/?a=/b"),
            get("/a/b?x=%20&y=+"),
            get("/[x]"),
            get("/x|y"),
            get("/x^y"),
            get("/x{y}"),
            get("/a:80/b"),
            get("/http://x/"),
        ],
    );
    // A path with a space cannot be asked for.
    suite.thorough = false;
    suite
}

fn query() -> Suite {
    let routes = everywhere([
        path("/q").query("v", Text::Exact("1")).query("w", Text::Present).to("alpha"),
        path("/q").query("v", Text::Exact("1")).to("beta"),
        path("/q").query("v", Text::Regex("[ab]+")).to("gamma"),
        path("/q").query("v", Text::Prefix("pre")).to("delta"),
        path("/q").query("v", Text::Contains("in")).to("alpha"),
        path("/q").query("v", Text::Suffix("post")).to("beta"),
        path("/q").query("empty", Text::Exact("")).to("gamma"),
        path("/q").query("sp", Text::Exact("a b")).to("delta"),
        prefix("/").to("alpha"),
    ]);
    let mut suite = suite(
        "query",
        routes,
        [
            get("/q?v=1&w=2"),
            get("/q?w&v=1"),
            get("/q?v=1"),
            get("/q?v=1&v=a"),
            get("/q?v=a&v=1"),
            get("/q?v=ab"),
            get("/q?v=abc"),
            get("/q?v=prefix"),
            get("/q?v=xinx"),
            get("/q?v=mypost"),
            get("/q?v"),
            get("/q?v="),
            get("/q?V=1"),
            get("/q?vv=1"),
            get("/q?empty"),
            get("/q?empty="),
            get("/q?empty=x"),
            get("/q?sp=a%20b"),
            get("/q?sp=a+b"),
            get("/q?v=%31"),
            get("/q?%76=1"),
            get("/q?v=1#w"),
            get("/q?a=b&&v=1"),
            get("/q?v=1;w=2"),
            get("/q?=1"),
            get("/q?&"),
            get("/q"),
            get("/q?v=1").http2(),
            get("/q?v=1&w=2").http2(),
        ],
    );
    suite.thorough = false;
    suite
}

fn methods() -> Suite {
    let routes = everywhere([
        path("/m").method("GET").to("alpha"),
        path("/m").method("POST").to("beta"),
        path("/m").method("DELETE").header("x-sure", Text::Exact("yes")).to("gamma"),
        path("/m").method("PURGE").to("delta"),
        path("/any").to("alpha"),
    ]);
    suite(
        "methods",
        routes,
        [
            get("/m"),
            call("HEAD", "/m"),
            post("/m", "x"),
            call("PUT", "/m"),
            call("DELETE", "/m"),
            call("DELETE", "/m").with("x-sure", "yes"),
            call("PURGE", "/m"),
            call("get", "/m"),
            call("OPTIONS", "/any"),
            call("PATCH", "/any"),
            call("TRACE", "/any"),
            call("PROPFIND", "/any"),
            call("HEAD", "/any"),
            call("HEAD", "/any").http2(),
            call("DELETE", "/any").http2(),
            call("OPTIONS", "*"),
        ],
    )
}
