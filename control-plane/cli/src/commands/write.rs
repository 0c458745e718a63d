//! Commands that change policy, or say what changing it would do.

use super::{is_data, split_name};
use crate::args::{Format, Write};
use crate::client::{Client, told};
use crate::{files, output};
use owo_colors::OwoColorize;
use std::path::PathBuf;
use std::process::ExitCode;
use tonic::{Code, Status};
use weir_proto::policy::v1 as wire;

pub(crate) async fn apply(
    client: &mut Client,
    paths: &[PathBuf],
    write: &Write,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let manifest = files::read(paths)?;
    let request = wire::ApplyRequest {
        manifest: manifest.clone(),
        expected_revision: write.expected_revision,
        author: write.author(),
        message: write.message.clone(),
        ..Default::default()
    };
    let answer = match client.apply(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            return refused(
                client,
                &status,
                wire::ValidateRequest { manifest, ..Default::default() },
                format,
            )
            .await;
        }
    };
    if is_data(format) {
        output::data(&output::value("ApplyResponse", &answer)?, format)?;
    } else {
        done(&answer.changes, &answer.diagnostics, answer.revision);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn validate(
    client: &mut Client,
    paths: &[PathBuf],
    format: Format,
) -> anyhow::Result<ExitCode> {
    let request = wire::ValidateRequest { manifest: files::read(paths)?, ..Default::default() };
    let answer = client.validate(request).await.map_err(|status| told(&status))?.into_inner();
    if is_data(format) {
        output::data(&output::value("ValidateResponse", &answer)?, format)?;
    } else {
        output::print(&output::diagnostics(&answer.diagnostics));
        output::print(&output::changes(&answer.changes));
        for sidecar in &answer.sidecars {
            output::print(&format!("\n{} ({})\n", sidecar.node.bold(), sidecar.target));
            for resource in &sidecar.resources {
                output::print(&format!(" {} {}\n", resource.r#type, resource.name));
                output::print(&resource.lines.iter().map(|line| output::diff_line(line)).collect::<String>());
            }
            output::print(&output::diagnostics(&sidecar.diagnostics));
        }
        let verdict = if answer.valid { "valid".green().to_string() } else { "refused".red().to_string() };
        output::print(&format!("{verdict}: nothing was changed\n"));
    }
    Ok(if answer.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files against what is stored. Exit status 1 if they differ, as `diff` has it.
pub(crate) async fn diff(client: &mut Client, paths: &[PathBuf], format: Format) -> anyhow::Result<ExitCode> {
    let request = wire::ValidateRequest { manifest: files::read(paths)?, ..Default::default() };
    let answer = client.validate(request).await.map_err(|status| told(&status))?.into_inner();
    let same = answer.changes.iter().all(|change| change.action() == wire::change::Action::Unchanged);
    if is_data(format) {
        output::data(&output::value("ValidateResponse", &answer)?, format)?;
    } else {
        output::print(&output::diagnostics(&answer.diagnostics));
        output::print(&output::changes_in_full(&answer.changes));
    }
    Ok(if same && answer.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `delete` was told to delete.
pub(crate) struct Wanted {
    pub(crate) kind: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) namespace: Option<String>,
}

pub(crate) async fn delete(
    client: &mut Client,
    wanted: Wanted,
    write: &Write,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let objects = match wanted.kind {
        Some(kind) => (wanted.names.iter())
            .map(|name| {
                let (namespace, name) = split_name(name, wanted.namespace.as_deref());
                wire::ObjectRef { kind: kind.clone(), namespace, name }
            })
            .collect(),
        None => {
            // The server reads the files, so that there is one parser; a dry run says what they name.
            let request =
                wire::ValidateRequest { manifest: files::read(&wanted.files)?, ..Default::default() };
            let answer = client.validate(request).await.map_err(|status| told(&status))?.into_inner();
            let named: Vec<wire::ObjectRef> =
                answer.changes.into_iter().filter_map(|change| change.object).collect();
            if named.is_empty() {
                output::print(&output::diagnostics(&answer.diagnostics));
                anyhow::bail!("the files name nothing that can be deleted");
            }
            named
        }
    };
    let request = wire::DeleteRequest {
        objects,
        expected_revision: write.expected_revision,
        author: write.author(),
        message: write.message.clone(),
    };
    let answer = client.delete(request).await.map_err(|status| told(&status))?.into_inner();
    if is_data(format) {
        output::data(&output::value("DeleteResponse", &answer)?, format)?;
    } else {
        done(&answer.changes, &answer.diagnostics, answer.revision);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn rollback(
    client: &mut Client,
    revision: u64,
    write: &Write,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let request = wire::RollbackRequest {
        to_revision: revision,
        expected_revision: write.expected_revision,
        author: write.author(),
        message: write.message.clone(),
    };
    let answer = client.rollback(request).await.map_err(|status| told(&status))?.into_inner();
    if is_data(format) {
        output::data(&output::value("RollbackResponse", &answer)?, format)?;
    } else {
        done(&answer.changes, &answer.diagnostics, answer.revision);
    }
    Ok(ExitCode::SUCCESS)
}

fn done(changes: &[wire::Change], diagnostics: &[wire::Diagnostic], revision: u64) {
    output::print(&output::diagnostics(diagnostics));
    output::print(&output::changes(changes));
    output::print(&format!("revision {revision}\n"));
}

/// A status carries what fits into a header; the dry run says it all.
async fn refused(
    client: &mut Client,
    status: &Status,
    again: wire::ValidateRequest,
    format: Format,
) -> anyhow::Result<ExitCode> {
    if status.code() != Code::InvalidArgument {
        return Err(told(status));
    }
    let answer = match client.validate(again).await {
        Ok(answer) => answer.into_inner(),
        Err(_) => return Err(told(status)),
    };
    if answer.valid {
        return Err(told(status));
    }
    if is_data(format) {
        output::data(&output::value("ValidateResponse", &answer)?, format)?;
    } else {
        anstream::eprint!("{}", output::diagnostics(&answer.diagnostics));
    }
    let count =
        answer.diagnostics.iter().filter(|one| one.severity() == wire::diagnostic::Severity::Error).count();
    Err(anyhow::anyhow!(
        "refused with {count} mistake{}; nothing was changed",
        if count == 1 { "" } else { "s" }
    ))
}
