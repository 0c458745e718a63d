//! Any text is a format or is refused at its place; what is written of a format is that format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_model::access_log::Template;

fuzz_target!(|text: &str| match Template::parse(text) {
    Ok(template) => assert_eq!(Template::parse(&template.to_string()), Ok(template)),
    Err(error) => assert!(error.at < text.len() && !error.message.is_empty()),
});
