#!/usr/bin/env python3
"""A script that plays a language model which drives the taxi of Taxi-v3 with stated errors.

It reads the text of a request and nothing else. Its thoughts name where to drive, or to pick up or drop off; a share of
them is wrong (`wrong`). An action follows its thought by the shortest way, and a share of them slips (`slips`). When it
is shown an evaluation of its thought, it keeps it if the outcomes that it wants look likely, and thinks again otherwise.
"""

import random
import re
from collections import deque
from functools import lru_cache
from typing import Annotated

from forethought_kit import ChatRequest, Choice, Completion, LanguageModel, register, serve

MAP = ["+---------+", "|R: | : :G|", "| : | : : |", "| : : : : |", "| | : | : |", "|Y| : |B: |", "+---------+"]
PLACES = {"R": (0, 0), "G": (0, 4), "Y": (4, 0), "B": (4, 3)}
SEEN = re.compile(r"The taxi is at row (\d) column (\d)\. The passenger is (in the taxi|waiting at (\w))\. "
                  r"The destination is (\w)\.")


@lru_cache(maxsize=None)
def ways(goal: str) -> dict[tuple[int, int], tuple[int, str]]:
    """For each square the number of moves to a place, and the first of them."""
    found = {PLACES[goal]: (0, "")}
    open_squares = deque([PLACES[goal]])
    while open_squares:
        row, column = open_squares.popleft()
        far = found[row, column][0] + 1
        for move, place in (("south", (row - 1, column)), ("north", (row + 1, column)), ("east", (row, column - 1)),
                            ("west", (row, column + 1))):
            wall = (move == "east" and column > 0 and MAP[row + 1][2 * column] != ":") or (
                move == "west" and column < 4 and MAP[row + 1][2 * column + 2] != ":")
            if 0 <= place[0] < 5 and 0 <= place[1] < 5 and not wall and place not in found:
                found[place] = (far, move)
                open_squares.append(place)
    return found


class View:
    """The last two states that a text shows."""

    def __init__(self, text: str) -> None:
        states = SEEN.findall(text)
        self.known = bool(states)
        row, column, where, self.waits, self.goal = states[-1] if states else ("0", "0", "waiting at R", "R", "G")
        self.at, self.inside = (int(row), int(column)), where == "in the taxi"
        self.target = self.goal if self.inside else self.waits
        self.before = states[-2] if len(states) > 1 else None
        self.delivered = not self.inside and self.waits == self.goal and self.before is not None and self.before[2] == "in the taxi"

    def right(self) -> str:
        if self.at == PLACES[self.target]:
            return "Drop the passenger off here." if self.inside else "Pick the passenger up here."
        return f"Drive to {self.target}, the destination." if self.inside else f"Drive to {self.target}, where the passenger waits."

    def wrong(self, draw: random.Random) -> str:
        other = draw.choice([place for place in PLACES if place != self.target])
        return draw.choice([f"Drive to {other} first.", f"Drive to {other} first.", "Drop the passenger off here."
                            if self.at != PLACES[self.target] or not self.inside else f"Drive to {other} first."])

    def state(self) -> str:
        far = ways(self.target)[self.at][0]
        band = "at" if far == 0 else "close to" if far < 4 else "far from"
        return f"The passenger is {'in the taxi' if self.inside else 'waiting'}; the taxi is {band} {'the destination' if self.inside else 'the passenger'} {self.target}."

    def outcome(self) -> str:
        if self.delivered:
            return "The passenger is delivered."
        if self.before is None:
            return "The taxi has just started."
        was = (int(self.before[0]), int(self.before[1]))
        if self.inside and self.before[2] != "in the taxi":
            return "The passenger has got in."
        nearer = ways(self.target)[self.at][0] - ways(self.target)[was][0]
        return "The taxi has come closer to its target." if nearer < 0 else "The taxi has lost time."


@register("driver", "drives a taxi with stated errors")
class Driver(LanguageModel):
    def __init__(self, wrong: Annotated[float, "Share of thoughts that are wrong."] = 0.35,
                 slips: Annotated[float, "Share of actions that do not follow the thought."] = 0.05,
                 seed: Annotated[int, "Seed of all draws."] = 0) -> None:
        self.errors, self.slips, self.seed = wrong, slips, seed

    def complete(self, request: ChatRequest) -> Completion:
        text = "\n".join(message.content for message in request.messages)
        answers = []
        for sample in range(max(request.samples, 1)):
            draw = random.Random(f"{self.seed}/{request.seed}/{sample}/{text}")
            answers.append(Choice(self.answer(text, draw), finish="stop"))
        return Completion(answers)

    def thought(self, view: View, draw: random.Random) -> str:
        return view.wrong(draw) if draw.random() < self.errors else view.right()

    def action(self, view: View, thought: str, draw: random.Random) -> str:
        if draw.random() < self.slips:
            return draw.choice(["south", "north", "east", "west"])
        if thought.startswith("Pick"):
            return "pick up"
        if thought.startswith("Drop"):
            return "drop off"
        place = re.search(r"Drive to (\w)", thought)
        return (ways(place[1])[view.at][1] if place else "") or "north"

    def answer(self, text: str, draw: random.Random) -> str:
        view = View(text)
        given = re.findall(r"(?:Current|Earlier) thought: (.*)", text)
        if "Decision: <" in text:
            return self.refine(text, view, given[-1] if given else view.right(), draw)
        if "Good: <" in text:
            count = int(found[1]) if (found := re.search(r"Imagine (\d+) outcomes", text)) else 4
            good = ["The passenger is delivered.", "The passenger has got in.", "The taxi has come closer to its target."]
            bad = ["The taxi has lost time."]
            lines = [f"Good: {good[n % 3]}" for n in range(count // 2)] + [f"Bad: {bad[0]}" for _ in range(count - count // 2)]
            return "\n".join(lines)
        if "State: <" in text:
            return f"State: {view.state()}\nOutcome: {view.outcome()}"
        if "Action: <" in text and given and "Thought: <" not in text:
            return f"Action: {self.action(view, given[-1], draw)}"
        thought = self.thought(view, draw)
        if "Action: <" in text:
            return f"Thought: {thought}\nAction: {self.action(view, thought, draw)}"
        return f"Thought: {thought}"

    def refine(self, text: str, view: View, thought: str, draw: random.Random) -> str:
        last = text[text.rindex("Current thought:"):]
        rows = re.findall(r"^(\d\.\d\d)[^:(]*(?:\(usual here (\d\.\d\d))?[^\n]*: (The .*)$", last, re.M)
        better = sum((float(value) - float(usual or 0.5)) * (-1 if "lost time" in outcome else 1) for value, usual, outcome in rows)
        if not rows or better >= 0:
            return f"Decision: keep\nThought: {thought}"
        return f"Decision: revise\nThought: {self.thought(view, draw)}"


if __name__ == "__main__":
    serve(Driver)
