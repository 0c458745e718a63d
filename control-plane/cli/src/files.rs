//! Manifests from files, directories and standard input.

use anyhow::{Context, anyhow, bail};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes read in all; the server takes no more.
const BYTES: u64 = 8 * 1024 * 1024;

/// All documents of the files, in order, as one manifest.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<String> {
    let mut manifest = String::new();
    for path in paths {
        for file in expand(path)? {
            let text = read_one(&file, BYTES.saturating_sub(manifest.len() as u64))?;
            if !manifest.is_empty() {
                manifest.push_str("\n---\n");
            }
            manifest.push_str(&text);
        }
    }
    if manifest.trim().is_empty() {
        bail!("there is no document in {}", list(paths));
    }
    Ok(manifest)
}

/// The YAML and JSON files of a directory, in order of name; any other path as it is.
fn expand(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("cannot read the directory {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.with_context(|| format!("cannot read the directory {}", path.display()))?.path();
        let known =
            file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json");
        if known && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("there is no .yaml, .yml or .json file in {}", path.display());
    }
    Ok(files)
}

fn read_one(path: &Path, most: u64) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > most {
        bail!(
            "{name}: the documents are larger than {} MiB in all; apply them in several batches",
            BYTES / 1024 / 1024
        );
    }
    String::from_utf8(bytes)
        .map_err(|error| anyhow!("{name}: is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
