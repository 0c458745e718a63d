use super::*;
use http_body_util::BodyExt;

#[tokio::test]
async fn a_body_of_ours_comes_in_one_piece() {
    let body = Body::Full(Bytes::from_static(b"text"));
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(4));
    assert!(!http_body::Body::is_end_stream(&body));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "text");
    assert!(http_body::Body::is_end_stream(&Body::Empty));
    assert!(http_body::Body::is_end_stream(&Body::Full(Bytes::new())));
}

/// The codec looks for the reset's reason along the sources.
#[test]
fn a_timeout_resets_the_stream() {
    let error = BodyError::timeout();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.downcast_ref::<h2::Error>().unwrap().reason(), Some(h2::Reason::CANCEL));
}
