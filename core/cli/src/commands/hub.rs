//! `forethought hub`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use forethought_api::{
    Error, Result,
    checkpoint::{CARD, CONFIG, WEIGHTS},
    error::Context as _,
    host::ModelFiles,
};
use forethought_hub::{Content, Publication};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{exit::Exit, session::Session, written::writable};

/// Publish critics on the Hugging Face Hub, and get them from there.
///
/// HF_ENDPOINT, HF_TOKEN, HF_HOME and the other variables mean the same as for the hub's own tools; see docs/hub.md.
#[derive(Debug, Args)]
pub(crate) struct Hub {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish a checkpoint: its weights, its configuration and its model card, as one commit.
    ///
    /// A repository that does not exist is created. Files that the hub has already are not sent again, so an
    /// interrupted push is repeated by the same command. A token with write access is read from HF_TOKEN, else from the
    /// file `token` in HF_HOME.
    #[command(after_help = "Examples:
  forethought hub push critic me/webshop-critic --license mit --dry-run
  forethought hub push critic me/webshop-critic --license mit --private")]
    Push(Push),
    /// Get a checkpoint from the hub into a folder. Configurations do without: `model = \"hf:owner/name@revision\"`.
    #[command(after_help = "Examples:
  forethought hub pull me/webshop-critic --out critic
  forethought hub pull me/webshop-critic@v1 --out critic")]
    Pull(Pull),
    /// Print the model card with which a checkpoint would be published.
    #[command(after_help = "Examples:
  forethought hub card critic
  forethought hub card critic --license mit --dataset me/episodes")]
    Card(Card),
}

/// What a card says that a checkpoint does not know.
#[derive(Debug, Args)]
struct Said {
    /// The license's identifier, such as mit or apache-2.0.
    #[arg(long, value_name = "ID")]
    license: Option<String>,
    /// A dataset on the hub that it was trained on. May be repeated.
    #[arg(long, value_name = "OWNER/NAME")]
    dataset: Vec<String>,
    /// The encoder on the hub whose vectors it reads.
    #[arg(long, value_name = "OWNER/NAME")]
    encoder: Option<String>,
}

#[derive(Debug, Args)]
struct Push {
    /// The checkpoint's folder.
    model: PathBuf,
    /// OWNER/NAME on the hub.
    name: String,
    #[command(flatten)]
    said: Said,
    /// The branch.
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    revision: String,
    /// Create the repository as a private one, if it does not exist.
    #[arg(long)]
    private: bool,
    /// The commit's message.
    #[arg(long, value_name = "TEXT", default_value = "Critic of Forethought")]
    message: String,
    /// Show what would be published, without asking the hub anything.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Pull {
    /// OWNER/NAME on the hub, perhaps with @REVISION.
    name: String,
    /// The folder for the checkpoint.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Card {
    /// The checkpoint's folder.
    model: PathBuf,
    #[command(flatten)]
    said: Said,
}

impl Hub {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        match self.command {
            Command::Push(push) => push.execute(session).await,
            Command::Pull(pull) => pull.execute(session).await,
            Command::Card(card) => {
                let text = card.said.card(&card.model, None)?;
                session.show(&json!({ "card": text }), || text.clone())?;
                Ok(Exit::Done)
            }
        }
    }
}

/// What `push --json` prints.
#[derive(Serialize)]
struct Pushed {
    address: String,
    /// Missing in a dry run.
    commit: Option<String>,
    files: Vec<FileOf>,
}

#[derive(Serialize)]
struct FileOf {
    name: String,
    bytes: u64,
    /// Whether it was sent; false if the hub had it, or in a dry run.
    sent: bool,
}

