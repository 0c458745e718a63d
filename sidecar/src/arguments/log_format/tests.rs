use super::*;

#[test]
fn text_gets_its_line_break() {
    let LogFormat::Text { template, .. } = format("%RESPONSE_CODE% %REQ(:PATH)%").unwrap() else { panic!() };
    assert_eq!(template.to_string(), "%RESPONSE_CODE% %REQ(:PATH)%\n");
}

#[test]
fn an_object_is_json() {
    let text = r#"{"b": {"d": [1, true, null]}, "a": "%DURATION%"}"#;
    let LogFormat::Json { members, .. } = format(text).unwrap() else { panic!() };
    assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn what_is_wrong_is_said() {
    let said = |text: &str| format(text).unwrap_err();
    assert!(said("%NOPE%").contains("the operator NOPE is not supported; known are"));
    assert!(said(r#"{"a": "%REQ(%"}"#).contains("a ( without its )"));
    assert!(said("{").contains("begins like a JSON object"));
    assert!(said(&"a".repeat(9000)).contains("is longer than 8192 bytes"));
    assert!(kind("xml").unwrap_err().contains("write json or text"));
}
