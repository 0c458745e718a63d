//! The last good configuration on disk, so that a sidecar which starts while the control plane is away serves as before.
//!
//! One file, `last-good.v1` in the state directory: a line that says what it is, the length and the XXH3 hash of the rest,
//! and the effective resources as they travel (xDS, each with its version) with the names that were asked for. It is replaced
//! as a whole (written aside, synced, renamed), so a crash leaves the old one or the new one. What cannot be read is left out
//! with a warning; nothing here ends the process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::watch;
use weir_model::Resource;
use weir_model::node::Target;
use weir_proto::envoy::google::protobuf::Any;
use weir_xds::codec;
use xxhash_rust::xxh3::xxh3_64;

use crate::status::ConfigStatus;

/// The file's name in the state directory.
pub const FILE: &str = "last-good.v1";

const MAGIC: &[u8] = b"weir last-good 1\n";
/// What the first line of every version of the format begins with.
const FAMILY: &[u8] = b"weir last-good ";
/// Length and hash, little endian.
const HEADER: usize = MAGIC.len() + 16;
/// Largest file that is read. Far above what the limits on resources let grow in practice.
const FILE_BYTES: u64 = 1 << 30;

/// Changes within this time are written together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How long the last write may take when the process ends.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What is kept.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Saved {
    /// The node it was sent to. Another node's configuration is not used.
    pub node: String,
    /// Effective resources, each with its version as the control plane wrote it; empty if the control plane has sent a newer
    /// one that is not in force yet.
    pub resources: Vec<(String, Arc<Resource>)>,
    /// Names that were asked for, and whether the control plane said that they do not exist.
    pub names: Vec<(String, bool)>,
}

/// Why a file, or a part of it, is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// It is not a file of ours.
    Foreign,
    /// It has another version of the format: its first line.
    OtherFormat(String),
    /// It ends early, or its hash is wrong.
    Damaged(&'static str),
    /// It belongs to another node: its id.
    OtherNode(String),
    /// One resource in it is not understood; the rest is used.
    Resource(String),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign => write!(f, "it is not a configuration written by weir"),
            Self::OtherFormat(line) => write!(f, "it was written by another version of weir ({line:?})"),
            Self::Damaged(how) => write!(f, "it is damaged: {how}"),
            Self::OtherNode(node) => write!(f, "it belongs to node {node:?}"),
            Self::Resource(what) => write!(f, "a resource in it is not understood: {what}"),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(string, tag = "1")]
    node: String,
    #[prost(message, repeated, tag = "2")]
    resources: Vec<SavedResource>,
    #[prost(message, repeated, tag = "3")]
    names: Vec<SavedName>,
}

#[derive(Clone, PartialEq, Message)]
struct SavedResource {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(message, optional, tag = "2")]
    resource: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct SavedName {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "2")]
    absent: bool,
}

/// The bytes of the file.
pub fn encode(saved: &Saved) -> Vec<u8> {
    let resource = |(version, resource): &(String, Arc<Resource>)| SavedResource {
        version: version.clone(),
        resource: Some(codec::encode(resource, Target::Weir)),
    };
    let body = Body {
        node: saved.node.clone(),
        resources: saved.resources.iter().map(resource).collect(),
        names: saved
            .names
            .iter()
            .map(|(name, absent)| SavedName { name: name.clone(), absent: *absent })
            .collect(),
    };
    let mut bytes = MAGIC.to_vec();
    bytes.resize(HEADER, 0);
    bytes.reserve_exact(body.encoded_len());
    body.encode_raw(&mut bytes);
    let (head, body) = bytes.split_at_mut(HEADER);
    head[MAGIC.len()..MAGIC.len() + 8].copy_from_slice(&(body.len() as u64).to_le_bytes());
    head[MAGIC.len() + 8..].copy_from_slice(&xxh3_64(body).to_le_bytes());
    bytes
}

