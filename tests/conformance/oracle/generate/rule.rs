//! One route, and a request that it takes.

use super::{Dice, Sample};
use crate::rules::{Redirect, Rule, Share, Text, path, prefix, regex, segment, share, status};

const SEGMENTS: &[&str] = &["a", "b", "ab", "A", "1", "x-y"];
const PATTERNS: &[(&str, &str)] = &[
    ("/[0-9]+", "/1"),
    ("/a/[^/]+", "/a/b"),
    ("/(a|b)(/.*)?", "/b/1"),
    (".*/b", "/a/b"),
    ("/a.*", "/ab/A"),
    (r"/\w-y", "/x-y"),
];
const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE"];
const NAMES: &[&str] = &["x-a", "x-b", "x-c"];
/// Conditions on a value, with one that fulfils them.
const TEXTS: &[(Text, &str)] = &[
    (Text::Exact("1"), "1"),
    (Text::Exact("one"), "one"),
    (Text::Exact(""), ""),
    (Text::Prefix("on"), "only"),
    (Text::Suffix("e"), "three"),
    (Text::Contains("n"), "ant"),
    (Text::Regex("[0-9]{1,2}"), "12"),
    (Text::Regex("o.*e"), "ore"),
    (Text::Present, "any"),
];
const CLUSTERS: &[&str] = &["alpha", "alpha", "beta", "beta", "gamma", "delta", "delta", "empty", "refused"];

/// Some path.
pub(super) fn some_path(dice: &mut Dice) -> String {
    let mut path = String::new();
    for _ in 0..1 + dice.below(3) {
        path.push('/');
        path.push_str(dice.pick(SEGMENTS));
    }
    path
}

/// A route for a request to this authority.
pub(super) fn rule(dice: &mut Dice, host: &str) -> (Rule, Sample) {
    let mut sample = Sample {
        host: host.to_owned(),
        path: String::new(),
        query: None,
        method: None,
        headers: vec![],
        slow: false,
    };
    let kind = dice.below(10);
    let mut rule = match kind {
        0..3 => {
            sample.path = some_path(dice);
            path(&sample.path)
        }
        3..5 => {
            let start = some_path(dice);
            sample.path = start.clone() + dice.pick(&["", "/", "b", "/b"]);
            prefix(&start)
        }
        5..8 => {
            let start = some_path(dice);
            sample.path = start.clone() + dice.pick(&["", "/", "/b", "/a/1"]);
            segment(&start)
        }
        8 => {
            let (pattern, path) = dice.pick(PATTERNS);
            sample.path = path.to_owned();
            regex(pattern)
        }
        _ => {
            sample.path = some_path(dice);
            prefix("/")
        }
    };
    if dice.percent(25) {
        let method = dice.pick(METHODS);
        sample.method = Some(method);
        rule = rule.method(method);
    }
    for _ in 0..[0, 0, 0, 1, 1, 2][dice.below(6)] {
        let name = dice.pick(NAMES);
        let (text, value) = dice.pick(TEXTS);
        if !sample.headers.iter().any(|(known, _)| *known == name) {
            sample.headers.push((name, value));
            rule = rule.header(name, text);
        }
    }
    if dice.percent(20) {
        let name = dice.pick(&["q", "r"]);
        let (text, value) = dice.pick(TEXTS);
        sample.query = Some(format!("{name}={value}"));
        rule = rule.query(name, text);
    }
    if dice.percent(5) {
        rule = rule.percent(dice.pick(&[0, 100]));
    }
    let rule = act(dice, rule, &mut sample);
    (rule, sample)
}

