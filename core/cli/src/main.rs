//! The program `forethought` with all that ships with it. May depend on every plugin and environment.

// Each registers its components when it is linked, and is linked only if it is named.
#[cfg(feature = "avalon")]
use forethought_avalon as _;
#[cfg(feature = "critic-acts")]
use forethought_critic_acts as _;
#[cfg(feature = "critic-ensemble")]
use forethought_critic_ensemble as _;
#[cfg(feature = "critic-goal-q")]
use forethought_critic_goal_q as _;
#[cfg(feature = "critic-judge")]
use forethought_critic_judge as _;
#[cfg(feature = "critic-retrieval")]
use forethought_critic_retrieval as _;
#[cfg(feature = "encoder-bert")]
use forethought_encoder_bert as _;
#[cfg(feature = "encoder-hash")]
use forethought_encoder_hash as _;
#[cfg(feature = "llm-cassette")]
use forethought_llm_cassette as _;
#[cfg(feature = "llm-fallback")]
use forethought_llm_fallback as _;
#[cfg(feature = "llm-local")]
use forethought_llm_local as _;
#[cfg(feature = "llm-remote")]
use forethought_llm_remote as _;
#[cfg(feature = "llm-simulated")]
use forethought_llm_simulated as _;
#[cfg(feature = "mcp")]
use forethought_mcp as _;
#[cfg(feature = "pddl")]
use forethought_pddl as _;
#[cfg(feature = "persuasion")]
use forethought_persuasion as _;
#[cfg(feature = "planners")]
use forethought_planners as _;
#[cfg(feature = "planners-symbolic")]
use forethought_planners_symbolic as _;
#[cfg(feature = "python")]
use forethought_python as _;
#[cfg(feature = "recorded")]
use forethought_recorded as _;
#[cfg(feature = "records")]
use forethought_records as _;
#[cfg(feature = "webshop")]
use forethought_webshop as _;

fn main() -> std::process::ExitCode {
    forethought::main()
}