/// What is in the bytes of a file, for the node that reads it, with what was left out; or why nothing is used.
pub fn decode(bytes: &[u8], node: &str) -> Result<(Saved, Vec<Unusable>), Unusable> {
    if !bytes.starts_with(MAGIC) {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = &line[..line.len().min(64)];
        return Err(match bytes.starts_with(FAMILY) {
            true => Unusable::OtherFormat(String::from_utf8_lossy(line).into_owned()),
            false => Unusable::Foreign,
        });
    }
    let number = |from: usize| {
        let bytes: [u8; 8] = bytes.get(from..from + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let (Some(length), Some(hash)) = (number(MAGIC.len()), number(MAGIC.len() + 8)) else {
        return Err(Unusable::Damaged("it ends within its header"));
    };
    let body = &bytes[HEADER..];
    if body.len() as u64 != length {
        return Err(Unusable::Damaged("its length is not what its header says"));
    }
    if xxh3_64(body) != hash {
        return Err(Unusable::Damaged("its content does not match its hash"));
    }
    let body = Body::decode(body).map_err(|_| Unusable::Damaged("its content cannot be decoded"))?;
    if body.node != node {
        return Err(Unusable::OtherNode(body.node));
    }
    let mut saved = Saved { node: body.node, ..Saved::default() };
    let mut left_out = Vec::new();
    for entry in body.resources {
        match codec::decode(&entry.resource.unwrap_or_default()) {
            Ok(resource) => saved.resources.push((entry.version, Arc::new(resource))),
            Err(error) => left_out.push(Unusable::Resource(error.to_string())),
        }
    }
    saved.names = body.names.into_iter().map(|entry| (entry.name, entry.absent)).collect();
    Ok((saved, left_out))
}

/// Reads the file of a state directory; nothing if there is none. What cannot be used is logged as a warning.
pub fn load(directory: &Path, node: &str) -> Option<Saved> {
    let path = directory.join(FILE);
    let shown = path.display();
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("cannot read the last good configuration {shown}: {error}; starting without it");
            return None;
        }
    };
    match decode(&bytes, node) {
        Ok((saved, left_out)) => {
            for unusable in left_out {
                tracing::warn!("the last good configuration {shown} is used in part: {unusable}");
            }
            Some(saved)
        }
        Err(unusable) => {
            tracing::warn!("the last good configuration {shown} is not used: {unusable}");
            None
        }
    }
}

/// Replaces the file of a state directory as a whole. On an error the old one is still there.
///
/// Two processes of one node may share the directory while one takes over from the other; they write one after the other.
pub fn store(directory: &Path, saved: &Saved) -> io::Result<()> {
    let (path, aside) = (directory.join(FILE), directory.join(format!("{FILE}.new")));
    // Locked until it is closed.
    let directory = File::open(directory)?;
    directory.lock()?;
    let bytes = encode(saved);
    let written = write(&aside, &bytes).and_then(|()| std::fs::rename(&aside, &path));
    if written.is_err() {
        // Half a file would take the room that was lacking.
        let _ = std::fs::remove_file(&aside);
    }
    written?;
    // The rename lasts once the directory is on disk.
    directory.sync_all()
}

/// The task that writes, away from the threads that serve.
#[derive(Debug)]
pub(crate) struct Keeper {
    latest: watch::Sender<Arc<Saved>>,
    task: tokio::task::JoinHandle<()>,
}

impl Keeper {
    /// Starts it on the current runtime.
    pub(crate) fn start(directory: PathBuf, status: ConfigStatus) -> Self {
        let (latest, changes) = watch::channel(Arc::default());
        Self { latest, task: tokio::spawn(keep(directory, changes, status)) }
    }

    /// Writes this soon, unless something newer comes before.
    pub(crate) fn keep(&self, saved: Saved) {
        self.latest.send_replace(Arc::new(saved));
    }

    /// Writes what is not written yet.
    pub(crate) async fn finish(self) {
        drop(self.latest);
        // A disk that hangs must not keep the process from ending.
        let _ = tokio::time::timeout(LAST_WRITE, self.task).await;
    }
}

async fn keep(directory: PathBuf, mut changes: watch::Receiver<Arc<Saved>>, status: ConfigStatus) {
    let mut written = Arc::<Saved>::default();
    let mut failed = false;
    let mut open = true;
    while open {
        open = match failed {
            // A disk may have room again before the configuration changes again.
            true => tokio::time::timeout(RETRY, closed(&mut changes)).await.is_err(),
            false => changes.changed().await.is_ok(),
        };
        if open && !failed {
            open = tokio::time::timeout(DEBOUNCE, closed(&mut changes)).await.is_err();
        }
        let latest = changes.borrow_and_update().clone();
        // What another process has written is not to be replaced by what this one knows.
        if latest == written || status.is_handed_over() {
            failed = false;
            continue;
        }
        let (to, what) = (directory.clone(), latest.clone());
        let result = match tokio::task::spawn_blocking(move || store(&to, &what)).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        };
        match &result {
            Ok(()) => written = latest,
            Err(error) if !failed => {
                let path = directory.join(FILE);
                tracing::warn!(
                    "cannot write the last good configuration {}: {error}; the old one stays",
                    path.display()
                );
            }
            Err(_) => {}
        }
        failed = result.is_err();
        status.update(|status| match result {
            Ok(()) => {
                status.saves += 1;
                status.save_error = None;
            }
            Err(error) => {
                status.save_failures += 1;
                status.save_error = Some(error.to_string());
            }
        });
    }
}

/// Waits until nothing more will come.
async fn closed(changes: &mut watch::Receiver<Arc<Saved>>) {
    while changes.changed().await.is_ok() {}
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > FILE_BYTES {
        return Err(io::Error::other("it is larger than any configuration may be"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
