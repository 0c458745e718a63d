//! How an endpoint is chosen.
//!
//! Round robin is Envoy's `lb_policy`; everything else is a list of policies in order of preference, of which each data plane takes the
//! first that it knows. gRPC knows ring hash and weighted round robin, so the latter ends every list: a client that cannot do better
//! still balances, and whoever compiles says so. Slow start stands in them too, and is the concern of `health`. Whether localities are weighted stands in each of them.
//!
//! A consistent hash is of what the route's `hash_policy` says. Envoy would take one in the balancing policy instead, which gRPC does not
//! read; such a policy is refused.

mod hashing;

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{cluster, core, google, lb};
use super::{subset, wire};
use cluster::cluster::{CommonLbConfig, LbConfig, LbPolicy, common_lb_config, ring_hash_lb_config};
use cluster::load_balancing_policy::Policy;
use core::HealthStatus;
use hashing::{
    from_factor, from_hashing, from_ring_hash, from_ring_size, from_table_size, hashes, hashing, wide,
};
use lb::common::v3 as common;
use lb::ring_hash::v3::ring_hash::HashFunction;
use prost::{Message, Name};
use std::time::Duration;
use weir_model::{LoadBalancing, RingSize, Spread, SubsetConfig, ZoneAware};
use weir_proto::xds::v1::PeakEwma;

pub(super) const PEAK_EWMA: &str = "type.googleapis.com/weir.xds.v1.PeakEwma";
/// Envoy's number of choices where a message does not say.
const CHOICES: u32 = 2;
/// Health in which an endpoint keeps its sessions, where nothing else is said.
const SESSIONS: [HealthStatus; 3] = [HealthStatus::Unknown, HealthStatus::Healthy, HealthStatus::Degraded];

/// The part of a cluster's message that says how to balance.
pub(super) fn encode(balancing: &LoadBalancing, spread: &Spread, message: &mut cluster::Cluster) {
    if spread.draining_sessions {
        let statuses = SESSIONS.into_iter().chain([HealthStatus::Draining]).map(|status| status as i32);
        let common = message.common_lb_config.get_or_insert_default();
        common.override_host_status = Some(core::HealthStatusSet { statuses: statuses.collect() });
    }
    let by_locality = spread.by_locality;
    let localities = || localities(spread);
    let least_request = |choices| least_request(choices, spread);
    let hashing = || hashing(spread);
    let weighted = || by_locality.then_some(common::locality_lb_config::LocalityWeightedLbConfig {});
    let mut policies = match balancing {
        LoadBalancing::RoundRobin => {
            if by_locality {
                let weighted = common_lb_config::LocalityWeightedLbConfig {};
                message.common_lb_config.get_or_insert_default().locality_config_specifier =
                    Some(common_lb_config::LocalityConfigSpecifier::LocalityWeightedLbConfig(weighted));
            } else if let Some(zone_aware) = &spread.zone_aware {
                message.common_lb_config.get_or_insert_default().locality_config_specifier =
                    Some(common_lb_config::LocalityConfigSpecifier::ZoneAwareLbConfig(
                        common_lb_config::ZoneAwareLbConfig {
                            routing_enabled: Some(wire::percent(zone_aware.enabled)),
                            min_cluster_size: Some(google::UInt64Value {
                                value: zone_aware.min_cluster_size,
                            }),
                            fail_traffic_on_panic: zone_aware.fail_traffic_on_panic,
                        },
                    ));
            }
            return;
        }
        LoadBalancing::Random => {
            let random = lb::random::v3::Random { locality_lb_config: localities() };
            vec![policy("envoy.load_balancing_policies.random", wire::pack(&random))]
        }
        LoadBalancing::LeastRequest { choices } => vec![least_request(*choices)],
        LoadBalancing::PeakEwma { decay, default_rtt } => {
            let peak_ewma = peak_ewma(*decay, *default_rtt, by_locality);
            // The nearest thing that an Envoy knows.
            vec![policy("weir.load_balancing_policies.peak_ewma", peak_ewma), least_request(CHOICES)]
        }
        LoadBalancing::RingHash(size) => {
            let ring = lb::ring_hash::v3::RingHash {
                hash_function: HashFunction::XxHash as i32,
                minimum_ring_size: wide(size.minimum),
                maximum_ring_size: wide(size.maximum),
                locality_weighted_lb_config: weighted(),
                consistent_hashing_lb_config: hashing(),
                ..lb::ring_hash::v3::RingHash::default()
            };
            vec![policy("envoy.load_balancing_policies.ring_hash", wire::pack(&ring))]
        }
        LoadBalancing::Maglev { table_size } => {
            let maglev = lb::maglev::v3::Maglev {
                table_size: wide(*table_size),
                locality_weighted_lb_config: weighted(),
                consistent_hashing_lb_config: hashing(),
            };
            vec![policy("envoy.load_balancing_policies.maglev", wire::pack(&maglev))]
        }
    };
    policies.push(fallback());
    message.load_balancing_policy = Some(cluster::LoadBalancingPolicy { policies });
}

