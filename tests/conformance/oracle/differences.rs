//! The intended differences between the sidecar and Envoy: each with its reason, each matched as narrowly as it can be told. One that no
//! written case meets any more fails the run, so that the lists stay as short as the differences are few.

use crate::compare::Difference;
use crate::request::{Outcome, Payload, Request};

/// A difference that is meant.
pub(crate) struct Intended {
    /// What differs.
    pub(crate) what: &'static str,
    /// Why it is meant.
    pub(crate) reason: &'static str,
    /// Whether a difference is this one.
    pub(crate) is: fn(&Case<'_>) -> bool,
}

/// A difference with all that it may depend on.
pub(crate) struct Case<'a> {
    pub(crate) request: &'a Request,
    pub(crate) envoy: &'a Outcome,
    pub(crate) weir: &'a Outcome,
    pub(crate) difference: &'a Difference,
}

impl Case<'_> {
    fn is(&self, part: &str, envoy: &str, weir: &str) -> bool {
        let difference = self.difference;
        difference.part == part && difference.envoy == envoy && difference.weir == weir
    }

    fn part(&self, part: &str) -> bool {
        self.difference.part == part
    }

    /// Whether they went different ways, so that everything else may differ too.
    fn routes_differ(&self) -> bool {
        let route = |outcome: &Outcome| outcome.logged.as_ref().map(|logged| logged.route.clone());
        route(self.envoy) != route(self.weir)
    }

    /// Whether no upstream answered either.
    fn local(&self) -> bool {
        let upstream = |outcome: &Outcome| outcome.answer.headers.iter().any(|(name, _)| name == "x-backend");
        !upstream(self.envoy) && !upstream(self.weir)
    }

    /// Whether both answered by themselves, and for the same reason.
    fn both_refuse(&self) -> bool {
        let flags = |outcome: &Outcome| outcome.logged.as_ref().map(|logged| logged.flags.clone());
        self.envoy.answer.status == self.weir.answer.status
            && self.envoy.answer.status >= 400
            && flags(self.envoy).is_some_and(|flags| !flags.is_empty())
            && flags(self.envoy) == flags(self.weir)
    }
}

