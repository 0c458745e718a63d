//! Who may call what. One decision for every call through either door: from where the call comes, what the caller proved, and which method it
//! is. What is not listed needs the most.
//!
//! Pure; [`guard`] asks it for each request, [`door`](crate::door) tells who is at the other end.

pub mod guard;
mod refusals;
#[cfg(test)]
mod tests;

pub use refusals::{Reason, Refusals};

use weir_identity::{Role, ServiceAccount, SpiffeId};

/// Where callers come in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entrance {
    /// Data planes' door.
    Xds,
    /// Operators' door.
    Policy,
}

impl std::fmt::Display for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Xds => "xds",
            Self::Policy => "policy",
        })
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peer {
    /// Plain text. It is trusted where the operator said so; by default, from this machine.
    Plain {
        /// Whether it is.
        trusted: bool,
    },
    /// TLS, and no certificate of its own.
    Nobody,
    /// TLS, and a certificate of this trust domain.
    Known {
        /// Its holder.
        id: SpiffeId,
        /// Until when it is valid, in seconds since 1970.
        not_after: u64,
    },
}

/// Who calls, as far as it matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Who it is.
    pub who: Who,
    /// Until when that is proved, in seconds since 1970; for ever if absent.
    pub until: Option<u64>,
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// Somebody on a connection that is trusted as it is: may do everything, in anybody's name.
    Trusted,
    /// Nobody in particular: may only show a token, and ask whom to trust.
    Anonymous,
    /// A workload.
    Workload {
        /// Its name.
        id: SpiffeId,
        /// What it runs as.
        account: ServiceAccount,
    },
    /// An operator.
    Operator {
        /// Its name.
        name: String,
        /// What it may do.
        role: Role,
    },
}

/// Why a call is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// In a word.
    pub reason: Reason,
    /// For the caller.
    pub message: String,
}

/// What a bearer token says of its bearer.
pub type Bearer = Result<(Role, String), String>;

/// What a method needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    Nothing,
    Workload,
    Role(Role),
}

fn need(entrance: Entrance, path: &str) -> Need {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    match (entrance, service, method) {
        (_, "grpc.health.v1.Health", _) => Need::Nothing,
        (Entrance::Xds, "weir.identity.v1.IdentityService", "Exchange" | "GetBundle") => Need::Nothing,
        (Entrance::Xds, "weir.identity.v1.IdentityService", "Renew") => Need::Workload,
        (
            Entrance::Xds,
            "envoy.service.discovery.v3.AggregatedDiscoveryService"
            | "envoy.service.load_stats.v3.LoadReportingService",
            _,
        ) => Need::Workload,
        // It shows everybody's configuration.
        (Entrance::Xds, "envoy.service.status.v3.ClientStatusDiscoveryService", _) => {
            Need::Role(Role::Viewer)
        }
        (
            Entrance::Policy,
            "weir.policy.v1.PolicyService",
            "Validate" | "Get" | "List" | "Watch" | "History" | "Diff" | "Explain" | "Status",
        ) => Need::Role(Role::Viewer),
        (Entrance::Policy, "weir.policy.v1.PolicyService", "Apply" | "Delete" | "Rollback") => {
            Need::Role(Role::Editor)
        }
        (Entrance::Policy, "weir.identity.v1.IdentityAdminService", "GetAuthority") => {
            Need::Role(Role::Viewer)
        }
        (Entrance::Policy, "grpc.reflection.v1.ServerReflection", _) => Need::Role(Role::Viewer),
        _ => Need::Role(Role::Admin),
    }
}

/// Decides about a call: who it is that may make it, or why not.
///
/// # Errors
/// The refusal.
pub fn decide(
    entrance: Entrance,
    peer: &Peer,
    bearer: Option<Bearer>,
    path: &str,
) -> Result<Caller, Refusal> {
    let need = need(entrance, path);
    let caller = identify(peer, bearer)?;
    let refuse = |reason, message: String| Err(Refusal { reason, message });
    match (&caller.who, need) {
        (_, Need::Nothing) | (Who::Trusted, _) | (Who::Workload { .. }, Need::Workload) => Ok(caller),
        (Who::Operator { role, .. }, Need::Role(wanted)) if *role >= wanted => Ok(caller),
        (Who::Operator { name, role }, Need::Role(wanted)) => refuse(
            Reason::Role,
            format!(
                "{name} is {role}, and this needs the role {wanted}; ask an admin for a token or certificate of it"
            ),
        ),
        (Who::Operator { name, .. }, Need::Workload) => refuse(
            Reason::Role,
            format!(
                "{name} is an operator; this is for workloads, with the certificate of a service account"
            ),
        ),
        (Who::Workload { id, .. }, Need::Role(wanted)) => {
            refuse(Reason::Role, format!("{id} is a workload; this is for operators with the role {wanted}"))
        }
        (Who::Anonymous, Need::Workload) => refuse(
            Reason::Credentials,
            "a client certificate is needed: exchange a join token or a service account's token for one"
                .to_owned(),
        ),
        (Who::Anonymous, Need::Role(wanted)) => refuse(
            Reason::Credentials,
            format!(
                "this needs the role {wanted}: show a client certificate of it, or `authorization: Bearer TOKEN`"
            ),
        ),
    }
}

fn identify(peer: &Peer, bearer: Option<Bearer>) -> Result<Caller, Refusal> {
    let caller = |who, until| Ok(Caller { who, until });
    if *peer == (Peer::Plain { trusted: false }) {
        let message = "plain text is not taken from there: connect with TLS (https://), or start the control plane with \
                       --plaintext any where the network is trusted";
        return Err(Refusal { reason: Reason::Plaintext, message: message.to_owned() });
    }
    match bearer {
        Some(Ok((role, name))) => return caller(Who::Operator { name, role }, None),
        // Whoever shows a token means it: it is not ignored for what else the connection proves.
        Some(Err(message)) => return Err(Refusal { reason: Reason::Token, message }),
        None => {}
    }
    match peer {
        Peer::Plain { .. } => caller(Who::Trusted, None),
        Peer::Nobody => caller(Who::Anonymous, None),
        Peer::Known { id, not_after } => {
            let who = match (id.service_account(), id.as_operator()) {
                (Some(account), _) => Who::Workload { id: id.clone(), account },
                (None, Some((role, name))) => Who::Operator { name: name.to_owned(), role },
                (None, None) => Who::Anonymous,
            };
            caller(who, Some(*not_after))
        }
    }
}

/// Whether a caller may be this node: in its own namespace, as its own service account. `default_account` is what a node has that did not say.
///
/// # Errors
/// For the caller: what it says it is, and what it proved to be.
pub fn is_itself(who: &Who, namespace: &str, account: &str, default_account: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal { reason: Reason::Node, message });
    match who {
        Who::Trusted => Ok(()),
        Who::Workload { account: proved, .. } => {
            if namespace != proved.namespace() {
                return refuse(format!(
                    "the node says it is in the namespace {namespace}, and its certificate is of the service account {proved}; \
                     a workload may only ask for itself"
                ));
            }
            if account != default_account && account != proved.name() {
                return refuse(format!(
                    "the node says it runs as the service account {namespace}/{account}, and its certificate is of {proved}; \
                     a workload may only ask for itself"
                ));
            }
            Ok(())
        }
        Who::Anonymous | Who::Operator { .. } => refuse("only a workload can be a node".to_owned()),
    }
}
