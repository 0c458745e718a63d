use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::context::extract;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn incoming(list: &[(&'static str, &str)]) -> Incoming {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        map.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    extract(&map)
}

fn never() -> Sampler {
    Sampler { ratio_ppm: 0, ..Sampler::always() }
}

fn counting() -> impl FnMut() -> u64 {
    let mut next = 0;
    move || {
        next += 1;
        next
    }
}

#[test]
fn the_callers_decision_holds_whatever_the_ratio() {
    let sampled = incoming(&[("traceparent", &format!("00-{TRACE}-{SPAN}-01"))]);
    let unsampled = incoming(&[("traceparent", &format!("00-{TRACE}-{SPAN}-00"))]);
    let Sampling::Record { context, parent } = never().decide(sampled, counting()) else { panic!() };
    assert_eq!((context.trace_id, context.span_id), (u128::from_str_radix(TRACE, 16).unwrap(), 1));
    assert_eq!(parent, u64::from_str_radix(SPAN, 16).ok());
    assert!(context.sampled());
    let passing = Sampler { propagate_unsampled: true, ..Sampler::always() };
    assert_eq!(passing.decide(unsampled, counting()), Sampling::Pass, "untouched, not replaced");
}

#[test]
fn b3_decisions_without_ids_are_honoured() {
    for list in [[("x-b3-sampled", "0")], [("b3", "0")]] {
        assert_eq!(Sampler::always().decide(incoming(&list), counting()), Sampling::Pass);
    }
    for (list, debug, formats) in [
        ([("x-b3-sampled", "1")], false, Formats::B3_MULTI),
        ([("x-b3-flags", "1")], true, Formats::B3_MULTI),
        ([("b3", "d")], true, Formats::B3_SINGLE),
    ] {
        let Sampling::Record { context, parent: None } = never().decide(incoming(&list), counting()) else {
            panic!("{list:?}")
        };
        assert_eq!((context.debug, context.formats, context.sampled()), (debug, formats, true));
    }
}

#[test]
fn an_open_b3_decision_is_made_by_the_trace_id() {
    let open = || incoming(&[("b3", &format!("{TRACE}-{SPAN}"))]);
    assert_eq!(never().decide(open(), counting()), Sampling::Pass);
    let Sampling::Record { context, parent } = Sampler::always().decide(open(), counting()) else { panic!() };
    assert!(context.sampled() && parent.is_some());
}

#[test]
fn without_a_caller_the_ratio_decides() {
    assert_eq!(never().decide(Incoming::default(), counting()), Sampling::Pass);
    let Sampling::Record { context, parent: None } =
        Sampler::always().decide(Incoming::default(), counting())
    else {
        panic!()
    };
    assert_eq!(
        (context.trace_id, context.span_id, context.flags),
        (1 << 64 | 2, 3, SAMPLED | RANDOM_TRACE_ID)
    );
    assert_eq!(context.formats, Formats::W3C);
    let telling = Sampler { propagate_unsampled: true, ..never() };
    let Sampling::Propagate(context) = telling.decide(Incoming::default(), counting()) else { panic!() };
    assert!(!context.sampled());
}

#[test]
fn a_broken_generator_still_makes_valid_ids() {
    let Sampling::Record { context, .. } = Sampler::always().decide(Incoming::default(), || 0) else {
        panic!()
    };
    assert!(context.trace_id != 0 && context.span_id != 0);
}

#[test]
fn the_share_is_the_ratio_within_binomial_bounds() {
    // splitmix64, seeded.
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    for ppm in [1_000, 50_000, 500_000, 990_000] {
        let sampler = Sampler { ratio_ppm: ppm, ..Sampler::default() };
        let n = 200_000;
        let chosen = (0..n)
            .filter(|_| matches!(sampler.decide(Incoming::default(), &mut random), Sampling::Record { .. }))
            .count();
        let p = f64::from(ppm) / 1e6;
        let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
        assert!((chosen as f64 - mean).abs() < 5.0 * deviation, "{ppm} ppm: {chosen} of {n}");
    }
}

proptest! {
    /// Consistent: what a smaller share chooses, a larger one chooses too; so sidecars with different ratios agree.
    #[test]
    fn larger_shares_contain_smaller_ones(id: u128, a in 0u32..1_100_000, b in 0u32..1_100_000) {
        let chooses = |ppm| Sampler { ratio_ppm: ppm, ..Sampler::default() }.chooses(id);
        prop_assert!(!chooses(a.min(b)) || chooses(a.max(b)));
        prop_assert!(!chooses(0) && chooses(ALWAYS));
    }
}
