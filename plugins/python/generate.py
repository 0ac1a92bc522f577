#!/usr/bin/env python3
"""Writes src/forethought_kit/types.py from the JSON Schema of Forethought's interfaces.

Run it after `UPDATE=1 cargo test -p forethought-api --test wire`. With --check it only says whether the file is current.
"""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCHEMA = HERE.parents[1] / "core/api/tests/wire/types.schema.json"
OUT = HERE / "src/forethought_kit/types.py"

HEAD = '''"""The data that cross Forethought's interfaces. Written by generate.py; do not edit it.

Each class has `from_wire`, which reads a JSON object and ignores keys that it does not know, and `to_wire`, which
writes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

'''


def prose(text: str, width: int = 110, indent: str = "") -> str:
    text = re.sub(r"\[`([\w:]+)`\](\([^)]*\))?", lambda m: "`" + m[1].replace("::", ".") + "`", text)
    return textwrap.fill(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)


def literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


class Field:
    """A field: its type in Python, and how it is read and written."""

    def __init__(self, name: str, schema: dict[str, Any], enums: dict[str, list[str]]) -> None:
        self.name, self.schema = name, schema
        self.hint, self.read, self.write, self.empty = shape(schema, enums)
        # Objects are made by their own class; other defaults are part of the schema.
        if schema.get("default") is not None and not isinstance(schema["default"], (dict, list)):
            self.empty = literal(schema["default"])

    def line(self) -> str:
        """Its line in the class."""
        plain = self.empty[0].isdigit() or self.empty[0] == '"'
        plain = plain or self.empty in ("None", "True", "False")
        # A class may be defined further down.
        factory = f"lambda: {self.empty}" if self.empty[0].isupper() else self.empty.removesuffix("()")
        default = self.empty if plain else f"field(default_factory={factory})"
        text = prose(self.schema.get("description", ""), 108, "    #: ")
        return f"{text}\n    {self.name}: {self.hint} = {default}"


def shape(schema: dict[str, Any], enums: dict[str, list[str]]) -> tuple[str, str, str, str]:
    """The type, an expression that reads a `v`, one that writes a `v`, and the value of a missing field."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in enums:
            return name, "v", "v", literal(enums[name][-1])
        return name, f"{name}.from_wire(v)", "v.to_wire()", f"{name}()"
    if "anyOf" in schema:
        [inner] = [one for one in schema["anyOf"] if one.get("type") != "null"]
        hint, read, write, _ = shape(inner, enums)
        return f"{hint} | None", optional(read), optional(write), "None"
    kind = schema.get("type")
    if isinstance(kind, list):
        hint, read, write, _ = shape({**schema, "type": next(one for one in kind if one != "null")}, enums)
        return f"{hint} | None", optional(read), optional(write), "None"
    if kind == "array" and "prefixItems" in schema:
        parts = [shape(part, enums) for part in schema["prefixItems"]]
        each = [[part[way].replace("v", f"v[{i}]", 1) if part[way] == "v" else
                 re.sub(r"\bv\b", f"v[{i}]", part[way]) for i, part in enumerate(parts)] for way in (1, 2)]
        hint = ", ".join(part[0] for part in parts)
        return f"tuple[{hint}]", f"({', '.join(each[0])})", f"[{', '.join(each[1])}]", "()"
    if kind == "array":
        hint, read, write, _ = shape(schema.get("items") or {}, enums)
        return f"list[{hint}]", "list(v)" if read == "v" else f"[{read} for v in v]", \
            "v" if write == "v" else f"[{write} for v in v]", "list()"
    if kind == "object":
        values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        hint, read, write, _ = shape(values[0] if isinstance(values[0], dict) else {}, enums)
        return f"dict[str, {hint}]", "dict(v)" if read == "v" else "{k: %s for k, v in v.items()}" % read, \
            "v" if write == "v" else "{k: %s for k, v in v.items()}" % write, "dict()"
    scalars = {"string": ("str", '""'), "integer": ("int", "0"), "number": ("float", "0.0"), "boolean": ("bool", "False")}
    if kind in scalars:
        hint, empty = scalars[kind]
        return hint, "v", "v", empty
    return "Any", "v", "v", "None"


def optional(expression: str) -> str:
    return expression if expression == "v" else f"None if v is None else {expression}"


def enum(schema: dict[str, Any]) -> list[str] | None:
    found = schema.get("enum") or [one.get("const") for one in schema.get("oneOf", [])]
    return found if found and all(isinstance(one, str) for one in found) else None


def generate() -> str:
    types = json.loads(SCHEMA.read_text())["$defs"]
    enums = {name: words for name, schema in types.items() if (words := enum(schema))}
    text = HEAD
    for name, words in enums.items():
        about = prose(types[name].get("description", ""), 112, "#: ")
        text += f"{about}\n{name} = Literal[{', '.join(json.dumps(word) for word in words)}]\n"
    text += "\n"
    for name, schema in types.items():
        if name not in enums:
            text += dataclass(name, schema, enums)
    return text


def dataclass(name: str, schema: dict[str, Any], enums: dict[str, list[str]]) -> str:
    fields = [Field(key, value if isinstance(value, dict) else {}, enums) for key, value in schema["properties"].items()]
    text = f'\n@dataclass(slots=True)\nclass {name}:\n    """{prose(schema.get("description", name))}"""\n\n'
    text += "\n".join(one.line() for one in fields)
    text += f"\n\n    @classmethod\n    def from_wire(cls, wire: dict[str, Any]) -> {name}:\n        get = wire.get\n"
    text += "        return cls(\n"
    for one in fields:
        if one.read == "v":
            text += f'            get("{one.name}", {one.empty}),\n'
        elif one.read in ("list(v)", "dict(v)"):
            text += f'            {one.read[:4]}(get("{one.name}") or ()),\n'
        elif one.read.startswith("None if"):
            inner = re.sub(r"\bv\b", f'wire["{one.name}"]', one.read.split(" else ", 1)[1], count=1)
            text += f'            {inner} if get("{one.name}") is not None else None,\n'
        else:
            source = f'get("{one.name}")'
            if one.read.startswith("["):
                read = re.sub(r" in v\]$", f" in {source} or ()]", one.read)
            elif one.read.startswith("{"):
                read = one.read.replace("v.items()", f"({source} or {{}}).items()")
            else:
                read = re.sub(r"\bv\b", f"{source} or {{}}", one.read)
            text += f"            {read},\n"
    text += "        )\n\n    def to_wire(self) -> dict[str, Any]:\n        return {\n"
    for one in fields:
        me = f"self.{one.name}"
        if one.write.startswith("["):
            write = re.sub(r" in v\]$", f" in {me}]", one.write)
        elif one.write.startswith("{"):
            write = one.write.replace("v.items()", f"{me}.items()")
        else:
            write = re.sub(r"\bv\b", me, one.write)
        text += f'            "{one.name}": {write},\n'
    return text + "        }\n\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if OUT.read_text() != generate().rstrip("\n") + "\n":
            sys.exit(f"{OUT.name} is out of date: run python3 {Path(__file__).name}")
    else:
        OUT.write_text(generate().rstrip("\n") + "\n")
