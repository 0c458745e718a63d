//! The commands: one call each, and how its answer is printed.

mod identity;
mod read;
mod status;
mod token;
mod write;

use crate::args::{Args, Command, Format};
use crate::client;
use std::process::ExitCode;
use std::time::Duration;

/// Runs a command.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = args.output;
    let connection =
        client::connect(&args.server, Duration::from_secs(args.timeout), &args.credentials).await?;
    let mut client = connection.policy();
    match args.command {
        Command::Apply { files, write } => write::apply(&mut client, &files.files, &write, format).await,
        Command::Validate { files } => write::validate(&mut client, &files.files, format).await,
        Command::Diff { from: Some(from), to, .. } => read::diff(&mut client, from, to, format).await,
        Command::Diff { files, .. } => write::diff(&mut client, &files, format).await,
        Command::Delete { kind, names, files, space, write } => {
            let wanted = write::Wanted { kind, names, files, namespace: space.namespace };
            write::delete(&mut client, wanted, &write, format).await
        }
        Command::Rollback { revision, write } => write::rollback(&mut client, revision, &write, format).await,
        Command::Get { kind, name: Some(name), space, revision } => {
            read::get(&mut client, &kind, &name, space.namespace.as_deref(), revision, format).await
        }
        Command::Get { kind, name: None, space, revision } => {
            read::list(&mut client, Some(kind), space.namespace, revision, format).await
        }
        Command::List { kind, space, revision } => {
            read::list(&mut client, kind, space.namespace, revision, format).await
        }
        Command::History { limit, changes } => read::history(&mut client, limit, changes, format).await,
        Command::Watch { after, kind, space } => {
            read::watch(&mut client, after, kind, space.namespace, format).await
        }
        Command::Explain { url, method, headers, from, service_account, labels, node } => {
            let from = read::From { namespace: from, service_account, labels, node };
            let request = read::request(url, method, &headers, from)?;
            read::explain(&mut client, request, format).await
        }
        Command::Token(command) => token::run(&mut connection.identity(), command, format).await,
        Command::Identity(command) => identity::run(&mut connection.identity(), command, format).await,
        Command::Status { node, watch } => status::status(&mut client, node, watch, format).await,
        // They ask no control plane and were done in `main`.
        Command::Demo(_) | Command::DemoApp(_) | Command::DemoExec(_) | Command::Completions { .. } => {
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `NAMESPACE/NAME`, or `NAME` in the namespace given, or in `default`.
fn split_name(name: &str, namespace: Option<&str>) -> (String, String) {
    match name.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (namespace.unwrap_or("default").to_owned(), name.to_owned()),
    }
}

fn is_data(format: Format) -> bool {
    format != Format::Table
}
