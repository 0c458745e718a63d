//! How an endpoint is chosen.
//!
//! Round robin is Envoy's `lb_policy`; everything else is a list of policies in order of preference, of which each data plane takes the
//! first that it knows. gRPC knows ring hash and weighted round robin, so the latter ends every list: a client that cannot do better
//! still balances, and whoever compiles says so. Localities are weighted in each of them.
//!
//! A consistent hash names its header in the policy. Envoy takes that instead of the route's `hash_policy`; gRPC does not read it, and then
//! picks at random.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{cluster, core, google, lb, route};
use super::{header, wire};
use cluster::cluster::{CommonLbConfig, LbConfig, LbPolicy, common_lb_config};
use cluster::load_balancing_policy::Policy;
use lb::common::v3 as common;
use lb::ring_hash::v3::ring_hash::HashFunction;
use prost::{Message, Name};
use route::route_action::hash_policy::PolicySpecifier;
use route::route_action::{HashPolicy, hash_policy};
use std::time::Duration;
use weir_model::{ConsistentHash, LoadBalancing};
use weir_proto::xds::v1::PeakEwma;

const PEAK_EWMA: &str = "type.googleapis.com/weir.xds.v1.PeakEwma";
/// Envoy's number of choices where a message does not say.
const CHOICES: u32 = 2;

/// The part of a cluster's message that says how to balance.
pub(super) fn encode(balancing: &LoadBalancing, message: &mut cluster::Cluster) {
    let mut policies = match balancing {
        LoadBalancing::RoundRobin => {
            let weighted = common_lb_config::LocalityWeightedLbConfig {};
            message.common_lb_config = Some(CommonLbConfig {
                locality_config_specifier: Some(
                    common_lb_config::LocalityConfigSpecifier::LocalityWeightedLbConfig(weighted),
                ),
                ..CommonLbConfig::default()
            });
            return;
        }
        LoadBalancing::Random => {
            let random = lb::random::v3::Random { locality_lb_config: localities() };
            vec![policy("envoy.load_balancing_policies.random", wire::pack(&random))]
        }
        LoadBalancing::LeastRequest { choices } => vec![least_request(*choices)],
        LoadBalancing::PeakEwma { decay, default_rtt } => {
            let peak_ewma = peak_ewma(*decay, *default_rtt);
            // The nearest thing that an Envoy knows.
            vec![policy("weir.load_balancing_policies.peak_ewma", peak_ewma), least_request(CHOICES)]
        }
        LoadBalancing::RingHash(hash) => {
            let ring = lb::ring_hash::v3::RingHash {
                hash_function: HashFunction::XxHash as i32,
                consistent_hashing_lb_config: hashing(hash),
                locality_weighted_lb_config: Some(common::locality_lb_config::LocalityWeightedLbConfig {}),
                ..lb::ring_hash::v3::RingHash::default()
            };
            vec![policy("envoy.load_balancing_policies.ring_hash", wire::pack(&ring))]
        }
        LoadBalancing::Maglev(hash) => {
            let maglev = lb::maglev::v3::Maglev {
                consistent_hashing_lb_config: hashing(hash),
                locality_weighted_lb_config: Some(common::locality_lb_config::LocalityWeightedLbConfig {}),
                ..lb::maglev::v3::Maglev::default()
            };
            vec![policy("envoy.load_balancing_policies.maglev", wire::pack(&maglev))]
        }
    };
    policies.push(fallback());
    message.load_balancing_policy = Some(cluster::LoadBalancingPolicy { policies });
}

/// How a cluster's message says to balance.
pub(super) fn decode(message: &cluster::Cluster) -> Check<LoadBalancing> {
    if let Some(common) = &message.common_lb_config {
        from_common(common).at("common_lb_config")?;
    }
    match &message.load_balancing_policy {
        Some(list) => from_policies(list).at("load_balancing_policy"),
        None => from_legacy(message),
    }
}

