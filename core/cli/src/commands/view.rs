//! `forethought view`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use console::Term;
use forethought_api::{
    Error, Result,
    planner::Trace,
    trajectory::{Step, Trajectory},
};
use forethought_reading::web::Viewer;
use forethought_runtime::{
    run::episode::{EpisodeStatus, EpisodeSummary},
    run::events::{self, Event},
    run::folder::events_path,
    trajectories,
};
use serde_json::json;

use crate::{
    exit::Exit,
    played::{self, Played, pick},
    session::Session,
    streams::{self, print},
    tables::table,
    transcript::{self, Page},
};

/// Read episodes from start to end.
///
/// Of a run: what each seat saw, thought, imagined and did, in order. Of trajectories, which `collect` and `import` write:
/// the steps of one seat. The first lines of an observation are left out where they repeat those of the seat's last one.
/// With --web, a run is shown in the browser, with every call of a model, next to the runs of other planners on the same
/// tasks, and live while it is running; only this machine can open the page.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought view runs/webshop--pnlc               list the episodes of the newest run
  forethought view runs/webshop--pnlc --web         open them in the browser
  forethought view runs/webshop--pnlc 3fa9          show the episode whose id begins with 3fa9
  forethought view runs/webshop--pnlc --failed --sort score
  forethought view runs/webshop--pnlc --faults --text refund --sort tokens --reverse
  forethought view runs/webshop--pnlc --task 8      show the episode of this task
  forethought view data 3fa9 --seat 2 | less")]
pub(crate) struct View {
    /// Folder of a run or of a planner's runs, or trajectories: a .parquet or .jsonl file, or a folder of them.
    path: PathBuf,
    /// Id of the episode, or a beginning of it that is unique. Without it, episodes are listed.
    episode: Option<String>,
    /// Show only what this seat saw and did: its name or number. Of trajectories, by default the seat with most steps.
    #[arg(long, value_name = "SEAT")]
    seat: Option<String>,
    /// Leave out thoughts.
    #[arg(long)]
    no_thoughts: bool,
    /// Only episodes of this task. The only one is shown at once.
    #[arg(long, value_name = "N")]
    task: Option<u64>,
    /// Serve the run on a page for the browser, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["episode", "seat", "no_thoughts", "task"])]
    web: bool,
    /// With --web: the port; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "web")]
    port: u16,
    /// With --web: another run of the same tasks to show side by side. May be repeated. By default, the newest runs of the
    /// other planners in the same folder.
    #[arg(long, value_name = "RUN", requires = "web")]
    with: Vec<PathBuf>,
    #[command(flatten)]
    list: Filters,
}

/// Which episodes are listed, and in which order.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lists")]
struct Filters {
    /// List only episodes that failed, or did not succeed.
    #[arg(long, conflicts_with = "solved")]
    failed: bool,
    /// List only episodes that succeeded.
    #[arg(long)]
    solved: bool,
    /// List only episodes with answers that could not be used, or with illegal actions.
    #[arg(long)]
    faults: bool,
    /// List only episodes with at least this score.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f64>,
    /// List only episodes with at most this score.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    max_score: Option<f64>,
    /// List only episodes in which this was seen, thought or done; upper and lower case are the same.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// List the episodes in this order: the greatest last.
    #[arg(long, value_enum, value_name = "COLUMN")]
    sort: Option<Sort>,
    /// Turn the order around.
    #[arg(long)]
    reverse: bool,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    Task,
    Score,
    Steps,
    Calls,
    Tokens,
    Faults,
}

/// What a list may be sorted by: task, score, and counts.
struct Columns {
    task: u64,
    score: f64,
    steps: u64,
    calls: u64,
    tokens: u64,
    faults: u64,
}

impl Filters {
    /// The first of the filters that is set and needs what only a run knows.
    fn of_a_run(&self) -> Option<&'static str> {
        let counts = matches!(self.sort, Some(Sort::Calls | Sort::Tokens | Sort::Faults));
        let set = [
            (self.failed, "--failed"),
            (self.solved, "--solved"),
            (self.faults, "--faults"),
            (counts, "this --sort"),
        ];
        set.into_iter().find(|(set, _)| *set).map(|(_, name)| name)
    }

    fn has_score(&self, score: f64) -> bool {
        self.min_score.is_none_or(|low| score >= low) && self.max_score.is_none_or(|high| score <= high)
    }

    /// Sorts as requested; equals stay in their order.
    fn sort<T>(&self, all: &mut [T], columns: impl Fn(&T) -> Columns) {
        if let Some(sort) = self.sort {
            all.sort_by(|a, b| {
                let (a, b) = (columns(a), columns(b));
                match sort {
                    Sort::Task => a.task.cmp(&b.task),
                    Sort::Score => a.score.total_cmp(&b.score),
                    Sort::Steps => a.steps.cmp(&b.steps),
                    Sort::Calls => a.calls.cmp(&b.calls),
                    Sort::Tokens => a.tokens.cmp(&b.tokens),
                    Sort::Faults => a.faults.cmp(&b.faults),
                }
            });
        }
        if self.reverse {
            all.reverse();
        }
    }
}

