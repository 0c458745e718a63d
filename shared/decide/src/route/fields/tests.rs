use super::*;
use http::HeaderValue;
use weir_model::StringMatch;

fn field(name: &'static str, value: StringMatch) -> HeaderMatch {
    HeaderMatch { name: HeaderName::from_static(name), value }
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(pair).collect()
}

#[test]
fn one_condition_is_enough() {
    let conditions = [
        field("a", StringMatch::Exact("1".to_owned())),
        field("b", StringMatch::Regex("x+".to_owned())),
        field("c", StringMatch::Present),
    ];
    let any = FieldCompiler::default().any(&conditions, "list").unwrap();
    for (fields, expected) in [
        (vec![("a", "1")], true),
        (vec![("a", "2")], false),
        (vec![("a", "2"), ("b", "xx")], true),
        (vec![("b", "xy")], false),
        (vec![("c", "")], true),
        (vec![], false),
    ] {
        assert_eq!(any.holds(&headers(&fields)), expected, "{fields:?}");
    }
    let mut twice = headers(&[("a", "1")]);
    twice.append("a", HeaderValue::from_static("2"));
    assert!(any.holds(&twice), "of several fields one is enough");
    let none = FieldCompiler::default().any(&[], "list").unwrap();
    assert!(none.is_empty() && !none.holds(&twice));
}

#[test]
fn an_expression_that_is_none_is_named() {
    let conditions = [field("a", StringMatch::Present), field("b", StringMatch::Regex("(".to_owned()))];
    let error = FieldCompiler::default().any(&conditions, "retriable_headers").unwrap_err();
    assert!(error.field.starts_with("retriable_headers[1]"), "{error}");
}