fn from_common(common: &CommonLbConfig) -> Check<()> {
    use common_lb_config::LocalityConfigSpecifier::{LocalityWeightedLbConfig, ZoneAwareLbConfig};
    refuse!(common; consistent_hashing_lb_config, override_host_status);
    if common.healthy_panic_threshold.as_ref().is_some_and(|threshold| threshold.value != 50.0) {
        return Err(Fault::of("healthy_panic_threshold", "only Envoy's default of 50 % is supported"));
    }
    match common.locality_config_specifier {
        Some(ZoneAwareLbConfig(_)) => Err(Fault::unsupported("zone_aware_lb_config")),
        Some(LocalityWeightedLbConfig(_)) | None => Ok(()),
    }
}

fn from_policies(list: &cluster::LoadBalancingPolicy) -> Check<LoadBalancing> {
    let known = each("policies", &list.policies, 64, from_policy)?;
    known.into_iter().flatten().next().ok_or_else(|| Fault::of("policies", "none of them is supported"))
}

/// The policy of an entry; nothing if weir does not know it.
fn from_policy(policy: &Policy) -> Check<Option<LoadBalancing>> {
    let field = "typed_extension_config";
    let extension = required(field, policy.typed_extension_config.as_ref())?;
    let config = required("typed_extension_config.typed_config", extension.typed_config.as_ref())?;
    from_config(config).at("typed_config").at(field)
}

fn from_config(config: &google::Any) -> Check<Option<LoadBalancing>> {
    let url = config.type_url.as_str();
    let is = |name: String| name == url;
    if url == PEAK_EWMA {
        return from_peak_ewma(config).map(Some);
    }
    if is(lb::round_robin::v3::RoundRobin::type_url()) {
        let policy: lb::round_robin::v3::RoundRobin = wire::unpack(config)?;
        refuse!(policy; slow_start_config);
        from_localities(policy.locality_lb_config.as_ref())?;
        return Ok(Some(LoadBalancing::RoundRobin));
    }
    if is(lb::wrr_locality::v3::WrrLocality::type_url()) {
        let policy: lb::wrr_locality::v3::WrrLocality = wire::unpack(config)?;
        let inner = required("endpoint_picking_policy", policy.endpoint_picking_policy.as_ref())?;
        let round_robin = lb::round_robin::v3::RoundRobin::type_url();
        let first = inner
            .policies
            .first()
            .and_then(|policy| policy.typed_extension_config.as_ref()?.typed_config.as_ref());
        return Ok(first.filter(|any| any.type_url == round_robin).map(|_| LoadBalancing::RoundRobin));
    }
    if is(lb::random::v3::Random::type_url()) {
        let policy: lb::random::v3::Random = wire::unpack(config)?;
        from_localities(policy.locality_lb_config.as_ref())?;
        return Ok(Some(LoadBalancing::Random));
    }
    if is(lb::least_request::v3::LeastRequest::type_url()) {
        let policy: lb::least_request::v3::LeastRequest = wire::unpack(config)?;
        refuse!(policy; active_request_bias, slow_start_config, selection_method);
        from_localities(policy.locality_lb_config.as_ref())?;
        return from_choices(policy.choice_count.as_ref()).map(Some);
    }
    if is(lb::ring_hash::v3::RingHash::type_url()) {
        let policy: lb::ring_hash::v3::RingHash = wire::unpack(config)?;
        refuse!(policy; minimum_ring_size, maximum_ring_size);
        if policy.hash_function == HashFunction::MurmurHash2 as i32 {
            return Err(Fault::unsupported("hash_function"));
        }
        let hash =
            from_hashing(policy.consistent_hashing_lb_config.as_ref()).at("consistent_hashing_lb_config")?;
        return Ok(Some(LoadBalancing::RingHash(hash)));
    }
    if is(lb::maglev::v3::Maglev::type_url()) {
        let policy: lb::maglev::v3::Maglev = wire::unpack(config)?;
        refuse!(policy; table_size);
        let hash =
            from_hashing(policy.consistent_hashing_lb_config.as_ref()).at("consistent_hashing_lb_config")?;
        return Ok(Some(LoadBalancing::Maglev(hash)));
    }
    Ok(None)
}

