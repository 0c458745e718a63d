//! How a data plane judges by itself which endpoints may take traffic, beyond what the control plane says of them.

use crate::HeaderMutation;
use std::time::Duration;

/// Which endpoints of a cluster take traffic, as far as the data plane finds out by itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EndpointHealth {
    /// Endpoints that answer badly are taken out for a while; off if absent.
    pub outlier_detection: Option<Box<OutlierDetection>>,
    /// Endpoints are asked whether they serve; off if absent.
    pub health_check: Option<Box<HealthCheck>>,
    /// Below this percentage of available endpoints in a priority, all of them are used, so that few healthy ones are not overrun
    /// (Envoy's `healthy_panic_threshold`). 0 never does: without an available endpoint, requests fail.
    pub panic_threshold: u32,
    /// An endpoint that is new, or back, gets its share by and by; off if absent.
    pub slow_start: Option<SlowStart>,
}

/// Envoy's panic threshold where nobody says, in percent.
pub const PANIC_THRESHOLD: u32 = 50;

impl Default for EndpointHealth {
    /// Envoy's defaults: only what the control plane says, and panic below half.
    fn default() -> Self {
        Self {
            outlier_detection: None,
            health_check: None,
            panic_threshold: PANIC_THRESHOLD,
            slow_start: None,
        }
    }
}

/// When an endpoint is ejected for what it answers (Envoy's `OutlierDetection`; gRFC A50). Percentages are 0 to 100.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OutlierDetection {
    /// How often success rates, failure percentages and latencies are compared.
    pub interval: Duration,
    /// How long the first ejection lasts; each one soon after the other lasts as much longer.
    pub base_ejection_time: Duration,
    /// The longest ejection, jitter not counted.
    pub max_ejection_time: Duration,
    /// Up to this much more, at random, so that not all come back at once.
    pub max_ejection_time_jitter: Duration,
    /// How many of a cluster's endpoints may be ejected at once.
    pub max_ejection_percent: u32,
    /// Whether one may be ejected in any case. The last available one never is.
    pub always_eject_one_host: bool,
    /// Whether a passed health check ends an ejection.
    pub successful_active_health_check_uneject_host: bool,
    /// Whether failures to connect and timeouts are counted apart from answers with an error.
    pub split_external_local_origin_errors: bool,
    /// That many 5xx (or what counts as one) in a row; 0 never.
    pub consecutive_5xx: u32,
    /// In how many cases it is ejected then.
    pub enforcing_consecutive_5xx: u32,
    /// That many 502, 503 or 504 in a row; 0 never.
    pub consecutive_gateway_failure: u32,
    /// In how many cases it is ejected then.
    pub enforcing_consecutive_gateway_failure: u32,
    /// That many failures to connect or timeouts in a row, where they are counted apart; 0 never.
    pub consecutive_local_origin_failure: u32,
    /// In how many cases it is ejected then.
    pub enforcing_consecutive_local_origin_failure: u32,
    /// A success rate that many thousandths of a standard deviation below the mean.
    pub success_rate_stdev_factor: u32,
    /// In how many cases it is ejected then.
    pub enforcing_success_rate: u32,
    /// The same for failures to connect and timeouts, where they are counted apart.
    pub enforcing_local_origin_success_rate: u32,
    /// How many endpoints must have had enough requests for their success rates to be compared.
    pub success_rate_minimum_hosts: u32,
    /// How many requests in an interval are enough for that.
    pub success_rate_request_volume: u32,
    /// That percentage of failures.
    pub failure_percentage_threshold: u32,
    /// In how many cases it is ejected then.
    pub enforcing_failure_percentage: u32,
    /// The same for failures to connect and timeouts, where they are counted apart.
    pub enforcing_failure_percentage_local_origin: u32,
    /// How many endpoints must have had enough requests for their failures to be looked at.
    pub failure_percentage_minimum_hosts: u32,
    /// How many requests in an interval are enough for that.
    pub failure_percentage_request_volume: u32,
    /// weir's own: an endpoint that answers much slower than the others; off if absent.
    pub latency: Option<LatencyOutlier>,
}

impl Default for OutlierDetection {
    /// Envoy's.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            successful_active_health_check_uneject_host: true,
            split_external_local_origin_errors: false,
            consecutive_5xx: 5,
            enforcing_consecutive_5xx: 100,
            consecutive_gateway_failure: 5,
            enforcing_consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 5,
            enforcing_consecutive_local_origin_failure: 100,
            success_rate_stdev_factor: 1900,
            enforcing_success_rate: 100,
            enforcing_local_origin_success_rate: 100,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            failure_percentage_threshold: 85,
            enforcing_failure_percentage: 0,
            enforcing_failure_percentage_local_origin: 0,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            latency: None,
        }
    }
}

