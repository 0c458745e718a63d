use http::HeaderName;
use proptest::prelude::*;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn traceparent(value: &str) -> Option<TraceContext> {
    extract(&headers(&[("traceparent", value)])).parent
}

#[test]
fn a_traceparent_is_read_field_by_field() {
    let incoming = extract(&headers(&[("traceparent", &format!("00-{TRACE}-{SPAN}-03"))]));
    let parent = incoming.parent.unwrap();
    assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    assert_eq!(parent.span_id, 0x00f0_67aa_0ba9_02b7);
    assert_eq!(parent.flags, SAMPLED | RANDOM_TRACE_ID);
    assert_eq!((incoming.decision, incoming.formats), (Some(Decision::Accept), Formats::W3C));
    let unsampled = extract(&headers(&[("traceparent", &format!("00-{TRACE}-{SPAN}-00"))]));
    assert_eq!(unsampled.decision, Some(Decision::Deny));
}

#[test]
fn malformed_traceparents_are_as_good_as_absent() {
    let zero_trace = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let zero_span = format!("00-{TRACE}-{}-01", "0".repeat(16));
    let wrong = [
        "",
        "00",
        &zero_trace,
        &zero_span,
        &format!("ff-{TRACE}-{SPAN}-01"),
        &format!("00-{TRACE}-{SPAN}-01-more"),
        &format!("00-{TRACE}-{SPAN}-01-"),
        &format!("01-{TRACE}-{SPAN}-01.more"),
        &format!("01-{TRACE}-{SPAN}-0"),
        &format!("0-{TRACE}-{SPAN}-01"),
        &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        &format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        &format!("00-{TRACE}-{SPAN}-0x"),
        &format!("0x-{TRACE}-{SPAN}-01"),
        &format!("00-{TRACE}-{SPAN}-1"),
        &format!("00-{}-{SPAN}-01", &TRACE[1..]),
        &format!("00_{TRACE}_{SPAN}_01"),
        &format!("00-{TRACE}-{SPAN}- 1"),
        &format!("00-{TRACE}-{}-01", "+0f067aa0ba902b7"),
        &format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
    ];
    for value in wrong {
        assert_eq!(traceparent(value), None, "{value}");
    }
    let twice = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(extract(&headers(&[("traceparent", &twice), ("traceparent", &twice)])), Incoming::default());
}

#[test]
fn future_versions_are_read_like_this_one_and_go_out_as_this_one() {
    for value in [format!("01-{TRACE}-{SPAN}-01"), format!("cc-{TRACE}-{SPAN}-ff-what.the.future-brings")] {
        let parent = traceparent(&value).unwrap();
        assert!(parent.sampled());
        let mut out = HeaderMap::new();
        inject(&parent, &mut out);
        let flags = parent.flags;
        assert_eq!(
            out["traceparent"],
            format!("00-{TRACE}-{SPAN}-0{flags}"),
            "unknown flags are not passed on"
        );
    }
}

