//! Writes the seeds of the fuzz target `xds`: resources of every kind as a control plane would send them, in the form that
//! `tests/fuzz/src/lib.rs` reads. Run it when messages change: `cargo run -p weir-xds --features strategies --example seeds`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use weir_model::ResourceType;
use weir_model::node::Target;
use weir_xds::codec::{encode, kind_of};
use weir_xds::strategies;

/// How many, and how large at most.
const SEEDS: usize = 24;
const BYTES: usize = 1500;

fn main() -> std::io::Result<()> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/xds");
    std::fs::create_dir_all(&directory)?;
    let mut runner = TestRunner::deterministic();
    let mut written = 0;
    while written < SEEDS {
        let set = strategies::resource_set()
            .new_tree(&mut runner)
            .map_err(|reason| std::io::Error::other(reason.message().to_owned()))?
            .current();
        let mut bytes = Vec::new();
        for (.., resource) in set.iter() {
            let message = encode(resource, Target::Weir);
            let place = ResourceType::ALL.iter().position(|kind| Some(*kind) == kind_of(&message.type_url));
            let (Some(place), Ok(length)) = (place, u16::try_from(message.value.len())) else { continue };
            bytes.push(place as u8);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&message.value);
        }
        if (40..BYTES).contains(&bytes.len()) {
            std::fs::write(directory.join(format!("{written:02}")), bytes)?;
            written += 1;
        }
    }
    Ok(())
}
