"""Calls over a pipe of bytes: docs/plugin-pipe.md. Both ends of a pipe are the same class.

The thread that reads frames also runs the calls of objects that say `inline`: nothing is faster, and the worlds of one
process take turns anyway, since one Python holds one core. All other calls get a thread of their own, or are tasks of
one event loop if they are `async`, so they may call the other side and wait.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import itertools
import json
import os
import struct
import threading
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, BinaryIO, Protocol

OK, ERROR, PANIC, CANCELLED, UNIMPLEMENTED, BAD_REQUEST, SHUTDOWN = range(7)
MAX_FRAME = 1 << 29
#: Lines of a traceback that an error carries.
LINES = 24


class Failure(Exception):
    """An answer that is not a result.

    Raise it for what a user can fix: its message says what failed, where, and how to fix it. `code` is one of `config`,
    `input`, `not_found`, `malformed`, `budget`, `provider` and `other`.
    """

    def __init__(self, message: str, code: str = "other", *, retryable: bool = False, status: int = ERROR,
                 chain: list[str] | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.retryable, self.status = message, code, retryable, status
        self.chain = chain or []

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "retryable": self.retryable, "chain": self.chain}

    @classmethod
    def read(cls, status: int, body: Any) -> Failure:
        body = body if isinstance(body, dict) else {}
        chain = [str(cause) for cause in body.get("chain") or ()]
        text = str(body.get("message") or f"status {status}")
        return cls(text, str(body.get("code") or "other"), retryable=bool(body.get("retryable")), status=status,
                   chain=chain)

    def __str__(self) -> str:
        return ": ".join([self.message, *self.chain])


class Cancelled(BaseException):
    """Nobody waits for this call any more. Not an `Exception`, so that no `except Exception` swallows it."""


class Blob:
    """A matrix of f32, sent next to the JSON."""

    def __init__(self, rows: int, columns: int, data: bytes) -> None:
        self.rows, self.columns, self.data = rows, columns, data


class Served(Protocol):
    """An object that the other side may call."""

    @property
    def interface(self) -> str: ...

    def inline(self, method: str) -> bool:
        """Whether the method is called by the thread that reads frames."""

    def invoke(self, method: str, message: Message) -> Any:
        """The result, or an awaitable of it. Raises `Failure` with `UNIMPLEMENTED` for an unknown method."""


class Message:
    """What came with a call or its return."""

    __slots__ = ("body", "objects", "blobs")

    def __init__(self, body: Any, objects: list[Reference], blobs: list[bytes]) -> None:
        self.body, self.objects, self.blobs = body, objects, blobs

    def object(self, value: Any) -> Reference:
        """The object that `value`, such as `{"object": 0}`, stands for."""
        try:
            found: Reference = self.objects[value["object"]]
            return found
        except (TypeError, KeyError, IndexError):
            raise Failure(f"{value!r} is not an object of this message", status=BAD_REQUEST) from None


class Reference:
    """An object, of the other side or of this one: a call that comes back is made at once."""

    def __init__(self, pipe: Pipe, handle: int, interface: str, own: Served | None = None) -> None:
        self.pipe, self.handle, self.interface, self.own = pipe, handle, interface, own

    def call(self, method: str, timeout: float | None = None, **body: Any) -> Message:
        if self.own is None:
            return self.pipe.call(self.handle, method, body, timeout)
        result = self.own.invoke(method, Message(json.loads(json.dumps(body)), [], []))
        return Message(result, [], [])

    def __deepcopy__(self, _: Any) -> Reference:
        return self  # A copy of a world asks the same program.

    def __del__(self) -> None:
        # Only noted: the collector may run while a frame is being written.
        if self.own is None and self.handle != 0:
            self.pipe.unused.append(self.handle)


class Call:
    """A call of one of this side's objects."""

    def __init__(self, number: int) -> None:
        self.number, self.cancelled = number, False
        self.waiting: set[int] = set()
        self.task: asyncio.Task[Any] | None = None


current: contextvars.ContextVar[Call | None] = contextvars.ContextVar("forethought_call", default=None)


