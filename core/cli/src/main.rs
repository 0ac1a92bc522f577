//! The program `forethought` with all that ships with it. May depend on every plugin and environment.

// Each registers its components when it is linked, and is linked only if it is named.
#[cfg(feature = "builtin")]
use {
    forethought_avalon as _, forethought_critic_acts as _, forethought_critic_goal_q as _,
    forethought_critic_judge as _, forethought_encoder_bert as _, forethought_encoder_hash as _,
    forethought_llm_cassette as _, forethought_llm_local as _, forethought_llm_remote as _,
    forethought_llm_simulated as _, forethought_persuasion as _, forethought_planners as _,
    forethought_webshop as _,
};

fn main() -> std::process::ExitCode {
    forethought::main()
}
