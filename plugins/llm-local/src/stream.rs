//! Answers as their readers get them: whole, or piece by piece.

use std::collections::VecDeque;

use forethought_sdk::prelude::*;
use tokio::sync::{Mutex, mpsc::UnboundedReceiver};

use crate::{template::ToolForm, tools, worker::Event};

/// The answers to a request, as they come from the worker.
pub(crate) struct Answers {
    pub(crate) events: UnboundedReceiver<Result<Event>>,
    pub(crate) input_tokens: u64,
    pub(crate) samples: usize,
    /// How to read tool calls, if tools were offered.
    pub(crate) tools: Option<ToolForm>,
}

impl Answers {
    async fn next(&mut self) -> Result<Event> {
        let gone = || Error::new(Code::Panic, "the model's thread has died; its panic is in the log");
        self.events.recv().await.unwrap_or_else(|| Err(gone()))
    }

    fn read_tools(&self, choice: &mut Choice) {
        let Some(form) = self.tools else { return };
        let (text, calls) = tools::split(&choice.text, form);
        if !calls.is_empty() {
            (choice.text, choice.tool_calls, choice.finish) = (text, calls, FinishReason::ToolCalls);
        }
    }

    pub(crate) async fn complete(mut self) -> Result<Completion> {
        let mut choices = vec![None; self.samples];
        let mut usage = Usage { input_tokens: self.input_tokens, output_tokens: 0 };
        let mut left = self.samples;
        while left > 0 {
            if let Event::Done { sample, mut choice, drawn } = self.next().await? {
                self.read_tools(&mut choice);
                left -= 1;
                usage.output_tokens += drawn;
                choices[sample] = Some(choice);
            }
        }
        Ok(Completion { choices: choices.into_iter().flatten().collect(), usage, ..Completion::default() })
    }
}

/// One answer, piece by piece. If tools were offered it comes in one piece, because calls must be read out of it.
pub(crate) struct Stream(Mutex<State>);

struct State {
    answers: Answers,
    pieces: VecDeque<String>,
    end: Option<Result<Completion>>,
}

impl Stream {
    pub(crate) fn new(answers: Answers) -> Self {
        Self(Mutex::new(State { answers, pieces: VecDeque::new(), end: None }))
    }
}

impl State {
    /// Handles the worker's next event.
    async fn advance(&mut self) {
        match self.answers.next().await {
            Ok(event) => self.take(event),
            Err(error) => self.end = Some(Err(error)),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Piece(_) if self.answers.tools.is_some() => {}
            Event::Piece(piece) => self.pieces.push_back(piece),
            Event::Done { mut choice, drawn, .. } => {
                self.answers.read_tools(&mut choice);
                if self.answers.tools.is_some() && !choice.text.is_empty() {
                    self.pieces.push_back(choice.text.clone());
                }
                let usage = Usage { input_tokens: self.answers.input_tokens, output_tokens: drawn };
                self.end = Some(Ok(Completion { choices: vec![choice], usage, ..Completion::default() }));
            }
        }
    }
}

#[async_trait]
impl TokenStream for Stream {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let mut state = self.0.lock().await;
        while state.pieces.is_empty() {
            match &state.end {
                Some(Ok(_)) => return Ok(Vec::new()),
                Some(Err(error)) => return Err(error.clone()),
                None => state.advance().await,
            }
        }
        // Along with everything else that is already there.
        while state.end.is_none() && state.pieces.len() < max as usize {
            match state.answers.events.try_recv() {
                Ok(Ok(event)) => state.take(event),
                Ok(Err(error)) => state.end = Some(Err(error)),
                Err(_) => break,
            }
        }
        let count = state.pieces.len().min(max.max(1) as usize);
        Ok(state.pieces.drain(..count).collect())
    }

    async fn finish(&self) -> Result<Completion> {
        let mut state = self.0.lock().await;
        loop {
            match &state.end {
                Some(end) => return end.clone(),
                None => state.advance().await,
            }
        }
    }
}
