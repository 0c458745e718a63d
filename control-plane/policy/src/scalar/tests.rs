use super::*;
use proptest::prelude::*;

#[test]
fn names_follow_rfc_1123() {
    for good in ["a", "reviews-v1", "1a", "a1"] {
        assert!(is_label(good) && is_subdomain(good), "{good}");
    }
    let long = "a".repeat(64);
    for bad in ["", "-a", "a-", "A", "a_b", "a.b", "é", long.as_str()] {
        assert!(!is_label(bad), "{bad}");
    }
    assert!(is_subdomain("a.b-c.d"));
    for bad in ["", ".", "a.", ".a", "a..b"] {
        assert!(!is_subdomain(bad), "{bad}");
    }
    assert!(is_label_key("app.kubernetes.io/name") && is_label_key("App_1.x"));
    assert!(!is_label_key("a/b/c") && !is_label_key("/b") && !is_label_key("a/") && !is_label_key("-a"));
    assert!(
        is_label_value("") && is_label_value("v1.2_3") && !is_label_value("a b") && !is_label_value("v1-")
    );
}

#[test]
fn durations_follow_gep_2257() {
    for (text, millis, canonical) in [
        ("0s", 0, "0s"),
        ("0h", 0, "0s"),
        ("250ms", 250, "250ms"),
        ("1000ms", 1000, "1s"),
        ("90s", 90_000, "1m30s"),
        ("1h2m3s4ms", 3_723_004, "1h2m3s4ms"),
        ("1s1s1s1s", 4000, "4s"),
        ("99999h", 359_996_400_000, "99999h"),
    ] {
        assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        assert_eq!(format_duration(Duration::from_millis(millis)), canonical);
    }
    for bad in [
        "",
        "1",
        "s",
        "1.5s",
        "-1s",
        "1d",
        "1us",
        "100000s",
        "1s1s1s1s1s",
        " 1s",
        "1s ",
        "1h ",
        "99999h1h",
        "１s",
    ] {
        assert_eq!(parse_duration(bad), None, "{bad}");
    }
}

#[test]
fn times_follow_rfc_3339() {
    for (text, millis, canonical) in [
        ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
        ("2000-02-29T23:59:59Z", 951_868_799_000, "2000-02-29T23:59:59Z"),
        ("2024-05-06T07:08:09.1Z", 1_714_979_289_100, "2024-05-06T07:08:09.100Z"),
        ("2024-05-06T07:08:09.123456789+02:30", 1_714_970_289_123, "2024-05-06T04:38:09.123Z"),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(parse_time(text), Some(millis), "{text}");
        assert_eq!(format_time(millis), canonical);
    }
    for bad in [
        "",
        "2024-05-06",
        "2024-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-05-06T24:00:00Z",
        "2024-05-06T07:08:09",
        "2024-05-06T07:08:09.Z",
        "2024-05-06T07:08:09+2:00",
        "2024/05/06T07:08:09Z",
        "1969-12-31T23:59:59Z",
        "2024-05-06T07:08:09é",
        "+024-05-06T07:08:09Z",
    ] {
        assert_eq!(parse_time(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn a_duration_is_read_as_it_was_written(millis in 0..=LONGEST_MILLIS) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
    }

    #[test]
    fn a_time_is_read_as_it_was_written(millis in 0..=253_402_300_799_999u64) {
        prop_assert_eq!(parse_time(&format_time(millis)), Some(millis));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,40}") {
        parse_duration(&text);
        parse_time(&text);
    }
}
