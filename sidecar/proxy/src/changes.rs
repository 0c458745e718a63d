//! What a route changes in the fields of requests and responses (beside stages 12 and 13).
//!
//! A policy's changes are fixed values: the route's, then its target's in requests, the other way round in responses. Other control planes
//! have more of them (on virtual hosts, on whole configurations), in Envoy's order, and values that are made for each request of what access
//! logs can say of it; those are looked at only where a route has them ([`weir_config::More`]).

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use weir_config::{Forward, Host, Levels, More, Route, Target};
use weir_decide::{authority, header};
use weir_model::HeaderMutation;
use weir_model::access_log::{LogField, Template};
use weir_telemetry::access_log::{AccessRecord, Layout, Seen};
use weir_telemetry::span::Text;

use crate::exchange::Exchange;
use crate::pinned::WorkerCluster;
use crate::reject::Kind;
use crate::telemetry::Recording;
use crate::upstream;

/// Which attempt a request is, and how many there were, by Envoy's name.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Keeps of a request what values in its response will be made of.
pub(crate) fn see<B>(exchange: &mut Exchange, route: &Route, request: &Request<B>) {
    let Some(more) = route.more.as_deref().filter(|more| !more.wanted.is_empty()) else { return };
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    exchange.extra().asked = keep(more, Asked { method, uri, headers });
}

/// Makes the changes of a route and its target in a request.
pub(crate) fn request(exchange: &Exchange, route: &Route, target: &Target, head: &mut Parts) {
    if let Some(more) = &route.more {
        return request_besides(exchange, (route, more), target, head);
    }
    let Parts { method, uri, headers, .. } = head;
    let asked = (&*method, &*uri);
    if let Some(changes) = &route.request_headers {
        in_request(changes, headers, asked, exchange);
    }
    in_request(&target.request_headers, headers, asked, exchange);
}

/// The same, where the route does more.
fn request_besides(exchange: &Exchange, (route, more): (&Route, &More), target: &Target, head: &mut Parts) {
    if more.tell_attempts {
        head.headers.insert(ATTEMPTS, HeaderValue::from(exchange.retries + 1));
    }
    let Parts { method, uri, headers, .. } = head;
    let asked = (&*method, &*uri);
    match &more.levels {
        Some(Levels { request, .. }) => {
            in_request(&target.request_headers, headers, asked, exchange);
            request.iter().for_each(|changes| in_request(changes, headers, asked, exchange));
        }
        None => {
            if let Some(changes) = &route.request_headers {
                in_request(changes, headers, asked, exchange);
            }
            in_request(&target.request_headers, headers, asked, exchange);
        }
    }
}

/// Keeps of a request that is ready for its upstream what values in its response will be made of.
pub(crate) fn sent(exchange: &mut Exchange, route: &Route, head: &Parts) {
    let Some(more) = route.more.as_deref().filter(|more| !more.wanted.is_empty()) else { return };
    let Parts { method, uri, headers, .. } = head;
    exchange.extra().asked = keep(more, Asked { method, uri, headers });
}

/// Another attempt follows.
pub(crate) fn another(exchange: &Exchange, route: &Route, head: Option<&mut Parts>) {
    if let (Some(more), Some(head)) = (&route.more, head)
        && more.tell_attempts
    {
        head.headers.insert(ATTEMPTS, HeaderValue::from(exchange.retries + 1));
    }
}

/// Makes the changes of a route, and before it of its chosen target, in a response.
pub(crate) fn response(
    exchange: &Exchange,
    route: &Route,
    target: Option<&Target>,
    status: StatusCode,
    headers: &mut HeaderMap,
) {
    let more = route.more.as_deref();
    if more.is_some_and(|more| more.answer_attempts) && exchange.cluster.is_some() {
        headers.insert(ATTEMPTS, HeaderValue::from(exchange.retries + 1));
    }
    let mut change = |changes: &HeaderMutation| {
        header::apply(changes, headers);
        let Some(edits) = &changes.edits else { return };
        header::edit(edits, headers, |template, headers| {
            let asked = exchange.extra.as_ref().map(|extra| &*extra.asked).unwrap_or_default();
            let wanted = more.map(|more| &*more.wanted).unwrap_or_default();
            let of_request = |field: &LogField| {
                let place = wanted.iter().position(|wanted| wanted == field)?;
                asked.get(place)?.clone()
            };
            let of_response = |field: &LogField| match field {
                LogField::Status => Some(Text::new(status.as_str())),
                field => of_headers(field, headers),
            };
            say(exchange, Some(status), template, of_request, of_response)
        });
    };
    if let Some(target) = target {
        change(&target.response_headers);
    }
    if let Some(changes) = &route.response_headers {
        change(changes);
    }
    if let Some(Levels { response, .. }) = more.and_then(|more| more.levels.as_ref()) {
        response.iter().for_each(|changes| change(changes));
    }
}

