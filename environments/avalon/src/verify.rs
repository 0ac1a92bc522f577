//! Conformance: these rules and bots against games that AvalonBench's own engine and bots played, counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forethought_sdk::api::text::unmarked;
use forethought_sdk::prelude::*;
use forethought_sdk::serde::de::Error as _;
use forethought_sdk::serde_json::{self, Value, from_value};

use crate::environment::{Avalon, AvalonConfig, Preset, roles_by_name};
use crate::knowledge::Knowledge;
use crate::naive::mind::Mind;
use crate::role::{Role, Side};
use crate::rules::{FifthRejection, Game, Phase, Rules};
use crate::seats::Seats;

/// Compares with the folders `avalonbench_gold` and `avalonbench_presets`.
pub struct AvalonVerifier;

register! {
    interface: dyn Verifier,
    kind: "avalon",
    summary: "Avalon's rules and naive bots against games played by AvalonBench's own",
    config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(AvalonVerifier) as _) },
}

/// Numbers of players of which there may be golden games.
const PLAYERS: std::ops::RangeInclusive<usize> = 5..=10;

#[async_trait]
impl Verifier for AvalonVerifier {
    async fn verify(&self, data: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Check>> {
        let gold = data.join("avalonbench_gold");
        let path = |players: usize| gold.join(format!("games_{players}p.jsonl"));
        if !PLAYERS.into_iter().any(|players| path(players).is_file()) {
            return Err(Error::not_found(format!("there are no golden games in {}", gold.display())));
        }
        // Few games of many players get as far as a target: they are counted together.
        let (mut checks, mut targets) = (Vec::new(), Check::new("targets of bots"));
        for players in PLAYERS.filter(|&players| path(players).is_file()) {
            let note = format!("{players} players");
            progress.report("verify".into(), (players - 5) as u64, 6, note).await?;
            checks.extend(games(players, &path(players), &mut targets)?);
        }
        checks.push(targets);
        checks.push(presets(&data.join("avalonbench_presets").join("dev.json"))?);
        progress.report("verify".into(), 6, 6, String::new()).await?;
        Ok(checks)
    }
}

/// A recorded game.
#[data]
#[derive(Debug)]
struct Golden {
    num_players: usize,
    quest_leader: usize,
    #[serde(deserialize_with = "roles_by_name")]
    roles: Vec<Role>,
    events: Vec<Event>,
    quest_results: Vec<bool>,
    good_victory: bool,
    believed: Vec<Vec<f64>>,
}

/// `["team", leader, team]`, `["vote", votes, approved]`, `["quest", cards, fails, success]`, `["kill", assassin,
/// target]`; a vote or card of 1 approves or passes.
#[data]
#[derive(Debug)]
#[serde(try_from = "Vec<Value>")]
enum Event {
    Team { leader: usize, team: Seats },
    Vote { votes: Vec<u8>, approved: bool },
    Quest { cards: BTreeMap<usize, u8>, fails: u8, success: bool },
    Kill { assassin: usize, target: usize },
}

impl TryFrom<Vec<Value>> for Event {
    type Error = serde_json::Error;
    fn try_from(event: Vec<Value>) -> serde_json::Result<Self> {
        let name = event.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        let event = Value::Array(event.into_iter().skip(1).collect());
        Ok(match name.as_str() {
            "team" => {
                let (leader, team) = from_value(event)?;
                Self::Team { leader, team }
            }
            "vote" => {
                let (votes, approved) = from_value(event)?;
                Self::Vote { votes, approved }
            }
            "quest" => {
                let (cards, fails, success) = from_value(event)?;
                Self::Quest { cards, fails, success }
            }
            "kill" => {
                let (assassin, target) = from_value(event)?;
                Self::Kill { assassin, target }
            }
            _ => return Err(Self::Error::custom(format!("there is no event `{name}`"))),
        })
    }
}

/// One check for every part of a game.
struct Checks {
    phases: Check,
    leaders: Check,
    votes_counted: Check,
    quests: Check,
    ends: Check,
    proposals: Check,
    votes: Check,
    cards: Check,
    beliefs: Check,
}

impl Checks {
    fn new(players: usize) -> Self {
        let check = |name: &str| Check::new(format!("{players} players: {name}"));
        Self {
            phases: check("phases"),
            leaders: check("leaders"),
            votes_counted: check("approvals"),
            quests: check("quests"),
            ends: check("ends"),
            proposals: check("proposals of bots"),
            votes: check("votes of bots"),
            cards: check("cards of bots"),
            beliefs: check("beliefs of bots"),
        }
    }
    fn list(self) -> Vec<Check> {
        let Self { phases, leaders, votes_counted, quests, ends, proposals, votes, cards, beliefs } = self;
        vec![phases, leaders, votes_counted, quests, ends, proposals, votes, cards, beliefs]
    }
}

fn games(players: usize, path: &Path, targets: &mut Check) -> Result<Vec<Check>> {
    let mut checks = Checks::new(players);
    let text = std::fs::read_to_string(path).context(path.display().to_string())?;
    for (number, line) in unmarked(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}, line {}", path.display(), number + 1);
        let golden: Golden =
            serde_json::from_str(line).map_err(|error| Error::input(format!("{place}: {error}")))?;
        let seats = [golden.roles.len(), golden.num_players, golden.believed.len()];
        if seats != [players; 3] || golden.quest_leader >= players {
            return Err(Error::input(format!("{place}: this is not a game of {players} players")));
        }
        let Some(rules) = Rules::new(players, FifthRejection::Passes) else {
            return Err(Error::input(format!("{place}: there are no rules for {players} players")));
        };
        replay(rules, &golden, &place, &mut checks, targets);
    }
    Ok(checks.list())
}

