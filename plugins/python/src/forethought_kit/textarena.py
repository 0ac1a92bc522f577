"""Games of TextArena: several seats, each with what it alone may see.

    environment = { kind = "python", module = "forethought_kit.textarena", id = "KuhnPoker-v0" }
"""

from __future__ import annotations

import copy
from typing import Annotated, Any

from . import draws
from .parts import Environment, transition, turn
from .pipe import Failure
from .serving import need, serve
from .types import Action, Transition, Turn

#: Actions that are tried for legality, for games in which they can be listed.
CANDIDATES = {
    "TicTacToe": [f"[{cell}]" for cell in range(9)],
    "ConnectFour": [f"[col {column}]" for column in range(7)],
    "KuhnPoker": ["[check]", "[bet]", "[call]", "[fold]"],
    "LiarsDice": ["[Call]", *(f"[Bid: {count}, {face}]" for count in range(1, 6) for face in range(1, 7))],
    "Nim": [f"[{pile} {count}]" for pile in range(4) for count in range(1, 8)],
    "PigDice": ["[roll]", "[hold]"],
    "Briscola": [f"[play {card}]" for card in range(1, 4)],
    "IteratedPrisonersDilemma": ["[cooperate]", "[defect]"],
    "GuessTheNumber": [f"[{number}]" for number in range(1, 21)],
    "TowerOfHanoi": [f"[{a} {b}]" for a in "ABC" for b in "ABC" if a != b],
}
OVER = "The game is over."


class TextArena(Environment):
    """a game of TextArena, with a seat for each player"""

    kind = "textarena"

    def __init__(
        self,
        id: Annotated[str, "The game's id, such as KuhnPoker-v0."] = "TicTacToe-v0",
        players: Annotated[int | None, "Number of players; by default the least that the game accepts.", {"minimum": 1}] = None,
        actions: Annotated[list[str] | None, "Actions to offer where they are legal, which is tried in a copy. Known for "
                           "some games; an empty list offers none."] = None,
        arguments: Annotated[dict[str, Any] | None, "Arguments of the game's class."] = None,
        errors: Annotated[int | None, "Invalid moves in a row before a player loses; by default the game's own.", {"minimum": 0}] = None,
        max_steps: Annotated[int, "Decisions after which a game is cut off.", {"minimum": 1}] = 400,
    ) -> None:
        try:
            import textarena
        except ImportError:
            raise need("textarena", "textarena") from None
        self.draws, self.max_steps, self.errors = draws.Draws(), max_steps, errors
        try:
            # The raw game: its wrappers repeat the whole history, which planners have anyway.
            with self.draws.of(0):
                self.fresh = textarena.make(id if id.endswith("-raw") else f"{id}-raw", **(arguments or {}))
        except Exception as error:  # It also loads word lists, and says so in many ways.
            raise Failure(f"`id`: TextArena cannot make {id!r}: {error}", code="config") from None
        name = id.split("-v")[0]
        self.actions = CANDIDATES.get(name, []) if actions is None else actions
        refused: Exception | None = None
        for count in [players] if players else range(1, 9):
            try:
                with self.draws.of(0):
                    self.game = copy.deepcopy(self.fresh)
                    self.game.reset(num_players=count, seed=0)
                break
            except Exception as error:
                refused = error
        else:
            raise Failure(f"{id} cannot begin with {players or '1 to 8'} players: {refused}", code="config") from None
        self.players = count
        self.seats = ["agent"] if count == 1 else [f"player {player}" for player in range(count)]
        self.instructions = f"You play {name}. Your answer is your move, in square brackets where the rules ask for them."
        self.over, self.seat = True, 0

    def _state(self) -> Any:
        return self.game.state

    def _unread(self) -> str:
        """What the acting seat has not yet seen."""
        state = self._state()
        messages = state.observations[self.seat]
        state.observations[self.seat] = []
        names = {-1: "", **{player: f"[{state.role_mapping.get(player, f'Player {player}')}] " for player in range(self.players)}}
        return "\n\n".join(f"{names.get(sender, '')}{text.strip()}" for sender, text, *_ in messages)

    def _legal(self) -> list[str]:
        """The candidates that a copy of the game accepts."""
        found = []
        for candidate in self.actions:
            trial = copy.deepcopy(self.game)
            with copy.deepcopy(self.draws).of():
                if not refuses(trial, candidate, self.seat):
                    found.append(candidate)
        return found

    def _turn(self) -> Turn:
        self.seat = self.seat if self.over else self._state().current_player_id
        return turn(self._unread() or (OVER if self.over else "It is your turn."), [] if self.over else self._legal(), seat=self.seat)

    def reset(self, task: int, seed: int) -> Turn:
        number = draws.number(task, seed)
        with self.draws.of(number):
            # Some games, such as KuhnPoker with its deck, keep something of the last episode.
            self.game = copy.deepcopy(self.fresh)
            self.game.reset(num_players=self.players, seed=number)
            if self.errors is not None:
                self._state().error_allowance = self.errors
        self.over = False
        return self._turn()

    def step(self, action: Action) -> Transition:
        if self.over:
            return transition(turn(OVER, seat=self.seat), [0.0] * self.players, terminated=True)
        with self.draws.of():
            illegal = refuses(self.game, action.text, self.seat)
        state = self._state()
        self.over = bool(state.done)
        rewards, info = [0.0] * self.players, None
        if self.over:
            given, about = self.game.close()
            rewards = [float((given or {}).get(player, 0)) for player in range(self.players)]
            info = {"game": {str(player): {key: one for key, one in of.items() if isinstance(one, (str, int, float, bool))}
                             for player, of in about.items()}}
        success = rewards[0] >= 1 if self.over and self.players == 1 else None
        return transition(self._turn(), rewards, terminated=self.over, success=success, illegal=illegal, info=info)


def refuses(game: Any, action: str, seat: int) -> bool:
    """Makes a move, and says whether the game refused it."""
    state = game.state
    before, info = getattr(state, "error_count", 0), state.game_info
    game.step(action)
    lost = bool(info.get(seat, {}).get("invalid_move")) if isinstance(info, dict) else False
    return lost or getattr(state, "error_count", 0) > before


if __name__ == "__main__":
    serve(TextArena)
