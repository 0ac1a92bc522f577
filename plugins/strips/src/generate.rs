//! Four domains, and problems of a chosen size in them. Every problem has a solution and is not solved at the
//! beginning.

use std::sync::{Arc, LazyLock};

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, IndexedRandom, RngExt, SliceRandom, stream},
};

use crate::domain::{Atom, Domain, Literal, Problem, Typed};

/// The largest size.
pub const LARGEST: u32 = 50;

/// A domain that ships with this crate.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Blocks on a table, moved by one hand. The size is the number of blocks.
    Blocksworld,
    /// Packages carried by trucks and an airplane between two cities, or more from five packages on. The size is the
    /// number of packages.
    Logistics,
    /// A robot with two grippers carries balls between two rooms. The size is the number of balls.
    Gripper,
    /// A player pushes boxes to their places. The size is the number of boxes; the maze grows with it.
    Sokoban,
}

/// The domain of each, read once.
static DOMAINS: LazyLock<[Arc<Domain>; 4]> = LazyLock::new(|| {
    Known::ALL.map(|known| Arc::new(Domain::parse(known.name(), known.text()).expect("it is tested")))
});

impl Known {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Blocksworld, Self::Logistics, Self::Gripper, Self::Sokoban];

    /// The domain's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocksworld => "blocksworld",
            Self::Logistics => "logistics",
            Self::Gripper => "gripper",
            Self::Sokoban => "sokoban",
        }
    }

    /// The domain in PDDL.
    pub fn text(self) -> &'static str {
        match self {
            Self::Blocksworld => include_str!("domains/blocksworld.pddl"),
            Self::Logistics => include_str!("domains/logistics.pddl"),
            Self::Gripper => include_str!("domains/gripper.pddl"),
            Self::Sokoban => include_str!("domains/sokoban.pddl"),
        }
    }

    /// The domain.
    pub fn domain(self) -> Arc<Domain> {
        DOMAINS[self as usize].clone()
    }

    /// The templates of its facts.
    pub fn words(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Blocksworld => &[
                ("on", "{x} is on {y}"),
                ("ontable", "{x} is on the table"),
                ("clear", "{x} is clear"),
                ("handempty", "the hand is empty"),
                ("holding", "the hand holds {x}"),
            ],
            Self::Logistics => {
                &[("in-city", "{l} belongs to {c}"), ("at", "{x} is at {l}"), ("in", "{p} is in {v}")]
            }
            Self::Gripper => &[
                ("at-robby", "the robot is in {r}"),
                ("at", "{b} is in {r}"),
                ("free", "gripper {g} is free"),
                ("carry", "gripper {g} carries {b}"),
            ],
            Self::Sokoban => &[
                ("next", "{to} is {d} of {from}"),
                ("player", "the player is at {c}"),
                ("box-at", "{b} is at {c}"),
                ("free", "{c} is free"),
            ],
        }
    }

    /// A problem of this size, drawn from `seed`.
    pub fn problem(self, size: u32, seed: u64) -> Problem {
        let size = size.clamp(1, LARGEST) as usize;
        let mut rng = stream(seed, self.name());
        let mut problem = loop {
            let problem = match self {
                Self::Blocksworld => blocksworld(size, &mut rng),
                Self::Logistics => logistics(size, &mut rng),
                Self::Gripper => gripper(size, &mut rng),
                Self::Sokoban => sokoban(size, &mut rng),
            };
            let done = problem.goal.iter().all(|goal| problem.init.contains(&goal.atom));
            // One block is always where it should be.
            if !done || (self == Self::Blocksworld && size == 1) {
                break problem;
            }
        };
        problem.name = format!("{}-{size}-{seed}", self.name());
        problem.domain = self.name().into();
        problem
    }
}

fn atom<S: AsRef<str>>(predicate: &str, terms: &[S]) -> Atom {
    Atom { predicate: predicate.into(), terms: terms.iter().map(|term| term.as_ref().to_owned()).collect() }
}

fn goal(atom: Atom) -> Literal {
    Literal { positive: true, atom }
}

fn objects<S: AsRef<str>>(names: &[S], kind: &str) -> impl Iterator<Item = Typed> {
    names.iter().map(move |name| Typed { name: name.as_ref().to_owned(), kind: kind.into() })
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{name}{number}")).collect()
}

/// Blocks in towers: each block in turn goes onto the table or a tower, with the same probability.
fn towers(blocks: &[String], rng: &mut ChaCha8Rng) -> Vec<Vec<String>> {
    let mut order = blocks.to_vec();
    order.shuffle(rng);
    let mut towers: Vec<Vec<String>> = Vec::new();
    for block in order {
        match rng.random_range(0..=towers.len()) {
            at if at < towers.len() => towers[at].push(block),
            _ => towers.push(vec![block]),
        }
    }
    towers
}

fn blocksworld(size: usize, rng: &mut ChaCha8Rng) -> Problem {
    let blocks = numbered("b", size);
    let (mut init, mut goals) = (vec![atom::<&str>("handempty", &[])], Vec::new());
    for tower in towers(&blocks, rng) {
        init.push(atom("ontable", &tower[..1]));
        init.extend(tower.windows(2).map(|pair| atom("on", &[&pair[1], &pair[0]])));
        init.extend(tower.last().map(|top| atom("clear", &[top])));
    }
    for tower in towers(&blocks, rng) {
        goals.push(goal(atom("ontable", &tower[..1])));
        goals.extend(tower.windows(2).map(|pair| goal(atom("on", &[&pair[1], &pair[0]]))));
    }
    goals.sort();
    Problem { objects: objects(&blocks, "object").collect(), init, goal: goals, ..Problem::default() }
}

