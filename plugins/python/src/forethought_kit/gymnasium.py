"""Worlds of Gymnasium with discrete, text or small continuous spaces, as text.

    environment = { kind = "python", module = "forethought_kit.gymnasium", id = "Taxi-v3" }
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Annotated, Any

from . import draws
from .parts import Environment, transition, turn
from .pipe import Failure
from .serving import need, serve
from .toy_text import ABOUT, DESCRIBED, GOALS, WORDS, words
from .types import Action, Transition, Turn

def function(name: str) -> Any:
    """The function that `file.py:function` or `module:function` names."""
    place, _, word = name.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        return getattr(module, word)
    except (ImportError, AttributeError, OSError, ValueError) as error:
        raise Failure(f"`describe`: {name!r} cannot be read: {error}; write file.py:function", code="config") from None


class Gymnasium(Environment):
    """a world of Gymnasium, as text"""

    kind = "gymnasium"

    def __init__(
        self,
        id: Annotated[str, "The world's id, such as Taxi-v3."] = "Taxi-v3",
        arguments: Annotated[dict[str, Any] | None, "Arguments of gymnasium.make, such as { is_slippery = false }."] = None,
        actions: Annotated[list[str] | None, "Words for the discrete actions, in order."] = None,
        describe: Annotated[str | None, "A function (observation) -> text, as file.py:function or module:function."] = None,
        about: Annotated[str | None, "Instructions for the player, instead of the known ones."] = None,
        solved_at: Annotated[float | None, "An episode is solved if its rewards sum to this or more."] = None,
    ) -> None:
        try:
            import gymnasium
        except ImportError:
            raise need("gymnasium", "gymnasium") from None
        try:
            self.env = gymnasium.make(id, disable_env_checker=True, **(arguments or {}))
        except (gymnasium.error.Error, TypeError, ImportError) as error:
            raise Failure(f"`id`: Gymnasium cannot make {id!r}: {error}", code="config") from None
        name, space = id.rsplit("/", 1)[-1].split("-v")[0], self.env.action_space
        self.kind_of_action = type(space).__name__
        self.first = int(getattr(space, "start", 0))
        self.names = actions or WORDS.get(name) or [str(self.first + i) for i in range(int(getattr(space, "n", 0)))]
        if self.kind_of_action == "Discrete" and len(self.names) != space.n:
            raise Failure(f"`actions`: {id} has {space.n} actions, and {len(self.names)} words are given", code="config")
        own = function(describe) if describe else None
        self.describe_text = (lambda seen, _: str(own(seen))) if own else DESCRIBED.get(name, lambda seen, _: words(seen))
        self.goal, self.solved_at = name.startswith(GOALS), solved_at
        self.max_steps = getattr(self.env.spec, "max_episode_steps", None)
        if self.kind_of_action == "Discrete":
            how = f"An action is one of: {', '.join(self.names)}."
        elif self.kind_of_action == "Text":
            how = "An action is a text."
        else:
            how = f"An action is {space}, as numbers separated by commas."
        self.instructions = f"{about or ABOUT.get(name, f'This is {id}.')} {how}"
        try:
            copy.deepcopy(self.env.unwrapped)
        except Exception:  # Some hold windows, sockets or objects of C: the program repeats their actions instead.
            self.copies = False
        self.over, self.total = True, 0.0

    def _turn(self, seen: Any) -> Turn:
        legal = [] if self.over or self.kind_of_action != "Discrete" else self.names
        return turn(self.describe_text(seen, self.env.unwrapped), legal)

    def reset(self, task: int, seed: int) -> Turn:
        self.seen, _ = self.env.reset(seed=draws.number(task, seed))
        self.over, self.total = False, 0.0
        return self._turn(self.seen)

    def step(self, action: Action) -> Transition:
        if self.over:
            return transition("The episode is over.", terminated=True)
        chosen = self._action(action.text.strip())
        if chosen is None:
            again = self._turn(self.seen)
            again.observation.text = f"{action.text!r} is not an action here. {again.observation.text}"
            return transition(again, illegal=True)
        self.seen, reward, terminated, truncated, _ = self.env.step(chosen)
        self.total += float(reward)
        self.over = bool(terminated or truncated)
        success: bool | None = None
        if self.over and (self.goal or self.solved_at is not None):
            success = self.total >= self.solved_at if self.solved_at is not None else bool(terminated and reward > 0)
        return transition(self._turn(self.seen), float(reward), terminated=bool(terminated),
                          truncated=bool(truncated and not terminated), success=success)

    def _action(self, text: str) -> Any:
        """The action that a text means, if it is one."""
        space = self.env.action_space
        if self.kind_of_action == "Discrete":
            lower = [word.lower() for word in self.names]
            return self.first + lower.index(text.lower()) if text.lower() in lower else None
        if self.kind_of_action == "Text":
            return text if space.contains(text) else None
        try:
            import numpy

            numbers = numpy.array([float(part) for part in text.strip("[]").split(",")], dtype=space.dtype)
            numbers = numbers.reshape(space.shape)
        except (TypeError, ValueError, OverflowError):
            return None
        return numbers if space.contains(numbers) else None


if __name__ == "__main__":
    serve(Gymnasium)