fn from_legacy(message: &cluster::Cluster) -> Check<LoadBalancing> {
    match (LbPolicy::try_from(message.lb_policy), &message.lb_config) {
        (Ok(LbPolicy::RoundRobin), None) => Ok(LoadBalancing::RoundRobin),
        (Ok(LbPolicy::Random), None) => Ok(LoadBalancing::Random),
        (Ok(LbPolicy::LeastRequest), None) => from_choices(None),
        (Ok(LbPolicy::LeastRequest), Some(LbConfig::LeastRequestLbConfig(config))) => {
            let inner = || {
                refuse!(config; active_request_bias, slow_start_config);
                from_choices(config.choice_count.as_ref())
            };
            inner().at("least_request_lb_config")
        }
        (Ok(LbPolicy::RingHash | LbPolicy::Maglev), _) => {
            Err(Fault::of("lb_policy", "a consistent hash needs load_balancing_policy with a hash_policy"))
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

fn least_request(choices: u32) -> Policy {
    let least_request = lb::least_request::v3::LeastRequest {
        choice_count: wire::wrap(choices),
        locality_lb_config: localities(),
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

fn localities() -> Option<common::LocalityLbConfig> {
    use common::locality_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig};
    let specifier = LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {});
    Some(common::LocalityLbConfig { locality_config_specifier: Some(specifier) })
}

fn from_localities(config: Option<&common::LocalityLbConfig>) -> Check<()> {
    use common::locality_lb_config::LocalityConfigSpecifier;
    match config.and_then(|config| config.locality_config_specifier.as_ref()) {
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
            Err(Fault::unsupported("locality_lb_config.zone_aware_lb_config"))
        }
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) | None => Ok(()),
    }
}

fn from_choices(count: Option<&google::UInt32Value>) -> Check<LoadBalancing> {
    match count.map_or(CHOICES, |count| count.value) {
        choices @ 2.. => Ok(LoadBalancing::LeastRequest { choices }),
        choices => Err(Fault::of("choice_count", format!("{choices} is less than 2"))),
    }
}

fn hashing(hash: &ConsistentHash) -> Option<common::ConsistentHashingLbConfig> {
    let header = hash_policy::Header { header_name: hash.header.as_str().to_owned(), regex_rewrite: None };
    let policy = HashPolicy { terminal: false, policy_specifier: Some(PolicySpecifier::Header(header)) };
    Some(common::ConsistentHashingLbConfig {
        hash_policy: vec![policy],
        ..common::ConsistentHashingLbConfig::default()
    })
}

fn from_hashing(config: Option<&common::ConsistentHashingLbConfig>) -> Check<ConsistentHash> {
    let Some(config) = config else {
        return Err(Fault::of("hash_policy", "missing; name the header to hash"));
    };
    refuse!(config; use_hostname_for_hashing, hash_balance_factor);
    let [HashPolicy { policy_specifier: Some(PolicySpecifier::Header(hashed)), .. }] =
        config.hash_policy.as_slice()
    else {
        return Err(Fault::of("hash_policy", "exactly one header must be hashed"));
    };
    if hashed.regex_rewrite.is_some() {
        return Err(Fault::unsupported("hash_policy[0].header.regex_rewrite"));
    }
    let header = header::header_name(&hashed.header_name).at("hash_policy[0].header.header_name")?;
    Ok(ConsistentHash { header })
}

fn peak_ewma(decay: Duration, default_rtt: Duration) -> google::Any {
    let mut message = PeakEwma::default();
    for (field, value) in [(&mut message.decay, decay), (&mut message.default_rtt, default_rtt)] {
        let value = wire::duration(value);
        let field = field.get_or_insert_default();
        (field.seconds, field.nanos) = (value.seconds, value.nanos);
    }
    google::Any { type_url: PEAK_EWMA.to_owned(), value: message.encode_to_vec() }
}

fn from_peak_ewma(config: &google::Any) -> Check<LoadBalancing> {
    let message = PeakEwma::decode(config.value.as_slice())
        .map_err(|error| Fault::new(format!("no valid weir.xds.v1.PeakEwma: {error}")))?;
    let decay = required("decay", message.decay.as_ref())?;
    let default_rtt = required("default_rtt", message.default_rtt.as_ref())?;
    let duration = |seconds, nanos| wire::from_duration(&google::Duration { seconds, nanos });
    Ok(LoadBalancing::PeakEwma {
        decay: duration(decay.seconds, decay.nanos).at("decay")?,
        default_rtt: duration(default_rtt.seconds, default_rtt.nanos).at("default_rtt")?,
    })
}