/// An endpoint is an outlier while its moving average of response times is this many times the median of its cluster's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LatencyOutlier {
    /// How many times the median, in thousandths; more than 1000.
    pub factor: u32,
    /// A difference to the median below this never counts.
    pub minimum_difference: Duration,
    /// How many endpoints must have had enough requests.
    pub minimum_hosts: u32,
    /// How many answers in an interval are enough.
    pub request_volume: u32,
    /// In how many cases it is ejected, in percent.
    pub enforcing: u32,
}

impl Default for LatencyOutlier {
    /// Conservative: five times the median and 100 ms more, among five endpoints with 100 answers each.
    fn default() -> Self {
        Self {
            factor: 5000,
            minimum_difference: Duration::from_millis(100),
            minimum_hosts: 5,
            request_volume: 100,
            enforcing: 100,
        }
    }
}

/// How endpoints are asked whether they serve (Envoy's `HealthCheck`). An endpoint takes no traffic before its first check passed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// How long an answer may take.
    pub timeout: Duration,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// The first check comes up to this much later, at random.
    pub initial_jitter: Duration,
    /// Each further check comes up to this much later, at random.
    pub interval_jitter: Duration,
    /// And up to this percentage of its interval.
    pub interval_jitter_percent: u32,
    /// So many failures in a row make a healthy endpoint unhealthy. An answer that says so does at once.
    pub unhealthy_threshold: u32,
    /// So many passed checks in a row make an unhealthy endpoint healthy. The first check of all does at once.
    pub healthy_threshold: u32,
    /// Whether checks of an endpoint share a connection.
    pub reuse_connection: bool,
    /// The interval while the cluster was never used.
    pub no_traffic_interval: Duration,
    /// The same for healthy endpoints.
    pub no_traffic_healthy_interval: Duration,
    /// The interval for unhealthy endpoints.
    pub unhealthy_interval: Duration,
    /// The interval after a failure that is not enough to make an endpoint unhealthy.
    pub unhealthy_edge_interval: Duration,
    /// The interval after a passed check that is not enough to make an endpoint healthy.
    pub healthy_edge_interval: Duration,
}

/// Envoy's interval while a cluster was never used, where nobody says.
pub const NO_TRAFFIC_INTERVAL: Duration = Duration::from_secs(60);

impl HealthCheck {
    /// A check with these times and thresholds and Envoy's defaults for everything else.
    pub fn new(
        probe: Probe,
        timeout: Duration,
        interval: Duration,
        unhealthy_threshold: u32,
        healthy_threshold: u32,
    ) -> Self {
        Self {
            probe,
            timeout,
            interval,
            initial_jitter: Duration::ZERO,
            interval_jitter: Duration::ZERO,
            interval_jitter_percent: 0,
            unhealthy_threshold,
            healthy_threshold,
            reuse_connection: true,
            no_traffic_interval: NO_TRAFFIC_INTERVAL,
            no_traffic_healthy_interval: NO_TRAFFIC_INTERVAL,
            unhealthy_interval: interval,
            unhealthy_edge_interval: interval,
            healthy_edge_interval: interval,
        }
    }
}

/// What a health check asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Probe {
    /// An HTTP request whose status is looked at.
    Http(HttpProbe),
    /// `grpc.health.v1.Health/Check`; it passes on `SERVING`.
    Grpc {
        /// Which service; empty for the whole server.
        service: String,
        /// What `:authority` says; the cluster's name if empty.
        authority: String,
    },
    /// A connection, and perhaps bytes.
    Tcp {
        /// Sent once connected; nothing if empty, and then being connected is enough.
        send: Vec<u8>,
        /// Blocks that must come in this order, with anything between them.
        receive: Vec<Vec<u8>>,
    },
}

/// An HTTP health check.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpProbe {
    /// What `Host` says; the cluster's name if empty.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// `GET`, unless it says otherwise.
    pub method: http::Method,
    /// Whether HTTP/2 is spoken, with prior knowledge.
    pub http2: bool,
    /// Statuses that pass, as ranges from and below; only 200 if empty.
    pub expected: Vec<(u16, u16)>,
    /// Statuses that count towards the unhealthy threshold in place of being enough by themselves.
    pub retriable: Vec<(u16, u16)>,
    /// Changes to the request's header.
    pub headers: HeaderMutation,
}

/// How an endpoint that is new, or back, comes to its share (Envoy's `SlowStartConfig`).
///
/// After a part `t` of the window its weight is multiplied by `max(minimum, t ^ (1 / aggression))`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SlowStart {
    /// How long it takes to the whole share.
    pub window: Duration,
    /// In thousandths, more than 0: above 1000 the share grows fast first, below slowly first.
    pub aggression: u32,
    /// The smallest part of its weight, in percent.
    pub min_weight_percent: u32,
}

impl SlowStart {
    /// Envoy's defaults for a window: growing evenly, from a tenth.
    pub fn new(window: Duration) -> Self {
        Self { window, aggression: 1000, min_weight_percent: 10 }
    }
}
