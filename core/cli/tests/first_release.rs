//! What release 0.1.0 wrote is read: `fixtures/release-0.1.0` holds a configuration, a run that its budget ended, and a
//! cassette, all made by that release. Old checkpoints are tested where they are read, in `plugins/critic-*`.

use std::fs;
use std::path::Path;

use forethought_tests::Desk;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/release-0.1.0");

fn desk() -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    copy(Path::new(FIXTURE), desk.path());
    desk
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn run(desk: &Desk, line: &str) -> String {
    let output = desk.forethought(line).output().unwrap();
    let text = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{line}: {text}");
    text
}

#[test]
fn a_run_is_reported_viewed_and_replayed() {
    let desk = desk();
    assert!(run(&desk, "report runs/webshop--pnlc").contains("pnlc"));
    assert!(run(&desk, "view runs/webshop--pnlc ff3e").contains("click["));
    // The episode's id is a hash over the configuration, and the event log is compared byte for byte.
    let replayed = run(&desk, "replay runs/webshop--pnlc ff3e");
    assert!(replayed.contains("identical"), "{replayed}");
}

#[test]
fn a_configuration_is_read_with_a_note_about_the_old_names() {
    let shown = run(&desk(), "config check shop.toml");
    assert!(shown.contains("[value.guess]") && shown.contains("[critic.guess]"), "{shown}");
}

#[test]
fn a_cassette_gives_its_answers() {
    let desk = desk();
    desk.write(
        "again.toml",
        "seed = 5\n[environment]\nkind = \"webshop\"\nproducts = 40\n[llm.taped]\nkind = \"replay\"\n\
         cassette = \"answers.jsonl\"\n[planner.react]\nkind = \"react\"\nllm = \"taped\"\n[run]\nepisodes = 1\nmax_calls = 2\n",
    );
    let output = desk.forethought("run again.toml --json").output().unwrap();
    let text = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert_eq!(
        output.status.code(),
        Some(3),
        "the budget of two calls is reached, and both were answered: {text}"
    );
}
