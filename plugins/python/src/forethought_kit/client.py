"""Forethought from Python: starts the program, and reads runs, trajectories and checkpoints.

    from forethought_kit.client import Forethought, Run

    run = Forethought().run("my.toml", {"run.episodes": 50})
    print(run.status, [episode["score"] for episode in run.episodes])
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .types import CriticQuery, Trajectory

Place = str | os.PathLike[str]


class ProgramError(Exception):
    """The program ended with an error: its exit code, and what it said."""

    def __init__(self, command: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with exit code {code}: {said.strip()[-4000:]}")
        self.code, self.said = code, said


class Forethought:
    """The program: `program`, the variable FORETHOUGHT, or `forethought` in PATH."""

    def __init__(self, program: Place | None = None, folder: Place | None = None) -> None:
        found = program or os.environ.get("FORETHOUGHT") or shutil.which("forethought")
        if not found:
            raise FileNotFoundError("there is no program `forethought` in PATH; install it (cargo install forethought), or "
                                    "name it: Forethought(program=...) or the variable FORETHOUGHT")
        self.program, self.folder = os.fspath(found), folder

    def command(self, *words: str, codes: Sequence[int] = (0,), quiet: bool = True) -> str:
        """Runs a command, and returns what it printed. Without `quiet`, its progress is shown."""
        command = [self.program, *words]
        done = subprocess.run(command, cwd=self.folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE if quiet else None)
        if done.returncode not in codes:
            raise ProgramError(command, done.returncode, done.stderr or "")
        return done.stdout

    def json(self, *words: str, codes: Sequence[int] = (0,), quiet: bool = True) -> Any:
        return json.loads(self.command(*words, "--json", codes=codes, quiet=quiet))

    def run(self, config: Place, settings: Mapping[str, Any] | None = None, quiet: bool = True) -> Run:
        """Plays the episodes of a configuration. Ctrl-C interrupts them; run again to continue."""
        document = self.json("run", os.fspath(config), *options(settings), quiet=quiet)
        return Run(document["run"])

    def evaluate(self, config: Place, planners: Sequence[str], settings: Mapping[str, Any] | None = None) -> Any:
        """Plays the same episodes with several planners, and compares them."""
        return self.json("eval", os.fspath(config), "--planner", ",".join(planners), *options(settings))

    def collect(self, config: Place, out: Place, settings: Mapping[str, Any] | None = None) -> list[Trajectory]:
        """Plays episodes and writes their trajectories into a folder."""
        self.command("collect", os.fspath(config), "--out", os.fspath(out), *options(settings))
        return trajectories(out)

    def train(self, config: Place, data: Place, out: Place, settings: Mapping[str, Any] | None = None) -> Checkpoint:
        """Trains a critic on trajectories."""
        self.command("train", os.fspath(config), "--data", os.fspath(data), "--out", os.fspath(out), *options(settings))
        return Checkpoint(out)

    def critic(self, config: Place, queries: Sequence[CriticQuery], name: str = "critic",
               settings: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What a configured critic says of outcomes: `probability`, `raw`, `uncertainty`, `outside` and more."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "questions.jsonl")
            file.write_text("".join(json.dumps(query.to_wire()) + "\n" for query in queries))
            found = self.json("critic", "ask", os.fspath(config), "--critic", name, "--in", str(file), *options(settings))
        return list(found["answers"] if isinstance(found, dict) else found)


def options(settings: Mapping[str, Any] | None) -> list[str]:
    """Settings as `--set` options: texts as they are, all else as JSON, which TOML reads for numbers and lists."""
    pairs = ((key, one if isinstance(one, str) else json.dumps(one)) for key, one in (settings or {}).items())
    return [word for key, text in pairs for word in ("--set", f"{key}={text}")]


class Run:
    """The folder of a run, or of a planner's runs, of which the newest counts."""

    def __init__(self, folder: Place) -> None:
        self.folder = Path(folder)
        if not (self.folder / "run.json").is_file():
            runs = sorted(one.parent for one in self.folder.glob("*/run.json"))
            if not runs:
                raise FileNotFoundError(f"{folder} is not a run's folder: it has no run.json")
            self.folder = runs[-1]

    @property
    def about(self) -> dict[str, Any]:
        """What `run.json` says: environment, planner, status and more."""
        return dict(json.loads((self.folder / "run.json").read_text()))

    @property
    def status(self) -> str:
        return str(self.about["status"])

    @property
    def episodes(self) -> list[dict[str, Any]]:
        """One summary per finished episode: task, seed, score, success and more."""
        return list(lines(self.folder / "episodes.jsonl"))

    @property
    def config(self) -> str:
        """The whole configuration, as TOML."""
        return (self.folder / "config.resolved.toml").read_text()

    def frame(self) -> Any:
        """The episodes as a table of pandas."""
        return pandas().DataFrame(self.episodes)

    def decisions(self, program: Forethought | None = None) -> Any:
        """One row per decision, as a table of pandas; it needs pyarrow."""
        with tempfile.TemporaryDirectory() as folder:
            (program or Forethought()).command("export", str(self.folder), "--format", "decisions", "--out", f"{folder}/out")
            return pandas().read_parquet(f"{folder}/out/decisions.parquet")


def lines(file: Path) -> Iterator[Any]:
    with file.open(encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{file}:{number}: {error}") from None


def trajectories(place: Place) -> list[Trajectory]:
    """The trajectories of a .jsonl file, or of a folder that holds some."""
    path = Path(place)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{place} holds no trajectories: there is no .jsonl file")
    return [Trajectory.from_wire(one) for file in files for one in lines(file)]


def frame(given: Sequence[Trajectory]) -> Any:
    """Trajectories as a table of pandas: one row per step."""
    rows = ({"episode": one.episode, "task": one.task, "seat": one.seat, "index": index, **step.to_wire()}
            for one in given for index, step in enumerate(one.steps))
    return pandas().DataFrame(list(rows))


class Checkpoint:
    """The folder of a trained critic."""

    def __init__(self, folder: Place) -> None:
        self.folder = Path(folder)
        file = self.folder / "config.json"
        if not file.is_file():
            raise FileNotFoundError(f"{folder} is not a checkpoint: it has no config.json")
        #: Everything that was recorded: format, split, what it was trained on, measures.
        self.config: dict[str, Any] = json.loads(file.read_text())

    def tensors(self) -> dict[str, tuple[str, list[int]]]:
        """The name of each tensor, with the type of its numbers and its shape, without reading the numbers."""
        with (self.folder / "model.safetensors").open("rb") as source:
            [size] = struct.unpack("<Q", source.read(8))
            header = json.loads(source.read(size))
        return {name: (one["dtype"], one["shape"]) for name, one in header.items() if name != "__metadata__"}


def pandas() -> Any:
    try:
        import pandas as found
    except ImportError:
        raise ImportError("tables need pandas: python -m pip install 'forethought-kit[pandas]'") from None
    return found
