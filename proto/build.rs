//! Compiles weir's own `.proto` files with a protobuf compiler written in Rust, so that building needs no `protoc`.

use prost::Message;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["weir/policy/v1/policy.proto", "weir/identity/v1/identity.proto", "weir/xds/v1/xds.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("weir.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
