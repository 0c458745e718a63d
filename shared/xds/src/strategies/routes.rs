//! What is done with requests, and with which: route configurations.

use super::*;

/// A route configuration.
pub fn route_configuration() -> BoxedStrategy<RouteConfiguration> {
    let host = (name(), vec(name(), 1..3), vec(route(), 0..4), of(filters::filters())).prop_map(
        |(name, domains, routes, filters)| VirtualHost { name, domains, routes, filters, options: None },
    );
    let host = (host, rare::host_options()).prop_map(|(host, options)| VirtualHost { options, ..host });
    (name(), vec(host, 0..3), rare::options())
        .prop_map(|(name, virtual_hosts, mut options)| {
            let of_hosts = virtual_hosts.iter().filter_map(|host| host.options.as_ref());
            if of_hosts.into_iter().all(|options| options.headers.is_empty())
                && let Some(options) = &mut options
            {
                // An order that no two changes are in is not said.
                options.most_specific_last &= !options.headers.is_empty();
            }
            let options = options.filter(|options| !options.is_empty());
            RouteConfiguration { name, virtual_hosts, options }
        })
        .boxed()
}

/// A route.
pub fn route() -> BoxedStrategy<Route> {
    let action = prop_oneof![
        3 => forward().prop_map(RouteAction::Forward),
        1 => redirect().prop_map(RouteAction::Redirect),
        1 => direct_response().prop_map(RouteAction::Direct),
    ];
    (
        "[ -~]{0,20}",
        "[ -~]{0,20}",
        route_match(),
        action,
        header_mutation(),
        header_mutation(),
        (of(filters::filters()), any::<bool>()).prop_map(|(mut filters, shared)| {
            let limits = filters.as_mut().and_then(|filters| filters.limits.as_mut());
            if let Some(limits) = limits.filter(|limits| !limits.is_empty()) {
                limits.shared = shared;
            }
            filters
        }),
    )
        .prop_map(|(name, stat_prefix, matches, action, request_headers, response_headers, filters)| Route {
            name,
            stat_prefix,
            action: fitting(action, &matches.path),
            matches,
            request_headers,
            response_headers,
            filters,
        })
        .boxed()
}

/// The same action with a rewrite that the match allows.
fn fitting(mut action: RouteAction, path: &PathMatch) -> RouteAction {
    let rewrite = match &mut action {
        RouteAction::Forward(forward) => &mut forward.rewrite.path,
        RouteAction::Redirect(redirect) => &mut redirect.path,
        RouteAction::Direct(_) => return action,
    };
    if let Some(PathRewrite::Prefix(value)) = rewrite {
        let value = std::mem::take(value);
        *rewrite = Some(match path {
            PathMatch::Exact(_) | PathMatch::Regex(_) => PathRewrite::Full(value),
            PathMatch::Characters(_) => PathRewrite::Characters(value),
            PathMatch::Prefix(_) => PathRewrite::Prefix(value),
        });
    }
    action
}

/// Which requests a route takes.
pub fn route_match() -> BoxedStrategy<RouteMatch> {
    let path = prop_oneof![
        path().prop_map(PathMatch::Exact),
        prefix().prop_map(PathMatch::Prefix),
        regex().prop_map(PathMatch::Regex),
        path()
            .prop_filter("the root is a prefix of segments", |path| path != "/")
            .prop_map(PathMatch::Characters),
    ];
    let header = (header_name(), string_match()).prop_map(|(name, value)| HeaderMatch { name, value });
    let query = (name(), string_match()).prop_map(|(name, value)| QueryMatch { name, value });
    let more = (rare::conditions(), any::<bool>());
    (path, of(method()), vec(header, 0..3), vec(query, 0..3), of(fraction()), more)
        .prop_map(|(path, method, headers, query, fraction, (mut more, ignore_case))| {
            // Expressions say it themselves.
            if let Some(more) = more.as_mut().filter(|_| !matches!(path, PathMatch::Regex(_))) {
                more.ignore_case = ignore_case;
            }
            RouteMatch { path, method, headers, query, fraction, more }
        })
        .boxed()
}

