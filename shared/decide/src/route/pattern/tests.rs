use super::*;
use proptest::prelude::*;

pub(super) fn compile(text: &str) -> Patterns {
    Patterns::compile(&[&Expression::parse(text).unwrap()]).unwrap()
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
        ("[^/]+", "é", true),
        (r"\d+", "123", true),
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
fn word_boundaries_have_a_table_too() {
    let boundary = compile(r"\bfoo\b.*");
    assert!(boundary.is_match(b"foo bar") && !boundary.is_match(b"food") && !boundary.is_match(b"a foo"));
}

#[test]
fn one_without_a_table_of_acceptable_size_is_refused() {
    // As many states as there are sequences of sixteen; fewer of them fit.
    for (text, expected) in [
        ("[ab]*a[ab]{16}", Err(RegexError::TooLarge)),
        ("(?:a{1000}){1000}", Err(RegexError::TooLarge)),
        ("[ab]*a[ab]{8}", Ok(())),
        ("a)(b", Err(RegexError::Syntax { what: "unopened group".to_owned(), at: 1 })),
    ] {
        assert_eq!(crate::route::check_regex(text), expected, "{text}");
    }
    let long = "a".repeat(limits::REGEX_BYTES + 1);
    assert_eq!(crate::route::check_regex(&long), Err(RegexError::TooLong(limits::REGEX_BYTES + 1)));
    assert_eq!(crate::route::check_regex(&long[1..]), Ok(()));
}

#[test]
fn all_together_are_bounded() {
    let one = compile("a+").memory();
    let mut library = Library { memory: limits::REGEX_MEMORY_TOTAL - one, ..Library::default() };
    assert!(library.single("a+").is_ok());
    assert!(library.single("a+").is_ok(), "it is there already");
    let error = library.single("b+").unwrap_err();
    assert_eq!(error, RegexError::TooLargeTogether);
    assert!(error.to_string().contains("67108864 bytes together"));
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

/// The reference is Unicode unless it is told otherwise.
fn in_their_words(text: &str) -> String {
    text.replace(r"\b", r"(?-u:\b)").replace(r"\w", "[0-9A-Za-z_]")
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
        let reference = regex::Regex::new(&format!("^(?:{})$", in_their_words(REGEXES[which]))).unwrap();
        prop_assert_eq!(compile(REGEXES[which]).is_match(text.as_bytes()), reference.is_match(&text));
    }

    #[test]
    fn several_at_once_agree_with_each(which in prop::collection::vec(0..REGEXES.len(), 1..6), text in "[abcAé \n]{0,6}") {
        let expressions: Vec<Expression> = which.iter().map(|at| Expression::parse(REGEXES[*at]).unwrap()).collect();
        let references: Vec<&Expression> = expressions.iter().collect();
        let Some(together) = Patterns::compile(&references) else { return Ok(()) };
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
        let rest = Patterns::compile(&[&rest]).unwrap();
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
