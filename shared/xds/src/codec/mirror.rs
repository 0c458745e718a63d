//! Copies of requests: Envoy's `request_mirror_policies`.

use super::fault::{At, Check, Fault, refuse, required};
use super::pb::{core, route};
use super::wire;
use route::route_action::RequestMirrorPolicy;
use weir_model::{Fraction, Mirror};

/// All of them.
const WHOLE: Fraction = Fraction(1_000_000);

/// The message of a mirror.
pub(super) fn encode(mirror: &Mirror) -> RequestMirrorPolicy {
    let some = (mirror.fraction != WHOLE).then(|| core::RuntimeFractionalPercent {
        default_value: Some(wire::fraction(mirror.fraction)),
        ..core::RuntimeFractionalPercent::default()
    });
    RequestMirrorPolicy {
        cluster: mirror.cluster.clone(),
        runtime_fraction: some,
        disable_shadow_host_suffix_append: !mirror.marks_host,
        ..RequestMirrorPolicy::default()
    }
}

/// The mirror of a message.
pub(super) fn decode(message: &RequestMirrorPolicy) -> Check<Mirror> {
    refuse!(message; cluster_header, request_headers_mutations, host_rewrite_literal);
    if message.trace_sampled.is_some_and(|sampled| !sampled.value) {
        return Err(Fault::of("trace_sampled", "only true is supported; leave it unset"));
    }
    let fraction = match &message.runtime_fraction {
        Some(fraction) => {
            let value = required("default_value", fraction.default_value.as_ref());
            value.and_then(|value| wire::from_fraction(value).at("default_value")).at("runtime_fraction")?
        }
        None => WHOLE,
    };
    Ok(Mirror {
        cluster: wire::name("cluster", &message.cluster)?,
        fraction,
        marks_host: !message.disable_shadow_host_suffix_append,
    })
}
