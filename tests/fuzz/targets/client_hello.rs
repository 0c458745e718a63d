//! A ClientHello is read the same in pieces of any size, within its bound, and yields a name that can be matched on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_decide::client_hello::{HelloError, HelloReader};
use weir_fuzz::in_pieces;
use weir_model::limits;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = HelloReader::default().receive(bytes);
    let mut reader = HelloReader::default();
    let pieces = in_pieces(bytes, usize::from(size), |piece| reader.receive(piece).transpose()).transpose();
    assert_eq!(whole, pieces);
    if let Ok(Some(hello)) = &whole {
        if let Some(name) = &hello.server_name {
            assert!(!name.is_empty() && name.len() <= 253 && !name.ends_with('.'));
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
        }
        assert!(hello.alpn.iter().all(|protocol| !protocol.is_empty()));
        assert!(hello.alpn.iter().map(Vec::len).sum::<usize>() <= limits::CLIENT_HELLO_BYTES);
    }
    if whole == Ok(None) {
        // Every record brings at least one byte of the message, and six of the connection.
        assert!(bytes.len() <= 6 * limits::CLIENT_HELLO_BYTES);
    }
    if bytes.first().is_some_and(|first| *first != 22) {
        assert_eq!(whole, Err(HelloError::NotTls));
    }
});
