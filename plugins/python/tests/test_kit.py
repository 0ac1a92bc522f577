"""The kit itself, over a real pipe: nothing here needs more than the standard library and pytest."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest

from forethought_kit import (
    Action,
    Choice,
    Completion,
    Critic,
    DecisionContext,
    Environment,
    Failure,
    Tool,
    ToolCall,
    Turn,
    draws,
    read_calls,
    settings,
    transition,
)
from forethought_kit.check import Plugin, problems
from forethought_kit.parts import World
from forethought_kit.pipe import CANCELLED, PANIC, UNIMPLEMENTED, Message

HERE = Path(__file__).parent
PARTS = """
from forethought_kit import *
import logging, threading, time

@register("slow", "waits")
class Slow(Environment):
    inlined = False
    def reset(self, task, seed):
        print("printed text does not disturb the frames")
        logging.getLogger("slow").warning("task %d", task)
        return "ready"
    def step(self, action):
        if action.text == "nan":
            return transition("a number", float("nan"))
        if action.text == "fail":
            raise Failure("no such door", "input")
        if action.text == "crash":
            return 1 / 0
        while action.text == "wait" and not cancelled():
            time.sleep(0.01)
        return transition("done")

@register("later", "is async")
class Later(Environment):
    inlined = False
    async def step(self, action):
        import asyncio
        await asyncio.sleep(60 if action.text == "wait" else 0)
        return transition("done", 1.0)
    async def reset(self, task, seed):
        return "ready"

@planner("asking", "asks a model twice")
def asking(context, models):
    llm = models.llm("main")
    return llm.ask(context.turn.observation.text) + llm.ask("and?")

@critic("literal")
def literal(query):
    "Trusts thoughts that mention the outcome."
    return 0.9 if query.outcome in query.thought else 0.1

@encoder("letters", 2, "short and long")
def letters(text):
    return (1.0, 0.0) if len(text) < 10 else (3.0, 4.0)

serve()
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    file = tmp_path_factory.mktemp("parts") / "parts.py"
    file.write_text(PARTS)
    with Plugin([sys.executable, str(file)]) as plugin:
        yield plugin


def component(plugin, kind):
    [described] = [one for one in plugin.describe() if one["kind"] == kind]
    return plugin.create(described, {})


def test_the_example_keeps_the_rules():
    assert problems(str(HERE.parent / "examples/tide_pools.py")) == []


