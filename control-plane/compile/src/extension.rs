//! What a rule says through the `RouteFilter`s that it refers to.
//!
//! | | weir | stock Envoy | proxyless gRPC |
//! |---|---|---|---|
//! | callers | yes | yes | yes: a rule for others is not sent to a node |
//! | direct response | yes | yes | the call fails |
//! | limits that callers keep | yes | yes; each match of a rule by itself | no |
//! | limits that the service keeps | by its own sidecars, see `admission` | the same | no sidecar, no limit |
//! | high priority | yes | yes | no |

use crate::express::Origin;
use http::header::CONTENT_TYPE;
use weir_model::mesh::{HttpRule, Mesh, RouteFilter, RouteName};
use weir_model::node::Target;
use weir_model::{Diagnostic, HeaderMutation, Priority, RateLimits, RouteAction, Severity, StaticAnswer};

const SIDECAR: &str = "run a sidecar beside the client, or leave it out";

/// What a node does with the requests of a rule.
#[derive(Default)]
pub(crate) struct Extension {
    /// It answers them.
    pub(crate) answer: Option<StaticAnswer>,
    /// It sends no more than this of its own.
    pub(crate) limits: Option<RateLimits>,
    /// Which breakers count them.
    pub(crate) priority: Priority,
}

/// What a rule says, as the target can do it; why the rule cannot be carried out, if a filter of it does not exist.
pub(crate) fn of(
    mesh: &Mesh,
    target: Target,
    origin: &Origin<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Extension, String> {
    let said = match mesh.extension(&origin.spec.filters) {
        Ok(Some(said)) => said,
        Ok(None) => return Ok(Extension::default()),
        Err(missing) => {
            let problem = format!("RouteFilter {missing} does not exist");
            let mend = "apply the RouteFilter, or remove the filter that refers to it";
            let message = format!("{problem}: requests that match are answered 500");
            diagnostics.push(origin.say("filters", &message, mend));
            return Err(problem);
        }
    };
    let RouteFilter { answer, limits, priority, callers: _ } = said;
    let limits =
        limits.caller.map(|limits| RateLimits { name: rule_name(origin.route, origin.rule), ..limits });
    let priority = priority.unwrap_or_default();
    match target {
        Target::Weir => {}
        Target::Envoy => {
            if limits.is_some() && origin.spec.matches.len() > 1 {
                diagnostics.push(by_match(origin.route, origin.rule));
            }
        }
        Target::Grpc => {
            let missing = [
                (answer.is_some(), "gRPC clients give no answers of their own: calls that match fail"),
                (limits.is_some(), "gRPC clients do not limit their rate"),
                (priority == Priority::High, "gRPC clients know no priorities"),
            ];
            for (_, message) in missing.into_iter().filter(|(wanted, _)| *wanted) {
                diagnostics.push(origin.say("filters", message, SIDECAR));
            }
            let answer = answer.map(|answer| StaticAnswer { content_type: None, ..answer });
            return Ok(Extension { answer, ..Extension::default() });
        }
    }
    Ok(Extension { answer, limits, priority })
}

/// Envoy has no bucket for several routes.
pub(crate) fn by_match(route: &RouteName, rule: usize) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource: route.to_string(),
        field: format!("spec.rules[{rule}].filters"),
        message: "Envoy counts each match of the rule by itself".to_owned(),
        mend: "write one match, or a rule for each".to_owned(),
    }
}

/// What the limits of a rule are called.
pub(crate) fn rule_name(route: &RouteName, rule: usize) -> String {
    format!("{route} rule {rule}")
}

/// The action that answers. What the answer is goes into the response's fields, unless the rule sets that itself.
pub(crate) fn direct(answer: &StaticAnswer, response_headers: &mut HeaderMutation) -> RouteAction {
    if let Some(kind) = &answer.content_type
        && response_headers.set.iter().all(|(name, _)| *name != CONTENT_TYPE)
    {
        response_headers.set.push((CONTENT_TYPE, kind.clone()));
    }
    RouteAction::Direct(answer.response.clone())
}

/// The limits that the service itself keeps for a rule.
pub(crate) fn service_limits(mesh: &Mesh, rule: &HttpRule) -> Option<RateLimits> {
    let filters = rule.filters.extensions.iter().filter_map(|name| mesh.route_filters.get(name));
    filters.filter_map(|filter| filter.limits.service.clone()).next()
}
