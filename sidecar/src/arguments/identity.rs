//! Who this sidecar is to control planes, and whom it believes to be one.

use std::path::{Path, PathBuf};

use clap::Args;
use weir_config::identity::{IdentityOptions, Proof};
use weir_identity::{Bundle, Pin, Trust, TrustDomain, file};
use weir_runtime::random::entropy_seed;
use zeroize::Zeroizing;

use super::parse::Wanted;

#[derive(Clone, Args, Debug)]
pub(super) struct IdentityArguments {
    /// Believe a control plane whose root has this key, sha256:HEX; `weir token create` and `weir identity show` tell it.
    #[arg(long, env = "WEIR_TRUST_PIN", value_name = "PIN")]
    trust_pin: Option<String>,
    /// Believe a control plane for which one of these roots (PEM) vouches.
    #[arg(long, env = "WEIR_TRUST_BUNDLE", value_name = "FILE")]
    trust_bundle: Option<String>,
    /// The trust domain of that file, if its roots do not name it.
    #[arg(long, env = "WEIR_TRUST_DOMAIN", value_name = "NAME")]
    trust_domain: Option<String>,
    /// Get the first certificate for the join token in this file (mode 0600).
    #[arg(long, env = "WEIR_JOIN_TOKEN_FILE", value_name = "FILE")]
    join_token_file: Option<String>,
    /// Get it for this join token. On the command line others can read it; rather set the variable.
    #[arg(long, env = "WEIR_JOIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    join_token: Option<String>,
    /// Get it for the Kubernetes service account's token in this file.
    #[arg(long, env = "WEIR_SERVICE_ACCOUNT_TOKEN_FILE", value_name = "FILE")]
    service_account_token_file: Option<String>,
}

impl IdentityArguments {
    /// Nothing without anybody to trust.
    pub(super) fn check(self, wanted: &mut Wanted, state_dir: Option<&Path>) -> Option<IdentityOptions> {
        let path = |text: &str| Ok(PathBuf::from(text));
        let domain = wanted.optional("--trust-domain", self.trust_domain, |text| {
            text.parse::<TrustDomain>().map_err(|error| error.to_string())
        });
        let pin = wanted.optional("--trust-pin", self.trust_pin, |text| {
            text.parse::<Pin>().map_err(|error| error.to_string())
        });
        let bundle =
            wanted.optional("--trust-bundle", self.trust_bundle, |text| bundle(text, domain.as_ref()));
        let given = [
            wanted.optional("--join-token-file", self.join_token_file, path).map(Proof::JoinTokenFile),
            wanted
                .optional("--join-token", self.join_token, |text| Ok(Zeroizing::new(text.to_owned())))
                .map(Proof::JoinToken),
            wanted
                .optional("--service-account-token-file", self.service_account_token_file, path)
                .map(Proof::ServiceAccountTokenFile),
        ];
        let mut given = given.into_iter().flatten();
        let proof = given.next();
        if given.next().is_some() {
            let mend = "one proof is enough: --join-token-file, --join-token or --service-account-token-file";
            wanted.mistake("--join-token-file", "", mend.to_owned());
        }
        let trust = match (bundle, pin) {
            (Some(bundle), _) => Some(Trust::Bundle(bundle)),
            (None, Some(pin)) => Some(Trust::Pin(pin)),
            (None, None) => None,
        };
        let kept = state_dir.is_some_and(|directory| directory.join("identity.pem").exists());
        match (trust, proof) {
            (Some(_), None) if !kept => {
                let mend = "is needed to get a certificate (or --service-account-token-file): weir token create makes a token";
                wanted.mistake("--join-token-file", "", mend.to_owned());
                None
            }
            (Some(trust), proof) => Some(IdentityOptions {
                trust,
                proof,
                state_dir: state_dir.map(Path::to_owned),
                seed: entropy_seed(),
            }),
            (None, Some(_)) => {
                let mend = "is needed before a token is shown to anybody (or --trust-bundle); weir identity show tells it";
                wanted.mistake("--trust-pin", "", mend.to_owned());
                None
            }
            (None, None) => None,
        }
    }
}

fn bundle(text: &str, domain: Option<&TrustDomain>) -> Result<Bundle, String> {
    let read = file::read_public(Path::new(text)).map_err(|error| error.to_string())?;
    let read = read.ok_or("is not there; weir identity bundle writes one")?;
    Bundle::from_pem(&read, domain).map_err(|error| error.to_string())
}
