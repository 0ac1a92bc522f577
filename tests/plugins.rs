//! Plugins from outside, through the program: what is loaded, what is refused, and what is said about it.
