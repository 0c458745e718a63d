//! The command line. Each flag is also an environment variable.

use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use weir_identity::TrustDomain;
use weir_serve::door;
use weir_serve::identity::{External, Settings, kubernetes};

/// The control plane of a weir mesh: takes policy over gRPC, compiles it, streams it to sidecars.
#[derive(Parser, Debug)]
#[command(name = "weir-control-plane", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where policy is kept. Created if it does not exist; one control plane at a time.
    #[arg(long, env = "WEIR_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Where operators reach the policy API (gRPC, with reflection and health).
    #[arg(long, env = "WEIR_POLICY_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:15011")]
    pub(crate) policy_listen: SocketAddr,
    /// Where sidecars, Envoys and gRPC clients reach xDS.
    #[arg(long, env = "WEIR_XDS_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:15010")]
    pub(crate) xds_listen: SocketAddr,
    /// Where probes and scrapers reach /ready, /live and /metrics.
    #[arg(long, env = "WEIR_ADMIN_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:15014")]
    pub(crate) admin_listen: SocketAddr,
    /// From where plain text, without credentials, is trusted on both gRPC doors. TLS is spoken on the same ports to everybody.
    #[arg(long, env = "WEIR_PLAINTEXT", value_enum, value_name = "WHERE", default_value_t = Plaintext::Loopback)]
    pub(crate) plaintext: Plaintext,
    /// Whose certificate authority this is; kept with the data.
    #[arg(long, env = "WEIR_TRUST_DOMAIN", value_name = "NAME", default_value = "cluster.local")]
    trust_domain: TrustDomain,
    /// How long the certificates of workloads and operators are valid, in seconds.
    #[arg(long, env = "WEIR_CERTIFICATE_LIFETIME", value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(2..=2_592_000))]
    certificate_lifetime: u64,
    /// Sign with this authority's certificate (PEM, itself first, then those above it) in place of a root of one's own.
    #[arg(long, env = "WEIR_CA_CERTIFICATE", value_name = "FILE", requires_all = ["ca_key", "ca_roots"])]
    ca_certificate: Option<PathBuf>,
    /// That authority's key (PKCS #8 in PEM, mode 0600).
    #[arg(long, env = "WEIR_CA_KEY", value_name = "FILE", requires = "ca_certificate")]
    ca_key: Option<PathBuf>,
    /// The roots above it that workloads are to trust (PEM).
    #[arg(long, env = "WEIR_CA_ROOTS", value_name = "FILE", requires = "ca_certificate")]
    ca_roots: Option<PathBuf>,
    /// Believe Kubernetes' service-account tokens signed with one of these keys (a JSON Web Key Set, as the cluster has it at /openid/v1/jwks).
    #[arg(long, env = "WEIR_KUBERNETES_JWKS", value_name = "FILE", requires = "kubernetes_issuer")]
    kubernetes_jwks: Option<PathBuf>,
    /// Who must have issued them.
    #[arg(long, env = "WEIR_KUBERNETES_ISSUER", value_name = "URL")]
    kubernetes_issuer: Option<String>,
    /// For whom they must be.
    #[arg(long, env = "WEIR_KUBERNETES_AUDIENCE", value_name = "NAME", default_value = "weir")]
    kubernetes_audience: String,
    /// Threads that serve; the number of CPUs this process may use if not given.
    #[arg(long, env = "WEIR_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
}

impl Args {
    /// What the certificate authority is to do.
    pub(crate) fn identities(&self) -> Settings {
        let external = match (&self.ca_certificate, &self.ca_key, &self.ca_roots) {
            (Some(certificate), Some(key), Some(roots)) => {
                Some(External { certificate: certificate.clone(), key: key.clone(), roots: roots.clone() })
            }
            _ => None,
        };
        let kubernetes = self.kubernetes_jwks.clone().zip(self.kubernetes_issuer.clone());
        Settings {
            trust_domain: self.trust_domain.clone(),
            leaf_lifetime: Duration::from_secs(self.certificate_lifetime),
            external,
            kubernetes: kubernetes.map(|(jwks, issuer)| kubernetes::Settings {
                jwks,
                issuer,
                audience: self.kubernetes_audience.clone(),
            }),
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.map_or_else(weir_runtime::workers::available_cpus, usize::from)
    }
}

/// From where plain text is trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Plaintext {
    /// From nowhere
    Never,
    /// From this machine
    Loopback,
    /// From everywhere: for a network that is trusted as a whole
    Any,
}

impl From<Plaintext> for door::Plaintext {
    fn from(plaintext: Plaintext) -> Self {
        match plaintext {
            Plaintext::Never => Self::Never,
            Plaintext::Loopback => Self::Loopback,
            Plaintext::Any => Self::Any,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  weir-control-plane --data-dir /var/lib/weir
  weir-control-plane --data-dir ./data --policy-listen 127.0.0.1:0 --xds-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0

With port 0 any free port is taken. The addresses are printed on standard output, in one line:
  weir-control-plane listening policy=127.0.0.1:15011 xds=127.0.0.1:15010 admin=127.0.0.1:15014

From other machines the policy API and xDS take TLS only. Sidecars prove who they are with a join token (weir token create) or a Kubernetes
service account's token; operators show a client certificate or a bearer token. The first admin's token is in DIR/identity/admin-token.";