/// All of them.
pub(crate) const INTENDED: &[Intended] = &[
    Intended {
        what: "`server` in answers that no upstream gave",
        reason: "weir says who answered; an Envoy that passes the upstream's `server` on says nothing",
        is: |case| case.local() && case.is("answer.header.server", "", "\"weir\""),
    },
    Intended {
        what: "the second in `date`",
        reason: "it is read from two clocks",
        is: |case| {
            let [envoy, weir] = [&case.difference.envoy, &case.difference.weir].map(|date| seconds(date));
            let near = envoy.zip(weir).is_some_and(|(one, other)| one.abs_diff(other) <= 5);
            case.part("answer.header.date") && near
        },
    },
    Intended {
        what: "the words of a refusal",
        reason: "weir says why in its own words and names the response flag; Envoy says less or nothing",
        is: |case| {
            let parts = ["answer.body", "answer.header.content-length", "answer.header.content-type"];
            case.both_refuse() && parts.iter().any(|part| case.part(part))
        },
    },
    Intended {
        what: "the framing of an answer without content",
        reason: "weir says the length: 0, or what it would be were it no HEAD (RFC 9110 section 8.6); Envoy says nothing, or `chunked` to HEAD",
        is: |case| {
            let said = !case.difference.weir.is_empty() && case.difference.envoy.is_empty();
            let length = case.part("answer.header.content-length") && said;
            let chunked = case.is("answer.header.transfer-encoding", "\"chunked\"", "");
            let head = chunked && case.request.method == "HEAD";
            case.weir.answer.body.is_empty() && (head || (length && case.local()))
        },
    },
    Intended {
        what: "the route and the words of an upgrade that is not taken",
        reason: "the listener refuses it, whatever its route; weir does before it is routed, and says why",
        is: |case| {
            let parts = ["answer.body", "answer.header.content-length", "answer.header.content-type"];
            let parts = parts.into_iter().chain(["log.route", "log.cluster"]);
            let refused = case.envoy.answer.status == 403 && case.weir.answer.status == 403;
            let asked = case.request.headers.iter().any(|(name, _)| name == "upgrade");
            refused && asked && case.local() && parts.into_iter().any(|part| case.part(part))
        },
    },
    Intended {
        what: "`connection: close` where an answer comes before the request's body was read",
        reason: "weir reads what is left, within a bound, and keeps the connection; Envoy closes it",
        is: |case| {
            case.local()
                && case.request.body != Payload::None
                && case.is("answer.header.connection", "\"close\"", "")
        },
    },
    Intended {
        what: "`content-length: 0` towards the upstream of a request that has no content",
        reason: "the caller did not say it, and for these methods nothing follows from it",
        is: |case| {
            let parts = ["seen[0].header.content-length", "seen[1].header.content-length"];
            parts.iter().any(|part| case.is(part, "\"0\"", "")) && case.request.body == Payload::None
        },
    },
    Intended {
        what: "a well-known port in `location`",
        reason: "the same address (RFC 3986 section 6.2.3); the Gateway API asks to leave it out",
        is: |case| {
            let bare = |text: &str| match text.split_once("://") {
                Some(("\"http", rest)) => rest.replacen(":80/", "/", 1),
                Some(("\"https", rest)) => rest.replacen(":443/", "/", 1),
                _ => text.to_owned(),
            };
            case.part("answer.header.location") && bare(&case.difference.envoy) == bare(&case.difference.weir)
        },
    },
    Intended {
        what: "`location` of direct answers that are no redirect",
        reason: "an Envoy answers a direct 201 or 3xx with the request's own address as `location`; nobody asked for that",
        is: |case| {
            let redirect = matches!(case.envoy.answer.status, 201 | 304);
            case.local() && redirect && case.part("answer.header.location") && case.difference.weir.is_empty()
        },
    },
    Intended {
        what: "`content-type` of direct answers whose route removes it",
        reason: "a route's changes come last in weir; Envoy adds the type of its text after them",
        is: |case| case.local() && case.is("answer.header.content-type", "\"text/plain\"", ""),
    },
    Intended {
        what: "the route of a query parameter with percent signs",
        reason: "weir compares parameters decoded, so that `?a=%62` is `?a=b` as it is to every application; Envoy compares them as written",
        is: |case| {
            let query = case.request.target.split_once('?').map(|(_, query)| query);
            query.is_some_and(|query| query.contains('%')) && case.routes_differ()
        },
    },
    Intended {
        what: "the virtual host of an authority that ends in a dot",
        reason: "the root's name means the same host (RFC 3986 section 3.2.2)",
        is: |case| case.request.host.ends_with('.') && case.routes_differ(),
    },
    Intended {
        what: "a path that a rewrite leaves without its first slash",
        reason: "it is no request target (RFC 9112 section 3.2), and an upstream may take it for anything; weir answers 400, Envoy sends it",
        is: |case| {
            case.weir.answer.status == 400
                && case.weir.answer.body.contains("its rewritten path is not a path")
        },
    },
    Intended {
        what: "a fragment in the request target",
        reason: "weir cuts it off before anything looks at the target, so that nobody sees it; Envoy refuses it",
        is: |case| case.request.target.contains('#') && case.envoy.answer.status == 400,
    },
    Intended {
        what: "methods that Envoy's parser does not know",
        reason: "any token is a method (RFC 9110 section 9.1) and matched as such",
        is: |case| case.request.method == "get" && case.envoy.answer.status == 400,
    },
    Intended {
        what: "the flag of `OPTIONS *`",
        reason: "both answer 404, weir with the flag of what it is: no route",
        is: |case| {
            let words =
                ["log.flags", "answer.body", "answer.header.content-length", "answer.header.content-type"];
            case.request.target == "*" && words.iter().any(|part| case.part(part))
        },
    },
    Intended {
        what: "trailers of requests towards HTTP/1.1, and the `connection: te` that goes with `te`",
        reason: "trailers pass through weir, Envoy drops them there; `te` is for one hop and says so (RFC 9110 section 10.1.4)",
        is: |case| {
            let te = case.is("seen[0].header.connection", "", "\"te\"");
            let trailers =
                case.difference.part.starts_with("seen[0].trailer.") && case.difference.envoy.is_empty();
            te || trailers
        },
    },
    Intended {
        what: "what attempts say of themselves",
        reason: "sidecars keep retries from multiplying through a chain of services (`x-weir-attempt`, `x-weir-no-retry`); Envoys do not",
        is: |case| {
            let part = &case.difference.part;
            let named = part.ends_with(".header.x-weir-attempt") || part == "answer.header.x-weir-no-retry";
            named && case.difference.envoy.is_empty()
        },
    },
    Intended {
        what: "the flag of a response that breaks off",
        reason: "the connection went away (UC); that this made the message incomplete (Envoy's UPE) follows from it",
        is: |case| case.envoy.answer.broken.is_some() && case.is("log.flags", "UPE", "UC"),
    },
    Intended {
        what: "`x-forwarded-proto` of a request that has none",
        reason: "nothing behind a sidecar on a plain-text listener learns from it",
        is: |case| {
            let part = &case.difference.part;
            let said = case.difference.envoy == "\"http\"" && case.difference.weir.is_empty();
            part.starts_with("seen[") && part.ends_with("].header.x-forwarded-proto") && said
        },
    },
    Intended {
        what: "the flag of a stream that took too long, and the words that go with it",
        reason: "weir says that time was up, DT or for a caller's deadline UT; Envoy sets no flag",
        is: |case| {
            let flags = |outcome: &Outcome| outcome.logged.as_ref().map(|logged| logged.flags.clone());
            let weirs = flags(case.weir).is_some_and(|flags| flags == "DT" || flags == "UT");
            let parts =
                ["log.flags", "answer.body", "answer.header.content-length", "answer.header.grpc-message"];
            let same = case.envoy.answer.status == case.weir.answer.status;
            same && weirs
                && flags(case.envoy).is_some_and(|flags| flags.is_empty())
                && parts.iter().any(|part| case.part(part))
        },
    },
    Intended {
        what: "hedging of requests that may have an effect",
        reason: "two attempts of one request run side by side, so weir hedges what may be done twice (RFC 9110 section 9.2.2) and has no body; Envoy hedges everything",
        is: |case| {
            let once = case.envoy.seen.len() == 2 && case.weir.seen.len() == 1;
            once && case.request.method == "POST"
                && case.request.target == "/hedge"
                && case.weir.answer.status == 504
        },
    },
    Intended {
        what: "the unit of `grpc-timeout`, and the time that was spent",
        reason: "weir takes off what was spent, and rounds later than to milliseconds",
        is: |case| {
            let Difference { part, envoy, weir } = case.difference;
            part.ends_with("].header.grpc-timeout") && leave_the_same(envoy, weir)
        },
    },
];

