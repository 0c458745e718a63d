//! What data planes ask: a first certificate for a proof, and the next one for the last.

use super::Identities;
use super::kubernetes;
use super::tokens::TokensError;
use crate::access::guard::status;
use crate::access::{Caller, Entrance, Reason, Refusal, Who};
use crate::plane::{Plane, unix_millis};
use std::sync::Arc;
use tonic::{Request, Response, Status};
use weir_identity::{Bundle, IdentityError, Issued, ServiceAccount, SigningRequest, SpiffeId};
use weir_proto::identity::v1 as wire;
use weir_proto::identity::v1::exchange_request::Proof;
use weir_proto::identity::v1::identity_service_server::IdentityService;

/// The service.
pub struct Service {
    identities: Arc<Identities>,
    plane: Arc<Plane>,
}

impl Service {
    /// Identities for the data planes of a control plane.
    pub fn new(identities: Arc<Identities>, plane: Arc<Plane>) -> Self {
        Self { identities, plane }
    }

    fn refuse(&self, peer: &str, reason: Reason, message: String) -> Status {
        self.plane.refusals.note(Entrance::Xds, reason, peer, &message);
        status(&Refusal { reason, message })
    }
}

fn peer<T>(request: &Request<T>) -> String {
    request.remote_addr().map(|peer| peer.to_string()).unwrap_or_default()
}

pub(super) fn certificate(issued: Issued, bundle: &Bundle, id: &SpiffeId) -> wire::Certificate {
    wire::Certificate {
        chain: issued.chain.iter().map(|der| der.to_vec()).collect(),
        bundle: Some(bundle_of(bundle)),
        spiffe_id: id.to_string(),
    }
}

fn bundle_of(bundle: &Bundle) -> wire::Bundle {
    wire::Bundle {
        trust_domain: bundle.trust_domain().to_string(),
        roots: bundle.roots().map(|der| der.to_vec()).collect(),
    }
}

/// What of an error a caller can mend.
fn reason(error: &IdentityError) -> Option<Reason> {
    match error {
        IdentityError::Malformed { .. } | IdentityError::Refused { .. } => Some(Reason::Request),
        IdentityError::File { .. } | IdentityError::Failed(_) => None,
    }
}

#[tonic::async_trait]
impl IdentityService for Service {
    async fn exchange(
        &self,
        request: Request<wire::ExchangeRequest>,
    ) -> Result<Response<wire::Certificate>, Status> {
        let peer = peer(&request);
        let wire::ExchangeRequest { proof, request } = request.into_inner();
        // The request first: a token must not be used up for one that cannot be signed.
        let request = SigningRequest::from_der(&request)
            .map_err(|error| self.refuse(&peer, Reason::Request, error.to_string()))?;
        let proof = proof.ok_or_else(|| {
            let message = "nothing is proved: send a join token or a service account's token";
            self.refuse(&peer, Reason::Credentials, message.to_owned())
        })?;
        let identities = Arc::clone(&self.identities);
        let signed = move || -> Result<(SpiffeId, Issued, Bundle), Result<(Reason, String), String>> {
            let refused = |reason, message| Err(Ok((reason, message)));
            let now = unix_millis() / 1000;
            let public = request.public();
            let domain = identities.trust_domain().clone();
            let check = |account: &ServiceAccount| {
                let id = SpiffeId::workload(&domain, account);
                request.check(&id).map_err(|error| Ok((Reason::Request, error.to_string())))?;
                Ok::<_, Result<(Reason, String), String>>(id)
            };
            let id = match proof {
                Proof::JoinToken(token) => {
                    // What it is for is known before it is used: asking for another's name does not use it up.
                    if let Some(account) = identities.tokens().is_for(&token) {
                        check(&account)?;
                    }
                    match identities.tokens().redeem(&token, public, now) {
                        Ok(account) => check(&account)?,
                        Err(TokensError::Refused(error)) => return refused(Reason::Token, error.to_string()),
                        Err(error) => return Err(Err(error.to_string())),
                    }
                }
                Proof::ServiceAccountToken(token) => {
                    let Some(settings) = &identities.settings.kubernetes else {
                        let message = "no service account's token is believed here: start the control plane with --kubernetes-jwks, \
                                       or use a join token";
                        return refused(Reason::Token, message.to_owned());
                    };
                    let account =
                        kubernetes::verify(settings, &token).map_err(|why| Ok((Reason::Token, why)))?;
                    check(&account)?
                }
            };
            let (issued, bundle) =
                identities.issue(&request, &id, now).map_err(|error| error.to_string()).map_err(Err)?;
            Ok((id, issued, bundle))
        };
        let done = tokio::task::spawn_blocking(signed).await;
        match done.map_err(|error| Status::internal(format!("the request was not finished: {error}")))? {
            Ok((id, issued, bundle)) => {
                tracing::info!(peer, %id, "a certificate for a proof");
                Ok(Response::new(certificate(issued, &bundle, &id)))
            }
            Err(Ok((reason, message))) => Err(self.refuse(&peer, reason, message)),
            Err(Err(message)) => Err(Status::unavailable(message)),
        }
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::Certificate>, Status> {
        let from = peer(&request);
        let who = request.extensions().get::<Caller>().map(|caller| caller.who.clone());
        let Some(Who::Workload { id, .. }) = who else {
            let message = "a certificate is renewed over a connection that shows the last one";
            return Err(self.refuse(&from, Reason::Credentials, message.to_owned()));
        };
        let signed = SigningRequest::from_der(&request.get_ref().request)
            .and_then(|request| self.identities.issue(&request, &id, unix_millis() / 1000));
        match signed {
            Ok((issued, bundle)) => {
                tracing::debug!(peer = from, %id, "a certificate was renewed");
                Ok(Response::new(certificate(issued, &bundle, &id)))
            }
            Err(error) => match reason(&error) {
                Some(reason) => Err(self.refuse(&from, reason, format!("{id}: {error}"))),
                None => Err(Status::unavailable(error.to_string())),
            },
        }
    }

    async fn get_bundle(
        &self,
        _request: Request<wire::GetBundleRequest>,
    ) -> Result<Response<wire::Bundle>, Status> {
        Ok(Response::new(bundle_of(&self.identities.bundle())))
    }
}
