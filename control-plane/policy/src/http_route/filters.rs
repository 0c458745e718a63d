//! `HTTPRouteFilter`: header changes, redirects, rewrites, mirrors, CORS, and references to weir's own.

mod cors;
mod extension;
mod mirror;

use super::matches::{check_path, is_token};
use crate::RouteParent;
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty};
use crate::scalar::is_subdomain;
use http::StatusCode;
use serde_json::{Value, json};
use weir_model::mesh::HttpFilters;
use weir_model::{HeaderMutation, HeaderName, HeaderValue, PathRewrite, Redirect};

// The bounds of the Gateway API's CRD.
const FILTERS: usize = 16;
const HEADERS: usize = 16;
const HEADER_VALUE: usize = 4096;

/// Header fields that frame the message or name its target: changing them as text would break it, or smuggle another one into it.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const LATER_MEND: &str = "leave it out";

const FILTER: Schema = Schema {
    known: &[
        "type",
        "requestHeaderModifier",
        "responseHeaderModifier",
        "requestRedirect",
        "urlRewrite",
        "requestMirror",
        "cors",
        "extensionRef",
    ],
    later: &[("externalAuth", LATER_MEND)],
    ignored: &[],
};

/// Types of filter, each with its field.
const TYPES: [(&str, &str); 7] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("RequestMirror", "requestMirror"),
    ("CORS", "cors"),
    ("ExtensionRef", "extensionRef"),
];

const LATER: [&str; 2] = ["ExternalAuth", "DirectResponse"];

/// Where references of filters are read from, and which services of other namespaces they may name.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) namespace: &'a str,
    pub(super) parents: &'a [RouteParent],
}

pub(super) fn read(at: &At<'_>, scope: Scope<'_>) -> Option<HttpFilters> {
    let mut filters = HttpFilters::default();
    let (mut seen, mut complete) = (Vec::new(), true);
    for at in at.list(0..=FILTERS)? {
        match read_filter(&at, scope, &mut filters) {
            // Types that may be there several times.
            Some("RequestMirror" | "ExtensionRef") => {}
            Some(kind) if seen.contains(&kind) => {
                at.error(format!("there is a filter {kind} already"), "merge the two into one");
            }
            Some(kind) => seen.push(kind),
            None => complete = false,
        }
    }
    complete.then_some(filters)
}

fn read_filter(at: &At<'_>, scope: Scope<'_>, filters: &mut HttpFilters) -> Option<&'static str> {
    let filter = at.object(&FILTER)?;
    let (kind_at, text) = filter.required_text("type", "write one, such as RequestHeaderModifier")?;
    let Some((kind, field)) = TYPES.into_iter().find(|(kind, _)| *kind == text) else {
        match LATER.contains(&text) {
            true => kind_at.error(format!("a filter of type {text} is not supported yet"), LATER_MEND),
            false => kind_at.not_one_of(text, &TYPES.map(|(kind, _)| kind)),
        }
        return None;
    };
    for (other, other_field) in TYPES {
        if let Some(at) = filter.get(other_field).filter(|_| other != kind) {
            at.error(
                format!("a filter of type {kind} has no {other_field}"),
                format!("write a filter of type {other} for it"),
            );
        }
    }
    let at = filter.required(field, &format!("say what the {kind} does"))?;
    match kind {
        "RequestHeaderModifier" => filters.request_headers = read_mutation(&at)?,
        "ResponseHeaderModifier" => filters.response_headers = read_mutation(&at)?,
        "RequestRedirect" => filters.redirect = Some(read_redirect(&at)?),
        "RequestMirror" => filters.mirrors.push(mirror::read(&at, scope)?),
        "CORS" => filters.cors = Some(cors::read(&at)?),
        "ExtensionRef" => extension::read(&at, scope, &mut filters.extensions)?,
        _ => (filters.rewrite_host, filters.rewrite_path) = read_rewrite(&at)?,
    }
    Some(kind)
}

fn read_mutation(at: &At<'_>) -> Option<HeaderMutation> {
    let mutation = at.object(&Schema::of(&["set", "add", "remove"]))?;
    let set = read_headers(&mutation, "set");
    let add = read_headers(&mutation, "add");
    let remove = match mutation.get("remove") {
        Some(at) => at.list(0..=HEADERS).and_then(|elements| {
            let names: Vec<_> = elements.iter().map(|at| read_name(at, at.text()?)).collect();
            names.into_iter().collect()
        }),
        None => Some(Vec::new()),
    };
    let mutation = HeaderMutation { set: set?, add: add?, remove: remove?, edits: None };
    if mutation.is_empty() {
        at.warning("the filter changes nothing", "remove it");
    }
    Some(mutation)
}

