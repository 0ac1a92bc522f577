//! The contract cannot change unnoticed: its source, without comments and spaces, has the hash written here.

use forethought_abi::{ABI_MAJOR, ABI_MINOR};
use sha2::{Digest, Sha256};

/// Major version, minor version, and the hash of the source with these versions.
const FROZEN: (u32, u32, &str) = (1, 1, "61c1b49e8eb83b0de11f3f54211b59a9dcc27083bed3333f3953df6c7cba21f9");

/// A source without comments and spaces.
fn meaning(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.flat_map(str::split_whitespace).collect()
}

#[test]
fn a_changed_contract_has_a_new_number() {
    let hash = Sha256::digest(meaning(include_str!("../src/lib.rs")));
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let found = (ABI_MAJOR, ABI_MINOR, hash.as_str());
    assert!(
        found == FROZEN,
        "core/abi differs from what plugins were built with. For a new field at a struct's tail, raise ABI_MINOR. For \
         anything else, raise ABI_MAJOR and put the new number into the entry symbol. Then write {found:?} here and run \
         `cargo xtask header`."
    );
}

#[test]
fn only_comments_and_spaces_are_ignored() {
    let source = "/// One.\npub const OK: u32 = 0;\n";
    assert_eq!(meaning(source), meaning("//! Two.\n  pub const OK:\n    u32 = 0;"));
    assert_ne!(meaning(source), meaning("pub const OK: u32 = 1;"));
}
