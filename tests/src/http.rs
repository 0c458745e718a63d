//! A small, strict, blocking HTTP/1.1 client: what a test sends and receives is what is on the wire.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with chunks joined.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first field of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One GET on a connection of its own.
///
/// # Errors
/// The connection broke, or what came back is not HTTP.
pub fn get(to: SocketAddr, host: &str, path: &str) -> std::io::Result<Answer> {
    request(to, format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())
}

/// Sends bytes on a connection of their own and reads one answer.
///
/// # Errors
/// The connection broke, or what came back is not HTTP.
pub fn request(to: SocketAddr, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    stream.write_all(bytes)?;
    read(&mut stream)
}

/// Reads one answer.
///
/// # Errors
/// The connection broke, or what came back is not HTTP.
pub fn read(stream: &mut impl Read) -> std::io::Result<Answer> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = find(&buffer, b"\r\n\r\n") {
            break end;
        }
        more(stream, &mut buffer)?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).map_err(|_| bad("the head is not text"))?;
    let mut rest = buffer[end + 4..].to_vec();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let mut answer = Answer { status: status.ok_or_else(|| bad("no status"))?, ..Answer::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a field without a colon"))?;
        answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = loop {
                if let Some(end) = find(&rest, b"\r\n") {
                    break end;
                }
                more(stream, &mut rest)?;
            };
            let size = String::from_utf8_lossy(&rest[..line]).into_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .map_err(|_| bad("a chunk without size"))?;
            while rest.len() < line + 2 + size + 2 {
                more(stream, &mut rest)?;
            }
            answer.body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest.drain(..line + 2 + size + 2);
            if size == 0 {
                return Ok(answer);
            }
        }
    }
    match answer.header("content-length").map(str::parse::<usize>) {
        Some(length) => {
            let length = length.map_err(|_| bad("content-length"))?;
            while rest.len() < length {
                more(stream, &mut rest)?;
            }
            rest.truncate(length);
        }
        None if matches!(answer.status, 101 | 204 | 304) => {}
        None => {
            stream.read_to_end(&mut rest)?;
        }
    }
    answer.body = rest;
    Ok(answer)
}

fn more(stream: &mut impl Read, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        n => {
            buffer.extend_from_slice(&chunk[..n]);
            Ok(())
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
