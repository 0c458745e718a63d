//! Of the processes that start at one path at the same moment only one serves: whoever holds the lock beside it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{about, check_directory, invalid};

/// The right to serve at a path. The kernel gives it back when the last process is gone that holds it (`flock` on `PATH.lock`), however it ended;
/// the file stays. [`super::Peer::send_place`] gives it to a successor, so that it is held throughout.
#[derive(Debug)]
pub struct Place {
    file: File,
}

impl Place {
    /// Takes the place, if nobody holds it.
    ///
    /// # Errors
    /// What is wrong with the directory or the file beside the path.
    pub fn take(path: &Path) -> io::Result<Option<Place>> {
        check_directory(path)?;
        let beside = Place::beside(path);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&beside).map_err(|error| about(&beside, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Place { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(about(&beside, &error)),
        }
    }

    /// The file that is locked.
    pub fn beside(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        name.into()
    }

    /// What the other process sent in place of one: nobody is trusted to have sent what it said.
    pub(super) fn received(descriptor: OwnedFd) -> io::Result<Place> {
        let file = File::from(descriptor);
        match file.metadata()?.is_file() {
            true => Ok(Place { file }),
            false => Err(invalid("the other process handed over something else than its lock")),
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
