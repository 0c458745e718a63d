//! weir's `Workload`: an endpoint that is declared because no sidecar of its own joins.

use crate::WorkloadSpec;
use crate::decode::{At, Schema, excerpt};
use crate::parse::{fields, read_label};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use weir_model::Locality;

/// Ports of one workload.
const PORTS: usize = 256;
/// The largest weight: 65 536 endpoints of it still add up in 32 bits.
const WEIGHT: u32 = 65_535;
/// The longest part of a locality.
const LOCALITY_PART: usize = 128;

pub(crate) fn read(at: &At<'_>) -> Option<WorkloadSpec> {
    let spec = at.object(&Schema::of(&["address", "ports", "locality", "weight"]))?;
    let address =
        spec.required_text("address", "add the IP address it is reached at").and_then(|(at, text)| {
            let address = text
                .parse()
                .ok()
                .filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast());
            if address.is_none() {
                at.error(
                    format!("{} is not the IP address of a workload", excerpt(&Value::from(text))),
                    "write one, such as 10.0.0.7",
                );
            }
            address
        });
    let ports = spec
        .required("ports", "add the ports it serves, such as {http: 8080}")
        .and_then(|at| read_ports(&at));
    let locality = match spec.get_text("locality") {
        Some((at, text)) => read_locality(&at, text),
        None => Some(Locality::default()),
    };
    let weight = match spec.get("weight") {
        Some(at) => at.count(1..=WEIGHT),
        None => Some(1),
    };
    Some(WorkloadSpec { address: address?, ports: ports?, locality: locality?, weight: weight? })
}

fn read_ports(at: &At<'_>) -> Option<BTreeMap<String, u16>> {
    let entries = at.entries()?;
    if entries.is_empty() || entries.len() > PORTS {
        at.error(
            format!("{} ports, from 1 to {PORTS} are allowed", entries.len()),
            "write ports such as {http: 8080}",
        );
        return None;
    }
    let ports = entries.into_iter().map(|(name, at)| {
        let name = read_label(&at, name);
        Some((name?, at.port()?))
    });
    // Every entry is looked at, so that every mistake is told.
    let ports: Vec<_> = ports.collect();
    ports.into_iter().collect()
}

fn read_locality(at: &At<'_>, text: &str) -> Option<Locality> {
    let graphic =
        |part: &String| part.len() <= LOCALITY_PART && part.bytes().all(|byte| byte.is_ascii_graphic());
    match text.parse::<Locality>() {
        Ok(locality) if [&locality.region, &locality.zone, &locality.sub_zone].into_iter().all(graphic) => {
            Some(locality)
        }
        _ => {
            at.error(
                format!("{} is not a locality", excerpt(&Value::from(text))),
                "write region/zone/subzone, such as eu/eu-1/a",
            );
            None
        }
    }
}

pub(crate) fn write(spec: &WorkloadSpec) -> Value {
    let Locality { region, zone, sub_zone } = &spec.locality;
    let locality = format!("{region}/{zone}/{sub_zone}");
    let locality = locality.trim_end_matches('/');
    fields([
        ("address", Some(json!(spec.address.to_string()))),
        ("ports", Some(json!(spec.ports))),
        ("locality", (!locality.is_empty()).then(|| json!(locality))),
        ("weight", Some(json!(spec.weight))),
    ])
}
