//! The policy API: gRPC in, values out. Every call is the same three steps: read the request, let the pure crates decide, answer.

mod answer;
mod batch;
mod paging;
mod status;
mod validate;

use crate::access::{Caller, Who};
use crate::plane::{Plane, unix_millis};
pub(crate) use answer::rfc3339;
use answer::{commit, refusal, store_error, stored};
use batch::{Batch, reference};
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use weir_proto::policy::v1 as wire;
use weir_proto::policy::v1::policy_service_server::PolicyService;
use weir_store::{Attribution, Commit, Revision, State, Store};

/// How often a batch without an expected revision is tried again when others write at the same time.
const CONTENTION: usize = 32;
/// Commits one `Watch` call reads at once.
const WATCH_PAGE: usize = 64;
/// Commits one `Watch` call holds for a slow reader; it waits beyond that.
const WATCH_QUEUE: usize = 16;
/// Longest author and message kept, in bytes.
const ATTRIBUTION_BYTES: usize = 1024;

/// The service.
pub struct Policy {
    plane: Arc<Plane>,
}

impl Policy {
    /// The policy API of a control plane.
    pub fn new(plane: Arc<Plane>) -> Self {
        Self { plane }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Plane) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let plane = Arc::clone(&self.plane);
        let done = tokio::task::spawn_blocking(move || work(&plane)).await;
        done.map_err(|error| Status::internal(format!("the request was not finished: {error}")))?
    }

    /// Decides on the current state and writes; decides anew when somebody else wrote in between and the caller did not name a revision.
    async fn write(
        &self,
        expected: Option<u64>,
        by: Attribution,
        decide: impl Fn(&Plane, &State) -> Result<Batch, Status> + Send + 'static,
    ) -> Result<(Commit, Batch), Status> {
        let plane = Arc::clone(&self.plane);
        let write = move || {
            for _ in 0..CONTENTION {
                let state = plane.store.state();
                if let Some(expected) = expected
                    && expected != state.revision.0
                {
                    return Err(store_error(&weir_store::StoreError::Stale {
                        expected: Revision(expected),
                        current: state.revision,
                    }));
                }
                let batch = decide(&plane, &state)?;
                match plane.store.apply(Some(state.revision), batch.changes(), by.clone()) {
                    Ok(commit) => return Ok((commit, batch)),
                    Err(weir_store::StoreError::Stale { .. }) if expected.is_none() => {}
                    Err(error) => return Err(store_error(&error)),
                }
            }
            Err(Status::aborted("others write all the time; try again, or name expected_revision"))
        };
        let done = tokio::task::spawn_blocking(write).await;
        done.map_err(|error| Status::internal(format!("the request was not finished: {error}")))?
    }
}

/// What is known of a caller.
struct By {
    /// The operator's name, if it proved one.
    name: Option<String>,
    peer: Option<std::net::SocketAddr>,
}

impl By {
    fn of<T>(request: &Request<T>) -> Self {
        let name = match request.extensions().get::<Caller>().map(|caller| &caller.who) {
            Some(Who::Operator { name, .. }) => Some(name.clone()),
            _ => None,
        };
        Self { name, peer: request.remote_addr() }
    }
}

fn attribution(author: &str, message: &str, by: &By) -> Result<Attribution, Status> {
    for (field, text) in [("author", author), ("message", message)] {
        if text.len() > ATTRIBUTION_BYTES {
            let problem =
                format!("{field} has {} bytes; at most {ATTRIBUTION_BYTES} are kept, shorten it", text.len());
            return Err(Status::invalid_argument(problem));
        }
    }
    let author = match (&by.name, author) {
        // Who proved a name has that one in the history, whatever else it says.
        (Some(name), said) if said.is_empty() || said == name => name.clone(),
        (Some(name), said) => format!("{name} (as {said})"),
        (None, "") => by.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.ip().to_string()),
        (None, said) => said.to_owned(),
    };
    Ok(Attribution { author, message: message.to_owned(), unix_millis: unix_millis() })
}

fn at(plane: &Plane, revision: Option<u64>) -> Result<State, Status> {
    match revision {
        None => Ok(plane.store.state()),
        Some(revision) => plane.store.at(Revision(revision)).map_err(|error| store_error(&error)),
    }
}

#[tonic::async_trait]
impl PolicyService for Policy {
    async fn apply(
        &self,
        request: Request<wire::ApplyRequest>,
    ) -> Result<Response<wire::ApplyResponse>, Status> {
        let by = By::of(&request);
        let request = request.into_inner();
        let by = attribution(&request.author, &request.message, &by)?;
        let expected = request.expected_revision;
        let objects = batch::parse(request.objects, &request.manifest).map_err(|all| refusal(&all))?;
        let decide = move |plane: &Plane, state: &State| Batch::apply(plane, state, &objects);
        let (commit, batch) = self.write(expected, by, decide).await?;
        let (changes, diagnostics) = batch.answer();
        Ok(Response::new(wire::ApplyResponse { revision: commit.revision.0, changes, diagnostics }))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteRequest>,
    ) -> Result<Response<wire::DeleteResponse>, Status> {
        let by = By::of(&request);
        let request = request.into_inner();
        let by = attribution(&request.author, &request.message, &by)?;
        let ids = batch::references(&request.objects).map_err(|all| refusal(&all))?;
        let decide = move |plane: &Plane, state: &State| Batch::delete(plane, state, &ids);
        let (commit, batch) = self.write(request.expected_revision, by, decide).await?;
        let (changes, diagnostics) = batch.answer();
        Ok(Response::new(wire::DeleteResponse { revision: commit.revision.0, changes, diagnostics }))
    }

