//! `forethought label`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use forethought_api::{
    Result,
    critic::{LabelRequest, Meaning, Vocabulary},
};
use serde_json::json;

use crate::{commands::train::Recorded, exit::Exit, session::Session};

/// Group recorded outcomes, thoughts and sentences of states by what they mean.
///
/// A model never says a thing twice in the same words, so a critic that takes each sentence as an outcome of its own
/// learns that none ever comes true. Here the model that the trainer names (label.llm) says which sentences mean the
/// same. Sentences of states count if they recur in five episodes. FILE is JSON that people can read and edit; name it
/// as the trainer's `vocabulary`. It is saved after each answer, and the same command continues it and asks only about
/// sentences that it does not hold.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought label my.toml --data data --set trainer.critic.label.llm=actor --out vocabulary.json
  forethought train my.toml --data data --set trainer.critic.vocabulary=vocabulary.json --out critic")]
pub(crate) struct Label {
    #[command(flatten)]
    recorded: Recorded,
    /// The vocabulary: written, or continued if it is there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Label {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let (host, trainer) = self.recorded.trainer(session).await?;
        let trainer = host.trainer(&trainer).await?;
        let spec = host.environment().await?.spec().await?;
        let seat = spec.seats.get(self.recorded.seat.unwrap_or_default());
        let about = [Some(&spec.instructions), seat.map(|seat| &seat.instructions)];
        let request = LabelRequest {
            trajectories: self.recorded.trajectories()?,
            about: about.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n"),
            out: self.out.clone(),
        };
        let work = trainer.label(request, Arc::new(session.reporter.clone()));
        let vocabulary = session.or_interrupted(work).await?;
        let sentences = |meanings: &[Meaning]| meanings.iter().map(|one| one.sentences.len()).sum::<usize>();
        let Vocabulary { outcomes, thoughts, states } = &vocabulary;
        let counts = [("outcomes", outcomes), ("thoughts", thoughts), ("states", states)];
        let mut data = json!({ "out": self.out });
        for (name, meanings) in counts {
            data[name] = json!({ "meanings": meanings.len(), "sentences": sentences(meanings) });
        }
        session.show(&data, || {
            let line = |(name, meanings): &(&str, &Vec<Meaning>)| {
                format!("{name}: {} sentences, {} meanings\n", sentences(meanings), meanings.len())
            };
            format!("{}{}\n", counts.iter().map(line).collect::<String>(), self.out.display())
        })?;
        Ok(Exit::Done)
    }
}
