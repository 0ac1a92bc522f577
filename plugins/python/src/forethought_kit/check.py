"""Checks components against the rules of their interfaces: `python -m forethought_kit.check my.py`.

If the program `forethought` is found (`--program`, the variable FORETHOUGHT, or PATH), it checks: it has all rules, for
all interfaces. Otherwise the most important rules for environments are checked here, and the result says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .parts import World
from .pipe import Failure, Message, Pipe, Reference
from .types import Transition, Turn

NONSENSE = ["", " \n\t", "no such action", "click[", "]][[", "\0", '{"action": null}', "-1", "\u202e\U0001f40b \u4f60", "9" * 40,
            "x" * 100_000]
LENGTH, SECONDS = 24, 60.0


class NoHost:
    """A host that offers nothing."""

    interface = "forethought.host/1"

    def inline(self, method: str) -> bool:
        return True

    def invoke(self, method: str, message: Message) -> Any:
        raise Failure(f"there is no {method} while a plugin is checked", code="not_found")


class Plugin:
    """A program that serves components, started and spoken to as Forethought does."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.pipe = Pipe(self.process.stdout, self.process.stdin.fileno())  # type: ignore[arg-type]
        self.pipe.logs = lambda level, target, text: print(f"{level}: {target}: {text}", file=sys.stderr)
        self.pipe.hello()
        threading.Thread(target=self.pipe.run, daemon=True).start()
        self.root = Reference(self.pipe, 0, "forethought.module/1")

    def describe(self) -> list[dict[str, Any]]:
        return list(self.root.call("describe", SECONDS).body["components"])

    def create(self, described: dict[str, Any], config: dict[str, Any]) -> Reference:
        create = {"interface": described["interface"], "kind": described["kind"], "config": config}
        found = self.root.call("create", SECONDS, create=create, host=NoHost())
        return found.object(found.body)

    def __enter__(self) -> Plugin:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()


def problems(file: str, config: dict[str, Any] | None = None) -> list[str]:
    """What is wrong with the environments of a file, or of a command in a list of words: the rules that are here."""
    with Plugin([sys.executable, file]) as plugin:
        return [problem for one in plugin.describe() for problem in check(plugin, one, config or {})]


def check(plugin: Plugin, described: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    kind = described["kind"]
    for key, one in described["schema"].get("properties", {}).items():
        if not one.get("description"):
            yield f"{kind}: the key `{key}` of its configuration is not documented"
    try:
        plugin.create(described, {**config, "surely_no_such_key": 1})
        yield f"{kind}: an unknown key of its configuration is not refused"
    except Failure as failure:
        if "surely_no_such_key" not in str(failure):
            yield f"{kind}: the error for an unknown key does not name it: {failure}"
    if described["interface"] == "forethought.environment/1":
        yield from (f"{kind}: {problem}" for problem in environment(World(plugin.create(described, config))))


def environment(root: World) -> Iterator[str]:
    spec = root.spec()
    if spec != root.spec() or not spec.name or not spec.seats:
        yield "its spec must name it and its seats, and never change"
    tasks = [0, (spec.tasks or 1000) - 1]
    for number, task in enumerate(tasks):
        first = Episode(root.spawn(), task, number, len(spec.seats))
        yield from first.problems
        second = Episode(root.spawn(), task, number, len(spec.seats))
        if first.seen != second.seen:
            yield f"task {task}, seed {number}: the same seed and actions give another episode"
        again = Episode(first.world, task, number, len(spec.seats))
        if first.seen != again.seen:
            yield f"task {task}, seed {number}: after a reset, a used world is not like a new one"
        yield from forked(root.spawn(), first, spec.fork)
    world = root.spawn()
    for nonsense in NONSENSE:
        world.reset(0, 0)
        try:
            world.step(nonsense)
        except Failure as failure:
            yield f"the action {nonsense[:40]!r} must get an answer, and not an error: {failure}"
            world = root.spawn()


class Episode:
    """An episode with actions that a seed chooses."""

    def __init__(self, world: World, task: int, seed: int, seats: int) -> None:
        self.world, self.task, self.seed, self.problems = world, task, seed, list[str]()
        self.actions: list[str] = []
        draw = random.Random(seed)
        turn = world.reset(task, seed)
        self.seen: list[Turn | Transition] = [turn]
        for step in range(LENGTH):
            if not 0 <= turn.seat < seats:
                self.problems.append(f"step {step}: seat {turn.seat} acts, and there are {seats}")
            if len(set(turn.legal_actions)) < len(turn.legal_actions):
                self.problems.append(f"step {step}: a legal action is listed twice")
            listed = bool(turn.legal_actions)
            action = draw.choice(turn.legal_actions) if listed else "look"
            found = world.step(action)
            self.actions.append(action)
            self.seen.append(found)
            if listed and found.illegal:
                self.problems.append(f"step {step}: {action!r} is listed as legal and was refused")
            if len(found.rewards) != seats:
                self.problems.append(f"step {step}: {len(found.rewards)} rewards for {seats} seats")
            if found.terminated and found.truncated:
                self.problems.append(f"step {step}: an episode is terminated or truncated, and never both")
            turn = found.turn
            if found.terminated or found.truncated:
                break


def forked(world: World, episode: Episode, told: bool) -> Iterator[str]:
    half = len(episode.actions) // 2
    world.reset(episode.task, episode.seed)
    for action in episode.actions[:half]:
        world.step(action)
    copied = world.fork()
    if (copied is not None) != told:
        yield f"its spec says fork = {told}, and `fork` returned {'a copy' if copied else 'none'}"
    for one in filter(None, (copied, world)):
        if [one.step(action) for action in episode.actions[half:]] != episode.seen[half + 1:]:
            yield f"task {episode.task}: a copy, or the world that was copied, does not go on as the episode did"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m forethought_kit.check", description=__doc__.split("\n")[0])
    parser.add_argument("file", help="a file that serves components, or a module such as forethought_kit.gymnasium")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the configuration")
    parser.add_argument("--program", default=os.environ.get("FORETHOUGHT") or shutil.which("forethought"),
                        help="the program `forethought`; an empty text for the rules that are here")
    given = parser.parse_args()
    module = not given.file.endswith(".py") and not Path(given.file).exists()
    command = [sys.executable, *(["-m"] if module else []), given.file]
    with Plugin(command) as plugin:
        described = plugin.describe()
        if not given.program:
            found = [problem for one in described for problem in check(plugin, one, values(given.set))]
            print("\n".join(found) or "no problem was found")
            print("(`forethought` was not found: only the most important rules were checked, for environments)")
            return 1 if found else 0
    # With this interpreter, and not whichever is first in PATH.
    load = {"FORETHOUGHT__PLUGINS__LOAD": f"[{{ command = {json.dumps(command)} }}]"}
    words = {"forethought.value/1": "critic"}
    code = 0
    for one in described:
        name = words.get(one["interface"], one["interface"].split(".")[1].split("/")[0])
        options = [word for text in given.set for word in ("--set", text)]
        check_it = [given.program, "plugin", "check", f"{name}.{one['kind']}", *options]
        code = max(code, subprocess.run(check_it, env={**os.environ, **load}).returncode)
    return code


def values(settings: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        *above, last = key.split(".")
        table = config
        for part in above:
            table = table.setdefault(part, {})
        try:
            table[last] = json.loads(text)
        except ValueError:
            table[last] = text
    return config


if __name__ == "__main__":
    sys.exit(main())
