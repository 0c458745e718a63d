//! The sidecar's own name, if none is given: the host's with a random suffix, kept in the state directory so that it stays the
//! same over restarts and the last good configuration stays its own.

use std::io::{self, Write};
use std::path::Path;

/// The file's name in the state directory.
const FILE: &str = "node-id";

/// The name kept in the state directory, or a new one, kept from now on. Without a directory it is new every time.
pub(crate) fn node_id(state_dir: Option<&Path>, seed: u64) -> io::Result<String> {
    let Some(directory) = state_dir else { return Ok(new_node_id(seed)) };
    let path = directory.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(id) if is_id(id.trim()) => return Ok(id.trim().to_owned()),
        Ok(_) => tracing::warn!("{} holds no node id, making a new one", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = new_node_id(seed);
    // Written aside, so that a crash leaves no half of it.
    let aside = directory.join(format!("{FILE}.new"));
    let mut file = std::fs::File::create(&aside)?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(aside, path)?;
    Ok(id)
}

/// A new name.
pub(crate) fn new_node_id(seed: u64) -> String {
    format!("{}-{:08x}", host_name(), seed >> 32)
}

fn is_id(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What the kernel calls this host; `sidecar` if that is no usable name.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if is_id(name) && name.len() <= 64 { name.to_owned() } else { "sidecar".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let id = node_id(Some(directory.path()), 0x1234_5678_0000_0000).unwrap();
        assert!(id.ends_with("-12345678"), "{id}");
        assert_eq!(node_id(Some(directory.path()), 1).unwrap(), id);
        assert_ne!(node_id(None, 1).unwrap(), id);
    }

    #[test]
    fn a_damaged_name_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "two words\n").unwrap();
        let id = node_id(Some(directory.path()), 0).unwrap();
        assert!(is_id(&id));
        assert_eq!(std::fs::read_to_string(directory.path().join(FILE)).unwrap(), id);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error() {
        assert!(node_id(Some(Path::new("/nowhere/at/all")), 0).is_err());
    }
}
