//! The lock of the queue's core, behind one name so that the check of its interleavings can put its own in its place.

pub(super) use std::sync::{Mutex, MutexGuard};