fn read_headers(mutation: &Fields<'_>, field: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Some(at) = mutation.get(field) else { return Some(Vec::new()) };
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let mut complete = true;
    for at in at.list(0..=HEADERS)? {
        match read_header(&at) {
            Some((name, _)) if headers.iter().any(|(known, _)| *known == name) => {
                at.error(format!("{name} is there twice"), "join the values by a comma");
            }
            Some(header) => headers.push(header),
            None => complete = false,
        }
    }
    complete.then_some(headers)
}

fn read_header(at: &At<'_>) -> Option<(HeaderName, HeaderValue)> {
    let header = at.object(&Schema::of(&["name", "value"]))?;
    let name = header.required_text("name", "add a name").and_then(|(at, text)| read_name(&at, text));
    let value = header.required_text("value", "add a value").and_then(|(at, text)| {
        // Blanks at the ends are not part of a field's value (RFC 9110, section 5.5).
        let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t');
        let good = visible && text.trim() == text && text.len() <= HEADER_VALUE;
        let value = if good { HeaderValue::from_str(text).ok() } else { None };
        if value.is_none() {
            let mend = "use visible ASCII characters, at most 4096, without blanks at the ends";
            at.error(format!("{} is not the value of a header", excerpt(at.value())), mend);
        }
        value
    });
    Some((name?, value?))
}

fn read_name(at: &At<'_>, text: &str) -> Option<HeaderName> {
    let name = if is_token(text) { text.parse::<HeaderName>().ok() } else { None };
    let Some(name) = name else {
        at.error(format!("{} is not a header's name", excerpt(at.value())), "use letters, digits and '-'");
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        let mend =
            if name == "host" { "use a URLRewrite filter with a hostname" } else { "leave it to the proxy" };
        at.error(format!("{name} cannot be changed by a filter"), mend);
        return None;
    }
    Some(name)
}

fn read_hostname(fields: &Fields<'_>) -> Option<Option<String>> {
    let Some((at, text)) = fields.get_text("hostname") else { return Some(None) };
    let good = is_subdomain(text);
    if !good {
        at.error(
            format!("{} is not a host name", excerpt(at.value())),
            "write one such as reviews.example.com",
        );
    }
    good.then(|| Some(text.to_owned()))
}

fn read_modifier(fields: &Fields<'_>) -> Option<Option<PathRewrite>> {
    let Some(at) = fields.get("path") else { return Some(None) };
    let modifier = at.object(&Schema::of(&["type", "replaceFullPath", "replacePrefixMatch"]))?;
    let types = [("ReplaceFullPath", true), ("ReplacePrefixMatch", false)];
    let full = modifier
        .required_text("type", "write ReplaceFullPath or ReplacePrefixMatch")
        .and_then(|(at, _)| at.word(&types))?;
    let (field, other) = match full {
        true => ("replaceFullPath", "replacePrefixMatch"),
        false => ("replacePrefixMatch", "replaceFullPath"),
    };
    if let Some(at) = modifier.get(other) {
        at.error(format!("{other} does not go with this type"), format!("write {field}"));
    }
    let at = modifier.required(field, "write the path that takes its place")?;
    let text = at.text()?;
    // A prefix may be replaced by nothing.
    let good = (!full && text.is_empty()) || check_path(&at, text);
    good.then(|| {
        Some(match (full, text.trim_end_matches('/')) {
            (true, _) => PathRewrite::Full(text.to_owned()),
            // Whole segments are replaced, so a slash at the end means nothing.
            (false, "") => PathRewrite::Prefix("/".to_owned()),
            (false, prefix) => PathRewrite::Prefix(prefix.to_owned()),
        })
    })
}

