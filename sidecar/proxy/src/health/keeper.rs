//! One cluster's endpoints, looked after by one task: events come in, decisions are carried out, words are written.

use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use weir_config::{Cluster, EndpointState, NOT_BEGUN};
use weir_decide::health::{Answer, Change, Checked};
use weir_decide::outlier::{Detector, Event, Mercy, Observed, Reason};
use weir_model::{Health, Random, Time};
use weir_runtime::clock;
use weir_telemetry::metrics::{Counter, Gauge, Registry, WorkerMetrics, names};

use super::probe::{Prober, Target};
use crate::timer::now;

/// Counts of main's thread.
pub(super) struct Metrics {
    metrics: WorkerMetrics,
}

/// Counts of one cluster, by what they count; made when there is something to count.
struct Counts {
    metrics: Rc<Metrics>,
    ejections: HashMap<Reason, Counter>,
    spared: HashMap<(Reason, Mercy), Counter>,
    checks: HashMap<&'static str, Counter>,
    ejected: Option<(Gauge, i64)>,
    failing: Option<(Gauge, i64)>,
}

/// A cluster's endpoints as they are looked after.
struct Keeper {
    cluster: Arc<Cluster>,
    detector: Option<Detector>,
    /// By the endpoint's number.
    checks: HashMap<u64, Check>,
    random: Random,
    counts: Counts,
}

/// An endpoint that is checked.
struct Check {
    checked: Checked,
    /// Away while a check is under way.
    prober: Option<Prober>,
}

/// A check that has ended.
type Ended = (u64, Prober, Answer);

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self { metrics: registry.worker() }
    }
}

