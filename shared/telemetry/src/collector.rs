//! A small trace collector inside the process: an OTLP receiver with a bounded memory, for the demo and for tests.
//!
//! It is the other end of [`crate::export`], made to answer one question: did the spans of different processes become one
//! connected trace? It stores nothing on disk and drops the oldest traces beyond its bound.

mod trace;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

pub use trace::{CollectedSpan, Trace, TraceSummary};

/// Receives and keeps spans. Clones share what they hold.
#[derive(Clone, Debug)]
pub struct Collector {
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    max_spans: usize,
    spans: usize,
    received: u64,
    traces: HashMap<u128, Vec<CollectedSpan>>,
    /// Trace ids, the oldest first.
    order: VecDeque<u128>,
}

impl Collector {
    /// A collector that keeps about `max_spans` spans: when there are more, whole traces go, the oldest first.
    pub fn new(max_spans: usize) -> Collector {
        let store = Store { max_spans: max_spans.max(1), ..Store::default() };
        Collector { store: Arc::new(Mutex::new(store)) }
    }

    /// Takes spans on `listener` until `end` resolves.
    pub async fn serve(
        &self,
        listener: TcpListener,
        end: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), end)
            .await
    }

    /// How many spans came in so far, including those dropped since.
    pub fn received(&self) -> u64 {
        self.store.lock().received
    }

    /// The traces kept, the most recently begun first.
    pub fn trace_ids(&self) -> Vec<u128> {
        self.store.lock().order.iter().rev().copied().collect()
    }

    /// One trace with the spans that have arrived.
    pub fn trace(&self, trace_id: u128) -> Option<Trace> {
        let spans = self.store.lock().traces.get(&trace_id)?.clone();
        Some(Trace::new(trace_id, spans))
    }

    /// The most recent trace for which `wanted` holds.
    pub fn find(&self, wanted: impl Fn(&Trace) -> bool) -> Option<Trace> {
        self.trace_ids().into_iter().filter_map(|id| self.trace(id)).find(|trace| wanted(trace))
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut store = self.store.lock();
        *store = Store { max_spans: store.max_spans, received: store.received, ..Store::default() };
    }
}

impl Store {
    fn add(&mut self, trace_id: u128, span: CollectedSpan) {
        self.received += 1;
        self.spans += 1;
        let trace = self.traces.entry(trace_id).or_default();
        if trace.is_empty() {
            self.order.push_back(trace_id);
        }
        trace.push(span);
        while self.spans > self.max_spans {
            let Some(oldest) = self.order.pop_front() else { break };
            self.spans -= self.traces.remove(&oldest).map_or(0, |spans| spans.len());
        }
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut rejected = 0;
        for group in request.into_inner().resource_spans {
            let service = trace::service_name(group.resource.as_ref());
            let spans: Vec<_> = group.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
            let mut store = self.store.lock();
            for span in spans {
                match CollectedSpan::from_wire(span, &service) {
                    Some((trace_id, span)) => store.add(trace_id, span),
                    None => rejected += 1,
                }
            }
        }
        let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: "a span needs a trace id of 16 bytes and a span id of 8, neither all zero"
                .to_owned(),
        });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

#[cfg(test)]
mod tests;
