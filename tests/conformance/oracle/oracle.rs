//! Both data planes beside each other: every request goes to both, and at the end everything is compared at once, when the logs are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use weir_tests::ads::{Ads, Refusal};
use weir_tests::http;
use weir_tests::resources::{self, Manager, pack};

use crate::compare::{Difference, compare};
use crate::differences::{Case, INTENDED, Intended};
use crate::plane::Plane;
use crate::request::{Outcome, Request};
use crate::rules::{self, pb};

/// An authority that nobody else asks for: what it answers tells which routes a worker has.
const SENTINEL: &str = "sentinel.oracle";
/// How often a request is sent again until the sidecar's split falls as Envoy's did. The smallest share is 1/10.
const SPLIT_TRIES: usize = 300;
/// So many failures are shown in full.
const SHOWN: usize = 12;

/// Routes with the requests that are sent to them.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) routes: pb::RouteConfiguration,
    pub(crate) requests: Vec<Request>,
    /// Whether every route must be taken by some request.
    pub(crate) thorough: bool,
    /// The command that runs it again.
    pub(crate) replay: String,
}

/// A request with what came of it.
struct Done {
    suite: usize,
    request: Request,
    envoy: Outcome,
    weir: Outcome,
}

/// Both data planes.
pub(crate) struct Oracle {
    pub(crate) ads: Ads,
    pub(crate) envoy: Plane,
    pub(crate) weir: Plane,
    dir: tempfile::TempDir,
    /// Whether its cases meet every intended difference.
    pub(crate) complete: bool,
    /// Whether the listener changes paths before routes see them.
    normalizes: bool,
    /// What differs on this listener besides.
    besides: &'static [Intended],
    changes: u64,
    asked: usize,
    suites: Vec<Suite>,
    done: Vec<Done>,
    refused: Vec<(String, Vec<Refusal>)>,
}

impl Oracle {
    /// With a listener in which everything is off that a sidecar has no notion of.
    pub(crate) fn start() -> Self {
        Self::start_with(&resources::manager(), &[])
    }

    /// With this listener, on which these differ besides.
    pub(crate) fn start_with(manager: &Manager, besides: &'static [Intended]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ads = Ads::start();
        let envoy = Plane::envoy(dir.path(), &ads, manager);
        let weir = Plane::weir(dir.path(), &ads, manager);
        let mut oracle = Self {
            ads,
            envoy,
            weir,
            dir,
            complete: false,
            normalizes: manager.normalize_path.is_some_and(|normalize| normalize.value),
            besides,
            changes: 0,
            asked: 0,
            suites: vec![],
            done: vec![],
            refused: vec![],
        };
        let refused = oracle.apply(&rules::configuration(vec![]));
        assert_eq!(refused, vec![], "the sidecar refuses what every case needs");
        oracle
    }

    /// Gives both other routes and waits until both have them; what the sidecar refuses.
    pub(crate) fn apply(&mut self, routes: &pb::RouteConfiguration) -> Vec<Refusal> {
        self.changes += 1;
        let serial = self.changes.to_string();
        let mut routes = routes.clone();
        let mut sentinel = rules::host(&[SENTINEL], [rules::prefix("/").answer(200, &serial)]);
        sentinel.name = "sentinel".to_owned();
        routes.virtual_hosts.push(sentinel);
        let refused = self.envoy.apply(&self.ads, &routes);
        assert_eq!(refused, vec![], "Envoy refuses a case: it is no case\n{routes:#?}");
        let refused = self.weir.apply(&self.ads, &routes);
        self.envoy.serves(SENTINEL, &serial);
        if refused.is_empty() {
            self.weir.serves(SENTINEL, &serial);
        }
        refused
    }

