use super::*;
use std::sync::atomic::AtomicU32;
use weir_model::{KeyedLimit, TokenBucket};

const NOW: Time = Time(1_000_000_000_000);

fn bucket(burst: u32) -> TokenBucket {
    TokenBucket { burst, requests: 1, interval: Duration::from_secs(3600) }
}

fn limits(all: Option<u32>, address: Option<u32>) -> RateLimits {
    let keyed = address
        .map(|burst| KeyedLimit { key: LimitKey::SourceAddress, bucket: bucket(burst) })
        .into_iter()
        .collect();
    RateLimits { name: "l".to_owned(), all: all.map(bucket), keyed, ..RateLimits::default() }
}

fn of_address(address: &str) -> impl Fn(&LimitKey) -> Option<Vec<u8>> {
    let address = address.as_bytes().to_vec();
    move |_| Some(address.clone())
}

#[test]
fn all_threads_together_never_exceed_a_limit() {
    for model in [limits(Some(1000), None), limits(None, Some(1000))] {
        let limits = Limits::new(&model);
        let passed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if limits.take(of_address("one"), NOW).is_ok() {
                            passed.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 1000);
    }
}

#[test]
fn every_value_has_a_bucket_of_its_own() {
    let limits = Limits::new(&limits(None, Some(2)));
    for value in 0..500 {
        let value = format!("10.0.0.{value}");
        assert!(limits.take(of_address(&value), NOW).is_ok());
        assert!(limits.take(of_address(&value), NOW).is_ok());
        let excess = limits.take(of_address(&value), NOW).unwrap_err();
        assert_eq!(excess.wait, Duration::from_secs(3600));
    }
}

#[test]
fn invented_values_make_no_room_for_anybody() {
    let limits = Limits::new(&limits(None, Some(1)));
    assert!(limits.take(of_address("known"), NOW).is_ok());
    for value in 0..100_000u32 {
        let _ = limits.take(|_| Some(value.to_le_bytes()), NOW);
    }
    assert!(limits.take(of_address("known"), NOW).is_err());
}

#[test]
fn a_request_without_the_thing_is_not_limited_by_it() {
    let limits = Limits::new(&limits(Some(3), Some(1)));
    for _ in 0..3 {
        assert!(limits.take(|_| None::<Vec<u8>>, NOW).is_ok());
    }
    assert!(limits.take(|_| None::<Vec<u8>>, NOW).is_err());
}

#[test]
fn buckets_stay_while_their_place_says_the_same() {
    let mut known = Known::default();
    let first = known.limits("host".to_owned(), &limits(Some(1), None));
    assert!(Arc::ptr_eq(&first, &known.limits("host".to_owned(), &limits(Some(1), None))));
    assert!(!Arc::ptr_eq(&first, &known.limits("other".to_owned(), &limits(Some(1), None))));
    assert!(!Arc::ptr_eq(&first, &known.limits("host".to_owned(), &limits(Some(2), None))));
    known.sweep();
    assert_eq!(known.limits.len(), 1);
    drop(first);
    known.sweep();
    assert_eq!(known.limits.len(), 0);
}

#[test]
fn the_most_specific_level_counts_and_may_say_that_there_is_none() {
    let mut known = Known::default();
    let mut compiler = FieldCompiler::default();
    let model = |limits| weir_model::Filters { limits: Some(limits), ..weir_model::Filters::default() };
    let (wide, off) = (model(limits(Some(1), None)), model(RateLimits::default()));
    let mut link = |model: Option<&weir_model::Filters>, wider: Option<&Arc<Filters>>| {
        known.link(|| "p".to_owned(), model, wider, &mut compiler).unwrap()
    };
    let host = link(Some(&wide), None).unwrap();
    assert!(host.limits.or(None).is_some());
    assert!(Arc::ptr_eq(&link(None, Some(&host)).unwrap(), &host));
    let route = link(Some(&off), Some(&host)).unwrap();
    assert!(route.limits.or(Some(&host.limits)).is_none());
    let silent = Filters::default();
    assert!(silent.limits.or(Some(&host.limits)).is_some());
    assert!(link(None, None).is_none());
}