fn act(dice: &mut Dice, rule: Rule, sample: &mut Sample) -> Rule {
    let rule = match dice.below(100) {
        0..15 => {
            let redirect = elsewhere(dice);
            return back(dice, rule.redirect(redirect));
        }
        15..28 => {
            let code = dice.pick(&[200, 202, 404, 418, 429, 500, 503]);
            let body = dice.pick(&["", "said\n", "{\"a\":1}"]);
            return back(dice, rule.answer(code, body));
        }
        28..48 => rule.shares(shares(dice)),
        _ => rule.to(dice.pick(CLUSTERS)),
    };
    let rule = ahead(dice, rule);
    let mut rule = back(dice, rule);
    if dice.percent(30) {
        rule = rewritten(dice, rule);
    }
    if dice.percent(15) {
        rule = rule.rewrite_host(dice.pick(&["inner.test", "inner.test:8080"]));
    }
    if dice.percent(6) {
        sample.slow = true;
        rule = rule.timeout_ms(120);
    }
    rule
}

const PLACES: &[&str] = &["/", "/new", "/new/", "/new/path", "/n"];

/// A change of the path.
fn rewritten(dice: &mut Dice, rule: Rule) -> Rule {
    match dice.below(5) {
        0 => rule.rewrite_regex("^.*$", dice.pick(&["/whole", "/whole/path"])),
        _ => rule.rewrite_prefix(dice.pick(PLACES)),
    }
}

fn elsewhere(dice: &mut Dice) -> Redirect {
    let mut redirect = status(dice.pick(&[301, 302, 303, 307, 308]));
    if dice.percent(60) {
        redirect = redirect.host("new.test");
    }
    if dice.percent(30) {
        redirect = redirect.port(dice.pick(&[80, 443, 8443]));
    }
    if dice.percent(30) {
        redirect = redirect.scheme(dice.pick(&["http", "https"]));
    }
    match dice.below(4) {
        0 => redirect.path(dice.pick(&["/new", "/", "/new/path/", "/new?own=1"])),
        1 => redirect.prefix(dice.pick(PLACES)),
        _ => redirect,
    }
}

fn shares(dice: &mut Dice) -> Vec<Share> {
    let mut names = vec!["alpha", "beta", "gamma", "delta"];
    let mut shares = Vec::new();
    for at in 0..1 + dice.below(3) {
        let name = names.remove(dice.below(names.len()));
        let weight = if at == 0 { 1 + dice.below(3) } else { dice.below(4) };
        let mut share = share(name, weight as u32);
        if dice.percent(40) {
            share = share.set("x-side", "set").add("x-side", "added");
        }
        if dice.percent(20) {
            share = share.remove("x-gone");
        }
        if dice.percent(20) {
            // Its route may change the same.
            share = match dice.below(3) {
                0 => share.add("x-new", "side"),
                1 => share.set("x-a", "side"),
                _ => share.remove("x-other"),
            };
        }
        if dice.percent(40) {
            share = share.add_back("x-back-side", "added").remove_back("x-lost");
        }
        shares.push(share);
    }
    shares
}

/// Changes on the way to the backend.
fn ahead(dice: &mut Dice, mut rule: Rule) -> Rule {
    for _ in 0..[0, 0, 1, 2][dice.below(4)] {
        let name = dice.pick(&["x-a", "x-new", "x-agent", "x-other"]);
        rule = match dice.below(3) {
            0 => rule.add(name, dice.pick(&["added", "100%%", "a b"])),
            1 if !rule
                .0
                .request_headers_to_add
                .iter()
                .any(|option| option.header.as_ref().is_some_and(|header| header.key == name)) =>
            {
                rule.set(name, "set")
            }
            1 => rule,
            _ => rule.remove(name),
        };
    }
    rule
}

/// Changes on the way back.
fn back(dice: &mut Dice, mut rule: Rule) -> Rule {
    for _ in 0..[0, 0, 1, 2][dice.below(4)] {
        let name = dice.pick(&["x-back", "x-one", "x-two"]);
        rule = match dice.below(3) {
            0 => rule.add_back(name, dice.pick(&["added", "100%%", "a b"])),
            1 if !rule
                .0
                .response_headers_to_add
                .iter()
                .any(|option| option.header.as_ref().is_some_and(|header| header.key == name)) =>
            {
                rule.set_back(name, "set")
            }
            1 => rule,
            _ => rule.remove_back(name),
        };
    }
    rule
}
