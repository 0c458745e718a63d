use super::*;
use crate::reject::Breaker;
use crate::reject::tests::kinds;

/// Envoy's flags and statuses, as its access log documentation has them.
#[test]
fn kinds_have_envoys_flags() {
    for (kind, status, flag) in [
        (Kind::NoRoute, 404, "NR"),
        (Kind::NoEndpoint, 503, "UH"),
        (Kind::Dropped, 503, "DO"),
        (Kind::Overflow(Breaker::Connections), 503, "UO"),
        (Kind::ConnectTimeout, 503, "UF"),
        (Kind::ConnectionLost { reused: false }, 503, "UC"),
        (Kind::Refused, 503, "UR"),
        (Kind::Protocol, 502, "UPE"),
        (Kind::RequestTimeout, 504, "UT"),
        (Kind::IdleTimeout, 504, "SI"),
        (Kind::SlowRequest, 408, "SI"),
        (Kind::DownstreamLost, 400, "DC"),
        (Kind::Draining, 503, "LR"),
        (Kind::NotConfigured, 503, "NC"),
        (Kind::TooManyFields, 431, "DPE"),
        (Kind::HeadTooLarge, 431, "DPE"),
        (Kind::BodyTooLarge, 413, ""),
        (Kind::NoTunnel, 403, ""),
    ] {
        let answer = answer(&kind);
        assert_eq!((answer.status.as_u16(), answer.flag), (status, flag), "{kind:?}");
    }
}

#[test]
fn every_refusal_is_an_error_in_both_languages() {
    for kind in kinds() {
        let Answer { status, grpc, .. } = answer(&kind);
        assert!(status.is_client_error() || status.is_server_error(), "{kind:?}");
        assert!((1..=16).contains(&grpc), "{kind:?}");
        let reject = Reject { kind, retried: true };
        let plain = rejected(&reject, false);
        assert_eq!(plain.status(), status);
        assert!(plain.headers().contains_key(CONTENT_LENGTH));
        let trailers = rejected(&reject, true);
        assert_eq!((trailers.status(), grpc_status(trailers.headers())), (StatusCode::OK, Some(grpc)));
        assert!(trailers.headers().contains_key(GRPC_MESSAGE));
    }
}

#[test]
fn a_status_without_content_has_no_length() {
    let empty = DirectResponse { status: StatusCode::NO_CONTENT, body: "not sent".to_owned() };
    let response = direct(&empty, false);
    assert!(!response.headers().contains_key(CONTENT_LENGTH));
    assert!(matches!(response.body(), Source::None));
}

#[test]
fn grpc_messages_are_percent_encoded() {
    assert_eq!(percent_encoded("50 % of\n\u{e4}"), "50 %25 of%0A%C3%A4");
}

#[test]
fn a_grpc_status_is_a_number() {
    let status = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_STATUS, HeaderValue::from_static(value));
        grpc_status(&headers)
    };
    assert_eq!(
        (status("0"), status("16"), status("x"), status("-1"), status("999")),
        (Some(0), Some(16), None, None, None)
    );
    assert_eq!(grpc_status(&HeaderMap::new()), None);
}
