//! Which name a request means: the canonical form of `Host` and `:authority`.
//!
//! Two authorities that name the same thing must look up the same virtual host and the same subscription, so both are looked up
//! in this form. Whether a name exists is not judged here; whether it is one at all is ([`is_valid`]).

use std::borrow::Cow;

/// The authority in lower case and without the trailing dot of a fully qualified name; otherwise as the request has it, port
/// included. `Reviews.Default.:9080` becomes `reviews.default:9080`. Borrows when nothing changes.
pub fn normalize(authority: &str) -> Cow<'_, str> {
    let (host, port) = divide(authority);
    let dotted = host.len() > 1 && host.ends_with('.');
    let upper = authority.bytes().any(|byte| byte.is_ascii_uppercase());
    match (dotted, upper) {
        (false, false) => Cow::Borrowed(authority),
        (true, false) if port.is_empty() => Cow::Borrowed(&host[..host.len() - 1]),
        _ => {
            let mut name = String::with_capacity(authority.len());
            name.push_str(host.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(host));
            name.push_str(port);
            name.make_ascii_lowercase();
            Cow::Owned(name)
        }
    }
}

/// Whether this is a host and at most a port (RFC 3986 section 3.2): no user information, which has no place in a request (RFC 9110
/// section 4.2.4), nothing that another reader could take for a path or a list of hosts, and no address of IPv6 without brackets.
pub fn is_valid(authority: &str) -> bool {
    let port = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_address(address) => port,
            _ => return false,
        },
        None => {
            let end = authority.bytes().position(|byte| !is_of_name(byte)).unwrap_or(authority.len());
            if end == 0 {
                return false;
            }
            &authority[end..]
        }
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    (port.is_empty() || port.len() > digits.len())
        && digits.len() <= 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The characters of a registered name, but for the comma, which some readers take for the end of one of several.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

fn is_address(address: &str) -> bool {
    let (address, zone) = address.split_once('%').unwrap_or((address, ""));
    address.parse::<std::net::Ipv6Addr>().is_ok() && zone.bytes().all(is_of_name)
}

/// Host and port of an authority. The port is absent when there is none or it is not a number; an IPv6 address keeps its
/// brackets. What is not a port stays with neither: `host:` and `host:http` have the host `host`.
pub fn split(authority: &str) -> (&str, Option<u16>) {
    let (host, port) = divide(authority);
    let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    (host, digits.and_then(|digits| digits.parse().ok()))
}

/// The authority without its port.
pub fn host(authority: &str) -> &str {
    divide(authority).0
}

/// Host, and everything from the colon before the port on (empty without one). A colon inside an IPv6 address is not one, with
/// brackets or without.
fn divide(authority: &str) -> (&str, &str) {
    match authority.rfind(':') {
        Some(colon) if authority.starts_with('[') => {
            if authority[..colon].ends_with(']') {
                authority.split_at(colon)
            } else {
                (authority, "")
            }
        }
        Some(colon) if !authority[..colon].contains(':') => authority.split_at(colon),
        _ => (authority, ""),
    }
}

#[cfg(test)]
mod tests;
