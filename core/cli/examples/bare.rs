//! The same program with nothing linked in: all of its components come from plugins.
//!
//! `cargo run --example bare -- --plugin target/plugins list`, after `cargo xtask plugins`, lists what ships with
//! `forethought`, loaded from libraries.

fn main() -> std::process::ExitCode {
    forethought::main()
}
