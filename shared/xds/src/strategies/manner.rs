//! What listeners make of HTTP.

use proptest::collection::btree_set;
use proptest::option::of;
use proptest::prelude::*;
use weir_model::{HeaderValue, HostPorts, Manner, RequestIds, ServerName, Underscores};

fn text() -> impl Strategy<Value = HeaderValue> {
    "[a-z][a-z0-9. -]{0,10}[a-z]"
        .prop_map(|text| HeaderValue::try_from(text).expect("letters, digits and dashes"))
}

pub(super) fn manner() -> impl Strategy<Value = Manner> {
    let ports = prop_oneof![Just(HostPorts::Keep), Just(HostPorts::StripOwn), Just(HostPorts::StripAny)];
    let underscores =
        prop_oneof![Just(Underscores::Allow), Just(Underscores::Drop), Just(Underscores::Reject)];
    let request_id =
        any::<(bool, bool, bool)>().prop_map(|(generate, keep, tell)| RequestIds { generate, keep, tell });
    let server = (text(), any::<bool>()).prop_map(|(name, overwrite)| ServerName { name, overwrite });
    let texts = (of(server), of(text()), of(text()));
    let upgrades = of(btree_set("[a-z]{2,5}", 0..3).prop_map(|names| names.into_iter().collect()));
    (texts, ports, underscores, request_id, any::<(bool, bool, bool)>(), upgrades).prop_map(
        |((server, via, default_host), ports, underscores, request_id, switches, upgrades)| {
            let (strip_dot, proper_case, extended_connect) = switches;
            Manner {
                server,
                via,
                ports,
                strip_dot,
                underscores,
                request_id,
                default_host,
                proper_case,
                extended_connect,
                upgrades,
            }
        },
    )
}
