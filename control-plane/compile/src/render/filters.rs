//! What is done with requests besides, as lines.

use super::{Lines, percent, time};
use weir_model::{AbortAnswer, BodyLimit, Filters, LimitKey, StringMatch, TokenBucket};

/// The lines of what one level says.
pub(super) fn filters(out: &mut Lines, indent: usize, it: Option<&Filters>) {
    let Some(it) = it else { return };
    if let Some(limits) = &it.limits {
        if limits.is_empty() {
            out.line(indent, "no limits");
        }
        let answer = if limits.exhausted { ", gRPC exhausted" } else { "" };
        let together = if limits.shared { ", together" } else { "" };
        let answer = format!("else {}{answer}{together} [{}]", limits.status.as_u16(), limits.name);
        if let Some(bucket) = &limits.all {
            out.line(indent, format_args!("limit {}, {answer}", rate(bucket)));
        }
        for limit in &limits.keyed {
            let by = match &limit.key {
                LimitKey::Header(name) => format!("header {name}"),
                LimitKey::SourceAddress => "source address".to_owned(),
            };
            out.line(indent, format_args!("limit by {by} {}, {answer}", rate(&limit.bucket)));
        }
    }
    match it.body {
        Some(BodyLimit::Bytes(bytes)) => out.line(indent, format_args!("bodies of at most {bytes} bytes")),
        Some(BodyLimit::Off) => out.line(indent, "bodies of any size"),
        None => {}
    }
    if let Some(fault) = &it.fault {
        let of = fault.headers.iter().map(|header| match &header.value {
            StringMatch::Exact(text) => format!(" with {}={text}", header.name),
            StringMatch::Regex(text) => format!(" with {}~{text}", header.name),
            StringMatch::Present => format!(" with {}", header.name),
        });
        let of: String = of.collect();
        if let Some(delay) = &fault.delay {
            out.line(
                indent,
                format_args!("delay {}{of} by {}", percent(delay.fraction.0), time(delay.duration)),
            );
        }
        if let Some(abort) = &fault.abort {
            let answer = match abort.answer {
                AbortAnswer::Http(status) => status.as_u16().to_string(),
                AbortAnswer::Grpc(status) => format!("grpc {status}"),
            };
            out.line(indent, format_args!("abort {}{of} with {answer}", percent(abort.fraction.0)));
        }
        if fault.delay.is_none() && fault.abort.is_none() {
            out.line(indent, "no faults");
        }
    }
    if let Some(cors) = &it.cors {
        if cors.origins.is_empty() {
            out.line(indent, "no CORS");
        }
        for origin in &cors.origins {
            let origin = match origin {
                StringMatch::Exact(text) => text.clone(),
                StringMatch::Regex(text) => format!("~{text}"),
                StringMatch::Present => "any".to_owned(),
            };
            let methods: Vec<&str> = cors.methods.iter().map(http::Method::as_str).collect();
            let names = |names: &[weir_model::HeaderName]| {
                names.iter().map(weir_model::HeaderName::as_str).collect::<Vec<_>>().join(" ")
            };
            let credentials = if cors.credentials { ", credentials" } else { "" };
            let age = cors.max_age.map(|age| format!(", for {}", time(age))).unwrap_or_default();
            out.line(
                indent,
                format_args!(
                    "CORS {origin}: methods {}; headers {}; expose {}{credentials}{age}",
                    methods.join(" "),
                    names(&cors.headers),
                    names(&cors.expose)
                ),
            );
        }
    }
}

fn rate(it: &TokenBucket) -> String {
    format!("{} in {}, {} at once", it.requests, time(it.interval), it.burst)
}
