//! What operators do with identities: make tokens and take them back, sign operators' keys, replace the root.

use super::roots::State;
use super::service::certificate;
use super::tokens::{ID, TokensError};
use super::{Identities, Step};
use crate::access::{Caller, Who};
use crate::plane::unix_millis;
use crate::policy::rfc3339;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use weir_identity::token::{Grant, Record};
use weir_identity::{Role, SigningRequest, SpiffeId};
use weir_proto::identity::v1 as wire;
use weir_proto::identity::v1::create_token_request::Grant as WireGrant;
use weir_proto::identity::v1::identity_admin_service_server::IdentityAdminService;
use weir_proto::identity::v1::rotate_root_request::Step as WireStep;

/// How long a workload's token may be usable, in seconds.
const JOIN_MOST: u64 = 30 * 24 * 60 * 60;
/// How long an operator's token may be usable, in seconds.
const API_MOST: u64 = 366 * 24 * 60 * 60;

/// The service.
pub struct Service {
    identities: Arc<Identities>,
}

impl Service {
    /// The identities of a control plane.
    pub fn new(identities: Arc<Identities>) -> Self {
        Self { identities }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Identities) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let identities = Arc::clone(&self.identities);
        let done = tokio::task::spawn_blocking(move || work(&identities)).await;
        done.map_err(|error| Status::internal(format!("the request was not finished: {error}")))?
            .map(Response::new)
    }
}

fn told(error: TokensError) -> Status {
    match error {
        TokensError::Refused(error) => Status::failed_precondition(error.to_string()),
        TokensError::Full => Status::resource_exhausted(error.to_string()),
        TokensError::Id(why) => Status::not_found(why),
        TokensError::Failed(why) => Status::unavailable(why),
    }
}

fn invalid(field: &str, why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {why}"))
}

fn now() -> u64 {
    unix_millis() / 1000
}

fn time(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1000))
}

fn token(digest: &str, record: &Record) -> wire::Token {
    let (service_account, role, name) = match &record.grant {
        Grant::Join(account) => (account.to_string(), String::new(), String::new()),
        Grant::Api { role, name } => (String::new(), role.to_string(), name.clone()),
    };
    wire::Token {
        id: digest.get(..ID).unwrap_or(digest).to_owned(),
        service_account,
        role,
        name,
        created_by: record.created_by.clone(),
        created: time(record.created),
        expires: record.expires.map(time).unwrap_or_default(),
        used: record.used.as_ref().map(|used| time(used.at)).unwrap_or_default(),
    }
}

/// A name that is one segment of a SPIFFE id.
fn operator(identities: &Identities, role: &str, name: &str) -> Result<(Role, SpiffeId), Status> {
    let role: Role = role.parse().map_err(|why| invalid("role", why))?;
    if name.len() > 64 {
        return Err(invalid("name", "it is longer than 64 bytes"));
    }
    let id = SpiffeId::operator(identities.trust_domain(), role, name).map_err(|why| invalid("name", why))?;
    Ok((role, id))
}

fn grant(identities: &Identities, request: &wire::CreateTokenRequest) -> Result<(Grant, u64), Status> {
    let (grant, most) = match &request.grant {
        Some(WireGrant::ServiceAccount(account)) => {
            (Grant::Join(account.parse().map_err(|why| invalid("service_account", why))?), JOIN_MOST)
        }
        Some(WireGrant::Api(api)) => {
            let (role, _) = operator(identities, &api.role, &api.name)?;
            (Grant::Api { role, name: api.name.clone() }, API_MOST)
        }
        None => return Err(invalid("grant", "say for whom: a service account, or a role and a name")),
    };
    if request.ttl_seconds == 0 || request.ttl_seconds > most {
        return Err(invalid("ttl_seconds", format!("from 1 to {most}")));
    }
    Ok((grant, request.ttl_seconds))
}

