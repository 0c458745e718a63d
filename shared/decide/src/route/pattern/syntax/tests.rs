use super::super::Patterns;
use super::super::tests::compile;
use super::*;
use proptest::prelude::*;

fn said(text: &str) -> (String, usize) {
    match parse(text) {
        Err(RegexError::Syntax { what, at }) => (what, at),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn classes_and_boundaries_are_ascii() {
    let table = [
        (r"\d", "3", true),
        (r"\d", "٣", false),
        (r"\D", "٣", true),
        (r"\w", "é", false),
        (r"\W", "é", true),
        (r"[\w]", "é", false),
        (r"[\W]", "é", true),
        (r"[^\W]", "é", false),
        (r"[^\w-]", "é", true),
        // RE2's \s has no vertical tab, its [:space:] has one.
        (r"\s", "\x0b", false),
        (r"[[:space:]]", "\x0b", true),
        (r"\s\s\s\s\s", "\t\n\x0c\r ", true),
        (r"\s", "\u{a0}", false),
        // é is no part of a word, so the word ends before it.
        (r"a\b.", "aé", true),
        (r"a\B.", "aé", false),
        (r"a\B.", "ab", true),
        (r".\b", "é", false),
        // Where case does not matter, RE2 folds its classes as Unicode does: the Kelvin sign is a k.
        (r"(?i)\w", "\u{212a}", true),
        (r"(?i)\W", "\u{212a}", false),
        (r"(?i)é", "É", true),
        // The rest is Unicode.
        (".", "é", true),
        (r"\pL", "é", true),
        (r"\p{Greek}", "α", true),
        (r"[^a]", "é", true),
    ];
    for (regex, text, expected) in table {
        assert_eq!(compile(regex).is_match(text.as_bytes()), expected, "{regex:?} {text:?}");
    }
}

#[test]
fn what_re2_does_not_know_is_refused_by_its_place() {
    for (text, word, at) in [
        ("a(?x) b", "flags", 3),
        ("(?u:a)", "flags", 2),
        ("(?-u)a", "flags", 3),
        ("(?R)a", "flags", 2),
        (r"a\b{start}", "boundaries", 1),
        (r"\<a", "boundaries", 0),
        (r"a\>", "boundaries", 1),
        (r"a\b{end-half}", "boundaries", 1),
        ("[a[b]]", "nest", 2),
        ("[a-z&&[aeiou]]", "set operations", 1),
        ("[a-z--b]", "set operations", 1),
        (r"\u0061", "code point", 0),
        (r"[\u{61}]", "code point", 1),
        (r"[a-\U00000062]", "code point", 3),
        (r"\p{sc=Greek}", "key", 0),
        ("a{1001}", "repetition counts", 1),
        ("(a|b{2,2000})", "repetition counts", 4),
        ("a(", "unclosed group", 1),
        (r"(a)\1", "backreferences", 3),
        ("(?=a)", "look-around", 0),
    ] {
        let (what, found) = said(text);
        assert!(what.contains(word), "{text}: {what}");
        assert_eq!(found, at, "{text}: {what}");
    }
}

#[test]
fn what_re2_knows_is_taken() {
    for text in [
        "(?i)a",
        "(?m)^a$",
        "(?s).",
        "(?U)a+",
        "(?i-s:a)",
        "(?P<n>a)",
        "(?<n>a)",
        "(?:a)",
        r"\A\z",
        r"\x61",
        r"\x{61}",
        r"\pL\PN",
        r"\p{Greek}\P{Lu}",
        "[[:alpha:]]",
        "[[:^alpha:]]",
        "a{1000}",
        "a{2,}?",
        r"\.\/\-",
        r"[\d\-]",
        r"\a\f\t\n\r\v",
    ] {
        if let Err(error) = parse(text) {
            panic!("{text}: {error}");
        }
    }
}

/// A part of an expression, and the same in the words of the reference, which is Unicode unless told otherwise.
fn part() -> impl Strategy<Value = (String, String)> {
    let parts = [
        (r"\w", "[0-9A-Za-z_]"),
        (r"\W", "[^0-9A-Za-z_]"),
        (r"\d", "[0-9]"),
        (r"[\Da]", "[^0-9]"),
        (r"\s", r"[\t\n\x0c\r ]"),
        (r"[^\s_]", r"[^\t\n\x0c\r _]"),
        (r"\b", r"(?-u:\b)"),
        (r"\B", r"(?-u:\B)"),
        (".", "."),
        ("a", "a"),
        ("é", "é"),
        ("", ""),
    ];
    prop::sample::select(parts.to_vec()).prop_map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()))
}

fn expression() -> impl Strategy<Value = (String, String)> {
    part().prop_recursive(4, 24, 3, |inner| {
        let both = |f: fn(&[String]) -> String| {
            move |parts: Vec<(String, String)>| {
                let (ours, theirs): (Vec<String>, Vec<String>) = parts.into_iter().unzip();
                (f(&ours), f(&theirs))
            }
        };
        let few = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            few().prop_map(both(|parts| parts.concat())),
            few().prop_map(both(|parts| format!("(?:{})", parts.join("|")))),
            few().prop_map(both(|parts| format!("(?:{})*", parts.concat()))),
            few().prop_map(both(|parts| format!("(?:{}){{0,2}}", parts.concat()))),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_a_reference_that_is_told_what_is_ascii(
        (ours, theirs) in expression(),
        texts in prop::collection::vec("[a1_é٣ \n\u{b}-]{0,6}", 1..8),
    ) {
        let expression = super::super::Expression::parse(&ours).unwrap();
        let Some(patterns) = Patterns::compile(&[&expression]) else { return Ok(()) };
        let reference = regex::bytes::Regex::new(&format!("^(?:{theirs})$")).unwrap();
        for text in texts {
            prop_assert_eq!(patterns.is_match(text.as_bytes()), reference.is_match(text.as_bytes()), "{} {:?}", ours, text);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused_within_itself(text in "[\\\\\\[\\](){}?*+|^$.a-z0-9:<>&~=,é-]{0,32}") {
        if let Err(RegexError::Syntax { at, .. }) = parse(&text) {
            prop_assert!(at <= text.len());
        }
    }
}
