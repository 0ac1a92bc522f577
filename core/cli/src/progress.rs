//! Progress: bars on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{Result, critic::Progress};
use forethought_runtime::{
    run::RunObserver,
    run::episode::{EpisodeStatus, EpisodeSummary},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::streams::{printable, tell, tell_styled};

/// Shows messages and progress. Clones share one screen.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<Screen>);

enum Screen {
    Bars {
        all: MultiProgress,
        stages: Mutex<BTreeMap<String, ProgressBar>>,
    },
    /// Tenths of each stage that were printed.
    Lines {
        printed: Mutex<BTreeMap<String, u64>>,
    },
    Quiet,
}

impl Reporter {
    /// Bars if standard error is a terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        Self(Arc::new(if quiet {
            Screen::Quiet
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            Screen::Bars { all, stages: Mutex::default() }
        } else {
            Screen::Lines { printed: Mutex::default() }
        }))
    }

    /// Prints a message.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        match &*self.0 {
            Screen::Bars { all, .. } => all.suspend(|| tell(line.as_ref())),
            Screen::Lines { .. } => tell(line.as_ref()),
            Screen::Quiet => {}
        }
    }

    /// `done` of `total` units of `stage`.
    pub(crate) fn report_now(&self, stage: &str, done: u64, total: u64, note: &str) {
        match &*self.0 {
            Screen::Bars { all, stages } => {
                let mut stages = stages.lock().unwrap_or_else(PoisonError::into_inner);
                let bar = stages.entry(stage.into()).or_insert_with(|| {
                    let bar = all.add(ProgressBar::new(total));
                    bar.set_style(bar_style());
                    bar.set_prefix(printable(stage).into_owned());
                    bar
                });
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(printable(note).into_owned());
                if done >= total {
                    bar.finish();
                }
            }
            Screen::Lines { printed } => {
                let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                let tenth = (done * 10).checked_div(total).unwrap_or(10);
                if printed.insert(stage.into(), tenth) != Some(tenth) {
                    let note = if note.is_empty() { String::new() } else { format!("  {note}") };
                    tell(&format!("{stage}: {done}/{total}{note}"));
                }
            }
            Screen::Quiet => {}
        }
    }

    /// Leaves bars as they are and continues below them.
    pub(crate) fn clear(&self) {
        if let Screen::Bars { stages, .. } = &*self.0 {
            let stages = std::mem::take(&mut *stages.lock().unwrap_or_else(PoisonError::into_inner));
            if !stages.is_empty() {
                stages.into_values().filter(|bar| !bar.is_finished()).for_each(|bar| bar.abandon());
                tell("");
            }
        }
    }

    /// Standard error, without tearing bars.
    pub(crate) fn writer(&self) -> Writer {
        Writer(self.clone())
    }

    /// An observer of a run that is called `label`.
    pub(crate) fn watch(&self, label: &str) -> Arc<dyn RunObserver> {
        Arc::new(Watch { reporter: self.clone(), label: label.into(), tally: Mutex::default() })
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<24} {bar:30} {pos}/{len} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[async_trait]
impl Progress for Reporter {
    async fn report(&self, stage: String, done: u64, total: u64, note: String) -> Result<()> {
        self.report_now(&stage, done, total, &note);
        Ok(())
    }
}

/// Standard error, without tearing bars.
pub(crate) struct Writer(Reporter);

impl Write for Writer {
    /// Takes everything: what cannot be logged must not stop the work.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = coloured(&printable(&text));
        match &*self.0.0 {
            Screen::Bars { all, .. } => all.suspend(|| tell_styled(&line)),
            _ => tell_styled(&line),
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log line with its level in colour, on a terminal that shows colours.
fn coloured(line: &str) -> String {
    let colours = [("ERROR", console::Color::Red), (" WARN", console::Color::Yellow)];
    let found = colours.iter().find_map(|(level, colour)| Some((level, line.strip_prefix(level)?, colour)));
    let Some((level, rest, colour)) = found else { return line.into() };
    format!("{}{rest}", console::style(level).fg(*colour).for_stderr())
}

/// Watches a run's episodes.
struct Watch {
    reporter: Reporter,
    label: String,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    total: u64,
    before: u64,
    done: u64,
    failed: u64,
    score: f64,
}

impl Watch {
    fn tally(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut tally);
        let Tally { total, before, done, failed, score } = *tally;
        let mut note = if done > 0 { format!("score {:.3}", score / done as f64) } else { String::new() };
        if failed > 0 {
            note += &format!(", {failed} failed");
        }
        self.reporter.report_now(&self.label, before + done + failed, total, &note);
    }
}

impl RunObserver for Watch {
    fn started(&self, _: &Path, total: usize, done: usize) {
        self.tally(|tally| (tally.total, tally.before) = (total as u64, done as u64));
    }
    fn ended(&self, summary: &EpisodeSummary) {
        self.tally(|tally| match summary.status {
            EpisodeStatus::Done => {
                tally.done += 1;
                tally.score += summary.score;
            }
            EpisodeStatus::Failed => tally.failed += 1,
            EpisodeStatus::Budget | EpisodeStatus::Interrupted => {}
        });
        if let (EpisodeStatus::Failed, Some(error)) = (summary.status, &summary.error) {
            tracing::warn!("episode {} (task {}) failed: {error}", summary.episode, summary.task);
        }
    }
    fn note(&self, text: &str) {
        self.reporter.say(text);
    }
}