/// Plays a recorded game again, up to the first move that the rules refuse.
fn replay(rules: Rules, golden: &Golden, place: &str, checks: &mut Checks, targets: &mut Check) {
    let deal = &golden.roles;
    let merlin = deal.iter().position(|role| *role == Role::Merlin).unwrap_or_default();
    let mut game = Game::new(rules, merlin, golden.quest_leader);
    let mut bots: Vec<Mind> =
        (0..deal.len()).map(|seat| Mind::new(rules, Knowledge::new(deal, seat))).collect();
    for (number, event) in golden.events.iter().enumerate() {
        let at = || format!("{place}, event {number} {event:?}");
        let team = game.team();
        let refused = match event {
            Event::Team { leader, team } => {
                checks
                    .leaders
                    .count(game.leader() == *leader, || format!("{}: {} leads", at(), game.leader()));
                if let Some(bot) = bots.get(*leader) {
                    checks
                        .proposals
                        .count(bot.may_propose(*team), || format!("{}: would not propose it", at()));
                }
                game.propose(*team).err()
            }
            Event::Vote { votes, approved } => {
                for (bot, vote) in bots.iter().zip(votes) {
                    let (ours, theirs) = (bot.approves(team), *vote == 1);
                    checks.votes.count(ours == theirs, || {
                        format!("{}: player {} would vote {ours}", at(), bot.knowledge().seat)
                    });
                }
                let approvals = (0..votes.len()).filter(|&seat| votes[seat] == 1).collect();
                let ours = game.vote(approvals);
                if let Ok(ours) = ours {
                    checks.votes_counted.count(ours == *approved, || format!("{}: approval is {ours}", at()));
                }
                ours.err()
            }
            Event::Quest { cards, fails, success } => {
                let mut failed = Seats::NONE;
                for (&seat, &card) in cards {
                    let pass = card == 1;
                    if !pass {
                        failed = failed | Seats::one(seat);
                    }
                    if let Some(bot) = bots.get(seat) {
                        let ours = bot.passes(team);
                        checks
                            .cards
                            .count(ours == pass, || format!("{}: player {seat} would play {ours}", at()));
                    }
                }
                let ours = game.go(failed);
                if let Ok(quest) = &ours {
                    let same =
                        (quest.fails, quest.success) == (*fails, *success) && cards.len() == team.len();
                    checks.quests.count(same, || format!("{}: the quest is {quest:?}", at()));
                    bots.iter_mut().for_each(|bot| bot.learn(quest));
                }
                ours.err()
            }
            Event::Kill { assassin, target } => {
                let may = bots.get(*assassin).is_some_and(|bot| {
                    bot.knowledge().role == Role::Assassin && bot.suspects().contains(*target)
                });
                targets.count(may, || format!("{}: would not name that player", at()));
                game.assassinate(*target).err()
            }
        };
        checks
            .phases
            .count(refused.is_none(), || format!("{}: {}", at(), refused.clone().unwrap_or_default()));
        if refused.is_some() {
            return;
        }
    }
    let ours: Vec<bool> = game.quests().iter().map(|quest| quest.success).collect();
    let same = match game.phase() {
        Phase::Over(outcome) => (outcome.winner() == Side::Good) == golden.good_victory,
        _ => false,
    };
    checks.ends.count(same && ours == golden.quest_results, || {
        format!("{place}: ends with {:?} after {ours:?}", game.phase())
    });
    for (bot, theirs) in bots.iter().zip(&golden.believed) {
        let ours = bot.beliefs();
        checks.beliefs.count(ours == *theirs, || {
            format!("{place}: player {} believes {ours:?}, and should {theirs:?}", bot.knowledge().seat)
        });
    }
}

/// Deals every preset, and compares with the file.
fn presets(path: &Path) -> Result<Check> {
    let mut check = Check::new("presets");
    let config = AvalonConfig { presets: Some(path.into()), ..AvalonConfig::default() };
    let avalon = Avalon::new(config)?;
    for (number, preset) in Preset::read(path)?.into_iter().enumerate() {
        let table = avalon.deal(Reset { task: number as u64, seed: 0 })?;
        let same = table.deal() == preset.role_names && table.game().leader() == preset.quest_leader;
        check.count(same, || format!("preset {number}: {:?} led by {}", table.deal(), table.game().leader()));
    }
    Ok(check)
}
