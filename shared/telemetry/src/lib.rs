//! weir-telemetry