/// The authority that is sent upstream, where it is not the request's; the request's is appended to `X-Forwarded-Host`, where the route asks
/// for that.
pub(crate) fn host<'a>(
    route: &'a Route,
    forward: &'a Forward,
    head: &mut Parts,
) -> Result<Option<Cow<'a, str>>, Kind> {
    let literal = forward.rewrite.host.as_deref().map(Cow::Borrowed);
    let Some(more) = route.more.as_deref() else { return Ok(literal) };
    let host = match &more.host {
        None => literal,
        Some(Host::Header(name)) => match head.headers.get(name).filter(|value| !value.is_empty()) {
            Some(value) => Some(Cow::Owned(value.to_str().map_err(|_| NO_HOST)?.to_owned())),
            None => None,
        },
        Some(Host::Path(change)) => Some(Cow::Owned(change.apply(head.uri.path()).into_owned())),
        // Whichever that will be.
        Some(Host::Endpoint) => None,
    };
    if let (Some(Cow::Owned(host)), true) = (&host, more.host.is_some())
        && !authority::is_valid(host)
    {
        return Err(NO_HOST);
    }
    if host.is_some() && more.forwarded_host {
        append_host(head);
    }
    Ok(host)
}

/// Says the host name of the endpoint that an attempt goes to, where the route asks for that and the endpoint has one.
pub(crate) fn at_endpoint(
    route: &Route,
    cluster: &WorkerCluster,
    endpoint: usize,
    head: Option<&mut Parts>,
) -> Result<(), Kind> {
    let Some(more) = &route.more else { return Ok(()) };
    let (Some(Host::Endpoint), Some(head)) = (&more.host, head) else { return Ok(()) };
    let assigned = cluster.config.assignment().and_then(|assigned| assigned.iter().nth(endpoint));
    let details = assigned.and_then(|(_, endpoint)| endpoint.details.as_ref());
    let Some(details) = details.filter(|details| !details.hostname.is_empty()) else { return Ok(()) };
    if more.forwarded_host {
        append_host(head);
    }
    upstream::say_host(head, &details.hostname)
}

const NO_HOST: Kind = Kind::Malformed("what its route makes its host of is not a host");

/// Appends the authority to `X-Forwarded-Host`, unless that ends in it.
fn append_host(head: &mut Parts) {
    let of_target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let Some(host) = of_target.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes)) else { return };
    let said = header::joined(&head.headers, &FORWARDED_HOST);
    let last = said.as_deref().and_then(|said| said.split(|byte| *byte == b',').rfind(|one| !one.is_empty()));
    if last == Some(host) {
        return;
    }
    let joined = match &said {
        Some(said) if !said.is_empty() => [said, &b","[..], host].concat(),
        _ => host.to_vec(),
    };
    // What is put together of valid values is one.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        head.headers.insert(FORWARDED_HOST, joined);
    }
}

/// What is looked at of a request.
struct Asked<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    fn field(&self, field: &LogField) -> Option<Text> {
        match field {
            LogField::Method => Some(Text::new(self.method.as_str())),
            LogField::Path => Some(Text::new(self.uri.path_and_query().map_or("/", PathAndQuery::as_str))),
            LogField::Authority => match self.uri.authority() {
                Some(authority) => Some(Text::new(authority.as_str())),
                None => of_headers(&LogField::Header(HOST), self.headers),
            },
            LogField::Scheme => Some(Text::new_static("http")),
            field => of_headers(field, self.headers),
        }
    }
}

fn keep(more: &More, asked: Asked<'_>) -> Box<[Option<Text>]> {
    more.wanted.iter().map(|field| asked.field(field)).collect()
}

/// A header field, of several of one name the first, as Envoy has it.
fn of_headers(field: &LogField, headers: &HeaderMap) -> Option<Text> {
    let LogField::Header(name) = field else { return None };
    Some(Text::from(String::from_utf8_lossy(headers.get(name)?.as_bytes())))
}

fn in_request(
    changes: &HeaderMutation,
    headers: &mut HeaderMap,
    (method, uri): (&Method, &Uri),
    exchange: &Exchange,
) {
    header::apply(changes, headers);
    let Some(edits) = &changes.edits else { return };
    header::edit(edits, headers, |template, headers| {
        let asked = Asked { method, uri, headers };
        say(exchange, None, template, |field| asked.field(field), |_| None)
    });
}

/// What a template comes to now; what has no value is left out. `None` if it cannot stand in a header field.
fn say(
    exchange: &Exchange,
    status: Option<StatusCode>,
    template: &Template,
    of_request: impl Fn(&LogField) -> Option<Text>,
    of_response: impl Fn(&LogField) -> Option<Text>,
) -> Option<HeaderValue> {
    let layout = Layout::asking(template);
    let seen = Seen {
        request: layout.request().iter().map(of_request).collect(),
        response: layout.response().iter().map(of_response).collect(),
        trailers: vec![],
    };
    let record = AccessRecord::Http(Recording::so_far(exchange, status));
    HeaderValue::try_from(layout.text(template, &record, &seen)).ok()
}
