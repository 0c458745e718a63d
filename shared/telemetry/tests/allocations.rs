//! What telemetry allocates on the request path: nothing, unless a request is recorded.

use http::{HeaderMap, HeaderValue};
use weir_telemetry::context::{extract, inject};
use weir_telemetry::metrics::{Registry, names};
use weir_telemetry::sampling::{Sampler, Sampling};

fn headers(traceparent: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("reviews"));
    headers.insert("tracestate", HeaderValue::from_static("vendor=1,other=2"));
    if let Some(value) = traceparent {
        headers.insert("traceparent", HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn an_unsampled_request_allocates_nothing() {
    let unsampled = headers(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
    let bare = headers(None);
    let sampler = Sampler { ratio_ppm: 1, ..Sampler::default() };
    let allocated = allocation_counter::measure(|| {
        for map in [&unsampled, &bare] {
            let decision = sampler.decide(extract(map), || 42);
            assert_eq!(decision, Sampling::Pass);
        }
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn passing_a_sampled_context_on_allocates_only_the_header() {
    let mut map = headers(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    let allocated = allocation_counter::measure(|| {
        let Sampling::Record { context, .. } = Sampler::always().decide(extract(&map), || 42) else {
            unreachable!("it was sampled")
        };
        inject(&context, &mut map);
    });
    assert!(allocated.count_total <= 2, "{}", allocated.count_total);
}

#[test]
fn counting_on_a_known_series_allocates_nothing() {
    let worker = Registry::new().worker();
    let mut series = worker.histograms::<(u32, u32, u16)>(&names::RPC_CLIENT_CALL_DURATION);
    series.get((1, 2, 200), |labels| labels.push(0).push("reviews")).record_nanos(1);
    let allocated = allocation_counter::measure(|| {
        for nanos in 0..1000 {
            series.get((1, 2, 200), |_| unreachable!("known")).record_nanos(nanos * 1_000_000);
        }
    });
    assert_eq!(allocated.count_total, 0);
}
