use super::*;

fn said(text: &str) -> String {
    Template::parse(text).expect_err("refused").to_string()
}

#[test]
fn text_and_operators() {
    let template = Template::parse("a%%b %REQ(X-A?:Path):10% %DURATION%\n").unwrap();
    let header = LogField::Header(http::HeaderName::from_static("x-a"));
    let expected = [
        Piece::Text("a%b ".to_owned()),
        Piece::Value { value: LogValue::Request(header, Some(LogField::Path)), longest: Some(10) },
        Piece::Text(" ".to_owned()),
        Piece::Value { value: LogValue::Duration, longest: None },
        Piece::Text("\n".to_owned()),
    ];
    assert_eq!(template.0, expected);
    assert_eq!(template.to_string(), "a%%b %REQ(x-a?:PATH):10% %DURATION%\n");
    assert_eq!(Template::parse("").unwrap(), Template::default());
}

#[test]
fn what_is_written_is_read_again() {
    let every = format!(
        "{ENVOY_DEFAULT} %START_TIME(%Y/%m/%dT%H:%M:%S.%3f%z)% %START_TIME(%s%%)% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% \
         %GRPC_STATUS(NUMBER)% %RESP(:status)% %TRAILER(grpc-message?X-B)% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS_LONG% \
         %UPSTREAM_REMOTE_PORT% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %TRACE_ID%"
    );
    let template = Template::parse(&every).unwrap();
    assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
    assert!(template.values().count() > 20);
    let LogFormat::Text { template: default, .. } = LogFormat::envoy_default() else { panic!() };
    assert_eq!(default.to_string().to_uppercase(), ENVOY_DEFAULT.to_uppercase());
}

#[test]
fn what_is_not_known_is_refused_by_its_name_and_place() {
    let unknown = said("ab %CEL(request.path)%");
    assert!(
        unknown.starts_with("the operator CEL is not supported; known are START_TIME REQ RESP"),
        "{unknown}"
    );
    assert!(unknown.ends_with("(at byte 3)"), "{unknown}");
    for (text, part) in [
        ("%", "does not end in %"),
        ("100% sure", "does not end in %"),
        ("%REQ(a%", "a ( without its )"),
        ("%REQ(a):x%", "a length that is no number"),
        ("%REQ(a):99999999999999999999999%", "a length that is no number"),
        ("%REQ(a)", "does not end in %"),
        ("%REQ%", "\"\" is not a field that REQ knows"),
        ("%REQ(a b)%", "\"a b\" is not a field"),
        ("%REQ(a?)%", "\"\" is not a field"),
        ("%REQ(:status)%", "\":status\" is not a field"),
        ("%RESP(:path)%", "\":path\" is not a field"),
        ("%TRAILER(:status)%", "\":status\" is not a field"),
        ("%DURATION(ms)%", "DURATION takes no argument"),
        ("%GRPC_STATUS(X)%", "\"X\" is no way to write a status"),
        ("%START_TIME(%Q)%", "a time of unknown parts"),
        ("%START_TIME(%3d)%", "a time of unknown parts"),
        ("%START_TIME(%)%", "a time of unknown parts"),
    ] {
        let message = said(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn every_operator_of_a_format_is_found() {
    let text = |text: &str| JsonTemplate::Text(Template::parse(text).unwrap());
    let members = vec![
        ("a".to_owned(), text("%DURATION%")),
        ("b".to_owned(), JsonTemplate::Object(vec![("c".to_owned(), text("x%PROTOCOL%y%PROTOCOL%"))])),
        ("d".to_owned(), JsonTemplate::List(vec![text("%TRACE_ID%"), JsonTemplate::Null])),
    ];
    let format = LogFormat::Json { members, omit_empty: false };
    let expected = [LogValue::Duration, LogValue::Protocol, LogValue::Protocol, LogValue::TraceId];
    assert_eq!(format.values(), expected.iter().collect::<Vec<_>>());
}