impl Push {
    async fn execute(self, session: &Session) -> Result<Exit> {
        let card = self.said.card(&self.model, Some(&self.name))?;
        let mut files = forethought_hub::contents(&self.model, &[CONFIG, WEIGHTS])?;
        files.insert(CARD.into(), Content::Bytes(card.into_bytes()));
        let sizes = files.iter().map(|(name, content)| Ok((name.clone(), content.size()?)));
        let sizes = sizes.collect::<Result<Vec<_>>>()?;
        let list = |sent: &[String]| -> Vec<FileOf> {
            let of = |(name, bytes): &(String, u64)| FileOf {
                name: name.clone(),
                bytes: *bytes,
                sent: sent.contains(name),
            };
            sizes.iter().map(of).collect()
        };
        if self.dry_run {
            let pushed = Pushed { address: self.name.clone(), commit: None, files: list(&[]) };
            session.show(&pushed, || {
                let files = pushed.files.iter().map(|file| format!("{:>12}  {}\n", file.bytes, file.name));
                format!("would publish as {} on {}:\n{}", self.name, self.revision, files.collect::<String>())
            })?;
            return Ok(Exit::Done);
        }
        session.reporter.say(format!("publishing {} as {}", self.model.display(), self.name));
        let publication = Publication {
            name: self.name,
            revision: self.revision,
            private: self.private,
            message: self.message,
            files,
        };
        let published = session.or_interrupted(blocking(move || forethought_hub::push(&publication))).await?;
        let files = list(&published.sent);
        let pushed = Pushed { address: published.address, commit: Some(published.commit.clone()), files };
        session.show(&pushed, || {
            let what = match published.sent.is_empty() {
                true => "the hub has all of it already".to_owned(),
                false => format!("sent {}", published.sent.join(", ")),
            };
            format!("{}\ncommit {}: {what}\n", pushed.address, published.commit)
        })?;
        Ok(Exit::Done)
    }
}

impl Pull {
    async fn execute(self, session: &Session) -> Result<Exit> {
        let out = self.out;
        if out.exists() && std::fs::read_dir(&out).map_or(true, |mut entries| entries.next().is_some()) {
            return Err(Error::input(format!(
                "--out {}: it exists and is not an empty folder",
                out.display()
            )));
        }
        writable("--out", &out)?;
        let name = self.name.strip_prefix("hf:").unwrap_or(&self.name).to_owned();
        let request = ModelFiles {
            source: format!("hf:{name}"),
            required: vec![CONFIG.into(), WEIGHTS.into()],
            optional: vec![CARD.into()],
            ..Default::default()
        };
        let folder = session.or_interrupted(blocking(move || forethought_hub::fetch(&request))).await?;
        let _ = std::fs::remove_file(&out);
        std::fs::create_dir_all(&out).context(format!("making {}", out.display()))?;
        let mut files = Vec::new();
        for file in [CONFIG, WEIGHTS, CARD] {
            let from = folder.join(file);
            if from.is_file() {
                std::fs::copy(&from, out.join(file))
                    .context(format!("writing {}", out.join(file).display()))?;
                files.push(out.join(file));
            }
        }
        session.show(&files, || files.iter().map(|file| format!("{}\n", file.display())).collect())?;
        Ok(Exit::Done)
    }
}

/// Work that blocks, next to the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::other(error.to_string()))?
}

impl Said {
    /// The card of the checkpoint at `model`, with what the hub shows: license, data, encoder and measures.
    fn card(&self, model: &Path, name: Option<&str>) -> Result<String> {
        let path = model.join(CONFIG);
        let text = std::fs::read_to_string(&path).context(format!("reading {}", path.display()))?;
        let config: Value = serde_json::from_str(&text)
            .map_err(|error| Error::input(format!("{} is not a checkpoint's: {error}", path.display())))?;
        let Some(format) = config["format"].as_str() else {
            return Err(Error::input(format!(
                "{} is not a checkpoint's: it has no key `format`",
                path.display()
            )));
        };
        let card = match std::fs::read_to_string(model.join(CARD)) {
            Ok(card) => card,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context(format!("reading {}", model.join(CARD).display())),
        };
        let (front, body) = match card.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")) {
            Some((front, body)) => (front, body.trim_start()),
            None => ("library_name: forethought", card.as_str()),
        };
        // A card that came from the hub has what is written here already.
        let body = body.split_once(USE).map_or(body, |(before, _)| before);
        let given = [
            ("license", self.license.is_some()),
            ("datasets", !self.dataset.is_empty()),
            ("base_model", self.encoder.is_some()),
            ("model-index", true),
        ];
        let mut front = without(front, &given.map(|(key, given)| if given { key } else { "" }));
        if let Some(license) = &self.license {
            front += &format!("license: {}\n", quoted(license));
        }
        if !self.dataset.is_empty() {
            let names = self.dataset.iter().map(|name| format!("- {}\n", quoted(name)));
            front += &format!("datasets:\n{}", names.collect::<String>());
        }
        if let Some(encoder) = &self.encoder {
            front += &format!("base_model: {}\n", quoted(encoder));
        }
        let title = name.and_then(|name| name.rsplit('/').next()).unwrap_or("critic");
        front += &model_index(title, &config);
        Ok(format!("---\n{front}---\n\n{body}{}", usage(name, format, &config)))
    }
}

