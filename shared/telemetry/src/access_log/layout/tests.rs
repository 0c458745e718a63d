use super::super::record::TcpAccess;
use super::*;

fn text(format: &str) -> LogFormat {
    LogFormat::Text { template: Template::parse(format).unwrap(), omit_empty: false }
}

fn record() -> AccessRecord {
    AccessRecord::Http(HttpAccess {
        start_unix_nanos: 1_700_000_000_123_456_789,
        protocol: "HTTP/2",
        status: Some(503),
        grpc_status: Some(14),
        response_flags: "UF,URX".into(),
        details: "upstream_reset_before_response_started{connection_failure}",
        duration_micros: 12_999,
        first_byte_micros: Some(2_100),
        bytes_received: 7,
        bytes_sent: 80,
        peer: "10.0.0.1:4000".parse().ok(),
        local: "[::1]:15001".parse().ok(),
        route: "canary".into(),
        cluster: "reviews".into(),
        endpoint: "10.0.0.9:9080".parse().ok(),
        retries: 2,
        trace_id: Some(0xabc),
        ..HttpAccess::default()
    })
}

/// The line of a format, where every field that it asks for has its own name as its value but for those named `none`.
fn line(format: LogFormat, record: &AccessRecord) -> String {
    let layout = Layout::new(&AccessLog { format, ..AccessLog::default() }, &LogFormat::Default);
    let see = |fields: &[LogField]| {
        fields.iter().map(|field| Some(Text::new(field.to_string())).filter(|name| name != "none")).collect()
    };
    let seen = Seen {
        request: see(layout.request()),
        response: see(layout.response()),
        trailers: see(layout.trailers()),
    };
    let mut line = Vec::new();
    layout.write(&layout.lines()[0], record, &seen, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn every_operator() {
    let table = [
        ("%START_TIME%", "2023-11-14T22:13:20.123Z"),
        ("%START_TIME(%s.%3f %f %9f %1f)%", "1700000000.123 123456789 123456789 1"),
        (
            "%START_TIME(%Y/%m/%d %F %T %H.%M.%S %y %e%z %Z%%)%",
            "2023/11/14 2023-11-14 22:13:20 22.13.20 23 14+0000 UTC%",
        ),
        ("%REQ(X-A)%|%REQ(none?:PATH)%|%REQ(none)%|%REQ(:AUTHORITY):4%", "x-a|:PATH|-|:AUT"),
        ("%RESP(:status)% %RESP(server?none)%", ":STATUS server"),
        ("%TRAILER(grpc-message)%", "grpc-message"),
        ("%PROTOCOL% %RESPONSE_CODE%", "HTTP/2 503"),
        ("%RESPONSE_CODE_DETAILS%", "upstream_reset_before_response_started{connection_failure}"),
        (
            "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%",
            "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded",
        ),
        ("%BYTES_RECEIVED% %BYTES_SENT%", "7 80"),
        ("%DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "12 2 10"),
        (
            "%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%",
            "10.0.0.9:9080 10.0.0.9 9080",
        ),
        ("%UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "reviews 3"),
        ("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1:4000 10.0.0.1"),
        ("%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "[::1]:15001 15001"),
        ("%REQUESTED_SERVER_NAME% %ROUTE_NAME%", "- canary"),
        ("%TRACE_ID%", "00000000000000000000000000000abc"),
        ("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%", "Unavailable UNAVAILABLE 14"),
        ("100%% sure\n", "100% sure\n"),
    ];
    for (format, expected) in table {
        assert_eq!(line(text(format), &record()), expected, "{format}");
    }
}

#[test]
fn what_is_not_there_is_a_dash() {
    let nothing = AccessRecord::Http(HttpAccess::default());
    let format = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_DURATION% %UPSTREAM_HOST% \
        %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DOWNSTREAM_LOCAL_PORT% %ROUTE_NAME% %TRACE_ID% %GRPC_STATUS%";
    assert_eq!(line(text(format), &nothing), "0 - - - - - - 0 - - - -");
    let omitted = LogFormat::Text { template: Template::parse("[%TRACE_ID%]").unwrap(), omit_empty: true };
    assert_eq!(line(omitted, &nothing), "[]");
    // Heads that were never seen, because the request ended before.
    let layout = Layout::new(
        &AccessLog { format: text("%REQ(a)% %RESP(a)%"), ..AccessLog::default() },
        &LogFormat::Default,
    );
    let mut unseen = Vec::new();
    layout.write(&layout.lines()[0], &nothing, &Seen::default(), &mut unseen);
    assert_eq!(unseen, b"- -");
}

#[test]
fn an_opaque_connection_has_no_request() {
    let tcp = AccessRecord::Tcp(TcpAccess {
        duration_micros: 5_000,
        bytes_sent: 3,
        response_flags: "UF".into(),
        ..TcpAccess::default()
    });
    let format =
        "%DURATION% %BYTES_SENT% %RESPONSE_FLAGS% %PROTOCOL% %RESPONSE_CODE% %ROUTE_NAME% %GRPC_STATUS%";
    assert_eq!(line(text(format), &tcp), "5 3 UF - 0 - -");
}

#[test]
fn json_keeps_types_and_order() {
    let part = |text: &str| JsonTemplate::Text(Template::parse(text).unwrap());
    let members = vec![
        ("code".to_owned(), part("%RESPONSE_CODE%")),
        ("inner".to_owned(), JsonTemplate::Object(vec![("host".to_owned(), part("%UPSTREAM_HOST%"))])),
        (
            "list".to_owned(),
            JsonTemplate::List(vec![
                part("%REQ(none)%"),
                JsonTemplate::Number("1.5".to_owned()),
                JsonTemplate::Bool(true),
            ]),
        ),
        ("mixed".to_owned(), part("a\"%PROTOCOL% %REQ(none)%")),
        ("none".to_owned(), part("%REQ(none)%")),
        ("short".to_owned(), part("%PROTOCOL:4%")),
    ];
    let json = |omit_empty| LogFormat::Json { members: members.clone(), omit_empty };
    assert_eq!(
        line(json(false), &record()),
        concat!(
            r#"{"code":503,"inner":{"host":"10.0.0.9:9080"},"list":[null,1.5,true],"mixed":"a\"HTTP/2 -","none":null,"short":"HTTP"}"#,
            "\n"
        )
    );
    assert_eq!(
        line(json(true), &record()),
        concat!(
            r#"{"code":503,"inner":{"host":"10.0.0.9:9080"},"list":[null,1.5,true],"mixed":"a\"HTTP/2 ","short":"HTTP"}"#,
            "\n"
        )
    );
}

#[test]
fn envoys_own_line() {
    let AccessRecord::Http(http) = record() else { unreachable!() };
    let ok = AccessRecord::Http(HttpAccess { status: Some(200), response_flags: Text::default(), ..http });
    assert_eq!(
        line(LogFormat::envoy_default(), &ok),
        concat!(
            r#"[2023-11-14T22:13:20.123Z] ":METHOD x-envoy-original-path HTTP/2" 200 - 7 80 12 x-envoy-upstream-service-time "#,
            r#""x-forwarded-for" "user-agent" "x-request-id" ":AUTHORITY" "10.0.0.9:9080""#,
            "\n"
        )
    );
}

#[test]
fn a_default_is_what_the_process_was_started_with() {
    let layout = Layout::new(&AccessLog::default(), &text("%REQ(a)%"));
    assert_eq!(layout.request().len(), 1);
    let own = Layout::new(&AccessLog::default(), &LogFormat::Default);
    let mut line = Vec::new();
    own.write(&own.lines()[0], &record(), &Seen::default(), &mut line);
    assert!(line.starts_with(br#"{"type":"http","time":"2023-11-14T22:13:20.123456Z""#));
}

#[test]
fn what_is_seen_is_bounded() {
    let long = Some(Text::new("é".repeat(MAX_TEXT)));
    let mut seen =
        Seen { request: vec![long.clone(), None], response: vec![long.clone()], trailers: vec![long] };
    seen.bound();
    let lengths =
        [&seen.request, &seen.response, &seen.trailers].map(|texts| texts[0].as_ref().unwrap().len());
    assert_eq!(lengths, [MAX_TEXT; 3]);
}

/// Whether a log with this filter has a line of a request with `x-a: yes`; the draw is always 500 000.
fn passes(filter: LogFilter, record: &AccessRecord) -> bool {
    let log = AccessLog { filter: Some(Box::new(filter)), ..AccessLog::default() };
    let layout = Layout::new(&log, &LogFormat::Default);
    let request = layout.request().iter().map(|field| (field.to_string() == "x-a").then(|| "yes".into()));
    let seen = Seen { request: request.collect(), ..Seen::default() };
    layout.wants(&layout.lines()[0], record, &seen, &mut || 500_000)
}

#[test]
fn filters_choose_lines() {
    use weir_model::access_log::Comparison::{AtLeast, AtMost, Equal, Unequal};
    let header = |name: &str, exact: Option<&str>, inverted| LogFilter::Header {
        name: name.parse().unwrap(),
        exact: exact.map(str::to_owned),
        inverted,
    };
    let flags = |flags: &[&str]| LogFilter::Flags(flags.iter().map(|flag| (*flag).to_owned()).collect());
    let share = |share| LogFilter::Share(weir_model::Fraction(share));
    let table = [
        (LogFilter::Always, true),
        (LogFilter::Status(AtLeast, 500), true),
        (LogFilter::Status(AtLeast, 504), false),
        (LogFilter::Status(Equal, 503), true),
        (LogFilter::Status(Unequal, 503), false),
        (LogFilter::Duration(AtLeast, 12), true),
        (LogFilter::Duration(AtLeast, 13), false),
        (LogFilter::Duration(AtMost, 12), true),
        (flags(&[]), true),
        (flags(&["UH", "URX"]), true),
        (flags(&["UH"]), false),
        (LogFilter::Traced, true),
        (share(500_001), true),
        (share(500_000), false),
        (header("x-a", None, false), true),
        (header("x-a", Some("yes"), false), true),
        (header("x-a", Some("no"), false), false),
        (header("x-a", Some("no"), true), true),
        (header("x-b", None, false), false),
        (LogFilter::All(vec![flags(&[]), LogFilter::Status(Equal, 200)]), false),
        (LogFilter::Any(vec![LogFilter::Status(Equal, 200), flags(&[])]), true),
    ];
    for (filter, expected) in table {
        assert_eq!(passes(filter.clone(), &record()), expected, "{filter:?}");
    }
    let good = AccessRecord::Http(HttpAccess { status: None, ..HttpAccess::default() });
    assert!(!passes(flags(&[]), &good));
    assert!(!passes(LogFilter::Traced, &good));
    assert!(passes(LogFilter::Status(Equal, 0), &good), "no status is 0, as in Envoy");
}

#[test]
fn several_logs_ask_together_and_write_apart() {
    let second = AccessLog { format: text("%REQ(b)%"), output: LogOutput::Stderr, ..AccessLog::default() };
    let log = AccessLog {
        format: text("%REQ(a)%"),
        also: Some(std::sync::Arc::new(second)),
        ..AccessLog::default()
    };
    let layout = Layout::new(&log, &LogFormat::Default);
    let names: Vec<_> = layout.request().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "b"]);
    let seen = Seen { request: vec![Some("one".into()), Some("two".into())], ..Seen::default() };
    let lines: Vec<_> = layout
        .lines()
        .iter()
        .map(|log| {
            let mut line = Vec::new();
            layout.write(log, &record(), &seen, &mut line);
            (log.output, String::from_utf8(line).unwrap())
        })
        .collect();
    assert_eq!(lines, [(LogOutput::Stdout, "one".to_owned()), (LogOutput::Stderr, "two".to_owned())]);
}
