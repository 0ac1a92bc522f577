//! Asking a model once more, and what a decision's trace says of it.

use std::collections::BTreeMap;

use forethought_api::{
    llm::{Choice, Message, Role},
    planner::{Models, Trace},
};

use super::{Answer, Complaint, Fault};

/// Appends what the model answered and what is wrong with it.
///
/// Strict servers refuse empty turns and tool results without the id of their call, so neither is added: if nothing
/// else is left, the complaint alone is appended to the last message of the user.
pub fn ask_again(messages: &mut Vec<Message>, choice: Choice, complaint: &Complaint) {
    let answer = Answer::of(&choice);
    let complaint =
        format!("That could not be read: {complaint}. Answer again, exactly in the form asked for.");
    // Without its reasoning; otherwise as it was written.
    let text = if answer.text() == choice.text.trim() { choice.text } else { answer.text().to_owned() };
    if !choice.tool_calls.is_empty() && choice.tool_calls.iter().all(|call| !call.id.is_empty()) {
        // Providers require a result for every call, so the complaint is the result.
        let result =
            |id: String| Message { tool_call_id: Some(id), ..Message::new(Role::Tool, complaint.clone()) };
        let results: Vec<_> = choice.tool_calls.iter().map(|call| result(call.id.clone())).collect();
        messages.push(Message { tool_calls: choice.tool_calls, ..Message::assistant(text) });
        messages.extend(results);
    } else if !text.trim().is_empty() {
        messages.extend([Message::assistant(text), Message::user(complaint)]);
    } else {
        // Two turns of the user in a row would be refused as well.
        match messages.last_mut().filter(|last| last.role == Role::User) {
            Some(last) => last.content += &format!("\n\n{complaint}"),
            None => messages.push(Message::user(complaint)),
        }
    }
}

/// What could not be read in one decision: words and counts for its [`Trace`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unread {
    /// See [`Trace::recoveries`].
    pub recoveries: Vec<String>,
    /// See [`Trace::faults`].
    pub faults: BTreeMap<String, u32>,
}

impl Unread {
    /// An answer could not be read, and the model is asked once more.
    pub fn repeated(&mut self, what: &str, complaint: &Complaint) {
        self.count(complaint.fault.key());
        self.count("repeated");
        self.recoveries.push(format!("{what} could not be read ({complaint}): asked once more"));
    }

    /// The second answer could not be read either: the decision goes on without it, or with the first of several actions.
    pub fn given_up(&mut self, what: &str, complaint: &Complaint) {
        self.count(complaint.fault.key());
        let why = format!("{what} could not be read ({complaint})");
        match complaint.fault {
            Fault::Several => self.recoveries.push(format!("{why}: took the first")),
            _ => self.without(why),
        }
    }

    /// The decision goes on without something.
    pub fn without(&mut self, why: impl std::fmt::Display) {
        self.faults.insert("unread".into(), 1);
        self.recoveries.push(format!("{why}: went on without it"));
    }

    /// Counts one more of this kind.
    pub fn count(&mut self, key: &str) {
        *self.faults.entry(key.into()).or_default() += 1;
    }

    /// Takes in what came after.
    pub fn append(&mut self, later: Self) {
        self.recoveries.extend(later.recoveries);
        for (key, count) in later.faults {
            let sum = self.faults.entry(key).or_default();
            *sum += count;
        }
        // One decision, however often.
        self.faults.entry("unread".into()).and_modify(|count| *count = 1);
    }

    /// Notes it with the decision that is made with `models`, if there is anything to note. Hosts from before notes existed
    /// do not know the method, so whether it was noted does not matter.
    pub async fn note(self, models: &dyn Models) {
        if !self.faults.is_empty() {
            let _ = models.note(self.recoveries, self.faults).await;
        }
    }

    /// The trace of the decision, without rounds and details.
    pub fn trace(self) -> Trace {
        Trace { recoveries: self.recoveries, faults: self.faults, ..Trace::default() }
    }
}