impl View {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        if self.web {
            let viewer = Viewer::open(&self.path, &self.with)?;
            let served = viewer.serve(self.port).await?;
            let url = served.url();
            session.show(&json!({ "url": url }), || format!("{url}\n"))?;
            session.reporter.say("Ctrl-C ends the viewer");
            session.cancel.cancelled().await;
            return Ok(Exit::Done);
        }
        if Played::is_at(&self.path) {
            self.run(session, &Played::read(&self.path)?)
        } else {
            if let Some(flag) = self.list.of_a_run() {
                return Err(Error::input(format!(
                    "{flag}: trajectories do not say whether an episode succeeded and what it used; name a run"
                )));
            }
            self.trajectories(session, trajectories::read(&self.path)?)
        }
    }

    fn run(&self, session: &Session, run: &Played) -> Result<Exit> {
        let fits = |one: &&EpisodeSummary| {
            let lost = one.status == EpisodeStatus::Failed || one.success == Some(false);
            self.task.is_none_or(|task| task == one.task)
                && (!self.list.failed || lost)
                && (!self.list.solved || one.success == Some(true))
                && (!self.list.faults || !one.faults.is_empty())
                && self.list.has_score(one.score)
        };
        let mut listed: Vec<_> = run.episodes.iter().filter(fits).collect();
        if let Some(words) = &self.list.text {
            let words = words.to_lowercase();
            listed.retain(|one| played::mentions(&run.folder, one, &words));
        }
        self.list.sort(&mut listed, |one| Columns {
            task: one.task,
            score: one.score,
            steps: one.steps.into(),
            calls: one.llm_calls,
            tokens: one.tokens,
            faults: one.faults.values().copied().map(u64::from).sum(),
        });
        let only = match (&*listed, self.task) {
            ([only], Some(_)) => Some(&only.episode),
            ([], Some(task)) => {
                let failed = if self.list.failed { " that failed" } else { "" };
                return Err(Error::not_found(format!("there is no episode of task {task}{failed}")));
            }
            _ => None,
        };
        let Some(wanted) = self.episode.as_ref().or(only) else {
            session.show(&listed, || {
                let rows = listed.iter().map(|one| {
                    let success = one.success.map_or("", |success| if success { "yes" } else { "no" });
                    let status = format!("{:?}", one.status).to_lowercase();
                    let (task, seed, steps) =
                        (one.task.to_string(), one.seed.to_string(), one.steps.to_string());
                    let faults: u32 = one.faults.values().sum();
                    [
                        one.episode.clone(),
                        task,
                        seed,
                        status,
                        success.into(),
                        format!("{:.3}", one.score),
                        steps,
                        one.tokens.to_string(),
                        faults.to_string(),
                    ]
                });
                table(
                    ["episode", "task", "seed", "status", "success", "score", "steps", "tokens", "faults"],
                    &rows.collect::<Vec<_>>(),
                )
            })?;
            return Ok(Exit::Done);
        };
        let id = &run.episode(wanted)?.episode;
        let mut events = events::read(&events_path(&run.folder, id))?;
        let seat = self.seat.as_deref().map(|seat| seat_of(seat, &events)).transpose()?;
        if session.json {
            events.retain_mut(|event| keep(event, seat, !self.no_thoughts));
        }
        session.show_page(&events, || {
            let mut page = Page::new(&Term::stdout());
            transcript::log(&mut page, &events, seat, !self.no_thoughts);
            page
        })?;
        Ok(Exit::Done)
    }

    fn trajectories(&self, session: &Session, mut all: Vec<Trajectory>) -> Result<Exit> {
        all.retain(|one| self.task.is_none_or(|task| task == one.task));
        all.retain(|one| self.list.has_score(one.score()));
        if let Some(words) = &self.list.text {
            let words = words.to_lowercase();
            let says = |text: &String| text.to_lowercase().contains(&words);
            all.retain(|one| {
                one.steps
                    .iter()
                    .any(|step| says(&step.observation) || says(&step.thought) || says(&step.action))
            });
        }
        self.list.sort(&mut all, |one| Columns {
            task: one.task,
            score: one.score(),
            steps: one.steps.len() as u64,
            calls: 0,
            tokens: 0,
            faults: 0,
        });
        let Some(wanted) = &self.episode else { return list(session, &all) };
        let id = pick(all.iter().map(|one| one.episode.as_str()), wanted, &self.path)?;
        let seats: Vec<_> = all.iter().filter(|one| one.episode == id).collect();
        let numbers = seats.iter().map(|one| one.seat.to_string()).collect::<Vec<_>>().join(", ");
        let way = match &self.seat {
            None => seats.iter().max_by_key(|one| one.steps.len()),
            Some(seat) => seats.iter().find(|one| one.seat.to_string() == *seat),
        };
        let way = way.ok_or_else(|| {
            let seat = self.seat.as_deref().unwrap_or_default();
            Error::input(format!("seat `{seat}` did not act in episode {id}; these did: {numbers}"))
        })?;
        let mut way = Trajectory::clone(way);
        if self.no_thoughts {
            way.steps.iter_mut().for_each(|step| step.thought.clear());
        }
        session.show_page(&way, || {
            let mut page = Page::new(&Term::stdout());
            let others = if seats.len() > 1 { format!(", of seats {numbers}") } else { String::new() };
            transcript::trajectory(&mut page, &way, &others, !self.no_thoughts);
            page
        })?;
        Ok(Exit::Done)
    }
}

