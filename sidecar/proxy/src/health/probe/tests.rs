use super::*;

#[test]
fn blocks_come_in_order_with_anything_between() {
    let blocks = |blocks: &[&str]| blocks.iter().map(|block| block.as_bytes().to_vec()).collect::<Vec<_>>();
    assert!(has_all(b"", &[]));
    assert!(has_all(b"+PONG\r\n", &blocks(&["PONG"])));
    assert!(has_all(b"a1b2c", &blocks(&["a", "b", "c"])));
    assert!(!has_all(b"a1b2c", &blocks(&["b", "a"])));
    assert!(!has_all(b"aa", &blocks(&["a", "a", "a"])));
    assert!(!has_all(b"PON", &blocks(&["PONG"])));
}

#[test]
fn statuses_are_judged_by_ranges() {
    let probe = |expected: &[(u16, u16)], retriable: &[(u16, u16)]| HttpProbe {
        host: String::new(),
        path: "/".to_owned(),
        method: Method::GET,
        http2: false,
        expected: expected.to_vec(),
        retriable: retriable.to_vec(),
        headers: Default::default(),
    };
    let judged = |probe: &HttpProbe, status| judge(probe, StatusCode::from_u16(status).unwrap());
    let default = probe(&[], &[]);
    assert_eq!((judged(&default, 200), judged(&default, 204)), (Answer::Passed, Answer::Refused));
    let ranges = probe(&[(200, 300), (404, 405)], &[(500, 600)]);
    assert_eq!(
        [200, 299, 300, 404, 405, 500, 599].map(|status| judged(&ranges, status)),
        [
            Answer::Passed,
            Answer::Passed,
            Answer::Refused,
            Answer::Passed,
            Answer::Refused,
            Answer::Failed,
            Answer::Failed
        ]
    );
}
