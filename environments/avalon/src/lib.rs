//! Avalon: hidden roles, quests, talk and an assassination, exactly as AvalonBench plays it, and its usual options.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.