/// Whether two values of `grpc-timeout` leave the same time but for what was spent.
fn leave_the_same(envoy: &str, weir: &str) -> bool {
    let micros = |value: &str| {
        let value = value.trim_matches('"');
        let number = value.get(..value.len() - 1)?.parse::<u64>().ok()?;
        Some(match value.as_bytes().last()? {
            b'S' => number * 1_000_000,
            b'm' => number * 1_000,
            b'u' => number,
            _ => return None,
        })
    };
    micros(envoy).zip(micros(weir)).is_some_and(|(envoy, weir)| weir <= envoy && envoy - weir < 200_000)
}

/// What differs besides on a listener that does not switch off what Envoy does unasked.
pub(crate) const UNASKED: &[Intended] = &[
    Intended {
        what: "whose name is in `server`",
        reason: "weir leaves it to whoever answered; Envoy puts its own in the place of the upstream's",
        is: |case| case.part("answer.header.server") && case.difference.envoy == "\"envoy\"",
    },
    Intended {
        what: "the value of `x-request-id` of a request that has none",
        reason: "both make one up: a random UUID",
        is: |case| {
            let part = &case.difference.part;
            let seen = part.starts_with("seen[") && part.ends_with("].header.x-request-id");
            let unsaid = !case.request.headers.iter().any(|(name, _)| name == "x-request-id");
            seen && unsaid && is_uuid(&case.difference.envoy) && is_uuid(&case.difference.weir)
        },
    },
    Intended {
        what: "headers that Envoy names after itself",
        reason: "they tell of one proxy's view, and `suppress_envoy_headers` is how weir behaves",
        is: |case| {
            let names = ["upstream-service-time", "expected-rq-timeout-ms", "original-path", "original-host"];
            let name = case.difference.part.split_once(".header.x-envoy-").map(|(_, name)| name);
            name.is_some_and(|name| names.contains(&name)) && case.difference.weir.is_empty()
        },
    },
];

