//! Where an identity is kept: `identity.pem` (key and certificate, closed to others), `trust-bundle.pem`, and until there is a certificate
//! `identity.key`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_identity::{Identity, PrivateKey, file};

const IDENTITY: &str = "identity.pem";
const BUNDLE: &str = "trust-bundle.pem";
const KEY: &str = "identity.key";

pub(super) struct Files {
    directory: Option<PathBuf>,
    /// The first key, where it is kept nowhere.
    key: Option<Arc<PrivateKey>>,
}

impl Files {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, key: None }
    }

    /// What is kept. What is damaged is got anew; what others could read ends the start.
    pub(super) fn load(&self) -> Result<Option<Identity>, String> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let text = file::read_secret(&directory.join(IDENTITY)).map_err(|error| error.to_string())?;
        let bundle = file::read_public(&directory.join(BUNDLE)).map_err(|error| error.to_string())?;
        let (Some(text), Some(bundle)) = (text, bundle) else { return Ok(None) };
        Ok(Identity::from_pems(&text, &bundle)
            .inspect_err(|error| {
                tracing::warn!("the identity in the state directory cannot be used: {error}")
            })
            .ok())
    }

    /// The key for the first certificate: the same at every attempt, also after a restart.
    pub(super) async fn first_key(&mut self) -> Result<Arc<PrivateKey>, String> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        let path = self.directory.as_ref().map(|directory| directory.join(KEY));
        let made = move || -> Result<PrivateKey, String> {
            let told = |error: weir_identity::IdentityError| error.to_string();
            let Some(path) = path else { return PrivateKey::generate().map_err(told) };
            match file::read_secret(&path).map_err(told)?.map(|text| PrivateKey::from_pem(&text)) {
                Some(Ok(key)) => Ok(key),
                Some(Err(_)) | None => {
                    let key = PrivateKey::generate().map_err(told)?;
                    file::write_secret(&path, &key.to_pem()).map_err(told)?;
                    Ok(key)
                }
            }
        };
        let made = tokio::task::spawn_blocking(made).await;
        let key = Arc::new(made.map_err(|error| format!("the key was not written: {error}"))??);
        self.key = Some(key.clone());
        Ok(key)
    }

    /// Keeps an identity. Without that it is as good, until the process ends.
    pub(super) async fn save(&mut self, identity: &Identity) {
        self.key = None;
        let Some(directory) = self.directory.clone() else { return };
        let (text, bundle) = (identity.to_pem(), identity.bundle().to_pem());
        let written = tokio::task::spawn_blocking(move || {
            // The bundle first: it has at least what the identity before needs.
            file::write_public(&directory.join(BUNDLE), &bundle)?;
            file::write_secret(&directory.join(IDENTITY), &text)?;
            // A first key that is left would only be used again, by the same sidecar.
            let _left = std::fs::remove_file(directory.join(KEY));
            Ok::<_, weir_identity::IdentityError>(())
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("the certificate is not kept, a restart will need another: {error}")
            }
            Err(error) => tracing::warn!("the certificate is not kept, a restart will need another: {error}"),
        }
    }
}

/// A secret's text.
pub(super) fn secret(path: &Path) -> Result<Option<String>, String> {
    let text = file::read_secret(path).map_err(|error| error.to_string())?;
    Ok(text.map(|text| text.to_string()))
}

/// A text that somebody else guards.
pub(super) fn public(path: &Path) -> Result<Option<String>, String> {
    file::read_public(path).map_err(|error| error.to_string())
}
