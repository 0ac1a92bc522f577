"""The classes that components derive from, and the objects of the program that they are given."""

from __future__ import annotations

import copy
import inspect
import json
import math
import re
import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from . import settings
from .pipe import BAD_REQUEST, UNIMPLEMENTED, Blob, Failure, Message, Reference
from .types import (
    Action,
    Allowance,
    CallRule,
    ChatRequest,
    Choice,
    Completion,
    CriticQuery,
    Decision,
    DecisionContext,
    EncoderSpec,
    EnvironmentSpec,
    Estimate,
    LlmCapabilities,
    Observation,
    Purpose,
    Recovery,
    Requirements,
    SeatSpec,
    StyleCard,
    Summary,
    Tool,
    ToolCall,
    Transition,
    Turn,
)
from .types import Message as ChatMessage

T = TypeVar("T")
Method = Callable[[Any, Message], Any]


class Component:
    """Something that a configuration names by its `kind`.

    The keyword arguments of `__init__` are the keys of its configuration: see `settings`.
    """

    interface: ClassVar[str] = ""
    #: Its name after `kind =` in configurations; by default the name of the class.
    kind: ClassVar[str] = ""
    #: One line for `forethought list`; by default the first of the class's own text.
    summary: ClassVar[str] = ""
    #: Whether calls run one after the other on the thread that reads them. It saves some 50 microseconds per call,
    #: and such calls must not ask the program for anything, wait, or be `async`.
    inlined: ClassVar[bool] = False
    #: Whether `__init__` may ask the host. Otherwise it runs on the main thread.
    asks: ClassVar[bool] = True
    methods: ClassVar[dict[str, Method]] = {}
    #: Other components by their names in the configuration; set before `__init__` runs.
    host: Host

    @classmethod
    def create(cls, config: dict[str, Any] | None, host: Host | None = None) -> Any:
        """The component that a configuration describes."""
        arguments = settings.read(settings.schema(cls), config)
        self = cls.__new__(cls)
        if host is not None:
            self.host = host
        self.__init__(**arguments)  # type: ignore[misc]
        self._config = config
        return self

    _config: dict[str, Any] | None = None

    @classmethod
    def describe(cls) -> dict[str, Any]:
        text = cls.summary or (inspect.getdoc(cls) or "").split("\n")[0].rstrip(".")
        return {"interface": cls.interface, "kind": cls.kind or cls.__name__.lower(), "summary": text,
                "schema": settings.schema(cls)}

    def inline(self, method: str) -> bool:
        return self.inlined

    def invoke(self, method: str, message: Message) -> Any:
        function = self.methods.get(method)
        if function is None:
            raise Failure(f"{self.interface} has no method `{method}`", status=UNIMPLEMENTED)
        return function(self, message)


def finished(result: Any, then: Callable[[Any], Any]) -> Any:
    """`then` of a result, or of that of an `async` method."""
    if not inspect.isawaitable(result):
        return then(result)

    async def later() -> Any:
        return then(await result)

    return later()


def default(method: str) -> Any:
    """What a method raises that leaves it to the program's default."""
    raise Failure(f"`{method}` is left to its default", status=UNIMPLEMENTED)


def argument(message: Message, name: str) -> Any:
    try:
        return message.body[name]
    except (TypeError, KeyError):
        raise Failure(f"the argument `{name}` is missing", status=BAD_REQUEST) from None


# Environments


def turn(text: str, legal: Iterable[str] = (), *, seat: int = 0, data: Any = None, tools: Iterable[Tool] = (),
         call_rule: CallRule | None = None) -> Turn:
    """What a seat sees: the text, and the legal actions if they can be listed."""
    return Turn(seat, Observation(text, data), list(legal), list(tools), call_rule or CallRule())


def transition(then: Turn | str, reward: float | Sequence[float] = 0.0, *, terminated: bool = False,
               truncated: bool = False, success: bool | None = None, illegal: bool = False, info: Any = None,
               legal: Iterable[str] = ()) -> Transition:
    """The result of an action. `then` is the next turn, or the text of one."""
    rewards = [float(reward)] if isinstance(reward, (int, float)) else [float(one) for one in reward]
    if isinstance(then, str):
        then = turn(then, legal)
    return Transition(then, rewards, terminated, truncated, success, illegal, info)


