//! What the tests of the whole mesh share. The tests themselves stand beside this folder, one folder a level: `architecture.rs`, `sim`,
//! `conformance`, `e2e`, `bench`.
