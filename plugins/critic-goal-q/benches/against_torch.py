r"""Training steps per second of trainer.goal-q and of the same training in PyTorch, alternating.

    cargo bench -p forethought-critic-goal-q --bench steps --no-run     # prints where the program is
    python benches/against_torch.py PROGRAM [--seconds 4] [--rounds 3] [--hidden 64,128,256] [--batch 256,4096] \
        [--threads 1,2] [--modes eager,bf16]

Needs PyTorch (2.15 was used) and a C++ compiler for torch.compile. Both sides: twin Q, V and two averaged networks, AdamW,
four goals per transition, embeddings of 256 numbers gathered from a table for each batch, denormals flushed. PyTorch's
side passes a transition's state and thought through the first layer once, not once per goal, and uses fused AdamW.
Prints for each setting the median over rounds of steps per second, and of steps per second of processor time. On a busy
machine only the latter can be compared, and only on one thread: the threads of PyTorch wait for each other by spinning.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

OURS = ["readable", "fast", "bf16"]
THEIRS = ["eager", "compiled", "bf16", "bf16-compiled"]


def worker(mode, hidden, rows, threads, seconds):
    import torch

    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dimension, goals, texts = 256, 4, 16_000
    table = torch.nn.functional.normalize(torch.rand(texts, dimension) * 2 - 1)

    def network(inputs):
        sizes = [(dimension, hidden)] * inputs + [(hidden,), (hidden, hidden), (hidden,), (hidden, 1), (1,)]
        return [((torch.rand(size) * 2 - 1) * 0.1).requires_grad_() for size in sizes]

    q, v = [network(3), network(3)], network(2)
    target = [[weight.detach().clone() for weight in one] for one in q]
    trained = q[0] + q[1] + v
    adam = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1, fused=True)

    def forward(weights, once, goal):
        """`once` are the texts of each transition, `goal` those of each row."""
        *first, bias, w2, b2, w3, b3 = weights
        shared = sum(text @ weight for text, weight in zip(once, first)).repeat_interleave(goals, 0)
        hidden1 = torch.relu(shared + goal @ first[-1] + bias)
        return torch.sigmoid((torch.relu(hidden1 @ w2 + b2) @ w3 + b3).squeeze(1))

    def losses(state, thought, following, goal, reached, alive):
        with torch.no_grad():
            y = reached + (1 - reached) * alive * 0.85 * forward(v, [following], goal)
            best = torch.minimum(*(forward(one, [state, thought], goal) for one in target))
        loss_q = sum(((y - forward(one, [state, thought], goal)) ** 2).mean() for one in q)
        u = best - forward(v, [state], goal)
        return loss_q + ((0.8 - (u < 0).float()).abs() * u**2).mean()

    if mode.endswith("compiled"):
        losses = torch.compile(losses)
    half = mode.startswith("bf16")

    def step():
        once = [table[torch.randint(texts, (rows // goals,))] for _ in range(3)]
        goal = table[torch.randint(texts, (rows,))]
        reached, alive = (torch.rand(rows) < 0.1).float(), (torch.rand(rows) < 0.9).float()
        adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = losses(*once, goal, reached, alive)
        loss.backward()
        adam.step()
        with torch.no_grad():
            for average, online in zip(target, q):
                torch._foreach_lerp_(average, online, 0.005)

    for _ in range(5):
        step()
    piece = max(2, 2_000_000 // (hidden * rows))
    began, used, steps = time.perf_counter(), time.process_time(), 0
    while time.process_time() - used < seconds:
        for _ in range(piece):
            step()
        steps += piece
    print(f"{steps / (time.perf_counter() - began):.2f} {steps / (time.process_time() - used):.2f}")


def measure(command):
    words = subprocess.run([str(word) for word in command], capture_output=True, text=True).stdout.split()
    return float(words[0]), float(words[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", default="64,128,256")
    parser.add_argument("--batch", default="256,4096")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--modes", default=",".join(THEIRS), help="of PyTorch")
    options = parser.parse_args()
    print("| hidden, batch | what | threads | steps/s | per s of processor time |\n|---|---|---|---|---|")
    for rows in options.batch.split(","):
        for hidden in options.hidden.split(","):
            found = {}
            for _ in range(options.rounds):
                for threads in options.threads.split(","):
                    for engine in OURS if threads == "1" else OURS[1:]:
                        command = [options.program, engine, hidden, rows, threads, options.seconds, 8000]
                        found.setdefault((engine, threads), []).append(measure(command))
                    for mode in options.modes.split(","):
                        command = [sys.executable, __file__, "worker", mode, hidden, rows, threads, options.seconds]
                        found.setdefault(("PyTorch " + mode, threads), []).append(measure(command))
            for (what, threads), rates in found.items():
                wall, processor = (statistics.median(column) for column in zip(*rates))
                print(f"| {hidden}, {rows} | {what} | {threads} | {wall:.1f} | {processor:.1f} |", flush=True)
    print(f"\nload {', '.join(f'{one:.1f}' for one in os.getloadavg())}")


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
