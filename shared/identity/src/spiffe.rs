//! SPIFFE ids, as "SPIFFE Identity and Verifiable Identity Document" section 2 has them: `spiffe://` trust domain, path. Nothing is
//! normalised: what is not in the one form that the specification allows is not a name.

use std::str::FromStr;
use std::sync::Arc;

use crate::{IdentityError, Role};

/// Longest SPIFFE id, in bytes.
pub const ID_BYTES: usize = 2048;
/// Longest trust domain, in bytes.
pub const DOMAIN_BYTES: usize = 255;
const SCHEME: &str = "spiffe://";
const WHAT: &str = "SPIFFE id";
const CONTROL_PLANE: &str = "/control-plane";

/// A trust domain: everything one certificate authority vouches for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// As it is written, without a scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain as a SPIFFE id without a path: the name of its authorities.
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }
}

impl std::fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = |why: &str| Err(IdentityError::malformed("trust domain", why));
        if text.is_empty() {
            return wrong("it is empty; write a name such as example.org");
        }
        if text.len() > DOMAIN_BYTES {
            return wrong("it is longer than 255 bytes");
        }
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if !text.bytes().all(allowed) {
            return wrong("only a-z, 0-9, '.', '-' and '_' are allowed; write a name such as example.org");
        }
        Ok(Self(text.into()))
    }
}

/// The name of somebody in a trust domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpiffeId {
    domain: TrustDomain,
    /// Begins with a slash.
    path: Arc<str>,
}

impl SpiffeId {
    /// Who vouches for it.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// What comes after the trust domain; begins with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of a workload.
    pub fn workload(domain: &TrustDomain, account: &ServiceAccount) -> Self {
        let path = format!("/ns/{}/sa/{}", account.namespace, account.name);
        Self { domain: domain.clone(), path: path.into() }
    }

    /// The name of the control planes of a trust domain. No workload and no operator can have it.
    pub fn control_plane(domain: &TrustDomain) -> Self {
        Self { domain: domain.clone(), path: CONTROL_PLANE.into() }
    }

    /// The name of an operator; it says the role, so that whoever can check the certificate knows it.
    ///
    /// # Errors
    /// The name is not one path segment of a SPIFFE id.
    pub fn operator(domain: &TrustDomain, role: Role, name: &str) -> Result<Self, IdentityError> {
        if name.contains('/') {
            return Err(IdentityError::malformed("operator's name", "it has a slash; write one word"));
        }
        format!("{}/operator/{role}/{name}", domain.uri()).parse()
    }

    /// The service account it names, if it is a workload's.
    pub fn service_account(&self) -> Option<ServiceAccount> {
        match self.path.split('/').collect::<Vec<_>>()[..] {
            ["", "ns", namespace, "sa", name] => ServiceAccount::new(namespace, name).ok(),
            _ => None,
        }
    }

    /// The role and the name, if it is an operator's.
    pub fn as_operator(&self) -> Option<(Role, &str)> {
        match self.path.split('/').collect::<Vec<_>>()[..] {
            ["", "operator", role, name] => Some((role.parse().ok()?, name)),
            _ => None,
        }
    }

    /// Whether it is the control plane's.
    pub fn is_control_plane(&self) -> bool {
        &*self.path == CONTROL_PLANE
    }
}

impl std::fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}{}", self.domain, self.path)
    }
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = |why: &str| Err(IdentityError::malformed(WHAT, why));
        if text.len() > ID_BYTES {
            return wrong("it is longer than 2048 bytes");
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return wrong("it does not begin with spiffe://");
        };
        let Some(slash) = rest.find('/') else {
            return wrong("it has no path; write spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
        };
        let (domain, path) = rest.split_at(slash);
        let domain: TrustDomain = domain.parse()?;
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        for segment in path.split('/').skip(1) {
            match segment {
                "" => return wrong("its path has an empty segment or ends with a slash"),
                "." | ".." => return wrong("its path has a segment '.' or '..'"),
                _ if !segment.bytes().all(allowed) => {
                    return wrong("its path has something but letters, digits, '.', '-' and '_'");
                }
                _ => {}
            }
        }
        Ok(Self { domain, path: path.into() })
    }
}

/// A service account: what a workload runs as. Written `NAMESPACE/NAME`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceAccount {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl ServiceAccount {
    /// A namespace is a DNS label, the name of an account a DNS subdomain, as Kubernetes has them.
    ///
    /// # Errors
    /// One of them is not.
    pub fn new(namespace: &str, name: &str) -> Result<Self, IdentityError> {
        let wrong = |what: &str| Err(IdentityError::malformed("service account", what));
        if !is_label(namespace) {
            return wrong(
                "its namespace is no DNS label: at most 63 of a-z, 0-9 and '-', a letter or digit at both ends",
            );
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return wrong(
                "its name is no DNS name: at most 253 of a-z, 0-9, '-' and '.', a letter or digit at both ends of each part",
            );
        }
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name in the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl std::fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceAccount {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Err(IdentityError::malformed("service account", "write NAMESPACE/NAME")),
        }
    }
}

#[cfg(test)]
mod tests;
