//! The rules for every {{word}}, which `forethought plugin check` checks for the built library.

use forethought_sdk::serde_json::json;
use {{crate}} as _; // Registers its components; without this line it would not be linked.

#[test]
fn it_conforms() {
    // The third argument is the configuration to check it with.
    forethought_conformance::assert_conforms("{{word}}", "{{name}}", json!({}));
}
