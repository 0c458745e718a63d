//! One parser per kind of value. An error ends with what to write instead.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use weir_config::ControlPlanes;
use weir_model::Fraction;

/// More threads than any machine runs.
const WORKERS: usize = 1024;

/// Collects mistakes, so that they are reported together.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    mistakes: Vec<String>,
}

impl Wanted {
    /// An empty text is none: in a container's manifest a variable is often there and empty.
    pub(super) fn optional<T>(
        &mut self,
        flag: &str,
        text: Option<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        self.parsed(flag, &text, parse)
    }

    /// Gives some value even after a mistake, so that the rest can be looked at; the mistake is reported all the same.
    pub(super) fn required<T: Default>(
        &mut self,
        flag: &str,
        text: String,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.parsed(flag, &text, parse).unwrap_or_default()
    }

    fn parsed<T>(&mut self, flag: &str, text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistake(flag, text, message);
                None
            }
        }
    }

    pub(super) fn each<T>(
        &mut self,
        flag: &str,
        texts: Vec<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        texts.into_iter().filter_map(|text| self.optional(flag, Some(text), &parse)).collect()
    }

    pub(super) fn mistake(&mut self, flag: &str, value: &str, message: String) {
        self.mistakes.push(match value.is_empty() {
            true => format!("{flag}: {message}"),
            false => format!("{flag} {value}: {message}"),
        });
    }

    pub(super) fn is_flawless(&self) -> bool {
        self.mistakes.is_empty()
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<String>> {
        if self.mistakes.is_empty() { Ok(value) } else { Err(self.mistakes) }
    }
}

pub(super) fn control_planes(text: &str, tls: bool) -> Result<ControlPlanes, String> {
    match text {
        "" => Err("is needed: the address of a control plane, HOST:PORT, such as 127.0.0.1:15010".to_owned()),
        _ => ControlPlanes::parse(text, tls),
    }
}

pub(super) fn node_id(text: &str) -> Result<String, String> {
    match text.len() {
        1..=253 if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.to_owned()),
        _ => Err("must be 1 to 253 visible ASCII characters without spaces".to_owned()),
    }
}

/// `NAMESPACE/NAME`; a name alone is in `default`.
pub(super) fn service(text: &str) -> Result<(String, String), String> {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    for part in [namespace, name] {
        if !is_label(part) {
            return Err(format!(
                "{part:?} is not a name: 1 to 63 lower case letters, digits and '-', as in default/reviews"
            ));
        }
    }
    Ok((namespace.to_owned(), name.to_owned()))
}

/// The name of a service account: an RFC 1123 subdomain, as Kubernetes has it.
pub(super) fn service_account(text: &str) -> Result<String, String> {
    match text.len() <= 253 && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a name: up to 253 lower case letters, digits, '-' and '.', as in reviews"
        )),
    }
}

