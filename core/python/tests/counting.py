"""Components for tests/python.rs: a world that counts, and says in its `info` which process it is in."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../plugins/python/src"))

from forethought_kit import Environment, critic, encoder, register, serve, transition


@register("counting", "counts its steps")
class Counting(Environment):
    tasks = 10

    def __init__(self, drifts: bool = False, recovery: str = "replay") -> None:
        self.drifts, self.recovery = drifts, recovery

    def reset(self, task: int, seed: int) -> str:
        self.count = 100 * task
        return f"{self.count}"

    def step(self, action):
        if action.text == "fail":
            raise KeyError("no such thing")
        if action.text == "hang":
            time.sleep(60)
        self.count += len(action.text)
        text = f"{self.count} {time.monotonic_ns()}" if self.drifts else f"{self.count}"
        return transition(text, info={"process": os.getpid()})


@register("other", "another world")
class Other(Counting):
    pass


@critic("literal", "trusts thoughts that mention the outcome")
def literal(query):
    return 0.9 if query.outcome in query.thought else 0.1


@encoder("letters", 2, "short and long")
def letters(text):
    return (1.0, 0.0) if len(text) < 10 else (3.0, 4.0)


serve()
