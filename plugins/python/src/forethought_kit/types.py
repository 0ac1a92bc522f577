"""The data that cross Forethought's interfaces. Written by generate.py; do not edit it.

Each class has `from_wire`, which reads a JSON object and ignores keys that it does not know, and `to_wire`, which
writes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

#: How an interrupted episode is resumed.
Recovery = Literal["replay", "restart", "unknown"]
#: Why a request is made: selects a model, a budget and a line of the trace. Never sent to a provider.
Purpose = Literal["thought", "action", "outcomes", "refine", "summarise", "reflect", "judge", "persona", "other"]
#: The author of a message.
Role = Literal["system", "user", "assistant", "tool", "unknown"]
#: Why an answer ended.
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@dataclass(slots=True)
class EnvironmentSpec:
    """Describes an environment."""

    #: Kind name, such as `webshop`.
    name: str = ""
    #: Version of the rules: episodes of different versions are not comparable.
    version: str = ""
    #: The seats, in order.
    seats: list[SeatSpec] = field(default_factory=list)
    #: Number of tasks; task ids start at 0. `None` if unlimited.
    tasks: int | None = None
    #: The rules and the action grammar, as given to every seat.
    instructions: str = ""
    #: Whether `Environment.fork` returns copies.
    fork: bool = False
    #: How an interrupted episode is resumed.
    recovery: Recovery = "replay"
    #: Number of decisions after which the episode is truncated; `None` for no limit.
    max_steps: int | None = None
    #: Keys of its configuration that have no effect because another overrides them, and why. No run begins
    #: with them; what began before they were listed here continues.
    overridden: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> EnvironmentSpec:
        get = wire.get
        return cls(
            get("name", ""),
            get("version", ""),
            [SeatSpec.from_wire(v) for v in get("seats") or ()],
            get("tasks", None),
            get("instructions", ""),
            get("fork", False),
            get("recovery", "replay"),
            get("max_steps", None),
            dict(get("overridden") or ()),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "seats": [v.to_wire() for v in self.seats],
            "tasks": self.tasks,
            "instructions": self.instructions,
            "fork": self.fork,
            "recovery": self.recovery,
            "max_steps": self.max_steps,
            "overridden": self.overridden,
        }


@dataclass(slots=True)
class SeatSpec:
    """A place for one player."""

    #: Name, such as `agent`, `player 3`, `donor`. Config maps seat names to planners.
    name: str = ""
    #: Instructions for this seat, in addition to the common ones.
    instructions: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> SeatSpec:
        get = wire.get
        return cls(
            get("name", ""),
            get("instructions", ""),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "instructions": self.instructions,
        }


@dataclass(slots=True)
class Reset:
    """Which episode to start."""

    #: Task id, below `EnvironmentSpec.tasks`.
    task: int = 0
    #: Seed of all randomness in this episode.
    seed: int = 0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Reset:
        get = wire.get
        return cls(
            get("task", 0),
            get("seed", 0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "seed": self.seed,
        }


@dataclass(slots=True)
class Imagine:
    """Which of the worlds that a seat considers possible to return: see `Environment.imagine`."""

    #: The seat: index into `EnvironmentSpec.seats`.
    seat: int = 0
    #: Seed of everything that is drawn again, and of everything that the copy draws later.
    seed: int = 0
    #: A planner's belief about what is hidden from the seat, in the environment's own format (Avalon:
    #: `{"roles": ["merlin", ...]}`); null leaves it to the seed.
    hidden: Any = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Imagine:
        get = wire.get
        return cls(
            get("seat", 0),
            get("seed", 0),
            get("hidden", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "seat": self.seat,
            "seed": self.seed,
            "hidden": self.hidden,
        }


@dataclass(slots=True)
class Turn:
    """One seat is asked to act."""

    #: Index into `EnvironmentSpec.seats`.
    seat: int = 0
    #: What this seat sees now, and nothing that is hidden from it.
    observation: Observation = field(default_factory=lambda: Observation())
    #: Every legal action, if they can be listed; empty otherwise.
    legal_actions: list[str] = field(default_factory=list)
    #: The tools whose calls are actions here; empty in a world whose actions are text.
    tools: list[Tool] = field(default_factory=list)
    #: How they may be called.
    call_rule: CallRule = field(default_factory=lambda: CallRule())

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Turn:
        get = wire.get
        return cls(
            get("seat", 0),
            Observation.from_wire(get("observation") or {}),
            list(get("legal_actions") or ()),
            [Tool.from_wire(v) for v in get("tools") or ()],
            CallRule.from_wire(get("call_rule") or {}),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "seat": self.seat,
            "observation": self.observation.to_wire(),
            "legal_actions": self.legal_actions,
            "tools": [v.to_wire() for v in self.tools],
            "call_rule": self.call_rule.to_wire(),
        }


@dataclass(slots=True)
class Observation:
    """What a seat sees."""

    #: For people and language models.
    text: str = ""
    #: The same in structured form, if the environment has one; never more than the text says.
    data: Any = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Observation:
        get = wire.get
        return cls(
            get("text", ""),
            get("data", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "data": self.data,
        }


@dataclass(slots=True)
class Tool:
    """A tool that a model may call."""

    #: Name.
    name: str = ""
    #: What it does.
    description: str = ""
    #: JSON Schema of its arguments.
    parameters: Any = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Tool:
        get = wire.get
        return cls(
            get("name", ""),
            get("description", ""),
            get("parameters", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }


@dataclass(slots=True)
class CallRule:
    """How the tools of a turn may be called. Without a rule, an action is any number of calls, or words."""

    #: Words without a call are no action.
    required: bool = False
    #: An action is one call at the most.
    single: bool = False

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> CallRule:
        get = wire.get
        return cls(
            get("required", False),
            get("single", False),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "required": self.required,
            "single": self.single,
        }


@dataclass(slots=True)
class Action:
    """What a seat does."""

    #: In the environment's grammar, such as `click[buy now]`; of calls their canonical text: see `tools`.
    text: str = ""
    #: The calls, where they were made as such. A world with tools reads those that are only written from
    #: the text: see `Action.calls`.
    calls: list[ToolCall] = field(default_factory=list)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Action:
        get = wire.get
        return cls(
            get("text", ""),
            [ToolCall.from_wire(v) for v in get("calls") or ()],
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "calls": [v.to_wire() for v in self.calls],
        }


@dataclass(slots=True)
class ToolCall:
    """A call of a tool."""

    #: Identifies the call within the chat.
    id: str = ""
    #: The tool's name.
    name: str = ""
    #: Its arguments.
    arguments: Any = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ToolCall:
        get = wire.get
        return cls(
            get("id", ""),
            get("name", ""),
            get("arguments", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "arguments": self.arguments,
        }


@dataclass(slots=True)
class Transition:
    """The result of an action."""

    #: The next turn; after the end, the last view of the acting seat.
    turn: Turn = field(default_factory=lambda: Turn())
    #: Reward of each seat for this step, in the order of the seats.
    rewards: list[float] = field(default_factory=list)
    #: The episode ended by the world's own rules: there is no future after this state.
    terminated: bool = False
    #: The episode was cut off (by a step limit): a future exists but is not played. Never both.
    truncated: bool = False
    #: Whether the task was solved, if the environment knows; set at the end.
    success: bool | None = None
    #: The action was not possible: it was refused, had no effect, or was replaced. Counted, and never shown
    #: to a planner.
    illegal: bool = False
    #: Diagnostics for logs and reports (parts of the reward). Never shown to a planner.
    info: Any = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Transition:
        get = wire.get
        return cls(
            Turn.from_wire(get("turn") or {}),
            list(get("rewards") or ()),
            get("terminated", False),
            get("truncated", False),
            get("success", None),
            get("illegal", False),
            get("info", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "turn": self.turn.to_wire(),
            "rewards": self.rewards,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "success": self.success,
            "illegal": self.illegal,
            "info": self.info,
        }


@dataclass(slots=True)
class DecisionContext:
    """What a planner knows when it decides."""

    #: The environment's description, including its instructions.
    environment: EnvironmentSpec = field(default_factory=lambda: EnvironmentSpec())
    #: The seat that acts.
    seat: int = 0
    #: Number of earlier decisions in this episode, by any seat.
    step: int = 0
    #: What this seat has seen, thought and done so far, oldest first.
    history: list[Exchange] = field(default_factory=list)
    #: What it sees now.
    turn: Turn = field(default_factory=lambda: Turn())
    #: Whether the episode is over (for summarisers).
    ended: bool = False
    #: Seed of this decision, from which every draw of the planner derives.
    seed: int = 0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> DecisionContext:
        get = wire.get
        return cls(
            EnvironmentSpec.from_wire(get("environment") or {}),
            get("seat", 0),
            get("step", 0),
            [Exchange.from_wire(v) for v in get("history") or ()],
            Turn.from_wire(get("turn") or {}),
            get("ended", False),
            get("seed", 0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "environment": self.environment.to_wire(),
            "seat": self.seat,
            "step": self.step,
            "history": [v.to_wire() for v in self.history],
            "turn": self.turn.to_wire(),
            "ended": self.ended,
            "seed": self.seed,
        }


@dataclass(slots=True)
class Exchange:
    """One earlier decision of the same seat."""

    #: What it saw.
    observation: str = ""
    #: What it thought.
    thought: str = ""
    #: What it did.
    action: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Exchange:
        get = wire.get
        return cls(
            get("observation", ""),
            get("thought", ""),
            get("action", ""),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "observation": self.observation,
            "thought": self.thought,
            "action": self.action,
        }


@dataclass(slots=True)
class Decision:
    """What a planner decided."""

    #: The private strategy that was acted on.
    thought: str = ""
    #: The action.
    action: Action = field(default_factory=lambda: Action())
    #: The summary that the planner used, if it made one; saves a collector the same call.
    summary: Summary | None = None
    #: How the decision was reached: see `Trace`.
    trace: Trace = field(default_factory=lambda: Trace())

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Decision:
        get = wire.get
        return cls(
            get("thought", ""),
            Action.from_wire(get("action") or {}),
            Summary.from_wire(wire["summary"]) if get("summary") is not None else None,
            Trace.from_wire(get("trace") or {}),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "thought": self.thought,
            "action": self.action.to_wire(),
            "summary": None if self.summary is None else self.summary.to_wire(),
            "trace": self.trace.to_wire(),
        }


@dataclass(slots=True)
class Summary:
    """A summary of a history."""

    #: A compact, decision-relevant description.
    state: str = ""
    #: One sentence on the current situation, in the style of an imagined outcome.
    outcome: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Summary:
        get = wire.get
        return cls(
            get("state", ""),
            get("outcome", ""),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "outcome": self.outcome,
        }


@dataclass(slots=True)
class Trace:
    """How a decision was reached, round by round."""

    #: Evaluated thoughts, in order.
    rounds: list[Round] = field(default_factory=list)
    #: Answers that could not be parsed, and how the planner recovered.
    recoveries: list[str] = field(default_factory=list)
    #: Counts of answers that were `unreadable`, `cut`, `several` (different actions), `refused` or `empty`;
    #: of second requests (`repeated`); `unread`: 1 if the decision went on without something that it asked
    #: for twice; `unevaluated`: 1 if it follows a thought that no critic weighed, though one should have;
    #: `abstained`: 1 if the critic had no data on any outcome of the last round.
    faults: dict[str, int] = field(default_factory=dict)
    #: Anything else that a planner wants to show (a search tree, beliefs).
    details: Any = None
    #: What the planners decided that this one asked, in the order in which it asked them.
    decisions: list[InnerDecision] = field(default_factory=list)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Trace:
        get = wire.get
        return cls(
            [Round.from_wire(v) for v in get("rounds") or ()],
            list(get("recoveries") or ()),
            dict(get("faults") or ()),
            get("details", None),
            [InnerDecision.from_wire(v) for v in get("decisions") or ()],
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "rounds": [v.to_wire() for v in self.rounds],
            "recoveries": self.recoveries,
            "faults": self.faults,
            "details": self.details,
            "decisions": [v.to_wire() for v in self.decisions],
        }


@dataclass(slots=True)
class Round:
    """One round of refinement."""

    #: The thought being judged.
    thought: str = ""
    #: Its imagined outcomes with their values.
    outcomes: list[ValuedOutcome] = field(default_factory=list)
    #: Whether the thought was kept.
    kept: bool = False

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Round:
        get = wire.get
        return cls(
            get("thought", ""),
            [ValuedOutcome.from_wire(v) for v in get("outcomes") or ()],
            get("kept", False),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "thought": self.thought,
            "outcomes": [v.to_wire() for v in self.outcomes],
            "kept": self.kept,
        }


@dataclass(slots=True)
class ValuedOutcome:
    """An imagined outcome and the critic's estimate of it."""

    #: The outcome in words.
    text: str = ""
    #: Whether the model called it desirable.
    good: bool = False
    #: Calibrated probability.
    probability: float = 0.0
    #: Raw value.
    raw: float = 0.0
    #: The critic's own uncertainty.
    uncertainty: float = 0.0
    #: The sentence that the critic knows this outcome by, if it is another one.
    known_as: str | None = None
    #: The usual probability of this outcome in the critic's data.
    usual: float | None = None
    #: Mean score of the recorded episodes that reached this outcome.
    mean_return: float | None = None
    #: Whether it is outside the critic's data, so that its probability means nothing and is not shown.
    outside: bool = False
    #: Whether it is outside the critic's data, and is shown nevertheless, with a remark.
    strange: bool = False
    #: How far the question was from the critic's data: see `Estimate.distance`.
    distance: float | None = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ValuedOutcome:
        get = wire.get
        return cls(
            get("text", ""),
            get("good", False),
            get("probability", 0.0),
            get("raw", 0.0),
            get("uncertainty", 0.0),
            get("known_as", None),
            get("usual", None),
            get("mean_return", None),
            get("outside", False),
            get("strange", False),
            get("distance", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "good": self.good,
            "probability": self.probability,
            "raw": self.raw,
            "uncertainty": self.uncertainty,
            "known_as": self.known_as,
            "usual": self.usual,
            "mean_return": self.mean_return,
            "outside": self.outside,
            "strange": self.strange,
            "distance": self.distance,
        }


@dataclass(slots=True)
class InnerDecision:
    """What a planner decided that another planner asked."""

    #: The planner's name under `[planner]`.
    planner: str = ""
    #: The thought that it would act on.
    thought: str = ""
    #: The action that it would take.
    action: str = ""
    #: Whether the planner that asked took this decision.
    taken: bool = False
    #: Why it made no decision.
    error: str | None = None
    #: How it was reached, without faults.
    trace: Trace = field(default_factory=lambda: Trace())

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> InnerDecision:
        get = wire.get
        return cls(
            get("planner", ""),
            get("thought", ""),
            get("action", ""),
            get("taken", False),
            get("error", None),
            Trace.from_wire(get("trace") or {}),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "planner": self.planner,
            "thought": self.thought,
            "action": self.action,
            "taken": self.taken,
            "error": self.error,
            "trace": self.trace.to_wire(),
        }


@dataclass(slots=True)
class Requirements:
    """What a planner needs, by configured names."""

    #: Names under `[llm]`.
    llms: list[str] = field(default_factory=list)
    #: Names under `[critic]`.
    values: list[str] = field(default_factory=list)
    #: Copies of the environment, for tree search: see `Models.fork`.
    fork: bool = False
    #: Log-probabilities from its models.
    logprobs: bool = False
    #: Tool calls by its models.
    tools: bool = False
    #: Answers of its models that follow a JSON schema.
    json_schema: bool = False
    #: The configured summariser: see `Models.summarise`.
    summariser: bool = False
    #: What the planners need that this one asks, by their names under `[planner]`. Each is checked by
    #: itself: an ability that one of them needs is not needed from the models of the others.
    planners: list[tuple[str, Requirements]] = field(default_factory=list)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Requirements:
        get = wire.get
        return cls(
            list(get("llms") or ()),
            list(get("values") or ()),
            get("fork", False),
            get("logprobs", False),
            get("tools", False),
            get("json_schema", False),
            get("summariser", False),
            [(v[0], Requirements.from_wire(v[1])) for v in get("planners") or ()],
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "llms": self.llms,
            "values": self.values,
            "fork": self.fork,
            "logprobs": self.logprobs,
            "tools": self.tools,
            "json_schema": self.json_schema,
            "summariser": self.summariser,
            "planners": [[v[0], v[1].to_wire()] for v in self.planners],
        }


@dataclass(slots=True)
class Allowance:
    """What a decision may still use; `None` has no limit. Calls in flight count with the most that they can use."""

    #: Calls of language models.
    calls: int | None = None
    #: Tokens in and out.
    tokens: int | None = None
    #: US dollars.
    usd: float | None = None
    #: Seconds of wall-clock time.
    seconds: float | None = None
    #: What the largest of this decision's calls needed so far: a hint at what the next one needs.
    largest: LargestCall = field(default_factory=lambda: LargestCall())

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Allowance:
        get = wire.get
        return cls(
            get("calls", None),
            get("tokens", None),
            get("usd", None),
            get("seconds", None),
            LargestCall.from_wire(get("largest") or {}),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "tokens": self.tokens,
            "usd": self.usd,
            "seconds": self.seconds,
            "largest": self.largest.to_wire(),
        }


@dataclass(slots=True)
class LargestCall:
    """The most that a single call of a decision needed: what had to be left for it, and how long it took."""

    #: Tokens in and out.
    tokens: int = 0
    #: US dollars.
    usd: float = 0.0
    #: Seconds of wall-clock time.
    seconds: float = 0.0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> LargestCall:
        get = wire.get
        return cls(
            get("tokens", 0),
            get("usd", 0.0),
            get("seconds", 0.0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "usd": self.usd,
            "seconds": self.seconds,
        }


@dataclass(slots=True)
class CriticQuery:
    """A question to a critic."""

    #: Summary of the history.
    state: str = ""
    #: The strategy being judged.
    thought: str = ""
    #: The outcome, in words.
    outcome: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> CriticQuery:
        get = wire.get
        return cls(
            get("state", ""),
            get("thought", ""),
            get("outcome", ""),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "thought": self.thought,
            "outcome": self.outcome,
        }


@dataclass(slots=True)
class Estimate:
    """A critic's answer."""

    #: Calibrated probability, within [0, 1].
    probability: float = 0.0
    #: The raw value, before calibration.
    raw: float = 0.0
    #: Standard deviation of the probability, as far as the critic knows it: of twins, half the distance
    #: between their estimates. 0 if it does not know.
    uncertainty: float = 0.0
    #: How far the query is from the data that the critic was trained on: the share of held-out questions
    #: that are nearer to them, within [0, 1].
    distance: float | None = None
    #: The outcome of the critic's `StyleCard` that this outcome was read as, by its index.
    known: int | None = None
    #: Whether the query is outside the data that the critic was trained on: the numbers then mean nothing,
    #: and nobody should be shown them.
    outside: bool = False

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Estimate:
        get = wire.get
        return cls(
            get("probability", 0.0),
            get("raw", 0.0),
            get("uncertainty", 0.0),
            get("distance", None),
            get("known", None),
            get("outside", False),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "probability": self.probability,
            "raw": self.raw,
            "uncertainty": self.uncertainty,
            "distance": self.distance,
            "known": self.known,
            "outside": self.outside,
        }


@dataclass(slots=True)
class StyleCard:
    """How the data of a critic's training speak. A planner shows it to the model, which then speaks likewise: a
critic judges best what is said as in its data."""

    #: The outcomes that the critic tells apart, the most frequent first.
    outcomes: list[KnownOutcome] = field(default_factory=list)
    #: Typical summaries of states.
    states: list[str] = field(default_factory=list)
    #: Typical thoughts, the most frequent first.
    thoughts: list[str] = field(default_factory=list)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> StyleCard:
        get = wire.get
        return cls(
            [KnownOutcome.from_wire(v) for v in get("outcomes") or ()],
            list(get("states") or ()),
            list(get("thoughts") or ()),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "outcomes": [v.to_wire() for v in self.outcomes],
            "states": self.states,
            "thoughts": self.thoughts,
        }


@dataclass(slots=True)
class KnownOutcome:
    """An outcome that a critic tells apart from others."""

    #: One sentence for it.
    text: str = ""
    #: The yardstick of its values: the mean calibrated probability over the states and thoughts of the
    #: data.
    usual: float = 0.0
    #: Mean score of the recorded episodes that reached it.
    mean_return: float | None = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> KnownOutcome:
        get = wire.get
        return cls(
            get("text", ""),
            get("usual", 0.0),
            get("mean_return", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "usual": self.usual,
            "mean_return": self.mean_return,
        }


@dataclass(slots=True)
class EncoderSpec:
    """Describes an encoder; written into checkpoints and compared when they are loaded."""

    #: Identity: kind, model and every setting that affects the vectors.
    id: str = ""
    #: Revision of the weights, if there are any.
    revision: str | None = None
    #: Length of a vector.
    dimension: int = 0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> EncoderSpec:
        get = wire.get
        return cls(
            get("id", ""),
            get("revision", None),
            get("dimension", 0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "revision": self.revision,
            "dimension": self.dimension,
        }


@dataclass(slots=True)
class LlmCapabilities:
    """What a backend can do."""

    #: The provider's name of the model; part of episode ids and cache keys.
    model: str = ""
    #: Token streams.
    streaming: bool = False
    #: Tool calls.
    tools: bool = False
    #: Answers that follow a JSON schema.
    json_schema: bool = False
    #: Log-probabilities of tokens.
    logprobs: bool = False
    #: Seeds are honoured.
    seed: bool = False
    #: Calls cost no money, as with a model on this machine: a spending limit needs no price for it.
    free: bool = False
    #: Most answers per call of the provider; more samples take several calls, each with its own charge and
    #: its own failures. 0 for no limit.
    samples: int = 0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> LlmCapabilities:
        get = wire.get
        return cls(
            get("model", ""),
            get("streaming", False),
            get("tools", False),
            get("json_schema", False),
            get("logprobs", False),
            get("seed", False),
            get("free", False),
            get("samples", 0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "streaming": self.streaming,
            "tools": self.tools,
            "json_schema": self.json_schema,
            "logprobs": self.logprobs,
            "seed": self.seed,
            "free": self.free,
            "samples": self.samples,
        }


@dataclass(slots=True)
class ChatRequest:
    """A request for a completion."""

    #: Why the request is made.
    purpose: Purpose = "other"
    #: The chat so far.
    messages: list[Message] = field(default_factory=list)
    #: Number of answers requested.
    samples: int = 1
    #: Sampling temperature; `None` leaves it to the backend.
    temperature: float | None = None
    #: Maximum length of an answer, in tokens.
    max_tokens: int | None = None
    #: Strings that end an answer.
    stop: list[str] = field(default_factory=list)
    #: Seed, for backends that honour seeds.
    seed: int | None = None
    #: Tools that the model may call.
    tools: list[Tool] = field(default_factory=list)
    #: JSON Schema that the answer must follow.
    json_schema: Any = None
    #: Whether to return log-probabilities.
    logprobs: bool = False

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ChatRequest:
        get = wire.get
        return cls(
            get("purpose", "other"),
            [Message.from_wire(v) for v in get("messages") or ()],
            get("samples", 1),
            get("temperature", None),
            get("max_tokens", None),
            list(get("stop") or ()),
            get("seed", None),
            [Tool.from_wire(v) for v in get("tools") or ()],
            get("json_schema", None),
            get("logprobs", False),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "purpose": self.purpose,
            "messages": [v.to_wire() for v in self.messages],
            "samples": self.samples,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": self.stop,
            "seed": self.seed,
            "tools": [v.to_wire() for v in self.tools],
            "json_schema": self.json_schema,
            "logprobs": self.logprobs,
        }


@dataclass(slots=True)
class Message:
    """One message of a chat."""

    #: The author.
    role: Role = "user"
    #: The text.
    content: str = ""
    #: Tool calls that the assistant makes in this message.
    tool_calls: list[ToolCall] = field(default_factory=list)
    #: For a tool's result, the id of the call that it answers.
    tool_call_id: str | None = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Message:
        get = wire.get
        return cls(
            get("role", "user"),
            get("content", ""),
            [ToolCall.from_wire(v) for v in get("tool_calls") or ()],
            get("tool_call_id", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "content": self.content,
            "tool_calls": [v.to_wire() for v in self.tool_calls],
            "tool_call_id": self.tool_call_id,
        }


@dataclass(slots=True)
class Completion:
    """The response to a request."""

    #: The answers, as many as samples were requested.
    choices: list[Choice] = field(default_factory=list)
    #: Tokens used.
    usage: Usage = field(default_factory=lambda: Usage())
    #: The provider's response body, if kept.
    raw: Any = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Completion:
        get = wire.get
        return cls(
            [Choice.from_wire(v) for v in get("choices") or ()],
            Usage.from_wire(get("usage") or {}),
            get("raw", None),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "choices": [v.to_wire() for v in self.choices],
            "usage": self.usage.to_wire(),
            "raw": self.raw,
        }


@dataclass(slots=True)
class Choice:
    """One answer."""

    #: The text.
    text: str = ""
    #: The reasoning before it, if the provider keeps it apart; no part of the answer.
    reasoning: str = ""
    #: Why it ended.
    finish: FinishReason = "stop"
    #: Natural logarithms of token probabilities, if requested and supported.
    logprobs: list[TokenLogprob] = field(default_factory=list)
    #: Tool calls.
    tool_calls: list[ToolCall] = field(default_factory=list)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Choice:
        get = wire.get
        return cls(
            get("text", ""),
            get("reasoning", ""),
            get("finish", "stop"),
            [TokenLogprob.from_wire(v) for v in get("logprobs") or ()],
            [ToolCall.from_wire(v) for v in get("tool_calls") or ()],
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "finish": self.finish,
            "logprobs": [v.to_wire() for v in self.logprobs],
            "tool_calls": [v.to_wire() for v in self.tool_calls],
        }


@dataclass(slots=True)
class TokenLogprob:
    """A token and its log-probability."""

    #: The token's text.
    token: str = ""
    #: Natural logarithm of its probability.
    logprob: float = 0.0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> TokenLogprob:
        get = wire.get
        return cls(
            get("token", ""),
            get("logprob", 0.0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "token": self.token,
            "logprob": self.logprob,
        }


@dataclass(slots=True)
class Usage:
    """Token counts by the provider's own tokenizer."""

    #: Tokens of the request.
    input_tokens: int = 0
    #: Tokens of all answers together.
    output_tokens: int = 0

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Usage:
        get = wire.get
        return cls(
            get("input_tokens", 0),
            get("output_tokens", 0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


@dataclass(slots=True)
class Trajectory:
    """One seat's steps through one episode."""

    #: Identifies the episode; training and validation data are split by it.
    episode: str = ""
    #: Environment's kind name.
    environment: str = ""
    #: Task id.
    task: int = 0
    #: Seed of the episode.
    seed: int = 0
    #: The seat that acted.
    seat: int = 0
    #: Where it comes from: a planner's name, or the data set it was imported from.
    source: str = ""
    #: The steps, in order.
    steps: list[Step] = field(default_factory=list)
    #: What the agent was told before it began, where that is known: the system prompt.
    instructions: str = ""
    #: The tools whose calls are its actions, where they are known.
    tools: list[Tool] = field(default_factory=list)
    #: What else is known of the episode: scores, models, times, anything that its source recorded.
    info: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Trajectory:
        get = wire.get
        return cls(
            get("episode", ""),
            get("environment", ""),
            get("task", 0),
            get("seed", 0),
            get("seat", 0),
            get("source", ""),
            [Step.from_wire(v) for v in get("steps") or ()],
            get("instructions", ""),
            [Tool.from_wire(v) for v in get("tools") or ()],
            dict(get("info") or ()),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "episode": self.episode,
            "environment": self.environment,
            "task": self.task,
            "seed": self.seed,
            "seat": self.seat,
            "source": self.source,
            "steps": [v.to_wire() for v in self.steps],
            "instructions": self.instructions,
            "tools": [v.to_wire() for v in self.tools],
            "info": self.info,
        }


@dataclass(slots=True)
class Step:
    """A decision and its result."""

    #: What the seat saw.
    observation: str = ""
    #: Summary of the history up to here: the critic's state.
    state: str = ""
    #: The private strategy.
    thought: str = ""
    #: The action taken.
    action: str = ""
    #: Summary of the history after the action: the critic's next state.
    next_state: str = ""
    #: One-sentence descriptions of the state reached, in the style of imagined outcomes: additional goals.
    outcomes: list[str] = field(default_factory=list)
    #: Reward of this step.
    reward: float = 0.0
    #: The episode ended here by its own rules.
    terminated: bool = False
    #: The episode was cut off here.
    truncated: bool = False
    #: What else is known of it: ids of calls, tokens, times.
    info: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Step:
        get = wire.get
        return cls(
            get("observation", ""),
            get("state", ""),
            get("thought", ""),
            get("action", ""),
            get("next_state", ""),
            list(get("outcomes") or ()),
            get("reward", 0.0),
            get("terminated", False),
            get("truncated", False),
            dict(get("info") or ()),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "observation": self.observation,
            "state": self.state,
            "thought": self.thought,
            "action": self.action,
            "next_state": self.next_state,
            "outcomes": self.outcomes,
            "reward": self.reward,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "info": self.info,
        }


@dataclass(slots=True)
class Manifest:
    """The keys that `config.json` of every checkpoint has, at the top level."""

    #: Name and version of the rest of the file, such as `forethought-goal-q/1`. A critic refuses formats
    #: that it does not know. Empty in checkpoints of release 0.1 that do not state it.
    format: str = ""
    #: Which episodes were used for what.
    split: Split = field(default_factory=lambda: Split())
    #: Which tasks were learned from; `None` in checkpoints of release 0.1.
    trained_on: TrainedOn | None = None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Manifest:
        get = wire.get
        return cls(
            get("format", ""),
            Split.from_wire(get("split") or {}),
            TrainedOn.from_wire(wire["trained_on"]) if get("trained_on") is not None else None,
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "split": self.split.to_wire(),
            "trained_on": None if self.trained_on is None else self.trained_on.to_wire(),
        }


@dataclass(slots=True)
class Split:
    """Episode ids by part. An evaluation must leave out `train`, and should leave out `validation`."""

    #: Learned from.
    train: list[str] = field(default_factory=list)
    #: Used to choose the step and to fit the calibration.
    validation: list[str] = field(default_factory=list)
    #: Only measured on.
    test: list[str] = field(default_factory=list)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Split:
        get = wire.get
        return cls(
            list(get("train") or ()),
            list(get("validation") or ()),
            list(get("test") or ()),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }


@dataclass(slots=True)
class TrainedOn:
    """The tasks that a critic has learned from, as `TrainingRequest.trained_on` lists them."""

    #: Hash of the environment's configuration: in another world, the same number is another task.
    configuration: str = ""
    #: Task ids by the environment's name.
    tasks: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> TrainedOn:
        get = wire.get
        return cls(
            get("configuration", ""),
            {k: list(v) for k, v in (get("tasks") or {}).items()},
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "configuration": self.configuration,
            "tasks": self.tasks,
        }
