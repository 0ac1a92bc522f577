"""Worlds behind an OpenEnv server, over its WebSocket (a session for each episode) or over HTTP.

    environment = { kind = "python", module = "forethought_kit.openenv", url = "http://127.0.0.1:8000" }
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Annotated, Any, Literal

from . import draws
from .parts import Environment, transition, turn
from .pipe import Failure
from .serving import need, serve
from .types import Action, Transition, Turn


class OpenEnv(Environment):
    """a world behind an OpenEnv server"""

    kind = "openenv"
    # It waits for the server, so its worlds must not wait for one another.
    inlined = False
    copies = False

    def __init__(
        self,
        url: Annotated[str, "The server's address."] = "http://127.0.0.1:8000",
        transport: Annotated[Literal["websocket", "http"], "Over HTTP all episodes share the server's one session."] = "websocket",
        field: Annotated[str | None, "The field of the server's actions that holds the action's text; by default the only "
                         "required one. An action that is a JSON object is sent as it is."] = None,
        actions: Annotated[list[str] | None, "Actions to list as legal, for planners that choose from a list."] = None,
        text: Annotated[str | None, "The field of its observations that is shown; by default all of them."] = None,
        reset: Annotated[dict[str, Any] | None, "Further arguments of the server's reset."] = None,
        about: Annotated[str, "Instructions for the player."] = "",
        solved_at: Annotated[float | None, "An episode is solved if its rewards sum to this or more."] = None,
        max_steps: Annotated[int, "Actions after which an episode is cut off.", {"minimum": 1}] = 50,
        timeout_s: Annotated[float, "Seconds that the server may take for each answer."] = 60.0,
    ) -> None:
        self.url, self.transport, self.text, self.arguments = url.rstrip("/"), transport, text, reset or {}
        self.listed = actions or []
        self.solved_at, self.timeout = solved_at, timeout_s
        self.max_steps = self.limit = max_steps
        if transport == "websocket":
            try:
                from websockets.sync.client import connect
            except ImportError:
                raise need("websockets", "openenv") from None
            self.connect: Any = connect
        schema = (self._http("/schema") or {}).get("action") or {}
        known = {name: one for name, one in (schema.get("properties") or {}).items() if name != "metadata"}
        required = [name for name in schema.get("required") or () if name in known] or list(known)
        if field is None and len(required) != 1 and not (field := next((one for one in ("message", "text") if one in known), None)):
            raise Failure(f"`field`: actions of {url} have the fields {', '.join(known) or 'that nobody names'}; name the one "
                          "that holds the action's text", code="config")
        self.field = field or required[0]
        self.number = known.get(self.field, {}).get("type") in ("integer", "number")
        how = f"An action is the value of `{self.field}`, or a JSON object with these fields: {', '.join(known) or self.field}."
        self.instructions = f"{about} {how}".strip()
        self.recovery = "restart"
        self.socket: Any = None
        self.over, self.moves, self.total = True, 0, 0.0

    def _http(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failure(f"{self.url}{path}: {error}: {error.read(500).decode(errors='replace')}", code="input") from None
        except (OSError, ValueError) as error:
            raise Failure(f"{self.url}{path}: {error}; is the OpenEnv server running there?", code="provider") from None

    def _ask(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """An observation, its reward, and whether the episode is done."""
        if self.transport == "http":
            found = self._http(f"/{kind}", data if kind == "reset" else {"action": data})
            return found if isinstance(found, dict) else {}
        try:
            if self.socket is None:
                address = self.url.replace("http://", "ws://").replace("https://", "wss://") + "/ws"
                self.socket = self.connect(address, open_timeout=self.timeout, close_timeout=1,
                                           max_size=100 << 20)
            self.socket.send(json.dumps({"type": kind, "data": data}))
            answer = json.loads(self.socket.recv(timeout=self.timeout))
        except Exception as error:  # The kinds of the package and of the system.
            self.socket = None
            raise Failure(f"{self.url}: {error!r}; is the OpenEnv server running there?", code="provider") from None
        found = answer.get("data") or {}
        if answer.get("type") == "error":
            raise Failure(f"{self.url}: {found.get('code', '')} {found.get('message', found)}", code="input")
        return found if isinstance(found, dict) else {}

    def __del__(self) -> None:
        # A server has room for a number of sessions. To say goodbye takes a while.
        if self.__dict__.get("socket") is not None:
            threading.Thread(target=self.socket.close, daemon=True).start()

    def _turn(self, found: dict[str, Any]) -> Turn:
        seen = found.get("observation")
        if isinstance(seen, dict):
            seen = {key: one for key, one in seen.items() if key not in ("done", "reward", "metadata")}
        shown = seen.get(self.text) if isinstance(seen, dict) and self.text else seen
        text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
        return turn(text, [] if self.over else self.listed, data=seen)

    def reset(self, task: int, seed: int) -> Turn:
        self.over, self.moves, self.total = False, 0, 0.0
        found = self._ask("reset", {"seed": draws.number(task, seed), **self.arguments})
        return self._turn(found)

    def step(self, action: Action) -> Transition:
        if self.over:
            return transition("The episode is over.", terminated=True)
        self.moves += 1
        try:
            found = self._ask("step", self._payload(action.text))
        except (Failure, ValueError) as error:
            if isinstance(error, Failure) and error.code != "input":
                raise
            # The server refused the action, and waits for another.
            self.over = self.moves >= self.limit
            return transition(turn(str(error)[:2000]), illegal=True, truncated=self.over)
        reward, done = float(found.get("reward") or 0.0), bool(found.get("done"))
        self.total += reward
        truncated = not done and self.moves >= self.limit
        self.over = done or truncated
        success = self.total >= self.solved_at if self.over and self.solved_at is not None else None
        return transition(self._turn(found), reward, terminated=done, truncated=truncated, success=success)

    def _payload(self, text: str) -> dict[str, Any]:
        if text.lstrip().startswith("{"):
            found = json.loads(text)
            return dict(found)
        return {self.field: float(text) if self.number else text}


if __name__ == "__main__":
    serve(OpenEnv)
