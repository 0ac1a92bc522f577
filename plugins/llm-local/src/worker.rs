//! The thread that owns the network, and schedules its answers.
//!
//! Requests wait in a queue and are then served concurrently: each turn advances every one of them by one token, or by
//! one chunk of its prompt. An answer that nobody waits for any more is dropped at the next turn. A slow reader delays
//! nobody: answers are bounded by `max_tokens`, and wait for their reader as text.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use forethought_sdk::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    answer::Answer,
    decoder::TOKENS,
    network::{Network, Part, Past},
    prefixes::Prefixes,
};

/// What is reported of a request's answers as they grow.
pub(crate) enum Event {
    /// More text, never empty.
    Piece(String),
    /// An answer is done: which one, and the number of tokens drawn for it.
    Done { sample: usize, choice: Choice, drawn: u64 },
}

/// A request on its way to the network.
pub(crate) struct Job {
    /// At least one token.
    pub(crate) prompt: Vec<u32>,
    pub(crate) answers: VecDeque<(usize, Answer)>,
    pub(crate) events: UnboundedSender<Result<Event>>,
}

/// How much is done at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Requests and answers that are served concurrently.
    pub(crate) parallel: usize,
    /// Answers that the network advances in one pass.
    pub(crate) batch: usize,
    /// Bytes of keys and values that are kept of earlier prompts.
    pub(crate) cache: usize,
}

/// Tokens of a prompt that are read in one turn.
pub(crate) const CHUNK: usize = 256;

/// Starts the thread. It ends when the sender is gone and the last answer is written.
pub(crate) fn start(network: Network, pace: Pace) -> Result<Sender<Job>> {
    let (sender, jobs) = channel();
    let prefixes = Prefixes::new(network.block_bytes().map_or(0, |bytes| pace.cache / bytes));
    let worker =
        Worker { network, pace, prefixes, queue: VecDeque::new(), reading: Vec::new(), writing: Vec::new() };
    std::thread::Builder::new().name("llm-local".into()).spawn(move || worker.run(&jobs))?;
    Ok(sender)
}

struct Worker {
    network: Network,
    pace: Pace,
    prefixes: Prefixes,
    queue: VecDeque<Waiting>,
    reading: Vec<Reading>,
    writing: Vec<Writing>,
}

/// A request in the queue.
struct Waiting {
    job: Job,
    /// The prompt as it was read, if only answers are still waiting.
    read: Option<(Past, Vec<f32>)>,
}

/// A prompt that is being read.
struct Reading {
    job: Job,
    past: Past,
    read: usize,
}

/// An answer that is being written.
struct Writing {
    sample: usize,
    answer: Answer,
    past: Past,
    next: u32,
    events: UnboundedSender<Result<Event>>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let idle = self.queue.is_empty() && self.reading.is_empty() && self.writing.is_empty();
            let job = match idle {
                true => jobs.recv().map_err(|_| TryRecvError::Disconnected),
                false => jobs.try_recv(),
            };
            match job {
                Ok(job) => self.queue.push_back(Waiting { job, read: None }),
                Err(TryRecvError::Disconnected) if idle => return,
                Err(_) => self.turn(),
            }
        }
    }

    fn turn(&mut self) {
        self.queue.retain(|waiting| !waiting.job.events.is_closed());
        self.reading.retain(|reading| !reading.job.events.is_closed());
        self.writing.retain(|writing| !writing.events.is_closed());
        while self.reading.len() + self.writing.len() < self.pace.parallel {
            let Some(waiting) = self.queue.pop_front() else { break };
            self.admit(waiting);
        }
        self.read();
        let mut writing = std::mem::take(&mut self.writing);
        while !writing.is_empty() {
            let rest = writing.split_off(self.pace.batch.min(writing.len()));
            self.write(writing);
            writing = rest;
        }
    }

    fn admit(&mut self, waiting: Waiting) {
        let Waiting { mut job, read } = waiting;
        let Some((past, logits)) = read else {
            let past = self.network.past();
            return self.reading.push(Reading { job, past, read: 0 });
        };
        let Some((sample, answer)) = job.answers.pop_front() else { return };
        let events = job.events.clone();
        if !job.answers.is_empty() {
            match past.fork() {
                Ok(copy) => self.queue.push_front(Waiting { job, read: Some((copy, logits.clone())) }),
                Err(error) => return fail(&job.events, error),
            }
        }
        self.draw(Writing { sample, answer, past, next: 0, events }, &logits);
    }

    /// Reads on in the prompts, the first ones first, so that later ones can begin with what those have in common.
    fn read(&mut self) {
        let mut left = CHUNK;
        let mut readings = std::mem::take(&mut self.reading);
        let mut ends = Vec::new();
        for reading in &mut readings {
            let blocks = self.prefixes.find(&reading.job.prompt);
            if blocks.len() * TOKENS > reading.read {
                reading.read = blocks.len() * TOKENS;
                reading.past = Past::of(blocks);
            }
            let end = reading.job.prompt.len().min(reading.read + left);
            left -= end - reading.read;
            ends.push(end);
        }
        // What is left for the last ones may be nothing.
        let mut later =
            readings.split_off(ends.iter().zip(&readings).take_while(|(end, one)| **end > one.read).count());
        let parts = readings
            .iter_mut()
            .zip(&ends)
            .map(|(one, &end)| Part { past: &mut one.past, tokens: &one.job.prompt[one.read..end] });
        let parts = &mut parts.collect::<Vec<_>>();
        let logits = match parts.is_empty() {
            true => Ok(Vec::new()),
            false => self.network.forward(parts),
        };
        match logits {
            Err(error) => readings.iter().for_each(|one| fail(&one.job.events, error.clone())),
            Ok(logits) => {
                for ((mut reading, end), logits) in readings.into_iter().zip(ends).zip(logits) {
                    self.prefixes.keep(&reading.job.prompt[..end], reading.past.blocks());
                    if end == reading.job.prompt.len() {
                        let read = Some((reading.past, logits));
                        self.queue.push_front(Waiting { job: reading.job, read });
                    } else {
                        reading.read = end;
                        self.reading.push(reading);
                    }
                }
            }
        }
        self.reading.append(&mut later);
    }

    fn write(&mut self, mut batch: Vec<Writing>) {
        let parts =
            batch.iter_mut().map(|one| Part { past: &mut one.past, tokens: std::slice::from_ref(&one.next) });
        match self.network.forward(&mut parts.collect::<Vec<_>>()) {
            Err(error) => {
                batch.iter().for_each(|one| fail(&one.events, error.clone()));
            }
            Ok(logits) => batch.into_iter().zip(logits).for_each(|(one, logits)| self.draw(one, &logits)),
        }
    }

    /// Draws the next token of an answer, and continues with it or ends it.
    fn draw(&mut self, mut writing: Writing, logits: &[f32]) {
        let drawn = match writing.answer.draw(logits) {
            Ok(drawn) => drawn,
            Err(error) => return fail(&writing.events, error),
        };
        // A reader that is gone is noticed at the next turn.
        if !drawn.piece.is_empty() {
            let _ = writing.events.send(Ok(Event::Piece(drawn.piece)));
        }
        match drawn.next {
            Ok(token) => self.writing.push(Writing { next: token, ..writing }),
            Err(finish) => {
                let (choice, drawn) = writing.answer.finish(finish);
                let _ = writing.events.send(Ok(Event::Done { sample: writing.sample, choice, drawn }));
            }
        }
    }
}

fn fail(events: &UnboundedSender<Result<Event>>, error: impl Into<Error>) {
    let _ = events.send(Err(error.into().context("running the model's network")));
}
