//! Tree-Planner (Hu et al., 2024, arXiv 2310.08582): plans are sampled once, merged into a tree, and decided upon while
//! they are carried out.
//!
//! ```text
//! plans <- LLM: N whole plans, in one request                 plan sampling
//! tree  <- plans with common prefixes merged                  action tree
//! repeat:                                                     grounded deciding
//!     child  <- the only valid child, or LLM: the one that fits the observation
//!     execute child
//!     on an execution error: mark it invalid; go back to the nearest node that has a valid child
//! ```
//!
//! The tree is in the thought of the decision that sampled it. Where in the tree the episode is, and what is invalid,
//! follows from the actions and observations since then. What was executed is not undone: in a world that a refused
//! action leaves as it was, nothing has to be. If no valid child is left and the episode goes on, plans are sampled again.

use forethought_sdk::{answers::Complaint, prelude::*, serde_json::json};

use crate::{
    allowance::affordable,
    ask::{AskConfig, Asker, Label, Said},
    plan::{improvise, line, refused, usual_refusals},
    prompts::{Prompts, prompt_files},
    toolbox,
};

/// The line of a thought below which the tree is.
const MARKER: &str = "Action tree:";

/// Settings of Tree-Planner.
#[config]
#[derive(Debug, Clone)]
pub struct TreePlannerConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Sampled plans (N).
    #[serde(default = "twenty_five")]
    #[schemars(range(min = 1, max = 1000))]
    pub plans: u32,
    /// Most actions of a plan; what follows is left out.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1000))]
    pub length: usize,
    /// Texts of which one in an observation means that the last action was an error, in any case. So does an observation
    /// that is the same as before.
    #[serde(default = "usual_refusals")]
    pub errors: Vec<String>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: TreePlannerPrompts,
}

prompt_files! {
    /// Files that replace Tree-Planner's prompt templates.
    TreePlannerPrompts: agent, history, whole_plan, branch, react
}

fn twenty_five() -> u32 {
    25
}

fn twenty() -> usize {
    20
}

/// The Tree-Planner: one request for N plans, then one per decision at a branching node and none elsewhere.
pub struct TreePlanner {
    config: TreePlannerConfig,
    prompts: Prompts,
}

impl TreePlanner {
    /// A planner with these settings.
    ///
    /// # Errors
    /// No plan, plans without actions, or a template that cannot be used.
    pub fn new(config: TreePlannerConfig) -> Result<Self> {
        if config.plans == 0 || config.length == 0 {
            let (key, what) = if config.plans == 0 { ("plans", "plan") } else { ("length", "action") };
            return Err(Error::config(format!("{key} = 0: at least one {what} is needed")));
        }
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }

    /// The tree of the last thought that has one, and where in it the episode is.
    fn resume(&self, context: &DecisionContext) -> Option<(Tree, usize)> {
        let read = |(index, exchange): (usize, &Exchange)| Some((index, Tree::read(&exchange.thought)?));
        let (since, mut tree) = context.history.iter().enumerate().rev().find_map(read)?;
        let mut at = ROOT;
        for (index, exchange) in context.history.iter().enumerate().skip(since) {
            let Some(child) = tree.child(at, &exchange.action) else { continue };
            at = match refused(context, index, &self.config.errors) {
                false => child,
                true => {
                    tree.nodes[child].valid = false;
                    tree.backtrack(at)
                }
            };
        }
        Some((tree, at))
    }

