//! Placeholder, replaced in this sitting.
