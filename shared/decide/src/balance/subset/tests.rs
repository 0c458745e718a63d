use super::super::tests::{Measured, NOW, endpoints, locality};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use weir_model::{EndpointDetails, Health};

fn text(value: &str) -> Label {
    Label::Text(value.to_owned())
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect()
}

/// Endpoints in one locality, each with labels.
fn labelled(each: Vec<Labels>) -> Endpoints {
    let mut all = endpoints(vec![locality(0, 1, each.iter().map(|_| (Health::Healthy, 1)).collect())]);
    for (endpoint, labels) in all.localities[0].endpoints.iter_mut().zip(each) {
        endpoint.details = EndpointDetails { labels, ..EndpointDetails::default() }.boxed();
    }
    all
}

fn selector(keys: &[&str], fallback: Option<SelectorFallback>) -> SubsetSelector {
    SubsetSelector { keys: keys.iter().map(|key| (*key).to_owned()).collect(), fallback }
}

fn config(selectors: Vec<SubsetSelector>, fallback: SubsetFallback) -> SubsetConfig {
    SubsetConfig { selectors, fallback, ..SubsetConfig::default() }
}

/// Who serves requests for these labels.
fn served(
    config: &SubsetConfig,
    policy: &LoadBalancing,
    endpoints: &Endpoints,
    loads: &Measured,
    wanted: Option<Labels>,
) -> BTreeSet<usize> {
    let spread = Spread::default();
    let whole = Table::new(policy, &spread, endpoints);
    let subsets = Subsets::new(config, policy, &spread, endpoints, 1);
    let wanted = wanted.map(Wanted::new);
    let (mut positions, mut random) = (Positions::default(), Random::new(7));
    let picks = (0..200).filter_map(|pick| {
        let hash = (pick % 2 == 0).then(|| random.next_u64());
        let asked = Asked { wanted: wanted.as_ref(), hash, now: NOW };
        subsets.pick(&whole, &mut positions, loads, asked, &mut random)
    });
    picks.collect()
}

fn versions() -> Endpoints {
    let of = |stage: &str, version: &str| labels(&[("stage", stage), ("version", version)]);
    labelled(vec![of("prod", "1"), of("prod", "2"), of("dev", "2"), of("prod", "1"), Labels::new()])
}

fn set(of: &[usize]) -> BTreeSet<usize> {
    of.iter().copied().collect()
}

#[test]
fn a_route_reaches_exactly_the_endpoints_it_asks_for() {
    let config = config(
        vec![selector(&["stage", "version"], None), selector(&["version"], None)],
        SubsetFallback::None,
    );
    for policy in super::super::tests::policies() {
        let ask = |wanted: &[(&str, &str)]| {
            served(&config, &policy, &versions(), &Measured::default(), Some(labels(wanted)))
        };
        assert_eq!(ask(&[("version", "1")]), set(&[0, 3]), "{policy:?}");
        assert_eq!(ask(&[("version", "2")]), set(&[1, 2]));
        assert_eq!(ask(&[("stage", "dev"), ("version", "2")]), set(&[2]));
        assert_eq!(ask(&[("stage", "prod")]), set(&[]), "no selector has just this key");
        assert_eq!(ask(&[("version", "3")]), set(&[]));
    }
}

#[test]
fn fallbacks_are_envoys() {
    let policy = LoadBalancing::RoundRobin;
    let serve = |config: &SubsetConfig, wanted: Option<&[(&str, &str)]>| {
        served(config, &policy, &versions(), &Measured::default(), wanted.map(labels))
    };
    let everyone = set(&[0, 1, 2, 3, 4]);
    let any = config(vec![selector(&["version"], None)], SubsetFallback::Any);
    assert_eq!(serve(&any, None), everyone);
    assert_eq!(serve(&any, Some(&[("version", "9")])), everyone);
    assert_eq!(serve(&any, Some(&[("stage", "prod")])), everyone);

    let mut default = config(vec![selector(&["version"], None)], SubsetFallback::Default);
    default.default_subset = labels(&[("stage", "prod")]);
    assert_eq!(serve(&default, None), set(&[0, 1, 3]));
    assert_eq!(serve(&default, Some(&[("version", "9")])), set(&[0, 1, 3]));

    // A selector's own fallback counts before the cluster's.
    let none = Some(SelectorFallback::Of(SubsetFallback::None));
    let own = config(vec![selector(&["version"], none)], SubsetFallback::Any);
    assert_eq!(serve(&own, Some(&[("version", "9")])), set(&[]));
    assert_eq!(serve(&own, Some(&[("stage", "prod")])), everyone, "not asked by this selector");

    // By fewer keys, and those once more.
    let fewer = Some(SelectorFallback::Keys(vec!["version".to_owned()]));
    let keys = config(
        vec![selector(&["stage", "version"], fewer), selector(&["version"], None)],
        SubsetFallback::Any,
    );
    assert_eq!(serve(&keys, Some(&[("stage", "no"), ("version", "2")])), set(&[1, 2]));
    assert_eq!(serve(&keys, Some(&[("stage", "no"), ("version", "9")])), everyone);
}

#[test]
fn any_endpoint_serves_where_the_default_has_none() {
    let policy = LoadBalancing::RoundRobin;
    let mut config = config(vec![selector(&["version"], None)], SubsetFallback::Default);
    config.default_subset = labels(&[("stage", "gone")]);
    let serve =
        |config: &SubsetConfig| served(config, &policy, &versions(), &Measured::default(), None).len();
    assert_eq!(serve(&config), 0);
    config.panic_mode_any = true;
    assert_eq!(serve(&config), 5);
}