    /// A tree of as many plans as the decision's budget pays, next to a choice; empty where it pays for no plan.
    async fn sample(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
    ) -> Result<Tree> {
        let TreePlannerConfig { plans, length, .. } = self.config;
        if !affordable(models, 2).await? {
            return Ok(Tree::new());
        }
        // Where a model gives one answer per call, each plan is a call.
        let paid = models.allowance().await?.calls.map(|left| left.saturating_sub(1));
        let mut plans = paid.map_or(plans, |paid| plans.min(u32::try_from(paid).unwrap_or(plans)));
        let messages = self.prompts.messages("whole_plan", context, json!({ "length": length }))?;
        let read = |said: &Said<'_>| {
            // The history will show calls in their canonical form.
            let canonical = |text: &str| toolbox::action(&line(text), &context.turn).text;
            let actions: Vec<_> = said.texts(&["Action"])?.iter().map(|(_, text)| canonical(text)).collect();
            if actions.is_empty() {
                return Err(said.complaint("there is no line that starts with \"Action:\"".into()));
            }
            Ok(actions)
        };
        let labels = [Label::Many("Action")];
        loop {
            let sampled = asker.sample_for(&labels, Purpose::Thought, messages.clone(), plans, read).await;
            match sampled {
                // What a plan costs in tokens or time is known only where too many are refused.
                Err(error) if error.code == Code::Budget && plans > 1 => plans /= 2,
                Err(error) if error.code == Code::Budget => return Ok(Tree::new()),
                sampled => {
                    let sampled = sampled?;
                    return Ok(Tree::merged(sampled.iter().map(|plan| &plan[..plan.len().min(length)])));
                }
            }
        }
    }

    /// One of several ways on, by what is seen now; the one that most plans take if the answer cannot be read.
    async fn branch(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        tree: &Tree,
        ways: &[usize],
    ) -> Result<usize> {
        let actions: Vec<_> = ways.iter().map(|way| &tree.nodes[*way].action).collect();
        let messages = self.prompts.messages("branch", context, json!({ "actions": actions }))?;
        let read = |said: &Said<'_>| {
            let said = said.text("Branch")?;
            let number = said.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
            let index = number.and_then(|digits| digits.parse::<usize>().ok()?.checked_sub(1));
            index.and_then(|index| ways.get(index)).copied().ok_or_else(|| {
                Complaint::unreadable(format!("the branch is not a number from 1 to {}", ways.len()))
            })
        };
        let chosen = asker.ask_for(&[Label::One("Branch")], Purpose::Judge, messages, read).await?;
        Ok(chosen.unwrap_or(ways[0]))
    }
}

/// The root of a tree, which has no action.
const ROOT: usize = 0;

/// Plans with common prefixes merged.
#[derive(Debug, PartialEq)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, PartialEq)]
struct Node {
    action: String,
    parent: usize,
    /// The way of most plans first.
    children: Vec<usize>,
    /// Plans that go through it.
    plans: usize,
    valid: bool,
}

impl Tree {
    fn new() -> Self {
        let (action, children) = Default::default();
        Self { nodes: vec![Node { action, parent: ROOT, children, plans: 0, valid: true }] }
    }

