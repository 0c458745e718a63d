//! Slow start stands in the balancing policy: in Envoy's round robin and least request, and in weir's peak EWMA. Others have none.

use crate::codec::balancing::PEAK_EWMA;
use crate::codec::fault::{At, Check, Fault, required};
use crate::codec::pb::{cluster, core, google, kind, lb};
use crate::codec::wire;
use cluster::cluster::{LbConfig, LbPolicy, RoundRobinLbConfig, SlowStartConfig as Legacy};
use lb::common::v3::SlowStartConfig;
use lb::least_request::v3::LeastRequest;
use lb::round_robin::v3::RoundRobin;
use lb::subset::v3::Subset;
use lb::wrr_locality::v3::WrrLocality;
use prost::{Message, Name};
use weir_model::SlowStart;
use weir_proto::xds::v1::{self, PeakEwma};

/// The aggression as a number that can be changed at run time, which weir's cannot: Envoy wants a key all the same.
const KEY: &str = "weir.slow_start.aggression";

/// Puts it into the policies of the message that have a place for it.
pub(super) fn encode(it: &SlowStart, message: &mut cluster::Cluster) {
    let window = Some(wire::duration(it.window));
    let aggression = Some(core::RuntimeDouble {
        default_value: f64::from(it.aggression) / 1000.0,
        runtime_key: KEY.to_owned(),
    });
    let min_weight_percent = Some(kind::Percent { value: f64::from(it.min_weight_percent) });
    let Some(list) = &mut message.load_balancing_policy else {
        let slow = Legacy { slow_start_window: window, aggression, min_weight_percent };
        message.lb_config =
            Some(LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: Some(slow) }));
        return;
    };
    let slow = SlowStartConfig { slow_start_window: window, aggression, min_weight_percent };
    let configs = list.policies.iter_mut().filter_map(|policy| {
        policy.typed_extension_config.as_mut().and_then(|extension| extension.typed_config.as_mut())
    });
    for config in configs {
        // What was just written can be read.
        if config.type_url == LeastRequest::type_url()
            && let Ok(least_request) = wire::unpack::<LeastRequest>(config)
        {
            *config = wire::pack(&LeastRequest { slow_start_config: Some(slow.clone()), ..least_request });
        } else if config.type_url == PEAK_EWMA
            && let Ok(mut peak_ewma) = PeakEwma::decode(config.value.as_slice())
        {
            let own = peak_ewma.slow_start.get_or_insert_default();
            let value = wire::duration(it.window);
            let window = own.window.get_or_insert_default();
            (window.seconds, window.nanos) = (value.seconds, value.nanos);
            own.aggression_thousandths = it.aggression;
            own.min_weight_percent = it.min_weight_percent;
            config.value = peak_ewma.encode_to_vec();
        }
    }
}

/// What the policy says that the message is decoded to.
pub(super) fn decode(message: &cluster::Cluster) -> Check<Option<SlowStart>> {
    match &message.load_balancing_policy {
        Some(list) => from_list(list).at("load_balancing_policy"),
        None => from_legacy(message),
    }
}

fn from_list(list: &cluster::LoadBalancingPolicy) -> Check<Option<SlowStart>> {
    for (index, policy) in list.policies.iter().enumerate() {
        let extension = policy.typed_extension_config.as_ref();
        let Some(config) = extension.and_then(|extension| extension.typed_config.as_ref()) else { continue };
        if let Some(slow) =
            from_policy(config).at("typed_extension_config.typed_config").at_index("policies", index)?
        {
            return Ok(slow);
        }
    }
    Ok(None)
}

