//! What ships with the program, by the cargo feature that links it. A build may leave some of it out.

use forethought_api::{Error, Result, error::Code};

/// A cargo feature, whether this build has it, and the components that it links.
pub type Feature = (&'static str, bool, &'static [&'static str]);

macro_rules! features {
    ($($feature:literal: $components:expr;)*) => {
        /// All features that link components.
        pub const FEATURES: &[Feature] = &[$(($feature, cfg!(feature = $feature), &$components)),*];
    };
}

features! {
    "avalon": [
        "behaviour.avalon", "environment.avalon", "importer.avalon-multi-round", "importer.avalon-nlu",
        "importer.avalon-pro", "planner.avalon-naive", "verifier.avalon",
    ];
    "critic-acts": ["critic.acts", "trainer.acts"];
    "critic-ensemble": ["critic.ensemble"];
    "critic-goal-q": ["critic.goal-q", "trainer.goal-q"];
    "critic-judge": ["critic.constant", "critic.judge", "critic.random", "critic.reader"];
    "critic-retrieval": [
        "critic.regression", "critic.retrieval", "critic.reward-model", "trainer.regression", "trainer.retrieval",
        "trainer.reward-model",
    ];
    "encoder-bert": ["encoder.bert"];
    "encoder-hash": ["encoder.hash"];
    "llm-cassette": ["llm.record", "llm.replay", "llm.script"];
    "llm-fallback": ["llm.fallback"];
    "llm-local": ["llm.local"];
    "llm-remote": ["encoder.remote", "llm.remote"];
    "llm-simulated": ["llm.simulated"];
    "mcp": ["environment.mcp"];
    "pddl": ["behaviour.pddl", "environment.pddl", "llm.pddl-scripted"];
    "persuasion": [
        "behaviour.persuasion", "environment.persuasion", "importer.p4g", "planner.donor-fitted", "planner.haggler",
        "planner.persona",
    ];
    "planners": [
        "planner.act", "planner.agent-q", "planner.best-of-n", "planner.budgeted", "planner.cached",
        "planner.cpl", "planner.dots", "planner.fallback", "planner.gdp-zero", "planner.grounded-decoding",
        "planner.imagine-only", "planner.lats", "planner.octo", "planner.plangen", "planner.pnlc",
        "planner.ppdpp", "planner.q-star", "planner.rafa", "planner.random", "planner.rap", "planner.react",
        "planner.react-vote", "planner.read", "planner.reflexion", "planner.replan", "planner.retry",
        "planner.saycan", "planner.self-consistency", "planner.self-plan", "planner.spine",
        "planner.strategist", "planner.switch", "planner.tree-of-thoughts", "planner.tree-planner",
        "planner.vote", "planner.when2ask", "summariser.llm", "summariser.observation",
    ];
    "python": ["critic.python", "encoder.python", "environment.python", "llm.python", "planner.python"];
    "planners-symbolic": [
        "planner.isr-llm", "planner.llm+p", "planner.llm-heuristic", "planner.pddl-world-model",
    ];
    "recorded": ["environment.recorded", "planner.recorded"];
    "records": [
        "importer.atif", "importer.inspect", "importer.openai-chat", "importer.otel-genai", "importer.verifiers",
    ];
    "webshop": ["behaviour.webshop", "environment.webshop", "importer.react-webshop", "verifier.webshop"];
}

/// Features that this build was made without.
pub(crate) fn left_out() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().filter(|(_, here, _)| !here).map(|(feature, ..)| *feature)
}

/// Refuses a component that ships with the program and that this build was made without.
pub(crate) fn not_left_out(word: &str, kind: &str) -> Result<()> {
    let name = format!("{word}.{kind}");
    match FEATURES.iter().find(|(_, here, components)| !here && components.contains(&name.as_str())) {
        Some((feature, ..)) => Err(built_without(&name, feature)),
        None => Ok(()),
    }
}

/// Something that this build was made without, and the way to have it.
pub(crate) fn built_without(what: &str, feature: &str) -> Error {
    Error::new(
        Code::Config,
        format!(
            "{what} is not part of this build of forethought; build it with `--features {feature}`, as in `cargo \
             install forethought --features {feature}`"
        ),
    )
}
