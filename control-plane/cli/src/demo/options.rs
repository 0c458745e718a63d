//! What `weir demo` can be told.

use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long is measured in all, the outage included.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Requests each second.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) rate: u32,
    /// Send the traces to this OpenTelemetry collector (OTLP over gRPC) instead of one inside the demo.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// How long the control plane stays away [default: a fifth of the duration, at least 3s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) outage: Option<Duration>,
    /// Where weir-control-plane and weir-sidecar are [default: beside this program].
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Keep the directory with the logs and the store, and say where it is.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `30s`, `1m30s`, `500ms`, or a plain number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 30s, 1m30s, 500ms or a number of seconds");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        sum = sum.saturating_add(Duration::from_millis(u64::from(number) * millis));
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}
