"""The same work as gpu-check's in PyTorch, on one device: `python torch_check.py cuda:0` prints one JSON object per line.

The encoder and the chat model are written out, so that PyTorch alone is enough. Batches of the encoder are ordered by
length, as ours are. The critic: twin Q, V, Polyak averages, fused AdamW, goals of one transition share nothing.
"""

import json
import random
import sys
import time

import torch
import torch.nn.functional as F

device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda:0")
quick = "--quick" in sys.argv
if device.type == "cpu":
    torch.set_flush_denormal(True)


def report(what, unit, value):
    print(json.dumps({"what": what, "unit": unit, "torch": value}), flush=True)


def seconds(call):
    """The least seconds of one call, of as many as fit into two seconds, at least three."""
    begun, least, calls = time.perf_counter(), float("inf"), 0
    while calls < 3 or (not quick and time.perf_counter() - begun < 2):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        least, calls = min(least, time.perf_counter() - start), calls + 1
    return least


def matrix(rows, columns):
    return (torch.rand(rows, columns, device=device) * 2 - 1) * (3 / columns) ** 0.5


@torch.inference_mode()
def encoder():
    hidden, heads, inner, layers, vocabulary = (32, 4, 64, 2, 6000) if quick else (384, 12, 1536, 6, 30522)
    embeddings, positions = matrix(vocabulary, hidden), matrix(512, hidden)
    blocks = [
        (matrix(3 * hidden, hidden), matrix(hidden, hidden), matrix(inner, hidden), matrix(hidden, inner))
        for _ in range(layers)
    ]
    draw = random.Random(7)
    lengths = [draw.randrange(5, 15) if draw.random() < 0.5 else draw.randrange(30, 120) for _ in range(16 if quick else 512)]
    batches, batch = [], []
    for length in sorted(lengths):
        if batch and length * (len(batch) + 1) > 2048:
            batches, batch = batches + [batch], []
        batch.append(length)
    batches.append(batch)

    def run():
        for lengths in batches:
            longest = max(lengths)
            ids = torch.randint(vocabulary, (len(lengths), longest), device=device)
            keep = torch.arange(longest, device=device)[None] < torch.tensor(lengths, device=device)[:, None]
            x = F.layer_norm(embeddings[ids] + positions[:longest], (hidden,))
            for qkv, out, up, down in blocks:
                q, k, v = (x @ qkv.T).view(*x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
                attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keep[:, None, None])
                x = F.layer_norm(x + attended.transpose(1, 2).reshape(x.shape) @ out.T, (hidden,))
                x = F.layer_norm(x + F.gelu(x @ up.T) @ down.T, (hidden,))
            mean = (x * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
            F.normalize(mean).cpu()

    run()
    report("encoder, 6 layers of 384", "texts/s", len(lengths) / seconds(run))


def training(hidden, batch):
    dimension, texts = 256, 17000
    table = F.normalize(torch.rand(texts, dimension, device=device) * 2 - 1)
    network = lambda inputs: torch.nn.Sequential(
        torch.nn.Linear(inputs * dimension, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, hidden), torch.nn.ReLU(),
        torch.nn.Linear(hidden, 1)).to(device)
    qs, targets, v = [network(3), network(3)], [network(3), network(3)], network(2)
    online = [p for net in [*qs, v] for p in net.parameters()]
    averaged = [p for net in targets for p in net.parameters()]
    optimiser = torch.optim.AdamW(online, lr=3e-4, fused=True)

    def step():
        rows = torch.randint(texts, (4, batch // 4), device=device).repeat_interleave(4, 1)
        state, thought, following = table[rows[0]], table[rows[1]], table[rows[2]]
        goal = table[torch.randint(texts, (batch,), device=device)]
        reached = (torch.rand(batch, 1, device=device) < 0.2).float()
        joined = torch.cat([state, thought, goal], 1)
        with torch.no_grad():
            target = torch.where(reached > 0, reached, 0.99 * v(torch.cat([following, goal], 1)))
            least = torch.minimum(*(net(joined) for net in targets))
        loss = sum(F.mse_loss(net(joined), target) for net in qs)
        gap = least - v(torch.cat([state, goal], 1))
        loss = loss + ((0.8 - (gap < 0).float()).abs() * gap * gap).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, [p for net in qs for p in net.parameters()], 0.005)
        return loss

    def ten():
        for _ in range(10):
            last = step()
        last.item()

    ten()
    report(f"critic training, hidden {hidden}, batch {batch}", "steps/s", 10 / seconds(ten))


@torch.inference_mode()
def chat():
    hidden, heads, keys, inner, layers, vocabulary = (32, 4, 2, 64, 2, 6000) if quick else (576, 9, 3, 1536, 30, 49152)
    size = hidden // heads
    embeddings = matrix(vocabulary, hidden)
    blocks = [
        (matrix(hidden, hidden), matrix(2 * keys * size, hidden), matrix(hidden, hidden), matrix(2 * inner, hidden),
         matrix(hidden, inner)) for _ in range(layers)
    ]
    angles = torch.arange(2048, device=device)[:, None] / 10000 ** (torch.arange(0, size, 2, device=device) / size)
    cosines, sines = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)

    def turn(x, start):
        first, second = x.chunk(2, -1)
        at = slice(start, start + x.shape[1])
        return x * cosines[at] + torch.cat([-second, first], -1) * sines[at]

    def forward(ids, past):
        x, start = embeddings[ids], 0 if past[0] is None else past[0][0].shape[1]
        for layer, (q, kv, out, up, down) in enumerate(blocks):
            y = F.rms_norm(x, (hidden,))
            query = turn((y @ q.T).view(len(ids), heads, size).transpose(0, 1), start)
            key, value = (y @ kv.T).view(len(ids), 2, keys, size).permute(1, 2, 0, 3)
            key = turn(key, start)
            if past[layer] is not None:
                key, value = torch.cat([past[layer][0], key], 1), torch.cat([past[layer][1], value], 1)
            past[layer] = key, value
            attended = F.scaled_dot_product_attention(
                query[None], key.repeat_interleave(heads // keys, 0)[None], value.repeat_interleave(heads // keys, 0)[None],
                is_causal=start == 0)
            x = x + attended[0].transpose(0, 1).reshape(len(ids), hidden) @ out.T
            gate, rise = (F.rms_norm(x, (hidden,)) @ up.T).chunk(2, -1)
            x = x + (F.silu(gate) * rise) @ down.T
        return (F.rms_norm(x[-1:], (hidden,)) @ embeddings.T).cpu()

    read, written = (16, 4) if quick else (456, 64)
    best = [float("inf"), float("inf")]
    for _ in range(1 if quick else 3):
        past, start = [None] * layers, time.perf_counter()
        forward(torch.arange(1000, 1000 + read, device=device), past)
        between = time.perf_counter()
        for token in range(written):
            forward(torch.tensor([1000 + token], device=device), past)
        best = min(best[0], between - start), min(best[1], time.perf_counter() - between)
    report("chat model of 135 M, prompt", "tokens/s", read / best[0])
    report("chat model of 135 M, writing", "tokens/s", written / best[1])


encoder()
for hidden in (64, 128, 256):
    for batch in (256, 4096):
        training(hidden, batch)
chat()
