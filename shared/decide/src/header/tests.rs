use super::*;

fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn first_set_then_add_then_remove() {
    let mut headers = HeaderMap::new();
    headers.append("a", value("1"));
    headers.append("a", value("2"));
    headers.append("b", value("1"));
    headers.append("c", value("1"));
    let mutation = HeaderMutation {
        set: vec![(name("a"), value("set")), (name("new"), value("set"))],
        add: vec![(name("a"), value("added")), (name("b"), value("added")), (name("d"), value("added"))],
        remove: vec![name("c"), name("d"), name("absent")],
    };
    apply(&mutation, &mut headers);
    assert_eq!(all(&headers, "a"), ["set", "added"]);
    assert_eq!(all(&headers, "b"), ["1", "added"]);
    assert_eq!(all(&headers, "new"), ["set"]);
    assert!(!headers.contains_key("c") && !headers.contains_key("d"));
}

#[test]
fn several_of_one_name_are_applied_in_order() {
    let mut headers = HeaderMap::new();
    let mutation = HeaderMutation {
        set: vec![(name("a"), value("1")), (name("a"), value("2"))],
        add: vec![(name("b"), value("1")), (name("b"), value("2"))],
        remove: vec![],
    };
    apply(&mutation, &mut headers);
    assert_eq!(all(&headers, "a"), ["2"]);
    assert_eq!(all(&headers, "b"), ["1", "2"]);
}

#[test]
fn fields_of_one_name_are_joined() {
    let mut headers = HeaderMap::new();
    assert_eq!(joined(&headers, &name("a")), None);
    headers.append("a", value("1"));
    assert!(matches!(joined(&headers, &name("a")), Some(Cow::Borrowed(b"1"))));
    headers.append("a", value(""));
    headers.append("b", value("x"));
    headers.append("a", value("2, 3"));
    assert_eq!(joined(&headers, &name("a")).as_deref(), Some(&b"1,,2, 3"[..]));
}
