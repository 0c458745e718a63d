//! Any text is an expression within its bounds or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_decide::route::{RegexError, check_regex};
use weir_model::limits;

fuzz_target!(|text: &str| {
    match check_regex(text) {
        Ok(()) | Err(RegexError::TooLarge) => assert!(text.len() <= limits::REGEX_BYTES),
        Err(RegexError::TooLong(length)) => assert!(length > limits::REGEX_BYTES),
        Err(RegexError::Syntax { what, at }) => assert!(!what.is_empty() && at <= text.len()),
        Err(RegexError::TooLargeTogether) => panic!("there is only one"),
    }
});