def read_calls(action: Action, tools: Sequence[Tool]) -> tuple[list[ToolCall], str]:
    """The calls of tools that an action consists of, made or written as `name({"key": "value"})`, one per line; and a
    complaint, if it is a call that does not fit. Words alone are not calls."""
    calls, names = list(action.calls), {tool.name: tool for tool in tools}
    lines = [line.strip() for line in action.text.splitlines() if line.strip()]
    if not calls and lines and all(re.fullmatch(r"\w[\w.-]*\(\{.*\}\)", line) for line in lines):
        for number, line in enumerate(lines, 1):
            name, _, rest = line.partition("(")
            try:
                calls.append(ToolCall(f"call_{number}", name, json.loads(rest[:-1])))
            except ValueError as error:
                return [], f"the arguments of {name} are not JSON: {error}"
    for call in calls if tools else ():
        if call.name not in names:
            return [], f"there is no tool {call.name!r}; there are {', '.join(names)}"
        needed = names[call.name].parameters.get("required") or ()
        missing = [key for key in needed if not isinstance(call.arguments, dict) or key not in call.arguments]
        if missing:
            return [], f"{call.name} needs the arguments {', '.join(missing)}"
    return (calls if tools else []), ""


class Turns:
    """Lets the calls of one world take turns."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __deepcopy__(self, _: Any) -> Turns:
        return Turns()


class Environment(Component):
    """A world that is played through text.

    One object is one world in one state. `reset` starts an episode in it, and replaces all of its state; `step` answers
    an action. The same task and seed give the same episode: draw from `random.Random(f"{task}/{seed}")`.
    """

    interface: ClassVar[str] = "forethought.environment/1"
    inlined: ClassVar[bool] = True
    asks: ClassVar[bool] = False
    #: Version of the rules: episodes of different versions are not comparable.
    version: ClassVar[str] = "1"
    #: The rules and the action grammar, as every seat is given them.
    instructions: str = ""
    #: Names of the seats.
    seats: Sequence[str | SeatSpec] = ("agent",)
    #: Number of tasks; `None` if they have no end.
    tasks: int | None = None
    #: Number of decisions after which the program cuts an episode off.
    max_steps: int | None = None
    #: `replay` if the same actions lead to the same state, else `restart`.
    recovery: Recovery = "replay"
    #: Whether `fork` copies the world. Without it the program copies worlds with `replay` and one seat by repeating
    #: their actions.
    copies: bool = True

    def reset(self, task: int, seed: int) -> Turn | str:
        """Starts an episode."""
        raise NotImplementedError(f"{type(self).__name__} has no `reset(task, seed)`")

    def step(self, action: Action) -> Transition:
        """Applies an action. An illegal one gets an answer with `illegal=True`, not an exception."""
        raise NotImplementedError(f"{type(self).__name__} has no `step(action)`")

    def spec(self) -> EnvironmentSpec:
        seats = [seat if isinstance(seat, SeatSpec) else SeatSpec(seat) for seat in self.seats]
        name = self.kind or type(self).__name__.lower()
        return EnvironmentSpec(name, self.version, seats, self.tasks, self.instructions, self.copies, self.recovery,
                               self.max_steps)

    def spawn(self) -> Environment:
        """A fresh world for one episode. Override it to share what is expensive to build."""
        host = self.__dict__.get("host")
        made: Environment = type(self).create(self._config, host)
        return made

    def fork(self) -> Environment | None:
        """A copy of this very state."""
        return copy.deepcopy(self) if self.copies else None

    def imagine(self, seat: int, seed: int, hidden: Any) -> Environment | None:
        """A copy in which all that is hidden from the seat is drawn again from the seed."""
        return None

    def invoke(self, method: str, message: Message) -> Any:
        if self.inlined:
            return super().invoke(method, message)
        # A call that was given up on may still be at work.
        turns: Turns = self.__dict__.setdefault("_turns", Turns())
        with turns.lock:
            return super().invoke(method, message)

    def _reset(self, message: Message) -> Any:
        reset = argument(message, "reset")
        return finished(self.reset(reset.get("task", 0), reset.get("seed", 0)), as_turn)

    def _step(self, message: Message) -> Any:
        return finished(self.step(Action.from_wire(argument(message, "action"))), as_transition)

    def _imagine(self, message: Message) -> Any:
        imagine = argument(message, "imagine")
        return self.imagine(imagine.get("seat", 0), imagine.get("seed", 0), imagine.get("hidden"))

    methods: ClassVar[dict[str, Method]] = {
        "spec": lambda self, _: finished(self.spec(), EnvironmentSpec.to_wire),
        "spawn": lambda self, _: self.spawn(),
        "reset": lambda self, message: self._reset(message),
        "step": lambda self, message: self._step(message),
        "fork": lambda self, _: self.fork(),
        "imagine": lambda self, message: self._imagine(message),
    }


def as_turn(given: Turn | str) -> dict[str, Any]:
    return (turn(given) if isinstance(given, str) else given).to_wire()


def as_transition(given: Transition) -> dict[str, Any]:
    if not isinstance(given, Transition):
        raise TypeError(f"`step` must return a Transition, such as transition(\"text\", 1.0); it returned {given!r:.200}")
    return given.to_wire()


# Planners, critics, encoders, language models


class Planner(Component):
    """Decides what a seat does. It keeps no state between decisions."""

    interface: ClassVar[str] = "forethought.planner/1"

    def requires(self) -> Requirements:
        """What it needs, by configured names: checked before the first episode. `values` are critics."""
        return Requirements()

    def decide(self, context: DecisionContext, models: Models) -> Decision | str:
        """One decision, or the text of its action. Answers of models come through `models` alone."""
        raise NotImplementedError(f"{type(self).__name__} has no `decide(context, models)`")

    def _decide(self, message: Message) -> Any:
        context = DecisionContext.from_wire(argument(message, "context"))
        models = Models(message.object(argument(message, "models")))
        return finished(self.decide(context, models), as_decision)

    methods: ClassVar[dict[str, Method]] = {
        "requires": lambda self, _: finished(self.requires(), Requirements.to_wire),
        "decide": lambda self, message: self._decide(message),
    }


def as_decision(given: Decision | str) -> dict[str, Any]:
    return (Decision(action=Action(given)) if isinstance(given, str) else given).to_wire()


class Critic(Component):
    """Says how likely an outcome is if a thought is followed from a state."""

    interface: ClassVar[str] = "forethought.value/1"

    def estimate(self, queries: list[CriticQuery]) -> Sequence[Estimate | float]:
        """One estimate, or its probability, for each query. None depends on the others."""
        raise NotImplementedError(f"{type(self).__name__} has no `estimate(queries)`")

    def requires(self) -> Requirements:
        return Requirements()

    def style_card(self) -> StyleCard:
        """How the data of its training speak."""
        return StyleCard()

    def _estimate(self, message: Message) -> Any:
        queries = [CriticQuery.from_wire(one) for one in argument(message, "queries")]

        def answer(given: Sequence[Estimate | float]) -> list[dict[str, Any]]:
            if len(given) != len(queries):
                raise ValueError(f"{len(queries)} queries got {len(given)} estimates")
            return [(one if isinstance(one, Estimate) else Estimate(float(one), float(one))).to_wire() for one in given]

        return finished(self.estimate(queries), answer)

    methods: ClassVar[dict[str, Method]] = {
        "estimate": lambda self, message: self._estimate(message),
        "requires": lambda self, _: finished(self.requires(), Requirements.to_wire),
        "style_card": lambda self, _: finished(self.style_card(), StyleCard.to_wire),
    }


class Encoder(Component):
    """Maps texts to vectors, which are scaled to unit length."""

    interface: ClassVar[str] = "forethought.encoder/1"
    #: Identity: model and every setting that affects the vectors.
    id: str = ""
    revision: str | None = None
    dimension: int = 0

    def spec(self) -> EncoderSpec:
        return EncoderSpec(self.id or self.kind, self.revision, self.dimension)

    def encode(self, texts: list[str]) -> Iterable[Iterable[float]]:
        """One row of numbers for each text."""
        raise NotImplementedError(f"{type(self).__name__} has no `encode(texts)`")

    def _encode(self, message: Message) -> Any:
        texts = argument(message, "texts")
        return finished(self.encode(texts), lambda rows: self._matrix(rows, len(texts)))

    def _matrix(self, rows: Iterable[Iterable[float]], count: int) -> Blob:
        numbers = array("f")
        for row in rows:
            row = [float(number) for number in row]
            length = math.sqrt(sum(number * number for number in row))
            if len(row) != self.dimension:
                raise ValueError(f"a row has {len(row)} numbers, and `dimension` is {self.dimension}")
            if not 0.0 < length < math.inf:
                raise ValueError("a row has no direction: its numbers are all 0, or not finite")
            numbers.extend(number / length for number in row)
        if len(numbers) != count * self.dimension:
            raise ValueError(f"{count} texts got {len(numbers) // max(self.dimension, 1)} rows")
        if numbers.itemsize != 4 or array("H", [1]).tobytes() != b"\1\0":
            numbers.byteswap()
        return Blob(count, self.dimension, numbers.tobytes())

    methods: ClassVar[dict[str, Method]] = {
        "spec": lambda self, _: finished(self.spec(), EncoderSpec.to_wire),
        "encode": lambda self, message: self._encode(message),
    }


class LanguageModel(Component):
    """Answers chats: a model of one's own, or a script that plays one."""

    interface: ClassVar[str] = "forethought.llm/1"

    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities(model=self.kind or type(self).__name__.lower(), free=True)

    def complete(self, request: ChatRequest) -> Completion | str:
        """An answer, or its text; `request.samples` texts are requested."""
        raise NotImplementedError(f"{type(self).__name__} has no `complete(request)`")

    def _complete(self, message: Message) -> Any:
        request = ChatRequest.from_wire(argument(message, "request"))

        def answer(given: Completion | str) -> dict[str, Any]:
            if isinstance(given, str):
                given = Completion([Choice(given, finish="stop") for _ in range(max(request.samples, 1))])
            return given.to_wire()

        return finished(self.complete(request), answer)

    methods: ClassVar[dict[str, Method]] = {
        "capabilities": lambda self, _: finished(self.capabilities(), LlmCapabilities.to_wire),
        "complete": lambda self, message: self._complete(message),
    }


