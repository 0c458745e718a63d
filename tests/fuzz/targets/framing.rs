//! Where messages end does not depend on how their bytes come.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_decide::framing::Framing;
use weir_fuzz::in_pieces;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let mut whole = Framing::new();
    let said = whole.advance(bytes);
    let mut pieces = Framing::new();
    let again = in_pieces(bytes, usize::from(size), |piece| pieces.advance(piece));
    assert_eq!(said.is_some(), again.is_some());
    if said.is_none() {
        assert_eq!(format!("{:?}", whole.place()), format!("{:?}", pieces.place()));
    }
});