    /// Sends requests to both, at the same time and in the same order.
    pub(crate) fn ask(&mut self, requests: &[Request]) -> (Vec<Outcome>, Vec<Outcome>) {
        let (envoy, weir) = (&mut self.envoy, &mut self.weir);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| requests.iter().map(|request| envoy.ask(request)).collect::<Vec<_>>());
            let other: Vec<_> = requests.iter().map(|request| weir.ask(request)).collect();
            (one.join().unwrap(), other)
        })
    }

    /// Runs all requests of a suite on both.
    pub(crate) fn run(&mut self, suite: &Suite) {
        let refused = self.apply(&suite.routes);
        if !refused.is_empty() {
            self.refused.push((suite.name.clone(), refused));
            return;
        }
        let mut requests = suite.requests.clone();
        for request in &mut requests {
            self.asked += 1;
            request.number = self.asked;
        }
        let (one, mut other) = self.ask(&requests);
        let backend = |outcome: &Outcome| outcome.seen.first().map(|seen| seen.backend.clone());
        for (index, request) in requests.iter().enumerate() {
            // A split may fall either way. What each side of it does is compared on the same side.
            let mut tries = SPLIT_TRIES * usize::from(is_random(&suite.routes));
            while tries > 0 && backend(&one[index]) != backend(&other[index]) {
                other[index] = self.weir.ask(request);
                tries -= 1;
            }
        }
        for (request, (envoy, weir)) in requests.into_iter().zip(one.into_iter().zip(other)) {
            self.done.push(Done { suite: self.suites.len(), request, envoy, weir });
        }
        self.suites.push(suite.clone());
    }

    /// Compares everything; fails on what is not explained, and if fewer cases ran than were promised.
    pub(crate) fn judge(mut self, promised: usize) {
        let numbers = self.done.iter().map(|done| done.request.number);
        let logs = [self.envoy.logged(numbers.clone()), self.weir.logged(numbers)];
        for done in &mut self.done {
            let number = done.request.number;
            done.envoy.logged = logs[0].get(&number).cloned();
            done.weir.logged = logs[1].get(&number).cloned();
        }
        let lists = [INTENDED, self.besides];
        let intended: Vec<&Intended> = lists.into_iter().flatten().collect();
        let mut used = vec![0; intended.len()];
        let mut failed: Vec<(&Done, Vec<Difference>)> = Vec::new();
        for done in &self.done {
            let mut left = compare(&done.envoy, &done.weir);
            left.retain(|difference| {
                let Done { request, envoy, weir, .. } = done;
                let case = Case { request, envoy, weir, difference };
                let known = intended.iter().position(|intended| (intended.is)(&case));
                if let Some(known) = known {
                    used[known] += 1;
                }
                known.is_none()
            });
            if !left.is_empty() {
                failed.push((done, left));
            }
        }
        let statuses = self.done.iter().fold(BTreeMap::<u16, usize>::new(), |mut counts, done| {
            *counts.entry(done.envoy.answer.status).or_default() += 1;
            counts
        });
        let ran = self.done.len();
        println!("{ran} cases on {} route configurations; by status {statuses:?}", self.suites.len());
        for (intended, used) in intended.iter().zip(&used) {
            println!("  {used:5} × intended: {}: {}", intended.what, intended.reason);
        }
        self.show(&failed);
        let missed = self.missed();
        for (suite, refusals) in &self.refused {
            println!("REFUSED {suite}: {refusals:?}");
        }
        assert!(missed.is_empty(), "routes that no request of their suite takes: {missed:?}");
        assert!(self.refused.is_empty(), "the sidecar refuses {} configurations", self.refused.len());
        assert!(failed.is_empty(), "{} of {ran} cases differ without explanation", failed.len());
        let first = if self.besides.is_empty() { 0 } else { INTENDED.len() };
        let stale = intended.iter().zip(&used).skip(first).filter(|(_, used)| **used == 0);
        let stale: Vec<&str> = stale.map(|(intended, _)| intended.what).collect();
        assert!(!self.complete || stale.is_empty(), "nothing differs any more in {stale:?}");
        assert!(ran >= promised, "only {ran} cases ran, {promised} were promised");
    }

    /// The routes of thorough suites that Envoy's log does not have.
    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        // With other rules for paths, requests go other ways.
        let thorough = |suite: &Suite| suite.thorough && !self.normalizes;
        for (index, suite) in self.suites.iter().enumerate().filter(|(_, suite)| thorough(suite)) {
            let of_suite = self.done.iter().filter(|done| done.suite == index);
            let taken: BTreeSet<&str> =
                of_suite.filter_map(|done| Some(done.envoy.logged.as_ref()?.route.as_str())).collect();
            let routes = suite.routes.virtual_hosts.iter().flat_map(|host| &host.routes);
            let never = routes.filter(|route| !taken.contains(route.name.as_str()));
            missed.extend(never.map(|route| format!("{} {}", suite.name, route.name)));
        }
        missed
    }

    fn show(&self, failed: &[(&Done, Vec<Difference>)]) {
        let mut kinds = BTreeMap::<String, (usize, String)>::new();
        for (done, differences) in failed {
            for difference in differences {
                let short = |text: &str| text.chars().take(60).collect::<String>();
                let kind = format!(
                    "{}: {} → {}",
                    difference.part,
                    short(&difference.envoy),
                    short(&difference.weir)
                );
                let example = format!("{}: {}", self.suites[done.suite].name, done.request);
                kinds.entry(kind).or_insert((0, example)).0 += 1;
            }
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (kind, (count, example)) in kinds.iter().take(200) {
            println!("  {count:5} × {kind}\n          such as {example}");
        }
        let mut dumped = BTreeSet::new();
        for (done, differences) in failed.iter().take(SHOWN) {
            let suite = &self.suites[done.suite];
            println!("DIFFERS {}: {}\n  again: {}", suite.name, done.request, suite.replay);
            for difference in differences {
                println!("  {}: envoy {:?}, weir {:?}", difference.part, difference.envoy, difference.weir);
            }
            println!("  envoy: {:?}\n  weir:  {:?}", done.envoy, done.weir);
            if dumped.insert(done.suite) {
                println!("  routes: {}", self.in_words(&suite.routes));
            }
        }
    }

    /// A route configuration as Envoy shows it, in JSON.
    fn in_words(&self, routes: &pb::RouteConfiguration) -> String {
        self.ads.put("envoy", vec![(routes.name.clone(), pack(routes))]);
        self.envoy.settled(&self.ads);
        let file: PathBuf = self.dir.path().join("envoy.admin");
        let admin = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let dump = http::get(admin, "localhost", "/config_dump?resource=dynamic_route_configs").unwrap();
        let json: serde_json::Value = serde_json::from_str(&dump.text()).unwrap_or_default();
        json["configs"][0]["route_config"]["virtual_hosts"].to_string()
    }
}

/// Whether chance decides in it.
fn is_random(routes: &pb::RouteConfiguration) -> bool {
    let routes = routes.virtual_hosts.iter().flat_map(|host| &host.routes);
    routes.filter_map(|route| route.action.as_ref()).any(|action| match action {
        pb::route::Action::Route(action) => match &action.cluster_specifier {
            Some(pb::route_action::ClusterSpecifier::WeightedClusters(split)) => {
                let weights = split.clusters.iter().filter_map(|cluster| cluster.weight.as_ref());
                weights.filter(|weight| weight.value > 0).count() > 1
            }
            _ => false,
        },
        _ => false,
    })
}
