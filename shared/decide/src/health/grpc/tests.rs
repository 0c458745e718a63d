use super::*;
use proptest::prelude::*;

fn answer(message: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, message.len() as u8];
    body.extend_from_slice(message);
    body
}

#[test]
fn requests_name_their_service() {
    assert_eq!(request(""), [0, 0, 0, 0, 0]);
    assert_eq!(request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    let long = "x".repeat(300);
    assert_eq!(request(&long)[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]);
}

#[test]
fn only_serving_serves() {
    assert!(serves(&answer(&[8, 1])));
    for status in [0, 2, 3] {
        assert!(!serves(&answer(&[8, status])));
    }
    assert!(!serves(&answer(&[])));
    // Unknown fields before and after it.
    assert!(serves(&answer(&[0x12, 2, 7, 7, 8, 1, 0x1d, 0, 0, 0, 0])));
    assert!(!serves(&answer(&[8, 1, 8, 2])));
}

#[test]
fn what_is_no_answer_does_not_serve() {
    for body in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1], &[0, 0, 0, 0, 1, 8]]
    {
        assert!(!serves(body), "{body:?}");
    }
    assert!(!serves(&answer(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])));
}

proptest! {
    #[test]
    fn anything_may_come(body in proptest::collection::vec(any::<u8>(), 0..40)) {
        serves(&body);
        serves(&answer(&body));
    }
}