/// Nothing if the policy is none that weir knows, and the next one counts.
fn from_policy(config: &google::Any) -> Check<Option<Option<SlowStart>>> {
    let url = &config.type_url;
    let slow = |slow: Option<SlowStartConfig>| match slow {
        Some(slow) => from_config(
            slow.slow_start_window.as_ref(),
            slow.aggression.as_ref(),
            slow.min_weight_percent.as_ref(),
        )
        .at("slow_start_config"),
        None => Ok(None),
    };
    if *url == RoundRobin::type_url() {
        return slow(wire::unpack::<RoundRobin>(config)?.slow_start_config).map(Some);
    }
    if *url == LeastRequest::type_url() {
        return slow(wire::unpack::<LeastRequest>(config)?.slow_start_config).map(Some);
    }
    if *url == Subset::type_url() {
        let inner = wire::unpack::<Subset>(config)?.subset_lb_policy.unwrap_or_default();
        // Subsets within subsets are no policy that weir knows, and are not looked into.
        let inner = cluster::LoadBalancingPolicy {
            policies: inner.policies.into_iter().filter(|policy| !is_subset(policy)).collect(),
        };
        return from_list(&inner).at("subset_lb_policy").map(Some);
    }
    if *url == WrrLocality::type_url() {
        let message: WrrLocality = wire::unpack(config)?;
        let inner = message.endpoint_picking_policy.and_then(|list| list.policies.into_iter().next());
        let inner = inner.and_then(|policy| policy.typed_extension_config?.typed_config);
        return match inner.filter(|inner| inner.type_url == RoundRobin::type_url()) {
            Some(inner) => slow(wire::unpack::<RoundRobin>(&inner)?.slow_start_config)
                .at("endpoint_picking_policy")
                .map(Some),
            None => Ok(None),
        };
    }
    if url == PEAK_EWMA {
        let message = PeakEwma::decode(config.value.as_slice())
            .map_err(|error| Fault::new(format!("no valid weir.xds.v1.PeakEwma: {error}")))?;
        return message.slow_start.map(|slow| from_own(&slow).at("slow_start")).transpose().map(Some);
    }
    let others = [
        lb::random::v3::Random::type_url(),
        lb::ring_hash::v3::RingHash::type_url(),
        lb::maglev::v3::Maglev::type_url(),
    ];
    Ok(others.contains(url).then_some(None))
}

fn is_subset(policy: &cluster::load_balancing_policy::Policy) -> bool {
    let extension = policy.typed_extension_config.as_ref();
    let config = extension.and_then(|extension| extension.typed_config.as_ref());
    config.is_some_and(|config| config.type_url == Subset::type_url())
}

fn from_own(message: &v1::SlowStart) -> Check<SlowStart> {
    let window = required("window", message.window.as_ref())?;
    let window = google::Duration { seconds: window.seconds, nanos: window.nanos };
    if message.aggression_thousandths == 0 {
        return Err(Fault::of("aggression_thousandths", "must be above 0"));
    }
    if message.min_weight_percent > 100 {
        return Err(Fault::of("min_weight_percent", format!("{} is above 100", message.min_weight_percent)));
    }
    Ok(SlowStart {
        window: wire::from_duration(&window).at("window")?,
        aggression: message.aggression_thousandths,
        min_weight_percent: message.min_weight_percent,
    })
}

fn from_legacy(message: &cluster::Cluster) -> Check<Option<SlowStart>> {
    let (field, slow) = match &message.lb_config {
        Some(LbConfig::RoundRobinLbConfig(config)) if message.lb_policy == LbPolicy::RoundRobin as i32 => {
            ("round_robin_lb_config.slow_start_config", config.slow_start_config.as_ref())
        }
        Some(LbConfig::LeastRequestLbConfig(config))
            if message.lb_policy == LbPolicy::LeastRequest as i32 =>
        {
            ("least_request_lb_config.slow_start_config", config.slow_start_config.as_ref())
        }
        _ => return Ok(None),
    };
    let Some(slow) = slow else { return Ok(None) };
    from_config(slow.slow_start_window.as_ref(), slow.aggression.as_ref(), slow.min_weight_percent.as_ref())
        .at(field)
}

/// Envoy's fields and defaults; without a window there is no slow start.
fn from_config(
    window: Option<&google::Duration>,
    aggression: Option<&core::RuntimeDouble>,
    minimum: Option<&kind::Percent>,
) -> Check<Option<SlowStart>> {
    let window = wire::optional_duration("slow_start_window", window)?.unwrap_or_default();
    if window.is_zero() {
        return Ok(None);
    }
    let mut slow = SlowStart::new(window);
    if let Some(aggression) = aggression {
        let thousandths = (aggression.default_value * 1000.0).round();
        if !(1.0..=f64::from(u32::MAX)).contains(&thousandths) {
            let message = format!("{} is not above 0", aggression.default_value);
            return Err(Fault::of("aggression.default_value", message));
        }
        slow.aggression = thousandths as u32;
    }
    if let Some(minimum) = minimum {
        if !(0.0..=100.0).contains(&minimum.value) {
            let message = format!("{} is no percentage from 0 to 100", minimum.value);
            return Err(Fault::of("min_weight_percent", message));
        }
        slow.min_weight_percent = minimum.value.round() as u32;
    }
    Ok(Some(slow))
}