/// Puts what the message says of balancing into subsets.
pub(super) fn encode_subsets(subsets: &SubsetConfig, message: &mut cluster::Cluster) {
    match message.load_balancing_policy.take() {
        None => message.lb_subset_config = Some(subset::encode(subsets)),
        Some(list) => {
            let config = wire::pack(&subset::encode_policy(subsets, list));
            let around = policy("envoy.load_balancing_policies.subset", config);
            message.load_balancing_policy = Some(cluster::LoadBalancingPolicy { policies: vec![around] });
        }
    }
}

/// How a cluster's message says to balance.
pub(super) fn decode(message: &cluster::Cluster) -> Check<Found> {
    let common = message.common_lb_config.clone().unwrap_or_default();
    let known = || {
        refuse!(common; ignore_new_hosts_until_first_hc, close_connections_on_host_set_change);
        Ok(())
    };
    known().at("common_lb_config")?;
    let mut found = match &message.load_balancing_policy {
        Some(list) => {
            // Envoy refuses the two together.
            refuse!(message; lb_subset_config);
            from_policies(list, 0).at("load_balancing_policy")?
        }
        // What a policy says of localities and hashing counts instead of what is common.
        None => {
            let balancing = from_legacy(message)?;
            let spread = from_common(&common, &balancing).at("common_lb_config")?;
            let subsets = match &message.lb_subset_config {
                Some(config) => subset::decode(config).at("lb_subset_config")?,
                None => None,
            };
            Found { spread, subsets, balancing }
        }
    };
    found.spread.draining_sessions = from_statuses(common.override_host_status.as_ref())
        .at("override_host_status")
        .at("common_lb_config")?;
    Ok(found)
}

fn from_common(common: &CommonLbConfig, balancing: &LoadBalancing) -> Check<Spread> {
    use common_lb_config::LocalityConfigSpecifier::{LocalityWeightedLbConfig, ZoneAwareLbConfig};
    let mut spread = PLAIN;
    if hashes(balancing)
        && let Some(config) = &common.consistent_hashing_lb_config
    {
        spread.hash_by_hostname = config.use_hostname_for_hashing;
        spread.hash_balance_factor =
            from_factor(config.hash_balance_factor.as_ref()).at("consistent_hashing_lb_config")?;
    }
    match &common.locality_config_specifier {
        // Consistent hashes do not look at zones.
        Some(ZoneAwareLbConfig(config)) if !hashes(balancing) => {
            let zone_aware = from_zones(
                config.routing_enabled.as_ref(),
                config.min_cluster_size.as_ref(),
                config.fail_traffic_on_panic,
            );
            spread.zone_aware = Some(zone_aware.at("zone_aware_lb_config")?);
        }
        Some(ZoneAwareLbConfig(_)) | None => {}
        Some(LocalityWeightedLbConfig(_)) => spread.by_locality = true,
    }
    Ok(spread)
}

