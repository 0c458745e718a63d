//! What chance decides: shares are compared with what they should be, on both sides, within a bound that one run in a million exceeds.

use crate::oracle::Oracle;
use crate::request::{Outcome, Request, get};
use crate::rules::{everywhere, path};

/// Requests for each.
const REQUESTS: usize = 1_500;
/// Standard deviations of a binomial distribution that are allowed.
const Z: f64 = 5.0;

/// Whether a share of requests is what it should be.
fn plausible(hits: usize, expected: f64) -> bool {
    let total = REQUESTS as f64;
    (hits as f64 - total * expected).abs() <= Z * (total * expected * (1.0 - expected)).sqrt() + 0.5
}

/// A split of three, and fractions, which one number decides for all routes of a request.
pub(crate) fn run(oracle: &mut Oracle) {
    let routes = everywhere([
        path("/split").split(&[("alpha", 10), ("beta", 30), ("gamma", 60), ("delta", 0)]),
        path("/part").percent(25).to("alpha"),
        path("/part").percent(60).to("beta"),
        path("/part").to("gamma"),
    ]);
    assert_eq!(oracle.apply(&routes), vec![]);
    let cases: [(&str, &[(&str, f64)]); 2] = [
        ("/split", &[("alpha", 0.1), ("beta", 0.3), ("gamma", 0.6), ("delta", 0.0)]),
        ("/part", &[("alpha", 0.25), ("beta", 0.35), ("gamma", 0.4)]),
    ];
    for (target, shares) in cases {
        let requests: Vec<Request> = vec![get(target); REQUESTS];
        let (envoy, weir) = oracle.ask(&requests);
        for (plane, outcomes) in [("envoy", &envoy), ("weir", &weir)] {
            for (backend, expected) in shares {
                let to = |outcome: &&Outcome| outcome.seen.iter().all(|seen| seen.backend == *backend);
                let hits = outcomes.iter().filter(to).count();
                println!("{plane} {target}: {hits} of {REQUESTS} to {backend}, expected {expected}");
                assert!(plausible(hits, *expected), "{plane}: {hits} of {REQUESTS} to {backend}");
            }
        }
    }
}
