//! The caller: HTTP/1.1 in exact bytes over a socket, HTTP/2 through `h2`. Connections are kept while both ends keep them, so that most
//! requests are not the first of theirs, as it is in life.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::backend::listed;
use crate::request::{Answer, Payload, Request, Version};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// A caller of one data plane.
pub(crate) struct Client {
    to: SocketAddr,
    http1: Option<Connection>,
    http2: Option<Multiplexed>,
}

/// An HTTP/1.1 connection.
struct Connection {
    stream: TcpStream,
}

struct Multiplexed {
    runtime: tokio::runtime::Runtime,
    sender: h2::client::SendRequest<bytes::Bytes>,
}

impl Client {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, http1: None, http2: None }
    }

    /// Sends one request and reads what comes back.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        let mut answer = match request.version {
            Version::Http1 => self.ask_http1(request),
            Version::Http2 => self.ask_http2(request),
        };
        // Not of one name, their order says nothing (RFC 9110 section 5.3).
        answer.headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        answer
    }

    fn ask_http1(&mut self, request: &Request) -> Answer {
        let kept = self.http1.take().filter(|kept| !request.alone && kept.is_open());
        let mut connection = kept.unwrap_or_else(|| Connection::open(self.to));
        // A proxy may answer and close before it has read everything.
        for (index, part) in request.parts().iter().enumerate() {
            if index > 0 {
                std::thread::sleep(request.pause);
            }
            let _closed = connection.stream.write_all(part);
        }
        let (answer, ends) = read(&mut connection.stream, &request.method);
        if !ends && !request.alone && answer.broken.is_none() {
            self.http1 = Some(connection);
        }
        answer
    }

    fn ask_http2(&mut self, request: &Request) -> Answer {
        let kept = self.http2.take().unwrap_or_else(|| Multiplexed::open(self.to));
        let answered = kept
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, converse(kept.sender.clone(), request)).await });
        let mut answer = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err((answer, error))) => Answer { broken: Some(named(&error)), ..answer },
            Err(_) => Answer { broken: Some("silent".to_owned()), ..Answer::default() },
        };
        if answer.broken.is_none() && !request.alone {
            self.http2 = Some(kept);
        } else {
            kept.runtime.shutdown_background();
        }
        answer.headers.retain(|(name, _)| !name.starts_with(':'));
        answer
    }
}

impl Connection {
    fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// Whether the other end has not closed it.
    fn is_open(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Multiplexed {
    fn open(to: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(to).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }
}

fn named(error: &h2::Error) -> String {
    match error.reason() {
        Some(reason) if error.is_reset() => format!("reset: {reason:?}"),
        Some(reason) => format!("connection: {reason:?}"),
        None => "connection lost".to_owned(),
    }
}

async fn converse(
    sender: h2::client::SendRequest<bytes::Bytes>,
    request: &Request,
) -> Result<Answer, (Answer, h2::Error)> {
    let mut answer = Answer::default();
    let mut head = http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("http://{}{}", request.host, request.target));
    for (name, value) in &request.fields() {
        head = head.header(name, value);
    }
    let head = head.body(()).unwrap_or_else(|error| panic!("{request} cannot be said in HTTP/2: {error}"));
    let failed = |error: h2::Error| (Answer::default(), error);
    let mut sender = sender.ready().await.map_err(failed)?;
    let bodiless = request.body == Payload::None;
    let (response, mut stream) = sender.send_request(head, bodiless).map_err(failed)?;
    match &request.body {
        Payload::None => {}
        Payload::Sized(body) => {
            let _reset = stream.send_data(body.clone().into_bytes().into(), true);
        }
        Payload::Chunked(chunks, trailers) => {
            for chunk in chunks {
                tokio::time::sleep(request.pause).await;
                let _reset = stream.send_data(chunk.clone().into_bytes().into(), false);
            }
            let mut map = http::HeaderMap::new();
            for (name, value) in trailers {
                map.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            let _reset = match trailers.is_empty() {
                true => stream.send_data(bytes::Bytes::new(), true),
                false => stream.send_trailers(map),
            };
        }
    }
    let response = response.await.map_err(failed)?;
    answer.status = response.status().as_u16();
    answer.headers = listed(response.headers());
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let data = match data {
            Ok(data) => data,
            Err(error) => return Err((answer, error)),
        };
        let _ended = body.flow_control().release_capacity(data.len());
        answer.body.push_str(&String::from_utf8_lossy(&data));
    }
    match body.trailers().await {
        Ok(trailers) => answer.trailers = trailers.map(|map| listed(&map)).unwrap_or_default(),
        Err(error) => return Err((answer, error)),
    }
    Ok(answer)
}

/// Reads one answer; and whether the connection ends with it.
fn read(stream: &mut TcpStream, method: &str) -> (Answer, bool) {
    let mut answer = Answer::default();
    let mut buffer = Vec::new();
    match read_into(stream, method, &mut answer, &mut buffer) {
        Ok(ends) => (answer, ends),
        Err(error) => {
            answer.broken = Some(match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => "silent".to_owned(),
                ErrorKind::InvalidData => format!("no HTTP: {error}"),
                // A close is a reset where the proxy had not read everything.
                _ => "closed".to_owned(),
            });
            (answer, true)
        }
    }
}

fn read_into(
    stream: &mut TcpStream,
    method: &str,
    answer: &mut Answer,
    buffer: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let bad = |what: &str| std::io::Error::new(ErrorKind::InvalidData, what.to_owned());
    loop {
        let mut lines = head(stream, buffer)?.into_iter();
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        answer.status = status.ok_or_else(|| bad(&first))?;
        answer.headers = lines
            .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
            .collect::<Option<_>>()
            .ok_or_else(|| bad("a field without a colon"))?;
        if !matches!(answer.status, 100 | 102..200) {
            break;
        }
        answer.interim.push(answer.status);
    }
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_ascii_lowercase())
    };
    let ends = header("connection").is_some_and(|value| value.contains("close"));
    if method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
        return Ok(ends);
    }
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let size = line(stream, buffer)?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| bad("a chunk without size"))?;
            if size == 0 {
                answer.body = String::from_utf8_lossy(&body).into_owned();
                loop {
                    let line = line(stream, buffer)?;
                    match line.split_once(':') {
                        None => return Ok(ends),
                        Some((name, value)) => {
                            answer.trailers.push((name.to_owned(), value.trim().to_owned()));
                        }
                    }
                }
            }
            fill(stream, buffer, size + 2)?;
            body.extend_from_slice(&buffer[..size]);
            buffer.drain(..size + 2);
        }
    }
    let Some(length) = header("content-length") else {
        loop {
            let more = fill(stream, buffer, buffer.len() + 1);
            match more {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    answer.body = String::from_utf8_lossy(buffer).into_owned();
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
    };
    let length = length.parse::<usize>().map_err(|_| bad("content-length"))?;
    let filled = fill(stream, buffer, length);
    answer.body = String::from_utf8_lossy(&buffer[..length.min(buffer.len())]).into_owned();
    filled?;
    if buffer.len() > length {
        return Err(bad("bytes after the answer"));
    }
    Ok(ends)
}

fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let line = line(stream, buffer)?;
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

fn line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") {
            let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 2);
            return Ok(line);
        }
        fill(stream, buffer, buffer.len() + 1)?;
    }
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>, to: usize) -> std::io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    while buffer.len() < to {
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(())
}
