//! weir-compile
