use super::*;
use hyper::header::HeaderValue;

fn spans() -> Spans {
    // Nobody listens there; what is sent is dropped.
    Spans::start("frontend", "frontend app", "http://127.0.0.1:9").unwrap()
}

fn headers(name: &'static str, value: &'static str) -> HeaderMap {
    [(name.parse().unwrap(), HeaderValue::from_static(value))].into_iter().collect()
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn the_trace_goes_on_below_the_callers_span() {
    let spans = spans();
    let server = spans.server(&headers("traceparent", PARENT), "/product/7", "/product/{id}").unwrap();
    assert_eq!(server.record.parent_span_id, Some(0xb7ad6b7169203331));
    let mut out = headers("traceparent", PARENT);
    let client = spans.client(&server, "/reviews/7", "/reviews/{id}", &mut out);
    assert_eq!(client.record.trace_id, 0x0af7651916cd43dd8448eb211c80319c);
    assert_eq!(client.record.parent_span_id, Some(server.record.span_id));
    let expected = format!("00-0af7651916cd43dd8448eb211c80319c-{:016x}-01", client.record.span_id);
    assert_eq!(out["traceparent"], expected.as_str());
    assert_ne!(client.record.span_id, server.record.span_id);
}

#[tokio::test]
async fn b3_goes_out_as_b3() {
    let spans = spans();
    let incoming = headers("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1");
    let server = spans.server(&incoming, "/", "/").unwrap();
    let mut out = incoming.clone();
    let client = spans.client(&server, "/", "/", &mut out);
    assert!(out["b3"].to_str().unwrap().contains(&format!("{:016x}", client.record.span_id)), "{out:?}");
    assert!(!out.contains_key("traceparent"));
}

#[tokio::test]
async fn nothing_is_recorded_that_the_caller_did_not_record() {
    let spans = spans();
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for incoming in [HeaderMap::new(), headers("traceparent", unsampled), headers("traceparent", "nonsense")]
    {
        assert!(spans.server(&incoming, "/", "/").is_none(), "{incoming:?}");
    }
}