# What the program offers


class Llm:
    """A language model of the program."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities.from_wire(self.reference.call("capabilities").body)

    def complete(self, request: ChatRequest) -> Completion:
        return Completion.from_wire(self.reference.call("complete", request=request.to_wire()).body)

    def ask(self, prompt: str, *, system: str = "", purpose: Purpose = "other", **more: Any) -> str:
        """The text of one answer to a prompt; `more` are fields of `ChatRequest`."""
        messages = [ChatMessage("system", system)] if system else []
        messages.append(ChatMessage("user", prompt))
        found = self.complete(ChatRequest(purpose=purpose, messages=messages, **more))
        return found.choices[0].text if found.choices else ""


class CriticOf:
    """A critic of the program."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def estimate(self, queries: list[CriticQuery]) -> list[Estimate]:
        found = self.reference.call("estimate", queries=[query.to_wire() for query in queries])
        return [Estimate.from_wire(one) for one in found.body]

    def style_card(self) -> StyleCard:
        return StyleCard.from_wire(self.reference.call("style_card").body)


class World:
    """A world of the program, or a copy of one."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def spec(self) -> EnvironmentSpec:
        return EnvironmentSpec.from_wire(self.reference.call("spec").body)

    def reset(self, task: int, seed: int) -> Turn:
        return Turn.from_wire(self.reference.call("reset", reset={"task": task, "seed": seed}).body)

    def step(self, action: Action | str) -> Transition:
        action = Action(action) if isinstance(action, str) else action
        return Transition.from_wire(self.reference.call("step", action=action.to_wire()).body)

    def fork(self) -> World | None:
        return optional(self.reference.call("fork"))

    def spawn(self) -> World:
        found = self.reference.call("spawn")
        return World(found.object(found.body))

    def imagine(self, seat: int, seed: int, hidden: Any = None) -> World | None:
        return optional(self.reference.call("imagine", imagine={"seat": seat, "seed": seed, "hidden": hidden}))


def optional(found: Message) -> World | None:
    return None if found.body is None else World(found.object(found.body))


class Named:
    """Models and critics of the configuration, by their names."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def llm(self, name: str) -> Llm:
        found = self.reference.call("llm", name=name)
        return Llm(found.object(found.body))

    def critic(self, name: str) -> CriticOf:
        found = self.reference.call("value", name=name)
        return CriticOf(found.object(found.body))


class Models(Named):
    """The models, the critics and the world, for one decision. Every call is recorded."""

    def fork(self) -> World | None:
        """A copy of the world in its present state, if it can be copied: needs `Requirements.fork`."""
        return optional(self.reference.call("fork"))

    def imagine(self, hidden: Any, seed: int) -> World | None:
        return optional(self.reference.call("imagine", hidden=hidden, seed=seed))

    def summarise(self, context: DecisionContext) -> Summary:
        """The summary by the configured summariser: needs `Requirements.summariser`."""
        return Summary.from_wire(self.reference.call("summarise", context=context.to_wire()).body)

    def allowance(self) -> Allowance:
        return Allowance.from_wire(self.reference.call("allowance").body)

    def note(self, recoveries: list[str], faults: dict[str, int]) -> None:
        self.reference.call("note", recoveries=recoveries, faults=faults)


class Progress:
    """Receives reports about long work."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def report(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.reference.call("report", stage=stage, done=done, total=total, note=note)


class Host(Named):
    """Other components of the configuration, by their names. An environment needs `asks = True` to ask for them while it is built,
    and `inlined = False` to ask later."""
