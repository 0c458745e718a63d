//! Leases on disk, so that a restart does not forget who was there. Lost or damaged, they cost convergence time, never correctness: they are
//! written without waiting, and read back or ignored as a whole.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use weir_model::mesh::{Name, Workload, WorkloadPort};

const FILE: &str = "joined.json";
const FORMAT: u64 = 1;

/// Writes the workloads that joined, whole or not at all. The file appears under its name only when it is complete.
///
/// # Errors
/// Whatever the file system says.
pub fn save(dir: &Path, workloads: &BTreeMap<Name, Workload>) -> std::io::Result<()> {
    let entries: Vec<Value> = workloads.iter().map(|(name, workload)| encode(name, workload)).collect();
    let text = json!({ "format": FORMAT, "workloads": entries }).to_string();
    let (path, next) = (path(dir), dir.join(format!("{FILE}.next")));
    let mut file = std::fs::File::create(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(next, path)
}

/// Reads them back; nothing if there is no file.
///
/// # Errors
/// Why the file cannot be used, for a person to read.
pub fn load(dir: &Path) -> Result<BTreeMap<Name, Workload>, String> {
    let path = path(dir);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let damaged =
        |what: &str| format!("{}: {what}; workloads will appear as their sidecars reconnect", path.display());
    let value: Value = serde_json::from_str(&text).map_err(|error| damaged(&error.to_string()))?;
    if value["format"] != json!(FORMAT) {
        return Err(damaged("written by another version"));
    }
    let entries = value["workloads"].as_array().ok_or_else(|| damaged("no workloads"))?;
    entries.iter().map(|entry| decode(entry).ok_or_else(|| damaged("a workload is not readable"))).collect()
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn encode(name: &Name, workload: &Workload) -> Value {
    let ports: Vec<Value> = (workload.ports.iter())
        .map(|port| json!({ "name": port.name, "number": port.number, "address": port.address.to_string() }))
        .collect();
    json!({
        "namespace": name.namespace, "name": name.name, "labels": workload.labels, "locality": workload.locality.to_string(),
        "weight": workload.weight, "ports": ports,
    })
}

fn decode(value: &Value) -> Option<(Name, Workload)> {
    let name = Name::new(value["namespace"].as_str()?, value["name"].as_str()?);
    let label = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let port = |value: &Value| {
        Some(WorkloadPort {
            name: value["name"].as_str()?.to_owned(),
            number: u16::try_from(value["number"].as_u64()?).ok()?,
            address: value["address"].as_str()?.parse().ok()?,
        })
    };
    let workload = Workload {
        labels: value["labels"].as_object()?.iter().map(label).collect::<Option<_>>()?,
        locality: value["locality"].as_str()?.parse().ok()?,
        weight: u32::try_from(value["weight"].as_u64()?).ok()?,
        ports: value["ports"].as_array()?.iter().map(port).collect::<Option<_>>()?,
        ready: true,
    };
    Some((name, workload))
}
