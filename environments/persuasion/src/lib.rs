//! Dialogues of two parties: an agent persuades a donor to give to Save the Children; by configuration, others.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.
