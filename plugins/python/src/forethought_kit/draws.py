"""Random draws of worlds that use Python's global generators, which all worlds of a process share.

Each world keeps a state of its own, which is put into the generators for the time of a call. So worlds that know
nothing of one another do not disturb each other's draws, and copies of a world continue alike.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Draws:
    """The state of the global generators (`random`, and `numpy.random` if it is loaded) as one world knows it."""

    def __init__(self) -> None:
        self.random: Any = random.Random(0).getstate()
        self.numpy: Any = None

    @contextmanager
    def of(self, seed: int | str | None = None) -> Iterator[None]:
        """Within it the generators are this world's; with a seed, they begin again."""
        numpy = sys.modules.get("numpy.random")
        kept = random.getstate(), numpy.get_state() if numpy else None
        if seed is not None:
            random.seed(seed)
            if numpy:
                numpy.seed(random.getrandbits(32))
        else:
            random.setstate(self.random)
            if numpy and self.numpy is not None:
                numpy.set_state(self.numpy)
        try:
            yield
        finally:
            self.random = random.getstate()
            self.numpy = numpy.get_state() if numpy else None
            random.setstate(kept[0])
            if numpy:
                numpy.set_state(kept[1])


def number(task: int, seed: int, bits: int = 31) -> int:
    """One seed for a task and a seed, for packages that take a single number."""
    return random.Random(f"{task}/{seed}").getrandbits(bits)