fn authority(identities: &Identities) -> Result<wire::Authority, Status> {
    let roots = identities.roots().map_err(Status::unavailable)?;
    let bundle = identities.bundle();
    let pem = bundle.to_pem();
    let mut certificates = pem.split_inclusive("-----END CERTIFICATE-----\n");
    let shown = bundle.pins().map(|(pin, not_after)| {
        let pin = pin.to_string();
        let known = roots.iter().flat_map(|roots| &roots.roots);
        let known = known.into_iter().find(|root| pin.ends_with(&root.public));
        wire::Root {
            state: known.map_or("external", |root| State::as_str(root.state)).to_owned(),
            since: known.map(|root| time(root.since)).unwrap_or_default(),
            not_after: time(not_after),
            certificate: certificates.next().unwrap_or_default().to_owned(),
            pin,
        }
    });
    Ok(wire::Authority {
        trust_domain: identities.trust_domain().to_string(),
        roots: shown.collect(),
        leaf_seconds: identities.settings.leaf_lifetime.as_secs(),
        external: identities.settings.external.is_some(),
    })
}

#[tonic::async_trait]
impl IdentityAdminService for Service {
    async fn create_token(
        &self,
        request: Request<wire::CreateTokenRequest>,
    ) -> Result<Response<wire::CreateTokenResponse>, Status> {
        let by = match request.extensions().get::<Caller>().map(|caller| &caller.who) {
            Some(Who::Operator { name, .. }) => name.clone(),
            _ => request.remote_addr().map_or_else(|| "unknown".to_owned(), |peer| peer.ip().to_string()),
        };
        let request = request.into_inner();
        self.blocking(move |identities| {
            let (grant, ttl) = grant(identities, &request)?;
            let now = now();
            let (secret, digest, record) =
                identities.tokens().create(grant, &by, Some(now.saturating_add(ttl)), now).map_err(told)?;
            let about = token(&digest, &record);
            tracing::info!(
                by,
                id = about.id,
                service_account = about.service_account,
                role = about.role,
                "a token was made"
            );
            let trust_pin = identities.pin();
            Ok(wire::CreateTokenResponse { token: secret.to_string(), about: Some(about), trust_pin })
        })
        .await
    }

    async fn list_tokens(
        &self,
        _request: Request<wire::ListTokensRequest>,
    ) -> Result<Response<wire::ListTokensResponse>, Status> {
        self.blocking(|identities| {
            let tokens = identities.tokens().list();
            Ok(wire::ListTokensResponse {
                tokens: tokens.iter().map(|(digest, record)| token(digest, record)).collect(),
            })
        })
        .await
    }

    async fn revoke_token(
        &self,
        request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        let id = request.into_inner().id;
        self.blocking(move |identities| {
            let (digest, record) = identities.tokens().revoke(&id, now()).map_err(told)?;
            let revoked = token(&digest, &record);
            tracing::info!(id = revoked.id, "a token was revoked");
            Ok(wire::RevokeTokenResponse { revoked: Some(revoked) })
        })
        .await
    }

    async fn issue_operator(
        &self,
        request: Request<wire::IssueOperatorRequest>,
    ) -> Result<Response<wire::Certificate>, Status> {
        let request = request.into_inner();
        self.blocking(move |identities| {
            let (_, id) = operator(identities, &request.role, &request.name)?;
            let signing =
                SigningRequest::from_der(&request.request).map_err(|why| invalid("request", why))?;
            let (issued, bundle) = identities
                .issue(&signing, &id, now())
                .map_err(|why| Status::failed_precondition(why.to_string()))?;
            tracing::info!(%id, "a certificate for an operator");
            Ok(certificate(issued, &bundle, &id))
        })
        .await
    }

    async fn get_authority(
        &self,
        _request: Request<wire::GetAuthorityRequest>,
    ) -> Result<Response<wire::Authority>, Status> {
        self.blocking(authority).await
    }

    async fn rotate_root(
        &self,
        request: Request<wire::RotateRootRequest>,
    ) -> Result<Response<wire::Authority>, Status> {
        let request = request.into_inner();
        let step = match request.step() {
            WireStep::Prepare => Step::Prepare,
            WireStep::Activate => Step::Activate,
            WireStep::Retire => Step::Retire,
            WireStep::Unspecified => return Err(invalid("step", "say which: PREPARE, ACTIVATE or RETIRE")),
        };
        self.blocking(move |identities| {
            identities.rotate(step, request.force, unix_millis()).map_err(Status::failed_precondition)?;
            tracing::info!(?step, force = request.force, "the root is being replaced");
            authority(identities)
        })
        .await
    }
}
