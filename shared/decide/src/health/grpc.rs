//! The two messages of `grpc.health.v1.Health/Check`, so that whoever checks need not know protobuf.

/// The path of the method.
pub const PATH: &str = "/grpc.health.v1.Health/Check";

/// `ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// The body of a request: a `HealthCheckRequest` in one gRPC message.
pub fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(service.len() + 7);
    if !service.is_empty() {
        // Field 1, with a length.
        message.push(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(message);
    body
}

/// Whether the body of a response says `SERVING`. Anything else, and anything that is no `HealthCheckResponse`, does not.
pub fn serves(body: &[u8]) -> bool {
    status(body) == Some(SERVING)
}

fn status(body: &[u8]) -> Option<u64> {
    let ([compressed, length @ ..], mut message) = body.split_first_chunk::<5>()?;
    if *compressed != 0 || message.len() != u32::from_be_bytes(*length) as usize {
        return None;
    }
    // The last one counts; zero if there is none.
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = take_varint(&mut message)?,
            (_, 0) => drop(take_varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