fn from_zones(
    enabled: Option<&super::pb::kind::Percent>,
    size: Option<&google::UInt64Value>,
    fail_traffic_on_panic: bool,
) -> Check<ZoneAware> {
    let usual = ZoneAware::default();
    Ok(ZoneAware {
        enabled: match enabled {
            Some(percent) => wire::from_percent(percent).at("routing_enabled")?,
            None => usual.enabled,
        },
        min_cluster_size: size.map_or(usual.min_cluster_size, |size| size.value),
        fail_traffic_on_panic,
    })
}

/// Whether draining endpoints keep their sessions.
fn from_statuses(set: Option<&core::HealthStatusSet>) -> Check<bool> {
    let Some(set) = set else { return Ok(false) };
    let has = |status: HealthStatus| set.statuses.contains(&(status as i32));
    let rest = [HealthStatus::Unhealthy, HealthStatus::Timeout];
    if !SESSIONS.into_iter().all(has) || rest.into_iter().any(has) {
        let message = "only UNKNOWN, HEALTHY and DEGRADED are supported, with or without DRAINING";
        return Err(Fault::of("statuses", message));
    }
    Ok(has(HealthStatus::Draining))
}

/// What a message says of balancing.
pub(super) struct Found {
    pub(super) balancing: LoadBalancing,
    pub(super) spread: Spread,
    pub(super) subsets: Option<Box<SubsetConfig>>,
}

/// What counts where a message of another control plane says nothing.
const PLAIN: Spread = Spread {
    by_locality: false,
    draining_sessions: false,
    zone_aware: None,
    hash_by_hostname: false,
    hash_balance_factor: None,
};

fn found(balancing: LoadBalancing, spread: Spread) -> Found {
    Found { balancing, spread, subsets: None }
}

fn weighted(by_locality: bool) -> Spread {
    Spread { by_locality, ..PLAIN }
}

/// `depth` is how many policies this one is within.
fn from_policies(list: &cluster::LoadBalancingPolicy, depth: usize) -> Check<Found> {
    let known = each("policies", &list.policies, 64, |policy| from_policy(policy, depth))?;
    known.into_iter().flatten().next().ok_or_else(|| Fault::of("policies", "none of them is supported"))
}

/// The policy of an entry; nothing if weir does not know it.
fn from_policy(policy: &Policy, depth: usize) -> Check<Option<Found>> {
    let field = "typed_extension_config";
    let extension = required(field, policy.typed_extension_config.as_ref())?;
    let config = required("typed_extension_config.typed_config", extension.typed_config.as_ref())?;
    from_config(config, depth).at("typed_config").at(field)
}

