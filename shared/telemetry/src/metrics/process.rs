//! What the kernel says about this process, under the names every Prometheus client uses.

use super::{Family, Kind};

const fn family(name: &'static str, help: &'static str, unit: &'static str, kind: Kind) -> Family {
    Family { name, help, unit, kind, labels: &[], max_series: 1 }
}

static CPU: Family =
    family("process_cpu_seconds_total", "User and system CPU time spent.", "seconds", Kind::Counter);
static RESIDENT: Family =
    family("process_resident_memory_bytes", "Resident memory size.", "bytes", Kind::Gauge);
static VIRTUAL: Family = family("process_virtual_memory_bytes", "Virtual memory size.", "bytes", Kind::Gauge);
static OPEN: Family = family("process_open_fds", "Number of open file descriptors.", "", Kind::Gauge);
static MOST: Family = family("process_max_fds", "Maximum number of open file descriptors.", "", Kind::Gauge);
static START: Family = family(
    "process_start_time_seconds",
    "Start time of the process since the Unix epoch.",
    "seconds",
    Kind::Gauge,
);
static THREADS: Family = family("process_threads", "Number of threads.", "", Kind::Gauge);

/// Reads `/proc`; what cannot be read is left out.
pub(super) fn read() -> Vec<(&'static Family, f64)> {
    let mut values = Vec::new();
    if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        values.push((&CPU, stat.cpu_ticks as f64 / ticks));
        values.push((&THREADS, stat.threads as f64));
        values.push((&VIRTUAL, stat.virtual_bytes as f64));
        values.push((&RESIDENT, stat.resident_pages as f64 * rustix::param::page_size() as f64));
        if let Some(boot) = boot_time() {
            values.push((&START, boot as f64 + stat.start_ticks as f64 / ticks));
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // Reading the directory takes one itself.
        values.push((&OPEN, open.count().saturating_sub(1) as f64));
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        values.push((&MOST, most as f64));
    }
    values
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) cpu_ticks: u64,
    pub(super) threads: u64,
    pub(super) start_ticks: u64,
    pub(super) virtual_bytes: u64,
    pub(super) resident_pages: u64,
}

impl Stat {
    /// The fields of proc_pid_stat(5); the second is the program's name in parentheses and may hold anything.
    pub(super) fn parse(text: &str) -> Option<Stat> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // The list begins with field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn boot_time() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
