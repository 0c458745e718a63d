use super::*;
use proptest::prelude::*;

fn compile(text: &str) -> Patterns {
    Patterns::compile(&[&Expression::parse(text).unwrap()]).unwrap().unwrap()
}

#[test]
fn the_whole_value_has_to_match() {
    let table = [
        ("a", "a", true),
        ("a", "ab", false),
        ("a", "ba", false),
        ("a|ab", "ab", true),
        ("a*?", "aaa", true),
        ("", "", true),
        ("", "a", false),
        (".*", "a\nb", false),
        ("(?s).*", "a\nb", true),
        ("^a$", "a", true),
        ("(?x) a # a comment", "a", true),
        ("[^/]+", "é", true),
        (r"\d+", "٣", true),
        (r"(?i)straße", "STRAßE", true),
    ];
    for (regex, text, expected) in table {
        assert_eq!(compile(regex).is_match(text.as_bytes()), expected, "{regex:?} {text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_do_not_match() {
    assert!(!compile(".*").is_match(b"\xff"));
}

#[test]
fn usual_expressions_become_tables() {
    for text in [".*", "/api/v[0-9]+/.*", "/(a|b|c)/[^/]+", "[a-zA-Z0-9_-]{1,64}", r"\w+@\w+"] {
        assert!(matches!(compile(text), Patterns::Table(_)), "{text}");
    }
}

#[test]
fn expressions_without_a_table_still_work() {
    let boundary = compile(r"\bfoo\b.*");
    assert!(matches!(boundary, Patterns::Engine(_)));
    assert!(boundary.is_match(b"foo bar") && !boundary.is_match(b"food") && !boundary.is_match(b"a foo"));
    // As many states as there are sequences of sixteen.
    let large = compile("[ab]*a[ab]{16}");
    assert!(matches!(large, Patterns::Engine(_)));
    let text = |last: &str| "ab".repeat(20) + last + &"b".repeat(16);
    assert!(large.is_match(text("a").as_bytes()) && !large.is_match(text("b").as_bytes()));
}

#[test]
fn what_differs_in_its_beginning_only_becomes_one() {
    let divided = |text: &str| Expression::parse(text).unwrap().divide();
    let (one, other) = (divided("/a/[a-z]+"), divided("/bcd/([a-z]+)"));
    assert_eq!((&*one.beginning, one.skip), (&b"/a/"[..], 3));
    assert_eq!((&*other.beginning, other.skip), (&b"/bcd/"[..], 5));
    let mut library = Library::default();
    let other = divided("/bcd/[a-z]+");
    let first = library.together(&[&one.rest]).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &library.together(&[&other.rest]).unwrap().unwrap()));
    // A whole literal has nothing left; an assertion needs to see what is before it; a choice has a beginning all the same.
    let literal = divided("/a");
    assert_eq!((&*literal.beginning, literal.skip), (&b"/a"[..], 2));
    let assertion = divided(r"/a\b.*");
    assert_eq!((&*assertion.beginning, assertion.skip), (&b"/a"[..], 0));
    let choice = divided("(/abc|/abd).*");
    assert_eq!((&*choice.beginning, choice.skip), (&b"/ab"[..], 0));
    assert_eq!(divided(".*a").beginning.len(), 0);
}

#[test]
fn compiled_once_counted_once() {
    let mut library = Library::default();
    let first = library.single("a+").unwrap();
    let memory = library.memory;
    assert!(Arc::ptr_eq(&first, &library.single("a+").unwrap()));
    assert_eq!(library.memory, memory);
    assert!(memory >= first.memory());
}

const REGEXES: [&str; 14] = [
    "a",
    "a|ab",
    "(a|b)*",
    "a.*b",
    "[^a]+",
    "(?i)AB",
    "a{2,4}",
    "(ab?)+",
    r"\ba\w*",
    "",
    "a?b?c?",
    r"(?m)^a$",
    "[[:alpha:]]*é",
    "b$",
];

proptest! {
    #[test]
    fn it_agrees_with_the_regex_crate(which in 0..REGEXES.len(), text in "[abcAé \n]{0,6}") {
        let reference = regex::Regex::new(&format!("^(?:{})$", REGEXES[which])).unwrap();
        prop_assert_eq!(compile(REGEXES[which]).is_match(text.as_bytes()), reference.is_match(&text));
    }

    #[test]
    fn several_at_once_agree_with_each(which in prop::collection::vec(0..REGEXES.len(), 1..6), text in "[abcAé \n]{0,6}") {
        let expressions: Vec<Expression> = which.iter().map(|at| Expression::parse(REGEXES[*at]).unwrap()).collect();
        let references: Vec<&Expression> = expressions.iter().collect();
        let Some(together) = Patterns::compile(&references).unwrap() else { return Ok(()) };
        let mut found = Vec::new();
        together.matches(text.as_bytes(), |position| found.push(position));
        found.sort_unstable();
        let each = which.iter().enumerate().filter(|(_, at)| compile(REGEXES[**at]).is_match(text.as_bytes()));
        let each: Vec<usize> = each.map(|(position, _)| position).collect();
        prop_assert_eq!(found, each);
    }

    #[test]
    fn every_match_has_the_beginning(which in 0..REGEXES.len(), text in "[abcAé \n]{0,6}") {
        let Divided { beginning, skip, rest } = Expression::parse(REGEXES[which]).unwrap().divide();
        let whole = compile(REGEXES[which]).is_match(text.as_bytes());
        let rest = Patterns::compile(&[&rest]).unwrap().unwrap();
        let begins = text.as_bytes().starts_with(&beginning);
        prop_assert_eq!(whole, begins && rest.is_match(&text.as_bytes()[skip..]));
    }

    #[test]
    fn any_text_compiles_or_is_refused(text in "[ -~]{0,24}") {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = Patterns::compile(&[&expression]);
        }
    }
}
