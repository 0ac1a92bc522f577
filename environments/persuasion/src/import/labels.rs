//! The annotators' labels, and the acts and replies that they mean here.

use forethought_sdk::simulated::Worded;

use crate::behaviour::moves::Move;

/// The persuader's act, one of those that the environment declares. A request for money or a sum is a proposition, a
/// question about the charity or the task an inquiry; labels without their own act are `other`.
pub(super) fn act(label: &str) -> &'static str {
    match label {
        "greeting" => "greeting",
        "credibility-appeal" | "donation-information" => "credibility appeal",
        "emotion-appeal" => "emotion appeal",
        "logical-appeal" => "logical appeal",
        "task-related-inquiry" | "source-related-inquiry" => "task related inquiry",
        "proposition-of-donation" | "ask-donation-amount" | "ask-donate-more" => "proposition of donation",
        _ => "other",
    }
}

/// The donor's reply, as GDP-Zero maps the labels.
pub(super) fn reply(label: &str) -> &'static str {
    match label {
        "disagree-donation" => "no donation",
        "negative-reaction-to-donation" => "negative reaction",
        "positive-reaction-to-donation" => "positive reaction",
        "agree-donation" => "donate",
        _ => "neutral",
    }
}

/// The act or reply of an utterance, from the labels of its sentences: the last that is not the remainder.
pub(super) fn last(labels: &[String], read: fn(&str) -> &'static str) -> Option<&'static str> {
    let read = || labels.iter().map(|label| read(label));
    read().rfind(|act| !["other", "neutral"].contains(act)).or_else(|| read().next_back())
}

/// A thought that leads to the act.
pub(super) fn thought(act: &str) -> String {
    let own = Move::bracketed(&format!("[{act}]")).map(|found| found.wordings()[0]);
    format!("Derived: [{act}] {}", own.unwrap_or("As the donor said."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_utterance_is_what_its_last_telling_sentence_is() {
        let labels = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let check = |texts: &[&str], expected| assert_eq!(last(&labels(texts), act), expected, "{texts:?}");
        check(&["greeting", "source-related-inquiry", "thank"], Some("task related inquiry"));
        check(&["thank", "closing"], Some("other"));
        check(&[], None);
        assert_eq!(last(&labels(&["agree-donation", "thank"]), reply), Some("donate"));
        assert_eq!(
            thought("emotion appeal"),
            "Derived: [emotion appeal] Move the donor's feelings with what children suffer."
        );
        assert_eq!(thought("donate"), "Derived: [donate] As the donor said.");
    }
}
