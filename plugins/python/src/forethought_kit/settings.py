"""The configuration of a component: its JSON Schema from the signature of `__init__`, and values that follow it.

The types are `int`, `float`, `str`, `bool`, `Path`, `Any`, `list[...]`, `dict[str, ...]`, `Literal[...]` and each of
them `| None`. `Annotated[int, "What it is for."]` documents a key, which becomes its help text, and
`Annotated[int, "...", {"minimum": 1}]` adds keywords of JSON Schema.
"""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .pipe import Failure

SCALARS: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean"}


def schema(make: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of the keyword arguments of `make`, a class or a function."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    open_ended = False
    function = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    hints = {} if function is object.__init__ else typing.get_type_hints(function, include_extras=True)
    for name, parameter in ({} if function is object.__init__ else inspect.signature(make).parameters).items():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        key = of_hint(hints.get(name, Any), f"{getattr(make, '__name__', make)}.{name}")
        key.setdefault("description", name.replace("_", " ").capitalize() + ".")
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is not None:
            default = parameter.default
            key["default"] = str(default) if isinstance(default, Path) else default
        properties[name] = key
    found = {"type": "object", "properties": properties, "additionalProperties": open_ended}
    return {**found, "required": required} if required else found


def of_hint(hint: Any, where: str) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = of_hint(arguments[0], where)
        for note in arguments[1:]:
            found.update({"description": note} if isinstance(note, str) else note if isinstance(note, dict) else {})
        return found
    if origin in (Union, types.UnionType):
        one = [argument for argument in arguments if argument is not type(None)]
        if len(one) == 1:
            found = of_hint(one[0], where)
            if isinstance(found.get("type"), str):
                found["type"] = [found["type"], "null"]
            return found
        return {"anyOf": [of_hint(argument, where) for argument in one]}
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list or hint is list:
        return {"type": "array", "items": of_hint(arguments[0], where) if arguments else {}}
    if origin is dict or hint is dict:
        return {"type": "object", "additionalProperties": of_hint(arguments[1], where) if arguments else True}
    if hint in SCALARS:
        return {"type": SCALARS[hint]}
    if hint is Path:
        return {"type": "string", "format": "path"}
    if hint is Any:
        return {}
    raise TypeError(f"{where}: a configuration cannot have a key of the type {hint}")


def read(schema: dict[str, Any], config: dict[str, Any] | None) -> dict[str, Any]:
    """The keyword arguments that a configuration means."""
    config = {key: value for key, value in (config or {}).items() if value is not None}
    known = schema["properties"]
    for key in config:
        if key not in known and not schema["additionalProperties"]:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(f'`{one}`' for one in known) or 'none'}"
            raise Failure(f"unknown key `{key}`; {hint}", code="config")
    for key in schema.get("required", ()):
        if key not in config:
            what = known[key].get("description", "")
            raise Failure(f"the key `{key}` is missing: {what[:1].lower() + what[1:]}", code="config")
    for key, value in config.items():
        if key in known and (problem := wrong(known[key], value)):
            raise Failure(f"`{key}`: {problem}", code="config")
    paths = {key for key, one in known.items() if one.get("format") == "path"}
    return {key: Path(value) if key in paths else value for key, value in config.items()}


def wrong(schema: dict[str, Any], value: Any) -> str | None:
    """What is wrong with a value."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    python: dict[str, Any] = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list,
                              "object": dict, "null": type(None)}
    fits = [kind for kind in kinds if isinstance(value, python[kind])
            and not (isinstance(value, bool) and kind in ("integer", "number"))]
    if kinds and not fits:
        return f"expected {' or '.join(kind for kind in kinds if kind != 'null')}, found {value!r:.100}"
    if "enum" in schema and value not in schema["enum"]:
        return f"expected one of {', '.join(map(repr, schema['enum']))}, found {value!r}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            return f"{value} must be at least {schema['minimum']}"
        if value > schema.get("maximum", value):
            return f"{value} must be at most {schema['maximum']}"
    if isinstance(value, list):
        found = ((index, wrong(schema.get("items", {}), one)) for index, one in enumerate(value))
        return next((f"element {index}: {problem}" for index, problem in found if problem), None)
    return None