fn from_config(config: &google::Any, depth: usize) -> Check<Option<Found>> {
    let url = config.type_url.as_str();
    let is = |name: String| name == url;
    if url == PEAK_EWMA {
        return from_peak_ewma(config).map(Some);
    }
    if is(lb::round_robin::v3::RoundRobin::type_url()) {
        let policy: lb::round_robin::v3::RoundRobin = wire::unpack(config)?;
        let spread = from_localities(policy.locality_lb_config.as_ref())?;
        return Ok(Some(found(LoadBalancing::RoundRobin, spread)));
    }
    if is(lb::subset::v3::Subset::type_url()) && depth == 0 {
        let policy: lb::subset::v3::Subset = wire::unpack(config)?;
        let (subsets, inner) = subset::decode_policy(&policy)?;
        let inner = from_policies(inner, depth + 1).at("subset_lb_policy")?;
        return Ok(Some(Found { subsets, ..inner }));
    }
    if is(lb::wrr_locality::v3::WrrLocality::type_url()) {
        let policy: lb::wrr_locality::v3::WrrLocality = wire::unpack(config)?;
        let inner = required("endpoint_picking_policy", policy.endpoint_picking_policy.as_ref())?;
        let round_robin = lb::round_robin::v3::RoundRobin::type_url();
        let first = inner
            .policies
            .first()
            .and_then(|policy| policy.typed_extension_config.as_ref()?.typed_config.as_ref());
        return Ok(first
            .filter(|any| any.type_url == round_robin)
            .map(|_| found(LoadBalancing::RoundRobin, weighted(true))));
    }
    if is(lb::random::v3::Random::type_url()) {
        let policy: lb::random::v3::Random = wire::unpack(config)?;
        let spread = from_localities(policy.locality_lb_config.as_ref())?;
        return Ok(Some(found(LoadBalancing::Random, spread)));
    }
    if is(lb::least_request::v3::LeastRequest::type_url()) {
        let policy: lb::least_request::v3::LeastRequest = wire::unpack(config)?;
        refuse!(policy; active_request_bias, selection_method);
        let spread = from_localities(policy.locality_lb_config.as_ref())?;
        return Ok(Some(found(from_choices(policy.choice_count.as_ref())?, spread)));
    }
    if is(lb::ring_hash::v3::RingHash::type_url()) {
        let policy: lb::ring_hash::v3::RingHash = wire::unpack(config)?;
        return from_ring_hash(&policy).map(Some);
    }
    if is(lb::maglev::v3::Maglev::type_url()) {
        let policy: lb::maglev::v3::Maglev = wire::unpack(config)?;
        let table_size = from_table_size(policy.table_size.as_ref())?;
        let spread = from_hashing(policy.consistent_hashing_lb_config.as_ref())?;
        let by_locality = policy.locality_weighted_lb_config.is_some();
        return Ok(Some(found(LoadBalancing::Maglev { table_size }, Spread { by_locality, ..spread })));
    }
    Ok(None)
}

fn from_legacy(message: &cluster::Cluster) -> Check<LoadBalancing> {
    match (LbPolicy::try_from(message.lb_policy), &message.lb_config) {
        (Ok(LbPolicy::RoundRobin), None | Some(LbConfig::RoundRobinLbConfig(_))) => {
            Ok(LoadBalancing::RoundRobin)
        }
        (Ok(LbPolicy::Random), None) => Ok(LoadBalancing::Random),
        (Ok(LbPolicy::LeastRequest), None) => from_choices(None),
        (Ok(LbPolicy::LeastRequest), Some(LbConfig::LeastRequestLbConfig(config))) => {
            let inner = || {
                refuse!(config; active_request_bias);
                from_choices(config.choice_count.as_ref())
            };
            inner().at("least_request_lb_config")
        }
        (Ok(LbPolicy::RingHash), None) => Ok(LoadBalancing::RingHash(RingSize::default())),
        (Ok(LbPolicy::RingHash), Some(LbConfig::RingHashLbConfig(config))) => {
            if config.hash_function == ring_hash_lb_config::HashFunction::MurmurHash2 as i32 {
                return Err(Fault::unsupported("ring_hash_lb_config.hash_function"));
            }
            let size = from_ring_size(config.minimum_ring_size.as_ref(), config.maximum_ring_size.as_ref());
            Ok(LoadBalancing::RingHash(size.at("ring_hash_lb_config")?))
        }
        (Ok(LbPolicy::Maglev), None) => Ok(LoadBalancing::Maglev { table_size: None }),
        (Ok(LbPolicy::Maglev), Some(LbConfig::MaglevLbConfig(config))) => {
            let table_size = from_table_size(config.table_size.as_ref()).at("maglev_lb_config")?;
            Ok(LoadBalancing::Maglev { table_size })
        }
        (_, Some(_)) => Err(Fault::unsupported("lb_config")),
        (_, None) => Err(Fault::of("lb_policy", format!("{} is not supported", message.lb_policy))),
    }
}

fn policy(name: &str, config: google::Any) -> Policy {
    Policy {
        typed_extension_config: Some(core::TypedExtensionConfig {
            name: name.to_owned(),
            typed_config: Some(config),
        }),
    }
}

fn least_request(choices: u32, spread: &Spread) -> Policy {
    let least_request = lb::least_request::v3::LeastRequest {
        choice_count: wire::wrap(choices),
        locality_lb_config: localities(spread),
        ..lb::least_request::v3::LeastRequest::default()
    };
    policy("envoy.load_balancing_policies.least_request", wire::pack(&least_request))
}

