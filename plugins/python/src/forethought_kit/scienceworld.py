"""ScienceWorld: thirty tasks of elementary science, in a simulator that needs Java.

    environment = { kind = "python", module = "forethought_kit.scienceworld", tasks = 10 }
"""

from __future__ import annotations

import shutil
from typing import Annotated, Any, ClassVar, Literal

from .parts import Environment, transition, turn
from .pipe import Failure
from .serving import need, serve
from .types import Action, Transition, Turn

LISTED = 400


class ScienceWorld(Environment):
    """an elementary science lab, in text"""

    kind = "scienceworld"
    # The simulator does not copy itself. It takes no seed, and what it names and lists differs from time to time, so
    # that an episode cannot be repeated either.
    copies = False
    recovery = "restart"
    #: Simulators whose world is gone: each is a Java machine that takes seconds to start.
    idle: ClassVar[list[Any]] = []

    def __init__(
        self,
        names: Annotated[list[str] | None, "Names of the kinds of tasks, such as boil; by default all thirty."] = None,
        tasks: Annotated[int | None, "Number of tasks: first one of each kind, then their next variations. By default "
                         "one of each kind.", {"minimum": 1}] = None,
        split: Annotated[Literal["train", "dev", "test"], "Which variations are played."] = "train",
        simplifications: Annotated[str, "ScienceWorld's simplifications, such as easy."] = "easy",
        max_steps: Annotated[int, "Actions after which an episode is cut off.", {"minimum": 1}] = 100,
    ) -> None:
        try:
            import scienceworld
        except ImportError:
            raise need("scienceworld", "scienceworld") from None
        if shutil.which("java") is None:
            raise Failure("ScienceWorld needs Java: install a JRE 8 or later, as with `apt-get install "
                          "default-jre-headless`", code="config")
        self.make = scienceworld.ScienceWorldEnv
        self.world: Any = None
        known = self._world().get_task_names()
        for name in names or ():
            if name not in known:
                raise Failure(f"`names`: there is no {name!r}; known are {', '.join(known)}", code="config")
        self.names = names or known
        self.tasks, self.split, self.simplifications = tasks or len(self.names), split, simplifications
        self.max_steps = self.limit = max_steps
        self.instructions = ("You are in a house with a lab, and have a task of science. Actions are short commands, such "
                             "as `open door to kitchen`, `pick up orange` or `look around`.")
        self.over, self.moves, self.loaded = True, 0, ("", -1)

    def _world(self) -> Any:
        if self.world is None:
            # It stops by itself after more actions than an episode here can have.
            self.world = self.idle.pop() if self.idle else self.make("", envStepLimit=1_000_000)
        return self.world

    def __del__(self) -> None:
        if getattr(self, "world", None) is not None:
            self.idle.append(self.world)

    def reset(self, task: int, seed: int) -> Turn:
        world, name = self._world(), self.names[task % len(self.names)]
        # Variations are all that differs between episodes of a kind; the simulator takes no seed.
        world.load(name, 0, self.simplifications)
        variations = getattr(world, f"get_variations_{self.split}")()
        world.load(name, variations[task // len(self.names) % len(variations)], self.simplifications)
        text, info = world.reset()
        self.over, self.moves, self.info = False, 0, info
        return self._turn(f"{world.get_task_description()}\n\n{text}")

    def step(self, action: Action) -> Transition:
        if self.over:
            return transition("The episode is over.", terminated=True)
        self.moves += 1
        text, reward, done, self.info = self._world().step(" ".join(action.text.split())[:500] or "look around")
        truncated = not done and self.moves >= self.limit
        self.over = bool(done) or truncated
        return transition(self._turn(text), reward / 100, terminated=bool(done), truncated=truncated,
                          success=self.info["score"] >= 100 if self.over else None,
                          illegal=text.startswith(("No known action", "Unknown action")),
                          info={"metrics": {"score": self.info["score"]}})

    def _turn(self, text: str) -> Turn:
        return turn(text, [] if self.over else sorted(set(self.info["valid"]))[:LISTED])


if __name__ == "__main__":
    serve(ScienceWorld)
