//! Runs rules: makes calls with a time limit, distinguishes panics from errors, and records outcomes.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forethought_api::{
    Result as Answer,
    error::{Code, Error},
    registry::{Component, Pluggable},
};
use futures_util::FutureExt;
use serde_json::Value;

use crate::{Checked, Finding, Options, Outcome, Report, Subject, common, stand_in::StandIns};

/// A rule of the kit.
#[derive(Debug)]
pub struct Rule {
    /// Its name: an interface, and a word for the rule.
    pub id: &'static str,
    /// What it requires.
    pub says: &'static str,
    /// How to fix a breach.
    pub fix: &'static str,
    /// Rules that must be kept for this one to be judged: a single cause would otherwise be reported twice.
    pub(crate) needs: &'static [&'static str],
}

/// Why a rule was broken, or not judged.
pub(crate) enum Fault {
    /// What was observed.
    Broken(String),
    /// A call that every rule relies on failed.
    Unanswered {
        call: String,
        failure: Failure,
    },
    Skipped(String),
}

/// The result of checking a rule.
pub(crate) type Verdict = Result<(), Fault>;

/// Why a call gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Error(Error),
    Panic(String),
    Late(std::time::Duration),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => write!(f, "answered with an error: {error}"),
            Self::Panic(message) => write!(f, "panicked: {message}"),
            Self::Late(limit) => write!(f, "did not answer within {limit:?}"),
        }
    }
}

/// Unless the condition holds, the rule is broken, with this message.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::trial::Fault::Broken(format!($($words)+)));
        }
    };
}
pub(crate) use ensure;

/// Skips a rule, for this reason.
macro_rules! skip {
    ($($words:tt)+) => {
        return Err($crate::trial::Fault::Skipped(format!($($words)+)))
    };
}
pub(crate) use skip;

/// One component under test.
pub(crate) struct Trial<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) options: &'a Options,
    /// What the component uses.
    pub(crate) stand_ins: Arc<StandIns>,
    /// The configuration from which it was built.
    pub(crate) config: Value,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    report: Report,
    /// Methods with failed calls; each is reported once.
    failed: Vec<String>,
    /// A call never returned: nothing more is checked, because each call would take the whole time limit.
    hangs: bool,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(subject: &'a Subject, options: &'a Options) -> Self {
        let report = Report { component: subject.name(), ..Report::default() };
        let notes = Mutex::new(Notes { report, ..Notes::default() });
        let stand_ins = Arc::new(StandIns::new(options.calls));
        Self { subject, options, stand_ins, config: Value::Null, notes }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a rule and records its outcome.
    pub(crate) async fn rule(&self, rule: &'static Rule, check: impl Future<Output = Verdict>) {
        let verdict = match self.obstacle(rule) {
            Some(reason) => Err(Fault::Skipped(reason)),
            None => check.await,
        };
        let outcome = match verdict {
            Ok(()) => Outcome::Passed,
            Err(Fault::Skipped(reason)) => Outcome::Skipped(reason),
            Err(Fault::Broken(problem)) => {
                self.find(rule, problem);
                Outcome::Failed
            }
            Err(Fault::Unanswered { call, failure }) => {
                let reason = format!("`{call}` failed, see {}", common::ANSWERED.id);
                self.unanswered(call, &failure);
                Outcome::Skipped(reason)
            }
        };
        self.note(rule, outcome);
    }

    /// What rules are about; if it is not available, that is recorded and the rules are not checked.
    pub(crate) async fn gather<T>(&self, what: impl Future<Output = Result<T, Fault>>) -> Option<T> {
        match what.await {
            Ok(gathered) => Some(gathered),
            Err(Fault::Unanswered { call, failure }) => {
                self.unanswered(call, &failure);
                None
            }
            Err(Fault::Broken(problem) | Fault::Skipped(problem)) => {
                self.find(&common::ANSWERED, problem);
                None
            }
        }
    }

    fn obstacle(&self, rule: &Rule) -> Option<String> {
        let notes = self.notes();
        if notes.hangs {
            return Some("an earlier call never returned".into());
        }
        let broken = |id: &&&str| notes.report.findings.iter().any(|finding| finding.rule == ***id);
        rule.needs.iter().find(broken).map(|id| format!("it depends on {id}, which is broken"))
    }

    fn unanswered(&self, call: String, failure: &Failure) {
        let method = call.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let mut notes = self.notes();
        notes.hangs |= matches!(failure, Failure::Late(_));
        if !notes.failed.contains(&method) {
            notes.failed.push(method);
            drop(notes);
            self.find(&common::ANSWERED, format!("`{call}` {failure}"));
        }
    }

    fn find(&self, rule: &Rule, problem: String) {
        let component = self.subject.name();
        let (rule, fix) = (rule.id.to_owned(), rule.fix.to_owned());
        self.notes().report.findings.push(Finding { rule, component, problem, fix });
    }

    fn note(&self, rule: &Rule, outcome: Outcome) {
        let checked = Checked { rule: rule.id.into(), says: rule.says.into(), outcome };
        (self.options.progress)(&checked);
        self.notes().report.checked.push(checked);
    }

    /// Ends the trial. Only now is it known whether all calls were answered.
    pub(crate) fn report(self) -> Report {
        let broken = self.notes().report.findings.iter().any(|finding| finding.rule == common::ANSWERED.id);
        self.note(&common::ANSWERED, if broken { Outcome::Failed } else { Outcome::Passed });
        self.notes.into_inner().unwrap_or_else(PoisonError::into_inner).report
    }

    /// Makes a call that may fail.
    pub(crate) async fn attempt<T>(&self, call: impl Future<Output = Answer<T>>) -> Result<T, Failure> {
        let limit = self.options.timeout;
        match tokio::time::timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            // Across a boundary, panics and the host's own time limit arrive as errors.
            Ok(Ok(Err(error))) if error.code == Code::Panic => Err(Failure::Panic(error.to_string())),
            Ok(Ok(Err(error))) if error.code == Code::Deadline => Err(Failure::Late(limit)),
            Ok(Ok(Err(error))) => Err(Failure::Error(error)),
            Ok(Err(payload)) => Err(Failure::Panic(said(&*payload))),
            Err(_) => Err(Failure::Late(limit)),
        }
    }

    /// Makes a call that must not fail, for any rule.
    pub(crate) async fn call<T>(
        &self,
        call: impl Into<String>,
        future: impl Future<Output = Answer<T>>,
    ) -> Result<T, Fault> {
        self.attempt(future).await.map_err(|failure| Fault::Unanswered { call: call.into(), failure })
    }

    /// Builds the component from `config`.
    pub(crate) async fn create(&self, config: Value) -> Result<Component, Failure> {
        let create = &self.subject.create;
        let host = self.stand_ins.clone();
        self.attempt(async move { create(config, host).await }).await
    }

    /// Another component from the same configuration.
    pub(crate) async fn another<I: Pluggable + ?Sized>(&self) -> Result<Arc<I>, Fault> {
        match self.create(self.config.clone()).await {
            Ok(component) => I::unwrap(component)
                .ok_or_else(|| Fault::Skipped("the built component has another interface".into())),
            Err(failure) => Err(Fault::Unanswered { call: "create".into(), failure }),
        }
    }
}

fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// The place where two texts differ, with some context.
pub(crate) fn parting(a: &str, b: &str) -> String {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| text.chars().skip(same.saturating_sub(30)).take(90).collect::<String>();
    format!("first {:?}, then {:?}", show(a), show(b))
}
