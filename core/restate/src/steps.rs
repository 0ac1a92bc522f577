//! An episode as a sequence of equal durable steps.
//!
//! Its effects run at once and end in any order, but an engine that replays compares the order of steps. So there is one
//! kind of step: each waits for the next answer and takes all that have come by then, and the episode uses them when the
//! step is kept. It is the group commit of the journal on one machine.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{Error, Result, error::Context};
use forethought_runtime::budget::Spent;
use forethought_runtime::cancel::Cancel;
use forethought_runtime::host::worker::Ready;
use forethought_runtime::journal::{Journal, JournalEntry};
use forethought_runtime::run::elsewhere::{Assignment, Returned};
use forethought_runtime::run::episode::EpisodeResult;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What a step keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Item {
    /// What is recorded before it is of no use: the world cannot repeat what was done in it.
    Restart,
    Answer(Box<JournalEntry>),
    Charge {
        number: i64,
        role: String,
        most: Spent,
    },
    Settle {
        charge: i64,
        used: Spent,
    },
    End(Box<Returned>),
    /// It could not be played.
    Broken(Error),
}

/// An item on its way, and who waits until it is kept.
type Sent = (Item, Option<oneshot::Sender<()>>);

/// An episode: what its steps have kept, and the episode itself once all recorded steps are read.
pub(crate) struct Steps {
    assignment: Assignment,
    ready: Option<Ready>,
    cancel: Cancel,
    live: Option<Live>,
    entries: Vec<JournalEntry>,
    charges: BTreeMap<i64, (String, Spent)>,
    end: Option<Result<Box<Returned>>>,
}

/// The episode while it is played.
struct Live {
    items: mpsc::UnboundedReceiver<Sent>,
    episode: JoinHandle<Result<(EpisodeResult, bool)>>,
    /// The step that was taken and is not kept yet, and who waits for that.
    taken: Vec<Item>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.episode.abort();
    }
}

impl Steps {
    pub(crate) fn new(assignment: Assignment, ready: Ready) -> Self {
        Self {
            assignment,
            ready: Some(ready),
            cancel: Cancel::new(),
            live: None,
            entries: Vec::new(),
            charges: BTreeMap::new(),
            end: None,
        }
    }

    /// The next step. The first one that is not recorded begins the episode.
    pub(crate) async fn next(&mut self) -> Vec<Item> {
        if let Some(ready) = self.ready.take() {
            self.begin(ready);
        }
        match &mut self.live {
            Some(live) => live.next().await,
            None => vec![Item::Broken(Error::other("the episode was begun twice"))],
        }
    }

    fn begin(&mut self, ready: Ready) {
        let (sender, items) = mpsc::unbounded_channel();
        if ready.restarts && !self.entries.is_empty() {
            self.entries.clear();
            // The receiver is here.
            let _ = sender.send((Item::Restart, None));
        }
        let mut known = HashSet::new();
        self.entries.iter_mut().for_each(|entry| entry.leave_out(&mut known));
        let feed = Feed {
            items: Mutex::new((sender, known)),
            charges: AtomicI64::new(self.charges.keys().next_back().map_or(0, |last| last + 1)),
        };
        let mut answers = if ready.restarts { Vec::new() } else { self.assignment.answers.clone() };
        answers.extend(self.entries.iter().map(Into::into));
        let spent: u64 = self.charges.values().map(|(_, used)| used.nano_usd).sum();
        let money = self.assignment.nano_usd.saturating_add(spent);
        let episode = tokio::spawn(ready.play(Arc::new(feed), answers, money, self.cancel.clone()));
        self.live = Some(Live { items, episode, taken: Vec::new(), waiting: Vec::new() });
    }

