//! What answers where a route's clusters cannot. Envoy has no word for it, so it is a message of weir's own beside the route's filters, and
//! only weir is told.

use super::fault::{At, Check, Fault, required};
use super::pb::{google, route};
use super::wire;
use http::StatusCode;
use prost::Message;
use std::collections::HashMap;
use weir_model::node::Target;
use weir_model::{DirectResponse, Fallback, HeaderValue, RouteAction, StaticAnswer, limits};
use weir_proto::xds::v1;

/// The name of the entry in `typed_per_filter_config`.
pub(super) const FILTER: &str = "weir.filters.http.fallback";
const TYPE: &str = "type.googleapis.com/weir.xds.v1.Fallback";

/// Adds what a route says.
pub(super) fn to_route(action: &RouteAction, target: Target, configs: &mut HashMap<String, google::Any>) {
    let RouteAction::Forward(forward) = action else { return };
    let Some(fallback) = forward.fallback.as_deref().filter(|_| target == Target::Weir) else { return };
    let answer = match fallback {
        Fallback::Cluster(cluster) => v1::fallback::Answer::Cluster(cluster.clone()),
        Fallback::Direct(StaticAnswer { response, content_type }) => {
            let content_type = content_type.as_ref().and_then(|kind| kind.to_str().ok());
            v1::fallback::Answer::Response(v1::StaticResponse {
                status: u32::from(response.status.as_u16()),
                body: response.body.clone(),
                content_type: content_type.unwrap_or_default().to_owned(),
            })
        }
    };
    let message = v1::Fallback { answer: Some(answer) };
    let config = google::Any { type_url: TYPE.to_owned(), value: message.encode_to_vec() };
    configs.insert(FILTER.to_owned(), config);
}

/// What a route says, whose action may be none that forwards.
pub(super) fn of_route(message: &route::Route) -> Check<Option<Box<Fallback>>> {
    let Some(config) = message.typed_per_filter_config.get(FILTER) else { return Ok(None) };
    let inner = || {
        if !matches!(message.action, Some(route::route::Action::Route(_))) {
            return Err(Fault::new("only for a route that sends requests on"));
        }
        decode(config)
    };
    inner().at(&format!("typed_per_filter_config[{FILTER:?}]")).map(|fallback| Some(Box::new(fallback)))
}

fn decode(config: &google::Any) -> Check<Fallback> {
    if config.type_url != TYPE {
        return Err(Fault::of(
            "type_url",
            format!("{:?} where {TYPE:?} is expected", wire::cut(&config.type_url)),
        ));
    }
    let message = v1::Fallback::decode(config.value.as_slice())
        .map_err(|error| Fault::new(format!("no valid weir.xds.v1.Fallback: {error}")))?;
    match required("answer", message.answer.as_ref())? {
        v1::fallback::Answer::Cluster(cluster) => Ok(Fallback::Cluster(wire::name("cluster", cluster)?)),
        v1::fallback::Answer::Response(response) => {
            from_response(response).at("response").map(Fallback::Direct)
        }
    }
}

fn from_response(response: &v1::StaticResponse) -> Check<StaticAnswer> {
    let status = u16::try_from(response.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.filter(|status| !status.is_informational());
    let status = status
        .ok_or_else(|| Fault::of("status", format!("{} is no status of a response", response.status)))?;
    if response.body.len() > limits::DIRECT_BODY_BYTES {
        return Err(Fault::of("body", format!("longer than {} bytes", limits::DIRECT_BODY_BYTES)));
    }
    let content_type = match response.content_type.as_str() {
        "" => None,
        kind if kind.len() > limits::NAME_BYTES => return Err(Fault::of("content_type", "too long")),
        kind => Some(HeaderValue::from_str(kind).map_err(|_| {
            Fault::of("content_type", format!("{:?} is not the value of a header", wire::cut(kind)))
        })?),
    };
    Ok(StaticAnswer { response: DirectResponse { status, body: response.body.clone() }, content_type })
}
