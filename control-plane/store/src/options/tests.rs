use super::*;

fn put(key: &str, size: usize) -> Change {
    Change::Put { key: key.into(), value: vec![0; size].into() }
}

fn refusal(options: Options, changes: &[Change]) -> Option<(String, u64, u64)> {
    match options.check(changes, &Attribution::default()) {
        Ok(()) => None,
        Err(StoreError::TooLarge { what, bytes, limit }) => Some((what, bytes, limit)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_bound_admits_its_limit_and_refuses_one_more_by_name() {
    let options = Options { value_bytes: 10, batch_changes: 2, batch_bytes: 15, ..Options::default() };
    assert_eq!(refusal(options, &[put("a", 10)]), None);
    assert_eq!(refusal(options, &[put("a", 11)]), Some(("bytes of the value of \"a\"".into(), 11, 10)));
    assert_eq!(refusal(options, &[put("abcde", 10)]), None);
    assert_eq!(refusal(options, &[put("abcdef", 10)]), Some(("bytes of the batch".into(), 16, 15)));
    assert_eq!(
        refusal(options, &[put("a", 0), put("b", 0), put("c", 0)]),
        Some(("number of changes in the batch".into(), 3, 2))
    );
}

#[test]
fn a_long_key_is_refused_and_not_echoed_whole() {
    let key = "é".repeat(KEY_BYTES);
    let (what, bytes, limit) = refusal(Options::default(), &[Change::Delete { key }]).unwrap();
    assert!(what.chars().count() < 120, "{what}");
    assert_eq!((bytes, limit), (2 * KEY_BYTES as u64, KEY_BYTES as u64));
}

#[test]
fn a_long_message_is_refused() {
    let by = Attribution { message: "x".repeat(MESSAGE_BYTES + 1), ..Attribution::default() };
    assert!(matches!(Options::default().check(&[], &by), Err(StoreError::TooLarge { .. })));
}
