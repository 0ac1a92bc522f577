//! Sessions: an agent's conversation as episodes whose world is the client.
//!
//! A request is a turn. What it says of earlier turns that were not decided in this episode (because the session began
//! elsewhere, the server was restarted, or a decision failed and the episode began again) is given: the seat does what
//! the messages say was done, and no model is called. So history, restart and retry are one mechanism. A session may
//! be a sequence of episodes, of which the last has all turns.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use forethought_api::{
    Error, Result,
    environment::{
        Action, Environment, EnvironmentSpec, Observation, Recovery, Reset, SeatSpec, Transition, Turn,
    },
    error::Code,
    llm::{ChatRequest, Message, Role, ToolCall},
    planner::{Decision, DecisionContext, Models, Planner, Requirements},
    raw::{OPENAI_CHAT, RawRequest},
};
use forethought_runtime::{
    cancel::Cancel,
    clock,
    layers::relay::Piece,
    run::{
        episode::{EpisodeStatus, Seat},
        live::LiveEpisode,
        summary::CallCount,
    },
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::Service;
use crate::answer::{Answer, Refusal};
use crate::chat::{Chat, Said};
use crate::history::{self, Mark, Told};
use crate::models::{How, Model};
use crate::passed::{self, Relays};

/// The kind of world that a session is.
pub(crate) const WORLD: &str = "session";

/// The description that all sessions share.
pub(crate) fn world() -> EnvironmentSpec {
    EnvironmentSpec {
        name: WORLD.into(),
        version: "1".into(),
        seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
        // The client cannot be asked the same again.
        recovery: Recovery::Restart,
        ..EnvironmentSpec::default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An id that cannot be guessed.
pub(crate) fn new_id() -> String {
    // 160 random bits, and two times.
    let mut hasher = blake3::Hasher::new();
    for _ in 0..2 {
        hasher.update(&ulid::Ulid::generate().to_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// A request that waits for its answer.
pub(crate) struct Ask {
    pub(crate) chat: Chat,
    pub(crate) model: Arc<Model>,
    pub(crate) instructions: String,
    conversation: Vec<Said>,
    marks: Vec<Mark>,
    /// The reward of what was done before.
    reward: f64,
    /// Raised when the client is gone.
    gone: Cancel,
    /// The body, where it is passed on as it is.
    raw: Option<String>,
    begun: Mutex<Option<oneshot::Sender<String>>>,
    pieces: Mutex<Option<oneshot::Sender<mpsc::Receiver<Piece>>>>,
    reply: Mutex<Option<oneshot::Sender<Replied>>>,
    work: Mutex<Work>,
}

/// What a client gets.
pub(crate) type Replied = std::result::Result<Answer, Refusal>;

/// What is known of an answer while it is made.
#[derive(Default)]
struct Work {
    used: CallCount,
    /// Words next to calls, and why the answer ended.
    said: Option<(String, &'static str)>,
    /// Why the last decision was not possible, and how many were not.
    impossible: Option<(String, u32)>,
}

/// The client's side of a request.
pub(crate) struct Pending {
    /// The episode's id, once it has begun.
    pub(crate) begun: oneshot::Receiver<String>,
    /// The provider's own answer, if it is passed on as it is.
    pub(crate) pieces: oneshot::Receiver<mpsc::Receiver<Piece>>,
    pub(crate) reply: oneshot::Receiver<Replied>,
    pub(crate) waiting: Waiting,
}

/// Dropped before the answer arrived, it withdraws the request.
pub(crate) struct Waiting {
    service: Arc<Service>,
    session: Arc<Session>,
    ask: Arc<Ask>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if lock(&self.ask.reply).take().is_some() {
            self.session.failed(&self.service, &self.ask, "the client closed the connection");
            self.ask.gone.cancel();
        }
    }
}

impl Ask {
    /// Notes the words of an answer that is passed on.
    pub(crate) fn say(&self, words: String, finish: &'static str) {
        lock(&self.work).said = Some((words, finish));
    }
    /// The client's own request, if it is passed on as it is.
    pub(crate) fn raw(&self) -> Option<RawRequest> {
        let request = ChatRequest { samples: self.chat.n, ..ChatRequest::default() };
        let (format, streaming) = (OPENAI_CHAT.into(), self.chat.stream);
        self.raw.clone().map(|body| RawRequest { format, body, streaming, request })
    }
    /// Hands the provider's own answer to the client.
    pub(crate) fn pass_on(&self, pieces: mpsc::Receiver<Piece>) {
        if let Some(client) = lock(&self.pieces).take() {
            let _ = client.send(pieces);
        }
    }
    fn answered(&self) -> bool {
        lock(&self.reply).is_none()
    }
    fn reply(&self, replied: Replied) {
        if let Some(reply) = lock(&self.reply).take() {
            let _ = reply.send(replied);
        }
    }
}

/// The result of a session, as the client knows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) reward: f64,
    pub(crate) success: Option<bool>,
    /// What was seen at the end.
    pub(crate) observation: Option<String>,
}

impl Outcome {
    fn words(&self) -> String {
        let result = match self.success {
            Some(true) => "The session ended in success.",
            Some(false) => "The session ended without success.",
            None => "The session ended.",
        };
        let seen = self.observation.as_deref().map_or(String::new(), |seen| format!("{seen}\n\n"));
        format!("{seen}{result} Reward: {}.", self.reward)
    }
}

/// What happens to a session.
enum Event {
    Ask(Arc<Ask>),
    Outcome(Outcome),
    /// The server stops.
    Stop,
}

/// How a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "detail")]
enum Phase {
    /// A request waits for its decision.
    Deciding,
    /// The next request is awaited.
    Waiting,
    /// The last decision failed; the request can be sent again.
    Failed(String),
    /// It ended: by an outcome, because it was idle, or because the server stopped.
    Ended(&'static str),
}

/// One agent's conversation.
pub(crate) struct Session {
    pub(crate) id: String,
    created: u64,
    reset: Reset,
    /// The mark of its instructions.
    system: Mark,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    inbox: Option<mpsc::UnboundedSender<Event>>,
    current: Current,
    /// The conversation up to the last answer: its length and mark.
    seen: (usize, Mark),
    /// What it is found by in the table.
    keys: Vec<Mark>,
    /// The thoughts behind its answers.
    thoughts: HashMap<Mark, String>,
    /// Ids of calls that it gave out.
    ids: Vec<String>,
    /// The last request, and what was done about it.
    last: Option<(Arc<Ask>, Option<Action>)>,
    ended: Vec<oneshot::Sender<Value>>,
    line: Line,
}

/// What is decided now.
#[derive(Clone, Default)]
enum Current {
    #[default]
    Nothing,
    /// What the messages say.
    Given { action: Action, thought: String },
    /// What a model says.
    Asked(Arc<Ask>),
}

/// A session as programs see it.
#[derive(Debug, Clone, Default, Serialize)]
struct Line {
    model: String,
    task: u64,
    seed: u64,
    turns: u64,
    calls: u64,
    input_tokens: u64,
    output_tokens: u64,
    last_used: u64,
    episodes: Vec<Played>,
}

#[derive(Debug, Clone, Serialize)]
struct Played {
    episode: String,
    status: EpisodeStatus,
    steps: u32,
    score: f64,
    success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The session as JSON.
    pub(crate) fn describe(&self) -> Value {
        let state = self.state();
        let mut described = serde_json::to_value(&state.phase).unwrap_or_default();
        if let (Value::Object(all), Ok(Value::Object(line))) =
            (&mut described, serde_json::to_value(&state.line))
        {
            all.insert("id".into(), self.id.clone().into());
            all.insert("created".into(), self.created.into());
            all.extend(line);
        }
        described
    }

    /// Whether it is neither ended nor idle for good.
    pub(crate) fn live(&self) -> bool {
        self.state().inbox.is_some()
    }

    /// Hands a request to the session; back if a decision of it is in flight.
    pub(crate) fn ask(
        self: &Arc<Self>,
        service: &Arc<Service>,
        ask: Incoming,
    ) -> std::result::Result<Pending, Box<Incoming>> {
        let mut state = self.state();
        if state.phase == Phase::Deciding {
            return Err(Box::new(ask));
        }
        let ((begun, on_begun), (reply, on_reply)) = (oneshot::channel(), oneshot::channel());
        let (pieces, on_pieces) = oneshot::channel();
        let Incoming { chat, model, instructions, raw, conversation, marks, reward, .. } = ask;
        let ask = Arc::new(Ask {
            chat,
            model,
            instructions,
            conversation,
            marks,
            reward,
            gone: Cancel::new(),
            raw,
            pieces: Mutex::new(Some(pieces)),
            begun: Mutex::new(Some(begun)),
            reply: Mutex::new(Some(reply)),
            work: Mutex::default(),
        });
        state.phase = Phase::Deciding;
        state.line.model.clone_from(&ask.model.name);
        state.line.last_used = clock::seconds();
        let event = Event::Ask(ask.clone());
        match &state.inbox {
            Some(inbox) => drop(inbox.send(event)),
            None => {
                let (inbox, events) = mpsc::unbounded_channel();
                let _ = inbox.send(event);
                state.inbox = Some(inbox);
                service.drivers.spawn(drive(service.clone(), self.clone(), events));
            }
        }
        drop(state);
        let waiting = Waiting { service: service.clone(), session: self.clone(), ask };
        Ok(Pending { begun: on_begun, pieces: on_pieces, reply: on_reply, waiting })
    }

    /// Ends the session with a result. Returns where it is described once it has ended.
    pub(crate) fn end(&self, outcome: Outcome) -> std::result::Result<oneshot::Receiver<Value>, Refusal> {
        let conflict =
            |message: String| Err(Refusal::new(StatusCode::CONFLICT, message).code("session_state"));
        let mut state = self.state();
        match &state.phase {
            Phase::Deciding => {
                conflict("a decision of this session is in flight; send the outcome after it".into())
            }
            Phase::Ended(why) => conflict(format!("this session has ended already ({why})")),
            _ if state.inbox.is_none() => conflict("this session has not begun".into()),
            Phase::Failed(_) if !state.last.as_ref().is_some_and(recorded) => {
                conflict("no request of this session was answered, so there is nothing to judge".into())
            }
            Phase::Waiting | Phase::Failed(_) => {
                let (ended, on_ended) = oneshot::channel();
                if let Some(inbox) = &state.inbox {
                    let _ = inbox.send(Event::Outcome(outcome));
                }
                // From now on it takes nothing.
                state.phase = Phase::Ended("outcome");
                state.ended.push(ended);
                Ok(on_ended)
            }
        }
    }

    /// Tells the session that the server stops.
    pub(crate) fn stop(&self) {
        if let Some(inbox) = &self.state().inbox {
            let _ = inbox.send(Event::Stop);
        }
    }

    /// Notes that a request was not answered. It can be sent again.
    fn failed(self: &Arc<Self>, service: &Service, ask: &Arc<Ask>, why: &str) {
        let mark = *ask.marks.last().expect("the empty beginning has one");
        {
            let mut state = self.state();
            state.phase = Phase::Failed(why.into());
            state.last = Some((ask.clone(), None));
            if !state.keys.contains(&mark) {
                state.keys.push(mark);
            }
        }
        service.sessions.note(self, &[], &[mark], &[]);
    }

    /// Gives the answer of a decision, unless that is not possible.
    fn decided(self: &Arc<Self>, service: &Service, decision: &Decision, used: CallCount) {
        let Current::Asked(ask) = self.state().current.clone() else { return };
        if ask.answered() {
            return;
        }
        let (said, used) = {
            let mut work = lock(&ask.work);
            work.used += used;
            (work.said.take(), work.used)
        };
        let calls = match &ask.model.how {
            // Its answers are the client's to judge.
            How::Pass { .. } => Ok(decision.action.calls.clone()),
            How::Plan(_) => decision.action.calls(&ask.turn()),
        };
        let mut calls = match calls {
            Ok(calls) => calls,
            Err(why) => {
                let mut work = lock(&ask.work);
                let before = work.impossible.take().map_or(0, |(_, count)| count);
                work.impossible = Some((why, before + 1));
                return;
            }
        };
        // The client has seen the ids of what was passed on.
        for call in calls.iter_mut().filter(|_| ask.raw.is_none()) {
            call.id = format!("call_{}", &new_id()[..24]);
        }
        let words = if calls.is_empty() { decision.action.text.clone() } else { String::new() };
        let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
        let (words, finish) = said.unwrap_or((words, finish));
        let content = (calls.is_empty() || !words.is_empty()).then_some(words);
        let answer = Answer { content, calls, finish, used };
        self.answered(service, &ask, &answer, decision);
        ask.reply(Ok(answer));
    }

    /// Notes an answer before it is sent, so that the next request finds the session.
    fn answered(self: &Arc<Self>, service: &Service, ask: &Arc<Ask>, answer: &Answer, decision: &Decision) {
        let ids: Vec<String> = answer.calls.iter().map(|call| call.id.clone()).collect();
        let message = Message {
            tool_calls: answer.calls.clone(),
            ..Message::assistant(answer.content.clone().unwrap_or_default())
        };
        let before = *ask.marks.last().expect("the empty beginning has one");
        let said = Said { message, ..Said::default() };
        let mark = history::then(before, &said, |id| ids.iter().any(|given| given == id));
        let old = {
            let mut state = self.state();
            state.seen = (ask.conversation.len() + 1, mark);
            state.phase = Phase::Waiting;
            state.thoughts.insert(mark, decision.thought.clone());
            state.ids.extend(ids.iter().cloned());
            state.last = Some((ask.clone(), Some(decision.action.clone())));
            let line = &mut state.line;
            line.turns += 1;
            line.calls += answer.used.calls;
            line.input_tokens += answer.used.input_tokens;
            line.output_tokens += answer.used.output_tokens;
            line.last_used = clock::seconds();
            std::mem::replace(&mut state.keys, vec![mark])
        };
        service.sessions.note(self, &old, &[mark], &ids);
    }
}

/// Whether messages or an answer say what was done in a turn.
fn recorded((ask, done): &(Arc<Ask>, Option<Action>)) -> bool {
    done.is_some() || ask.conversation.iter().any(|said| said.message.role == Role::Assistant)
}

impl Ask {
    /// The turn that it is.
    fn turn(&self) -> Turn {
        Turn { tools: self.chat.tools.clone(), call_rule: self.chat.rule, ..Turn::default() }
    }
}

/// A request before it has a session.
pub(crate) struct Incoming {
    pub(crate) chat: Chat,
    pub(crate) model: Arc<Model>,
    pub(crate) instructions: String,
    /// The body, where it is passed on as it is.
    pub(crate) raw: Option<String>,
    pub(crate) conversation: Vec<Said>,
    pub(crate) marks: Vec<Mark>,
    /// The mark of the system prompt.
    pub(crate) system: Mark,
    pub(crate) reward: f64,
}

/// Plays a session's episodes, until nothing is left to come.
async fn drive(service: Arc<Service>, session: Arc<Session>, inbox: mpsc::UnboundedReceiver<Event>) {
    let line = Arc::new(AsyncMutex::new(Course {
        inbox,
        script: VecDeque::new(),
        end: None,
        back: None,
        idle: service.idle,
    }));
    loop {
        let mut course = line.lock().await;
        let event = match course.back.take() {
            Some(event) => Some(event),
            None => course.next().await,
        };
        let name = match event {
            Some(Event::Ask(ask)) => {
                let name = ask.model.name.clone();
                course.follow(&session, &ask, 0);
                name
            }
            // No episode waits for its end, or it would have got it: the last one failed.
            event => match session.leftover() {
                Some((ask, done)) => {
                    let name = ask.model.name.clone();
                    course.repeat(&session, &ask, done);
                    course.end = Some(End::of(event));
                    name
                }
                None => match session.close(&mut course.inbox, End::of(event).why()) {
                    Some(event) => {
                        course.back = Some(event);
                        continue;
                    }
                    None => return,
                },
            },
        };
        let last = course.end.is_some();
        drop(course);
        let episode = new_id();
        let played = play(&service, &session, line.clone(), name, episode.clone()).await;
        let mut course = line.lock().await;
        let done = session.played(&service, episode, played);
        if let (true, None) = (done || last, &course.back) {
            let why = course.end.as_ref().filter(|_| done).map_or("failed", End::why);
            match session.close(&mut course.inbox, why) {
                Some(event) => course.back = Some(event),
                None => return,
            }
        }
        (course.end, course.script) = (None, VecDeque::new());
    }
}

/// Plays one episode.
async fn play(
    service: &Arc<Service>,
    session: &Arc<Session>,
    course: Arc<AsyncMutex<Course>>,
    name: String,
    id: String,
) -> Result<forethought_runtime::run::live::LiveEnd> {
    let (relays, llms) = passed::relays(service.run.llms(), service.offered.relayed());
    let seat = Arc::new(InSession { service: service.clone(), session: session.clone(), relays });
    let decided = {
        let (service, session) = (service.clone(), session.clone());
        Arc::new(move |decision: &Decision, used| session.decided(&service, decision, used))
    };
    let instructions = match &session.state().last {
        Some((ask, _)) => ask.instructions.clone(),
        None => String::new(),
    };
    let world = SessionWorld { session: session.clone(), course, episode: id.clone() };
    service
        .run
        .play(LiveEpisode {
            id,
            instructions,
            reset: session.reset,
            seat: Seat { name, planner: seat },
            llms: Some(llms),
            world: Arc::new(world),
            decided: Some(decided),
        })
        .await
}

impl Session {
    /// The turns of a session whose last episode failed, if there are any.
    fn leftover(&self) -> Option<(Arc<Ask>, Option<Action>)> {
        self.state().last.take().filter(recorded)
    }

    /// Notes the end of an episode. Returns whether the episode is done.
    fn played(
        self: &Arc<Self>,
        service: &Service,
        episode: String,
        played: Result<forethought_runtime::run::live::LiveEnd>,
    ) -> bool {
        let (line, error) = match played {
            Ok(end) => {
                let summary = end.summary;
                let line = Played {
                    episode,
                    status: summary.status,
                    steps: summary.steps,
                    score: summary.score,
                    success: summary.success,
                    error: summary.error.clone(),
                };
                let error = end.error.or(summary.error.map(Error::other));
                (Some(line), error)
            }
            Err(error) => (None, Some(error)),
        };
        let done = line.as_ref().is_some_and(|line| line.status == EpisodeStatus::Done);
        service.metrics.episode(done);
        let (current, ended) = {
            let mut state = self.state();
            state.line.episodes.extend(line);
            // An episode that is done has the outcome, if there was one.
            let ended = if done { std::mem::take(&mut state.ended) } else { Vec::new() };
            (std::mem::take(&mut state.current), ended)
        };
        for one in ended {
            let _ = one.send(self.describe());
        }
        let error = error.unwrap_or_else(|| Error::other("the session has ended"));
        match current {
            Current::Asked(ask) if !ask.answered() => self.refuse(service, &ask, &error),
            _ => {
                // A budget may have been reached before the request became a turn.
                let waiting = self.state().last.clone().filter(|(ask, _)| !ask.answered());
                match waiting {
                    Some((ask, _)) if !done => self.refuse(service, &ask, &error),
                    _ if !done => {
                        let mut state = self.state();
                        if state.phase == Phase::Waiting {
                            state.phase = Phase::Failed(error.to_string());
                        }
                    }
                    _ => {}
                }
            }
        }
        done
    }

    /// Tells a client why there is no answer.
    fn refuse(self: &Arc<Self>, service: &Service, ask: &Arc<Ask>, error: &Error) {
        self.failed(service, ask, &error.to_string());
        ask.reply(Err(Refusal::from(error)));
    }

    /// Notes the end, unless something came meanwhile, which is returned.
    fn close(&self, inbox: &mut mpsc::UnboundedReceiver<Event>, why: &'static str) -> Option<Event> {
        let ended = {
            let mut state = self.state();
            if let Ok(event) = inbox.try_recv() {
                return Some(event);
            }
            state.inbox = None;
            state.current = Current::Nothing;
            state.last = None;
            state.phase = Phase::Ended(why);
            std::mem::take(&mut state.ended)
        };
        for one in ended {
            let _ = one.send(self.describe());
        }
        None
    }
}

/// What an episode follows: turns that are known, then what happens.
struct Course {
    inbox: mpsc::UnboundedReceiver<Event>,
    script: VecDeque<Next>,
    /// What comes after the script, if that is known.
    end: Option<End>,
    /// An event that is not of this episode.
    back: Option<Event>,
    idle: Duration,
}

/// A turn that is known.
struct Next {
    turn: Turn,
    current: Current,
    /// The reward of what led to it.
    reward: f64,
}

/// How an episode ends.
enum End {
    Outcome(Outcome),
    /// It is cut off, for this reason.
    Cut(&'static str),
}

impl End {
    fn of(event: Option<Event>) -> Self {
        match event {
            Some(Event::Outcome(outcome)) => Self::Outcome(outcome),
            Some(Event::Stop) => Self::Cut("server stopped"),
            _ => Self::Cut("idle"),
        }
    }
    fn why(&self) -> &'static str {
        match self {
            Self::Outcome(_) => "outcome",
            Self::Cut(why) => why,
        }
    }
    fn transition(&self) -> Transition {
        let turn = |words: &str| Turn { observation: Observation::text(words), ..Turn::default() };
        match self {
            Self::Outcome(outcome) => Transition {
                turn: turn(&outcome.words()),
                rewards: vec![outcome.reward],
                terminated: true,
                success: outcome.success,
                ..Transition::default()
            },
            Self::Cut(_) => Transition {
                turn: turn("The session ended without a result."),
                rewards: vec![0.0],
                truncated: true,
                ..Transition::default()
            },
        }
    }
}

impl Course {
    /// What happens next; `None` if nothing did for too long.
    async fn next(&mut self) -> Option<Event> {
        loop {
            match tokio::time::timeout(self.idle, self.inbox.recv()).await.ok().flatten() {
                // Withdrawn before it was a turn.
                Some(Event::Ask(ask)) if ask.answered() => {}
                event => return event,
            }
        }
    }

    /// Adds the turns of a request from message `from` on: those that are given, and its own.
    fn follow(&mut self, session: &Session, ask: &Arc<Ask>, from: usize) {
        let turns = history::turns(&ask.conversation, from);
        let last = turns.len() - 1;
        for (at, told) in turns.into_iter().enumerate() {
            let reward = if at == last { ask.reward } else { 0.0 };
            let next = match told.done {
                Some(_) => given(session, ask, told),
                None => {
                    let turn = Turn { observation: Observation::text(told.observation), ..ask.turn() };
                    Next { turn, current: Current::Asked(ask.clone()), reward }
                }
            };
            self.script.push_back(next);
        }
        session.state().last = Some((ask.clone(), None));
    }

    /// The turns of a request once more, all of them given, for an episode that is at its end.
    fn repeat(&mut self, session: &Session, ask: &Arc<Ask>, done: Option<Action>) {
        let mut turns = history::turns(&ask.conversation, 0);
        let open = turns.pop().expect("the last turn is open");
        self.script.extend(turns.into_iter().map(|told| given(session, ask, told)));
        if let Some(action) = done {
            let turn = Turn { observation: Observation::text(open.observation), ..ask.turn() };
            let state = session.state();
            let thought = state.thoughts.get(&state.seen.1).cloned().unwrap_or_default();
            drop(state);
            self.script.push_back(Next {
                turn,
                current: Current::Given { action, thought },
                reward: ask.reward,
            });
        }
    }
}

/// A turn in which is done what was done.
fn given(session: &Session, ask: &Ask, told: Told) -> Next {
    let Told { observation, done, said } = told;
    let (action, at) = done.unwrap_or_default();
    let thought = session.state().thoughts.get(&ask.marks[at]).cloned().unwrap_or(said);
    let turn = Turn { observation: Observation::text(observation), ..Turn::default() };
    Next { turn, current: Current::Given { action, thought }, reward: 0.0 }
}

/// The world of an episode.
struct SessionWorld {
    session: Arc<Session>,
    course: Arc<AsyncMutex<Course>>,
    episode: String,
}

/// Decisions that are not possible after which a request fails.
const TRIES: u32 = 3;

impl SessionWorld {
    async fn next(&self) -> Transition {
        let mut course = self.course.lock().await;
        loop {
            if let Some(Next { turn, current, reward }) = course.script.pop_front() {
                if let Current::Asked(ask) = &current
                    && let Some(begun) = lock(&ask.begun).take()
                {
                    let _ = begun.send(self.episode.clone());
                }
                self.session.state().current = current;
                return Transition { turn, rewards: vec![reward], ..Transition::default() };
            }
            if let Some(end) = &course.end {
                return end.transition();
            }
            let end = match course.next().await {
                Some(Event::Ask(ask)) => {
                    let (length, mark) = self.session.state().seen;
                    if ask.marks.get(length) == Some(&mark) {
                        course.follow(&self.session, &ask, length);
                        continue;
                    }
                    // Another history: an episode of its own.
                    course.back = Some(Event::Ask(ask));
                    End::Cut("continued differently")
                }
                event => End::of(event),
            };
            course.end = Some(end);
        }
    }
}

#[async_trait]
impl Environment for SessionWorld {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(world())
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Err(Error::new(Code::Unimplemented, "a session is one client's"))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(self.next().await.turn)
    }
    async fn step(&self, _: Action) -> Result<Transition> {
        let current = self.session.state().current.clone();
        if let Current::Asked(ask) = current
            && let Some((why, count)) = lock(&ask.work).impossible.clone()
            && !ask.answered()
        {
            if count >= TRIES {
                return Err(Error::malformed(format!(
                    "the model `{}` decided {TRIES} times on something that is not possible: {why}",
                    ask.model.name
                )));
            }
            let observation = Observation::text(format!("That is not possible: {why}."));
            let turn = Turn { observation, ..ask.turn() };
            return Ok(Transition { turn, rewards: vec![0.0], illegal: true, ..Transition::default() });
        }
        Ok(self.next().await)
    }
}

/// Who decides in a session: the messages where they say what was done, else the requested model.
struct InSession {
    service: Arc<Service>,
    session: Arc<Session>,
    relays: Relays,
}

#[async_trait]
impl Planner for InSession {
    async fn requires(&self) -> Result<Requirements> {
        self.service.offered.requires().await
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let current = self.session.state().current.clone();
        match current {
            Current::Nothing => Err(Error::other("nothing is to be decided")),
            Current::Given { action, thought } => Ok(Decision { thought, action, ..Decision::default() }),
            Current::Asked(ask) => tokio::select! {
                biased;
                () = ask.gone.cancelled() => {
                    Err(Error::new(Code::Cancelled, "the client closed the connection"))
                }
                () = self.service.stop.cancelled() => Err(Error::new(Code::Cancelled, "the server stops")),
                decision = self.service.offered.decide(&ask, context, models, &self.relays) => decision,
            },
        }
    }
}

/// All sessions, and what they are found by.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    by_id: HashMap<String, Arc<Session>>,
    by_mark: HashMap<Mark, Vec<Weak<Session>>>,
    /// Ids of calls that were given out.
    calls: HashMap<String, Weak<Session>>,
    /// In the order in which they began.
    order: VecDeque<String>,
    /// How many began with each task, where the client did not name them.
    begun: HashMap<u64, u64>,
}

/// Sessions that are remembered, at least while they have not ended.
const REMEMBERED: usize = 10_000;

impl Sessions {
    /// The marks of a conversation.
    pub(crate) fn marks(&self, conversation: &[Said]) -> Vec<Mark> {
        let table = lock(&self.0);
        history::marks(conversation, |id| table.calls.contains_key(id))
    }

    /// The session of this id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.0).by_id.get(id).cloned()
    }

    /// All sessions, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let table = lock(&self.0);
        table.order.iter().rev().filter_map(|id| table.by_id.get(id).cloned()).collect()
    }

    /// The session that this request continues.
    pub(crate) fn find(&self, incoming: &Incoming) -> Option<Arc<Session>> {
        let table = lock(&self.0);
        let Incoming { conversation, marks, .. } = incoming;
        let system = incoming.system;
        let answered =
            (1..conversation.len()).rev().filter(|at| conversation[at - 1].message.role == Role::Assistant);
        for at in std::iter::once(conversation.len()).chain(answered) {
            let found = table.by_mark.get(&marks[at]).into_iter().flatten().filter_map(Weak::upgrade);
            let mine = || {
                let calls = conversation[..at].iter().flat_map(|said| &said.message.tool_calls);
                calls.map(|call: &ToolCall| &call.id).any(|id| table.calls.contains_key(id))
            };
            let mut found = found.filter(|session| session.state().phase != Phase::Deciding);
            // The same words are said in many sessions; ids of calls in one.
            if let Some(session) = found.find(|session| session.system == system || mine()) {
                return Some(session);
            }
        }
        None
    }

    /// Begins a session, of this id if the client has chosen one. Its seed does not depend on chance: the same sessions,
    /// begun in the same order, are decided with the same seeds.
    pub(crate) fn begin(
        &self,
        id: Option<&str>,
        incoming: &Incoming,
        reset: (Option<u64>, Option<u64>),
        base: u64,
    ) -> Arc<Session> {
        let first = incoming.conversation.first().map_or("", |said| said.message.content.as_str());
        // The same task has the same number, also in the next run.
        let mut task = blake3::Hasher::new();
        task.update(&incoming.system).update(first.as_bytes());
        let task = u32::from_le_bytes(task.finalize().as_bytes()[..4].try_into().expect("a hash is longer"));
        let task = reset.0.unwrap_or(task.into());
        let mut table = lock(&self.0);
        // Another request with the same header may have been faster.
        if let Some(found) = id.and_then(|id| table.by_id.get(id)) {
            return found.clone();
        }
        let stream = match id {
            Some(id) => format!("session/{id}"),
            None => {
                let begun = table.begun.entry(task).or_default();
                *begun += 1;
                format!("session/{task}/{begun}")
            }
        };
        let seed = reset.1.unwrap_or_else(|| forethought_api::seed::derive(base, &stream));
        let (id, reset) = (id.map_or_else(new_id, str::to_owned), Reset { task, seed });
        let created = clock::seconds();
        let line = Line { task: reset.task, seed: reset.seed, last_used: created, ..Line::default() };
        let session = Arc::new(Session {
            id: id.clone(),
            created,
            reset,
            system: incoming.system,
            state: Mutex::new(State {
                phase: Phase::Waiting,
                inbox: None,
                current: Current::Nothing,
                seen: (0, Mark::default()),
                keys: Vec::new(),
                thoughts: HashMap::new(),
                ids: Vec::new(),
                last: None,
                ended: Vec::new(),
                line,
            }),
        });
        table.by_id.insert(id.clone(), session.clone());
        table.order.push_back(id);
        table.forget();
        session
    }

    /// Notes what a session is found by.
    fn note(&self, session: &Arc<Session>, old: &[Mark], new: &[Mark], calls: &[String]) {
        let mut table = lock(&self.0);
        table.unmark(session, old);
        for mark in new {
            let found = table.by_mark.entry(*mark).or_default();
            found.retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), &**session));
            found.push(Arc::downgrade(session));
        }
        for id in calls {
            table.calls.insert(id.clone(), Arc::downgrade(session));
        }
    }
}

impl Table {
    fn unmark(&mut self, session: &Session, marks: &[Mark]) {
        for mark in marks {
            if let Some(found) = self.by_mark.get_mut(mark) {
                found.retain(|other| !std::ptr::eq(other.as_ptr(), session));
                if found.is_empty() {
                    self.by_mark.remove(mark);
                }
            }
        }
    }

    /// Forgets the oldest sessions that have ended.
    fn forget(&mut self) {
        let mut kept = VecDeque::new();
        while self.by_id.len() > REMEMBERED {
            let Some(id) = self.order.pop_front() else { break };
            let Some(session) = self.by_id.get(&id).cloned() else { continue };
            if session.live() {
                kept.push_back(id);
                // One in front of it may have been live for days.
                if kept.len() > REMEMBERED / 10 {
                    break;
                }
                continue;
            }
            self.by_id.remove(&id);
            let (keys, ids) = {
                let state = session.state();
                (state.keys.clone(), state.ids.clone())
            };
            self.unmark(&session, &keys);
            ids.iter().for_each(|id| drop(self.calls.remove(id)));
        }
        kept.into_iter().rev().for_each(|id| self.order.push_front(id));
    }
}
