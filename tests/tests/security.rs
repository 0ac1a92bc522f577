//! `docs/security.md` promises tests: they exist, and every line has one or says that nothing holds.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut named = 0;
    // [`name`](../path/to/file.rs)
    for link in text.split("[`").skip(1) {
        let (name, rest) = link.split_once("`](../").expect("a link to a test");
        let file = rest.split(')').next().unwrap_or_default();
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {name}(")), "{file} has no {name}");
        named += 1;
    }
    assert!(named > 50, "only {named} tests are named");
    let header = "| who | could try | what holds it | test |";
    for table in text.split(header).skip(1) {
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            assert!(
                row.contains("](../") || row.contains("**nothing"),
                "neither a test nor a warning: {row}"
            );
        }
    }
}
