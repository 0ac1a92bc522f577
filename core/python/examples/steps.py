"""A world for examples/steps.rs that says how long its own `step` took: Gymnasium's CartPole-v1 where Gymnasium is
installed, else one that only counts."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../plugins/python/src"))

from forethought_kit import Environment, register, serve, transition, turn


@register("trivial", "a trivial world")
class Trivial(Environment):
    def __init__(self) -> None:
        try:
            import gymnasium
            self.env = gymnasium.make("CartPole-v1", disable_env_checker=True)
        except ImportError:
            self.env = None

    def reset(self, task, seed):
        if self.env is not None:
            self.env.reset(seed=seed)
        self.count = 0
        return "0"

    def step(self, action):
        start = time.perf_counter_ns()
        if self.env is None:
            self.count += 1
            over = False
        else:
            seen, _, over, _, _ = self.env.step(int(action.text) + self.count % 2)
            self.count += 1
        took = time.perf_counter_ns() - start
        return transition(turn(f"{self.count}", ["0", "1"]), 1.0, terminated=bool(over), info={"ns": took})


serve()
