//! The contract may not change unnoticed: its source, without comments and spaces, has the hash written here.

use forethought_abi::{ABI_MAJOR, ABI_MINOR};
use sha2::{Digest, Sha256};

/// Major, minor, and the hash of the source that has these numbers.
const FROZEN: (u32, u32, &str) = (1, 1, "61c1b49e8eb83b0de11f3f54211b59a9dcc27083bed3333f3953df6c7cba21f9");

/// All of a source that means something to a compiler.
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
        "core/abi is no longer what plugins were built with. A field more at a struct's tail: raise ABI_MINOR. Anything \
         else: raise ABI_MAJOR, and give the entry symbol the new number. Then write {found:?} here, and run \
         `cargo xtask header`."
    );
}

#[test]
fn comments_and_spaces_mean_nothing_and_all_else_does() {
    let source = "/// One.\npub const OK: u32 = 0;\n";
    assert_eq!(meaning(source), meaning("//! Two.\n  pub const OK:\n    u32 = 0;"));
    assert_ne!(meaning(source), meaning("pub const OK: u32 = 1;"));
}