/// What differs besides on a listener at the edge.
pub(crate) const EDGE: &[Intended] = &[
    Intended {
        what: "the address that is added to `x-forwarded-for` for a caller on the same host",
        reason: "weir says from where it was called; an Envoy puts the host's own address in the place of a loopback one",
        is: |case| {
            let part = &case.difference.part;
            let named = part.starts_with("seen[") && part.ends_with("].header.x-forwarded-for");
            named && case.difference.weir.ends_with("127.0.0.1\"")
        },
    },
    Intended {
        what: "headers that Envoy names after itself",
        reason: "weir neither says nor believes them, so that it has no reason to take a caller's away",
        is: |case| {
            let part = &case.difference.part;
            part.starts_with("seen[") && part.contains("].header.x-envoy-")
        },
    },
    Intended {
        what: "a path of slashes alone",
        reason: "merged it is one slash; Envoy keeps two",
        is: |case| case.request.target.bytes().all(|byte| byte == b'/') && case.request.target.len() > 1,
    },
    Intended {
        what: "characters that no path may have",
        reason: "weir leaves them to the upstream as they came; Envoy escapes them",
        is: |case| {
            case.difference.part == "seen[0].target" && case.difference.weir.contains(['^', '|', '{', '}'])
        },
    },
    Intended {
        what: "the words for an escaped NUL, and its flag",
        reason: "weir says why it refuses, and that it is the caller's doing (DPE); Envoy says neither",
        is: |case| case.request.target.contains("%00") && case.weir.answer.status == case.envoy.answer.status,
    },
];

/// What differs besides on a listener that makes use of what there is to say of HTTP.
pub(crate) const PARTICULAR: &[Intended] = &[
    Intended {
        what: "the framing of a body that is measured on its way",
        reason: "weir counts while it passes on; Envoy holds the body back and knows its length",
        is: |case| {
            let parts = ["seen[0].header.content-length", "seen[0].header.transfer-encoding"];
            // The caller over HTTP/2 says no length.
            let unsaid = matches!(case.request.body, Payload::Chunked(..))
                || case.request.version == crate::request::Version::Http2;
            unsaid && parts.iter().any(|part| case.part(part))
        },
    },
    Intended {
        what: "a body over HTTP/2 that is too large and comes whole with the end of its stream",
        reason: "weir measures every body; Envoy only what it has to hold back, and there is nothing to wait for",
        is: |case| {
            let http2 = case.request.version == crate::request::Version::Http2;
            http2 && case.envoy.answer.status == 200 && case.weir.answer.status == 413
        },
    },
    Intended {
        what: "the cluster in the line of a body that is too large",
        reason: "weir refuses it before it looks for a cluster; Envoy's route had named one",
        is: |case| {
            let both = [case.envoy, case.weir].iter().all(|outcome| outcome.answer.status == 413);
            both && case.part("log.cluster") && case.difference.weir.is_empty()
        },
    },
    Intended {
        what: "names and words in the answer to a head that is too large",
        reason: "the codec gives it, before there is a request; it says nothing but the status",
        is: |case| {
            let both = [case.envoy, case.weir].iter().all(|outcome| outcome.answer.status == 431);
            let parts = ["answer.body", "answer.header.content-length", "answer.header.content-type"];
            let named = case.part("answer.header.server") || case.part("answer.header.via");
            both && (named || parts.iter().any(|part| case.part(part)))
        },
    },
    Intended {
        what: "the beginning of a body that turns out too large",
        reason: "weir passes on while it counts, and breaks off; Envoy's upstream sees nothing",
        is: |case| {
            let chunked = matches!(case.request.body, Payload::Chunked(..));
            let log = case.part("log.cluster") || case.part("log.route");
            chunked && case.envoy.answer.status == 413 && (case.part("attempts") || log)
        },
    },
    Intended {
        what: "the words for a body that is too large",
        reason: "weir says why in its own words; Envoy names the status",
        is: |case| {
            let parts = ["answer.body", "answer.header.content-length", "answer.header.content-type"];
            let both = [case.envoy, case.weir].iter().all(|outcome| outcome.answer.status == 413);
            both && parts.iter().any(|part| case.part(part))
        },
    },
];

/// Whether a quoted value is a random UUID.
fn is_uuid(value: &str) -> bool {
    let parts: Vec<&str> = value.trim_matches('"').split('-').collect();
    let hexadecimal = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && hexadecimal
}

/// The seconds of the day of a quoted date as HTTP has it.
fn seconds(date: &str) -> Option<u32> {
    let date = date.strip_prefix('"')?.strip_suffix(" GMT\"")?;
    let mut parts = date.get(date.len() - 8..)?.split(':').map(|part| part.parse::<u32>().ok());
    Some(parts.next()?? * 3600 + parts.next()?? * 60 + parts.next()??)
}
