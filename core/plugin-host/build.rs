//! Notes what the program is compiled for: a library for anything else is refused before it is loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=FORETHOUGHT_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
