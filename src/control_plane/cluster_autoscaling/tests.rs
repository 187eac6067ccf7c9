//! Tests of managed scaling.
