//! x depend