fn logistics(size: usize, rng: &mut ChaCha8Rng) -> Problem {
    let packages = numbered("p", size);
    let cities = numbered("c", 2 + size / 5);
    let mut all: Vec<Typed> = objects(&packages, "package").chain(objects(&cities, "city")).collect();
    let (mut init, mut places) = (Vec::new(), Vec::new());
    for (index, city) in cities.iter().enumerate() {
        let (port, other, truck) =
            (format!("{city}-airport"), format!("{city}-depot"), format!("t{}", index + 1));
        all.extend(
            objects(&[&port], "airport")
                .chain(objects(&[&other], "location"))
                .chain(objects(&[&truck], "truck")),
        );
        init.extend([&port, &other].map(|place| atom("in-city", &[place, city])));
        init.push(atom("at", &[&truck, *[&port, &other].choose(rng).expect("two")]));
        places.extend([port, other]);
    }
    all.extend(objects(&["plane"], "airplane"));
    let ports: Vec<_> = places.iter().step_by(2).collect();
    init.push(atom("at", &["plane", ports.choose(rng).expect("two or more")]));
    let mut goals = Vec::new();
    for package in &packages {
        let mut ends = places.sample(rng, 2);
        let mut end = || ends.next().expect("four or more");
        init.push(atom("at", &[package, end()]));
        goals.push(goal(atom("at", &[package, end()])));
    }
    Problem { objects: all, init, goal: goals, ..Problem::default() }
}

fn gripper(size: usize, rng: &mut ChaCha8Rng) -> Problem {
    let (balls, rooms, hands) = (numbered("ball", size), ["rooma", "roomb"], ["left", "right"]);
    let mut room = || *rooms.choose(rng).expect("two");
    let mut init = vec![atom("at-robby", &[room()])];
    init.extend(hands.map(|hand| atom("free", &[hand])));
    init.extend(balls.iter().map(|ball| atom("at", &[ball, room()])));
    let goals = balls.iter().map(|ball| goal(atom("at", &[ball, room()]))).collect();
    let all = objects(&rooms, "room").chain(objects(&balls, "ball")).chain(objects(&hands, "gripper"));
    Problem { objects: all.collect(), init, goal: goals, ..Problem::default() }
}

/// A maze with boxes at their places, and then boxes pulled away from them, so that pushing them back is a solution.
fn sokoban(size: usize, rng: &mut ChaCha8Rng) -> Problem {
    const WAYS: [(&str, (isize, isize)); 4] =
        [("north", (-1, 0)), ("south", (1, 0)), ("west", (0, -1)), ("east", (0, 1))];
    let side = 4 + (size as f64).sqrt().ceil() as isize;
    let cell = |(row, column): (isize, isize)| format!("r{}c{}", row + 1, column + 1);
    let add = |(row, column): (isize, isize), (down, right): (isize, isize)| (row + down, column + right);
    let all: Vec<_> = (0..side * side).map(|at| (at / side, at % side)).collect();
    // Some inner walls, and only the part of the rest that holds together.
    let walls: Vec<_> = all.iter().filter(|_| rng.random_bool(0.12)).copied().collect();
    let free = |at: &(isize, isize)| all.contains(at) && !walls.contains(at);
    let Some(start) = all.iter().find(|at| free(at)) else { return Problem::default() };
    let mut floor = vec![*start];
    let mut next = 0;
    while next < floor.len() {
        let around: Vec<_> = WAYS.iter().map(|(_, way)| add(floor[next], *way)).collect();
        let new: Vec<_> = around.into_iter().filter(|at| free(at) && !floor.contains(at)).collect();
        floor.extend(new);
        next += 1;
    }
    // Too small a part, where nothing can be placed: another maze is drawn.
    if floor.len() < 2 * size + 4 {
        return Problem::default();
    }
    let mut places: Vec<_> = floor.sample(rng, size + 1).copied().collect();
    places.shuffle(rng);
    let mut player = places.pop().expect("one more than boxes");
    let (ends, mut boxes) = (places.clone(), places);
    for _ in 0..60 * size {
        let (_, way) = *WAYS.choose(rng).expect("four");
        let to = add(player, way);
        if !floor.contains(&to) || boxes.contains(&to) {
            continue;
        }
        // What is behind the player comes along, more often than not.
        let behind = add(player, (-way.0, -way.1));
        if let Some(pulled) = boxes.iter().position(|at| *at == behind)
            && rng.random_bool(0.8)
        {
            boxes[pulled] = player;
        }
        player = to;
    }
    let names = numbered("box", size);
    floor.sort_unstable();
    let mut init = Vec::new();
    for at in &floor {
        for (name, way) in WAYS {
            let other = add(*at, way);
            if floor.contains(&other) {
                init.push(atom("next", &[cell(*at), cell(other), name.to_owned()]));
            }
        }
        if !boxes.contains(at) {
            init.push(atom("free", &[cell(*at)]));
        }
    }
    init.push(atom("player", &[cell(player)]));
    init.extend(names.iter().zip(&boxes).map(|(name, at)| atom("box-at", &[name.clone(), cell(*at)])));
    let goals = names.iter().zip(&ends).map(|(name, at)| goal(atom("box-at", &[name.clone(), cell(*at)])));
    let cells: Vec<_> = floor.iter().map(|at| cell(*at)).collect();
    let ways = WAYS.map(|(name, _)| name);
    let everything = objects(&cells, "cell").chain(objects(&ways, "direction")).chain(objects(&names, "box"));
    Problem { objects: everything.collect(), goal: goals.collect(), init, ..Problem::default() }
}