/// What is left to a data plane that knows nothing else in the list: gRPC.
fn fallback() -> Policy {
    let round_robin = policy(
        "envoy.load_balancing_policies.round_robin",
        wire::pack(&lb::round_robin::v3::RoundRobin::default()),
    );
    let inner = cluster::LoadBalancingPolicy { policies: vec![round_robin] };
    policy(
        "envoy.load_balancing_policies.wrr_locality",
        wire::pack(&lb::wrr_locality::v3::WrrLocality { endpoint_picking_policy: Some(inner) }),
    )
}

fn localities(spread: &Spread) -> Option<common::LocalityLbConfig> {
    use common::locality_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig, ZoneAwareLbConfig};
    let specifier = match &spread.zone_aware {
        _ if spread.by_locality => {
            LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {})
        }
        Some(zone_aware) => LocalityConfigSpecifier::ZoneAwareLbConfig(ZoneAwareLbConfig {
            routing_enabled: Some(wire::percent(zone_aware.enabled)),
            min_cluster_size: Some(google::UInt64Value { value: zone_aware.min_cluster_size }),
            fail_traffic_on_panic: zone_aware.fail_traffic_on_panic,
            ..ZoneAwareLbConfig::default()
        }),
        None => return None,
    };
    Some(common::LocalityLbConfig { locality_config_specifier: Some(specifier) })
}

/// How traffic spreads over localities.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
fn from_localities(config: Option<&common::LocalityLbConfig>) -> Check<Spread> {
    use common::locality_lb_config::LocalityConfigSpecifier;
    match config.and_then(|config| config.locality_config_specifier.as_ref()) {
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(config)) => {
            let inner = || {
                refuse!(config; force_locality_direct_routing, force_local_zone, locality_basis);
                from_zones(
                    config.routing_enabled.as_ref(),
                    config.min_cluster_size.as_ref(),
                    config.fail_traffic_on_panic,
                )
            };
            let zone_aware = inner().at("zone_aware_lb_config").at("locality_lb_config")?;
            Ok(Spread { zone_aware: Some(zone_aware), ..PLAIN })
        }
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => Ok(weighted(true)),
        None => Ok(PLAIN),
    }
}

fn from_choices(count: Option<&google::UInt32Value>) -> Check<LoadBalancing> {
    match count.map_or(CHOICES, |count| count.value) {
        choices @ 2.. => Ok(LoadBalancing::LeastRequest { choices }),
        choices => Err(Fault::of("choice_count", format!("{choices} is less than 2"))),
    }
}

fn peak_ewma(decay: Duration, default_rtt: Duration, by_locality: bool) -> google::Any {
    let mut message = PeakEwma { locality_weighted: by_locality, ..PeakEwma::default() };
    for (field, value) in [(&mut message.decay, decay), (&mut message.default_rtt, default_rtt)] {
        let value = wire::duration(value);
        let field = field.get_or_insert_default();
        (field.seconds, field.nanos) = (value.seconds, value.nanos);
    }
    google::Any { type_url: PEAK_EWMA.to_owned(), value: message.encode_to_vec() }
}

fn from_peak_ewma(config: &google::Any) -> Check<Found> {
    let message = PeakEwma::decode(config.value.as_slice())
        .map_err(|error| Fault::new(format!("no valid weir.xds.v1.PeakEwma: {error}")))?;
    let decay = required("decay", message.decay.as_ref())?;
    let default_rtt = required("default_rtt", message.default_rtt.as_ref())?;
    let duration = |seconds, nanos| wire::from_duration(&google::Duration { seconds, nanos });
    let policy = LoadBalancing::PeakEwma {
        decay: duration(decay.seconds, decay.nanos).at("decay")?,
        default_rtt: duration(default_rtt.seconds, default_rtt.nanos).at("default_rtt")?,
    };
    Ok(found(policy, weighted(message.locality_weighted)))
}
