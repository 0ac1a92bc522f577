//! The viewer: a server on loopback that shows runs from their folders.
//!
//! It answers `GET` alone, and only to this machine: a request whose `Host` or `Origin` is another one's is refused, so
//! no page from elsewhere can read it. Pages may load nothing but the viewer's own style and script. Nothing in a run
//! chooses a path: episodes are named by ids that are looked up.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use forethought_api::{Error, Result, error::Context};
use forethought_runtime::evaluate::stats::{Mean, Rate};
use forethought_runtime::journal::reading::{self, Call};
use forethought_runtime::run::episode::EpisodeSummary;
use forethought_runtime::run::events::{self, Event};
use forethought_runtime::run::folder::{self, RunStatus, events_path, journal_path};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::index::{Entry, Index, Order};
use crate::pages::{BASE, SCRIPT, VIEWER, grouped, render};
use crate::played::{folder_of, mentions};
use crate::story::Story;
use crate::text::{MOST, cut, visible};

/// Episodes on one page of the list.
const PAGE: usize = 100;
/// How long a search through logs takes before it shows what it found so far.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often a run in progress is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The runs of a viewer.
#[derive(Debug)]
pub struct Viewer {
    runs: Vec<Source>,
    opened: Instant,
}

/// A run that is shown.
#[derive(Debug)]
struct Source {
    folder: PathBuf,
    planner: String,
    name: String,
    index: Mutex<Index>,
    /// Episodes when the viewer was opened.
    before: Mutex<Option<usize>>,
}

/// A viewer that answers.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    /// Of the run at `run`, or the newest one in it, and of `others` on the same tasks. Without others, the newest runs of
    /// the planners next to it in the same environment are offered.
    ///
    /// # Errors
    /// If there is no run.
    pub fn open(run: &Path, others: &[PathBuf]) -> Result<Self> {
        let first = folder_of(run)?;
        let environment = folder::read_info(&first)?.environment;
        let mut folders = vec![first.clone()];
        if others.is_empty() {
            folders.extend(neighbours(&first, &environment));
        } else {
            folders.extend(others.iter().map(|other| folder_of(other)).collect::<Result<Vec<_>>>()?);
        }
        let mut runs: Vec<Source> = Vec::new();
        for folder in folders {
            let planner = folder::read_info(&folder)?.planner;
            let same = runs.iter().filter(|one| one.planner == planner).count();
            let name = if same > 0 { format!("{planner}#{}", same + 1) } else { planner.clone() };
            let index = Mutex::new(Index::new(&folder));
            runs.push(Source { index, before: Mutex::default(), folder, planner, name });
        }
        Ok(Self { runs, opened: Instant::now() })
    }

    /// Serves on a port of loopback, in the background of the current tokio runtime; 0 means any free port.
    ///
    /// # Errors
    /// If the port is not available.
    pub async fn serve(self, port: u16) -> Result<Served> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.context(format!("cannot listen on port {port} of 127.0.0.1"))?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state((Arc::new(self), address.port()));
        let task = tokio::spawn(async move {
            // Never returns: axum tolerates errors of single connections.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Served { address, task })
    }
}

