//! Dialogue acts: a small classifier on a frozen encoder's embeddings, and its trainer.
//!
//! May depend on `forethought-sdk` and plain libraries.
