"""The two methods of trainer.goal-q in PyTorch, on batches that Rust drew: losses to compare with.

    python reference.py CASE.safetensors > LOSSES.json

`cargo test -p forethought-critic-goal-q --test torch` writes the case and calls this if TORCH_PYTHON names a Python with
PyTorch and NumPy. Both methods are written down again here, from the equations alone.
"""

import json
import sys

import numpy as np
import torch

torch.set_flush_denormal(True)
torch.set_num_threads(1)


def read(path):
    """The tensors of a safetensors file."""
    raw = open(path, "rb").read()
    length = int.from_bytes(raw[:8], "little")
    kinds = {"F32": np.float32, "U32": np.uint32, "U8": np.uint8}
    return {
        name: np.frombuffer(raw, kinds[one["dtype"]], int(np.prod(one["shape"])), 8 + length + one["data_offsets"][0])
        .reshape(one["shape"]).copy()
        for name, one in json.loads(raw[8 : 8 + length]).items()
        if name != "__metadata__"
    }


class Network:
    """Texts to a number in (0, 1); all weights are one vector, as in the checkpoint's order."""

    def __init__(self, weights, inputs, dimension, hidden, trained):
        self.weights = torch.tensor(weights, requires_grad=trained)
        self.sizes = [(dimension, hidden[0])] * inputs + [(hidden[0],)]
        for before, after in zip(hidden, hidden[1:] + [1]):
            self.sizes += [(before, after), (after,)]
        self.inputs = inputs

    def __call__(self, *texts):
        parts, start = [], 0
        for size in self.sizes:
            count = int(np.prod(size))
            parts.append(self.weights[start : start + count].view(size))
            start += count
        hidden = parts[self.inputs] + sum(text @ weight for text, weight in zip(texts, parts))
        for weight, bias in zip(parts[self.inputs + 1 :: 2], parts[self.inputs + 2 :: 2]):
            hidden = torch.relu(hidden) @ weight + bias
        return torch.sigmoid(hidden.squeeze(1))


def train(case):
    config = json.loads(case["config"].tobytes())
    table = torch.tensor(case["table"])
    dimension, hidden = table.shape[1], config["hidden"]
    q = [Network(case[f"network.{at}"], 3, dimension, hidden, True) for at in (0, 1)]
    target = [Network(case[f"network.{at}"], 3, dimension, hidden, False) for at in (2, 3)]
    v = Network(case["network.4"], 2, dimension, hidden, True) if "network.4" in case else None
    trained = [network.weights for network in q + ([v] if v else [])]
    adam = torch.optim.AdamW(trained, lr=config["learning_rate"], weight_decay=config["weight_decay"])
    losses = []
    for step in range(config["steps"]):
        rows = slice(step * config["batch"], (step + 1) * config["batch"])
        text = lambda name: table[torch.tensor(case[name][rows].astype(np.int64))]
        number = lambda name: torch.tensor(case[name][rows])
        state, thought, goal = text("states"), text("thoughts"), text("goals")
        if v:
            with torch.no_grad():
                reached, future = number("reached"), v(text("nexts"), goal)
                y = reached + (1 - reached) * number("alive") * config["gamma"] * future
                best = torch.minimum(*(network(state, thought, goal) for network in target))
            loss_q = sum(((y - network(state, thought, goal)) ** 2).mean() for network in q)
            u = best - v(state, goal)
            loss_v = ((config["expectile"] - (u < 0).float()).abs() * u**2).mean()
        else:
            came = number("came")
            values = (network(state, thought, goal).clamp(1e-6, 1 - 1e-6) for network in q)
            loss_q = sum(-(came * one.log() + (1 - came) * (1 - one).log()).mean() for one in values)
            loss_v = torch.zeros(())
        adam.zero_grad()
        (loss_q + loss_v).backward()
        adam.step()
        with torch.no_grad():
            for average, online in zip(target, q):
                average.weights += config["polyak"] * (online.weights - average.weights)
        losses.append([loss_q.item(), loss_v.item()])
    return losses


if __name__ == "__main__":
    json.dump(train(read(sys.argv[1])), sys.stdout)
