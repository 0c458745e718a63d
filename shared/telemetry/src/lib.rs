//! Spans, metrics and logs: what a sidecar tells about itself and about the requests it carried.
//!
//! In the order a request meets them:
//!
//! - [`context`]: the trace context in its headers is read, and later written;
//! - [`sampling`]: whether it is recorded;
//! - [`span`]: what is recorded, as a plain value;
//! - [`export`]: a bounded queue, and a thread of its own that sends spans to a collector over OTLP;
//! - [`metrics`]: counters each worker writes alone and the scrape sums;
//! - [`access_log`]: a line of JSON per request, if asked for, also through a bounded queue;
//! - [`log`]: what our own programs say on stderr;
//! - `collector` (a feature): a small trace collector inside the process.
//!
//! **Telemetry never holds up a request.** Queues are bounded; what does not fit is dropped and counted.
//!
//! Deliberately absent: this crate knows neither weir's model nor the proxy, opens no listening socket and reads no clock: the
//! time of a span comes in its record.

pub mod access_log;
#[cfg(any(feature = "collector", test))]
pub mod collector;
pub mod context;
pub mod export;
pub mod log;
pub mod metrics;
mod queue;
pub mod sampling;
pub mod span;

pub use context::TraceContext;
pub use sampling::{Sampler, Sampling};
pub use span::{SpanKind, SpanRecord, Text};
