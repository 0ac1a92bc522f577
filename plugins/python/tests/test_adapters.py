"""Adapters with the real packages. Those that are missing are reported as skipped; FORETHOUGHT_WORLDS names what must be there."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forethought_kit.check import Plugin, check
from forethought_kit.parts import World

HERE = Path(__file__).parent
MUST = os.environ.get("FORETHOUGHT_WORLDS", "").split()


def needs(package):
    there = importlib.util.find_spec(package) is not None
    assert there or package not in MUST, f"{package} is not installed"
    return pytest.mark.skipif(not there, reason=f"{package} is not installed")


def conforms(name, /, **config):
    with Plugin([sys.executable, "-m", f"forethought_kit.{name}"]) as plugin:
        [described] = plugin.describe()
        return list(check(plugin, described, config))


def play(name, actions, /, **config):
    """The transitions of a first episode."""
    with Plugin([sys.executable, "-m", f"forethought_kit.{name}"]) as plugin:
        [described] = plugin.describe()
        root = World(plugin.create(described, config))
        world = root.spawn()
        first = world.reset(0, 7)
        return root.spec(), first, [world.step(action) for action in actions]


@needs("gymnasium")
@pytest.mark.parametrize("id", ["Taxi-v3", "FrozenLake-v1", "CartPole-v1"])
def test_gymnasium(id):
    assert conforms("gymnasium", id=id) == []


@needs("gymnasium")
def test_gymnasium_in_words(tmp_path):
    spec, first, [moved, wrong] = play("gymnasium", ["south", "fly"], id="Taxi-v3")
    assert "drop off" in first.legal_actions and "drop off" in spec.instructions
    assert "The taxi is at row" in first.observation.text
    assert moved.rewards == [-1.0] and wrong.illegal and "'fly' is not an action here" in wrong.turn.observation.text
    file = tmp_path / "mine.py"
    file.write_text("def describe(seen):\n    return 'leaning right' if seen[2] > 0 else 'leaning left'\n")
    _, first, [one] = play("gymnasium", ["right"], id="CartPole-v1", describe=f"{file}:describe", actions=["left", "right"])
    assert first.observation.text.startswith("leaning ") and one.rewards == [1.0]


@needs("textarena")
@pytest.mark.parametrize("game", ["TicTacToe", "KuhnPoker"])
def test_textarena(game):
    assert conforms("textarena", id=f"{game}-v0") == []


@needs("textarena")
def test_cards_of_other_seats_are_hidden():
    spec, first, [checked] = play("textarena", ["[check]"], id="KuhnPoker-v0")
    assert [seat.name for seat in spec.seats] == ["player 0", "player 1"]
    other = checked.turn
    assert first.seat != other.seat and sorted(first.legal_actions) == ["[bet]", "[check]"]
    card = first.observation.text.split("Your card is: '")[1][0]
    assert f"Your card is: '{card}'" not in other.observation.text


@needs("scienceworld")
@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
def test_scienceworld():
    spec, first, [looked, nonsense] = play("scienceworld", ["look around", "xyzzy"], tasks=10)
    assert spec.tasks == 10 and "Your task is" in first.observation.text and first.legal_actions
    assert not looked.illegal and nonsense.illegal


@needs("textworld")
def test_textworld(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _, first, [move] = play("textworld", ["look"], level=1, tasks=1)
    assert "coin" in first.observation.text and first.legal_actions and not move.terminated


@needs("openenv")
@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_openenv(transport):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, HERE / "echo_server.py", str(port)])
    try:
        for _ in range(600):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        url = f"http://127.0.0.1:{port}"
        _, first, [echo] = play("openenv", ["hello"], url=url, transport=transport, text="echoed_message")
        assert first.observation.text == "Echo environment ready!"
        assert (echo.turn.observation.text, echo.rewards) == ("hello", [pytest.approx(0.5)])
    finally:
        server.kill()
        server.wait()


@needs("verifiers")
@pytest.mark.parametrize("kind,actions,rewards", [
    ("reverse", ["rennalp"], [1.0]),
    ("guess", ["4", "2", "1"], [0.0, 0.0, pytest.approx(1 / 3)]),
    ("sum", ['add({"a": 0, "b": 17})', "17"], [0.0, 1.0]),
])
def test_verifiers(kind, actions, rewards):
    _, _, steps = play("verifiers", actions, id=str(HERE / "words_env.py"), arguments={"kind": kind})
    assert [step.rewards[0] for step in steps] == rewards
    assert steps[-1].terminated and not steps[0].illegal