def cancelled() -> bool:
    """Whether nobody waits for the call that this thread or task serves. Ask it in long loops, and return early."""
    call = current.get()
    return call is not None and call.cancelled


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    return json.dumps(value, default=default, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class Pipe:
    """One end of a pipe."""

    def __init__(self, source: BinaryIO, sink: int, root: Served | None = None) -> None:
        self.source, self.sink = source, sink
        self.objects: dict[int, Served] = {} if root is None else {0: root}
        self.handles, self.numbers = itertools.count(1), itertools.count(1)
        self.calls: dict[int, Future[Message]] = {}
        self.serving: dict[int, Call] = {}
        self.unused: deque[int] = deque()
        self.lock, self.reader = threading.Lock(), -1
        self.loop: asyncio.AbstractEventLoop | None = None
        self.ended: Failure | None = None
        self.logs: Callable[[str, str, str], None] = lambda level, target, text: None

    # Frames

    def send(self, kind: str, **head: Any) -> None:
        self.write(dumps({kind: head}), [])

    def write(self, text: str, blobs: list[bytes]) -> None:
        body, size = text.encode("utf-8", "replace"), sum(map(len, blobs))
        if len(body) + size > MAX_FRAME:
            raise Failure(f"a message of {len(body) + size >> 20} MiB; a frame has at most {MAX_FRAME >> 20} MiB")
        frame = b"".join([struct.pack("<II", len(body), size), body, *blobs])
        with self.lock:
            done = os.write(self.sink, frame)
            while done < len(frame):
                done += os.write(self.sink, frame[done:])

    def message(self, kind: str, value: Any, **head: Any) -> None:
        """Sends a body, with the objects and matrices in it."""
        objects: list[dict[str, Any]] = []
        blobs: list[bytes] = []

        def attach(thing: Any) -> Any:
            if isinstance(thing, Blob):
                blobs.append(thing.data)
                return {"rows": thing.rows, "columns": thing.columns, "dtype": "f32", "blob": len(blobs) - 1}
            if isinstance(thing, Reference) and thing.own is None:
                objects.append({"handle": thing.handle, "interface": thing.interface, "yours": True})
            elif hasattr(thing, "invoke"):
                handle = next(self.handles)
                self.objects[handle] = thing
                objects.append({"handle": handle, "interface": thing.interface})
            elif hasattr(thing, "to_wire"):
                return thing.to_wire()
            elif hasattr(thing, "item"):  # A number of numpy's.
                return thing.item()
            elif hasattr(thing, "tolist"):
                return thing.tolist()
            else:
                raise TypeError(f"a {type(thing).__name__} cannot be sent as JSON: {thing!r:.200}")
            return {"object": len(objects) - 1}

        # The body first: the lists fill while it is written.
        try:
            body = dumps(value, attach)
            more: dict[str, Any] = {"objects": objects} if objects else {}
            if blobs:
                more["blobs"] = [len(blob) for blob in blobs]
            self.write(f'{{"{kind}":{dumps({**head, **more})[:-1]},"body":{body}}}}}', blobs)
        except ValueError as error:
            raise Failure(f"it cannot be written as JSON, which has no NaN and no infinity: {error}") from None
        except BaseException:
            for given in objects:
                self.objects.pop(given["handle"], None)
            raise

    def log(self, level: str, target: str, message: str) -> None:
        self.send("log", level=level, target=target, message=message)

    def hello(self) -> None:
        self.send("hello", protocol="forethought", version="1.0", features=["cancel"])

    def run(self) -> None:
        """Reads frames until the other side closes its end."""
        self.reader = threading.get_ident()
        read = self.source.read
        try:
            while len(sizes := read(8)) == 8:
                length, size = struct.unpack("<II", sizes)
                if length + size > MAX_FRAME:
                    raise Failure(f"a frame of {length + size} bytes")
                body = read(length)
                data = read(size) if size else b""
                if len(body) + len(data) < length + size:
                    break
                [(kind, head)] = json.loads(body).items()
                handler = getattr(self, "on_" + kind, None)
                if handler is not None:
                    handler(head, data)
                while self.unused:
                    self.send("release", object=self.unused.popleft())
        except OSError:
            pass  # The other side has gone.
        finally:
            self.end(Failure("the other side has ended", status=SHUTDOWN))

    def end(self, why: Failure) -> None:
        self.ended = self.ended or why
        for waiting in list(self.calls.values()):
            if not waiting.done():
                waiting.set_exception(self.ended)

    # What arrives

    def on_hello(self, head: dict[str, Any], _: bytes) -> None:
        protocol, version = head.get("protocol"), str(head.get("version"))
        if (protocol, version.split(".")[0]) != ("forethought", "1"):
            raise SystemExit(f"this side speaks forethought 1.0, and the other one {protocol} {version}")

    def on_log(self, head: dict[str, Any], _: bytes) -> None:
        self.logs(head.get("level", "info"), head.get("target", ""), head.get("message", ""))

    def on_release(self, head: dict[str, Any], _: bytes) -> None:
        self.objects.pop(head["object"], None)

    def on_return(self, head: dict[str, Any], data: bytes) -> None:
        waiting = self.calls.pop(head["id"], None)
        message = self.received(head, data)
        if waiting is not None and not waiting.done():
            if head["status"] == OK:
                waiting.set_result(message)
            else:
                waiting.set_exception(Failure.read(head["status"], message.body))

    def on_cancel(self, head: dict[str, Any], _: bytes) -> None:
        call = self.serving.get(head["id"])
        if call is None:
            return
        call.cancelled = True
        if call.task is not None and self.loop is not None:
            self.loop.call_soon_threadsafe(call.task.cancel)
        for number in list(call.waiting):
            waiting = self.calls.get(number)
            if waiting is not None and not waiting.done():
                self.send("cancel", id=number)
                waiting.set_exception(Cancelled())

    def on_call(self, head: dict[str, Any], data: bytes) -> None:
        call, target, method = Call(head["id"]), self.objects.get(head["object"]), str(head["method"])
        self.serving[call.number] = call
        try:
            message = self.received(head, data)
            if target is None:
                raise Failure(f"there is no object {head['object']}", status=BAD_REQUEST)
        except Failure as failure:
            return self.answer(call, failure)
        if target.inline(method):
            return self.serve(call, target, method, message)
        threading.Thread(target=self.serve, args=(call, target, method, message), daemon=True).start()

    def received(self, head: dict[str, Any], data: bytes) -> Message:
        objects = [
            Reference(self, one["handle"], one.get("interface", ""),
                      self.objects.get(one["handle"]) if one.get("yours") else None)
            for one in head.get("objects") or ()
        ]
        blobs, at = [], 0
        for size in head.get("blobs") or ():
            blobs.append(data[at:at + size])
            at += size
        return Message(head.get("body"), objects, blobs)

    # Calls of this side's objects

    def serve(self, call: Call, target: Served, method: str, message: Message) -> None:
        current.set(call)
        try:
            if call.cancelled:
                raise Cancelled
            result = target.invoke(method, message)
            if asyncio.iscoroutine(result):
                result = self.awaited(call, result)
            if call.cancelled:
                raise Cancelled
            self.serving.pop(call.number, None)
            self.message("return", result, id=call.number, status=OK)
        except BaseException as error:  # Whatever it is, the other side gets exactly one answer.
            self.answer(call, error)
        finally:
            current.set(None)

    def awaited(self, call: Call, work: Awaitable[Any]) -> Any:
        if threading.get_ident() == self.reader:
            raise Failure("an `async` method needs `inline = False` in its class")
        with self.lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, daemon=True).start()

        async def task() -> Any:
            call.task = asyncio.current_task()
            return await work

        try:
            return asyncio.run_coroutine_threadsafe(task(), self.loop).result()
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise Cancelled from None

    def answer(self, call: Call, error: BaseException) -> None:
        self.serving.pop(call.number, None)
        if isinstance(error, Failure):
            failure = error
        elif isinstance(error, Cancelled):
            failure = Failure("the call was withdrawn", status=CANCELLED)
        else:
            lines = "".join(traceback.format_exception(error)).rstrip().splitlines()[-LINES:]
            failure = Failure(f"{type(error).__name__}: {error}", status=PANIC, chain=["\n".join(lines)])
        try:
            self.message("return", failure.body(), id=call.number, status=failure.status)
        except OSError:
            pass

    # Calls of the other side's objects

    def call(self, handle: int, method: str, body: dict[str, Any], timeout: float | None = None) -> Message:
        if threading.get_ident() == self.reader:
            raise Failure(f"{method} is called by a method that must not wait: set `inline = False` in its class")
        if self.ended is not None:
            raise self.ended
        served, number = current.get(), next(self.numbers)
        if served is not None and served.cancelled:
            raise Cancelled
        waiting: Future[Message] = Future()
        self.calls[number] = waiting
        if served is not None:
            served.waiting.add(number)
        try:
            self.message("call", body, id=number, object=handle, method=method)
            return waiting.result(timeout)
        except TimeoutError:
            self.send("cancel", id=number)
            raise Failure(f"{method}: no answer within {timeout} s", code="deadline") from None
        finally:
            if served is not None:
                served.waiting.discard(number)