fn forward() -> BoxedStrategy<Forward> {
    let subset = clusters::labels().prop_map(|labels| (!labels.is_empty()).then(|| Box::new(labels)));
    let weighted = (name(), 0..u32::MAX / 8, header_mutation(), header_mutation(), subset).prop_map(
        |(cluster, weight, request_headers, response_headers, subset)| WeightedCluster {
            subset,
            cluster,
            weight,
            request_headers,
            response_headers,
        },
    );
    let clusters = vec(weighted, 1..4).prop_map(|mut clusters| {
        clusters[0].weight += 1;
        clusters
    });
    let rewrite = (rare::host_rewrite(), of(path_rewrite())).prop_map(|((host, more), path)| Rewrite {
        host,
        path,
        more,
    });
    let priority = prop_oneof![Just(weir_model::Priority::Default), Just(weir_model::Priority::High)];
    let clusters = clusters.prop_flat_map(|clusters| {
        let affinity = affinity(clusters.len());
        (Just(clusters), affinity)
    });
    (clusters, rewrite, timeouts(), of(retry_policy()), priority, (vec(mirror(), 0..3), of(fallback())))
        .prop_map(|((clusters, affinity), rewrite, timeouts, retry, priority, (mirrors, fallback))| Forward {
            clusters,
            rewrite,
            timeouts,
            retry,
            priority,
            mirrors,
            fallback,
            affinity,
        })
        .boxed()
}

fn fallback() -> BoxedStrategy<Box<weir_model::Fallback>> {
    let kind = of("[!-~]([ -~]{0,8}[!-~])?".prop_map(|text| text.parse().expect("a field's value")));
    let response = (200..1000u16, ".{0,40}", kind).prop_map(|(status, body, content_type)| {
        let status = StatusCode::from_u16(status).expect("three digits");
        let response = DirectResponse { status, body };
        weir_model::Fallback::Direct(weir_model::StaticAnswer { response, content_type })
    });
    prop_oneof![name().prop_map(weir_model::Fallback::Cluster), response].prop_map(Box::new).boxed()
}

fn mirror() -> BoxedStrategy<weir_model::Mirror> {
    (name(), fraction(), any::<bool>())
        .prop_map(|(cluster, fraction, marks_host)| weir_model::Mirror { cluster, fraction, marks_host })
        .boxed()
}

fn redirect() -> BoxedStrategy<Redirect> {
    let scheme = of(prop_oneof![Just("http".to_owned()), Just("https".to_owned())]);
    let status = prop_oneof![
        Just(StatusCode::MOVED_PERMANENTLY),
        Just(StatusCode::FOUND),
        Just(StatusCode::SEE_OTHER),
        Just(StatusCode::TEMPORARY_REDIRECT),
        Just(StatusCode::PERMANENT_REDIRECT),
    ];
    (scheme, of(name()), of(1..=u16::MAX), of(path_rewrite()), status, any::<bool>())
        .prop_map(|(scheme, host, port, path, status, strip_query)| Redirect {
            scheme,
            host,
            port,
            path,
            status,
            strip_query,
        })
        .boxed()
}

fn direct_response() -> BoxedStrategy<DirectResponse> {
    (status(), ".{0,40}").prop_map(|(status, body)| DirectResponse { status, body }).boxed()
}

fn path_rewrite() -> BoxedStrategy<PathRewrite> {
    let full = prop_oneof![path(), "[ -~]{0,20}"];
    let substitution = rare::substitution().prop_map(Box::new);
    prop_oneof![
        2 => full.prop_map(PathRewrite::Full),
        2 => prefix().prop_map(PathRewrite::Prefix),
        1 => substitution.prop_map(PathRewrite::Substitute),
    ]
    .boxed()
}

