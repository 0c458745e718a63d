//! What Envoy has as HTTP filters: rate limits, faults, CORS, limits on bodies.
//!
//! A listener's own configuration of them is in its filter chain; that of virtual hosts and routes in `typed_per_filter_config`, where an
//! entry that is disabled takes away what the next wider level says. A filter that weir does not know is refused by its name, unless it
//! says itself that it may be left out.
//!
//! An Envoy reads what routes say only of filters that are in its chain, so all of them are in it, disabled; a request whose route does not
//! ask for one does not meet it.

mod body;
mod cors;
mod faults;
mod limits;

use super::fault::{At, Check, Fault};
use super::pb::{buffer, cors as pb_cors, google, hcm, http_fault, local_ratelimit, route};
use super::wire;
use google::Any;
use hcm::http_filter::ConfigType;
use prost::Name;
use std::collections::{BTreeMap, HashMap};
use weir_model::Filters;
use weir_model::node::Target;

const CORS: &str = "envoy.filters.http.cors";
const LIMITS: &str = "envoy.filters.http.local_ratelimit";
const FAULT: &str = "envoy.filters.http.fault";
const BUFFER: &str = "envoy.filters.http.buffer";

/// How often a map is made anew until it iterates in the order of its keys.
const ATTEMPTS: usize = 200_000;

/// What a virtual host or a route says of filters, beside what others of its parts say of theirs. gRPC would refuse what it does not know.
pub(super) fn encode(
    filters: Option<&Filters>,
    others: HashMap<String, Any>,
    target: Target,
) -> HashMap<String, Any> {
    let mut entries: Vec<(&str, Any)> =
        others.iter().map(|(name, config)| (name.as_str(), config.clone())).collect();
    let Some(filters) = filters.filter(|_| target != Target::Grpc) else { return in_order(entries) };
    if let Some(cors) = &filters.cors {
        entries.push((CORS, if cors.origins.is_empty() { off() } else { wire::pack(&cors::encode(cors)) }));
    }
    if let Some(fault) = &filters.fault {
        let nothing = fault.delay.is_none() && fault.abort.is_none();
        entries.push((FAULT, if nothing { off() } else { wire::pack(&faults::encode(fault)) }));
    }
    if let Some(limits) = &filters.limits {
        entries.push((LIMITS, if limits.is_empty() { off() } else { wire::pack(&limits::encode(limits)) }));
    }
    if let Some(limit) = filters.body {
        entries.push((BUFFER, wire::pack(&body::of_route(limit))));
    }
    in_order(entries)
}

/// Takes away what a wider level says.
fn off() -> Any {
    wire::pack(&route::FilterConfig { disabled: true, ..route::FilterConfig::default() })
}

/// A map is written in the order in which it iterates, and equal resources are to be equal bytes: of a few entries, some map has them in
/// order.
fn in_order(entries: Vec<(&str, Any)>) -> HashMap<String, Any> {
    let mut map = HashMap::new();
    for _ in 0..ATTEMPTS {
        map = entries.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect();
        if map.keys().is_sorted() {
            break;
        }
    }
    map
}

/// What a virtual host or a route says of filters, but for `others`, which other parts of it have read.
pub(super) fn decode(configs: &HashMap<String, Any>, others: &[&str]) -> Check<Option<Box<Filters>>> {
    let mut filters = Filters::default();
    let own = configs.iter().filter(|(name, _)| !others.contains(&name.as_str()));
    for (name, config) in own.collect::<BTreeMap<_, _>>() {
        from_config(name, config, &mut filters)
            .at(&format!("typed_per_filter_config[{:?}]", wire::cut(name)))?;
    }
    Ok((!filters.is_empty()).then(|| Box::new(filters)))
}

fn from_config(name: &str, config: &Any, filters: &mut Filters) -> Check<()> {
    if config.type_url != route::FilterConfig::type_url() {
        return match from_known(config, filters)? {
            true => Ok(()),
            false => Err(unknown(config)),
        };
    }
    let wrapped: route::FilterConfig = wire::unpack(config)?;
    match (&wrapped.config, wrapped.disabled) {
        (_, true) => match name {
            CORS => filters.cors = Some(weir_model::Cors::default()),
            FAULT => filters.fault = Some(weir_model::Fault::default()),
            LIMITS => filters.limits = Some(weir_model::RateLimits::default()),
            BUFFER => filters.body = Some(weir_model::BodyLimit::Off),
            // A filter that there is not, and that is not wanted.
            _ => {}
        },
        (Some(config), false) => {
            if !from_known(config, filters).at("config")? && !wrapped.is_optional {
                return Err(unknown(config)).at("config");
            }
        }
        (None, false) => return Err(Fault::of("config", "missing")),
    }
    Ok(())
}

