//! Kubernetes' service-account tokens: JSON Web Tokens that a cluster's API server signs for a workload, checked with the keys it publishes
//! (`kubectl get --raw /openid/v1/jwks`), from a file. The file is read for each token: a key that the cluster replaces is known as soon as it is there.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use std::path::PathBuf;
use weir_identity::ServiceAccount;

#[cfg(test)]
mod tests;

/// Longest token read, in bytes.
const TOKEN_BYTES: usize = 16 * 1024;
/// What Kubernetes signs with.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256];
/// How far the clocks of the cluster and the control plane may be apart, in seconds.
const LEEWAY: u64 = 30;

/// Which tokens are believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The cluster's keys: a JSON Web Key Set.
    pub jwks: PathBuf,
    /// Who must have signed: the API server's `--service-account-issuer`.
    pub issuer: String,
    /// For whom the token must be.
    pub audience: String,
}

/// Whose token it is.
///
/// # Errors
/// For who showed it: why it is not believed. For the log, if the keys cannot be used: that too.
pub fn verify(settings: &Settings, token: &str) -> Result<ServiceAccount, String> {
    if token.len() > TOKEN_BYTES {
        return Err("the service account's token is too long".to_owned());
    }
    let keys = weir_identity::file::read_public(&settings.jwks).map_err(|error| error.to_string())?;
    let keys = keys.ok_or_else(|| {
        format!("{} is not there; no service account's token can be checked", settings.jwks.display())
    })?;
    verify_with(&keys, settings, token)
}

fn verify_with(keys: &str, settings: &Settings, token: &str) -> Result<ServiceAccount, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("the service account's token is refused: {why}");
    let keys: JwkSet = serde_json::from_str(keys)
        .map_err(|error| format!("{} is no JSON Web Key Set: {error}", settings.jwks.display()))?;
    let header = jsonwebtoken::decode_header(token).map_err(|error| wrong(&error))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(wrong(&format!("it is signed with {:?}", header.alg)));
    }
    let key = header.kid.as_deref().and_then(|id| keys.find(id));
    let key = key.ok_or_else(|| {
        wrong(&"no key of the cluster has its key id; is the key set the cluster's newest?")
    })?;
    let key = DecodingKey::from_jwk(key).map_err(|error| wrong(&error))?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    let claims =
        jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|error| wrong(&error))?.claims;
    let subject = claims["sub"].as_str().unwrap_or_default();
    let account = subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, name) = account.ok_or_else(|| wrong(&format!("{subject:?} is no service account")))?;
    ServiceAccount::new(namespace, name).map_err(|error| wrong(&error))
}
