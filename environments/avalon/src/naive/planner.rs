//! The bots at a table of text: a planner that reads an observation's data and nothing else.

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, stream};
use forethought_sdk::serde_json::{self, json};

use crate::grammar::Move;
use crate::knowledge::Knowledge;
use crate::naive::mind::Mind;
use crate::naive::speech;
use crate::naive::witness::Witness;
use crate::role::{Role, Roles};
use crate::rules::{FifthRejection, QUESTS, Quest, Rules};
use crate::seats::Seats;

/// Settings of the bots.
#[config]
#[derive(Debug, Clone, Default)]
#[serde(default)]
pub struct NaiveConfig {
    /// How the Assassin chooses.
    pub assassin: Assassin,
    /// What they say in discussions.
    pub speech: Speech,
    /// Name of the language model under `[llm]` that rephrases what they say. Without one they use the words of their
    /// templates and call no model.
    #[schemars(with = "Option<LlmName>")]
    pub llm: Option<String>,
}

/// How the Assassin chooses.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Assassin {
    /// Any good player, as in AvalonBench.
    #[default]
    Uniform,
    /// The one whose votes, proposals and words agreed best with the true sides: Merlin knows too much.
    Observant,
}

/// What bots say.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Speech {
    /// Nothing of weight, always the same words.
    None,
    /// Whom they trust and whom they suspect; evil bots lie.
    #[default]
    Template,
}

/// The naive bots as a planner, for any role.
pub struct Naive(NaiveConfig);

impl Naive {
    /// Bots of these settings.
    pub fn new(config: NaiveConfig) -> Self {
        Self(config)
    }
}

register! {
    interface: dyn Planner,
    kind: "avalon-naive",
    summary: "AvalonBench's naive bots, for any role of Avalon; exact beliefs and choices",
    config: NaiveConfig,
    new: |config, _host| async move { Ok(Arc::new(Naive::new(config)) as _) },
}

#[async_trait]
impl Planner for Naive {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: self.0.llm.iter().cloned().collect(), ..Requirements::default() })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut random = stream(context.seed, "avalon-naive");
        let view = match View::deserialize(&context.turn.observation.data) {
            Ok(view) => view,
            Err(error) => return elsewhere(&context.turn, &error, &mut random),
        };
        let mind = view.mind()?;
        let mut made = self.choose(&view, &mind, &mut random);
        if let (Some(llm), Move::Say(statement)) = (&self.0.llm, &mut made) {
            *statement = reword(statement, &*models.llm(llm.clone()).await?, &context).await?;
        }
        let trace = Trace { details: json!({ "beliefs": mind.beliefs() }), ..Trace::default() };
        Ok(Decision { action: Action::new(made.to_string()), trace, ..Decision::default() })
    }
}

/// The decision in another environment: a legal action, and a note about it.
fn elsewhere(turn: &Turn, error: &serde_json::Error, random: &mut ChaCha8Rng) -> Result<Decision> {
    let Some(action) = turn.legal_actions.choose(random) else {
        return Err(Error::input(format!("avalon-naive plays only Avalon, and this is not Avalon: {error}")));
    };
    let note = format!("this is not Avalon ({error}); a legal action was drawn");
    let trace = Trace { recoveries: vec![note], ..Trace::default() };
    Ok(Decision { action: Action::new(action), trace, ..Decision::default() })
}

/// The same statement in a model's words; as it is, if the model has none.
async fn reword(statement: &str, llm: &dyn LlmBackend, context: &DecisionContext) -> Result<String> {
    let asked = format!(
        "{}\n\nYou have decided to say this: {statement}\nSay it to all in your own words, in one or two sentences. Keep \
         whom you trust and whom you suspect; answer with what you say and nothing else.",
        context.turn.observation.text
    );
    let messages = vec![Message::system(context.environment.instructions.clone()), Message::user(asked)];
    let mut request = ChatRequest::new(Purpose::Action, messages);
    request.seed = Some(seed::derive(context.seed, "avalon-naive/speech"));
    let completion = llm.complete(request).await?;
    let words = completion.text().trim();
    Ok(if words.is_empty() { statement } else { words }.to_owned())
}

impl Naive {
    fn choose(&self, view: &View, mind: &Mind, random: &mut ChaCha8Rng) -> Move {
        match view.phase {
            Phase::Discussion => Move::Say(match self.0.speech {
                Speech::None => "I have nothing to say.".into(),
                Speech::Template => speech::statement(mind, random),
            }),
            Phase::Proposal => Move::Propose(mind.propose(random)),
            Phase::Vote => Move::Vote(mind.approves(view.team)),
            Phase::Quest => Move::Quest(mind.passes(view.team)),
            Phase::Assassination => {
                let witness = (self.0.assassin == Assassin::Observant).then(|| view.witness(mind));
                Move::Assassinate(mind.assassinate(witness.as_ref(), random))
            }
            Phase::Deduction => Move::Believe(mind.good()),
        }
    }
}

/// What the bots use of an observation's data.
#[data]
#[derive(Debug)]
struct View {
    players: usize,
    seat: usize,
    role: Role,
    phase: Phase,
    quests: Vec<PastQuest>,
    #[serde(default)]
    team: Seats,
    news: Vec<News>,
    hidden: Hidden,
}

#[data]
#[derive(Debug, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Discussion,
    Proposal,
    Vote,
    Quest,
    Assassination,
    Deduction,
}

#[data]
#[derive(Debug)]
struct PastQuest {
    team: Seats,
    fails: u8,
    success: bool,
}

#[data]
#[derive(Debug)]
struct Hidden {
    possible: Vec<Vec<Role>>,
}

#[data]
#[derive(Debug)]
#[serde(tag = "event", rename_all = "snake_case")]
enum News {
    Said {
        seat: usize,
        text: String,
    },
    Proposed {
        leader: usize,
        team: Seats,
    },
    Voted {
        team: Seats,
        approvals: Seats,
    },
    #[serde(other)]
    Else,
}

impl View {
    /// The bot after the quests so far.
    fn mind(&self) -> Result<Mind> {
        let malformed = || Error::input("these data do not describe a game of Avalon");
        let rules = Rules::new(self.players, FifthRejection::Passes).ok_or_else(malformed)?;
        let possible: Vec<Roles> =
            self.hidden.possible.iter().map(|roles| roles.iter().copied().collect()).collect();
        let in_hand =
            self.quests.len() < QUESTS || matches!(self.phase, Phase::Assassination | Phase::Deduction);
        if self.seat >= self.players || possible.len() != self.players || !in_hand {
            return Err(malformed());
        }
        let knowledge = Knowledge::from_possible(self.seat, self.role, &possible);
        if knowledge.evil_sets(&rules).is_empty() {
            return Err(malformed());
        }
        let mut mind = Mind::new(rules, knowledge);
        for PastQuest { team, fails, success } in &self.quests {
            mind.learn(&Quest { team: *team, fails: *fails, success: *success });
        }
        Ok(mind)
    }

    /// What an observant Assassin makes of the game, all of which it is shown again before it chooses.
    fn witness(&self, mind: &Mind) -> Witness {
        let mut witness = Witness::new(mind.knowledge().evil);
        for news in &self.news {
            match news {
                News::Said { seat, text } => {
                    let (trusted, suspected) = speech::opinions(text);
                    witness.said(*seat, trusted, suspected);
                }
                News::Proposed { leader, team } => witness.proposed(*leader, *team),
                News::Voted { team, approvals } => witness.voted(self.players, *team, *approvals),
                News::Else => {}
            }
        }
        witness
    }
}
