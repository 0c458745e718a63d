//! Every decision of the data plane, as pure functions over values, in the order a request meets them:
//!
//! | module | decides |
//! |---|---|
//! | [`detect`] | what a connection speaks |
//! | [`client_hello`] | which server a TLS client asks for |
//! | [`authority`] | which name a request means |
//! | [`hop`] | which header fields end at this hop |
//! | [`route`] | which route a request takes, and why not another |
//! | [`redirect`] | where a caller is sent instead |
//! | [`split`] | which cluster of a weighted route |
//! | [`header`], [`rewrite`] | what the request looks like upstream |
//! | [`deadline`] | how long it may take, and what of it the next hop is told |
//! | [`circuit`] | whether a cluster has room for it |
//! | [`balance`] | which endpoint of a cluster |
//! | [`latency`] | how fast an endpoint has been lately |
//! | [`retry`] | whether and when to try again |
//!
//! Nothing here does IO, reads a clock, draws global randomness or holds a lock: time and chance are arguments, and the same
//! arguments give the same answer. What is compiled once per configuration (a [`route::Matcher`], a [`balance::Table`]) is
//! immutable and shared by all workers; what changes per request (a [`balance::Position`]) belongs to one worker.

pub mod authority;
pub mod balance;
pub mod circuit;
pub mod client_hello;
pub mod deadline;
pub mod detect;
pub mod header;
pub mod hop;
pub mod latency;
pub mod redirect;
pub mod retry;
pub mod rewrite;
pub mod route;
pub mod split;
