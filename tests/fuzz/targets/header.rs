//! What ends at a hop ends, one form of a path stays that form, and what is rewritten can be sent.
#![no_main]

use arbitrary::Arbitrary;
use http::header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use libfuzzer_sys::fuzz_target;
use weir_decide::path::Outcome;
use weir_decide::redirect::{self, Original};
use weir_decide::{authority, header, hop, path, rewrite};
use weir_model::{EscapedSlashes, HeaderMutation, PathRewrite, Paths, Redirect};

const NAMES: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "content-type",
    "cookie",
    "x-a",
    "x-b",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    fields: Vec<(u8, &'a [u8])>,
    http2: bool,
    status: u16,
    set: Vec<(u8, &'a [u8])>,
    remove: Vec<u8>,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    prefix: Option<&'a str>,
    replacement: (u8, &'a str),
    rules: (u8, bool, bool),
    redirect: (Option<bool>, Option<&'a str>, Option<u16>),
}

fn name(index: u8) -> HeaderName {
    HeaderName::from_static(NAMES[usize::from(index) % NAMES.len()])
}

fn fields(fields: &[(u8, &[u8])]) -> Vec<(HeaderName, HeaderValue)> {
    let field = |(index, value): &(u8, &[u8])| Some((name(*index), HeaderValue::from_bytes(value).ok()?));
    fields.iter().take(32).filter_map(field).collect()
}

fn ended(headers: &HeaderMap) {
    for name in ["keep-alive", "proxy-connection"] {
        assert!(!headers.contains_key(name), "{name} goes on: {headers:?}");
    }
    assert!(!headers.contains_key(TRANSFER_ENCODING), "{headers:?}");
}

fuzz_target!(|input: Input<'_>| {
    let mut original = HeaderMap::new();
    for (name, value) in fields(&input.fields) {
        original.append(name, value);
    }
    let version = if input.http2 { Version::HTTP_2 } else { Version::HTTP_11 };

    let mut request = original.clone();
    hop::request(&mut request, version);
    ended(&request);
    assert!(request.get_all(TE).iter().all(|te| te == "trailers"), "{request:?}");
    if input.http2 {
        assert!(!request.contains_key(CONNECTION) && !request.contains_key(UPGRADE), "{request:?}");
    }
    let once = request.clone();
    hop::request(&mut request, version);
    assert_eq!(once, request, "a second hop changes what the first one left");

    let mut response = original.clone();
    let status = StatusCode::from_u16(input.status).unwrap_or(StatusCode::OK);
    hop::response(&mut response, status, version);
    ended(&response);
    if input.http2 || status != StatusCode::SWITCHING_PROTOCOLS {
        assert!(!response.contains_key(CONNECTION) && !response.contains_key(UPGRADE), "{response:?}");
    }

    let mutation = HeaderMutation {
        set: fields(&input.set),
        add: vec![],
        remove: input.remove.iter().take(8).map(|index| name(*index)).collect(),
        edits: None,
    };
    header::apply(&mutation, &mut original);
    assert!(mutation.remove.iter().all(|name| !original.contains_key(name)));
    for name in NAMES.map(HeaderName::from_static) {
        let count = original.get_all(&name).iter().count();
        assert_eq!(header::joined(&original, &name).is_some(), count > 0);
    }

    let normal = authority::normalize(input.authority);
    // One dot ends a name; two are no name, and stay different.
    if !authority::split(input.authority).0.ends_with("..") {
        assert_eq!(authority::normalize(&normal), normal);
    }
    let (host, _port) = authority::split(input.authority);
    assert!(input.authority.starts_with(host));

    let (slashes, normalize, merge_slashes) = input.rules;
    let escaped_slashes =
        [EscapedSlashes::Keep, EscapedSlashes::Reject, EscapedSlashes::Redirect, EscapedSlashes::Forward]
            [usize::from(slashes) % 4];
    let rules = Paths { escaped_slashes, normalize, merge_slashes };
    if let Outcome::Changed(form) | Outcome::Redirect(form) = path::normalize(input.path, &rules) {
        assert!(form.starts_with('/'));
        assert_eq!(path::normalize(&form, &rules), Outcome::Same, "{:?} became {form:?}", input.path);
    }

    let (kind, replacement) = input.replacement;
    let replacement = match kind % 3 {
        0 => PathRewrite::Full(format!("/{replacement}")),
        1 => PathRewrite::Prefix(format!("/{}", replacement.trim_matches('/'))),
        _ => PathRewrite::Characters(replacement.to_owned()),
    };
    let rewritten = rewrite::path(&replacement, input.path, input.prefix);
    if input.path.starts_with('/') && !matches!(replacement, PathRewrite::Characters(_)) {
        assert!(rewritten.starts_with('/'), "{replacement:?} of {:?} is {rewritten:?}", input.path);
    }
    let target = rewrite::target(&replacement, input.path, input.query, input.prefix);
    assert!(target.starts_with(&*rewritten));

    let (https, host, port) = input.redirect;
    let elsewhere = Redirect {
        scheme: https.map(|https| if https { "https" } else { "http" }.to_owned()),
        host: host.map(str::to_owned),
        port,
        path: Some(replacement),
        status: StatusCode::FOUND,
        strip_query: false,
    };
    let original = Original {
        scheme: "http",
        authority: input.authority,
        path: input.path,
        query: input.query,
        prefix: input.prefix,
        substitute: None,
    };
    if let Ok(location) = redirect::location(&elsewhere, &original) {
        assert!(location.as_bytes().iter().all(|byte| *byte >= b' ' || *byte == b'\t'));
    }
});
