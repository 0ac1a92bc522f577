"""OpenEnv's echo example: a server on loopback, `python echo_server.py PORT`."""

import sys
import uuid
from typing import Any, Optional

import uvicorn
from openenv.core.env_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State


class EchoAction(Action):
    message: str


class EchoObservation(Observation):
    echoed_message: str = ""
    message_length: int = 0


class EchoEnvironment(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def reset(self, seed: Optional[int] = None, episode_id: Optional[str] = None, **_: Any) -> EchoObservation:
        self.count = 0
        return EchoObservation(echoed_message="Echo environment ready!", done=False, reward=0.0)

    def step(self, action: EchoAction, timeout_s: Optional[float] = None, **_: Any) -> EchoObservation:
        self.count += 1
        return EchoObservation(echoed_message=action.message, message_length=len(action.message),
                               done=self.count >= 5, reward=len(action.message) * 0.1)

    @property
    def state(self) -> State:
        return State(episode_id=str(uuid.uuid4()), step_count=self.count)


app = create_fastapi_app(EchoEnvironment, EchoAction, EchoObservation, max_concurrent_envs=32)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
