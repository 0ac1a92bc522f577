"""What a player is given of well-known worlds of Gymnasium: words for the actions, rules, and observations as text."""

from __future__ import annotations

from typing import Any

WORDS = {
    "Taxi": ["south", "north", "east", "west", "pick up", "drop off"],
    "FrozenLake": ["left", "down", "right", "up"],
    "CliffWalking": ["up", "right", "down", "left"],
    "Blackjack": ["stick", "hit"],
    "CartPole": ["push left", "push right"],
    "MountainCar": ["push left", "wait", "push right"],
    "Acrobot": ["torque -1", "torque 0", "torque 1"],
    "LunarLander": ["nothing", "fire left", "fire main", "fire right"],
}
ABOUT = {
    "Taxi": "Drive the taxi to the passenger, pick up, drive to the destination, drop off. The grid has 5 rows and 5 "
            "columns, counted from 0 at the top left; walls block some moves. R is at row 0 column 0, G at row 0 column "
            "4, Y at row 4 column 0, B at row 4 column 3. Each step costs 1, a wrong pick up or drop off costs 10, and "
            "delivery earns 20.",
    "FrozenLake": "Walk over the ice from S to the goal G without falling into a hole H. F is ice; if it is slippery, "
                  "you may move sideways instead.",
    "CartPole": "Keep the pole on the cart upright, and the cart within 2.4 of the centre.",
}


def taxi(observation: Any, env: Any) -> str:
    row, column, passenger, goal = env.decode(int(observation))
    places = ["R", "G", "Y", "B"]
    where = "in the taxi" if passenger == 4 else f"waiting at {places[passenger]}"
    return f"The taxi is at row {row} column {column}. The passenger is {where}. The destination is {places[goal]}."


def lake(observation: Any, env: Any) -> str:
    row, column = divmod(int(observation), env.ncol)
    rows = ["".join(cell.decode() for cell in line) for line in env.desc]
    return "You are at row {} column {}, on {}. The lake:\n{}".format(row, column, rows[row][column], "\n".join(rows))


def pole(observation: Any, _: Any) -> str:
    position, speed, angle, turning = (float(number) for number in observation)
    return (f"The cart is at {position:+.3f} and moves at {speed:+.3f}; the pole leans {angle:+.4f} rad and turns at "
            f"{turning:+.3f} rad/s. Positive is right.")


DESCRIBED: dict[str, Any] = {"Taxi": taxi, "FrozenLake": lake, "CartPole": pole}
#: Worlds whose last reward says whether they were solved.
GOALS = ("Taxi", "FrozenLake", "Blackjack", "MiniGrid")


def words(value: Any) -> str:
    """Any observation as text."""
    if isinstance(value, dict):
        return "; ".join(f"{key}: {words(one)}" for key, one in value.items())
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(words(one) for one in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
