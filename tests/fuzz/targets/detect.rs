//! What is said of a connection's first bytes stays, however the rest comes, and is said in time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_decide::detect::{PREFACE, Protocol, SNIFFED, guess, is_http2, sniff};

fuzz_target!(|bytes: &[u8]| {
    let mut known = None;
    let ends = (0..bytes.len().min(64)).chain([bytes.len()]);
    for end in ends {
        let beginning = &bytes[..end];
        let said = sniff(beginning);
        if known.is_some() {
            assert_eq!(said, known, "it changed its mind");
        }
        assert_eq!(guess(beginning), said.unwrap_or_else(|| guess(beginning)));
        assert!(said.is_some() || end < SNIFFED);
        assert_eq!(said == Some(Protocol::Http2), beginning.starts_with(PREFACE));
        assert_eq!(is_http2(beginning) == Some(true), beginning.starts_with(PREFACE));
        known = said;
    }
});
