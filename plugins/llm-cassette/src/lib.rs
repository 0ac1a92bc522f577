//! Backends around a cassette of recorded answers, and one that answers by a script.
//!
//! May depend on `forethought-sdk` alone.