fn state(values: &[&str]) -> Option<String> {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let mut list = vec![("traceparent", parent.as_str())];
    list.extend(values.iter().map(|value| ("tracestate", *value)));
    let state = extract(&headers(&list)).parent.unwrap().trace_state;
    state.map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn tracestate_is_kept_or_refused_whole() {
    assert_eq!(state(&["a=1,b=2"]).as_deref(), Some("a=1,b=2"));
    assert_eq!(state(&["a=1", "b=2,", " c=3 "]).as_deref(), Some("a=1,b=2,c=3"));
    assert_eq!(state(&["1a=x", "t@v=~!"]).as_deref(), Some("1a=x,t@v=~!"));
    assert_eq!(state(&["", ",", " , "]), None);
    let (longest, too_long) = (format!("{}=1", "z".repeat(256)), format!("{}=1", "z".repeat(257)));
    assert!(state(&[&longest]).is_some());
    let value_too_long = format!("a={}", "v".repeat(257));
    for wrong in ["a", "a=", "=1", "A=1", "a b=1", "a=1=2", "a=1,b", "é=1", "a=é", &too_long, &value_too_long]
    {
        assert_eq!(state(&[wrong]), None, "{wrong}");
    }
    let many = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
    assert_eq!(state(&[&many(32)]), Some(many(32)));
    assert_eq!(state(&[&many(33)]), None);
}

#[test]
fn a_long_tracestate_loses_long_members_first_then_the_last() {
    let long = format!("long={}", "x".repeat(200));
    let short: Vec<String> = (0..20).map(|i| format!("k{i:02}={}", "y".repeat(20))).collect();
    let all = format!("{long},{}", short.join(","));
    assert!(all.len() > 512);
    assert_eq!(state(&[&all]), Some(short.join(",")), "the long one alone is enough");
    let short: Vec<String> = (0..30).map(|i| format!("k{i:02}={}", "y".repeat(20))).collect();
    let kept = state(&[&short.join(",")]).unwrap();
    assert_eq!(kept, short[..20].join(","));
    assert!(kept.len() <= 512);
}

#[test]
fn injecting_replaces_what_was_there() {
    let mut map = headers(&[
        ("traceparent", "junk"),
        ("tracestate", "bad state"),
        ("tracestate", "a=1"),
        ("x-other", "1"),
    ]);
    let context = traceparent(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
    inject(&context.child(7), &mut map);
    assert_eq!(map["traceparent"], format!("00-{TRACE}-0000000000000007-01"));
    assert!(!map.contains_key("tracestate") && map["x-other"] == "1");
}

fn b3(value: &str) -> Incoming {
    extract(&headers(&[("b3", value)]))
}

#[test]
fn b3_single_in_all_its_forms() {
    for (suffix, decision) in [
        ("", None),
        ("-0", Some(Decision::Deny)),
        ("-1", Some(Decision::Accept)),
        ("-d", Some(Decision::Debug)),
        ("-1-05e3ac9a4f6e3b90", Some(Decision::Accept)),
    ] {
        let incoming = b3(&format!("{TRACE}-{SPAN}{suffix}"));
        let parent = incoming.parent.unwrap();
        assert_eq!((incoming.decision, incoming.formats), (decision, Formats::B3_SINGLE), "{suffix}");
        assert_eq!(parent.sampled(), matches!(decision, Some(Decision::Accept | Decision::Debug)));
        assert_eq!(parent.debug, decision == Some(Decision::Debug));
    }
    for (value, decision) in [("0", Decision::Deny), ("1", Decision::Accept), ("d", Decision::Debug)] {
        let incoming = b3(value);
        assert_eq!((incoming.parent, incoming.decision), (None, Some(decision)));
    }
    // 64-bit trace ids, and upper case, exist in the wild.
    assert_eq!(b3(&format!("{SPAN}-{SPAN}-1")).parent.unwrap().trace_id, 0x00f0_67aa_0ba9_02b7);
    assert!(b3(&format!("{}-{SPAN}-1", TRACE.to_uppercase())).parent.is_some());
    let bad = [
        "",
        "2",
        "-",
        "--",
        TRACE,
        &format!("{TRACE}-{SPAN}-x"),
        &format!("{TRACE}-{SPAN}-1-"),
        &format!("{TRACE}-{SPAN}-1-zz"),
    ];
    let bad_ids = [
        &format!("{}-{SPAN}-1", "0".repeat(32)),
        &format!("{TRACE}-{}-1", "0".repeat(16)),
        &format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-more"),
        &format!("{}-{SPAN}-1", &TRACE[..20]),
    ];
    for value in bad.into_iter().chain(bad_ids.map(|id| id.as_str())) {
        assert_eq!(b3(value), Incoming::default(), "{value}");
    }
}

#[test]
fn b3_multi_in_all_its_forms() {
    let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-parentspanid", "05e3ac9a4f6e3b90")];
    let with = |more: &[(&'static str, &str)]| extract(&headers(&[&ids[..], more].concat()));
    assert_eq!(with(&[]).decision, None);
    assert_eq!(with(&[("x-b3-sampled", "0")]).decision, Some(Decision::Deny));
    assert_eq!(with(&[("x-b3-sampled", "true")]).decision, Some(Decision::Accept));
    assert_eq!(with(&[("x-b3-sampled", "0"), ("x-b3-flags", "1")]).decision, Some(Decision::Debug));
    assert_eq!(with(&[("x-b3-sampled", "maybe")]).decision, None);
    assert!(with(&[]).parent.is_some());
    let alone = extract(&headers(&[("x-b3-sampled", "0")]));
    assert_eq!(
        (alone.parent, alone.decision, alone.formats),
        (None, Some(Decision::Deny), Formats::B3_MULTI)
    );
    assert_eq!(extract(&headers(&[("x-b3-flags", "1")])).decision, Some(Decision::Debug));
    let no_span = extract(&headers(&[("x-b3-traceid", TRACE)]));
    assert_eq!(no_span, Incoming::default());

    let mut out = headers(&[&ids[..], &[("x-b3-sampled", "1"), ("x-b3-flags", "0")]].concat());
    let parent = extract(&out).parent.unwrap();
    inject(&parent.child(1), &mut out);
    assert_eq!(
        (&out["x-b3-traceid"], &out["x-b3-spanid"]),
        (&TRACE.parse().unwrap(), &"0000000000000001".parse().unwrap())
    );
    assert_eq!(out["x-b3-sampled"], "1");
    assert!(!out.contains_key("x-b3-parentspanid") && !out.contains_key("x-b3-flags"));
}

#[test]
fn w3c_wins_and_every_format_that_came_goes_out() {
    let other = "a".repeat(32);
    let mut map = headers(&[
        ("traceparent", &format!("00-{TRACE}-{SPAN}-01")),
        ("b3", &format!("{other}-{SPAN}-0")),
        ("x-b3-traceid", &other),
        ("x-b3-spanid", SPAN),
    ]);
    let incoming = extract(&map);
    let all = Formats::W3C.and(Formats::B3_SINGLE).and(Formats::B3_MULTI);
    assert_eq!((incoming.formats, incoming.decision), (all, Some(Decision::Accept)));
    inject(&incoming.parent.unwrap().child(2), &mut map);
    assert_eq!(map["traceparent"], format!("00-{TRACE}-0000000000000002-01"));
    assert_eq!(map["b3"], format!("{TRACE}-0000000000000002-1"));
    assert_eq!(
        (&map["x-b3-traceid"], &map["x-b3-sampled"]),
        (&TRACE.parse().unwrap(), &"1".parse().unwrap())
    );
}

#[test]
fn a_b3_decision_alone_does_not_hide_a_parent_in_the_other_headers() {
    let single = extract(&headers(&[
        ("b3", "0"),
        ("x-b3-traceid", TRACE),
        ("x-b3-spanid", SPAN),
        ("x-b3-sampled", "1"),
    ]));
    assert!(single.parent.is_some() && single.decision == Some(Decision::Accept));
    let multi = extract(&headers(&[("b3", &format!("{TRACE}-{SPAN}-1")), ("x-b3-sampled", "0")]));
    assert!(multi.parent.is_some() && multi.decision == Some(Decision::Accept));
}

const FORMATS: [Formats; 3] = [Formats::W3C, Formats::B3_SINGLE, Formats::B3_MULTI];

proptest! {
    #[test]
    fn what_is_injected_is_what_is_extracted(
        trace_id in 1u128.., narrow: bool, span_id in 1u64.., flags in 0u8..4, debug: bool, which in 0usize..3,
    ) {
        let trace_id = if narrow { (trace_id as u64).max(1).into() } else { trace_id };
        let w3c = which == 0;
        let debug = debug && !w3c;
        let flags = if w3c { flags } else if debug { SAMPLED } else { flags & SAMPLED };
        let context = TraceContext { trace_id, span_id, flags, debug, formats: FORMATS[which], trace_state: None };
        let mut map = HeaderMap::new();
        inject(&context, &mut map);
        let incoming = extract(&map);
        prop_assert_eq!(incoming.parent, Some(context.clone()));
        let decision = match (debug, context.sampled()) {
            (true, _) => Decision::Debug,
            (_, true) => Decision::Accept,
            (_, false) => Decision::Deny,
        };
        prop_assert_eq!(incoming.decision, Some(decision));
    }

    /// Hostile values: whatever comes, nothing panics, ids are never zero, and what goes out is well formed again.
    #[test]
    fn any_bytes_are_survived(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 8),
        states in proptest::collection::vec("[a-zA-Z0-9=, @~é]{0,300}", 0..4),
    ) {
        let names = ["traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "traceparent", "b3"];
        let mut map = HeaderMap::new();
        for (name, value) in names.into_iter().zip(values) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        for state in states {
            map.append("tracestate", HeaderValue::from_bytes(state.as_bytes()).unwrap());
        }
        check(&map)?;
    }

    /// Values one byte away from good ones reach further into the parsers than noise does.
    #[test]
    fn nearly_good_values_are_survived(
        at in 0usize..80, byte in 0x20u8..0x7f, cut in 0usize..80, state in "([a-z@]{1,9}=[!-+]{0,200},?){0,40}",
    ) {
        let mut map = HeaderMap::new();
        for (name, good) in [
            ("traceparent", format!("00-{TRACE}-{SPAN}-01")),
            ("b3", format!("{TRACE}-{SPAN}-1-{SPAN}")),
            ("x-b3-traceid", TRACE.to_owned()),
            ("x-b3-spanid", SPAN.to_owned()),
        ] {
            let mut bytes = good.into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut.max(3));
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(&bytes).unwrap());
        }
        map.append("tracestate", HeaderValue::from_bytes(state.as_bytes()).unwrap());
        check(&map)?;
    }
}

fn check(map: &HeaderMap) -> Result<(), TestCaseError> {
    let incoming = extract(map);
    prop_assert_eq!(trace_id(map), incoming.parent.as_ref().map(|parent| parent.trace_id));
    prop_assert_eq!(incoming.formats.is_none(), incoming.parent.is_none() && incoming.decision.is_none());
    if let Some(parent) = incoming.parent {
        prop_assert!(parent.trace_id != 0 && parent.span_id != 0);
        if let Some(state) = &parent.trace_state {
            prop_assert!(state.len() <= 512 && !state.is_empty());
        }
        let mut out = map.clone();
        inject(&parent, &mut out);
        let again = extract(&out).parent;
        prop_assert_eq!(again, Some(parent));
    }
    Ok(())
}