/// Looks after one cluster until it is gone.
pub(super) async fn run(
    mut clusters: watch::Receiver<Arc<Cluster>>,
    room: Rc<Semaphore>,
    metrics: Rc<Metrics>,
    seed: u64,
) {
    let cluster = clusters.borrow_and_update().clone();
    let state = cluster.state.clone();
    let mut keeper = Keeper::new(cluster, metrics, seed);
    let mut probes: JoinSet<Ended> = JoinSet::new();
    loop {
        keeper.start_due(&mut probes, &room);
        let due = keeper.next();
        let until = async {
            match due {
                Some(due) => tokio::time::sleep_until(clock::Time(due.0).instant()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = clusters.changed() => match changed {
                Ok(()) => keeper.follow(clusters.borrow_and_update().clone()),
                Err(_) => break,
            },
            () = state.suspects.notified() => keeper.suspects(),
            Some(ended) = probes.join_next() => {
                // A probe that panicked would have taken its prober with it; the endpoint is asked anew.
                if let Ok((id, prober, answer)) = ended {
                    keeper.conclude(id, prober, answer);
                }
            }
            () = until => keeper.tick(),
        }
    }
    keeper.release();
}

impl Keeper {
    fn new(cluster: Arc<Cluster>, metrics: Rc<Metrics>, seed: u64) -> Self {
        let counts = Counts {
            metrics,
            ejections: HashMap::new(),
            spared: HashMap::new(),
            checks: HashMap::new(),
            ejected: None,
            failing: None,
        };
        let mut keeper = Self {
            cluster: cluster.clone(),
            detector: None,
            checks: HashMap::new(),
            random: Random::new(seed),
            counts,
        };
        keeper.follow(cluster);
        keeper
    }

    /// The cluster has changed: its policy, its endpoints or both.
    fn follow(&mut self, cluster: Arc<Cluster>) {
        let now = now();
        let before = std::mem::replace(&mut self.cluster, cluster);
        let health = &self.cluster.model.health;
        let other_checks = before.model.health.health_check != health.health_check;
        let hosts = observed(&self.cluster);
        match (&health.outlier_detection, &mut self.detector) {
            (Some(config), None) => self.detector = Some(Detector::new(config, &hosts, now)),
            (None, Some(_)) => {
                self.detector = None;
                self.cluster.endpoints.iter().for_each(|endpoint| endpoint.restore(now));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        match &health.health_check {
            None => self.checks.clear(),
            Some(config) => {
                let mut known = std::mem::take(&mut self.checks);
                for (configured, endpoint) in configured(&self.cluster) {
                    if configured.details.as_ref().is_some_and(|details| details.unchecked) {
                        endpoint.standing.set_failing(false);
                        continue;
                    }
                    let random = &mut self.random;
                    let mut check = known.remove(&endpoint.id).unwrap_or_else(|| Check {
                        checked: Checked::new(config, !endpoint.standing.is_failing(), now, random),
                        prober: Some(Prober::default()),
                    });
                    if other_checks {
                        check.checked.hasten(config, now);
                    }
                    self.checks.insert(endpoint.id, check);
                }
            }
        }
        if health.slow_start.is_some() {
            for endpoint in &self.cluster.endpoints {
                if endpoint.standing.began() == NOT_BEGUN {
                    endpoint.standing.begin(now);
                }
            }
        }
        self.note_starting();
        self.show();
    }

    /// When there is something to do without being told.
    fn next(&self) -> Option<Time> {
        let checks =
            self.checks.values().filter(|check| check.prober.is_some()).map(|check| check.checked.next());
        checks.chain(self.detector.as_ref().map(Detector::deadline)).min()
    }

    /// Errors in a row have reached a threshold somewhere.
    fn suspects(&mut self) {
        let (now, cluster) = (now(), self.cluster.clone());
        for endpoint in &cluster.endpoints {
            let suspicion = endpoint.standing.take_suspicion();
            let (Some(detector), Some(config)) =
                (&mut self.detector, &cluster.model.health.outlier_detection)
            else {
                continue;
            };
            if !suspicion.is_none() {
                let hosts = observed(&cluster);
                let events = detector.suspect(config, &hosts, endpoint.id, suspicion, now, &mut self.random);
                self.carry_out(events, now);
            }
        }
    }

    /// Something is due.
    fn tick(&mut self) {
        let (now, cluster) = (now(), self.cluster.clone());
        if let (Some(detector), Some(config)) = (&mut self.detector, &cluster.model.health.outlier_detection)
            && detector.deadline() <= now
        {
            let events = detector.tick(config, &observed(&cluster), now, &mut self.random);
            self.carry_out(events, now);
        }
    }

    fn carry_out(&mut self, events: Vec<Event>, now: Time) {
        let cluster = self.cluster.clone();
        let find = |id: u64| cluster.endpoints.iter().find(|endpoint| endpoint.id == id);
        for event in &events {
            match event {
                Event::Ejected { id, reason, until } => {
                    let Some(endpoint) = find(*id) else { continue };
                    endpoint.eject(*until);
                    self.counts.ejected_by(&cluster, *reason);
                    tracing::info!(
                        cluster = cluster.model.name, endpoint = %endpoint.address, reason = reason.name(),
                        "ejected for {:?}", until.since(now)
                    );
                }
                Event::Spared { id, reason, why } => {
                    self.counts.spared_by(&cluster, *reason, *why);
                    tracing::debug!(
                        cluster = cluster.model.name,
                        endpoint = id,
                        reason = reason.name(),
                        "spared: {why:?}"
                    );
                }
                Event::Returned { id } => {
                    let Some(endpoint) = find(*id) else { continue };
                    endpoint.restore(now);
                    tracing::info!(cluster = cluster.model.name, endpoint = %endpoint.address, "back from ejection");
                }
            }
        }
        if !events.is_empty() {
            self.note_starting();
            self.show();
        }
    }

    /// Starts every check that is due and whose predecessor has ended.
    fn start_due(&mut self, probes: &mut JoinSet<Ended>, room: &Rc<Semaphore>) {
        if self.checks.is_empty() {
            return;
        }
        let now = now();
        for (configured, endpoint) in configured(&self.cluster) {
            let Some(check) = self.checks.get_mut(&endpoint.id) else { continue };
            if check.checked.next() > now {
                continue;
            }
            let Some(mut prober) = check.prober.take() else { continue };
            let (id, room) = (endpoint.id, room.clone());
            let details = configured.details.as_deref();
            let host = details.map(|details| details.check_host.clone()).filter(|host| !host.is_empty());
            let address = details.and_then(|details| details.check_address).unwrap_or(endpoint.address);
            let target = Target { address, host, cluster: self.cluster.clone() };
            probes.spawn_local(async move {
                // The semaphore is never closed.
                let _place = room.acquire().await;
                let answer = prober.ask(&target).await;
                (id, prober, answer)
            });
        }
    }

    /// A check has ended.
    fn conclude(&mut self, id: u64, prober: Prober, answer: Answer) {
        let (now, cluster) = (now(), self.cluster.clone());
        let Some(config) = &cluster.model.health.health_check else { return };
        let Some(check) = self.checks.get_mut(&id) else { return };
        let Some(endpoint) = cluster.endpoints.iter().find(|endpoint| endpoint.id == id) else { return };
        check.prober = Some(prober);
        let first = !check.checked.is_known();
        let used = cluster.state.traffic.totals().started > 0;
        let change = check.checked.conclude(config, answer, used, now, &mut self.random);
        self.counts.checked(&cluster, answer);
        match change {
            Change::None | Change::Pending => {}
            Change::Healthy => {
                // One that was there from the beginning has nothing to warm up for.
                if !first || endpoint.standing.began() != Time(0) {
                    endpoint.standing.begin(now);
                }
                endpoint.standing.set_failing(false);
                tracing::info!(cluster = cluster.model.name, endpoint = %endpoint.address, "passes its health checks");
            }
            Change::Unhealthy => {
                endpoint.standing.set_failing(true);
                tracing::info!(cluster = cluster.model.name, endpoint = %endpoint.address, "fails its health checks");
            }
        }
        let outliers = &cluster.model.health.outlier_detection;
        if let (Some(detector), Some(config), Answer::Passed) = (&mut self.detector, outliers, answer)
            && check.checked.is_healthy()
        {
            let event = detector.passed_check(config, id, now);
            self.carry_out(event.into_iter().collect(), now);
        }
        if change == Change::Healthy || change == Change::Unhealthy {
            self.note_starting();
            self.show();
        }
    }

    /// Until when balancers have to look at who starts slowly.
    fn note_starting(&self) {
        let window = self.cluster.model.health.slow_start.as_ref().map(|slow| slow.window);
        let began = self.cluster.endpoints.iter().map(|endpoint| endpoint.standing.began());
        let until = match window {
            Some(window) => began.filter(|began| *began > Time(0)).map(|began| began + window).max(),
            None => None,
        };
        self.cluster.state.starting_until.store(until.unwrap_or_default().0, Relaxed);
    }

    fn show(&mut self) {
        let ejected = self.detector.as_ref().map_or(0, Detector::ejected);
        let failing = self.checks.values().filter(|check| !check.checked.is_healthy()).count();
        self.counts.now(&self.cluster, ejected, failing);
    }

    /// The cluster is gone, or nothing of it is to be looked after any more.
    fn release(&mut self) {
        let now = now();
        for endpoint in &self.cluster.endpoints {
            endpoint.restore(now);
            endpoint.standing.set_failing(false);
        }
        self.cluster.state.starting_until.store(0, Relaxed);
        self.counts.now(&self.cluster, 0, 0);
    }
}

/// The endpoints as outlier detection is told of them.
fn observed(cluster: &Cluster) -> Vec<Observed> {
    let checked = cluster.model.health.health_check.is_some();
    let observed = |(configured, endpoint): (&weir_model::Endpoint, &Arc<EndpointState>)| {
        let takes = matches!(configured.health, Health::Healthy | Health::Degraded);
        let passes = !checked || !endpoint.standing.is_failing();
        Observed { id: endpoint.id, available: takes && passes, tally: endpoint.traffic.tally() }
    };
    configured(cluster).map(observed).collect()
}

/// Every endpoint as it is configured and as it is known here.
fn configured(cluster: &Cluster) -> impl Iterator<Item = (&weir_model::Endpoint, &Arc<EndpointState>)> {
    let all = cluster.assignment().into_iter().flat_map(|assignment| assignment.iter());
    all.map(|(_, endpoint)| endpoint).zip(&cluster.endpoints)
}

impl Counts {
    fn ejected_by(&mut self, cluster: &Cluster, reason: Reason) {
        let make = || {
            let labels = [cluster.model.name.as_str(), reason.name()];
            self.metrics.metrics.counter(&names::OUTLIER_EJECTIONS, &labels)
        };
        self.ejections.entry(reason).or_insert_with(make).inc();
    }

    fn spared_by(&mut self, cluster: &Cluster, reason: Reason, why: Mercy) {
        let why_name = match why {
            Mercy::NotEnforced => "not_enforced",
            Mercy::Overflow => "overflow",
            Mercy::Last => "last",
        };
        let make = || {
            let labels = [cluster.model.name.as_str(), reason.name(), why_name];
            self.metrics.metrics.counter(&names::OUTLIER_SPARED, &labels)
        };
        self.spared.entry((reason, why)).or_insert_with(make).inc();
    }

    fn checked(&mut self, cluster: &Cluster, answer: Answer) {
        let outcome = match answer {
            Answer::Passed => "passed",
            Answer::Refused => "refused",
            Answer::Failed => "failed",
        };
        let make =
            || self.metrics.metrics.counter(&names::HEALTH_CHECKS, &[cluster.model.name.as_str(), outcome]);
        self.checks.entry(outcome).or_insert_with(make).inc();
    }

    fn now(&mut self, cluster: &Cluster, ejected: usize, failing: usize) {
        let metrics = &self.metrics.metrics;
        let gauges = [
            (&mut self.ejected, &names::OUTLIER_EJECTED, ejected),
            (&mut self.failing, &names::HEALTH_CHECK_FAILING, failing),
        ];
        for (gauge, family, count) in gauges {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            if count > 0 || gauge.is_some() {
                let make = || (metrics.gauge(family, &[cluster.model.name.as_str()]), 0);
                let (gauge, shown) = gauge.get_or_insert_with(make);
                gauge.add(count - *shown);
                *shown = count;
            }
        }
    }
}
