//! Secrets on disk: closed to everybody else, and never there in part.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::IdentityError;

/// Largest file read, in bytes.
const BYTES: u64 = 256 * 1024;

/// Makes a directory that only its owner may enter, if it is not there.
///
/// # Errors
/// The system refuses.
pub fn make_directory(path: &Path) -> Result<(), IdentityError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| IdentityError::file(path, format!("cannot be made: {error}")))
}

/// Reads a secret, which nobody but its owner may be able to read; `None` if there is no such file. The text is wiped when it is dropped.
///
/// # Errors
/// Others could read it, it is too large, or the system refuses.
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, IdentityError> {
    let Some((mut file, mode)) = open(path)? else { return Ok(None) };
    if mode & 0o077 != 0 {
        return Err(IdentityError::file(
            path,
            format!(
                "its mode is {:04o}, so that others may use the secret in it; chmod 600 it",
                mode & 0o7777
            ),
        ));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)
        .map_err(|error| IdentityError::file(path, format!("cannot be read: {error}")))?;
    Ok(Some(text))
}

/// Reads what is no secret; `None` if there is no such file.
///
/// # Errors
/// It is too large, or the system refuses.
pub fn read_public(path: &Path) -> Result<Option<String>, IdentityError> {
    let Some((mut file, _)) = open(path)? else { return Ok(None) };
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| IdentityError::file(path, format!("cannot be read: {error}")))?;
    Ok(Some(text))
}

fn open(path: &Path) -> Result<Option<(File, u32)>, IdentityError> {
    let wrong = |why: String| Err(IdentityError::file(path, why));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return wrong(format!("cannot be opened: {error}")),
    };
    // Of the open file, not of the path, which could be another's by now.
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => wrong("is no file".to_owned()),
        Ok(metadata) if metadata.len() > BYTES => wrong(format!("is longer than {BYTES} bytes")),
        Ok(metadata) => Ok(Some((file, metadata.mode()))),
        Err(error) => wrong(format!("cannot be read: {error}")),
    }
}

/// Writes a file that only its owner may read (mode 0600): whole or not at all, and durable when this returns.
///
/// # Errors
/// The system refuses; what was there is still there.
pub fn write_secret(path: &Path, text: &str) -> Result<(), IdentityError> {
    write(path, text, 0o600)
}

/// The same for what everybody may read.
///
/// # Errors
/// As [`write_secret`].
pub fn write_public(path: &Path, text: &str) -> Result<(), IdentityError> {
    write(path, text, 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), IdentityError> {
    let written = || -> std::io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let aside = path.with_file_name(name);
        // One of an earlier process with this number may have been left; its mode would be kept.
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    written().map_err(|error| IdentityError::file(path, format!("cannot be written: {error}")))
}

#[cfg(test)]
mod tests;