/// The newest runs of other planners in the folder in which `run`'s planner has its runs.
fn neighbours(run: &Path, environment: &str) -> Vec<PathBuf> {
    let all = run.parent().and_then(Path::parent).and_then(|root| std::fs::read_dir(root).ok());
    let mut folders: Vec<_> = all.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let fits = |folder: &PathBuf| {
        let own = run.parent() == Some(folder);
        !own && folder.is_dir() && !folder.join("run.json").is_file()
    };
    let newest = folders.iter().filter(|folder| fits(folder)).filter_map(|folder| folder_of(folder).ok());
    let same = newest.filter(|run| folder::read_info(run).is_ok_and(|info| info.environment == environment));
    same.take(11).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer that is not a page of HTML, or is one.
struct Reply {
    kind: &'static str,
    body: String,
    status: StatusCode,
}

impl Reply {
    fn html(body: String) -> Self {
        Self { kind: "text/html; charset=utf-8", body, status: StatusCode::OK }
    }

    fn text(body: String) -> Self {
        Self { kind: "text/plain; charset=utf-8", body, status: StatusCode::OK }
    }
}

async fn answer(State((viewer, port)): State<(Arc<Viewer>, u16)>, request: Request) -> Response {
    let mut response = match refused(&request, port) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None if ![Method::GET, Method::HEAD].contains(request.method()) => {
            (StatusCode::METHOD_NOT_ALLOWED, "the viewer only shows").into_response()
        }
        None => {
            reply(
                viewer,
                request.uri().path().to_owned(),
                request.uri().query().unwrap_or_default().to_owned(),
            )
            .await
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What every answer says.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Why a request is not answered: it was sent by a page from elsewhere, or to another name.
fn refused(request: &Request, port: u16) -> Option<&'static str> {
    let own = |name: &str| ["127.0.0.1", "localhost"].iter().any(|host| name == format!("{host}:{port}"));
    let text = |headers: &HeaderMap, name: header::HeaderName| -> Option<String> {
        Some(headers.get(name)?.to_str().unwrap_or("?").to_owned())
    };
    let headers = request.headers();
    if !text(headers, header::HOST).is_some_and(|host| own(&host)) {
        return Some("the viewer answers to 127.0.0.1 and localhost only");
    }
    let origin = text(headers, header::ORIGIN);
    if !origin.is_none_or(|origin| origin.strip_prefix("http://").is_some_and(own)) {
        return Some("the viewer does not answer to pages from elsewhere");
    }
    None
}

async fn reply(viewer: Arc<Viewer>, path: String, query: String) -> Response {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(String::from).collect();
    let words: Vec<_> = parts.iter().map(String::as_str).collect();
    match &*words {
        ["style.css"] => return asset("text/css; charset=utf-8", [BASE, VIEWER].concat()),
        // Browsers ask for it on their own where a page is plain text.
        ["favicon.ico"] => return StatusCode::NO_CONTENT.into_response(),
        ["viewer.js"] => return asset("text/javascript; charset=utf-8", SCRIPT.into()),
        [run, "live"] => {
            return match viewer.number(run) {
                Ok(run) => live(viewer, run).into_response(),
                Err(error) => failure(&error),
            };
        }
        _ => {}
    }
    let work = tokio::task::spawn_blocking(move || {
        let words: Vec<_> = parts.iter().map(String::as_str).collect();
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match &*words {
            [] => viewer.list(0, &query),
            [run] => viewer.list(viewer.number(run)?, &query),
            [run, "e", id] => viewer.episode(viewer.number(run)?, id),
            [run, "e", id, "beside", other] => viewer.beside(viewer.number(run)?, id, viewer.number(other)?),
            [run, "e", id, "calls", step, seat] => viewer.calls(viewer.number(run)?, id, step, seat, &query),
            [run, "e", id, "text", event] => viewer.text(viewer.number(run)?, id, event),
            _ => Err(Error::not_found(format!("there is no page {path}"))),
        }
    });
    match work.await {
        Ok(Ok(reply)) => {
            let kind = [(header::CONTENT_TYPE, reply.kind)];
            (reply.status, kind, Body::from(reply.body)).into_response()
        }
        Ok(Err(error)) => failure(&error),
        Err(error) => failure(&Error::other(format!("the page could not be made: {error}"))),
    }
}

fn asset(kind: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn failure(error: &Error) -> Response {
    let status = match error.code {
        forethought_api::error::Code::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let said = visible(&error.to_string()).into_owned();
    let page = render("error.html", &json!({ "title": "Not shown", "said": said, "live": Value::Null }));
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.unwrap_or(said)).into_response()
}

/// A row of the list.
#[derive(Serialize)]
struct Row {
    number: usize,
    id: String,
    task: u64,
    status: &'static str,
    mark: &'static str,
    score: f64,
    steps: u32,
    calls: u64,
    tokens: String,
    faults: u32,
    error: String,
}

impl Row {
    fn of(one: EpisodeSummary, number: usize) -> Self {
        let (status, mark) = outcome(&one);
        Self {
            number,
            task: one.task,
            status,
            mark,
            score: one.score,
            steps: one.steps,
            calls: one.llm_calls,
            tokens: grouped(one.tokens),
            faults: one.faults.values().sum(),
            error: one.error.as_deref().map(|error| cut(error, 200).0).unwrap_or_default(),
            id: one.episode,
        }
    }
}

/// How an episode went, in a word and as a mark.
fn outcome(one: &EpisodeSummary) -> (&'static str, &'static str) {
    use forethought_runtime::run::episode::EpisodeStatus as Status;
    match (one.status, one.success) {
        (Status::Done, Some(true)) => ("solved", "✓"),
        (Status::Done, Some(false)) => ("not solved", "✗"),
        (Status::Done, None) => ("done", "•"),
        (Status::Failed, _) => ("failed", "!"),
        (Status::Budget, _) => ("budget", "!"),
        (Status::Interrupted, _) => ("interrupted", "!"),
    }
}

/// What the list is filtered and sorted by, as in its address.
#[derive(Debug, Default, Serialize)]
struct Filter {
    show: String,
    sort: String,
    q: String,
    low: String,
    high: String,
    unread: bool,
    from: usize,
}

impl Filter {
    fn of(query: &[(String, String)]) -> Self {
        let mut filter = Self { show: "all".into(), sort: "task".into(), ..Self::default() };
        for (key, value) in query {
            let value = value.trim();
            match key.as_str() {
                "show" => filter.show = value.into(),
                "sort" => filter.sort = value.into(),
                "q" => filter.q = value.chars().take(200).collect(),
                "low" => filter.low = value.chars().take(20).collect(),
                "high" => filter.high = value.chars().take(20).collect(),
                "unread" => filter.unread = value == "1",
                "from" => filter.from = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        filter
    }

    fn wants(&self, one: &Entry) -> bool {
        let number = |text: &str| text.parse::<f64>().ok();
        let shown = match self.show.as_str() {
            "solved" => one.success == Some(true),
            "lost" => one.lost(),
            "failed" => !one.done,
            _ => true,
        };
        let above = number(&self.low).is_none_or(|low| one.score >= low);
        let below = number(&self.high).is_none_or(|high| one.score <= high);
        shown && above && below && (!self.unread || one.unread > 0)
    }

    /// The address of the same list from another episode on.
    fn address(&self, from: usize) -> String {
        let mut address = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in [
            ("show", &self.show),
            ("sort", &self.sort),
            ("q", &self.q),
            ("low", &self.low),
            ("high", &self.high),
        ] {
            if !value.is_empty() {
                address.append_pair(key, value);
            }
        }
        if self.unread {
            address.append_pair("unread", "1");
        }
        address.append_pair("from", &from.to_string());
        format!("?{}", address.finish())
    }
}

impl Viewer {
    fn number(&self, word: &str) -> Result<usize> {
        let number = word.parse().ok().filter(|number| *number < self.runs.len());
        number.ok_or_else(|| Error::not_found(format!("there is no run {word} here")))
    }

    /// The run's index with everything that was appended.
    fn index(&self, run: usize) -> Result<MutexGuard<'_, Index>> {
        let source = &self.runs[run];
        let mut index = lock(&source.index);
        index.refresh()?;
        lock(&source.before).get_or_insert(index.len());
        Ok(index)
    }

    fn tabs(&self, run: usize) -> Vec<Value> {
        let tab = |(number, source): (usize, &Source)| json!({ "number": number, "name": visible(&source.name), "here": number == run });
        self.runs.iter().enumerate().map(tab).collect()
    }

    /// The list of episodes, or with `part=1` only the rows that follow.
    fn list(&self, run: usize, query: &[(String, String)]) -> Result<Reply> {
        let filter = Filter::of(query);
        let source = &self.runs[run];
        let index = self.index(run)?;
        let all = index.sorted(|one| filter.wants(one), Order::named(&filter.sort));
        let (mut rows, mut next, mut looked) = (Vec::new(), None, all.len());
        let (begun, needle) = (Instant::now(), filter.q.to_lowercase());
        for (place, entry) in all.iter().enumerate().skip(filter.from) {
            if rows.len() == PAGE || !needle.is_empty() && !rows.is_empty() && begun.elapsed() > PATIENCE {
                (next, looked) = (Some(filter.address(place)), place);
                break;
            }
            let one = index.read(entry)?;
            if needle.is_empty() || mentions(&source.folder, &one, &needle) {
                rows.push(Row::of(one, run));
            } else if begun.elapsed() > 4 * PATIENCE {
                (next, looked) = (Some(filter.address(place + 1)), place + 1);
                break;
            }
        }
        let mut page = json!({
            "run": run, "rows": rows, "next": next, "matches": all.len(), "looked": looked, "total": index.len(),
            "searched": !needle.is_empty(), "from": filter.from,
        });
        if query.iter().any(|(key, _)| key == "part") {
            return render("rows.html", &page).map(Reply::html);
        }
        let info = folder::read_info(&source.folder)?;
        let results = index.results();
        drop(index);
        let state = match info.status {
            RunStatus::Running if folder::in_use(&source.folder) => "running",
            RunStatus::Running => "stopped",
            RunStatus::Finished => "finished",
            RunStatus::Failed => "ended with failures",
            RunStatus::Budget => "budget reached",
            RunStatus::Interrupted => "interrupted",
        };
        let more = json!({
            "title": format!("{} in {}", source.name, info.environment), "tabs": self.tabs(run), "filter": filter,
            "planned": info.episodes, "state": state, "results": Results::of(results),
            "folder": visible(&source.folder.display().to_string()), "usd": info.usd,
            "program": visible(&info.program), "started": visible(&info.started),
            "live": (state == "running").then(|| format!("/{run}/live")),
        });
        if let (Value::Object(page), Value::Object(more)) = (&mut page, more) {
            page.extend(more);
        }
        render("list.html", &page).map(Reply::html)
    }

    fn found(&self, run: usize, id: &str) -> Result<(Entry, EpisodeSummary)> {
        let index = self.index(run)?;
        let gone = || Error::not_found(format!("there is no episode {} in this run", cut(id, 60).0));
        let entry = index.find(id).ok_or_else(gone)?;
        let summary = index.read(&entry)?;
        if summary.episode == id { Ok((entry, summary)) } else { Err(gone()) }
    }

    fn log(&self, run: usize, id: &str) -> Result<Vec<Event>> {
        events::read(&events_path(&self.runs[run].folder, id))
    }

    fn episode(&self, run: usize, id: &str) -> Result<Reply> {
        let (entry, summary) = self.found(run, id)?;
        let story = self.log(run, id).map(|log| Story::of(&log, &self.runs[run].planner));
        let (story, unreadable) = match story {
            Ok(story) => (story, String::new()),
            Err(error) => (Story::default(), visible(&error.to_string()).into_owned()),
        };
        let index = self.index(run)?;
        let order = index.sorted(|_| true, Order::Task);
        let place = order.iter().position(|one| one.id == entry.id).unwrap_or(0);
        let name =
            |entry: Option<&Entry>| entry.and_then(|entry| index.read(entry).ok()).map(|one| one.episode);
        let before = name(place.checked_sub(1).and_then(|place| order.get(place)));
        let after = name(order.get(place + 1));
        let around = order[place + 1..].iter().chain(&order[..place]);
        let failure = name(around.into_iter().find(|one| one.lost()));
        drop(index);
        let others: Vec<_> = (0..self.runs.len())
            .filter(|other| *other != run)
            .filter(|other| {
                self.index(*other).is_ok_and(|index| index.same_task(entry.task, entry.seed).is_some())
            })
            .map(|other| json!({ "number": other, "name": visible(&self.runs[other].name) }))
            .collect();
        let title = format!("Task {} · {}", summary.task, self.runs[run].name);
        let page = json!({
            "title": title, "tabs": self.tabs(run), "run": run, "id": id, "seed": summary.seed.to_string(),
            "one": Row::of(summary, run), "story": story, "unreadable": unreadable, "before": before, "after": after,
            "failure": failure, "others": others, "live": Value::Null, "planner": visible(&self.runs[run].name),
        });
        render("episode.html", &page).map(Reply::html)
    }

    /// The same task as two planners played it.
    fn beside(&self, run: usize, id: &str, other: usize) -> Result<Reply> {
        let (entry, _) = self.found(run, id)?;
        let twin = self.index(other)?.same_task(entry.task, entry.seed);
        let twin =
            twin.ok_or_else(|| Error::not_found("the other planner did not play this task with this seed"))?;
        let twin = self.index(other)?.read(&twin)?.episode;
        let side = |run: usize, id: &str| -> Result<Value> {
            let (_, summary) = self.found(run, id)?;
            let story = Story::of(&self.log(run, id)?, &self.runs[run].planner);
            Ok(
                json!({ "run": run, "id": id, "name": visible(&self.runs[run].name), "one": Row::of(summary, run), "story": story }),
            )
        };
        let page = json!({
            "title": format!("Task {} · {} and {}", entry.task, self.runs[run].name, self.runs[other].name),
            "tabs": self.tabs(run), "run": run, "id": id, "sides": [side(run, id)?, side(other, &twin)?], "live": Value::Null,
            "task": entry.task,
        });
        render("beside.html", &page).map(Reply::html)
    }

    /// The calls of a decision; with `copy=N` and `side=prompt` or `side=answer`, one text to
    /// copy; with `part=1`, without the page around them.
    fn calls(
        &self,
        run: usize,
        id: &str,
        step: &str,
        seat: &str,
        query: &[(String, String)],
    ) -> Result<Reply> {
        self.found(run, id)?;
        let missing =
            || Error::not_found(format!("there is no step {} of seat {}", cut(step, 20).0, cut(seat, 20).0));
        let (step, seat) = (step.parse().map_err(|_| missing())?, seat.parse().map_err(|_| missing())?);
        let calls = reading::calls(&journal_path(&self.runs[run].folder), id, step, seat)?;
        let asked = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        if let Some(number) = asked("copy").and_then(|number| number.parse::<usize>().ok()) {
            let call = calls.get(number).ok_or_else(missing)?;
            let texts = Texts::of(call, None);
            return Ok(Reply::text(if asked("side") == Some("answer") {
                texts.answer
            } else {
                texts.prompt()
            }));
        }
        let shown: Vec<_> = calls.iter().map(|call| Texts::of(call, Some(MOST))).collect();
        let base = format!("/{run}/e/{id}/calls/{step}/{seat}");
        let page = json!({
            "calls": shown, "base": base, "title": format!("Calls of step {step}"),
            "tabs": self.tabs(run), "run": run, "id": id, "live": Value::Null,
        });
        let name = if asked("part").is_some() { "calls.html" } else { "calls-page.html" };
        render(name, &page).map(Reply::html)
    }

    /// Everything that was seen at an event, as it was.
    fn text(&self, run: usize, id: &str, event: &str) -> Result<Reply> {
        self.found(run, id)?;
        let log = self.log(run, id)?;
        let missing = || Error::not_found(format!("there is no observation {}", cut(event, 20).0));
        match event.parse::<usize>().ok().and_then(|number| log.get(number)) {
            Some(Event::Turn { turn, .. }) => Ok(Reply::text(visible(&turn.observation.text).into_owned())),
            _ => Err(missing()),
        }
    }

    /// What is said of a run in progress.
    fn progress(&self, run: usize) -> Result<Option<Progress>> {
        let source = &self.runs[run];
        let info = folder::read_info(&source.folder)?;
        let index = self.index(run)?;
        let results = index.results();
        let total = index.len();
        drop(index);
        let spent = reading::spent(&journal_path(&source.folder)).unwrap_or_default();
        let usd = spent.values().fold(0, |sum, spent| spent.nano_usd.saturating_add(sum)) as f64 / 1e9;
        let new = total.saturating_sub(lock(&source.before).unwrap_or(total));
        let per_minute = 60.0 * new as f64 / self.opened.elapsed().as_secs_f64().max(1.0);
        let left = (info.episodes as usize).saturating_sub(total) as f64;
        let eta = (new > 0).then(|| left / per_minute);
        Ok(Some(Progress {
            total,
            planned: info.episodes,
            results: Results::of(results),
            usd: (usd > 0.0).then(|| format!("${usd:.4}")),
            per_minute: (new > 0).then(|| format!("{per_minute:.1} per minute")),
            eta: eta.map(|minutes| {
                if minutes < 1.0 {
                    "under a minute left".into()
                } else {
                    format!("about {minutes:.0} min left")
                }
            }),
            running: info.status == RunStatus::Running,
        }))
    }
}

/// Results in words.
#[derive(Debug, Serialize)]
struct Results {
    done: usize,
    success: Option<String>,
    success_range: String,
    score: String,
    score_range: String,
}

impl Results {
    fn of((done, rate, score): (usize, Option<Rate>, Mean)) -> Self {
        Self {
            done,
            success: rate.map(|rate| format!("{:.1} %", 100.0 * rate.rate)),
            success_range: rate
                .map(|rate| format!("{:.1} – {:.1}", 100.0 * rate.low, 100.0 * rate.high))
                .unwrap_or_default(),
            score: format!("{:.3}", score.mean),
            score_range: format!("{:.3} – {:.3}", score.low, score.high),
        }
    }
}

/// A run in progress.
#[derive(Debug, Serialize)]
struct Progress {
    total: usize,
    planned: u64,
    results: Results,
    usd: Option<String>,
    per_minute: Option<String>,
    eta: Option<String>,
    running: bool,
}

/// Sends the progress of a run once a second, until it stops.
fn live(
    viewer: Arc<Viewer>,
    run: usize,
) -> Sse<impl futures::Stream<Item = std::result::Result<Sent, Infallible>>> {
    let stream = futures::stream::unfold((viewer, true), move |(viewer, goes_on)| async move {
        if !goes_on {
            return None;
        }
        tokio::time::sleep(LOOK).await;
        let look = {
            let viewer = viewer.clone();
            tokio::task::spawn_blocking(move || viewer.progress(run)).await
        };
        let (said, goes_on) = match look {
            Ok(Ok(Some(progress))) => {
                (serde_json::to_string(&progress).unwrap_or_default(), progress.running)
            }
            Ok(Ok(None)) | Err(_) => return None,
            Ok(Err(error)) => (json!({ "error": error.to_string() }).to_string(), true),
        };
        Some((Ok(Sent::default().event("progress").data(said)), (viewer, goes_on)))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// A call as texts.
#[derive(Debug, Serialize)]
struct Texts {
    what: String,
    target: String,
    tokens: String,
    ok: bool,
    messages: Vec<(String, String, Option<usize>)>,
    answer: String,
    answer_of: Option<usize>,
    finish: String,
}

impl Texts {
    /// With texts cut to `most` characters, if they are to be shown.
    fn of(call: &Call, most: Option<usize>) -> Self {
        let long = |text: &str| match most {
            Some(most) => cut(text, most),
            None => (visible(text).into_owned(), None),
        };
        let request = &call.request["request"];
        let critic = call.effect != "llm.complete";
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        let mut messages = Vec::new();
        for message in request["messages"].as_array().into_iter().flatten() {
            let mut text = message["content"].as_str().unwrap_or_default().to_owned();
            if message.get("damaged").is_some() || message.get("tool_calls").is_some() {
                text = format!("{text}\n{}", pretty(message)).trim().to_owned();
            }
            let (text, of) = long(&text);
            messages.push((message["role"].as_str().unwrap_or("message").to_owned(), text, of));
        }
        if critic {
            let (text, of) = long(&pretty(&call.request["queries"]));
            messages.push(("questions".into(), text, of));
        }
        let choices = call.answer["choices"].as_array();
        let said = match choices {
            Some(choices) if call.ok => {
                let said = choices.iter().map(|choice| {
                    let mut said = String::new();
                    if let Some(reasoning) = choice["reasoning"].as_str().filter(|text| !text.is_empty()) {
                        said += &format!("[reasoning]\n{reasoning}\n\n");
                    }
                    said += choice["text"].as_str().unwrap_or_default();
                    if choice["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
                        said += &format!("\n{}", pretty(&choice["tool_calls"]));
                    }
                    said
                });
                said.collect::<Vec<_>>().join("\n\n---\n\n")
            }
            _ => pretty(&call.answer),
        };
        let (answer, answer_of) = long(said.trim());
        let usage = &call.answer["usage"];
        let tokens = match (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()) {
            (Some(input), Some(output)) => format!("{} in, {} out", grouped(input), grouped(output)),
            _ => String::new(),
        };
        let finish = choices.and_then(|choices| choices.first()?["finish"].as_str()).unwrap_or_default();
        Self {
            what: if critic {
                "critic".into()
            } else {
                request["purpose"].as_str().unwrap_or("call").to_owned()
            },
            target: cut(&call.target, 80).0,
            tokens,
            ok: call.ok,
            messages,
            answer,
            answer_of,
            finish: if finish == "stop" { String::new() } else { finish.to_owned() },
        }
    }

    /// All messages in one text.
    fn prompt(&self) -> String {
        self.messages
            .iter()
            .map(|(role, text, _)| format!("[{role}]\n{text}"))
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}