/// Whether it is a filter that weir knows.
fn from_known(config: &Any, filters: &mut Filters) -> Check<bool> {
    if config.type_url == pb_cors::CorsPolicy::type_url() {
        filters.cors = Some(cors::decode(&wire::unpack(config)?)?);
    } else if config.type_url == http_fault::HttpFault::type_url() {
        filters.fault = Some(faults::decode(&wire::unpack(config)?)?);
    } else if config.type_url == local_ratelimit::LocalRateLimit::type_url() {
        filters.limits = Some(limits::decode(&wire::unpack(config)?)?);
    } else if config.type_url == buffer::Buffer::type_url() {
        filters.body = Some(body::decode(&wire::unpack(config)?)?);
    } else if config.type_url == buffer::BufferPerRoute::type_url() {
        filters.body = Some(body::from_route(&wire::unpack(config)?)?);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn unknown(config: &Any) -> Fault {
    let kind = wire::cut(&config.type_url);
    Fault::new(format!("the filter {kind:?} is not supported; leave it out, or say that it is optional"))
}

/// The filters of a listener but for the router.
pub(super) fn encode_chain(filters: Option<&Filters>, target: Target) -> Vec<hcm::HttpFilter> {
    let limits = filters.and_then(|filters| filters.limits.as_ref()).map(limits::encode);
    let fault = filters.and_then(|filters| filters.fault.as_ref()).map(faults::encode);
    if target == Target::Grpc {
        return Vec::new();
    }
    let bytes = match filters.and_then(|filters| filters.body) {
        Some(weir_model::BodyLimit::Bytes(bytes)) => Some(bytes),
        Some(weir_model::BodyLimit::Off) | None => None,
    };
    if target != Target::Envoy {
        let limits = limits.map(|limits| filter(LIMITS, wire::pack(&limits), false));
        let fault = fault.map(|fault| filter(FAULT, wire::pack(&fault), false));
        let body = bytes.map(|bytes| filter(BUFFER, wire::pack(&body::encode(bytes)), false));
        return limits.into_iter().chain(fault).chain(body).collect();
    }
    let (no_limits, no_fault) = (limits.is_none(), fault.is_none());
    vec![
        filter(CORS, wire::pack(&pb_cors::Cors {}), true),
        filter(LIMITS, wire::pack(&limits.unwrap_or_else(limits::nothing)), no_limits),
        filter(FAULT, wire::pack(&fault.unwrap_or_default()), no_fault),
        filter(BUFFER, wire::pack(&body::encode(bytes.unwrap_or(body::ANY))), bytes.is_none()),
    ]
}

fn filter(name: &str, config: Any, disabled: bool) -> hcm::HttpFilter {
    let (name, config_type) = (name.to_owned(), Some(ConfigType::TypedConfig(config)));
    hcm::HttpFilter { name, config_type, disabled, ..hcm::HttpFilter::default() }
}

/// Whether a filter of a listener's chain is one of these; what it says is taken.
pub(super) fn from_chain(config: &Any, filters: &mut Filters) -> Check<bool> {
    if config.type_url == pb_cors::Cors::type_url() {
        // Everything it does is for routes to say.
        return Ok(true);
    }
    let before = (filters.limits.is_some(), filters.fault.is_some(), filters.body.is_some());
    if !from_known(config, filters)? {
        return Ok(false);
    }
    if before.0 && config.type_url == local_ratelimit::LocalRateLimit::type_url()
        || before.1 && config.type_url == http_fault::HttpFault::type_url()
        || before.2 && config.type_url == buffer::Buffer::type_url()
    {
        return Err(Fault::new("a filter of this type is there already; only one is supported"));
    }
    // One that does nothing is there for routes to configure.
    filters.limits.take_if(|limits| limits.is_empty());
    filters.fault.take_if(|fault| fault.delay.is_none() && fault.abort.is_none());
    Ok(true)
}