/// RFC 1123 label, as Kubernetes names namespaces and services.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `KEY=VALUE` with Kubernetes' syntax for labels.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("has no '='; write KEY=VALUE, as in version=v1".to_owned());
    };
    let name = match key.split_once('/') {
        Some((prefix, _)) if prefix.is_empty() || !prefix.split('.').all(is_label) => {
            return Err(format!("{prefix:?} is not a domain; write DOMAIN/NAME=VALUE or NAME=VALUE"));
        }
        Some((_, name)) => name,
        None => key,
    };
    if name.is_empty() || !is_label_text(name) {
        return Err(format!("{name:?} is not a label's name: 1 to 63 letters, digits, '-', '_' and '.'"));
    }
    if !is_label_text(value) {
        return Err(format!(
            "{value:?} is not a label's value: at most 63 letters, digits, '-', '_' and '.'"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn is_label_text(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let outer = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().copied().all(inner)
        && bytes.first().is_none_or(outer)
        && bytes.last().is_none_or(outer)
}

/// `[NAME=]LISTEN=APP`.
pub(super) fn inbound(text: &str) -> Result<(String, SocketAddr, SocketAddr), String> {
    let parts: Vec<&str> = text.split('=').map(str::trim).collect();
    let (name, listen, app) = match parts[..] {
        [listen, app] => ("", listen, app),
        [name, listen, app] if is_label(name) => (name, listen, app),
        [name, _, _] => {
            return Err(format!("{name:?} is not a port's name: lower case letters, digits and '-'"));
        }
        _ => return Err("write LISTEN=APP or NAME=LISTEN=APP, as in 10.0.0.7:9080=8080".to_owned()),
    };
    let listen = address(listen, Ipv4Addr::UNSPECIFIED.into())?;
    let app = address(app, Ipv4Addr::LOCALHOST.into())?;
    match app.port() {
        0 => Err("the application's port cannot be 0; write the port on which it listens".to_owned()),
        _ => Ok((name.to_owned(), listen, app)),
    }
}

/// `LISTEN=NAME.NAMESPACE:PORT`.
pub(super) fn outbound_tcp(text: &str) -> Result<(SocketAddr, String), String> {
    let usage = "write LISTEN=NAME.NAMESPACE:PORT, as in 127.0.0.1:5432=postgres.data:5432";
    let (listen, service) = text.split_once('=').ok_or_else(|| format!("has no '='; {usage}"))?;
    let (name, port) = service.rsplit_once(':').ok_or_else(|| format!("the service has no port; {usage}"))?;
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return Err(format!("{port:?} is not a port; {usage}"));
    }
    if !name.split('.').all(is_label) {
        return Err(format!("{name:?} is not a service's name; {usage}"));
    }
    Ok((local(listen.trim())?, service.to_owned()))
}

/// `LISTEN` or `LISTEN=PORT`.
pub(super) fn outbound_tls(text: &str) -> Result<(SocketAddr, u16), String> {
    let (listen, port) = text.split_once('=').unwrap_or((text, "443"));
    match port.parse() {
        Ok(port @ 1..) => Ok((local(listen.trim())?, port)),
        _ => Err(format!("{port:?} is not a port; write LISTEN or LISTEN=PORT, as in 127.0.0.1:15443=443")),
    }
}

/// An address to listen on for this host's own use; a port alone is on 127.0.0.1.
pub(super) fn local(text: &str) -> Result<SocketAddr, String> {
    address(text, Ipv4Addr::LOCALHOST.into())
}

/// `IP:PORT`, `localhost:PORT`, `:PORT` or `PORT`.
fn address(text: &str, without_ip: IpAddr) -> Result<SocketAddr, String> {
    let port = |port: &str| {
        port.parse::<u16>().map_err(|_| format!("{port:?} is not a port; write a number up to 65535"))
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    match text.rsplit_once(':') {
        None => Ok(SocketAddr::new(without_ip, port(text)?)),
        Some(("", number)) => Ok(SocketAddr::new(without_ip, port(number)?)),
        Some(("localhost", number)) => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port(number)?)),
        Some((host, number)) => {
            port(number)?;
            Err(format!("{host:?} is not an IP address; write IP:PORT, as in 127.0.0.1:8080 or [::1]:8080"))
        }
    }
}

pub(super) fn advertised(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => {
            Err("peers cannot connect to it; give this host's address".to_owned())
        }
        Ok(ip) => Ok(ip),
        Err(_) => {
            Err("is not an IP address; give the one at which peers reach this host, as in 10.0.0.7"
                .to_owned())
        }
    }
}

pub(super) fn otlp(text: &str) -> Result<String, String> {
    let usage = "write http://HOST:PORT, as in http://127.0.0.1:4317";
    let authority = match text.split_once("://") {
        Some(("http", rest)) => rest.trim_end_matches('/'),
        Some(("https", _)) => return Err(format!("TLS is not spoken to collectors yet; {usage}")),
        Some((scheme, _)) => return Err(format!("the scheme {scheme:?} is not spoken; {usage}")),
        None => return Err(format!("has no scheme; {usage}")),
    };
    if authority.is_empty() || authority.contains(['/', '@', ' ', '?', '#']) {
        return Err(format!("is more or less than an address; {usage}"));
    }
    Ok(text.to_owned())
}

/// A share from 0 to 1, in parts per million.
pub(super) fn ratio(text: &str) -> Result<Fraction, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Fraction((ratio * 1e6).round() as u32)),
        _ => Err("is not a number from 0 to 1, as in 0.01".to_owned()),
    }
}

/// Where a Unix socket can be: the kernel keeps its path in 108 bytes, one of which ends it.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, String> {
    match text.len() {
        1..=107 if !text.ends_with('/') && !text.contains('\0') => Ok(PathBuf::from(text)),
        _ => Err("is not a path for a Unix socket: up to 107 bytes, as in /run/weir/sidecar.sock".to_owned()),
    }
}

pub(super) fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(workers @ 1..=WORKERS) => Ok(workers),
        _ => Err(format!("is not a number from 1 to {WORKERS}")),
    }
}

/// `1h`, `5m`, `30s`, `500ms`, or several of them together as the Gateway API has it (GEP-2257).
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a duration; write it as in 30s, 500ms or 1m30s".to_owned();
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let unit = &unit[..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len())];
        // Five digits are a whole day and more, and cannot overflow.
        let number: u32 =
            Some(number).filter(|n| n.len() <= 5).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        sum += number
            * match unit {
                "h" => Duration::from_secs(3600),
                "m" => Duration::from_secs(60),
                "s" => Duration::from_secs(1),
                "ms" => Duration::from_millis(1),
                _ => return Err(wrong()),
            };
        rest = &rest[digits + unit.len()..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}
