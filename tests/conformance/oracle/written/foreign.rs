//! What no policy of weir's says, and other control planes do: changes of header fields on every level and of every kind, conditions on
//! anything in a head, expressions in rewrites, and what configurations and virtual hosts say for all their routes.

use super::suite;
use crate::oracle::Suite;
use crate::request::{call, get};
use crate::rules::{self, Redirect, Rule, configuration, everywhere, host, option, path, pb, prefix, regex};
use crate::rules::{segment, share, status, substitute};
use rules::core::header_value_option::HeaderAppendAction as Action;
use rules::{google, kind, matcher};

pub(super) fn suites() -> Vec<Suite> {
    vec![
        actions(),
        formats(),
        back_formats(),
        levels("levels-most-specific-last", true),
        levels("levels-most-specific-first", false),
        attempts(),
        fields(),
        inverted(),
        parts(),
        queries(),
        any_case(),
        grpc(),
        cookies(),
        substitutions(),
        redirects(),
        hosts(),
        ports(),
        wildcards(),
    ]
}

const ACTIONS: [Action; 4] = [
    Action::AppendIfExistsOrAdd,
    Action::AddIfAbsent,
    Action::OverwriteIfExists,
    Action::OverwriteIfExistsOrAdd,
];

fn changed(mut rule: Rule, options: &[(&str, &str, Action)]) -> Rule {
    let options = options.iter().map(|(name, value, action)| option(name, value, *action));
    rule.0.request_headers_to_add.extend(options);
    rule
}

fn changed_back(mut rule: Rule, options: &[(&str, &str, Action)]) -> Rule {
    let options = options.iter().map(|(name, value, action)| option(name, value, *action));
    rule.0.response_headers_to_add.extend(options);
    rule
}

/// Each action, where there is no such field, one and two, and several actions on one field.
fn actions() -> Suite {
    let [append, absent, existing, over] = ACTIONS;
    let to = |at: &str| path(at).to("alpha");
    let dropped = |mut rule: Rule| {
        rule.0.request_headers_to_add.iter_mut().for_each(|option| option.keep_empty_value = false);
        rule
    };
    #[allow(deprecated, reason = "older control planes say it")]
    let old = |mut rule: Rule, append: bool| {
        let wrapped = Some(google::BoolValue { value: append });
        rule.0.request_headers_to_add.iter_mut().for_each(|option| option.append = wrapped);
        rule
    };
    let routes = everywhere([
        changed(to("/append"), &[("x-a", "1", append), ("x-a", "2", append)]),
        changed(to("/absent"), &[("x-a", "1", absent), ("x-a", "2", absent), ("x-b", "1", absent)]),
        changed(to("/existing"), &[("x-a", "1", existing), ("x-a", "2", existing)]),
        changed(to("/over"), &[("x-a", "1", over), ("x-a", "2", over)]),
        changed(
            to("/mixed"),
            &[("x-a", "1", append), ("x-a", "2", over), ("x-a", "3", absent), ("x-a", "4", existing)],
        ),
        changed(
            to("/removed").remove("x-a"),
            &[("x-a", "1", absent), ("x-a", "2", existing), ("x-a", "3", append)],
        ),
        changed(to("/empty"), &[("x-a", "", append), ("x-b", "", over)]),
        dropped(changed(to("/dropped"), &[("x-a", "", append), ("x-b", "", over), ("x-c", "", absent)])),
        dropped(changed(to("/blank"), &[("x-a", "%REQ(x-none)%", append), ("x-b", "%REQ(x-none)%", over)])),
        old(changed(to("/old-add"), &[("x-a", "1", append)]), true),
        old(changed(to("/old-set"), &[("x-a", "1", append)]), false),
        changed_back(
            to("/back"),
            &[("x-a", "1", absent), ("x-b", "1", existing), ("x-c", "1", over), ("x-d", "1", append)],
        ),
    ]);
    let targets = [
        "append", "absent", "existing", "over", "mixed", "removed", "empty", "dropped", "blank", "old-add",
        "old-set", "back",
    ];
    let mut requests = vec![];
    for target in targets.map(|target| format!("/{target}")) {
        requests.push(get(&target));
        requests.push(get(&target).with("x-a", "0").with("x-b", "0"));
        requests.push(get(&target).with("x-a", "0").with("x-a", "00").http2());
    }
    requests.push(get("/back").echo("header=x-a:0;header=x-b:0;header=x-c:0;header=x-d:0"));
    Suite { requests, ..suite("header-actions", routes, []) }
}

