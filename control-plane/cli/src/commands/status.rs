//! `weir status`.

use super::is_data;
use crate::args::Format;
use crate::client::{Client, told};
use crate::output;
use owo_colors::OwoColorize;
use std::process::ExitCode;
use std::time::Duration;
use weir_proto::policy::v1 as wire;

pub(crate) async fn status(
    client: &mut Client,
    node: Option<String>,
    watch: Option<u64>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    loop {
        let request = wire::StatusRequest { node: node.clone().unwrap_or_default() };
        let answer = client.status(request).await.map_err(|status| told(&status))?.into_inner();
        if is_data(format) {
            output::data(&output::value("StatusResponse", &answer)?, format)?;
        } else {
            if watch.is_some() {
                // Home, and clear below: the table is drawn over the last one.
                output::print("\x1b[H\x1b[J");
            }
            match (&node, answer.sidecars.first()) {
                (Some(_), Some(sidecar)) => one(sidecar),
                _ => all(&answer),
            }
        }
        match watch {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn all(answer: &wire::StatusResponse) {
    let connected = answer.sidecars.iter().filter(|sidecar| sidecar.connected).count();
    let in_sync = answer.sidecars.iter().filter(|sidecar| sidecar.in_sync).count();
    output::print(&format!(
        "revision {}, {connected} sidecars connected, {in_sync} in sync\n",
        answer.revision
    ));
    if let Some(propagation) = answer.propagation.filter(|propagation| propagation.changes > 0) {
        output::print(&format!(
            "written → serving: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms over {} changes; the last one took {:.1} ms\n",
            propagation.p50_ms,
            propagation.p99_ms,
            propagation.max_ms,
            propagation.changes,
            propagation.last_ms
        ));
    }
    if !answer.sidecars.is_empty() {
        let rows = answer.sidecars.iter().map(|sidecar| {
            let service = format!("{}/{}", sidecar.namespace, sidecar.service);
            vec![
                sidecar.node.clone(),
                sidecar.target.clone(),
                service,
                sidecar.serving_revision.to_string(),
                state(sidecar),
                sidecar.protocol.clone(),
                sidecar.version.clone(),
                sidecar.connected_since.clone(),
            ]
        });
        let head = ["SIDECAR", "TARGET", "SERVICE", "SERVES", "STATE", "PROTOCOL", "VERSION", "SINCE"];
        output::print(&format!("\n{}", output::table(&head, rows.collect())));
    }
    for sidecar in &answer.sidecars {
        for resource in sidecar.resources.iter().filter(|resource| !resource.nack.is_empty()) {
            let head = format!("{} refused {} {}:", sidecar.node, resource.r#type, resource.name);
            output::print(&format!("\n{}\n  {}\n", head.red().bold(), resource.nack));
        }
    }
    if answer.load.iter().any(|load| load.requests > 0) {
        let rows = answer.load.iter().filter(|load| load.requests > 0).map(|load| {
            let counts = [load.requests, load.errors, load.in_progress].map(|count| count.to_string());
            [vec![load.cluster.clone(), load.endpoint.clone()], counts.to_vec()].concat()
        });
        output::print(&format!(
            "\n{}",
            output::table(&["CLUSTER", "ENDPOINT", "REQUESTS", "ERRORS", "IN PROGRESS"], rows.collect())
        ));
    }
}

fn state(sidecar: &wire::SidecarStatus) -> String {
    let refused = sidecar.resources.iter().filter(|resource| !resource.nack.is_empty()).count();
    match (sidecar.connected, refused, sidecar.in_sync) {
        (false, ..) => "gone".to_owned(),
        (true, 0, true) => "in sync".to_owned(),
        (true, 0, false) => "under way".to_owned(),
        (true, refused, _) => format!("refused {refused}"),
    }
}

fn one(sidecar: &wire::SidecarStatus) {
    output::print(&format!(
        "{} ({}, {}) {}\n",
        sidecar.node.bold(),
        sidecar.target,
        sidecar.version,
        state(sidecar)
    ));
    output::print(&format!(
        "serves revision {}, connected since {} from {}\n",
        sidecar.serving_revision, sidecar.connected_since, sidecar.address
    ));
    let rows = sidecar.resources.iter().map(|resource| {
        vec![
            resource.r#type.clone(),
            resource.name.clone(),
            resource.acknowledged_version.clone(),
            resource.state.clone(),
            resource.nack.clone(),
        ]
    });
    output::print(&format!(
        "\n{}",
        output::table(&["TYPE", "NAME", "VERSION", "STATE", "REFUSAL"], rows.collect())
    ));
    if !sidecar.diagnostics.is_empty() {
        output::print(&format!("\n{}", output::diagnostics(&sidecar.diagnostics)));
    }
}
