//! When the limits of a route's requests begin: with Envoy when the whole request was received, with weir's own policies at its head. Envoy has no
//! word for the latter but `max_stream_duration`, which answers otherwise (408), so it is a message of weir's own beside the route's filters, and
//! only weir is told. An Envoy gives requests whose body is slow to come the time that takes.

use super::fault::{At, Check, Fault};
use super::pb::{google, route};
use super::wire;
use prost::Message;
use std::collections::HashMap;
use weir_model::node::Target;
use weir_model::{RouteAction, Timeouts};
use weir_proto::xds::v1;

/// The name of the entry in `typed_per_filter_config`.
pub(super) const FILTER: &str = "weir.filters.http.timeouts";
const TYPE: &str = "type.googleapis.com/weir.xds.v1.Timeouts";

/// Adds what a route says.
pub(super) fn to_route(action: &RouteAction, target: Target, configs: &mut HashMap<String, google::Any>) {
    let RouteAction::Forward(forward) = action else { return };
    if target == Target::Weir && forward.timeouts.from_head {
        let value = v1::Timeouts { from_head: true }.encode_to_vec();
        configs.insert(FILTER.to_owned(), google::Any { type_url: TYPE.to_owned(), value });
    }
}

/// Does to the limits of a route what it says of them.
pub(super) fn of_route(message: &route::Route, action: &mut RouteAction) -> Check<()> {
    let Some(config) = message.typed_per_filter_config.get(FILTER) else { return Ok(()) };
    let decoded = match action {
        RouteAction::Forward(forward) => decode(config, &mut forward.timeouts),
        _ => Err(Fault::new("only for a route that sends requests on")),
    };
    decoded.at(&format!("typed_per_filter_config[{FILTER:?}]"))
}

fn decode(config: &google::Any, timeouts: &mut Timeouts) -> Check<()> {
    if config.type_url != TYPE {
        let text = format!("{:?} where {TYPE:?} is expected", wire::cut(&config.type_url));
        return Err(Fault::of("type_url", text));
    }
    let message = v1::Timeouts::decode(config.value.as_slice())
        .map_err(|error| Fault::new(format!("no valid weir.xds.v1.Timeouts: {error}")))?;
    timeouts.from_head = message.from_head;
    Ok(())
}
