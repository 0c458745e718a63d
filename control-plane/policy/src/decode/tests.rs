use super::*;
use serde_json::json;

const SCHEMA: Schema = Schema {
    known: &["name", "port", "rules"],
    later: &[("retry", "use a TrafficPolicy")],
    ignored: &["status"],
};

fn found(value: &Value, read: impl FnOnce(&At<'_>)) -> Vec<String> {
    let report = Report::new("Thing a/b");
    read(&At::root(value, &report));
    report.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_fields_are_reported_with_what_was_probably_meant() {
    let value = json!({"nmae": 1, "prot": 2, "Rules": 3, "something": 4, "retry": 5, "status": 6, "sessionPersistence": null});
    let mut found = found(&value, |at| drop(at.object(&SCHEMA)));
    found.sort();
    assert_eq!(
        found,
        [
            "error: Thing a/b: Rules: there is no field \"Rules\" (did you mean rules?)",
            "error: Thing a/b: nmae: there is no field \"nmae\" (did you mean name?)",
            "error: Thing a/b: prot: there is no field \"prot\" (did you mean port?)",
            "error: Thing a/b: retry: retry is not supported yet (use a TrafficPolicy)",
            "error: Thing a/b: something: there is no field \"something\" (remove it; the fields here are name, port and rules)",
        ]
    );
}

#[test]
fn wrong_types_say_what_was_found_and_what_was_expected() {
    let value = json!({"name": 1.5, "port": "80", "rules": {"a": 1}});
    let found = found(&value, |at| {
        let fields = at.object(&SCHEMA).unwrap();
        assert!(fields.get("name").unwrap().text().is_none());
        assert!(fields.get("port").unwrap().port().is_none());
        assert!(fields.get("rules").unwrap().list(0..=3).is_none());
        assert!(fields.required("retry", "say when").is_none());
    });
    assert_eq!(found[0], "error: Thing a/b: name: expected text, found 1.5 (put it in quotes: \"1.5\")");
    let port = "error: Thing a/b: port: expected an integer from 1 to 65535, found \"80\" (write an integer from 1 to 65535)";
    assert_eq!(found[1], port);
    assert_eq!(found[2], "error: Thing a/b: rules: expected a list, found an object (write a list)");
    assert_eq!(found[3], "error: Thing a/b: retry: it is missing (say when)");
}

#[test]
fn integers_stay_in_their_range() {
    for (value, good) in [
        (json!(1), true),
        (json!(65535), true),
        (json!(80.0), true),
        (json!(0), false),
        (json!(-1), false),
        (json!(65536), false),
        (json!(80.5), false),
        (json!(u64::MAX), false),
        (json!(1e300), false),
    ] {
        let findings = found(&value, |at| assert_eq!(at.port().is_some(), good, "{value}"));
        assert_eq!(findings.is_empty(), good);
    }
}

#[test]
fn paths_quote_what_is_not_a_word() {
    let value = json!({"labels": {"example.com/a": [1, {"deep": true}]}});
    let found = found(&value, |at| {
        let labels = at.object(&Schema::of(&["labels"])).unwrap().get("labels").unwrap();
        let (_, entry) = labels.entries().unwrap().remove(0);
        entry.list(0..=9).unwrap()[1].object(&Schema::of(&["deep"])).unwrap().get("deep").unwrap().text();
    });
    assert!(found[0].contains(": labels[\"example.com/a\"][1].deep: "), "{found:?}");
}

#[test]
fn findings_are_bounded_and_the_rest_is_counted() {
    let value = json!(vec![1; 1500]);
    let found = found(&value, |at| {
        for element in at.list(0..=2000).unwrap() {
            element.text();
        }
    });
    assert_eq!(found.len(), weir_model::limits::DIAGNOSTICS + 1);
    assert_eq!(found.last().unwrap(), "error: Thing a/b: there are 500 more errors (mend those above first)");
}

#[test]
fn long_values_are_shown_in_part() {
    let found = found(&json!("x".repeat(100_000)), |at| {
        at.word(&[("a", 1)]);
    });
    assert!(found[0].len() < 200, "{}", found[0]);
}
