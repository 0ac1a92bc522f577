//! `forethought serve`.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::ConfigArguments;

/// Offer planners as models behind OpenAI's chat interface, and record the agents that use them.
///
/// An agent needs another base URL and another model's name, and nothing else. The model `record` passes each request on
/// to the configured language model; every planner of the configuration is a model, too: it decides which call of the
/// agent's tools comes next. Each session is kept as an episode in a run's folder, and as a trajectory to train on.
/// Ctrl-C ends it and keeps everything.
///
/// With --mcp it is a server of the Model Context Protocol on its standard input and output instead, for agents that
/// cannot change their model: `evaluate_thought` asks a critic, `plan` a planner.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought serve my.toml
  OPENAI_BASE_URL=http://127.0.0.1:4114/v1 OPENAI_API_KEY=none python my_agent.py
  curl -X POST http://127.0.0.1:4114/v1/sessions/SESSION/outcome -d '{\"reward\": 1.0, \"success\": true}'
  forethought train my.toml --data recorded --out critic
  forethought serve my.toml --mcp")]
#[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "the command is known, but cannot be executed"))]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigArguments,
    /// Speak the Model Context Protocol on standard input and output, and nothing else.
    #[arg(long, conflicts_with_all = ["address", "out", "replace"])]
    mcp: bool,
    /// The address and port to listen on; 127.0.0.1:4114 by default.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Folder for the trajectories when the server ends; the run's folder by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long, requires = "out")]
    replace: bool,
}

#[cfg(not(feature = "serve"))]
impl Serve {
    pub(crate) async fn execute(
        self,
        _: &crate::session::Session,
    ) -> forethought_api::Result<crate::exit::Exit> {
        Err(crate::builtin::built_without("`forethought serve`", "serve"))
    }
}

#[cfg(feature = "serve")]
mod execute {
    use std::collections::{BTreeMap, HashSet};
    use std::path::{Path, PathBuf};

    use forethought_api::{Result, error::Context};
    use forethought_runtime::{
        cancel::Cancel,
        config::ConfigOrigin,
        host::RuntimeHost,
        run::{self, folder::RunStatus},
    };
    use forethought_serve::{Advisor, Options, Server};
    use serde::Serialize;

    use super::Serve;
    use crate::{
        arguments::{Values, set},
        exit::Exit,
        session::Session,
        streams::{json_line, print},
        written::{Written, prepare, replaceable, write},
    };

    /// What `--json` prints first.
    #[derive(Serialize)]
    struct Listening<'a> {
        url: String,
        models: Vec<String>,
        /// What is configured and cannot be offered, and why.
        missing: &'a BTreeMap<String, String>,
        run: &'a Path,
    }

    /// What `--json` prints at the end.
    #[derive(Serialize)]
    struct Document {
        run: PathBuf,
        status: RunStatus,
        episodes: u64,
        usd: Option<f64>,
        #[serde(flatten)]
        written: Written,
    }

    impl Serve {
        pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
            let base = session.host(&self.config, Values::new()).await?;
            if self.mcp {
                return advise(session, &base).await;
            }
            let host = session.host(&self.config, self.values(&base)).await?;
            if let Some(out) = &self.out {
                prepare(out, 0)?;
                if !self.replace {
                    replaceable(out, &HashSet::new())?;
                }
            }
            let options = Options::of(&host.config().serve)?;
            let server = session.or_interrupted(forethought_serve::start(&host, options)).await?;
            let listening = Listening {
                url: server.url(),
                models: server.models(),
                missing: server.missing(),
                run: server.folder(),
            };
            show(session, &listening, || words(&server))?;
            session.cancel.cancelled().await;
            let outcome = server.stop().await?;
            let trajectories = run::trajectories(&outcome.folder).await?;
            let folder = self.out.as_deref().unwrap_or(&outcome.folder);
            let written = write(folder, &trajectories)
                .context(format!("the trajectories are still in {}", outcome.folder.display()))?;
            let document = Document {
                run: outcome.folder,
                status: outcome.status,
                episodes: outcome.episodes,
                usd: outcome.usd,
                written,
            };
            show(session, &document, || {
                format!("{} episodes\n{}{}\n", document.episodes, document.written, document.run.display())
            })?;
            Ok(document.status.into())
        }

        fn values(&self, base: &RuntimeHost) -> Values {
            let mut values = Values::new();
            values.extend(self.address.as_deref().map(|address| set(["serve", "address"], address)));
            // A model that summarises is asked after every turn, so only one that the user named is.
            if !summarises(base) {
                values.push(set(["summariser", "kind"], "observation"));
            }
            values
        }
    }

    /// Answers a client's questions until it closes its side.
    async fn advise(session: &Session, host: &RuntimeHost) -> Result<Exit> {
        // The run itself is not interrupted: what was asked is answered or withdrawn, and kept.
        let advisor = session.or_interrupted(Advisor::open(host, Cancel::new())).await?;
        // Standard output is the client's.
        session.reporter.say(format!("asked over MCP: {}", advisor.offered().join(", ")));
        for (name, why) in advisor.missing() {
            session.reporter.say(format!("not offered: {name}: {why}"));
        }
        let spoken = advisor.speak(tokio::io::stdin(), tokio::io::stdout(), &session.cancel).await;
        let outcome = advisor.close().await?;
        session.reporter.say(format!("{} questions in {}", outcome.episodes, outcome.folder.display()));
        spoken?;
        Ok(outcome.status.into())
    }

    /// Prints data, as JSON on one line: a program reads the first document while the server runs.
    fn show(session: &Session, data: &impl Serialize, words: impl FnOnce() -> String) -> Result<()> {
        if session.json { print(&json_line(data)?) } else { print(&words()) }
    }

    /// Whether the configuration itself says who summarises.
    fn summarises(host: &RuntimeHost) -> bool {
        let document = host.config().document();
        let keys = document.values().get("summariser").and_then(|summariser| summariser.as_object());
        let named = |key: &String| {
            !matches!(document.origin(&["summariser".into(), key.clone()]), ConfigOrigin::Default)
        };
        host.config().roles.contains_key("summariser") || keys.is_some_and(|keys| keys.keys().any(named))
    }

    fn words(server: &Server) -> String {
        let mut words = format!("listening on {}\nmodels: {}\n", server.url(), server.models().join(", "));
        for (name, why) in server.missing() {
            words += &format!("not offered: {name}: {why}\n");
        }
        words += &format!(
            "use it: OPENAI_BASE_URL={} OPENAI_API_KEY={} your agent\nrecording in {}; Ctrl-C ends and keeps everything\n",
            server.url(),
            if server.needs_token() { "the token" } else { "none" },
            server.folder().display()
        );
        words
    }
}
