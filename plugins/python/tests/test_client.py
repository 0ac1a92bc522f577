"""The client, with the real program: FORETHOUGHT names it."""

import json
import os
import struct
import sys
from pathlib import Path

import pytest

from forethought_kit import CriticQuery
from forethought_kit.client import Checkpoint, Forethought, ProgramError, Run, frame, options, trajectories


@pytest.fixture
def program(tmp_path):
    if not os.environ.get("FORETHOUGHT"):
        pytest.skip("FORETHOUGHT does not name the program")
    return Forethought(folder=tmp_path)


def test_a_run_is_played_and_read(program, tmp_path):
    config = tmp_path / "my.toml"
    world = Path(__file__).parents[1] / "examples/tide_pools.py"
    config.write_text(f'seed = 7\n[environment]\nkind = "python"\nmodule = "{world}"\npython = "{sys.executable}"\n'
                      '[planner.random]\nkind = "random"\n[critic.coin]\nkind = "random"\n')
    run = program.run(config, {"run.episodes": 3})
    assert run.status == "finished" and len(run.episodes) == 3 and 'kind = "python"' in run.config
    assert Run(run.folder.parent).folder == run.folder
    answers = program.critic(config, [CriticQuery("s", "t", "g")], "coin")
    assert 0 <= answers[0]["probability"] <= 1
    with pytest.raises(ProgramError, match="exit code 2"):
        program.run(config, {"run.episods": 3})


def test_files_are_read(tmp_path):
    step = {"observation": "a door", "action": "open", "reward": 1.0}
    (tmp_path / "trajectories.jsonl").write_text(json.dumps({"episode": "e", "task": 3, "steps": [step]}) + "\n")
    [one] = trajectories(tmp_path)
    assert (one.task, one.steps[0].action, one.steps[0].reward) == (3, "open", 1.0)
    pytest.importorskip("pandas")
    assert list(frame([one])["observation"]) == ["a door"]


def test_a_checkpoint_is_read(tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    (tmp_path / "config.json").write_text('{"format": "forethought-goal-q/1"}')
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(24))
    found = Checkpoint(tmp_path)
    assert found.config["format"] == "forethought-goal-q/1" and found.tensors() == {"w": ("F32", [2, 3])}
    with pytest.raises(FileNotFoundError, match="config.json"):
        Checkpoint(tmp_path / "none")


def test_settings_become_options():
    assert options({"a.b": 3, "c": "x", "d": [1, "y"]}) == ["--set", "a.b=3", "--set", "c=x", "--set", 'd=[1, "y"]']
