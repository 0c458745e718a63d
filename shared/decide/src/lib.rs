//! weir-decide
