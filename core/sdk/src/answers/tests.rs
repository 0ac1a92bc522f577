use forethought_api::llm::{
    FinishReason::{ContentFilter, Length, Stop},
    Message, Role, ToolCall,
};
use proptest::prelude::*;

use super::*;

const REACT: [&str; 2] = ["Thought", "Action"];

fn answer(text: &str) -> Answer {
    Answer::new(text, &Stop)
}

fn action(text: &str) -> Result<String, Complaint> {
    answer(text).sections(&REACT).action(&["quest pass".into()])
}

#[test]
fn reasoning_is_no_answer() {
    for text in [
        "<think>\nAction: open[red]\n</think>\nAction: open[blue]",
        "Action: open[red]\n</think>\n\nAction: open[blue]",
        "<THINKING>a <think> b</THINKING>Action: open[blue]<|im_end|>",
        "<think>one</think><think>two</think>Action: open[blue]</s>",
        "<|channel|>analysis<|message|>Action: open[red]<|end|><|start|>assistant<|channel|>final<|message|>Action: open[blue]<|return|>",
        "◁think▷Action: open[red]◁/think▷Action: open[blue]",
        "[THINK]Action: open[red][/THINK]Action: open[blue]",
    ] {
        assert_eq!(action(text).as_deref(), Ok("open[blue]"), "{text}");
    }
    let cut = Answer::new("<think>I could buy.\nAction: click[Buy Now]\nBut no, since", &Length);
    let complaint = cut.sections(&REACT).action(&[]).unwrap_err();
    assert_eq!(complaint.fault, Fault::Cut);
    assert!(complaint.text.contains("reasoning"), "{complaint}");
    assert_eq!(cut.last_resort(), None);
}

#[test]
fn labels_come_in_any_dress() {
    for text in [
        "Action: open[blue]",
        "action:open[blue]",
        "**Action:** open[blue]",
        "**Action: open[blue]**",
        "__Action__: open[blue]",
        "### Action\nopen[blue]",
        "**Action**\n\nopen[blue]",
        "2. Action: open[blue]",
        "- Action: `open[blue]`",
        "> Action: \"open[blue]\"",
        "Action： open[blue]",
        "Action - open[blue]",
        "Action:\nopen[blue]",
        "Action:\n```\nopen[blue]\n```\nThat is what I would do.",
        "```\nThought: go\nAction: open[blue]\n```",
        "Here you are:\n```text\nAction: open[blue]\n```",
        "<thought>go</thought><action>open[blue]</action>",
        "<Action>\nopen[blue]\n</Action>",
        "Thought: go on\nAction: open[blue]\n\nThis opens the blue door.",
        "Thought: first\nAction: open[blue]\nThought: on reflection, yes.",
    ] {
        assert_eq!(action(text).as_deref(), Ok("open[blue]"), "{text}");
    }
    for text in ["Actions speak louder: really", "My action: none", "Actionable: x"] {
        assert!(action(text).is_err(), "{text}");
    }
}

#[test]
fn a_label_owns_the_text_up_to_the_next() {
    let text = "Thought: compare:\n- price\n- size\n\nThen decide.\nAction: say Dear friends,\n\nwe should talk.\n\nYours";
    let read = answer(text);
    let read = read.sections(&REACT);
    assert_eq!(read.text("Thought").unwrap(), "compare:\n- price\n- size\n\nThen decide.");
    assert_eq!(read.action(&[]).unwrap(), "say Dear friends,\n\nwe should talk.\n\nYours");
    assert_eq!(action("Action: quest pass\nThat is best.").as_deref(), Ok("quest pass"));
}

#[test]
fn what_follows_an_invented_observation_is_fiction() {
    let text =
        "Thought: look\nAction: open[blue]\nObservation: A room.\nThought: buy\nAction: click[Buy Now]";
    assert_eq!(action(text).as_deref(), Ok("open[blue]"));
    assert_eq!(action("Action: open[blue]\n**Observation:** x\nAction: y").as_deref(), Ok("open[blue]"));
    assert_eq!(action("Action: open[blue]\nAction: open[blue]").as_deref(), Ok("open[blue]"));
    let several = action("Action: open[blue]\nAction: open[red]\nAction: buy").unwrap_err();
    assert_eq!(several.fault, Fault::Several);
    assert!(several.text.contains("3 different actions"), "{several}");
}

