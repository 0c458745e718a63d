//! How the configuration stands, as metrics. What requests do is counted by the workers.

use std::sync::Arc;

use tokio::sync::watch;
use weir_config::{Answer, ConfigStatus, Snapshot, Status};
use weir_model::ResourceType;
use weir_telemetry::metrics::{Family, Registry};

static CONNECTED: Family =
    Family::gauge("weir_config_connected", "Whether the stream to a control plane is open.", &[]);
static CONNECTS: Family =
    Family::counter("weir_config_connects_total", "Streams to control planes that were opened.", &[]);
static FAILURES: Family = Family::counter(
    "weir_config_failures_total",
    "Streams to control planes that ended or could not be opened.",
    &[],
);
static RESPONSES: Family =
    Family::counter("weir_config_responses_total", "Discovery responses received.", &[]);
static REFUSALS: Family = Family::counter(
    "weir_config_refusals_total",
    "Resources refused because they could not be decoded or compiled.",
    &[],
);
static REFUSED: Family =
    Family::gauge("weir_config_refused", "Resources whose last version was refused.", &[]);
static PENDING: Family =
    Family::gauge("weir_config_pending", "Resources received that wait for others they refer to.", &[]);
static RESOURCES: Family = Family::gauge("weir_config_resources", "Resources in force.", &["type"]);
static NAMES: Family =
    Family::gauge("weir_config_names", "Names asked for, by the control plane's answer.", &["answer"]);
static SEQUENCE: Family = Family::gauge(
    "weir_config_snapshot_sequence",
    "Configurations published to the workers since the start.",
    &[],
);
static SAVES: Family =
    Family::counter("weir_config_saves_total", "Times the last good configuration was written.", &[]);
static SAVE_FAILURES: Family = Family::counter(
    "weir_config_save_failures_total",
    "Times the last good configuration could not be written.",
    &[],
);

/// Shows all of it in a registry.
pub(crate) fn register(
    registry: &Registry,
    status: &ConfigStatus,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
) {
    let show = |family: &'static Family, labels: &[&str], read: fn(&Status) -> usize| {
        let status = status.clone();
        registry.observe(family, labels, move || status.read(read) as f64);
    };
    show(&CONNECTED, &[], |status| usize::from(status.connected_since.is_some()));
    show(&CONNECTS, &[], |status| count(status.connects));
    show(&FAILURES, &[], |status| count(status.failures));
    show(&RESPONSES, &[], |status| count(status.responses));
    show(&REFUSALS, &[], |status| count(status.refusals));
    show(&REFUSED, &[], |status| status.refused.len());
    show(&PENDING, &[], |status| status.pending.len());
    show(&RESOURCES, &["cluster"], |status| status.effective.of(ResourceType::Cluster).count());
    show(&RESOURCES, &["endpoints"], |status| status.effective.of(ResourceType::Endpoints).count());
    show(&RESOURCES, &["listener"], |status| status.effective.of(ResourceType::Listener).count());
    show(&RESOURCES, &["route"], |status| status.effective.of(ResourceType::Route).count());
    show(&NAMES, &["found"], |status| answered(status, Answer::Listener));
    show(&NAMES, &["absent"], |status| answered(status, Answer::Absent));
    show(&NAMES, &["none"], |status| answered(status, Answer::None));
    show(&SAVES, &[], |status| count(status.saves));
    show(&SAVE_FAILURES, &[], |status| count(status.save_failures));
    super::breakers::register(registry, snapshots);
    let snapshots = snapshots.clone();
    registry.observe(&SEQUENCE, &[], move || snapshots.borrow().sequence as f64);
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn answered(status: &Status, answer: Answer) -> usize {
    status.names.iter().filter(|(_, given)| *given == answer).count()
}
