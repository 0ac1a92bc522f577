//! What the server counts, as Prometheus reads it: `GET /metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forethought_runtime::run::summary::CallCount;

#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Requests by model and status.
    requests: BTreeMap<(String, u16), u64>,
    /// Answers by model: how many, seconds, and what they took.
    answers: BTreeMap<String, (u64, f64, CallCount)>,
    /// Episodes that are done, and that failed.
    episodes: (u64, u64),
    in_flight: i64,
}

/// The model of a request that names none of ours: names are the client's, and must not fill the memory.
pub(crate) const UNKNOWN: &str = "unknown";

impl Metrics {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn request(&self, model: &str, status: u16) {
        *self.counts().requests.entry((model.into(), status)).or_default() += 1;
    }
    pub(crate) fn answer(&self, model: &str, took: Duration, used: CallCount) {
        let mut counts = self.counts();
        let (number, seconds, sum) = counts.answers.entry(model.into()).or_default();
        *number += 1;
        *seconds += took.as_secs_f64();
        *sum += used;
    }
    pub(crate) fn episode(&self, done: bool) {
        let (all, failed) = &mut self.counts().episodes;
        *(if done { all } else { failed }) += 1;
    }
    pub(crate) fn in_flight(&self, more: i64) {
        self.counts().in_flight += more;
    }

    /// The text, given the number of live sessions.
    pub(crate) fn text(&self, sessions: usize) -> String {
        let counts = self.counts();
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: Vec<(String, String)>| {
            let _ = writeln!(text, "# HELP forethought_{name} {help}\n# TYPE forethought_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(text, "forethought_{name}{labels} {value}");
            }
        };
        let label = |model: &str| {
            let model = model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("model=\"{model}\"")
        };
        let requests = counts.requests.iter().map(|((model, status), count)| {
            (format!("{{{},status=\"{status}\"}}", label(model)), count.to_string())
        });
        metric("requests_total", "counter", "Chat requests by model and status.", requests.collect());
        let of = |value: fn(&(u64, f64, CallCount)) -> String| {
            counts.answers.iter().map(|(model, of)| (format!("{{{}}}", label(model)), value(of))).collect()
        };
        metric("decisions_total", "counter", "Answered requests.", of(|one| one.0.to_string()));
        metric(
            "decision_seconds_total",
            "counter",
            "Time from request to answer.",
            of(|one| one.1.to_string()),
        );
        metric("calls_total", "counter", "Calls of language models.", of(|one| one.2.calls.to_string()));
        metric(
            "input_tokens_total",
            "counter",
            "Tokens of these calls.",
            of(|one| one.2.input_tokens.to_string()),
        );
        metric(
            "output_tokens_total",
            "counter",
            "Tokens of their answers.",
            of(|one| one.2.output_tokens.to_string()),
        );
        let (done, failed) = counts.episodes;
        let episodes = [("done", done), ("failed", failed)];
        let episodes =
            episodes.map(|(status, count)| (format!("{{status=\"{status}\"}}"), count.to_string()));
        metric("episodes_total", "counter", "Episodes that ended.", episodes.into());
        let plain = |value: String| vec![(String::new(), value)];
        metric(
            "decisions_in_flight",
            "gauge",
            "Requests that wait for their answer.",
            plain(counts.in_flight.to_string()),
        );
        metric("sessions", "gauge", "Sessions that have not ended.", plain(sessions.to_string()));
        text
    }
}
