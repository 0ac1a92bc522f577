//! PersuasionForGood as trajectories, from a small set made here; `golden.rs` reads the published one.

use std::path::Path;

use forethought_persuasion::import::{DOES_NOT, DONATES, P4g};
use forethought_sdk::{api::critic::NoProgress, prelude::*};
use forethought_testkit::block_on;

const DIALOG: &str = "B2,B4,Turn,Unit,er_label_1,ee_label_1\n\
    d1,0,0,Hello!,greeting,\n\
    d1,0,0,\"Would you like to donate,  today?\",proposition-of-donation,\n\
    d1,1,0,What is it for?,,ask-org-info\n\
    d1,0,1,Save the Children helps children.,credibility-appeal,\n\
    d1,1,1,\"Sure, I will give a dollar.\",,agree-donation\n\
    d2,0,0,Hi.,,\n\
    d2,1,0,No thanks.,,\n";
const INFO: &str = "B2,B3,B4,B6\nd1,a,0,9.0\nd1,b,1,1.0\nd2,c,0,0.0\nd2,d,1,0\n";

fn import(path: &Path) -> Result<Vec<Trajectory>> {
    block_on(P4g.import(path.into(), Arc::new(NoProgress)))
}

fn set(dialog: &str, info: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny_dialog.csv"), dialog).unwrap();
    std::fs::write(folder.path().join("tiny_info.csv"), info).unwrap();
    folder
}

#[test]
fn a_dialogue_becomes_one_trajectory_per_seat() {
    let folder = set(DIALOG, INFO);
    let trajectories = import(folder.path()).unwrap();
    let [persuader, donor, second] = &trajectories[..] else { panic!("{} trajectories", trajectories.len()) };
    assert_eq!((&*persuader.episode, persuader.seat, persuader.score()), ("p4g/d1", 0, 0.5));
    assert_eq!((&*donor.episode, donor.seat, donor.score()), ("p4g/d1", 1, 0.0));
    // Nobody annotated the second: its donor's trajectory is left out, and there are no thoughts.
    assert_eq!((&*second.episode, second.seat, second.score()), ("p4g/d2", 0, 0.0));
    assert_eq!(second.steps[0].thought, "");
    assert!(second.steps[0].outcomes.iter().any(|outcome| outcome == DOES_NOT));

    let [opening, end] = &persuader.steps[..] else { panic!("two utterances of the persuader") };
    assert_eq!((&*opening.observation, &*opening.action), ("", "Hello! Would you like to donate, today?"));
    assert!(opening.thought.starts_with("Derived: [proposition of donation] "));
    assert_eq!(opening.next_state, end.state);
    assert!(opening.outcomes.contains(&"The donor is intrigued and wants to learn more.".to_owned()));
    assert_eq!(end.observation, "Donor: What is it for?");
    assert!(end.terminated && !opening.terminated);
    assert!(end.next_state.starts_with("The donor gave $1.00."), "{}", end.next_state);
    assert!(
        end.outcomes.contains(&"The donor gives $1.00.".to_owned())
            && end.outcomes.contains(&DONATES.to_owned())
    );

    assert_eq!(donor.steps[1].thought, "Derived: [donate] As the donor said.");
    assert_eq!(donor.steps[0].observation, "Persuader: Hello! Would you like to donate, today?");
}

#[test]
fn one_file_is_one_set_and_a_dialogue_in_two_sets_counts_once() {
    let folder = set(DIALOG, INFO);
    let bare = "B2,B4,Turn,Unit\nd1,0,0,Hello!\nd1,1,0,Hi.\nd3,0,0,Hey.\nd3,1,0,Bye.\n";
    std::fs::write(folder.path().join("an_annotated_dialog.csv"), DIALOG).unwrap();
    std::fs::write(folder.path().join("an_annotated_info.csv"), INFO).unwrap();
    std::fs::write(folder.path().join("tiny_dialog.csv"), bare).unwrap();
    std::fs::write(folder.path().join("tiny_info.csv"), format!("{INFO}d3,e,0,0\nd3,f,1,50.0\n")).unwrap();
    let all = import(folder.path()).unwrap();
    let episodes: Vec<_> = all.iter().map(|one| (&*one.episode, one.seat)).collect();
    assert_eq!(episodes, [("p4g/d1", 0), ("p4g/d1", 1), ("p4g/d2", 0), ("p4g/d3", 0)]);
    assert!(all[0].steps[0].thought.starts_with("Derived: ["), "the annotated version wins");
    assert_eq!(all[3].score(), 1.0, "fifty dollars are more than the two that could be given");
    assert_eq!(import(&folder.path().join("tiny_dialog.csv")).unwrap().len(), 2);
}

#[test]
fn malformed_lines_are_named_by_file_and_line() {
    let refused = |dialog: &str, info: &str, expected: &str| {
        let folder = set(dialog, info);
        let said = import(folder.path()).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    };
    refused(&DIALOG.replace("d1,0,1", "d1,x,1"), INFO, "tiny_dialog.csv:5: ");
    refused(&DIALOG.replace("d1,0,1", "d1,7,1"), INFO, "tiny_dialog.csv:5: B4 = 7 is not a role");
    refused(&format!("{DIALOG}d1,0,9,Again.,,\n"), INFO, "tiny_dialog.csv:9: \"d1\" goes on after");
    refused(&format!("{DIALOG}d2,0\n"), INFO, "tiny_dialog.csv:9");
    refused(DIALOG, &INFO.replace("d1,b,1,1.0", "d1,b,1,much"), "tiny_info.csv:3: ");
    refused(DIALOG, &INFO.replace("d1,b,1,1.0", "d1,b,1,-1"), "tiny_info.csv:3: B6 = -1 is not a donation");
    refused(DIALOG, &INFO.replace("d1,b,1,1.0\n", ""), "\"d1\" has no person of role 1");
    refused(&DIALOG.replace("Unit", "Sentence"), INFO, "missing field `Unit`");
    let empty = tempfile::tempdir().unwrap();
    assert!(import(empty.path()).unwrap_err().to_string().contains("no file named *_dialog.csv"));
}
