//! PDDL in texts: a domain or problem found among other words, and where a planner's domain comes from.

use std::path::PathBuf;

use forethought_sdk::{
    api::text::unmarked,
    prelude::*,
    schemars::{self, Schema, SchemaGenerator},
};
use forethought_strips::{Domain, generate::Known};

/// Where the domain comes from.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(from = "String", into = "String")]
pub enum DomainSource {
    /// The instructions or observations, which have it in PDDL.
    #[default]
    World,
    /// One that ships.
    Known(Known),
    /// A file.
    File(PathBuf),
}

impl From<String> for DomainSource {
    fn from(text: String) -> Self {
        match Known::ALL.into_iter().find(|known| known.name() == text) {
            Some(known) => Self::Known(known),
            None if text == "world" => Self::World,
            None => Self::File(text.into()),
        }
    }
}

impl From<DomainSource> for String {
    fn from(source: DomainSource) -> Self {
        match source {
            DomainSource::World => "world".into(),
            DomainSource::Known(known) => known.name().into(),
            DomainSource::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl JsonSchema for DomainSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DomainSource".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = ["world"].into_iter().chain(Known::ALL.map(Known::name));
        let mut any: Vec<_> =
            names.map(|name| forethought_sdk::serde_json::json!({ "const": name })).collect();
        any.push(forethought_sdk::serde_json::json!({ "type": "string", "format": "path" }));
        schemars::json_schema!({ "anyOf": any })
    }
}

/// A domain that is known before the first episode, or the wish to read it from the world.
#[derive(Debug, Clone)]
pub(crate) enum Rules {
    World,
    Known(Arc<Domain>),
}

impl DomainSource {
    /// Reads the file, if it is one.
    ///
    /// # Errors
    /// A file that cannot be read, or its first fault, with its place.
    pub(crate) fn read(&self) -> Result<Rules> {
        match self {
            Self::World => Ok(Rules::World),
            Self::Known(known) => Ok(Rules::Known(known.domain())),
            Self::File(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::config(format!("the domain {name} cannot be read: {error}")))?;
                let domain = Domain::parse(&name, unmarked(&text));
                Ok(Rules::Known(Arc::new(domain.map_err(|fault| Error::config(fault.to_string()))?)))
            }
        }
    }
}

impl Rules {
    /// The domain in this decision.
    ///
    /// # Errors
    /// If the world does not show it.
    pub(crate) fn domain(&self, context: &DecisionContext) -> Result<Arc<Domain>> {
        if let Self::Known(domain) = self {
            return Ok(domain.clone());
        }
        let first = context.history.first().map(|first| &first.observation);
        let shown = [&context.environment.instructions, &context.turn.observation.text];
        let text = shown.into_iter().chain(first).find_map(|text| find(text, "domain")).ok_or_else(|| {
            Error::config(
                "the world does not show its domain in PDDL: give it (`rules = \"both\"` in a world of kind `pddl`), or \
                 set `domain` of the planner to a file or to blocksworld, logistics, gripper or sokoban",
            )
        })?;
        Domain::parse("the world's domain", text)
            .map(Arc::new)
            .map_err(|fault| Error::input(fault.to_string()))
    }
}

/// The text of `(define (domain ...) ...)` or `(define (problem ...) ...)` within another one; to the end of the text
/// if it is not closed.
///
/// ```
/// # use forethought_planners_symbolic::pddl::find;
/// let text = "Sure:\n```pddl\n(define (problem p) ; (a comment\n (:init (a)))\n```\nDone (I think).";
/// assert_eq!(find(text, "problem"), Some("(define (problem p) ; (a comment\n (:init (a)))"));
/// assert_eq!(find(text, "domain"), None);
/// ```
pub fn find<'t>(text: &'t str, what: &str) -> Option<&'t str> {
    let starts = text.match_indices("(define").chain(text.match_indices("(DEFINE")).map(|(at, _)| at);
    let start = starts.into_iter().find(|at| {
        let rest = text[at + "(define".len()..].trim_start();
        let rest = rest.strip_prefix('(').unwrap_or_default().trim_start();
        rest.get(..what.len()).is_some_and(|word| word.eq_ignore_ascii_case(what))
    })?;
    Some(closed(&text[start..]))
}

/// The list that a text begins with.
pub(crate) fn closed(text: &str) -> &str {
    let (mut depth, mut comment) = (0_usize, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '\n' => comment = false,
            _ if comment => {}
            ';' => comment = true,
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &text[..=at];
                }
            }
            _ => {}
        }
    }
    // What is behind the fence is no part of it.
    text.split("```").next().unwrap_or(text)
}
