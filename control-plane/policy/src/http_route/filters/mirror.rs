//! `HTTPRequestMirrorFilter`: where a copy of a request goes, and of which share of the requests.

use super::Scope;
use crate::decode::{At, Schema};
use crate::http_route::{other_namespace, read_target};
use crate::parse::fields;
use crate::traffic_policy::read_service_kind;
use serde_json::{Value, json};
use weir_model::Fraction;
use weir_model::mesh::MirrorFilter;

const MILLION: u32 = 1_000_000;
/// The largest denominator of a fraction.
const DENOMINATOR: u32 = 1_000_000_000;

pub(super) fn read(at: &At<'_>, scope: Scope<'_>) -> Option<MirrorFilter> {
    let mirror = at.object(&Schema::of(&["backendRef", "percent", "fraction"]))?;
    let target = mirror.required("backendRef", "name the service that gets the copies").and_then(|at| {
        let reference = at.object(&Schema::of(&["group", "kind", "namespace", "name", "port"]))?;
        read_service_kind(&reference, true);
        read_target(&reference, scope.namespace, scope.parents)
    });
    let percent = mirror.get("percent").map(|at| at.count(0..=100));
    let fraction = mirror.get("fraction").map(|at| read_fraction(&at));
    if let (Some(_), Some(at)) = (percent, mirror.get("fraction")) {
        at.error("there is a percent already", "say it once");
        return None;
    }
    let fraction = match (percent, fraction) {
        (Some(percent), _) => Fraction(percent? * (MILLION / 100)),
        (None, Some(fraction)) => fraction?,
        (None, None) => Fraction(MILLION),
    };
    if fraction == Fraction(0) {
        at.warning("nothing is mirrored", "remove the filter, or raise its share");
    }
    Some(MirrorFilter { target: target?, fraction })
}

/// Gateway API `Fraction`; the denominator is 100 if absent.
fn read_fraction(at: &At<'_>) -> Option<Fraction> {
    let fraction = at.object(&Schema::of(&["numerator", "denominator"]))?;
    let numerator = fraction
        .required("numerator", "write how many of the denominator")
        .and_then(|at| at.count(0..=DENOMINATOR));
    let denominator = match fraction.get("denominator") {
        Some(at) => at.count(1..=DENOMINATOR),
        None => Some(100),
    };
    let (numerator, denominator) = (numerator?, denominator?);
    if numerator > denominator {
        at.error(
            format!("{numerator} of {denominator} is more than everything"),
            "write a numerator that is not above the denominator",
        );
        return None;
    }
    let parts = (u64::from(numerator) * u64::from(MILLION)).div_ceil(u64::from(denominator));
    u32::try_from(parts).ok().map(Fraction)
}

pub(super) fn write(mirror: &MirrorFilter, namespace: &str) -> Value {
    let target = &mirror.target;
    let reference = fields([
        ("namespace", other_namespace(&target.service, namespace)),
        ("name", Some(json!(target.service.name))),
        ("port", Some(json!(target.port))),
    ]);
    let parts = mirror.fraction.0;
    let whole = parts.is_multiple_of(MILLION / 100);
    let percent = (whole && parts < MILLION).then(|| json!(parts / (MILLION / 100)));
    let fraction = (!whole).then(|| json!({"numerator": parts, "denominator": MILLION}));
    fields([("backendRef", Some(reference)), ("percent", percent), ("fraction", fraction)])
}
