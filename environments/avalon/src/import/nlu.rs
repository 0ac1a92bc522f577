//! Six-player games of people, with their chat: the data set Avalon-NLU (Stepputtis et al., 2023).
//!
//! One game a file: `{"users", "messages", "beliefs", "persuasion"}`. Proposals and results are messages of `system`; a
//! second proposal before the vote replaces the first, which was talk. Thoughts are derived from the annotations:
//! what a player believes of others, and how it speaks.

use std::collections::BTreeMap;

use super::*;

/// Reads the games.
pub struct Nlu;

#[data]
struct Game {
    users: BTreeMap<usize, User>,
    messages: BTreeMap<usize, Message>,
    beliefs: BTreeMap<usize, Belief>,
    persuasion: BTreeMap<usize, Persuasion>,
}

#[data]
struct User {
    name: String,
    role: String,
}

#[data]
struct Message {
    player: String,
    msg: String,
    mid: String,
    quest: i32,
    turn: i32,
}

#[data]
struct Belief {
    player: String,
    about_player: String,
    belief: String,
    quest: i32,
    turn: i32,
}

#[data]
struct Persuasion {
    mid: String,
    persuasion: Option<String>,
    deception: Option<String>,
}

#[async_trait]
impl Importer for Nlu {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        let mut games = Vec::new();
        for file in files(path)? {
            let game: Game = serde_json::from_str(&read(&file)?)
                .map_err(|error| Error::input(format!("{}: {error}", file.display())))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            games.push((name, Reader::new(&game).and_then(Reader::read)));
        }
        replay_all("avalon-nlu", games, progress).await
    }
}

/// The file, or the folder's JSON files by name.
fn files(path: PathBuf) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path]);
    }
    let entries = std::fs::read_dir(&path)
        .map_err(|error| Error::input(format!("cannot read {}: {error}", path.display())))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|ext| ext == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Error::input(format!("there is no JSON file in {}", path.display())));
    }
    Ok(files)
}

/// Goes through the messages in order.
struct Reader<'a> {
    game: &'a Game,
    names: Vec<String>,
    roles: Vec<Role>,
    acts: Vec<Act>,
    leader: Option<usize>,
    quests: usize,
    /// Annotations of each seat since it last moved.
    notes: Vec<Vec<String>>,
    /// Beliefs noted so far.
    believed: usize,
}

impl<'a> Reader<'a> {
    fn new(game: &'a Game) -> Result<Self, Unfit> {
        let names: Vec<String> = game.users.values().map(|user| user.name.clone()).collect();
        let role = |user: &User| {
            let word = user.role.split('-').next().unwrap_or_default();
            Role::named(word).ok_or_else(|| format!("there is no role {:?}", user.role))
        };
        let roles = game.users.values().map(role).collect::<Result<Vec<_>, _>>()?;
        let notes = vec![Vec::new(); names.len()];
        Ok(Self { game, names, roles, acts: Vec::new(), leader: None, quests: 0, notes, believed: 0 })
    }

