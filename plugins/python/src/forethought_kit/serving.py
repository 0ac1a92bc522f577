"""A program that serves components: `serve()`, and decorators that make components of functions."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .parts import Component, Critic, Encoder, Host, Models, Planner
from .pipe import BAD_REQUEST, UNIMPLEMENTED, Failure, Message, Pipe
from .types import CriticQuery, Decision, DecisionContext, Estimate

C = TypeVar("C", bound=type[Component])
#: What decorators have made, in order.
registered: list[type[Component]] = []


class Module:
    """What the program calls first."""

    interface = "forethought.module/1"

    def __init__(self, package: str, version: str, components: Sequence[type[Component]]) -> None:
        self.package, self.version, self.components = package, version, components

    def inline(self, method: str) -> bool:
        return True

    def invoke(self, method: str, message: Message) -> Any:
        if method == "describe":
            components = [one.describe() for one in self.components]
            return {"package": self.package, "version": self.version, "components": components}
        if method != "create":
            raise Failure(f"{self.interface} has no method `{method}`", status=UNIMPLEMENTED)
        create = message.body["create"]
        for one in self.components:
            described = one.describe()
            if (described["interface"], described["kind"]) == (create["interface"], create["kind"]):
                return one.create(create.get("config"), Host(message.object(message.body["host"])))
        raise Failure(f"there is no `{create['kind']}` of {create['interface']} here", code="not_found",
                      status=BAD_REQUEST)


class Asking(Module):
    """A module whose components ask the program for others while they are built."""

    def inline(self, method: str) -> bool:
        return method != "create"


class ToProgram(logging.Handler):
    """Sends records to the program's log."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        for level, name in ((40, "error"), (30, "warn"), (20, "info"), (10, "debug"), (0, "trace")):
            if record.levelno >= level:
                try:
                    return self.pipe.log(name, record.name, self.format(record))
                except OSError:
                    return None  # The program has gone.


def serve(*components: type[Component], package: str = "", version: str = "", imports: Sequence[str] = ()) -> None:
    """Serves components over standard input and output, until the program closes them.

    `imports` are modules to load before the program is greeted, because they take long and may print.

    Without arguments, those that `@register` and the other decorators made. What is printed goes to standard error.
    """
    chosen = list(components) or registered
    if not chosen:
        raise SystemExit("there is nothing to serve: give `serve` a class, or decorate one with @register")
    if sys.stdin.isatty():
        raise SystemExit("this is a plugin of Forethought: `forethought plugin check FILE` tries it, and "
                         "`load = [{ command = [\"python3\", \"FILE\"] }]` under [plugins] uses it")
    # Frames go where nobody else can write: not print, not a library in C, not a child process.
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    main = sys.modules["__main__"]
    name = package or (main.__spec__.name if main.__spec__ else Path(getattr(main, "__file__", "plugin")).stem)
    asks = any(one.asks for one in chosen)
    module = (Asking if asks else Module)(name, version or kit_version(), chosen)
    pipe = Pipe(open(source, "rb", buffering=1 << 16), sink, module)
    logging.basicConfig(level=os.environ.get("FORETHOUGHT_KIT_LOG", "INFO").upper(), handlers=[ToProgram(pipe)],
                        format="%(message)s")
    for slow in imports:
        with contextlib.suppress(ImportError):  # The component says what is missing.
            importlib.import_module(slow)
    pipe.hello()
    pipe.run()
    logging.shutdown()
    # Threads that still work serve nobody, and a library's own may never end.
    sys.stderr.flush()
    os._exit(0)


def kit_version() -> str:
    try:
        return importlib.metadata.version("forethought-kit")
    except importlib.metadata.PackageNotFoundError:
        return "0.1.0"


def register(kind: str = "", summary: str = "") -> Callable[[C], C]:
    """Decorates a class that `serve()` serves."""

    def decorate(component: C) -> C:
        component.kind = kind or component.kind
        component.summary = summary or component.summary
        registered.append(component)
        return component

    return decorate


def made(base: type[Component], kind: str, summary: str, **methods: Any) -> None:
    function = next(iter(methods.values()))
    text = summary or (function.__doc__ or kind).strip().split("\n")[0].rstrip(".")
    register(kind, text)(type(kind, (base,), {**methods, "__doc__": text}))


def planner(kind: str, summary: str = "") -> Callable[[Any], Any]:
    """Makes a planner of a function `(context, models)` that returns a decision, or the text of an action."""

    def decorate(function: Callable[[DecisionContext, Models], Decision | str]) -> Any:
        made(Planner, kind, summary or (function.__doc__ or ""), decide=lambda self, context, models: function(context, models))
        return function

    return decorate


def critic(kind: str, summary: str = "") -> Callable[[Any], Any]:
    """Makes a critic of a function of one query that returns an estimate or a probability."""

    def decorate(function: Callable[[CriticQuery], Estimate | float]) -> Any:
        made(Critic, kind, summary or (function.__doc__ or ""), estimate=lambda self, queries: [function(one) for one in queries])
        return function

    return decorate


def encoder(kind: str, dimension: int, summary: str = "") -> Callable[[Any], Any]:
    """Makes an encoder of a function from one text to its numbers."""

    def decorate(function: Callable[[str], Sequence[float]]) -> Any:
        made(Encoder, kind, summary or (function.__doc__ or ""),
             encode=lambda self, texts: [function(text) for text in texts], dimension=dimension)
        return function

    return decorate


def need(package: str, extra: str, why: str = "") -> Failure:
    """The error of an adapter whose package is missing, with the command that installs it."""
    text = f"{package} is not installed for {sys.executable}{why}; install it: "
    return Failure(f"{text}{sys.executable} -m pip install 'forethought-kit[{extra}]'", code="config")


