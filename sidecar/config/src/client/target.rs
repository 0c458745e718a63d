//! Where control planes are.

use std::str::FromStr;

/// The control planes a sidecar may use, tried in turn: `HOST:PORT` or `http://HOST:PORT`, separated by commas.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ControlPlanes(Vec<String>);

impl ControlPlanes {
    /// As URIs; at least one if they were parsed.
    pub fn uris(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for ControlPlanes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uris: Result<Vec<String>, String> = text.split(',').map(str::trim).map(uri).collect();
        uris.map(Self)
    }
}

impl std::fmt::Display for ControlPlanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

fn uri(text: &str) -> Result<String, String> {
    let wrong =
        |what: &str| Err(format!("control plane {text:?} {what}; write HOST:PORT, such as 127.0.0.1:15010"));
    if text.is_empty() {
        return wrong("is empty");
    }
    let authority = match text.split_once("://") {
        Some(("http", rest)) => rest.trim_end_matches('/'),
        Some(("https", _)) => return wrong("asks for TLS, which is not spoken to control planes yet"),
        Some(_) => return wrong("has an unknown scheme"),
        None => text,
    };
    if authority.contains(['/', '@', '?', '#', ' ']) {
        return wrong("is more than an address");
    }
    match authority.rsplit_once(':') {
        Some(("", _)) => wrong("has no host"),
        Some((host, _)) if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) => {
            wrong("needs brackets around its IPv6 address")
        }
        Some((_, port)) => match port.parse::<u16>() {
            Ok(0) => wrong("has port 0"),
            Ok(_) => Ok(format!("http://{authority}")),
            Err(_) => wrong("has no valid port"),
        },
        None => wrong("has no port"),
    }
}

#[cfg(test)]
mod tests;