    fn read(mut self) -> Result<Recorded, Unfit> {
        let styles: BTreeMap<&str, &Persuasion> =
            self.game.persuasion.values().map(|note| (note.mid.as_str(), note)).collect();
        let (mut draft, mut team, mut winner) = (None, Seats::NONE, None);
        for message in self.game.messages.values() {
            self.note_beliefs(message)?;
            let text = message.msg.as_str();
            if message.player != "system" {
                let seat = self.seat(&message.player)?;
                if let Some(style) = styles.get(message.mid.as_str()) {
                    self.note_style(seat, style);
                }
                self.acts.push(Act::Say(seat, rename(text, &self.names)));
            } else if let Some((leader, party)) = text.split_once(" proposed a party: ") {
                if let Some(draft) = draft.replace(self.acts.len()) {
                    self.withdraw(draft);
                }
                let leader = self.seat(leader)?;
                team = party.split(", ").map(|name| self.seat(name)).collect::<Result<_, _>>()?;
                self.leader.get_or_insert(leader);
                let made = Made::new(leader, Move::Propose(team));
                let thought = Some(self.thought(&made));
                self.acts.push(Act::Moves(vec![Made { thought, ..made }]));
            } else if let Some(votes) = text.strip_prefix("party vote outcome: ") {
                draft = None;
                self.vote(votes)?;
            } else if text.starts_with("quest succeeded") || text.starts_with("quest failed") {
                let success = text.contains("succeeded");
                let mut moves = cards(&self.roles, team, self.quests, success, None)?;
                moves.iter_mut().for_each(|made| made.thought = Some(self.thought(made)));
                self.acts.push(Act::Moves(moves));
                self.quests += 1;
            } else if text.starts_with("the assassin") {
                let found = text.contains("identified merlin");
                self.acts.push(assassination(&self.roles, found, None)?);
                winner = Some(if found { Side::Evil } else { Side::Good });
            } else if text.starts_with("evil has failed three quests") {
                winner = Some(Side::Evil);
            }
        }
        Ok(Recorded {
            roles: self.roles,
            fifth_rejection: FifthRejection::EvilWins,
            first_leader: self.leader.ok_or("nothing was voted on")?,
            acts: self.acts,
            winner: winner.ok_or("the record does not say who won")?,
        })
    }

    /// A team that was never voted on was talk.
    fn withdraw(&mut self, at: usize) {
        if let Act::Moves(moves) = &self.acts[at]
            && let [Made { seat, made: Move::Propose(team), .. }] = moves[..]
        {
            self.acts[at] = Act::Say(seat, format!("I am thinking of the team {team}."));
        }
    }

    fn vote(&mut self, votes: &str) -> Result<(), Unfit> {
        let mut moves = Vec::new();
        for vote in votes.split(", ") {
            let (name, vote) = vote.split_once(": ").ok_or_else(|| format!("{vote:?} is not a vote"))?;
            let made = Made::new(self.seat(name)?, Move::Vote(vote == "yes"));
            moves.push(Made { thought: Some(self.thought(&made)), ..made });
        }
        self.acts.push(Act::Moves(moves));
        Ok(())
    }

    fn seat(&self, name: &str) -> Result<usize, Unfit> {
        self.names.iter().position(|known| known == name).ok_or_else(|| format!("nobody is called {name:?}"))
    }

    /// Beliefs formed by the time of `message`.
    fn note_beliefs(&mut self, message: &Message) -> Result<(), Unfit> {
        let game = self.game;
        let beliefs = game.beliefs.values().skip(self.believed);
        for belief in
            beliefs.take_while(|belief| (belief.quest, belief.turn) <= (message.quest, message.turn))
        {
            self.believed += 1;
            let (seat, about) = (self.seat(&belief.player)?, self.seat(&belief.about_player)?);
            self.notes[seat].push(match belief.belief.as_str() {
                "undecided" => format!("Undecided about Player {about}."),
                held @ ("good" | "evil") => format!("Player {about} seems {held}."),
                held => format!("Player {about} seems to be {held}."),
            });
        }
        Ok(())
    }

    fn note_style(&mut self, seat: usize, style: &Persuasion) {
        let manner = style.persuasion.iter().map(|manner| format!("Speaks in {manner}."));
        let deceit = style.deception.iter().map(|how| format!("Deceives by {how}."));
        for note in manner.chain(deceit) {
            if !self.notes[seat].contains(&note) {
                self.notes[seat].push(note);
            }
        }
    }

    /// A plain description of the move, and what was annotated of the seat since its last one.
    fn thought(&mut self, made: &Made) -> String {
        let mut thought = derived(&made.made);
        for note in self.notes[made.seat].drain(..) {
            thought += " ";
            thought += &note;
        }
        thought
    }
}

register! {
    interface: dyn Importer, kind: "avalon-nlu", summary: "Avalon games of people with their chat (Avalon-NLU)",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(Nlu) as _) },
}
