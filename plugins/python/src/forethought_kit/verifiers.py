"""Environments of verifiers (0.1): single-turn, multi-turn and tools, with their rubrics as rewards.

    environment = { kind = "python", module = "forethought_kit.verifiers", id = "wordle" }

The environment's own rollout runs, and the planner answers in the place of its model: one answer is one action.
"""

from __future__ import annotations

import asyncio
import importlib.util
import queue
import threading
from pathlib import Path
from typing import Annotated, Any

from . import draws
from .parts import Environment, Turns, read_calls, transition, turn
from .pipe import Failure, dumps
from .serving import need, serve
from .types import Action, Tool, Transition, Turn


def load(id: str, arguments: dict[str, Any]) -> Any:
    """The environment of an installed package, or of a file with `load_environment`."""
    try:
        import verifiers
    except ImportError:
        raise need("verifiers", "verifiers") from None
    if not hasattr(verifiers, "MultiTurnEnv"):
        raise Failure(f"verifiers {getattr(verifiers, '__version__', '')} has no rollouts of the kind that this adapter "
                      "plays; install 'verifiers<0.2'", code="config")
    try:
        if not id.endswith(".py"):
            return verifiers.load_environment(id, **arguments)
        spec = importlib.util.spec_from_file_location(Path(id).stem, id)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.load_environment(**arguments)
    except Failure:
        raise
    except Exception as error:
        raise Failure(f"`id`: verifiers cannot load {id!r}: {error!r}", code="config") from error


class Loop:
    """The event loop on which rollouts wait for their answers."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()


def answering(asked: queue.Queue[Any]) -> Any:
    """A client of verifiers that puts each request, with a future for its answer, into a queue."""
    from verifiers.clients import Client
    from verifiers.types import Response, ResponseMessage

    async def get_response(self: Any, prompt: Any, model: str, sampling_args: Any, tools: Any = None, **_: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        asked.put(("ask", list(prompt), tools or [], future))
        text, calls = await future
        message = ResponseMessage(content=text, tool_calls=calls or None, is_truncated=False,
                                  finish_reason="tool_calls" if calls else "stop")
        return Response(id="forethought", created=0, model=model, usage=None, message=message)

    own: dict[str, Any] = {}
    # What a client does for a provider is not needed: no other method of it is called.
    own.update(dict.fromkeys(Client.__abstractmethods__, None))
    own.update({"__init__": lambda self: None, "get_response": get_response, "close": nothing})
    return type("Answering", (Client,), own)()


async def nothing(_: Any) -> None:
    return None


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
        solved_at: Annotated[float, "An episode is solved if its reward is this or more."] = 1.0,
        max_steps: Annotated[int, "Answers after which an episode is cut off.", {"minimum": 1}] = 50,
        timeout_s: Annotated[float, "Seconds that the environment may take for each of its turns."] = 300.0,
    ) -> None:
        self.env = load(id, arguments or {})
        self.rows = self.env.get_eval_dataset() if evaluation else self.env.get_dataset()
        self.tasks, self.solved_at, self.timeout = len(self.rows), solved_at, timeout_s
        self.max_steps = self.limit = max_steps
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
        return turn("\n\n".join(map(content, new)), tools=self.tools), None

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


def role(message: Any) -> str:
    return str(message.get("role") if isinstance(message, dict) else message.role)


def content(message: Any) -> str:
    found = message.get("content") if isinstance(message, dict) else message.content
    if isinstance(found, list):
        parts = (one if isinstance(one, dict) else one.model_dump() for one in found)
        return "\n".join(str(one.get("text", "")) for one in parts)
    return str(found or "")


if __name__ == "__main__":
    serve(Verifiers, imports=["verifiers.clients"])