/// The heading of what is written below a checkpoint's own card.
const USE: &str = "\n## Use\n";

/// Front matter without these keys: YAML allows each once.
fn without(front: &str, keys: &[&str]) -> String {
    let (mut text, mut kept) = (String::new(), true);
    for line in front.lines() {
        if !line.starts_with([' ', '-', '#'])
            && let Some((key, _)) = line.split_once(':')
        {
            kept = !keys.contains(&key);
        }
        if kept {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// As YAML reads it whatever is in it: a JSON string is one of YAML, too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The measures, as the hub shows them.
fn model_index(title: &str, config: &Value) -> String {
    let shown = [("auc", "AUC"), ("brier", "Brier score"), ("ece", "Calibration error")];
    let metrics: Vec<String> = shown
        .iter()
        .filter_map(|(key, name)| {
            let value = config["metrics"][key].as_f64()?;
            Some(format!("    - type: {key}\n      name: {name}\n      value: {value:.4}\n"))
        })
        .collect();
    if metrics.is_empty() {
        return String::new();
    }
    let worlds = config["training"]["environments"].as_object();
    let worlds: Vec<&str> = worlds.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let worlds = if worlds.is_empty() { "recorded episodes".to_owned() } else { worlds.join(", ") };
    format!(
        "model-index:\n- name: {}\n  results:\n  - task:\n      type: reinforcement-learning\n      name: Outcomes of thoughts\n    \
         dataset:\n      type: forethought-trajectories\n      name: {}\n      split: held-out\n    metrics:\n{}",
        quoted(title),
        quoted(&worlds),
        metrics.concat()
    )
}

/// How it is used, and what it can be asked.
fn usage(name: Option<&str>, format: &str, config: &Value) -> String {
    let kind = format.strip_prefix("forethought-").and_then(|rest| rest.split('/').next()).unwrap_or(format);
    let source = name.map_or_else(|| "PATH".to_owned(), |name| format!("hf:{name}"));
    let encoder = config["encoder"]["id"].as_str().unwrap_or_default();
    let encoder_kind = encoder.split('/').next().unwrap_or_default();
    let mut text = format!(
        "{USE}\n```toml\n[encoder.main]\nkind = \"{encoder_kind}\"  # must be `{encoder}`\n\n[critic.main]\nkind = \"{kind}\"\nmodel = \
         \"{source}\"\nencoder = \"main\"\n```\n"
    );
    let states: Vec<&str> = config["style"]["states"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(3)
        .collect();
    let thoughts: Vec<&str> = config["style"]["thoughts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(3)
        .collect();
    for (what, examples) in [("States", states), ("Thoughts", thoughts)] {
        if !examples.is_empty() {
            let lines = examples.iter().map(|one| format!("- {}\n", one.replace('\n', " ")));
            text += &format!("\n{what} are phrased like these:\n\n{}", lines.collect::<String>());
        }
    }
    if let Some(hash) = config["trained_on"]["configuration"].as_str() {
        text += &format!("\nTrained on episodes of the configuration `{hash}`.\n");
    }
    text
}
