//! The rules that every {{word}} keeps. `forethought plugin check` holds the built library to the same.

use forethought_sdk::serde_json::json;
use {{crate}} as _; // Registers its components, and is linked only if it is named.

#[test]
fn it_conforms() {
    // The third argument holds configuration keys to check it with.
    forethought_conformance::assert_conforms("{{word}}", "{{name}}", json!({}));
}
