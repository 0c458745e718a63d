use super::*;

#[test]
fn errors_are_judged_by_side_and_protocol() {
    let http = |kind, status| SpanRecord { kind, status: Some(status), ..SpanRecord::default() }.is_error();
    assert!(!http(SpanKind::Server, 404) && http(SpanKind::Client, 404));
    assert!(http(SpanKind::Server, 503) && http(SpanKind::Client, 503));
    assert!(!http(SpanKind::Server, 200) && !http(SpanKind::Client, 302));
    let grpc = |kind, status| {
        let grpc = Some(GrpcCall { method: "s/m".into(), status: Some(status) });
        SpanRecord { kind, grpc, status: Some(200), ..SpanRecord::default() }.is_error()
    };
    assert!(!grpc(SpanKind::Server, 5) && grpc(SpanKind::Client, 5));
    assert!(grpc(SpanKind::Server, 14) && !grpc(SpanKind::Client, 0));
    assert!(SpanRecord { error_type: "timeout".into(), ..SpanRecord::default() }.is_error());
    assert!(!SpanRecord::default().is_error());
}

#[test]
fn names_are_of_low_cardinality() {
    let named = |method: &str, route: &str| {
        SpanRecord {
            method: method.into(),
            route_pattern: route.into(),
            path: "/a/1".into(),
            ..SpanRecord::default()
        }
        .name()
    };
    assert_eq!(named("GET", "/a/*"), "GET /a/*");
    assert_eq!(named("GET", ""), "GET");
    assert_eq!(named("BREW", ""), "HTTP");
    let grpc = Some(GrpcCall { method: "pkg.Service/Do".into(), status: None });
    assert_eq!(SpanRecord { grpc, ..SpanRecord::default() }.name(), "pkg.Service/Do");
}

#[test]
fn texts_are_cut_at_a_character() {
    let mut span = SpanRecord { path: "é".repeat(4000).into(), ..SpanRecord::default() };
    span.grpc = Some(GrpcCall { method: "m".repeat(5000).into(), status: None });
    span.path = format!("/{}", span.path).into();
    span.bound();
    assert_eq!(span.path.len(), 1023);
    assert_eq!(span.grpc.unwrap().method.len(), MAX_TEXT);
}

/// A queue slot is as large as a span; this keeps both from growing unnoticed.
#[test]
fn a_span_stays_small() {
    assert!(size_of::<SpanRecord>() <= 480, "{}", size_of::<SpanRecord>());
}
