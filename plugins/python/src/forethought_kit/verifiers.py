"""Environments of verifiers (0.1): single-turn, multi-turn and tools, with their rubrics as rewards.

    environment = { kind = "python", module = "forethought_kit.verifiers", id = "wordle" }

The environment's own rollout runs, and the planner answers in the place of its model: one answer is one action.
"""

from __future__ import annotations

import asyncio
import queue
from typing import Annotated, Any

from . import draws
from .parts import Environment, Turns, read_calls, transition, turn
from .pipe import Failure, dumps
from .rollouts import Loop, answering, content, load, role
from .serving import serve
from .types import Action, Tool, Transition, Turn


class Verifiers(Environment):
    """an environment of verifiers, with its rubric as the reward"""

    kind = "verifiers"
    inlined = False
    # A rollout cannot be copied; the program repeats its answers.
    copies = False

    def __init__(
        self,
        id: Annotated[str, "The environment's id, as of an installed package, or a file .py with `load_environment`."],
        arguments: Annotated[dict[str, Any] | None, "Arguments of load_environment."] = None,
        evaluation: Annotated[bool, "Whether the tasks are the environment's evaluation set."] = False,
        actions: Annotated[list[str] | None, "Answers to list as legal, for planners that choose from a list."] = None,
        solved_at: Annotated[float, "An episode is solved if its reward is this or more."] = 1.0,
        max_steps: Annotated[int, "Answers after which an episode is cut off.", {"minimum": 1}] = 50,
        timeout_s: Annotated[float, "Seconds that the environment may take for each of its turns."] = 300.0,
    ) -> None:
        self.env = load(id, arguments or {})
        self.rows = self.env.get_eval_dataset() if evaluation else self.env.get_dataset()
        self.tasks, self.solved_at, self.timeout = len(self.rows), solved_at, timeout_s
        self.max_steps = self.limit = max_steps
        self.listed = actions or []
        self.instructions = "Answer each message; your answer is the action."
        self.loop, self.over, self.moves = Loop(), True, 0
        self.waiting: Any = None

    def spawn(self) -> Environment:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, over=True, moves=0, waiting=None, _turns=Turns())
        return twin

    def reset(self, task: int, seed: int) -> Turn:
        self.stop()
        self.asked: queue.Queue[Any] = queue.Queue()
        self.draws, self.seen, self.over, self.moves = draws.Draws(), 0, False, 0
        row = dict(self.rows[task % len(self.rows)])

        async def rollout() -> None:
            try:
                state = await self.env.rollout(row, answering(self.asked), "forethought", {})
                if error := state.get("error"):
                    raise error
                await self.env.rubric.score_rollout(state)
                self.asked.put(("done", state))
            except Exception as error:
                self.asked.put(("failed", error))

        self.task = asyncio.run_coroutine_threadsafe(rollout(), self.loop.loop)
        return self._next()[0]

    def __del__(self) -> None:
        self.stop()

    def stop(self) -> None:
        if (task := self.__dict__.pop("task", None)) is not None:
            task.cancel()

    def _next(self) -> tuple[Turn, Any]:
        """The next turn, or the last one with the state of the rollout that has ended."""
        try:
            kind, *rest = self.asked.get(timeout=self.timeout)
        except queue.Empty:
            raise Failure(f"the environment did not go on within {self.timeout} s (`timeout_s`)") from None
        if kind == "failed":
            raise rest[0]
        if kind == "done":
            said = rest[0].get("completion") or []
            last = [one for one in said if role(one) not in ("assistant",)][-1:]
            return turn("\n\n".join(map(content, last)) or "The task is over."), rest[0]
        messages, tools, self.waiting = rest
        new = [one for one in messages[self.seen:] if role(one) != "assistant"]
        self.seen = len(messages)
        self.tools = [Tool(one.name, one.description, dict(one.parameters)) for one in tools]
        return turn("\n\n".join(map(content, new)), self.listed, tools=self.tools), None

    def step(self, action: Action) -> Transition:
        if self.over:
            return transition("The episode is over.", terminated=True)
        self.moves += 1
        calls, problem = read_calls(action, self.tools)
        if problem:
            self.over = self.moves >= self.limit
            return transition(turn(problem, tools=[] if self.over else self.tools), illegal=True, truncated=self.over)
        from verifiers.types import ToolCall

        made = [ToolCall(id=one.id, name=one.name, arguments=one.arguments if isinstance(one.arguments, str)
                         else dumps(one.arguments)) for one in calls]
        self.loop.loop.call_soon_threadsafe(self.waiting.set_result, ("" if made else action.text, made))
        seen, state = self._next()
        if state is None:
            truncated = self.over = self.moves >= self.limit
            return transition(seen, truncated=truncated, success=False if truncated else None)
        self.over = True
        reward = float(state.get("reward") or 0.0)
        metrics = {key: float(one) for key, one in (state.get("metrics") or {}).items()}
        return transition(seen, reward, terminated=True, success=reward >= self.solved_at, info={"metrics": metrics})


if __name__ == "__main__":
    serve(Verifiers, imports=["verifiers.clients"])
