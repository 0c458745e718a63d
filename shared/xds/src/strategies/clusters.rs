//! What few clusters and endpoints have: subsets and labels, names, zones, dropped shares.

use super::*;
use weir_model::{
    Dns, DnsFamily, DnsHost, DnsLocality, DropOverload, EndpointDetails, Fraction, Label, Labels,
    SelectorFallback, Spread, SubsetConfig, SubsetFallback, SubsetSelector, TcpKeepalive, ZoneAware,
};

fn label() -> BoxedStrategy<Label> {
    let one = || {
        prop_oneof![
            "[a-z0-9]{0,4}".prop_map(Label::Text),
            any::<i16>().prop_map(|number| Label::Number(f64::from(number).to_bits())),
            any::<bool>().prop_map(Label::Bool),
            Just(Label::Null),
        ]
    };
    prop_oneof![one(), vec(one(), 0..3).prop_map(Label::List)].boxed()
}

/// One at most: a map of several is written in random order.
pub(super) fn labels() -> BoxedStrategy<Labels> {
    proptest::collection::btree_map("[a-c]{1,2}", label(), 0..2).boxed()
}

pub(super) fn subsets() -> BoxedStrategy<SubsetConfig> {
    let fallback =
        || prop_oneof![Just(SubsetFallback::None), Just(SubsetFallback::Any), Just(SubsetFallback::Default)];
    let selector = (proptest::collection::btree_set("[a-d]{1,2}", 1..4), of(fallback()), any::<bool>());
    let selector = selector.prop_map(|(keys, fallback, fewer)| {
        let keys: Vec<String> = keys.into_iter().collect();
        let fallback = match fewer && keys.len() > 1 {
            true => Some(SelectorFallback::Keys(keys[1..].to_vec())),
            false => fallback.map(SelectorFallback::Of),
        };
        SubsetSelector { keys, fallback }
    });
    (vec(selector, 1..4), fallback(), labels(), any::<(bool, bool, bool, bool)>())
        .prop_map(|(selectors, fallback, default_subset, (aware, scaled, panic_mode_any, list_as_any))| {
            SubsetConfig {
                selectors,
                fallback,
                default_subset,
                locality_weight_aware: aware,
                scale_locality_weight: scaled,
                panic_mode_any,
                list_as_any,
            }
        })
        .boxed()
}

pub(super) fn spread(balancing: &LoadBalancing) -> BoxedStrategy<Spread> {
    let hashes = matches!(balancing, LoadBalancing::RingHash(_) | LoadBalancing::Maglev { .. });
    let zones = !hashes && !matches!(balancing, LoadBalancing::PeakEwma { .. });
    let zone_aware = (0..=1_000_000u32, any::<u64>(), any::<bool>()).prop_map(
        |(enabled, min_cluster_size, fail_traffic_on_panic)| ZoneAware {
            enabled,
            min_cluster_size,
            fail_traffic_on_panic,
        },
    );
    (any::<(bool, bool, bool)>(), of(zone_aware), of(100..1000u32))
        .prop_map(move |((by_locality, draining_sessions, by_name), zone_aware, factor)| Spread {
            by_locality,
            draining_sessions,
            zone_aware: zone_aware.filter(|_| zones && !by_locality),
            hash_by_hostname: hashes && by_name,
            hash_balance_factor: factor.filter(|_| hashes),
        })
        .boxed()
}

pub(super) fn details() -> BoxedStrategy<EndpointDetails> {
    ("[a-z.]{0,8}", labels(), of(address()), "[a-z.]{0,8}", any::<bool>())
        .prop_map(|(hostname, labels, check_address, check_host, unchecked)| EndpointDetails {
            hostname,
            labels,
            check_address,
            check_host,
            unchecked,
        })
        .boxed()
}

pub(super) fn drops() -> BoxedStrategy<Vec<DropOverload>> {
    let drop = (name(), 0..=1_000_000u32)
        .prop_map(|(category, share)| DropOverload { category, share: Fraction(share) });
    vec(drop, 0..3).boxed()
}

pub(super) fn keepalive() -> BoxedStrategy<TcpKeepalive> {
    let seconds = || of(1..=32_767u64).prop_map(|seconds| seconds.map(Duration::from_secs));
    (of(1..=127u32), seconds(), seconds())
        .prop_map(|(probes, time, interval)| TcpKeepalive { probes, time, interval })
        .boxed()
}

pub(super) fn dns() -> BoxedStrategy<Dns> {
    let family = prop_oneof![
        Just(DnsFamily::Auto),
        Just(DnsFamily::V4Preferred),
        Just(DnsFamily::V4Only),
        Just(DnsFamily::V6Only),
        Just(DnsFamily::All)
    ];
    let host =
        ("[a-z.]{1,12}", any::<u16>(), 1..u32::MAX, labels()).prop_map(|(name, port, weight, labels)| {
            let details = EndpointDetails { labels, ..EndpointDetails::default() }.boxed();
            DnsHost { name, port, health: Health::Healthy, weight, details }
        });
    let hosts = (locality(), 0..=127u32, 1..u32::MAX, vec(host, 0..3))
        .prop_map(|(locality, priority, weight, hosts)| DnsLocality { locality, priority, weight, hosts });
    let refresh = || (2..100_000u64).prop_map(Duration::from_millis);
    (endpoints(), vec(hosts, 0..3), refresh(), refresh(), family)
        .prop_map(|(endpoints, hosts, refresh, failure_refresh, family)| Dns {
            logical: hosts.iter().map(|locality| locality.hosts.len()).sum::<usize>() == 1,
            refresh,
            failure_refresh,
            family,
            endpoints: Endpoints { localities: Vec::new(), ..endpoints },
            hosts,
        })
        .boxed()
}
