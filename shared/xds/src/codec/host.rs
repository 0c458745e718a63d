//! The authority that is sent upstream.

use super::fault::{At, Check, Fault};
use super::pb::{google, route};
use super::{header, rewrite, wire};
use route::route_action::HostRewriteSpecifier;
use weir_model::{HostRewrite, HostSource, Rewrite};

/// How an action says it.
pub(super) fn encode(change: &Rewrite) -> Option<HostRewriteSpecifier> {
    match change.more.as_ref().and_then(|more| more.source.as_ref()) {
        None => change.host.clone().map(HostRewriteSpecifier::HostRewriteLiteral),
        Some(HostSource::Header(name)) => {
            Some(HostRewriteSpecifier::HostRewriteHeader(name.as_str().to_owned()))
        }
        Some(HostSource::Endpoint) => {
            Some(HostRewriteSpecifier::AutoHostRewrite(google::BoolValue { value: true }))
        }
        Some(HostSource::Path(change)) => Some(HostRewriteSpecifier::HostRewritePathRegex(
            rewrite::substitute(&change.pattern, &change.replacement),
        )),
    }
}

/// What an action says of it; nothing of the path.
pub(super) fn decode(action: &route::RouteAction) -> Check<Rewrite> {
    use HostRewriteSpecifier as Specifier;
    let (host, source) = match &action.host_rewrite_specifier {
        None => return Ok(Rewrite::default()),
        Some(Specifier::HostRewriteLiteral(host)) => (Some(wire::name("host_rewrite_literal", host)?), None),
        Some(Specifier::AutoHostRewrite(auto)) if !auto.value => return Ok(Rewrite::default()),
        Some(Specifier::AutoHostRewrite(_)) => (None, Some(HostSource::Endpoint)),
        Some(Specifier::HostRewriteHeader(name)) => {
            (None, Some(HostSource::Header(header::header_name(name).at("host_rewrite_header")?)))
        }
        Some(Specifier::HostRewritePathRegex(change)) => {
            (None, Some(HostSource::Path(rewrite::from_substitution(change).at("host_rewrite_path_regex")?)))
        }
        Some(Specifier::HostRewrite(_)) => return Err(Fault::unsupported("host_rewrite")),
    };
    // Where nothing is replaced, nothing is appended.
    let more = HostRewrite { source, forwarded: action.append_x_forwarded_host };
    let more = (more != HostRewrite::default()).then(|| Box::new(more));
    Ok(Rewrite { host, path: None, more })
}