fn retry_policy() -> BoxedStrategy<RetryPolicy> {
    let on = (any::<(bool, bool, bool)>(), btree_set(status(), 0..4), btree_set(0..=16u8, 0..4)).prop_map(
        |((connect_failure, refused_stream, reset), statuses, grpc)| RetryOn {
            connect_failure,
            refused_stream,
            reset,
            statuses: statuses.into_iter().collect(),
            grpc: grpc.into_iter().collect(),
            ..RetryOn::default()
        },
    );
    let on = (on, vec(header_match(), 0..3), any::<bool>()).prop_map(|(on, headers, rate_limited)| RetryOn {
        headers,
        rate_limited,
        ..on
    });
    let format = prop_oneof![Just(ResetFormat::Seconds), Just(ResetFormat::UnixTimestamp)];
    let asked =
        (vec((header_name(), format), 1..3), duration()).prop_map(|(fields, max)| AskedWait { fields, max });
    let more = (of(asked), vec(header_match(), 0..3), any::<(bool, bool)>());
    (0..=limits::RETRIES, on, duration(), duration(), more)
        .prop_map(|(attempts, on, backoff_base, backoff_max, (asked, requests, (avoid_tried, hedge)))| {
            RetryPolicy { attempts, on, backoff_base, backoff_max, asked, requests, avoid_tried, hedge }
        })
        .boxed()
}

pub(super) fn header_match() -> BoxedStrategy<HeaderMatch> {
    (header_name(), string_match()).prop_map(|(name, value)| HeaderMatch { name, value }).boxed()
}

fn timeouts() -> BoxedStrategy<Timeouts> {
    let grpc = prop_oneof![
        Just(GrpcTimeout::default()),
        (of(duration()), duration()).prop_map(|(max, offset)| GrpcTimeout { max, offset }),
    ];
    let attempts = (of(duration()), of(duration()), of(duration()));
    (of(duration()), of(duration()), grpc, attempts, any::<bool>())
        .prop_map(|(request, stream, grpc, (backend_request, idle, attempt_idle), from_head)| Timeouts {
            from_head,
            // The wire has either the one or the others.
            request: request.filter(|_| stream.is_none() && grpc == GrpcTimeout::default()),
            backend_request,
            idle,
            attempt_idle,
            stream,
            grpc,
        })
        .boxed()
}

/// Changes to header fields. None removes what it sets or adds, which is never written.
pub fn header_mutation() -> BoxedStrategy<HeaderMutation> {
    let field = || (header_name(), header_value());
    let some = (vec(field(), 0..3), vec(field(), 0..3), vec(header_name(), 0..3)).prop_map(
        |(mut set, mut add, remove)| {
            set.retain(|(name, _)| !remove.contains(name));
            add.retain(|(name, _)| !remove.contains(name));
            HeaderMutation { set, add, remove, edits: None }
        },
    );
    prop_oneof![4 => Just(HeaderMutation::default()), 4 => some, 1 => rare::edits()].boxed()
}

/// What ties callers to where they were; a sticky split only where there are `clusters` to split among.
pub fn affinity(clusters: usize) -> impl Strategy<Value = Option<Box<Affinity>>> {
    let source = prop_oneof![
        header_name().prop_map(HashSource::Header),
        cookie().prop_map(HashSource::Cookie),
        Just(HashSource::SourceAddress),
        "[a-z]{1,8}".prop_map(HashSource::Query),
    ];
    let hash = (source, any::<bool>()).prop_map(|(source, terminal)| HashPolicy { source, terminal });
    let split = prop_oneof![Just(StickySplit::Hash), header_name().prop_map(StickySplit::Header)];
    let session = (cookie(), any::<bool>()).prop_map(|(cookie, strict)| Session { cookie, strict });
    (vec(hash, 0..3), of(split), of(session)).prop_map(move |(hash, split, session)| {
        let affinity = Affinity { hash, split: split.filter(|_| clusters > 1), session };
        (!affinity.is_empty()).then(|| Box::new(affinity))
    })
}

fn cookie() -> BoxedStrategy<Cookie> {
    let ttl = of((0..1_000_000u64).prop_map(Duration::from_secs));
    let attributes = vec(("[A-Za-z]{1,8}", "[A-Za-z0-9 =/]{0,8}"), 0..3);
    ("[a-z_-]{1,10}", ttl, "(/[a-z]{1,5}){0,2}", attributes)
        .prop_map(|(name, ttl, path, attributes)| Cookie { name, ttl, path, attributes })
        .boxed()
}
