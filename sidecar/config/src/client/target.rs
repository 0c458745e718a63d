//! Where control planes are.

use std::str::FromStr;

/// The control planes a sidecar may use, tried in turn: `HOST:PORT`, `https://HOST:PORT` (TLS) or `http://HOST:PORT` (plain text),
/// separated by commas.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ControlPlanes(Vec<String>);

impl ControlPlanes {
    /// As URIs; at least one if they were parsed.
    pub fn uris(&self) -> &[String] {
        &self.0
    }

    /// Reads them where an address alone means TLS if `tls`, and otherwise plain text on this machine only: to another one that has to be
    /// said, `http://`.
    ///
    /// # Errors
    /// What is wrong with one of them, and the mend.
    pub fn parse(text: &str, tls: bool) -> Result<Self, String> {
        let mut planes = Vec::new();
        for text in text.split(',').map(str::trim) {
            let plain = uri(text)?;
            planes.push(match (text.contains("://"), tls) {
                (false, true) => uri(&format!("https://{text}"))?,
                (false, false) if !is_local(text) => {
                    return Err(format!(
                        "control plane {text:?} is on another machine: say whom to trust (--trust-pin or --trust-bundle), or write \
                         http://{text} to speak plain text in a network that is trusted"
                    ));
                }
                (true, false) if plain.starts_with("https://") => {
                    return Err(format!(
                        "control plane {text:?} asks for TLS, and nobody is trusted yet: add --trust-pin or --trust-bundle"
                    ));
                }
                _ => plain,
            });
        }
        Ok(Self(planes))
    }

    /// Whether any of them is spoken to with TLS.
    pub fn any_tls(&self) -> bool {
        self.0.iter().any(|uri| uri.starts_with("https://"))
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

fn is_local(text: &str) -> bool {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn uri(text: &str) -> Result<String, String> {
    let wrong =
        |what: &str| Err(format!("control plane {text:?} {what}; write HOST:PORT, such as 127.0.0.1:15010"));
    if text.is_empty() {
        return wrong("is empty");
    }
    let authority = match text.split_once("://") {
        Some(("http" | "https", rest)) => rest.trim_end_matches('/'),
        Some(_) => return wrong("has an unknown scheme"),
        None => text,
    };
    let scheme = if text.starts_with("https://") { "https" } else { "http" };
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
            Ok(_) => Ok(format!("{scheme}://{authority}")),
            Err(_) => wrong("has no valid port"),
        },
        None => wrong("has no port"),
    }
}

#[cfg(test)]
mod tests;
