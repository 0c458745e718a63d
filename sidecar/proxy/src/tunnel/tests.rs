use super::*;

#[test]
fn only_a_stream_that_asks_for_another_protocol_becomes_an_upgrade() {
    let mut random = Random::new(1);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut request =
            Request::builder().method("CONNECT").uri("a.test:80").version(version).body(()).unwrap();
        assert!(of(&mut request, &mut random).is_none());
        assert_eq!(*request.method(), Method::CONNECT);
    }
    let asked = |protocol: &'static str| {
        let mut request =
            Request::builder().method("CONNECT").uri("http://a.test/chat").version(Version::HTTP_2);
        request.extensions_mut().unwrap().insert(Protocol::from_static(protocol));
        request.body(()).unwrap()
    };
    let mut request = asked("websocket");
    assert!(of(&mut request, &mut random).is_some());
    let headers = request.headers();
    assert_eq!((request.method(), &headers[UPGRADE]), (&Method::GET, &"websocket".parse().unwrap()));
    let key = headers[KEY].to_str().unwrap();
    assert!(key.len() == 24 && key.ends_with("==") && b"AQgw".contains(&key.as_bytes()[21]), "{key}");
    let mut request = asked("other");
    assert!(of(&mut request, &mut random).is_some());
    assert!(!request.headers().contains_key(KEY));
}