#[test]
fn a_line_that_the_limit_cut_is_not_acted_on() {
    let cut = |text: &str| {
        Answer::new(text, &Length).sections(&REACT).action(&[]).map_err(|complaint| complaint.fault)
    };
    assert_eq!(cut("Thought: go\nAction: search[dark gre"), Err(Fault::Cut));
    assert_eq!(cut("Thought: go and"), Err(Fault::Cut));
    assert_eq!(cut(""), Err(Fault::Cut));
    assert_eq!(cut("Action: open[blue]\nThought: well, I").as_deref(), Ok("open[blue]"));
    assert_eq!(answer("").sections(&REACT).action(&[]).unwrap_err().fault, Fault::Empty);
    let refused = Answer::new("I cannot help with that.", &ContentFilter);
    assert_eq!(refused.sections(&REACT).action(&[]).unwrap_err().fault, Fault::Refused);
    assert_eq!(refused.last_resort(), None);
}

#[test]
fn outcomes_come_as_lines_and_as_lists() {
    let good = |text: &str| answer(text).sections(&["Good", "Bad"]).texts(&["Good", "Bad"]);
    let expected = vec![(0, "it works".to_owned()), (0, "it shines".to_owned()), (1, "it breaks".to_owned())];
    for text in [
        "Good: it works\nGood: it shines\nBad: it breaks",
        "1. Good: it works\n2. Good: it shines\n3. Bad: it breaks",
        "Good 1: it works\nGood 2: it shines\nBad 1: it breaks",
        "Good outcome 1: it works\nGood outcome 2: it shines\nBad outcome 1: it breaks",
        "**Good (1):** it works\n**Good (2):** it shines\n**Bad (1):** it breaks",
        "Good outcomes:\n- it works\n- it shines\n\nBad outcomes:\n- it breaks",
        "## Good outcomes\n1. it works\n2. it shines\n## Bad outcomes\n1. it breaks",
        "**Good:**\n* it works\n* it shines\n**Bad:**\n* it breaks",
        "Good: it\nworks\nGood: **it shines**\nBad: \"it breaks\"\n\nI hope this helps!",
    ] {
        assert_eq!(good(text), expected, "{text}");
    }
    let cut = Answer::new("Good: it works\nBad: it br", &Length);
    assert_eq!(cut.sections(&["Good", "Bad"]).texts(&["Good", "Bad"]), [(0, "it works".to_owned())]);
}

