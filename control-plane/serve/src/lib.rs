//! weir-serve
