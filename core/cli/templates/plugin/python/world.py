#!/usr/bin/env python3
"""Nine tide pools and a crab: an environment to start from."""

import random
from typing import Annotated

from forethought_kit import Action, Environment, Transition, Turn, register, serve, transition, turn


@register("{{name}}", "find the crab before the tide comes")
class World(Environment):
    instructions = "Find the crab before the tide comes: `look 5` is an action."

    def __init__(self, looks: Annotated[int, "Looks until the tide comes.", {"minimum": 1}] = 4) -> None:
        self.looks = looks

    def reset(self, task: int, seed: int) -> Turn:
        self.crab = random.Random(f"{task}/{seed}").randint(1, 9)
        self.left = self.looks
        return turn("A crab sits in one of nine pools in a row.", [f"look {pool}" for pool in range(1, 10)])

    def step(self, action: Action) -> Transition:
        legal = [f"look {pool}" for pool in range(1, 10)]
        self.left -= 1
        if action.text not in legal:
            return transition("That is not a pool.", illegal=True, truncated=self.left <= 0, legal=legal)
        pool = int(action.text.removeprefix("look "))
        if pool == self.crab:
            return transition("There it is!", 1.0, terminated=True, success=True)
        side = "right" if pool < self.crab else "left"
        return transition(f"Something splashes further {side}.", terminated=self.left <= 0, legal=legal,
                          success=False if self.left <= 0 else None)


if __name__ == "__main__":
    serve()
