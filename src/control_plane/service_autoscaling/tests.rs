//! Tests of target tracking.
