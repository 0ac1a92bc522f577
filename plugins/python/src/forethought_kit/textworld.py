"""TextWorld: generated text adventures, such as the coin collector, and games from files.

    environment = { kind = "python", module = "forethought_kit.textworld", level = 5 }
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from . import draws
from .parts import Environment, transition, turn
from .pipe import Failure
from .serving import need, serve
from .types import Action, Transition, Turn


def cache() -> Path:
    """Where generated games are kept: to make one takes seconds."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "forethought-kit" / "textworld"


class TextWorld(Environment):
    """a text adventure that TextWorld generates"""

    kind = "textworld"

    def __init__(
        self,
        game: Annotated[Literal["coin_collector", "treasure_hunter", "simple", "cooking"], "The kind of game."] = "coin_collector",
        level: Annotated[int, "Difficulty of coin_collector (1 to 300) and treasure_hunter (1 to 30).", {"minimum": 1}] = 5,
        settings: Annotated[dict[str, Any] | None, "Further settings of the game, as TextWorld calls them."] = None,
        files: Annotated[list[str] | None, "Games from files (.z8) instead: one task each."] = None,
        tasks: Annotated[int, "Number of generated games.", {"minimum": 1}] = 100,
        listed: Annotated[bool, "Whether the commands that are possible are listed."] = True,
        max_steps: Annotated[int, "Commands after which an episode is cut off.", {"minimum": 1}] = 50,
    ) -> None:
        try:
            import textworld
            import textworld.challenges
        except ImportError:
            raise need("textworld", "textworld") from None
        self.textworld, self.draws = Kept(textworld), draws.Draws()
        self.game, self.settings, self.files = game, {"level": level, **(settings or {})}, files
        self.tasks, self.listed = len(files) if files else tasks, listed
        self.max_steps = self.limit = max_steps
        for file in files or ():
            if not Path(file).is_file():
                raise Failure(f"`files`: there is no file {file}", code="config")
        self.instructions = ("You play a text adventure. An action is a command, such as `go east`, `open door`, `take coin` "
                             "or `inventory`.")
        self.env: Any = None
        self.over, self.moves, self.score, self.best = True, 0, 0, 1

    def _file(self, task: int) -> str:
        """The game of a task: the file, or one that is generated and kept."""
        if self.files:
            return self.files[task % len(self.files)]
        name = "-".join([self.game, *(f"{key}={self.settings[key]}" for key in sorted(self.settings)), str(task)])
        file = cache() / f"{self.textworld.module.__version__}-{name}.z8"
        if not file.is_file():
            cache().mkdir(parents=True, exist_ok=True)
            options = self.textworld.module.GameOptions()
            options.seeds, options.path = task, str(file.with_name(f"{os.getpid()}-{file.name}"))
            make = self.textworld.module.challenges.CHALLENGES[f"tw-{self.game}"][1]
            try:
                made = make(self.settings, options)
            except (KeyError, ValueError, TypeError) as error:
                raise Failure(f"TextWorld cannot make {self.game} of {self.settings}: {error!r}", code="config") from None
            compiled = self.textworld.module.generator.compile_game(made, options)
            # The description next to it must have its name.
            os.replace(Path(compiled).with_suffix(".json"), file.with_suffix(".json"))
            os.replace(compiled, file)
            Path(compiled).with_suffix(".ni").unlink(missing_ok=True)
        return str(file)

    def reset(self, task: int, seed: int) -> Turn:
        with self.draws.of(draws.number(task, seed)):
            infos = self.textworld.module.EnvInfos(admissible_commands=True, won=True, lost=True, score=True, max_score=True,
                                                   objective=True, description=True)
            self.env = self.textworld.module.start(self._file(task), infos)
            self.env.seed(draws.number(task, seed))
            self.state = self.env.reset()
        self.over, self.moves, self.score, self.best = False, 0, 0, self.state.max_score or 1
        return self._turn(f"{self.state.objective}\n\n{self.state.description}")

    def step(self, action: Action) -> Transition:
        if self.over:
            return transition("The game is over.", terminated=True)
        # The interpreter reads one line of plain letters.
        command = " ".join(action.text.encode("ascii", "ignore").decode().split())[:200] or "look"
        with self.draws.of():
            self.state, _, done = self.env.step("".join(one for one in command if one.isprintable()) or "look")
        self.moves += 1
        gained, self.score = (self.state.score or 0) - self.score, self.state.score or 0
        truncated = not done and self.moves >= self.limit
        self.over = bool(done) or truncated
        refused = "That's not a verb I recognise" in self.state.feedback or "can't see any such thing" in self.state.feedback
        return transition(self._turn(self.state.feedback.strip()), gained / self.best, terminated=bool(done),
                          truncated=truncated, success=bool(self.state.won) if self.over else None, illegal=refused)

    def _turn(self, text: str) -> Turn:
        # The status line comes after the prompt.
        text = text.split("\n>")[0].strip()
        return turn(text, self.state.admissible_commands if self.listed and not self.over else [])

    def fork(self) -> Environment:
        twin = copy.copy(self)
        twin.draws = copy.deepcopy(self.draws)
        twin.env = self.env.copy() if self.env else None
        twin.state = copy.copy(self.state) if self.env else None
        return twin


class Kept:
    """A module, which copies share."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __deepcopy__(self, _: Any) -> Kept:
        return self


if __name__ == "__main__":
    serve(TextWorld, imports=["textworld.challenges"])
