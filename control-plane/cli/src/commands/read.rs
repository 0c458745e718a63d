//! Commands that look.

use super::{is_data, split_name};
use crate::args::Format;
use crate::client::{Client, told};
use crate::output;
use anyhow::anyhow;
use owo_colors::OwoColorize;
use serde_json::Value;
use std::process::ExitCode;
use weir_proto::policy::v1 as wire;

pub(crate) async fn get(
    client: &mut Client,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    revision: Option<u64>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (namespace, name) = split_name(name, namespace);
    let object = wire::ObjectRef { kind: kind.to_owned(), namespace, name };
    let request = wire::GetRequest { object: Some(object), revision };
    let answer = client.get(request).await.map_err(|status| told(&status))?.into_inner();
    match format {
        Format::Json => output::data(&serde_saphyr::from_str::<Value>(&answer.manifest)?, format)?,
        Format::Table | Format::Yaml => output::print(&answer.manifest),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn list(
    client: &mut Client,
    kind: Option<String>,
    namespace: Option<String>,
    revision: Option<u64>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (kind, namespace) = (kind.unwrap_or_default(), namespace.unwrap_or_default());
    let mut request = wire::ListRequest { kind, namespace, revision, ..Default::default() };
    let mut items = Vec::new();
    loop {
        let answer = client.list(request.clone()).await.map_err(|status| told(&status))?.into_inner();
        items.extend(answer.items);
        // Every page is of the revision that the first one read.
        request.revision = request.revision.or(Some(answer.revision));
        if answer.next_page_token.is_empty() {
            break;
        }
        request.page_token = answer.next_page_token;
    }
    match format {
        Format::Json => {
            let objects = items
                .iter()
                .map(|item| serde_saphyr::from_str::<Value>(&item.manifest))
                .collect::<Result<Vec<_>, _>>()?;
            output::data(&Value::Array(objects), format)?;
        }
        Format::Yaml => {
            let documents: Vec<&str> =
                items.iter().map(|item| item.manifest.trim_start_matches("---\n")).collect();
            output::print(&documents.join("---\n"));
        }
        Format::Table => {
            let rows = items.iter().map(|item| {
                let object = item.object.clone().unwrap_or_default();
                let metadata = object.metadata.unwrap_or_default();
                vec![
                    object.kind,
                    metadata.namespace,
                    metadata.name,
                    item.created_revision.to_string(),
                    item.modified_revision.to_string(),
                ]
            });
            output::print(&output::table(
                &["KIND", "NAMESPACE", "NAME", "CREATED", "MODIFIED"],
                rows.collect(),
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn diff(
    client: &mut Client,
    from: u64,
    to: Option<u64>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let request = wire::DiffRequest { from_revision: from, to_revision: to };
    let answer = client.diff(request).await.map_err(|status| told(&status))?.into_inner();
    if is_data(format) {
        output::data(&output::value("DiffResponse", &answer)?, format)?;
    } else {
        output::print(&output::changes_in_full(&answer.changes));
    }
    Ok(if answer.changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn history(
    client: &mut Client,
    limit: u32,
    changes: bool,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let request = wire::HistoryRequest { limit, ..Default::default() };
    let answer = client.history(request).await.map_err(|status| told(&status))?.into_inner();
    if is_data(format) {
        output::data(&output::value("HistoryResponse", &answer)?, format)?;
    } else if changes {
        for commit in &answer.commits {
            let head = format!("revision {}", commit.revision);
            output::print(&format!(
                "{} {} {}  {}\n",
                head.bold(),
                commit.time,
                commit.author,
                commit.message
            ));
            output::print(&output::changes_in_full(&commit.changes));
        }
    } else {
        let rows = answer.commits.iter().map(|commit| {
            vec![
                commit.revision.to_string(),
                commit.time.clone(),
                commit.author.clone(),
                summary(commit),
                commit.message.clone(),
            ]
        });
        output::print(&output::table(&["REVISION", "TIME", "AUTHOR", "CHANGES", "MESSAGE"], rows.collect()));
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(commit: &wire::Commit) -> String {
    match commit.changes.as_slice() {
        [one] => {
            let object = one.object.clone().unwrap_or_default();
            format!("{} {}/{}", object.kind, object.namespace, object.name)
        }
        several => format!("{} resources", several.len()),
    }
}

pub(crate) async fn watch(
    client: &mut Client,
    after: Option<u64>,
    kind: Option<String>,
    namespace: Option<String>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (kind, namespace) = (kind.unwrap_or_default(), namespace.unwrap_or_default());
    let request = wire::WatchRequest { after_revision: after, kind, namespace };
    // Watching has no end, so the call's own time limit must not apply.
    let mut request = tonic::Request::new(request);
    request.set_timeout(std::time::Duration::from_secs(365 * 24 * 3600));
    let mut changes = client.watch(request).await.map_err(|status| told(&status))?.into_inner();
    while let Some(change) = changes.message().await.map_err(|status| told(&status))? {
        let commit = change.commit.unwrap_or_default();
        if is_data(format) {
            // One line each: a program reads them as they come.
            output::print(&format!("{}\n", output::value("Commit", &commit)?));
        } else {
            output::print(&format!(
                "revision {} {} {} {}\n",
                commit.revision, commit.time, commit.author, commit.message
            ));
            output::print(&output::changes(&commit.changes));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Who sends a request.
pub(crate) struct From {
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    /// `KEY=VALUE` each.
    pub(crate) labels: Vec<String>,
    pub(crate) node: Option<String>,
}

/// A request to explain.
pub(crate) fn request(
    url: String,
    method: String,
    headers: &[String],
    from: From,
) -> anyhow::Result<wire::ExplainRequest> {
    let header = |text: &String| {
        let (name, value) =
            text.split_once(':').ok_or_else(|| anyhow!("--header {text:?}: write NAME: VALUE"))?;
        Ok(wire::HttpHeader { name: name.trim().to_owned(), value: value.trim().to_owned() })
    };
    let headers = headers.iter().map(header).collect::<anyhow::Result<_>>()?;
    let label = |text: &String| {
        let (key, value) =
            text.split_once('=').ok_or_else(|| anyhow!("--label {text:?}: write KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    Ok(wire::ExplainRequest {
        method,
        url,
        headers,
        from_namespace: from.namespace,
        from_service_account: from.service_account,
        from_labels: from.labels.iter().map(label).collect::<anyhow::Result<_>>()?,
        node: from.node.unwrap_or_default(),
    })
}

pub(crate) async fn explain(
    client: &mut Client,
    request: wire::ExplainRequest,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let answer = client.explain(request).await.map_err(|status| told(&status))?.into_inner();
    if is_data(format) {
        output::data(&output::value("ExplainResponse", &answer)?, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    for step in &answer.steps {
        output::print(&format!("{:<10} {}\n", step.stage.cyan(), step.decision));
        for reason in &step.reasons {
            output::print(&format!("{:<10} {}\n", "", reason.dimmed()));
        }
    }
    for outcome in &answer.outcomes {
        output::print(&format!("{:>6.2} %   {}\n", outcome.share * 100.0, outcome.target.bold()));
        for endpoint in &outcome.endpoints {
            output::print(&format!("{:>10} {endpoint}\n", ""));
        }
    }
    Ok(ExitCode::SUCCESS)
}