    /// A step is kept: the episode may use it. It may be of an earlier worker.
    pub(crate) fn kept(&mut self, step: Vec<Item>) {
        for item in step {
            match item {
                Item::Restart => self.entries.clear(),
                Item::Answer(entry) => self.entries.push(*entry),
                Item::Charge { number, role, most } => drop(self.charges.insert(number, (role, most))),
                Item::Settle { charge, used } => {
                    if let Some((_, most)) = self.charges.get_mut(&charge) {
                        *most = used;
                    }
                }
                Item::End(end) => self.end = Some(Ok(end)),
                Item::Broken(error) => self.end = Some(Err(error)),
            }
        }
        if let Some(live) = &mut self.live {
            live.taken.clear();
            // A caller that no longer waits was cancelled.
            live.waiting.drain(..).for_each(|waiting| {
                let _ = waiting.send(());
            });
        }
    }

    /// The end of the episode with all that was recorded, once it has ended.
    pub(crate) fn end(&mut self) -> Option<Result<Box<Returned>>> {
        let mut end = self.end.take()?;
        if let Ok(end) = &mut end {
            end.entries = std::mem::take(&mut self.entries);
            end.charges = std::mem::take(&mut self.charges).into_values().collect();
        }
        Some(end)
    }

    /// Ends the episode where it is. Its last answers need no step of their own: they are part of what is returned.
    pub(crate) async fn interrupt(&mut self) -> Result<Box<Returned>> {
        self.cancel.cancel();
        let mut step = self.live.as_mut().map(|live| std::mem::take(&mut live.taken)).unwrap_or_default();
        loop {
            self.kept(step);
            if let Some(end) = self.end() {
                return end;
            }
            step = self.next().await;
        }
    }
}

impl Live {
    async fn next(&mut self) -> Vec<Item> {
        let mut wanted = false;
        while !wanted {
            let (item, waiting) = tokio::select! {
                biased;
                Some(sent) = self.items.recv() => sent,
                played = &mut self.episode => {
                    (ended(played.context("the episode's task was lost").flatten()), None)
                }
            };
            wanted = waiting.is_some() || matches!(item, Item::End(_) | Item::Broken(_));
            self.taken.push(item);
            self.waiting.extend(waiting);
        }
        while let Ok((item, waiting)) = self.items.try_recv() {
            self.taken.push(item);
            self.waiting.extend(waiting);
        }
        self.taken.clone()
    }
}

fn ended(played: Result<(EpisodeResult, bool)>) -> Item {
    let end = played.and_then(|(result, reached)| {
        let EpisodeResult { summary, trajectories, events, error } = result;
        let events = String::from_utf8(events).context("the event log is not text")?;
        let (entries, charges) = Default::default();
        Ok(Returned { summary, trajectories, events, error, reached, entries, charges })
    });
    end.map_or_else(Item::Broken, |end| Item::End(Box::new(end)))
}

/// The journal of an episode in steps.
struct Feed {
    /// Where items go, and the recurring parts of requests that were sent.
    items: Mutex<(mpsc::UnboundedSender<Sent>, HashSet<[u8; 32]>)>,
    charges: AtomicI64,
}

impl Feed {
    fn send(
        &self,
        waiting: Option<oneshot::Sender<()>>,
        item: impl FnOnce(&mut HashSet<[u8; 32]>) -> Item,
    ) -> Result<()> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let item = item(&mut items.1);
        items.0.send((item, waiting)).map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::other("the episode went on at another worker")
}

#[async_trait]
impl Journal for Feed {
    async fn append(&self, mut entry: JournalEntry) -> Result<()> {
        let (waiting, kept) = oneshot::channel();
        self.send(Some(waiting), |known| {
            entry.leave_out(known);
            Item::Answer(Box::new(entry))
        })?;
        kept.await.map_err(|_| gone())
    }
    async fn charge(&self, role: String, most: Spent) -> Result<i64> {
        let (waiting, kept) = oneshot::channel();
        let number = self.charges.fetch_add(1, Ordering::Relaxed);
        self.send(Some(waiting), |_| Item::Charge { number, role, most })?;
        kept.await.map_err(|_| gone())?;
        Ok(number)
    }
    fn settle(&self, charge: i64, used: Spent) {
        if let Err(error) = self.send(None, |_| Item::Settle { charge, used }) {
            tracing::debug!("the cost of an attempt counts in full: {error}");
        }
    }
}