fn formats() -> Suite {
    let over = Action::OverwriteIfExistsOrAdd;
    let to = |at: &str| path(at).to("alpha");
    let routes = everywhere([
        changed(
            to("/head"),
            &[
                ("x-method", "%REQ(:METHOD)%", over),
                ("x-path", "%REQ(:PATH)%", over),
                ("x-authority", "%REQ(:AUTHORITY)%", over),
                ("x-other", "<%REQ(X-None?X-A)%>", over),
                ("x-short", "%REQ(x-a):2%", over),
                ("x-both", "%PROTOCOL% %REQ(x-a)% 100%%", over),
                ("x-nothing", "%REQ(x-none)%", over),
                ("x-none-here", "%RESP(x-a)%%UPSTREAM_HOST%", over),
            ],
        ),
        changed(
            to("/peer"),
            &[
                ("x-peer", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", over),
                ("x-here", "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", over),
                ("x-route", "%ROUTE_NAME%", over),
                ("x-name", "[%REQUESTED_SERVER_NAME%]", over),
                ("x-flags", "%RESPONSE_FLAGS%", over),
            ],
        ),
        // Values are made of what there is when nothing but what is removed has changed.
        changed(
            to("/swap").remove("x-c"),
            &[("x-a", "%REQ(x-b)%", over), ("x-b", "%REQ(x-a)%", over), ("x-d", "%REQ(x-c)%", over)],
        ),
        changed(to("/rewritten").rewrite_prefix("/new"), &[("x-path", "%REQ(:PATH)%", over)]),
    ]);
    suite(
        "header-formats",
        routes,
        [
            get("/head?q=1").with("x-a", "value"),
            get("/head").with("x-a", "1").with("x-a", "2"),
            get("/head"),
            call("POST", "/head").with("x-a", "é").http2(),
            get("/peer"),
            get("/peer").http2(),
            get("/swap").with("x-a", "1").with("x-b", "2").with("x-c", "3"),
            get("/rewritten?q=1"),
        ],
    )
}

fn back_formats() -> Suite {
    let over = Action::OverwriteIfExistsOrAdd;
    let said = [
        ("x-path", "%REQ(:PATH)%", over),
        ("x-id", "%REQ(x-id?x-other)%", over),
        ("x-code", "%RESP(:STATUS)%", over),
        ("x-copy", "%RESP(x-backend)%", over),
        ("x-to", "%UPSTREAM_CLUSTER%", over),
    ];
    let routes = everywhere([
        changed_back(path("/up").to("alpha"), &said),
        changed_back(path("/rewritten").to("alpha").rewrite_prefix("/new"), &said),
        changed_back(path("/said").answer(202, "said"), &said[..2]),
        changed_back(path("/sent").redirect(status(302).host("other.test")), &said[..2]),
        changed_back(path("/none").to("empty"), &said[..2]),
        path("/share").shares(vec![
            {
                let mut one = share("alpha", 1);
                one.0.response_headers_to_add.push(option("x-id", "alpha %REQ(x-id)%", over));
                one
            },
            share("beta", 0),
        ]),
    ]);
    suite(
        "response-header-formats",
        routes,
        [
            get("/up").with("x-id", "7"),
            get("/up").with("x-other", "8").echo("status=404"),
            get("/up?q=1").http2(),
            get("/rewritten?q=1").with("x-id", "7"),
            get("/said").with("x-id", "7"),
            get("/sent").with("x-id", "7"),
            get("/none").with("x-id", "7"),
            get("/share").with("x-id", "7"),
        ],
    )
}

/// The same field is changed on every level, so that what is left tells the order.
fn levels(name: &str, most_specific_last: bool) -> Suite {
    let [append, absent, existing, over] = ACTIONS;
    let each = |who: &str| {
        vec![
            option("x-over", who, over),
            option("x-append", who, append),
            option("x-absent", who, absent),
            option("x-existing", who, existing),
        ]
    };
    let with = |mut rule: Rule| {
        rule.0.request_headers_to_add = each("route");
        rule.0.response_headers_to_add = each("route");
        rule
    };
    let mut chosen = share("alpha", 1);
    chosen.0.request_headers_to_add = each("cluster");
    chosen.0.response_headers_to_add = each("cluster");
    let mut inner = host(
        &["inner.test"],
        [
            path("/plain").to("alpha"),
            with(path("/route").to("alpha")),
            with(path("/share").shares(vec![chosen.clone(), share("beta", 0)])),
            path("/only-share").shares(vec![chosen, share("beta", 0)]),
            with(path("/said").answer(200, "said")),
            with(path("/none").to("empty")),
            path("/removed").to("alpha").add("x-host-gone", "route"),
        ],
    );
    inner.request_headers_to_add = each("host");
    inner.response_headers_to_add = each("host");
    inner.request_headers_to_remove = vec!["x-host-gone".to_owned()];
    inner.response_headers_to_remove = vec!["x-host-gone".to_owned()];
    let outer = host(&["*"], [with(path("/route").to("alpha")), path("/plain").to("alpha")]);
    let mut routes = configuration(vec![inner, outer]);
    routes.most_specific_header_mutations_wins = most_specific_last;
    routes.request_headers_to_add = each("all");
    routes.response_headers_to_add = each("all");
    routes.request_headers_to_remove = vec!["x-gone".to_owned()];
    routes.response_headers_to_remove = vec!["x-gone".to_owned()];
    let echo = "header=x-gone:0;header=x-host-gone:0;header=x-existing:0;header=x-absent:0";
    let ask = |target: &str| {
        get(target)
            .host("inner.test")
            .with("x-gone", "0")
            .with("x-host-gone", "0")
            .with("x-existing", "0")
            .echo(echo)
    };
    suite(
        name,
        routes,
        [
            ask("/plain"),
            ask("/route"),
            ask("/route").http2(),
            ask("/share"),
            ask("/only-share"),
            ask("/said"),
            ask("/none"),
            ask("/removed"),
            ask("/route").host("outer.test"),
            ask("/plain").host("outer.test"),
            get("/route").host("inner.test"),
            get("/missing").host("inner.test"),
        ],
    )
}

fn attempts() -> Suite {
    let mut told = host(
        &["told.test"],
        [
            path("/retried").to("alpha").retry("5xx", 2),
            changed(
                path("/set").to("alpha"),
                &[("x-copy", "%REQ(x-envoy-attempt-count)%", Action::OverwriteIfExistsOrAdd)],
            ),
            path("/said").answer(200, "said"),
            path("/sent").redirect(status(302).host("other.test")),
            path("/none").to("empty"),
            prefix("/").to("alpha"),
        ],
    );
    told.include_request_attempt_count = true;
    told.include_attempt_count_in_response = true;
    let routes = configuration(vec![told, host(&["*"], [prefix("/").to("alpha")])]);
    suite(
        "attempt-counts",
        routes,
        [
            get("/").host("told.test"),
            get("/").host("told.test").with("x-envoy-attempt-count", "7").http2(),
            get("/retried").host("told.test").with("x-key", "attempts-1").echo("status=503;times=1"),
            get("/retried").host("told.test").echo("status=503"),
            get("/set").host("told.test"),
            get("/said").host("told.test"),
            get("/sent").host("told.test"),
            get("/none").host("told.test"),
            get("/").host("other.test"),
        ],
    )
}

type Specifier = pb::header_matcher::HeaderMatchSpecifier;

fn on(mut rule: Rule, name: &str, specifier: Option<Specifier>, change: fn(&mut pb::HeaderMatcher)) -> Rule {
    let mut matcher =
        pb::HeaderMatcher { name: name.to_owned(), header_match_specifier: specifier, ..Default::default() };
    change(&mut matcher);
    rule.0.r#match.get_or_insert_default().headers.push(matcher);
    rule
}

fn text(pattern: matcher::string_matcher::MatchPattern, ignore_case: bool) -> Option<Specifier> {
    Some(Specifier::StringMatch(matcher::StringMatcher { match_pattern: Some(pattern), ignore_case }))
}

fn exact(value: &str) -> Option<Specifier> {
    text(matcher::string_matcher::MatchPattern::Exact(value.to_owned()), false)
}

#[allow(deprecated, reason = "older control planes say it")]
fn fields() -> Suite {
    use matcher::string_matcher::MatchPattern;
    let as_is = |_: &mut pb::HeaderMatcher| {};
    let range = |start, end| Some(Specifier::RangeMatch(kind::Int64Range { start, end }));
    let to = |at: &str| path(at).to("beta");
    let routes = everywhere([
        on(to("/range"), "x-n", range(-3, 10), as_is),
        on(to("/absent"), "x-n", Some(Specifier::PresentMatch(false)), as_is),
        on(to("/present"), "x-n", None, as_is),
        on(to("/exact"), "x-n", text(MatchPattern::Exact("A.b".to_owned()), true), as_is),
        on(to("/prefix"), "x-n", text(MatchPattern::Prefix("A.b".to_owned()), true), as_is),
        on(to("/suffix"), "x-n", text(MatchPattern::Suffix("A.b".to_owned()), true), as_is),
        on(to("/contains"), "x-n", text(MatchPattern::Contains("A.b".to_owned()), true), as_is),
        on(to("/old-exact"), "x-n", Some(Specifier::ExactMatch("a.b".to_owned())), as_is),
        on(to("/old-prefix"), "x-n", Some(Specifier::PrefixMatch("a.b".to_owned())), as_is),
        on(to("/old-suffix"), "x-n", Some(Specifier::SuffixMatch("a.b".to_owned())), as_is),
        on(to("/old-contains"), "x-n", Some(Specifier::ContainsMatch("a.b".to_owned())), as_is),
        prefix("/").to("alpha"),
    ]);
    let mut requests = vec![];
    for value in ["0", " -3 ", "10", "+9", "9.5", "", "0x1", "99999999999999999999", "-4"] {
        requests.push(get("/range").with("x-n", value));
    }
    requests.push(get("/range"));
    requests.push(get("/range").with("x-n", "50").with("x-n", "5"));
    for at in ["/absent", "/present"] {
        requests.extend([get(at), get(at).with("x-n", ""), get(at).with("x-n", "1")]);
    }
    for at in
        ["exact", "prefix", "suffix", "contains", "old-exact", "old-prefix", "old-suffix", "old-contains"]
    {
        let at = format!("/{at}");
        for value in ["a.b", "A.B", "aab", "xa.Bx", "a.bx", "xa.b", ""] {
            requests.push(get(&at).with("x-n", value));
        }
        requests.push(get(&at));
    }
    Suite { requests, ..suite("field-conditions", routes, []) }
}

/// Says something more of a condition.
type Change = fn(&mut pb::HeaderMatcher);

fn inverted() -> Suite {
    let invert = |matcher: &mut pb::HeaderMatcher| matcher.invert_match = true;
    let empty = |matcher: &mut pb::HeaderMatcher| matcher.treat_missing_header_as_empty = true;
    let both = |matcher: &mut pb::HeaderMatcher| {
        (matcher.invert_match, matcher.treat_missing_header_as_empty) = (true, true);
    };
    let range = || Some(Specifier::RangeMatch(kind::Int64Range { start: 0, end: 5 }));
    let any = || text(matcher::string_matcher::MatchPattern::SafeRegex(rules::expr("a*")), false);
    let present = |there| Some(Specifier::PresentMatch(there));
    let mut listed = vec![];
    let forms: [(&str, Change); 3] = [("invert", invert), ("empty", empty), ("both", both)];
    for (name, change) in forms {
        let to = |what: &str| path(&format!("/{name}-{what}")).to("beta");
        listed.push(on(to("exact"), "x-n", exact("a"), change));
        listed.push(on(to("any"), "x-n", any(), change));
        listed.push(on(to("range"), "x-n", range(), change));
        listed.push(on(to("present"), "x-n", present(true), change));
        listed.push(on(to("absent"), "x-n", present(false), change));
    }
    let targets: Vec<String> = forms
        .iter()
        .flat_map(|(name, _)| {
            ["exact", "any", "range", "present", "absent"].map(|what| format!("/{name}-{what}"))
        })
        .collect();
    let mut all = host(&["*"], []);
    all.routes = listed.into_iter().chain([prefix("/").to("alpha")]).map(|rule| rule.0).collect();
    let mut requests = vec![];
    for at in &targets {
        requests.push(get(at));
        for value in ["a", "b", "", "3"] {
            requests.push(get(at).with("x-n", value));
        }
        requests.push(get(at).with("x-n", "a").with("x-n", "b"));
    }
    Suite { requests, thorough: false, ..suite("inverted-conditions", configuration(vec![all]), []) }
}

fn parts() -> Suite {
    use matcher::string_matcher::MatchPattern;
    let as_is = |_: &mut pb::HeaderMatcher| {};
    let invert = |matcher: &mut pb::HeaderMatcher| matcher.invert_match = true;
    let pattern = |text: &str| MatchPattern::SafeRegex(rules::expr(text));
    let routes = everywhere([
        on(prefix("/authority").to("beta"), ":authority", exact("svc.test"), as_is),
        on(prefix("/authority").to("gamma"), ":authority", text(pattern("svc\\.test:.*"), false), as_is),
        on(
            prefix("/any-authority").to("beta"),
            ":authority",
            text(MatchPattern::Exact("SVC.test".to_owned()), true),
            as_is,
        ),
        on(prefix("/path").to("beta"), ":path", exact("/path?a=b"), as_is),
        on(prefix("/path").to("gamma"), ":path", text(MatchPattern::Suffix("x".to_owned()), false), as_is),
        on(prefix("/scheme").to("beta"), ":scheme", exact("http"), as_is),
        on(prefix("/method").to("beta"), ":method", exact("GET"), invert),
        on(prefix("/verbs").to("beta"), ":method", text(pattern("PUT|DELETE"), false), as_is),
        on(prefix("/any-method").to("beta"), ":method", None, as_is),
        on(
            on(prefix("/two").to("beta"), ":method", exact("GET"), as_is),
            ":method",
            text(pattern("G.*"), false),
            as_is,
        ),
        prefix("/").to("alpha"),
    ]);
    suite(
        "part-conditions",
        routes,
        [
            get("/authority"),
            get("/authority").host("svc.test:80"),
            get("/authority").host("SVC.test"),
            get("/authority").http2(),
            get("/any-authority").host("svc.TEST"),
            get("/path?a=b"),
            get("/path?a=bx"),
            get("/path"),
            get("/scheme"),
            get("/scheme").http2(),
            get("/method"),
            call("PUT", "/method"),
            call("PUT", "/verbs"),
            call("DELETE", "/verbs"),
            get("/verbs"),
            get("/any-method"),
            get("/two"),
        ],
    )
}

fn queries() -> Suite {
    use matcher::string_matcher::MatchPattern;
    use pb::query_parameter_matcher::QueryParameterMatchSpecifier as Query;
    let on = |mut rule: Rule, name: &str, specifier: Option<Query>| {
        let parameter =
            pb::QueryParameterMatcher { name: name.to_owned(), query_parameter_match_specifier: specifier };
        rule.0.r#match.get_or_insert_default().query_parameters.push(parameter);
        rule
    };
    let text = |pattern| {
        let matcher = matcher::StringMatcher { match_pattern: Some(pattern), ignore_case: true };
        Some(Query::StringMatch(matcher))
    };
    let to = |at: &str| path(at).to("beta");
    let routes = everywhere([
        on(to("/absent"), "q", Some(Query::PresentMatch(false))),
        on(to("/present"), "q", Some(Query::PresentMatch(true))),
        on(to("/unsaid"), "q", None),
        on(to("/exact"), "q", text(MatchPattern::Exact("Ab".to_owned()))),
        on(to("/prefix"), "q", text(MatchPattern::Prefix("Ab".to_owned()))),
        on(to("/contains"), "q", text(MatchPattern::Contains("Ab".to_owned()))),
        prefix("/").to("alpha"),
    ]);
    let mut requests = vec![];
    for at in ["/absent", "/present", "/unsaid", "/exact", "/prefix", "/contains"] {
        for query in ["", "?", "?q", "?q=", "?q=ab", "?q=aB1", "?q=1AB1", "?qq=ab", "?a=1&q=ab", "?q=1&q=ab"]
        {
            requests.push(get(&format!("{at}{query}")));
        }
    }
    Suite { requests, ..suite("query-conditions-of-others", routes, []) }
}

fn any_case() -> Suite {
    let any = |mut rule: Rule| {
        rule.0.r#match.get_or_insert_default().case_sensitive = Some(google::BoolValue { value: false });
        rule
    };
    let routes = everywhere([
        any(path("/Exact").to("beta")),
        any(prefix("/Pre.fix").to("beta")).rewrite_prefix("/new"),
        any(segment("/Seg/Ment").to("gamma")).rewrite_prefix("/new"),
        any(regex("/Re.*").to("beta")),
        any(prefix("/Sent").redirect(status(302).prefix("/elsewhere"))),
        path("/exact").to("gamma"),
        prefix("/").to("alpha"),
    ]);
    suite(
        "paths-in-any-case",
        routes,
        [
            get("/exact"),
            get("/EXACT?Q=1"),
            get("/exact/"),
            get("/PRE.FIXed?q=1"),
            get("/pre.fix"),
            get("/preXfix"),
            get("/seg/ment"),
            get("/SEG/MENT/Rest"),
            get("/seg/mentx"),
            get("/Regex"),
            get("/regex"),
            get("/sENT/on?q=1"),
            get("/%45xact"),
        ],
    )
    .untaken()
}

fn grpc() -> Suite {
    let only = |mut rule: Rule| {
        rule.0.r#match.get_or_insert_default().grpc = Some(pb::route_match::GrpcRouteMatchOptions {});
        rule
    };
    let routes =
        everywhere([only(prefix("/grpc").to("beta").timeout_ms(0)), prefix("/").to("alpha").timeout_ms(0)]);
    let with = |kind: &str| call("POST", "/grpc/x").with("content-type", kind);
    suite(
        "grpc-conditions",
        routes,
        [
            with("application/grpc"),
            with("application/grpc+proto"),
            with("application/grpc-web"),
            with("application/json"),
            call("POST", "/grpc/x"),
            get("/grpc/x").with("content-type", "application/grpc"),
            call("POST", "/other").with("content-type", "application/grpc"),
        ],
    )
}

fn cookies() -> Suite {
    use matcher::string_matcher::MatchPattern;
    let on = |mut rule: Rule, pattern: MatchPattern, invert_match: bool| {
        let string_match = matcher::StringMatcher { match_pattern: Some(pattern), ignore_case: false };
        let matcher =
            pb::CookieMatcher { name: "user".to_owned(), string_match: Some(string_match), invert_match };
        rule.0.r#match.get_or_insert_default().cookies.push(matcher);
        rule
    };
    let me = || MatchPattern::Exact("me".to_owned());
    let routes = everywhere([
        on(path("/me").to("beta"), me(), false),
        on(path("/other").to("beta"), me(), true),
        on(path("/pattern").to("beta"), MatchPattern::SafeRegex(rules::expr("m.*")), false),
        prefix("/").to("alpha"),
    ]);
    let mut requests = vec![];
    for at in ["/me", "/other", "/pattern"] {
        requests.push(get(at));
        for line in
            ["user=me", "a=b; user=me; c=d", "user=you", "user=you; user=me", "auser=me", "user=", "user"]
        {
            requests.push(get(at).with("cookie", line));
        }
        requests.push(get(at).with("cookie", "user=\"me\""));
        requests.push(get(at).with("cookie", "a=b").with("cookie", "user=me").http2());
    }
    Suite { requests, ..suite("cookie-conditions", routes, []) }
}

fn substitutions() -> Suite {
    let routes = everywhere([
        prefix("/service").to("alpha").rewrite_regex("^/service/([^/]+)(/.*)$", "\\2/instance/\\1"),
        prefix("/every").to("alpha").rewrite_regex("one", "two"),
        prefix("/first").to("alpha").rewrite_regex("^(.*?)one(.*)$", "\\1two\\2"),
        prefix("/case").to("alpha").rewrite_regex("(?i)/xxx/", "/yyy/"),
        prefix("/empty").to("alpha").rewrite_regex("x*", "-"),
        prefix("/nothing").to("alpha").rewrite_regex("absent", "there"),
        prefix("/slash").to("alpha").rewrite_regex("/+", "/"),
        prefix("/back").to("alpha").rewrite_regex("b", "\\\\"),
        regex("/re/(.*)").to("alpha").rewrite_regex("/re/(.*)", "/\\0/\\1"),
        prefix("/class").to("alpha").rewrite_regex("\\d+", "N"),
        prefix("/whole").to("alpha").rewrite_regex("^.*$", "/all"),
    ]);
    suite(
        "rewrites-by-expression",
        routes,
        [
            get("/service/foo/v1/api?a=one"),
            get("/service/foo"),
            get("/every/one/yyy/one?one"),
            get("/first/one/yyy/one"),
            get("/case/XxX/y"),
            get("/empty/xxax"),
            get("/nothing/here?q"),
            get("/slash//a///b"),
            get("/back/abc"),
            get("/re/x"),
            get("/class/1/22/a3?4"),
            get("/whole/of?it"),
            get("/every/one").http2(),
        ],
    )
}

fn redirects() -> Suite {
    let to = |redirect: Redirect| move |at: &str| prefix(at).redirect(redirect.clone());
    let routes = everywhere([
        to(status(301).regex("^/a/(.*)$", "/b/\\1"))("/a"),
        to(status(302).strip_query())("/strip"),
        to(status(302).path("/new").strip_query())("/path"),
        to(status(302).path("/new?own=1").strip_query())("/own"),
        to(status(307).prefix("/new").strip_query().https())("/prefix"),
        to(status(308).regex("x", "y").strip_query().host("other.test").port(8443))("/x"),
        to(status(303).scheme("https").port(80))("/port"),
        to(status(302).https())("/https"),
    ]);
    suite(
        "redirects-of-others",
        routes,
        [
            get("/a/b?c=d"),
            get("/a"),
            get("/strip/me?a=b"),
            get("/strip"),
            get("/path/x?a=b"),
            get("/own/x?a=b"),
            get("/prefix/x?a=b").host("svc.test:80"),
            get("/x/x?a=x"),
            get("/port/x?a=x"),
            get("/https?a=x").host("svc.test:8080"),
            get("/https").http2(),
        ],
    )
}

fn hosts() -> Suite {
    use pb::route_action::HostRewriteSpecifier as Host;
    let with = |at: &str, specifier: Host, append: bool| {
        prefix(at).to("alpha").with(move |action| {
            action.host_rewrite_specifier = Some(specifier);
            action.append_x_forwarded_host = append;
        })
    };
    let header = || Host::HostRewriteHeader("x-to".to_owned());
    let by_path = || Host::HostRewritePathRegex(substitute("^/path/([^/]+).*$", "\\1.test"));
    let endpoint = || Host::AutoHostRewrite(google::BoolValue { value: true });
    let literal = || Host::HostRewriteLiteral("inner.test".to_owned());
    let mut to_other = with("/other", literal(), true);
    if let Some(pb::route::Action::Route(action)) = &mut to_other.0.action {
        action.cluster_specifier = Some(pb::route_action::ClusterSpecifier::Cluster("delta".to_owned()));
    }
    let routes = everywhere([
        with("/header", header(), false),
        with("/forwarded-header", header(), true),
        with("/path", by_path(), true).rewrite_prefix("/new"),
        with("/literal", literal(), true),
        to_other,
        with("/endpoint", endpoint(), true),
        with("/unnamed", endpoint(), true).with(|action| {
            let cluster = pb::route_action::ClusterSpecifier::Cluster("beta".to_owned());
            action.cluster_specifier = Some(cluster);
        }),
        prefix("/alone").to("alpha").with(|action| action.append_x_forwarded_host = true),
        changed(
            with("/made", header(), false),
            &[("x-to", "made.%REQ(:AUTHORITY)%", Action::OverwriteIfExistsOrAdd)],
        ),
    ]);
    suite(
        "hosts-of-others",
        routes,
        [
            get("/header").with("x-to", "there.test"),
            get("/header").with("x-to", "one.test").with("x-to", "two.test"),
            get("/header").with("x-to", ""),
            get("/header"),
            get("/forwarded-header").with("x-to", "there.test:81").http2(),
            get("/forwarded-header"),
            get("/path/name/x?q=1"),
            get("/literal"),
            get("/literal").with("x-forwarded-host", "first.test"),
            get("/literal").with("x-forwarded-host", "first.test,svc.test"),
            get("/literal").with("x-forwarded-host", "a.test").with("x-forwarded-host", "b.test"),
            get("/other"),
            get("/other").http2(),
            get("/alone").with("x-forwarded-host", "first.test"),
            get("/made"),
            get("/endpoint"),
            get("/endpoint").with("x-forwarded-host", "first.test").http2(),
            get("/unnamed"),
        ],
    )
}

fn ports() -> Suite {
    let mut routes = configuration(vec![
        host(&["a.test"], [prefix("/").to("alpha")]),
        host(&["*.b.test"], [prefix("/").to("beta")]),
        host(&["c.test:80"], [prefix("/").to("gamma")]),
        host(&["*"], [prefix("/").to("delta")]),
    ]);
    routes.ignore_port_in_host_matching = true;
    let asked =
        ["a.test", "a.test:80", "A.test:", "x.b.test:8080", "c.test", "c.test:80", "[::1]:80", "d.test:1"];
    let requests = asked.iter().map(|host| get("/").host(host)).collect();
    Suite { requests, thorough: false, ..suite("ports-left-out", routes, []) }
}

fn wildcards() -> Suite {
    let routes = configuration(vec![
        host(&["*.example.com"], [prefix("/").to("alpha")]),
        host(&["*-eu.example.com"], [prefix("/").to("beta")]),
        host(&["shop.*"], [prefix("/").to("gamma")]),
        host(&["shop-*"], [prefix("/").to("delta")]),
        host(&["*.com:8080"], [prefix("/").to("alpha")]),
        host(&["shop-eu.example.com"], [prefix("/").to("gamma")]),
    ]);
    let asked = [
        "a.example.com",
        "a-eu.example.com",
        "x-eu.example.com:80",
        "shop-eu.example.com",
        "shop.example.com",
        "shop.example.org",
        "SHOP-1",
        "shop-",
        "shop-a.com:8080",
        "other",
    ];
    let requests = asked.iter().map(|host| get("/").host(host)).collect();
    Suite { requests, ..suite("wildcards-of-others", routes, []) }
}

impl Suite {
    /// Not each of its routes is taken.
    fn untaken(self) -> Self {
        Suite { thorough: false, ..self }
    }
}
