//! A model of stated error rates, for planners that ask for PDDL, plans and heuristics: it knows the four domains that
//! ship, reads the text of a request and nothing else, and errs as often as its settings say.
//!
//! Every error is drawn from the request's first prompt: the same prompt has the same errors. Where an answer comes
//! back with what is wrong with it, each error is corrected with the probability `corrected`, each time.

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, IndexedRandom, RngExt, stream},
};
use forethought_strips::{
    Call, Domain, Problem, Task,
    domain::{Atom, Literal},
    generate::Known,
};

use crate::{
    reader::{View, any, recognises},
    text::REFUSED,
};

/// Settings of the scripted model: how often it errs.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct ScriptedConfig {
    /// Seed of every draw, together with the request's prompt.
    pub seed: u64,
    /// Share of facts and goals of a translation that are left out, or said of another object.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub facts: f64,
    /// Share of translations, domains and heuristics that do not parse.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub syntax: f64,
    /// Share of steps of a plan, and of single actions, that are something else.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub steps: f64,
    /// Share of preconditions and effects of a written domain that are left out.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rules: f64,
    /// Share of heuristics that say nothing about the distance to the goal.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub heuristics: f64,
    /// Probability that an error is corrected, each time that the answer is returned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub corrected: f64,
}

impl Default for ScriptedConfig {
    fn default() -> Self {
        Self { seed: 0, facts: 0.01, syntax: 0.05, steps: 0.1, rules: 0.05, heuristics: 0.3, corrected: 0.6 }
    }
}

/// The scripted model.
pub struct Scripted(ScriptedConfig);

impl Scripted {
    /// A model with these settings.
    ///
    /// # Errors
    /// A share that is not within 0 and 1.
    pub fn new(config: ScriptedConfig) -> Result<Self> {
        let ScriptedConfig { seed: _, facts, syntax, steps, rules, heuristics, corrected } = config;
        for (key, share) in [
            ("facts", facts),
            ("syntax", syntax),
            ("steps", steps),
            ("rules", rules),
            ("heuristics", heuristics),
            ("corrected", corrected),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::config(format!("{key} = {share}: must be within [0, 1]")));
            }
        }
        Ok(Self(config))
    }

    fn answer(&self, request: &ChatRequest) -> String {
        let of = |role: Role| request.messages.iter().filter(move |message| message.role == role);
        let prompt = of(Role::User).next().map_or("", |message| &message.content);
        let system: String = of(Role::System).map(|message| message.content.as_str()).collect();
        let text = format!("{system}\n{prompt}");
        // As a chat model would: an answer, which is not one in the requested form.
        if !recognises(&text) {
            return "I know planning problems of kind pddl in the four domains that ship, and this is not one.".into();
        }
        let view = View::read(&text);
        let Some(task) = view.task.as_ref() else {
            return "I cannot read this problem: I know it in the words that ship, and not as PDDL.".into();
        };
        let refused =
            prompt.lines().filter(|line| line.trim_start_matches("- ").starts_with(REFUSED)).count();
        let errs = Errs {
            seed: seed::derive(self.0.seed, &text),
            // Each refusal that is shown is one more reason to think again.
            rounds: of(Role::Assistant).count() + if prompt.contains("Domain: <") { refused } else { 0 },
            corrected: self.0.corrected,
        };
        let asks = |line: &str| prompt.lines().any(|one| one.trim_start().starts_with(line));
        let broken = |text: String| match errs.at("syntax", self.0.syntax) {
            // An answer that ends too early.
            true => text.trim_end().trim_end_matches(')').to_owned(),
            false => text,
        };
        if asks("Problem: <") {
            format!("Problem:\n{}", broken(self.translation(task, &errs).to_string()))
        } else if asks("Domain: <") {
            format!("Domain:\n{}", broken(self.domain(&task.domain, &errs).to_string()))
        } else if asks("Plan: <") {
            let plan = self.plan(&view, task, &errs);
            format!("Plan:\n{}", plan.iter().map(|call| format!("{call}\n")).collect::<String>())
        } else if asks("Heuristic: <") {
            let good = !errs.at("heuristic", self.0.heuristics);
            format!("Heuristic: {}", broken(heuristic(&task.domain.name, good).into()))
        } else if system.contains("Your only action is the whole problem") {
            let problem = broken(self.translation(task, &errs).to_string());
            let line = problem.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("Thought: I translate it fact by fact.\nAction: {line}")
        } else {
            let call = match errs.at("action", self.0.steps) {
                true => any(task, &mut errs.stream("other action")),
                false => view.forward(),
            };
            let call = call.or_else(|| view.possible(&mut errs.stream("possible")));
            let action = call.map_or_else(|| "wait".into(), |call| call.words());
            format!("Thought: This is the next step.\nAction: {action}")
        }
    }

    /// The problem as it is understood.
    fn translation(&self, task: &Task, errs: &Errs) -> Problem {
        let truth = &task.problem;
        let wrong = |index: usize, what: &str, atom: &Atom| -> Option<Atom> {
            let name = format!("{what} {index}");
            if !errs.at(&name, self.0.facts) {
                return Some(atom.clone());
            }
            let mut rng = errs.stream(&format!("{name} instead"));
            if atom.terms.is_empty() || rng.random() {
                return None;
            }
            let mut atom = atom.clone();
            let at = rng.random_range(0..atom.terms.len());
            let kind =
                truth.objects.iter().find(|one| one.name == atom.terms[at]).map(|one| one.kind.clone());
            let others: Vec<_> = truth
                .objects
                .iter()
                .filter(|one| Some(&one.kind) == kind.as_ref() && one.name != atom.terms[at])
                .collect();
            atom.terms[at] = others.choose(&mut rng)?.name.clone();
            Some(atom)
        };
        let init =
            truth.init.iter().enumerate().filter_map(|(index, atom)| wrong(index, "fact", atom)).collect();
        let goal = truth.goal.iter().enumerate().filter_map(|(index, goal)| {
            Some(Literal { positive: goal.positive, atom: wrong(index, "goal", &goal.atom)? })
        });
        Problem { name: "translated".into(), goal: goal.collect(), init, ..(**truth).clone() }
    }

    /// The domain as it is understood.
    fn domain(&self, domain: &Domain, errs: &Errs) -> Domain {
        let mut written = domain.clone();
        for action in &mut written.actions {
            let name = action.name.clone();
            for (what, literals) in [("needs", &mut action.precondition), ("does", &mut action.effect)] {
                let mut index = 0;
                literals.retain(|_| {
                    index += 1;
                    !errs.at(&format!("{name} {what} {index}"), self.0.rules)
                });
            }
        }
        written
    }

    /// A plan with wrong steps: something else, or nothing.
    fn plan(&self, view: &View, task: &Task, errs: &Errs) -> Vec<Call> {
        let right = view.plan().unwrap_or_default();
        let step = |(index, call): (usize, Call)| {
            let name = format!("step {index}");
            if !errs.at(&name, self.0.steps) {
                return Some(call);
            }
            let mut rng = errs.stream(&format!("{name} instead"));
            if rng.random() { any(task, &mut rng) } else { None }
        };
        right.into_iter().enumerate().filter_map(step).collect()
    }
}

