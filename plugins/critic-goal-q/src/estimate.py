import json, pathlib
import numpy
from safetensors.numpy import load_file

folder = pathlib.Path("critic")
config = json.loads((folder / "config.json").read_text())
weights = load_file(folder / "model.safetensors")


def q(twin, state, thought, outcome):
    """One of the two networks; each input is an array of embeddings, one per row."""
    part = lambda name: weights[f"{twin}.{name}"]
    inputs = {"state": state, "thought": thought, "goal": outcome}
    x = sum(rows @ part(f"first.{name}.weight") for name, rows in inputs.items()) + part("first.bias")
    for layer in range(2, len(config["hidden"]) + 2):
        x = numpy.maximum(x, 0) @ part(f"layer{layer}.weight") + part(f"layer{layer}.bias")
    return 1 / (1 + numpy.exp(-x[:, 0]))


def estimate(*embeddings):
    """How likely the outcomes are, from 0 to 1."""
    raw = (q("q1", *embeddings) + q("q2", *embeddings)) / 2
    return numpy.interp(raw, config["calibration"]["raw"], config["calibration"]["probability"])
