//! weir-xds