def test_broken_rules_are_found(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(
        "import random\nfrom forethought_kit import *\n\n@register('dice')\nclass Dice(Environment):\n"
        "    def __init__(self, **more): pass\n"
        "    def reset(self, task, seed): return turn('roll', ['roll', 'roll'])\n"
        "    def step(self, action): return transition(str(random.random()), [1.0, 2.0], legal=['roll', 'roll'])\n\nserve()\n")
    found = "\n".join(problems(str(file)))
    for text in ("unknown key", "listed twice", "2 rewards for 1 seats", "give another episode"):
        assert text in found


def test_errors_say_what_they_are(plugin):
    world = World(component(plugin, "slow").call("spawn").object({"object": 0}))
    said = []
    plugin.pipe.logs = lambda *line: said.append(line)
    world.reset(3, 7)
    assert ("warn", "slow", "task 3") in said
    with pytest.raises(Failure, match="no such door") as own:
        world.step("fail")
    assert own.value.code == "input"
    with pytest.raises(Failure, match="ZeroDivisionError") as crash:
        world.step("crash")
    assert crash.value.status == PANIC and "parts.py" in str(crash.value)
    with pytest.raises(Failure, match="NaN"):
        world.step("nan")
    with pytest.raises(Failure) as unknown:
        world.imagine(0, 1), world.reference.call("dance")
    assert unknown.value.status == UNIMPLEMENTED


@pytest.mark.parametrize("kind", ["slow", "later"])
def test_a_call_is_withdrawn(plugin, kind):
    world = World(component(plugin, kind).call("spawn").object({"object": 0}))
    world.reset(0, 0)
    start = time.monotonic()
    with pytest.raises(Failure, match="no answer within"):
        world.reference.call("step", 0.2, action={"text": "wait"})
    assert world.step("go").turn.observation.text in ("done",)
    assert time.monotonic() - start < 30
    assert CANCELLED == 3


def test_a_planner_asks_the_models_of_the_program(plugin):
    class Llm:
        interface = "forethought.llm/1"

        def inline(self, method):
            return True

        def invoke(self, method, message: Message):
            text = message.body["request"]["messages"][-1]["content"]
            return Completion([Choice(text.upper())]).to_wire()

    class Models:
        interface = "forethought.models/1"

        def inline(self, method):
            return True

        def invoke(self, method, message):
            assert (method, message.body) == ("llm", {"name": "main"})
            return Llm()

    context = DecisionContext(turn=Turn(legal_actions=["x"])).to_wire()
    context["turn"]["observation"]["text"] = "look "
    found = component(plugin, "asking").call("decide", context=context, models=Models())
    assert found.body["action"]["text"] == "LOOK AND?"


def test_matrices_travel_as_bytes(plugin):
    found = component(plugin, "letters").call("encode", texts=["short", "a longer text"])
    assert found.body == {"rows": 2, "columns": 2, "dtype": "f32", "blob": 0}
    import array

    numbers = array.array("f", found.blobs[0])
    assert numbers.tolist() == pytest.approx([1.0, 0.0, 0.6, 0.8])
    query = {"state": "", "thought": "buy red", "outcome": "red"}
    assert component(plugin, "literal").call("estimate", queries=[query]).body[0]["probability"] == 0.9


class Settings(Environment):
    def __init__(self, size: Annotated[int, "Its size.", {"minimum": 1}] = 3, mode: Literal["fast", "slow"] = "fast",
                 names: list[str] | None = None, share: float = 0.5) -> None:
        self.size = size


def test_settings_are_read_from_the_signature():
    schema = settings.schema(Settings)
    assert schema["properties"]["size"] == {"type": "integer", "description": "Its size.", "minimum": 1, "default": 3}
    assert schema["properties"]["names"]["type"] == ["array", "null"]
    assert settings.read(schema, {"size": 4, "names": None}) == {"size": 4}
    for wrong, says in [({"sice": 1}, "did you mean `size`"), ({"size": 0}, "at least 1"), ({"size": True}, "expected integer"),
                        ({"mode": "quick"}, "'fast', 'slow'"), ({"names": [1]}, "element 0")]:
        with pytest.raises(Failure, match=says):
            settings.read(schema, wrong)


def test_calls_are_read_as_they_are_written():
    tools = [Tool("add", "", {"required": ["a"]})]
    assert read_calls(Action('add({"a": 1})'), tools) == ([ToolCall("call_1", "add", {"a": 1})], "")
    assert read_calls(Action("only words"), tools) == ([], "")
    assert "needs the arguments a" in read_calls(Action("add({})"), tools)[1]
    assert "no tool 'sub'" in read_calls(Action('sub({"a": 1})'), tools)[1]


def test_worlds_do_not_share_their_draws():
    import random

    first, second = draws.Draws(), draws.Draws()
    with first.of(7):
        alone = [random.random(), random.random()]
    with first.of(7):
        one = random.random()
    with second.of(8):
        random.random()
    with first.of():
        assert [one, random.random()] == alone


def test_the_types_are_current():
    script = HERE.parent / "generate.py"
    if not (HERE.parents[2] / "core/api").exists():
        pytest.skip("the schema is part of a checkout of Forethought")
    subprocess.run([sys.executable, script, "--check"], check=True)


def test_a_critic_with_too_few_answers_is_refused():
    class Short(Critic):
        def estimate(self, queries):
            return []

    with pytest.raises(ValueError, match="1 queries got 0"):
        Short().invoke("estimate", Message({"queries": [{}]}, [], []))
    assert transition("x").rewards == [0.0]
