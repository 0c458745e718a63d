use super::names;

#[test]
fn a_name_is_found_as_a_word_of_its_own() {
    assert!(names("a:80: field: text", "a:80"));
    assert!(names("x: y; a:80: field: text", "a:80"));
    assert!(names(
        "Error adding/updating cluster(s) outbound/default/a:80: no, b: no",
        "outbound/default/a:80"
    ));
    assert!(names("errors: [resource index 0: a: INVALID]", "a"));
    assert!(names("refused a", "a"));
    assert!(names("refused a.", "a"));
    assert!(!names("a:8080: text", "a:80"));
    assert!(!names("a:80: text", "a"));
    assert!(!names("x/a: text", "a"));
    assert!(!names("a.b: text", "a"));
    assert!(!names("ba: text", "a"));
    assert!(!names("", "a"));
}