    async fn rollback(
        &self,
        request: Request<wire::RollbackRequest>,
    ) -> Result<Response<wire::RollbackResponse>, Status> {
        let by = By::of(&request);
        let request = request.into_inner();
        let to = Revision(request.to_revision);
        let message = match request.message.as_str() {
            "" => format!("roll back to revision {to}"),
            message => message.to_owned(),
        };
        let by = attribution(&request.author, &message, &by)?;
        let decide = move |plane: &Plane, state: &State| {
            let wanted = plane.store.at(to).map_err(|error| store_error(&error))?;
            Batch::replace(plane, state, &wanted)
        };
        let (commit, batch) = self.write(request.expected_revision, by, decide).await?;
        let (changes, diagnostics) = batch.answer();
        Ok(Response::new(wire::RollbackResponse { revision: commit.revision.0, changes, diagnostics }))
    }

    async fn validate(
        &self,
        request: Request<wire::ValidateRequest>,
    ) -> Result<Response<wire::ValidateResponse>, Status> {
        let request = request.into_inner();
        self.blocking(move |plane| Ok(validate::validate(plane, request))).await.map(Response::new)
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::GetResponse>, Status> {
        let request = request.into_inner();
        let wanted = request
            .object
            .ok_or_else(|| Status::invalid_argument("object is missing; name a kind and a name"))?;
        let id = reference(&wanted, "object").map_err(|wrong| refusal(&[wrong]))?;
        self.blocking(move |plane| {
            let state = at(plane, request.revision)?;
            let entry = state.entries.get(&id.key());
            let entry = entry.ok_or_else(|| {
                Status::not_found(format!("there is no {id} at revision {}", state.revision))
            })?;
            stored(entry, state.revision)
        })
        .await
        .map(Response::new)
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let request = request.into_inner();
        let selection = paging::Selection::new(&request.kind, &request.namespace)?;
        self.blocking(move |plane| {
            paging::page(&at(plane, request.revision)?, &selection, request.limit, &request.page_token)
        })
        .await
        .map(Response::new)
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let selection = paging::Selection::new(&request.kind, &request.namespace)?;
        let store = Arc::clone(&self.plane.store);
        let mut after = request.after_revision.map_or_else(|| store.state().revision, Revision);
        // Says now, not in the stream, that the history does not reach that far.
        history(&store, after, 1).await?;
        let (tx, rx) = tokio::sync::mpsc::channel(WATCH_QUEUE);
        tokio::spawn(async move {
            let mut revisions = store.watch();
            revisions.mark_changed();
            while revisions.changed().await.is_ok() {
                loop {
                    let page = match history(&store, after, WATCH_PAGE).await {
                        Ok(page) => page,
                        Err(status) => {
                            let _gone = tx.send(Err(status)).await;
                            return;
                        }
                    };
                    let Some(last) = page.last() else { break };
                    after = last.revision;
                    for one in page {
                        let mut one = commit(&one);
                        one.changes.retain(|change| {
                            change.object.as_ref().is_some_and(|object| selection.takes(object))
                        });
                        if !one.changes.is_empty()
                            && tx.send(Ok(wire::WatchResponse { commit: Some(one) })).await.is_err()
                        {
                            return;
                        }
                    }
                }
                if tx.is_closed() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(rx))))
    }

    async fn history(
        &self,
        request: Request<wire::HistoryRequest>,
    ) -> Result<Response<wire::HistoryResponse>, Status> {
        let request = request.into_inner();
        let limit = if request.limit == 0 { 100 } else { request.limit.min(1000) } as usize;
        self.blocking(move |plane| {
            let page = plane.store.history_before(request.before_revision.map(Revision), limit);
            let commits = page.map_err(|error| store_error(&error))?.iter().map(commit).collect();
            Ok(wire::HistoryResponse { commits })
        })
        .await
        .map(Response::new)
    }

    async fn diff(
        &self,
        request: Request<wire::DiffRequest>,
    ) -> Result<Response<wire::DiffResponse>, Status> {
        let request = request.into_inner();
        self.blocking(move |plane| {
            let (from, to) = (at(plane, Some(request.from_revision))?, at(plane, request.to_revision)?);
            let changes = answer::differences(&from, &to);
            Ok(wire::DiffResponse { changes, from_revision: from.revision.0, to_revision: to.revision.0 })
        })
        .await
        .map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::ExplainResponse>, Status> {
        let request = request.into_inner();
        self.blocking(move |plane| crate::explain::explain(plane, &request)).await.map(Response::new)
    }

    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, Status> {
        status::status(&self.plane, &request.into_inner().node).map(Response::new)
    }
}

async fn history(store: &Arc<dyn Store>, after: Revision, limit: usize) -> Result<Vec<Commit>, Status> {
    let store = Arc::clone(store);
    let read = tokio::task::spawn_blocking(move || store.history(after, limit)).await;
    let read = read.map_err(|error| Status::internal(format!("history was not read: {error}")))?;
    read.map_err(|error| store_error(&error))
}