#[test]
fn objects_are_found_wherever_they_are() {
    for text in [
        r#"{"thought": "go", "action": "open[blue]"}"#,
        "Sure:\n```json\n{\n  \"Thought\": \"go\",\n  \"Action\": \"open[blue]\",\n}\n```\nDone.",
        r#"<tool_call>{"name": "answer", "arguments": {"thought": "go", "action": "open[blue]"}}</tool_call>"#,
        r#"{"name": "answer", "arguments": "{\"thought\": \"go\", \"action\": \"open[blue]\"}"}"#,
        r#"{"type": "function", "function": {"name": "answer", "arguments": {"thought": "go", "action": "open[blue]"}}}"#,
        r#"A set {1, 2} first. {"thought": "go", "action": "open[blue]"}"#,
    ] {
        let fields =
            answer(text).object(&["thought", "action"]).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(
            (fields.text("thought"), fields.text("action")),
            (Some("go".into()), Some("open[blue]".into()))
        );
    }
    let partly = answer(r#"{"thought": null, "Action": 7}"#).object(&["thought", "action"]).unwrap();
    assert_eq!((partly.text("thought"), partly.text("action")), (None, Some("7".into())));
    assert!(answer("no object {here}").object(&["action"]).is_err());
    let doubly = Fields::of(&serde_json::json!("\"{\\\"good\\\": [\\\"a\\\", \\\"b\\\"]}\"")).unwrap();
    assert_eq!(doubly.texts("good"), Some(vec!["a".into(), "b".into()]));
}

#[test]
fn probabilities_are_read_or_complained_about() {
    for text in [
        "1: 0.8\n2: 0.3",
        "1: 80%\n2: 30 %",
        "**1:** 0.8\n**2:** 0.3",
        "Outcome 1: 0.8\nOutcome 2: 0.3",
        "1: 0,8\n2: 0,3",
        "1 - 0.8\n2 - 0.3",
        "1. 0.8\n2. 0.3",
        "1) about 0.8, since 3 of 4 agree\n2) 0.3",
        "| # | probability |\n|---|---|\n| 1 | 0.8 |\n| 2 | 0.3 |",
        "1: it is likely in 4 cases: 0.8\n2: less so: 3/10",
        "0.8\n0.3",
        "1: 0.5\n2: 0.5\nOn reflection:\n1: 0.8\n2: 0.3",
        "<think>1: 0.1\n2: 0.9</think>1: 0.8\n2: 0.3",
    ] {
        assert_eq!(answer(text).probabilities(2), Ok(vec![0.8, 0.3]), "{text}");
    }
    let complaint = |text: &str| answer(text).probabilities(2).unwrap_err().text;
    assert!(complaint("1: 80\n2: 30").contains("statement 1: 80 is not a probability"));
    assert!(complaint("1: 0.8").contains("\"2: <"));
    assert!(complaint("both are likely").contains("\"1: <"));
    assert_eq!(answer("").probabilities(2).unwrap_err().fault, Fault::Empty);
    assert_eq!(answer("0.25").probabilities(1), Ok(vec![0.25]));
}

#[test]
fn decisions_are_words_in_any_place() {
    for text in
        ["keep", "Keep.", "The thought should be kept", "I would keep it, no need to revise", "unchanged"]
    {
        assert_eq!(keeps(text), Some(true), "{text}");
    }
    for text in ["revise", "**Revise**", "do not keep", "It should not be kept", "rewrite it"] {
        assert_eq!(keeps(text), Some(false), "{text}");
    }
    assert_eq!(keeps("hm"), None);
}

#[test]
fn syntax_is_never_a_last_resort() {
    for (text, line) in [
        ("I will buy it\n```", Some("I will buy it")),
        ("open[blue]\n</tool_call>", Some("open[blue]")),
        ("```json\n{\n\"a\": 1\n}\n```", None),
        ("Action:", None),
        ("---\n***", None),
    ] {
        assert_eq!(answer(text).last_resort().as_deref(), line, "{text}");
    }
}

#[test]
fn an_utterance_is_all_that_one_speaker_says() {
    let said = |text: &str| answer(text).utterance(&["seller", "buyer"]);
    for (text, words) in [
        ("Action: Hello!\n\nHow are you?", "Hello!\n\nHow are you?"),
        ("Hello!\n\nHow are you?", "Hello!\n\nHow are you?"),
        ("Seller: \"Hello!\"", "Hello!"),
        ("Action: Seller: Hello!\nBuyer: Too much.\nSeller: Well.", "Hello!"),
        ("Thought: be kind\nAction: Hello!\nThought: good", "Hello!"),
        ("Action: Hello!\nAction: Bye!", "Hello!"),
    ] {
        assert_eq!(said(text).as_deref(), Ok(words), "{text}");
    }
    for (text, fault) in [
        ("", Fault::Empty),
        ("```", Fault::Unreadable),
        ("Thought: be kind", Fault::Unreadable),
        ("<think>Hello!", Fault::Cut),
    ] {
        assert_eq!(said(text).unwrap_err().fault, fault, "{text}");
    }
    let cut = Answer::new("Action: [doubts] I am not su", &Length);
    assert_eq!(cut.utterance(&[]).unwrap_err().fault, Fault::Cut);
    assert_eq!(cut.uncut().utterance(&[]).as_deref(), Ok("[doubts] I am not su"));
    let fiction = Answer::new("Hello!\nBuyer: Too d", &Length);
    assert_eq!(fiction.utterance(&["seller", "buyer"]).as_deref(), Ok("Hello!"));
}

#[test]
fn nothing_refused_is_read() {
    let refused = Answer::new("Thought: a\nAction: b\n1: 0.5\n{\"action\": \"b\"}", &ContentFilter);
    let faults = [
        refused.sections(&REACT).text("Thought").unwrap_err(),
        refused.sections(&REACT).action(&[]).unwrap_err(),
        refused.object(&["action"]).unwrap_err(),
        refused.probabilities(1).unwrap_err(),
        refused.utterance(&[]).unwrap_err(),
    ];
    assert!(faults.iter().all(|complaint| complaint.fault == Fault::Refused), "{faults:?}");
    assert!(refused.sections(&REACT).is_empty());
}

#[test]
fn of_several_actions_the_first_can_be_taken_and_a_cut_number_is_none() {
    let several = answer("Thought: a\nAction: open[blue]\nThought: b\nAction: open[red]");
    assert_eq!(several.sections(&REACT).first_action(&[]).as_deref(), Ok("open[blue]"));
    let cut = |text: &str| Answer::new(text, &Length).probabilities(2).map_err(|complaint| complaint.fault);
    assert_eq!(cut("1: 0.8\n2: 0."), Err(Fault::Cut));
    assert_eq!(cut("1: 0.8\n2: 0.3\nThe fir"), Ok(vec![0.8, 0.3]));
    let amounts =
        answer("Good: 1.5 dollars are given\nBad: none").sections(&["Good", "Bad"]).texts(&["Good"]);
    assert_eq!(amounts[0].1, "1.5 dollars are given");
}

#[test]
fn a_second_request_has_no_empty_turn() {
    let complaint = Complaint::unreadable("it is odd");
    let again = |choice: Choice| {
        let mut messages = vec![Message::system("s"), Message::user("u")];
        ask_again(&mut messages, choice, &complaint);
        messages.iter().map(|message| (message.role, message.content.clone())).collect::<Vec<_>>()
    };
    let text = |text: &str| Choice { text: text.into(), ..Choice::default() };
    let said = "That could not be read: it is odd. Answer again, exactly in the form asked for.";
    for empty in ["", " \n", "<think>so", "<think>so</think>"] {
        assert_eq!(
            again(text(empty))[1..],
            [(Role::User, format!("u\n\n{said}"))],
            "the complaint follows the prompt after {empty:?}"
        );
    }
    let answered = again(text("<think>so</think>odd"));
    assert_eq!(answered[2..], [(Role::Assistant, "odd".into()), (Role::User, said.into())]);
    let call = |id: &str| Choice {
        tool_calls: vec![ToolCall { id: id.into(), name: "answer".into(), ..ToolCall::default() }],
        ..Choice::default()
    };
    assert_eq!(again(call("7"))[2..], [(Role::Assistant, String::new()), (Role::Tool, said.into())]);
    assert_eq!(again(call("")).len(), 2, "a result needs the id of its call");
}

#[test]
fn a_decision_is_unread_once() {
    let (mut first, mut later) = (Unread::default(), Unread::default());
    for unread in [&mut first, &mut later] {
        unread.repeated("Action", &Complaint::unreadable("it is odd"));
        unread.given_up("Action", &Complaint::unreadable("it is odd"));
    }
    first.append(later);
    let trace = first.trace();
    let faults: Vec<_> = trace.faults.iter().map(|(key, count)| (key.as_str(), *count)).collect();
    assert_eq!(faults, [("repeated", 2), ("unread", 1), ("unreadable", 4)]);
    assert_eq!(trace.recoveries[1], "Action could not be read (it is odd): went on without it");
    let mut several = Unread::default();
    several.given_up("Action", &Complaint { fault: Fault::Several, text: "two".into() });
    assert!(several.recoveries[0].ends_with("took the first") && !several.faults.contains_key("unread"));
}

/// The reader of release 0.1.0: what it read from plain answers is read the same.
fn plain(answer: &str, label: &str) -> Option<String> {
    let after = |line: &str| Some(line.trim().strip_prefix(label)?.strip_prefix(':')?.trim().to_owned());
    answer.lines().filter_map(after).next_back()
}

proptest! {
    #[test]
    fn plain_answers_are_read_as_before(
        thought in "[A-Za-z][A-Za-z0-9 ,.'$%()-]{0,60}[a-z.]",
        action in "(search|click)\\[[A-Za-z0-9 <>&'.-]{1,40}\\]|say [A-Za-z ,.!?']{1,60}[a-z!]",
    ) {
        let text = format!("Thought: {thought}\nAction: {action}");
        let read = answer(&text);
        let read = read.sections(&REACT);
        prop_assert_eq!(read.text("Thought").ok(), plain(&text, "Thought"));
        prop_assert_eq!(read.action(&[]).ok(), plain(&text, "Action"));
    }

    #[test]
    fn anything_is_read_without_a_panic(text in "\\PC{0,200}", syntax in r#"([<>{}\[\]`*_:#|\n"\\,0-9. ]|think|Action|Good){0,80}"#, cut: bool) {
        for text in [&text, &syntax, &format!("{text}{syntax}"), &format!("{syntax}{text}")] {
            let read = Answer::new(text, if cut { &Length } else { &Stop });
            let _ = read.sections(&REACT).action(&[]);
            let _ = read.sections(&["Good", "Bad"]).texts(&["Good", "Bad"]);
            let _ = (read.object(&["action"]), read.probabilities(3), read.last_resort(), keeps(text));
            let again = Answer::new(read.text(), &Stop);
            if !again.unfinished {
                prop_assert_eq!(again.text(), read.text());
            }
        }
    }
}
