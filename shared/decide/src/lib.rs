//! Every decision of the data plane, as pure functions over values, in the order a request meets them:
//!
//! | module | decides |
//! |---|---|
//! | [`framing`] | where messages end, and whether anybody could read that differently |
//! | [`detect`] | what a connection speaks |
//! | [`client_hello`] | which server a TLS client asks for |
//! | [`chain`] | which filter chain a connection takes |
//! | [`authority`] | which name a request means |
//! | [`hop`] | which header fields end at this hop |
//! | [`path`] | which path a request means |
//! | [`route`] | which route a request takes, and why not another |
//! | [`cors`] | whether other origins may read the answer |
//! | [`limit`] | whether a request is within its rate |
//! | [`fault`] | whether it fails or waits on purpose |
//! | [`redirect`] | where a caller is sent instead |
//! | [`affinity`] | what brings a caller back: its hash, its side of a split, its session |
//! | [`split`] | which cluster of a weighted route |
//! | [`header`], [`rewrite`] | what the request looks like upstream |
//! | [`mirror`] | whether a copy of it goes elsewhere |
//! | [`deadline`] | how long it may take, and what of it the next hop is told |
//! | [`circuit`] | whether a cluster has room for it |
//! | [`balance`] | which endpoint of a cluster |
//! | [`zone`] | how much of the traffic stays in its caller's zone |
//! | [`latency`] | how fast an endpoint has been lately |
//! | [`outlier`] | which endpoints are ejected for what they answer |
//! | [`health`] | whether an endpoint is healthy by its checks, and when the next is due |
//! | [`slow_start`] | how much of its share a new endpoint gets |
//! | [`retry`] | whether and when to try again |
//! | [`storm`] | what hops tell each other, so that retries do not multiply |
//!
//! Nothing here does IO, reads a clock, draws global randomness or holds a lock: time and chance are arguments, and the same
//! arguments give the same answer. What is compiled once per configuration (a [`route::Matcher`], a [`balance::Table`]) is
//! immutable and shared by all workers; what changes per request (a [`balance::Position`]) belongs to one worker.

pub mod affinity;
pub mod authority;
pub mod balance;
pub mod chain;
pub mod circuit;
pub mod client_hello;
pub mod cors;
pub mod deadline;
pub mod detect;
pub mod fault;
pub mod framing;
pub mod header;
pub mod health;
pub mod hop;
pub mod latency;
pub mod limit;
pub mod mirror;
pub mod outlier;
pub mod path;
pub mod redirect;
pub mod retry;
pub mod rewrite;
pub mod route;
pub mod slow_start;
pub mod split;
pub mod storm;
pub mod zone;
