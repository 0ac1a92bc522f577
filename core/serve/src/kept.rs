//! The responses that a client can go on from: conversations by the id of their last response, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// The most bytes of all messages that are kept, as JSON. The oldest responses are forgotten first.
const MOST: usize = 256 << 20;

/// All responses that are kept.
#[derive(Default)]
pub(crate) struct Kept {
    responses: Mutex<Responses>,
    bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Responses {
    by_id: HashMap<String, Arc<Turn>>,
    /// From the oldest.
    ids: VecDeque<String>,
}

/// What one response added to the conversation, so that each message is kept once.
struct Turn {
    before: Option<Arc<Turn>>,
    messages: Vec<Value>,
    size: usize,
    bytes: Arc<AtomicUsize>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.size, Relaxed);
        // One by one: a conversation can be too long for recursion.
        let mut before = self.before.take();
        while let Some(mut turn) = before.and_then(Arc::into_inner) {
            before = turn.before.take();
        }
    }
}

/// A conversation that was kept.
#[derive(Default, Clone)]
pub(crate) struct Conversation(Option<Arc<Turn>>);

impl Conversation {
    /// Its messages, from the first.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let turns: Vec<_> = std::iter::successors(self.0.as_ref(), |turn| turn.before.as_ref()).collect();
        turns.into_iter().rev().flat_map(|turn| turn.messages.iter().cloned()).collect()
    }
}

impl Kept {
    /// The conversation up to response `id`.
    pub(crate) fn get(&self, id: &str) -> Option<Conversation> {
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.by_id.get(id).map(|turn| Conversation(Some(turn.clone())))
    }

    /// Keeps what response `id` and its request added to the conversation `before`.
    pub(crate) fn keep(&self, id: String, before: Conversation, messages: Vec<Value>) {
        let size = id.len() + messages.iter().map(|message| message.to_string().len()).sum::<usize>();
        let total = self.bytes.fetch_add(size, Relaxed) + size;
        let turn = Arc::new(Turn { before: before.0, messages, size, bytes: self.bytes.clone() });
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.ids.push_back(id.clone());
        responses.by_id.insert(id, turn);
        if total > MOST {
            self.forget(&mut responses);
        }
    }

    fn forget(&self, responses: &mut Responses) {
        while self.bytes.load(Relaxed) > MOST {
            let Some(oldest) = responses.ids.pop_front() else { return };
            responses.by_id.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conversation_is_what_its_responses_added() {
        let kept = Kept::default();
        kept.keep("a".into(), Conversation::default(), vec![json!(1), json!(2)]);
        for (id, message) in [("b", 3), ("c", 4)] {
            kept.keep(id.into(), kept.get("a").unwrap(), vec![json!(message)]);
        }
        assert_eq!(kept.get("b").unwrap().messages(), [1, 2, 3]);
        assert_eq!(kept.get("c").unwrap().messages(), [1, 2, 4]);
        assert!(kept.get("d").is_none());
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_is_no_room() {
        let kept = Kept::default();
        let megabyte = json!("x".repeat(1 << 20));
        for id in 0..300 {
            kept.keep(id.to_string(), Conversation::default(), vec![megabyte.clone()]);
        }
        assert!(kept.get("0").is_none() && kept.get("44").is_none());
        assert!(kept.get("46").is_some() && kept.get("299").is_some());
        // A conversation without end ends all of it, and then begins again.
        for id in 300..900 {
            kept.keep(
                id.to_string(),
                kept.get(&(id - 1).to_string()).unwrap_or_default(),
                vec![megabyte.clone()],
            );
        }
        assert!(kept.bytes.load(Relaxed) <= MOST);
    }

    #[test]
    fn a_long_conversation_is_dropped() {
        let kept = Kept::default();
        for id in 0..100_000 {
            let before = kept.get(&(id - 1_i32).to_string()).unwrap_or_default();
            kept.keep(id.to_string(), before, vec![json!(id)]);
        }
        assert_eq!(kept.get("99999").unwrap().messages().len(), 100_000);
        let bytes = kept.bytes.clone();
        drop(kept);
        assert_eq!(bytes.load(Relaxed), 0);
    }
}
