//! Whether a message means the same to everybody (stage 5), asked of requests before they are routed and of HTTP/1 responses
//! before they are passed on.
//!
//! The codecs refuse what they cannot parse. What they can, and others might read differently, is refused here: two lengths, two
//! hosts, a target whose form does not fit its method (RFC 9110 section 7.1, RFC 9112 sections 3.2 and 6.3, RFC 9113 section
//! 8.3.1). Nothing is copied, and a message without repeated fields pays a few comparisons. Where HTTP/1 bodies end is followed by
//! [`weir_decide::framing`] on the raw bytes; this only asks for its verdict.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Body;
use weir_model::limits;

use crate::downstream::Downstream;
use crate::reject::Kind;

/// Refuses what cannot be forwarded whatever the routes say.
pub(crate) fn request<B>(downstream: &Downstream, request: &Request<B>) -> Result<(), Kind> {
    if let Some(what) = downstream.ambiguous() {
        return Err(Kind::Malformed(what));
    }
    let headers = request.headers();
    // The HTTP/1 parser has its own bound; HTTP/2 knows one in bytes only.
    if headers.len() > limits::HEAD_FIELDS && headers.len() > crate::manner::most_fields(&downstream.limits())
    {
        return Err(Kind::TooManyFields);
    }
    if headers.len() > headers.keys_len() {
        if repeats(headers, &CONTENT_LENGTH) {
            return Err(Kind::Malformed("several Content-Length fields"));
        }
        if repeats(headers, &HOST) {
            return Err(Kind::Malformed("several Host fields"));
        }
    }
    // As in Envoy, only a route that says so takes CONNECT, and there are none.
    if *request.method() == Method::CONNECT {
        return Err(Kind::NoRoute);
    }
    target(request)
}

/// Whether the target has one of the forms that its method may have, and no other host beside it.
fn target<B>(request: &Request<B>) -> Result<(), Kind> {
    let uri = request.uri();
    let path = uri.path();
    if path == "*" {
        if *request.method() != Method::OPTIONS {
            return Err(Kind::Malformed("only OPTIONS has the target *"));
        }
    } else if !path.starts_with('/') {
        return Err(Kind::Malformed("its target is neither a path nor a URL"));
    }
    let Some(authority) = uri.authority() else { return Ok(()) };
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
        Some(_) => return Err(Kind::Malformed("its scheme is neither http nor https")),
        None => return Err(Kind::Malformed("its target is neither a path nor a URL")),
    }
    match request.headers().get(HOST) {
        // Of HTTP/1.1 a Host is asked even where it does not count; HTTP/2 has its own word for it.
        None if request.version() == Version::HTTP_11 => Err(Kind::Malformed("no Host")),
        Some(host)
            if request.version() == Version::HTTP_2
                && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Kind::Malformed("Host is not its authority"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a response over HTTP/1 whose end others could see elsewhere.
pub(crate) fn response<B: Body>(response: &Response<B>) -> Result<(), Kind> {
    let headers = response.headers();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    // The body has no length of its own if it is chunked, or ends with the connection.
    let open = response.body().size_hint().exact().is_none();
    match (lengths.next(), lengths.next()) {
        (None, _) if !open => Ok(()),
        (None, _) => {
            let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
            match (codings.next(), codings.next()) {
                (None, _) => Ok(()),
                (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
                (Some(_), _) => Err(Kind::Protocol),
            }
        }
        (Some(length), None) if !open && length.as_bytes().iter().all(u8::is_ascii_digit) => Ok(()),
        (Some(_), _) => Err(Kind::Protocol),
    }
}

fn repeats(headers: &HeaderMap, name: &http::HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

#[cfg(test)]
mod tests;
