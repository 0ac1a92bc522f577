"""Rollouts of verifiers whose model is somebody else: what `verifiers` needs to be played one answer at a time."""

from __future__ import annotations

import asyncio
import importlib.util
import queue
import threading
from pathlib import Path
from typing import Any

from .pipe import Failure
from .serving import need


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


def role(message: Any) -> str:
    return str(message.get("role") if isinstance(message, dict) else message.role)


def content(message: Any) -> str:
    found = message.get("content") if isinstance(message, dict) else message.content
    if isinstance(found, list):
        parts = (one if isinstance(one, dict) else one.model_dump() for one in found)
        return "\n".join(str(one.get("text", "")) for one in parts)
    return str(found or "")