    fn merged<'p>(plans: impl Iterator<Item = &'p [String]>) -> Self {
        let mut tree = Self::new();
        for plan in plans {
            let mut at = ROOT;
            for action in plan {
                at = tree.child(at, action).unwrap_or_else(|| tree.grow(at, action));
                tree.nodes[at].plans += 1;
            }
        }
        for index in 0..tree.nodes.len() {
            let mut children = std::mem::take(&mut tree.nodes[index].children);
            children.sort_by_key(|child| std::cmp::Reverse(tree.nodes[*child].plans));
            tree.nodes[index].children = children;
        }
        tree
    }

    fn grow(&mut self, parent: usize, action: &str) -> usize {
        let (action, new) = (action.to_owned(), self.nodes.len());
        self.nodes.push(Node { action, parent, children: Vec::new(), plans: 0, valid: true });
        self.nodes[parent].children.push(new);
        new
    }

    fn child(&self, of: usize, action: &str) -> Option<usize> {
        let children = &self.nodes[of].children;
        children.iter().copied().find(|child| self.nodes[*child].action == action)
    }

    /// The valid children of a node.
    fn ways(&self, from: usize) -> Vec<usize> {
        self.nodes[from].children.iter().copied().filter(|child| self.nodes[*child].valid).collect()
    }

    /// `at`, or else its nearest ancestor with a valid child; those in between are invalid.
    fn backtrack(&mut self, mut at: usize) -> usize {
        while at != ROOT && self.ways(at).is_empty() {
            self.nodes[at].valid = false;
            at = self.nodes[at].parent;
        }
        at
    }

    /// `node` and what follows as long as there is only one way.
    fn trunk(&self, mut node: usize) -> String {
        let mut actions = vec![self.nodes[node].action.as_str()];
        while let [only] = self.ways(node)[..] {
            actions.push(&self.nodes[only].action);
            node = only;
        }
        actions.join(", then ")
    }

    /// One line for each node below the root, indented by its depth.
    fn written(&self) -> String {
        fn below(tree: &Tree, node: usize, depth: usize, out: &mut String) {
            for child in &tree.nodes[node].children {
                *out += &format!("\n{}- {}", "  ".repeat(depth), tree.nodes[*child].action);
                below(tree, *child, depth + 1, out);
            }
        }
        let mut out = MARKER.to_owned();
        below(self, ROOT, 0, &mut out);
        out
    }

    fn read(thought: &str) -> Option<Self> {
        let (_, lines) = thought.split_once(MARKER)?;
        let (mut tree, mut path) = (Self::new(), vec![ROOT]);
        for line in lines.lines() {
            let bare = line.trim_start_matches(' ');
            let Some(action) = bare.strip_prefix("- ") else { continue };
            path.truncate((line.len() - bare.len()) / 2 + 1);
            let new = tree.grow(*path.last().expect("the root"), action);
            path.push(new);
        }
        Some(tree)
    }
}

/// The same without trees in the thoughts.
fn without_trees(context: &DecisionContext) -> DecisionContext {
    let mut context = context.clone();
    for Exchange { thought, .. } in &mut context.history {
        if let Some(at) = thought.find(MARKER) {
            thought.truncate(thought[..at].trim_end().len());
        }
    }
    context
}

#[async_trait]
impl Planner for TreePlanner {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "tree-planner"));
        let kept = self.resume(&context).filter(|(tree, at)| !tree.ways(*at).is_empty());
        let context = without_trees(&context);
        let (new, (tree, at)) = match kept {
            Some(kept) => (false, kept),
            None => (true, (self.sample(&mut asker, &context, &models).await?, ROOT)),
        };
        let ways = tree.ways(at);
        let node = match ways[..] {
            [] => {
                // No plan could be read.
                return improvise(&mut asker, &self.prompts, &context).await;
            }
            [only] => only,
            // The way of most plans.
            [first, ..] if !affordable(&models, 1).await? => first,
            _ => self.branch(&mut asker, &context, &tree, &ways).await?,
        };
        let mut thought = format!("Next: {}.", tree.trunk(node));
        if new {
            thought += &format!("\n\n{}", tree.written());
        }
        let shown: Vec<_> = ways.iter().map(|way| &tree.nodes[*way].action).collect();
        let invalid = tree.nodes.iter().filter(|node| !node.valid).count();
        let details = json!({ "nodes": tree.nodes.len() - 1, "invalid": invalid, "ways": shown });
        let trace = Trace { details, ..asker.unread.trace() };
        let action = toolbox::action(&tree.nodes[node].action, &context.turn);
        Ok(Decision { thought, action, trace, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "tree-planner", summary: "whole plans, sampled at once and merged into a tree of actions (Tree-Planner)",
    config: TreePlannerConfig,
    new: |config, _host| async move { Ok(Arc::new(TreePlanner::new(config)?) as _) },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_written_into_a_thought_and_read_back() {
        let plan = |actions: &str| actions.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let plans = [plan("key chest"), plan("door"), plan("key door gold"), plan("key door")];
        let tree = Tree::merged(plans.iter().map(Vec::as_slice));
        let written = tree.written();
        assert_eq!(written, "Action tree:\n- key\n  - door\n    - gold\n  - chest\n- door");
        let read = Tree::read(&format!("Next: key.\n\n{written}")).unwrap();
        assert_eq!(read.written(), written);
        assert_eq!(read.trunk(read.ways(ROOT)[1]), "door");
    }
}