/// One line per episode, in the order of the files.
fn list(session: &Session, all: &[Trajectory]) -> Result<Exit> {
    let episodes: Vec<_> = all.chunk_by(|a, b| a.episode == b.episode).collect();
    if session.json {
        let documents = episodes.iter().map(|seats| {
            let Trajectory { episode, environment, task, seed, source, .. } = &seats[0];
            let each = seats.iter().map(|one| json!({ "seat": one.seat, "steps": one.steps.len(), "score": one.score() }));
            json!({ "episode": episode, "environment": environment, "task": task, "seed": seed, "source": source,
                    "outcome": outcome(seats), "seats": each.collect::<Vec<_>>() })
        });
        print(&streams::json(&documents.collect::<Vec<_>>())?)?;
        return Ok(Exit::Done);
    }
    let each = |seats: &[Trajectory], text: fn(&Trajectory) -> String| {
        seats.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let rows = episodes.iter().map(|seats| {
        let first = &seats[0];
        [
            first.episode.clone(),
            first.task.to_string(),
            first.seed.to_string(),
            outcome(seats).into(),
            each(seats, |one| one.seat.to_string()),
            each(seats, |one| one.score().to_string()),
            each(seats, |one| one.steps.len().to_string()),
            first.source.clone(),
        ]
    });
    let head = ["episode", "task", "seed", "outcome", "seats", "scores", "steps", "source"];
    print(&table(head, &rows.collect::<Vec<_>>()))?;
    Ok(Exit::Done)
}

fn outcome(seats: &[Trajectory]) -> &'static str {
    let last = |of: fn(&Step) -> bool| seats.iter().filter_map(|one| one.steps.last()).any(of);
    if last(|step| step.terminated) {
        "ended"
    } else if last(|step| step.truncated) {
        "cut off"
    } else {
        "open"
    }
}

/// The number of a seat that is given by name or number.
fn seat_of(wanted: &str, events: &[Event]) -> Result<usize> {
    let Some(Event::Episode { seats, seat_names, .. }) = events.first() else {
        return Err(Error::malformed("the log does not begin with an episode"));
    };
    let number = seat_names.iter().position(|name| name == wanted).or_else(|| wanted.parse().ok());
    number.filter(|seat| *seat < seats.len()).ok_or_else(|| {
        let names =
            if seat_names.is_empty() { String::new() } else { format!(" ({})", seat_names.join(", ")) };
        Error::input(format!("there is no seat `{wanted}`; there are {} seats{names}", seats.len()))
    })
}

/// Whether an event concerns `seat`; without thoughts, takes them out of it.
fn keep(event: &mut Event, seat: Option<usize>, thoughts: bool) -> bool {
    let concerned = |other: usize| seat.is_none_or(|seat| seat == other);
    match event {
        Event::Turn { turn, .. } => concerned(turn.seat),
        Event::Decision { seat: other, thought, summary, trace, .. } => {
            if !thoughts {
                thought.clear();
                (*summary, *trace) = (None, Trace::default());
            }
            concerned(*other)
        }
        Event::Episode { .. } | Event::Transition { .. } | Event::End { .. } => true,
    }
}