/// When the model errs.
struct Errs {
    seed: u64,
    rounds: usize,
    corrected: f64,
}

impl Errs {
    fn stream(&self, name: &str) -> ChaCha8Rng {
        stream(self.seed, name)
    }

    /// Whether there is an error at this place, and was not corrected since.
    fn at(&self, place: &str, share: f64) -> bool {
        let mut rng = self.stream(place);
        rng.random::<f64>() < share && (0..self.rounds).all(|_| rng.random::<f64>() >= self.corrected)
    }
}

/// A heuristic for a domain.
fn heuristic(domain: &str, good: bool) -> &'static str {
    let known = Known::ALL.into_iter().find(|known| known.name() == domain);
    match known.filter(|_| good) {
        None => "(count (= ?x ?y))",
        Some(Known::Blocksworld) => {
            "(+ (* 2 (goals)) (* 2 (count (on ?x ?y) (not (goal (on ?x ?y))) (not (goal (ontable ?x)))))\n\
             (* 2 (count (on ?x ?y) (goal (ontable ?x)))) (count (holding ?x)))"
        }
        Some(Known::Logistics) => {
            "(+ (* 4 (goals)) (* -1 (count (in ?p ?v) (at ?v ?l) (goal (at ?p ?l)))) (* -1 (count (in ?p ?v))))"
        }
        Some(Known::Gripper) => "(+ (* 3 (goals)) (* -1 (count (carry ?b ?g))))",
        Some(Known::Sokoban) => "(goals)",
    }
}

#[async_trait]
impl LlmBackend for Scripted {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let settings = forethought_sdk::serde_json::to_string(&self.0)?;
        let model = format!("pddl-scripted {:016x}", seed::derive(0, &settings));
        Ok(LlmCapabilities { model, free: true, ..LlmCapabilities::default() })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let mut completion = Completion::default();
        for sample in 0..request.samples.max(1) {
            let seed = if sample == 0 {
                self.0.seed
            } else {
                seed::derive(self.0.seed, &format!("sample {sample}"))
            };
            let text = Self(ScriptedConfig { seed, ..self.0.clone() }).answer(&request);
            completion.choices.push(Choice { text, ..Choice::default() });
        }
        Ok(completion)
    }
}

register! {
    interface: dyn LlmBackend, kind: "pddl-scripted",
    summary: "a model of stated error rates for worlds of kind pddl: translates, plans, writes domains and heuristics",
    config: ScriptedConfig,
    new: |config, _host| async move { Ok(Arc::new(Scripted::new(config)?) as _) },
}
