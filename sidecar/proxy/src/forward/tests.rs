use super::*;
use std::mem::size_of;

/// Bytes of the future a request runs in: each HTTP/2 stream allocates it, and each HTTP/1 request moves it.
const FUTURE: usize = 1728;
/// Bytes of what a request owns, allocated once.
const EXCHANGE: usize = 416;
/// Bytes of a body, moved with each message.
const BODY: usize = 40;

fn size_of_future<A, B, F>(_: fn(A, B) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn sizes_do_not_grow_unnoticed() {
    let future = size_of_future(serve);
    assert!(future <= FUTURE, "the future of a request has {future} bytes");
    let exchange = size_of::<Exchange>();
    assert!(exchange <= EXCHANGE, "an exchange has {exchange} bytes");
    let body = size_of::<Body>();
    assert!(body <= BODY, "a body has {body} bytes");
}
