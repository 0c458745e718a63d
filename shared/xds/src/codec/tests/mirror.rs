//! Mirrors, as other control planes write them.

use super::pb::{core, google, kind, route};
use super::*;
use route::route::Action;
use route::route_action::RequestMirrorPolicy;
use weir_model::{Fraction, Mirror};

fn decoded(policy: RequestMirrorPolicy) -> Result<Vec<Mirror>, DecodeError> {
    let mut message = super::route::encode(&routes(forward()), Target::Envoy);
    match &mut message.virtual_hosts[0].routes[0].action {
        Some(Action::Route(action)) => action.request_mirror_policies = vec![policy],
        other => panic!("{other:?}"),
    }
    match decode(&wire::pack(&message))? {
        Resource::Route(mut routes) => match routes.virtual_hosts.remove(0).routes.remove(0).action {
            RouteAction::Forward(forward) => Ok(forward.mirrors),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn to(cluster: &str) -> RequestMirrorPolicy {
    RequestMirrorPolicy { cluster: cluster.to_owned(), ..Default::default() }
}

fn field(policy: RequestMirrorPolicy) -> String {
    let path = "virtual_hosts[0].routes[0].route.request_mirror_policies[0].";
    decoded(policy).unwrap_err().field.strip_prefix(path).unwrap().to_owned()
}

#[test]
fn without_a_fraction_everything_is_mirrored_and_marked() {
    let whole = Mirror { cluster: "shadow".to_owned(), fraction: Fraction(1_000_000), marks_host: true };
    assert_eq!(decoded(to("shadow")), Ok(vec![whole]));
}

#[test]
fn fractions_come_in_any_denominator() {
    let share = kind::FractionalPercent { numerator: 5, denominator: 1 };
    let runtime_fraction = Some(core::RuntimeFractionalPercent {
        default_value: Some(share),
        runtime_key: "a.switch.inside.one.envoy".to_owned(),
    });
    let policy =
        RequestMirrorPolicy { runtime_fraction, disable_shadow_host_suffix_append: true, ..to("shadow") };
    let some = Mirror { cluster: "shadow".to_owned(), fraction: Fraction(500), marks_host: false };
    assert_eq!(decoded(policy), Ok(vec![some]));
}

#[test]
fn what_weir_does_not_do_is_refused() {
    assert_eq!(field(RequestMirrorPolicy { cluster_header: "x-to".to_owned(), ..to("") }), "cluster_header");
    let literal = RequestMirrorPolicy { host_rewrite_literal: "other".to_owned(), ..to("shadow") };
    assert_eq!(field(literal), "host_rewrite_literal");
    let untraced = Some(google::BoolValue { value: false });
    assert_eq!(field(RequestMirrorPolicy { trace_sampled: untraced, ..to("shadow") }), "trace_sampled");
    let no_share = Some(core::RuntimeFractionalPercent::default());
    let missing = RequestMirrorPolicy { runtime_fraction: no_share, ..to("shadow") };
    assert_eq!(field(missing), "runtime_fraction.default_value");
}
