//! Geometry of a snapshot segment (filled in below).