fn read_redirect(at: &At<'_>) -> Option<Redirect> {
    let redirect = at.object(&Schema::of(&["scheme", "hostname", "path", "port", "statusCode"]))?;
    let scheme = match redirect.get_text("scheme") {
        Some((at, _)) => {
            at.word(&[("http", "http"), ("https", "https")]).map(|scheme| Some(scheme.to_owned()))
        }
        None => Some(None),
    };
    let port = match redirect.get("port") {
        Some(at) => at.port().map(Some),
        None => Some(None),
    };
    let status = match redirect.get("statusCode") {
        Some(at) => at.integer(300..=399).and_then(|status| {
            let allowed = [301, 302, 303, 307, 308].contains(&status);
            if !allowed {
                at.error(
                    format!("{status} is not the status of a redirect"),
                    "write 301, 302, 303, 307 or 308",
                );
            }
            u16::try_from(status)
                .ok()
                .filter(|_| allowed)
                .and_then(|status| StatusCode::from_u16(status).ok())
        }),
        None => Some(StatusCode::FOUND),
    };
    let (host, path) = (read_hostname(&redirect), read_modifier(&redirect));
    Some(Redirect {
        scheme: scheme?,
        host: host?,
        port: port?,
        path: path?,
        status: status?,
        strip_query: false,
    })
}

fn read_rewrite(at: &At<'_>) -> Option<(Option<String>, Option<PathRewrite>)> {
    let rewrite = at.object(&Schema::of(&["hostname", "path"]))?;
    let (host, path) = (read_hostname(&rewrite), read_modifier(&rewrite));
    let (host, path) = (host?, path?);
    if host.is_none() && path.is_none() {
        at.warning("the filter rewrites nothing", "remove it, or add a hostname or a path");
    }
    Some((host, path))
}

pub(super) fn write(filters: &HttpFilters, namespace: &str) -> Vec<Value> {
    let filter =
        |kind: &str, field: &str, value: Value| fields([("type", Some(json!(kind))), (field, Some(value))]);
    let mut written = Vec::new();
    for (index, mutation) in [&filters.request_headers, &filters.response_headers].into_iter().enumerate() {
        let (kind, field) = TYPES[index];
        if !mutation.is_empty() {
            written.push(filter(kind, field, write_mutation(mutation)));
        }
    }
    if let Some(redirect) = &filters.redirect {
        written.push(filter("RequestRedirect", "requestRedirect", write_redirect(redirect)));
    }
    if filters.rewrite_host.is_some() || filters.rewrite_path.is_some() {
        let host = filters.rewrite_host.as_ref().map(|host| json!(host));
        let rewrite =
            fields([("hostname", host), ("path", filters.rewrite_path.as_ref().map(write_modifier))]);
        written.push(filter("URLRewrite", "urlRewrite", rewrite));
    }
    if let Some(cors) = &filters.cors {
        written.push(filter("CORS", "cors", cors::write(cors)));
    }
    for mirror in &filters.mirrors {
        written.push(filter("RequestMirror", "requestMirror", mirror::write(mirror, namespace)));
    }
    for name in &filters.extensions {
        written.push(filter("ExtensionRef", "extensionRef", extension::write(name)));
    }
    written
}

fn write_mutation(mutation: &HeaderMutation) -> Value {
    let headers = |headers: &[(HeaderName, HeaderValue)]| {
        let header = |(name, value): &(HeaderName, HeaderValue)| json!({"name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes())});
        non_empty(headers.iter().map(header).collect())
    };
    let remove = mutation.remove.iter().map(|name| json!(name.as_str())).collect();
    fields([("set", headers(&mutation.set)), ("add", headers(&mutation.add)), ("remove", non_empty(remove))])
}

fn write_modifier(path: &PathRewrite) -> Value {
    match path {
        PathRewrite::Full(path) => json!({"type": "ReplaceFullPath", "replaceFullPath": path}),
        // Only what other control planes say is in characters.
        PathRewrite::Prefix(path) | PathRewrite::Characters(path) => {
            json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": path})
        }
        // Only other control planes say it; what is read of policy never has it.
        PathRewrite::Substitute(_) => json!({"type": "ReplaceFullPath"}),
    }
}

fn write_redirect(redirect: &Redirect) -> Value {
    fields([
        ("scheme", redirect.scheme.as_ref().map(|scheme| json!(scheme))),
        ("hostname", redirect.host.as_ref().map(|host| json!(host))),
        ("path", redirect.path.as_ref().map(write_modifier)),
        ("port", redirect.port.map(|port| json!(port))),
        ("statusCode", Some(json!(redirect.status.as_u16()))),
    ])
}
