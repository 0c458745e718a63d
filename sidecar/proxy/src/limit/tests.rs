use super::*;
use std::time::Duration;
use weir_decide::limit::Bucket;
use weir_model::TokenBucket;

#[test]
fn the_fields_say_what_the_limit_is_and_how_long_to_wait() {
    let bucket = Bucket::new(TokenBucket { burst: 100, requests: 50, interval: Duration::from_secs(30) });
    let mut headers = HeaderMap::new();
    tell("per user", &Excess { bucket, wait: Duration::from_millis(2100) }, &mut headers);
    assert_eq!(headers["retry-after"], "3");
    assert_eq!(headers["ratelimit-policy"], "\"per user\";q=100;w=60");
    assert_eq!(headers["ratelimit"], "\"per user\";r=0;t=3");
}

#[test]
fn any_name_can_stand_in_a_field() {
    assert_eq!(quoted("a\"b\\c\u{e4}\n"), "\"a\\\"b\\\\c??\"");
    assert!(quoted(&"x".repeat(1000)).len() == 66);
}
