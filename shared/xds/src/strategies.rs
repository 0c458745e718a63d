//! Generated model values.
