//! Route configurations and requests from a seed: every configuration from its own, so that one runs again without those before it. The
//! vocabulary is small, so that routes overlap and requests hit or nearly miss them.

mod foreign;
mod request;
mod rule;

use weir_model::Random;

use crate::oracle::Suite;
use crate::request::Request;
use crate::rules::{self, Rule, configuration};

/// Requests to each configuration.
pub(crate) const REQUESTS: usize = 15;

/// What a request must have to match a route.
#[derive(Clone, Debug)]
struct Sample {
    host: String,
    path: String,
    query: Option<String>,
    method: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    /// Longer than the backend takes, or not.
    slow: bool,
}

/// Chance with a few words.
struct Dice(Random);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// With so many in a hundred.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Domains, each with an authority it means.
const DOMAINS: &[(&str, &str)] = &[
    ("a.test", "a.test"),
    ("b.test", "b.test"),
    ("a.test:8080", "a.test:8080"),
    ("*.a.test", "x.a.test"),
    ("*.test", "c.test"),
    ("*.x.a.test", "y.x.a.test"),
    ("*.a.test:8080", "x.a.test:8080"),
    ("svc", "svc"),
];

/// The configuration of a number with its requests.
pub(crate) fn suite(seed: u64, number: usize) -> Suite {
    let mut dice = Dice(Random::new(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut left: Vec<(&str, &str)> = DOMAINS.to_vec();
    let (mut hosts, mut samples) = (Vec::new(), Vec::new());
    for at in 0..1 + dice.below(3) {
        let (mut domains, mut authorities) = (Vec::new(), Vec::new());
        for _ in 0..1 + dice.below(2) {
            let (domain, authority) = left.remove(dice.below(left.len()));
            domains.push(domain);
            authorities.push(authority);
        }
        if at == 0 && dice.percent(60) {
            domains.push("*");
            authorities.push("other.example");
        }
        let mut routes = Vec::new();
        for _ in 0..1 + dice.below(6) {
            let host = dice.pick(&authorities);
            let (rule, sample) = rule::rule(&mut dice, host);
            routes.push(foreign::route(&mut dice, rule));
            samples.push(sample);
        }
        let domains = domains.into_iter().map(str::to_owned).collect();
        let routes = routes.into_iter().map(|Rule(route)| route).collect();
        let mut host = rules::pb::VirtualHost { domains, routes, ..Default::default() };
        foreign::host(&mut dice, &mut host);
        hosts.push(host);
    }
    let requests: Vec<Request> = (0..REQUESTS).map(|_| request::request(&mut dice, &samples)).collect();
    let mut routes = configuration(hosts);
    foreign::configuration(&mut dice, &mut routes);
    Suite {
        name: format!("{number}"),
        routes,
        requests,
        thorough: false,
        replay: format!(
            "ORACLE_SEED={seed} ORACLE_CASE={number} cargo test -p weir-tests --test oracle generated -- --nocapture"
        ),
    }
}
