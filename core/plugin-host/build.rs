//! Records the compile target: a library for any other target is refused before it is loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=FORETHOUGHT_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
