//! What solves a problem: the search that is built in, or a program such as Fast Downward.

use std::path::Path;
use std::time::Duration;

use forethought_sdk::{
    child::{LastWords, Program},
    prelude::*,
};
use forethought_strips::{
    Call, Task,
    plan::{read, validate},
    search::{Found, Heuristic, Limits, Order, Unsolved, solve},
};
use tokio::io::AsyncReadExt as _;

/// The most of a program's standard output that is kept for an error, in bytes.
const KEPT: usize = 600;

/// What solves problems: by default the built-in search.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct SolverConfig {
    /// The order of the built-in search: a shortest plan (`astar`) or a plan soon (`greedy`). What `astar` does not
    /// find within `nodes` is searched for greedily, with `ff`.
    pub search: SearchOrder,
    /// What guides it. Plans of `astar` are shortest with `lm_cut`, `max` and `blind`.
    pub heuristic: HeuristicName,
    /// The most states that it looks at.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub nodes: u32,
    /// A program in its place and its arguments, started without a shell. `{domain}`, `{problem}` and `{plan}` in them
    /// are the files that it reads and the one that it writes; `{folder}` is an empty folder for anything else.
    #[serde(skip_serializing_if = "ConfigCommand::is_empty")]
    pub command: ConfigCommand,
    /// Folder in which the program runs; by default that of the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub folder: Option<ConfigPath>,
    /// Names of the environment variables that the program gets, besides PATH, HOME, LANG and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// Seconds that the program may take for a problem.
    #[schemars(range(min = 0.01, max = 86_400.0))]
    pub timeout_s: f64,
}

impl Default for SolverConfig {
    fn default() -> Self {
        Self {
            search: SearchOrder::Astar,
            heuristic: HeuristicName::LmCut,
            nodes: 20_000,
            command: ConfigCommand::default(),
            folder: None,
            variables: Vec::new(),
            timeout_s: 60.0,
        }
    }
}

/// The order of a search.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchOrder {
    /// Steps so far and steps left.
    Astar,
    /// Steps left.
    Greedy,
}

/// What is taken for the number of steps left.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeuristicName {
    /// 0.
    Blind,
    /// The farthest fact without deletions (Bonet and Geffner 2001).
    Max,
    /// The sum over facts without deletions (the same).
    Add,
    /// A plan without deletions (Hoffmann and Nebel 2001).
    Ff,
    /// Cuts (Helmert and Domshlak 2009).
    LmCut,
}

/// A solver, ready.
#[derive(Debug, Clone)]
pub struct Solver(SolverConfig);

impl Solver {
    /// A solver with these settings.
    ///
    /// # Errors
    /// A limit of 0, or a program that is not told where its files are.
    pub fn new(config: SolverConfig) -> Result<Self> {
        if config.nodes == 0 {
            return Err(Error::config("solver.nodes = 0: a search looks at one state at least"));
        }
        if !(config.timeout_s > 0.0 && config.timeout_s <= 86_400.0) {
            return Err(Error::config(format!(
                "solver.timeout_s = {}: more than 0 seconds, at most a day",
                config.timeout_s
            )));
        }
        let words = &config.command.0;
        for name in ["{domain}", "{problem}", "{plan}"] {
            if !words.is_empty() && !words.iter().any(|word| word.contains(name)) {
                return Err(Error::config(format!("solver.command has no {name}, the place of that file")));
            }
        }
        Ok(Self(config))
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits { nodes: self.0.nodes as usize, ..Limits::default() }
    }

    /// A plan for a task, and the number of states looked at, which a program does not say; or why no plan was found.
    ///
    /// # Errors
    /// A program that cannot be started, or writes a plan that is not valid.
    pub async fn solve(&self, task: &Task) -> Result<Result<Found, String>> {
        if !self.0.command.is_empty() {
            return self.run(task).await;
        }
        let order = match self.0.search {
            SearchOrder::Astar => Order::Astar,
            SearchOrder::Greedy => Order::Greedy,
        };
        let heuristic = match self.0.heuristic {
            HeuristicName::Blind => Heuristic::Blind,
            HeuristicName::Max => Heuristic::Max,
            HeuristicName::Add => Heuristic::Add,
            HeuristicName::Ff => Heuristic::Ff,
            HeuristicName::LmCut => Heuristic::LmCut,
        };
        let found = match solve(task, order, heuristic, self.limits()) {
            // A plan is better than none.
            Err(Unsolved::Nodes(_)) if order == Order::Astar => {
                let greedy = solve(task, Order::Greedy, Heuristic::Ff, self.limits());
                greedy.map(|found| Found { expanded: found.expanded + self.limits().nodes, ..found })
            }
            found => found,
        };
        Ok(found.map_err(|why| why.to_string()))
    }

    async fn run(&self, task: &Task) -> Result<Result<Found, String>> {
        let folder = tempfile::tempdir().context("a folder for the solver")?;
        let place = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let write =
            |name: &str, text: String| std::fs::write(place(name), text).context("a file for the solver");
        write("domain.pddl", task.domain.to_string())?;
        write("problem.pddl", task.problem.to_string())?;
        let filled = |word: &String| {
            let word =
                word.replace("{domain}", &place("domain.pddl")).replace("{problem}", &place("problem.pddl"));
            word.replace("{plan}", &place("plan")).replace("{folder}", &folder.path().to_string_lossy())
        };
        let SolverConfig { command, variables, timeout_s, .. } = &self.0;
        let program = Program {
            command: command.0.iter().map(filled).collect(),
            folder: self.0.folder.as_ref().map(|folder| folder.0.clone()),
            variables: variables.clone(),
        };
        let mut child = program.start()?;
        drop(child.child.stdin.take());
        let (stdout, stderr) = (child.child.stdout.take(), child.child.stderr.take());
        let (Some(mut stdout), Some(stderr)) = (stdout, stderr) else { unreachable!("both are piped") };
        let name = program.command[0].clone();
        let words = LastWords::default();
        let listener = tokio::spawn(words.clone().listen(name.clone(), stderr));
        let work = async {
            let (mut said, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(read @ 1..) = stdout.read(&mut piece).await {
                said.extend_from_slice(&piece[..read]);
                let more = said.len().saturating_sub(KEPT);
                said.drain(..more);
            }
            (said, child.child.wait().await)
        };
        let ended = tokio::time::timeout(Duration::from_secs_f64(*timeout_s), work).await;
        child.kill();
        let Ok((said, status)) = ended else {
            return Ok(Err(format!("`{name}` took longer than {timeout_s} s and was killed")));
        };
        let _ = listener.await;
        let Some(text) = newest(folder.path()) else {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            let said = String::from_utf8_lossy(&said);
            let last: Vec<_> = said.lines().rev().take(3).collect();
            let last = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
            return Ok(Err(format!("`{name}` wrote no plan ({status}): {last}")));
        };
        let plan: Vec<Call> = read(task, &text);
        match validate(task, &plan) {
            Ok(_) => Ok(Ok(Found { plan, expanded: 0 })),
            Err(failure) => {
                Err(words.tell(Error::other(format!("`{name}` wrote a plan that is not valid: {failure}"))))
            }
        }
    }
}

/// The plan that was written, or the last of several: those of anytime planners have numbers.
fn newest(folder: &Path) -> Option<String> {
    let number = |name: &str| match name.strip_prefix("plan")? {
        "" => Some(0),
        number => number.strip_prefix('.')?.parse::<u32>().ok(),
    };
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let last =
        files.filter_map(|file| Some((number(&file.file_name().to_string_lossy())?, file.path()))).max()?;
    std::fs::read_to_string(last.1).ok()
}
