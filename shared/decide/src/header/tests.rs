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
        edits: None,
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
        edits: None,
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

#[test]
fn edits_are_made_in_envoys_order() {
    use weir_model::HeaderEdit;
    let name = |name: &'static str| HeaderName::from_static(name);
    let literal = |text: &'static str| EditValue::Literal(HeaderValue::from_static(text));
    let template =
        |text: &str, keep_empty| EditValue::Template { template: Template::parse(text).unwrap(), keep_empty };
    let edit = |field, value, action| HeaderEdit { name: name(field), value, action };
    let edits = HeaderEdits {
        remove: vec![name("x-gone"), name("x-moved")],
        write: vec![
            edit("x-both", literal("added"), EditAction::Append),
            edit("x-both", literal("over"), EditAction::Overwrite),
            edit("x-there", literal("no"), EditAction::AddIfAbsent),
            edit("x-new", literal("1"), EditAction::AddIfAbsent),
            edit("x-new", literal("2"), EditAction::AddIfAbsent),
            edit("x-new", literal("no"), EditAction::OverwriteIfExists),
            edit("x-there", literal("yes"), EditAction::OverwriteIfExists),
            edit("x-copy", template("%REQ(x-there)%", false), EditAction::Append),
            edit("x-late", template("%REQ(x-moved)%", false), EditAction::Append),
            edit("x-kept", template("%REQ(x-moved)%", true), EditAction::Append),
            edit("x-moved", literal("back"), EditAction::AddIfAbsent),
        ],
    };
    let mut headers = HeaderMap::new();
    for (field, value) in [("x-gone", "0"), ("x-moved", "0"), ("x-both", "0"), ("x-there", "old")] {
        headers.append(name(field), HeaderValue::from_static(value));
    }
    super::edit(&edits, &mut headers, |template, headers| {
        let field = if template.to_string().contains("there") { "x-there" } else { "x-moved" };
        Some(headers.get(field).cloned().unwrap_or(HeaderValue::from_static("")))
    });
    let mut found: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "x-both=added",
            "x-both=over",
            "x-copy=old",
            "x-kept=",
            "x-moved=back",
            "x-new=1",
            "x-new=2",
            "x-there=yes"
        ]
    );
}
