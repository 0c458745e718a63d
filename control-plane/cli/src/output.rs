//! Printing: tables and colour for a person, JSON or YAML for a program.

use crate::args::Format;
use anyhow::Context;
use comfy_table::{Cell, Table, presets};
use owo_colors::OwoColorize;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use weir_proto::policy::v1 as wire;
use weir_proto::policy::v1::change::Action;
use weir_proto::policy::v1::diagnostic::Severity;

/// An answer as its proto3 JSON form, with every field, so that a program finds what it looks for.
pub(crate) fn value(name: &str, message: &impl prost::Message) -> anyhow::Result<Value> {
    value_of(&format!("weir.policy.v1.{name}"), message)
}

/// The same of a message by its full name.
pub(crate) fn value_of(name: &str, message: &impl prost::Message) -> anyhow::Result<Value> {
    let pool = DescriptorPool::decode(weir_proto::DESCRIPTORS).context("the built-in descriptors")?;
    let descriptor = pool.get_message_by_name(name).with_context(|| format!("no message {name}"))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().skip_default_fields(false).stringify_64_bit_integers(false);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

/// Prints a value for a program.
pub(crate) fn data(value: &Value, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Yaml => print(&serde_saphyr::to_string(value)?),
        Format::Json | Format::Table => print(&format!("{}\n", serde_json::to_string_pretty(value)?)),
    }
    Ok(())
}

/// Prints text as it is. A reader that went away (`weir list | head`) is no error.
pub(crate) fn print(text: &str) {
    use std::io::Write;
    let mut out = anstream::stdout();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A table without lines, as `kubectl` prints it.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Findings, worst first as the server sorted them.
pub(crate) fn diagnostics(all: &[wire::Diagnostic]) -> String {
    all.iter().map(diagnostic).collect()
}

fn diagnostic(one: &wire::Diagnostic) -> String {
    let word = match one.severity() {
        Severity::Error => "error".red().bold().to_string(),
        Severity::Warning => "warning".yellow().bold().to_string(),
        Severity::Note | Severity::Unspecified => "note".cyan().to_string(),
    };
    let field = if one.field.is_empty() { String::new() } else { format!("{}: ", one.field.bold()) };
    let mend =
        if one.mend.is_empty() { String::new() } else { format!("\n    {} {}", "→".dimmed(), one.mend) };
    format!("{word}: {}: {field}{}{mend}\n", one.resource, one.message)
}

/// What happened to each resource.
pub(crate) fn changes(all: &[wire::Change]) -> String {
    all.iter().map(|change| format!("{} {}\n", object(change), action(change.action()))).collect()
}

/// What happened to each resource, with the lines that changed.
pub(crate) fn changes_in_full(all: &[wire::Change]) -> String {
    let changed = all.iter().filter(|change| change.action() != Action::Unchanged);
    changed
        .map(|change| format!("{} {}\n{}", object(change).bold(), action(change.action()), lines(change)))
        .collect()
}

fn object(change: &wire::Change) -> String {
    let object = change.object.clone().unwrap_or_default();
    format!("{} {}/{}", object.kind, object.namespace, object.name)
}

fn action(action: Action) -> String {
    match action {
        Action::Created => "created".green().to_string(),
        Action::Updated => "updated".yellow().to_string(),
        Action::Deleted => "deleted".red().to_string(),
        Action::Unchanged | Action::Unspecified => "unchanged".dimmed().to_string(),
    }
}

fn lines(change: &wire::Change) -> String {
    let diff = similar::TextDiff::from_lines(&change.before, &change.after);
    let groups = diff.grouped_ops(2);
    let changes = groups.iter().flatten().flat_map(|op| diff.iter_changes(op));
    changes.map(|line| diff_line(&format!("{}{}", line.tag(), line.value().trim_end_matches('\n')))).collect()
}

/// A line of a difference, in its colour.
pub(crate) fn diff_line(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'+') => format!("  {}\n", line.green()),
        Some(b'-') => format!("  {}\n", line.red()),
        _ => format!("  {}\n", line.dimmed()),
    }
}
