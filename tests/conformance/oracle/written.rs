//! Cases written by hand: one line each, by what they are about. What is expected is what Envoy does; that the tables are not empty words is
//! seen by every route of a suite being taken by one of its requests.

mod actions;
mod foreign;
mod headers;
mod hosts;
mod manners;
mod messages;
mod paths;
mod timeouts;

use crate::oracle::Suite;
use crate::request::Request;
use crate::rules::pb;

/// All suites.
pub(crate) fn suites() -> Vec<Suite> {
    [
        paths::suites(),
        hosts::suites(),
        headers::suites(),
        actions::suites(),
        foreign::suites(),
        messages::suites(),
        timeouts::suites(),
    ]
    .concat()
}

/// Those for a listener that makes use of what there is to say of HTTP.
pub(crate) fn particular() -> Vec<Suite> {
    manners::suites()
}

/// Routes of which each is taken by one of the requests.
fn suite<const N: usize>(name: &str, routes: pb::RouteConfiguration, requests: [Request; N]) -> Suite {
    Suite {
        name: name.to_owned(),
        routes,
        requests: requests.into(),
        thorough: true,
        replay: format!("ORACLE_CASE={name} cargo test -p weir-tests --test oracle written -- --nocapture"),
    }
}