#[test]
fn each_element_of_a_list_may_count() {
    let list = Label::List(vec![text("1"), text("2"), text("2")]);
    let mut both = labels(&[]);
    both.insert("version".to_owned(), list.clone());
    let endpoints = labelled(vec![labels(&[("version", "1")]), both]);
    let mut config = config(vec![selector(&["version"], None)], SubsetFallback::None);
    let serve = |config: &SubsetConfig, value: Label| {
        let wanted = [("version".to_owned(), value)].into();
        served(config, &LoadBalancing::RoundRobin, &endpoints, &Measured::default(), Some(wanted))
    };
    assert_eq!(serve(&config, text("1")), set(&[0]));
    assert_eq!(serve(&config, list.clone()), set(&[1]));
    config.list_as_any = true;
    assert_eq!(serve(&config, text("1")), set(&[0, 1]));
    assert_eq!(serve(&config, text("2")), set(&[1]));
}

#[test]
fn what_is_ejected_is_passed_over_within_its_subset() {
    let config = config(vec![selector(&["version"], None)], SubsetFallback::Any);
    let loads = Measured::ejecting(&[0], 5);
    for policy in super::super::tests::policies() {
        let serve = |loads: &Measured| {
            served(&config, &policy, &versions(), loads, Some(labels(&[("version", "1")])))
        };
        assert_eq!(serve(&loads), set(&[3]), "{policy:?}");
        // A subset panics by itself; it is no reason to leave it.
        assert_eq!(serve(&Measured::ejecting(&[0, 3], 5)), set(&[0, 3]));
    }
}

#[test]
fn there_is_a_bound() {
    let each = (0..2 * limits::SUBSETS).map(|number| labels(&[("number", &number.to_string())]));
    let endpoints = labelled(each.collect());
    let config = config(vec![selector(&["number"], None)], SubsetFallback::None);
    assert_eq!(count(&config, &endpoints), limits::SUBSETS + 1);
    let subsets = Subsets::new(&config, &LoadBalancing::RoundRobin, &Spread::default(), &endpoints, 1);
    assert_eq!(subsets.len(), limits::SUBSETS);
    // Lists under several keys multiply, and take no memory for it.
    let long = Label::List((0..64).map(|number| Label::Number(f64::from(number).to_bits())).collect());
    let wide: Labels = ["a", "b", "c", "d"].map(|key| (key.to_owned(), long.clone())).into();
    let mut config = config.clone();
    config.list_as_any = true;
    config.selectors = vec![selector(&["a", "b", "c", "d"], None)];
    assert_eq!(count(&config, &labelled(vec![wide])), limits::SUBSETS + 1);
}

#[test]
fn localities_weigh_as_the_subset_says() {
    let one = |count: usize| locality(0, 1, vec![(Health::Healthy, 1); count]);
    let mut all = endpoints(vec![one(1), one(4)]);
    for endpoint in all.localities.iter_mut().flat_map(|locality| &mut locality.endpoints) {
        endpoint.details =
            EndpointDetails { labels: labels(&[("v", "1")]), ..EndpointDetails::default() }.boxed();
    }
    // Only one of the four is in the subset.
    for endpoint in &mut all.localities[1].endpoints[1..] {
        endpoint.details = None;
    }
    all.localities[0].weight = 8;
    all.localities[1].weight = 8;
    let share = |aware: bool, scale: bool| {
        let config = SubsetConfig {
            locality_weight_aware: aware,
            scale_locality_weight: scale,
            ..config(vec![selector(&["v"], None)], SubsetFallback::None)
        };
        let (policy, spread) = (LoadBalancing::RoundRobin, Spread::default());
        let (whole, subsets) =
            (Table::new(&policy, &spread, &all), Subsets::new(&config, &policy, &spread, &all, 1));
        let wanted = Wanted::new(labels(&[("v", "1")]));
        let (mut positions, mut random) = (Positions::default(), Random::new(1));
        let asked = Asked { wanted: Some(&wanted), hash: None, now: NOW };
        let loads = Measured::default();
        let mut pick = || subsets.pick(&whole, &mut positions, &loads, asked, &mut random);
        (0..1000).filter(|_| pick() == Some(0)).count()
    };
    assert_eq!(share(false, false), 500);
    // The second locality has a quarter of its endpoints here: Envoy's locality weights count less for that.
    assert!((799..=801).contains(&share(true, true)), "{}", share(true, true));
}

proptest! {
    /// A request that asks for labels is never served by an endpoint without them, unless a fallback says so; and whoever has them all is
    /// served.
    #[test]
    fn nobody_else_serves(
        each in proptest::collection::vec((0..3u8, 0..3u8), 1..12),
        (a, b) in (0..3u8, 0..3u8),
    ) {
        let of = |(a, b): (u8, u8)| labels(&[("a", &a.to_string()), ("b", &b.to_string())]);
        let endpoints = labelled(each.iter().map(|pair| of(*pair)).collect());
        let config = config(vec![selector(&["a", "b"], None)], SubsetFallback::None);
        let served =
            served(&config, &LoadBalancing::RoundRobin, &endpoints, &Measured::default(), Some(of((a, b))));
        let expected: BTreeSet<usize> =
            (0..each.len()).filter(|index| each[*index] == (a, b)).collect();
        prop_assert_eq!(served, expected);
    }
}
