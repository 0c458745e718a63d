//! Handing listening sockets to another process of the same user, over a Unix socket.
//!
//! The process that serves opens a [`Door`]; its successor connects to it as a [`Peer`]. Both then exchange messages and
//! listening sockets: the kernel gives the successor descriptors of the same sockets (`SCM_RIGHTS`), queues of waiting
//! connections and all, so none is refused while they change hands. What the two say to each other is the caller's business.
//!
//! Only one process serves at a path: the one that holds the [`Place`], which goes along with the sockets.
//!
//! Whoever gets a socket gets the traffic. So the door stands in a directory that only this user may enter, and each side asks
//! the kernel who the other one is. Messages and sockets are bounded in number and size.

mod place;

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};

pub use place::Place;

/// Largest message, in bytes.
pub const MESSAGE_BYTES: usize = 256 * 1024;
/// Most sockets handed over.
pub const SOCKETS: usize = 8192;
/// Sockets that travel together; the kernel's limit is 253.
const BATCH: usize = 64;
/// Travels with each batch, since descriptors need a byte to go along with.
const MARK: u8 = b'+';

/// Where a process waits for its successor.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

/// The other process.
#[derive(Debug)]
pub struct Peer {
    stream: UnixStream,
}

impl Door {
    /// Opens a door at `path`; must be called inside a tokio runtime. Its directory is made if it is missing (mode 0700), and
    /// must belong to this user and be closed to all others. What a process that is gone left at `path` is removed: ask with
    /// [`Peer::connect`] first whether one is there.
    ///
    /// # Errors
    /// What is wrong with the directory or the path, and what to do about it.
    pub fn open(path: &Path) -> io::Result<Door> {
        check_directory(path)?;
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => {
                let text =
                    format!("{} exists and is no socket; remove it or choose another path", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(about(path, &error)),
        }
        let listener = UnixListener::bind(path).map_err(|error| about(path, &error))?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Door { listener, path: path.to_owned() })
    }

    /// The next process of this user that comes to the door; others are turned away.
    ///
    /// # Errors
    /// The process is out of descriptors or memory: try again later.
    pub async fn accept(&self) -> io::Result<Peer> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if is_same_user(&stream).unwrap_or(false) {
                return Ok(Peer { stream });
            }
        }
    }

    /// Closes the door and leaves its place to the successor, who opens another one there.
    pub fn leave(self) {
        drop(self.listener);
    }

    /// Closes the door for good.
    pub fn remove(self) {
        drop(self.listener);
        // Whatever is wrong: the next one at this place clears up.
        let _ = fs::remove_file(self.path);
    }
}

impl Peer {
    /// Knocks at the door at `path`; `None` if nobody is behind it.
    ///
    /// # Errors
    /// The directory or the process behind the door is not to be trusted, or the path cannot be used.
    pub async fn connect(path: &Path) -> io::Result<Option<Peer>> {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        if !path.exists() {
            return Ok(None);
        }
        check_directory(path)?;
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Ok(None),
            Err(error) => return Err(about(path, &error)),
        };
        if !is_same_user(&stream)? {
            let text = format!("{} is served by another user; choose another path", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Some(Peer { stream }))
    }

    /// Sends a message of at most [`MESSAGE_BYTES`].
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u32::try_from(message.len()).ok().filter(|_| message.len() <= MESSAGE_BYTES);
        let length = length.ok_or_else(|| invalid("a message is too long to be handed over"))?;
        self.stream.write_all(&length.to_be_bytes()).await?;
        self.stream.write_all(message).await
    }

    /// The next message; `None` if the other process has hung up, or is gone.
    pub async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length).await {
            Ok(_) => {}
            Err(error) if hung_up(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > MESSAGE_BYTES {
            return Err(invalid("the other process sends a message that is too long"));
        }
        let mut message = vec![0; length];
        match self.stream.read_exact(&mut message).await {
            Ok(_) => Ok(Some(message)),
            Err(error) if hung_up(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands over listening sockets. This process keeps its own.
    pub async fn send_sockets(&mut self, sockets: &[&TcpListener]) -> io::Result<()> {
        for batch in sockets.chunks(BATCH) {
            let descriptors: Vec<BorrowedFd<'_>> = batch.iter().map(|socket| socket.as_fd()).collect();
            self.send_batch(&descriptors).await?;
        }
        Ok(())
    }

    /// Hands over the place. Both processes hold it then.
    pub async fn send_place(&mut self, place: &Place) -> io::Result<()> {
        self.send_batch(&[place.descriptor()]).await
    }

    async fn send_batch(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(BATCH))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(descriptors));
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            Ok(sendmsg(self.stream.as_fd(), &[IoSlice::new(&[MARK])], &mut control, flags)?)
        };
        self.stream.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// Takes over the place.
    ///
    /// # Errors
    /// Something else came.
    pub async fn receive_place(&mut self) -> io::Result<Place> {
        let mut batch = self.stream.async_io(Interest::READABLE, || receive_batch(&self.stream)).await?;
        match (batch.pop(), batch.is_empty()) {
            (Some(descriptor), true) => Place::received(descriptor),
            _ => Err(invalid("the other process did not hand over its lock")),
        }
    }

    /// Takes over so many listening sockets, at most [`SOCKETS`]; they are non-blocking.
    ///
    /// # Errors
    /// Fewer came, or something else than listening sockets.
    pub async fn receive_sockets(&mut self, count: usize) -> io::Result<Vec<TcpListener>> {
        if count > SOCKETS {
            return Err(invalid("the other process has more sockets than can be handed over"));
        }
        let mut sockets = Vec::with_capacity(count);
        while sockets.len() < count {
            let expected = (count - sockets.len()).min(BATCH);
            let batch = self.stream.async_io(Interest::READABLE, || receive_batch(&self.stream)).await?;
            if batch.len() != expected {
                return Err(invalid("the other process handed over fewer sockets than it said"));
            }
            for descriptor in batch {
                sockets.push(listening(descriptor)?);
            }
        }
        Ok(sockets)
    }
}

fn receive_batch(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut mark = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut mark)], &mut control, flags)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    match received.bytes {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ if received.flags.contains(ReturnFlags::CTRUNC) => {
            Err(invalid("not all sockets arrived; raise the limit of open files (ulimit -n)"))
        }
        _ if mark != [MARK] => Err(invalid("the other process sent something else than sockets")),
        _ => Ok(descriptors),
    }
}

/// Nobody is trusted to have sent what it said.
fn listening(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let socket = SockRef::from(&descriptor);
    let is_tcp = socket.r#type()? == socket2::Type::STREAM && socket.local_addr()?.as_socket().is_some();
    if !is_tcp || !socket.is_listener()? {
        return Err(invalid("the other process handed over something else than a listening TCP socket"));
    }
    socket.set_nonblocking(true)?;
    Ok(descriptor.into())
}

/// The directory of `path`: made if it is missing, and nobody else's.
fn check_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let shown = directory.display();
    let found = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| about(directory, &error))?;
            fs::metadata(directory)?
        }
        found => found.map_err(|error| about(directory, &error))?,
    };
    let denied = |text: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    if found.uid() != rustix::process::geteuid().as_raw() {
        return denied(format!("its directory {shown} belongs to another user; choose one of your own"));
    }
    if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        return denied(format!(
            "its directory {shown} is open to other users (mode {mode:03o}); close it with `chmod 700 {shown}`"
        ));
    }
    Ok(())
}

fn is_same_user(stream: &UnixStream) -> io::Result<bool> {
    Ok(stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw())
}

fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests;
