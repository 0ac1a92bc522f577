"""Makes fixtures/smollm2_reference.json: what SmolLM2-135M-Instruct writes, computed here from its dequantised weights.

    pip install gguf==0.19.0 numpy==2.4.6 jinja2==3.1.6 regex
    python smollm2_reference.py target/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf \
        > fixtures/smollm2_reference.json

Template, tokenizer and network are written down once more, in Python and NumPy (float32), and share no code with the
crate. `margins` are the distances between the two largest logits: where one is small, arithmetic that rounds
differently may choose the other token.
"""

import json
import sys
from functools import cache

import numpy as np
import regex
from gguf import GGUFReader, dequantize
from jinja2.sandbox import ImmutableSandboxedEnvironment

CHATS = [
    [("user", "What is the capital of France?")],
    [("system", "You answer with one word."), ("user", "Which colour has the sky on a clear day?")],
    [("user", "Count from 1 to 5."), ("assistant", "1, 2, 3, 4, 5"), ("user", "Now from 12 to 2026, it's 漢字 🦀  é.")],
]
NEW = 24

reader = GGUFReader(sys.argv[1])


def field(key):
    return reader.fields[key].contents()


tokens, merges = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.merges")
ids = {token: id for id, token in enumerate(tokens)}
ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
special = [token for token, kind in zip(tokens, field("tokenizer.ggml.token_type")) if kind == 3]
# GPT-2's letters for bytes.
plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = {byte: chr(byte) for byte in plain}
letters |= {byte: chr(256 + n) for n, byte in enumerate(b for b in range(256) if b not in plain)}
bytes_of = {letter: byte for byte, letter in letters.items()}
CUT = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def merged(word):
    parts = [letters[byte] for byte in word.encode()]
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, 1 << 30), at) for at, pair in enumerate(zip(parts, parts[1:])))
        if rank == 1 << 30:
            break
        parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return [ids[part] for part in parts]


def encoded(text):
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, special)) + ")", text):
        if part in special:
            out.append(ids[part])
            continue
        for piece in regex.split(r"(\p{N})", part):
            for word in CUT.findall(piece):
                out += merged(word)
    return out


@cache
def weight(name):
    tensor = next(tensor for tensor in reader.tensors if tensor.name == name)
    return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


layers, heads, kv_heads = (field(f"llama.{key}") for key in ("block_count", "attention.head_count", "attention.head_count_kv"))
epsilon, theta = field("llama.attention.layer_norm_rms_epsilon"), field("llama.rope.freq_base")
size = field("llama.embedding_length") // heads


def norm(x, name):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight(name)


def turned(x):
    """Rotary positions of neighbouring pairs, as GGUF files of Llama have them."""
    angles = np.arange(len(x))[:, None] * theta ** (-np.arange(0, size, 2) / size)
    cos, sin = np.cos(angles)[:, None].astype(np.float32), np.sin(angles)[:, None].astype(np.float32)
    out = np.empty_like(x)
    out[..., ::2] = x[..., ::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., ::2] * sin + x[..., 1::2] * cos
    return out


def logits(text):
    x = weight("token_embd.weight")[text]
    mask = np.triu(np.full((len(text), len(text)), -np.inf, np.float32), 1)
    for layer in range(layers):
        name = f"blk.{layer}."
        inner = norm(x, name + "attn_norm.weight")
        q, k, v = ((inner @ weight(f"{name}attn_{part}.weight").T).reshape(len(text), -1, size) for part in "qkv")
        q, k = turned(q), np.repeat(turned(k), heads // kv_heads, 1)
        v = np.repeat(v, heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(np.float32(size)) + mask
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", shares, v).reshape(len(text), -1) @ weight(name + "attn_output.weight").T
        inner = norm(x, name + "ffn_norm.weight")
        gate = inner @ weight(name + "ffn_gate.weight").T
        gate = gate / (1 + np.exp(-gate)) * (inner @ weight(name + "ffn_up.weight").T)
        x = x + gate @ weight(name + "ffn_down.weight").T
    return norm(x[-1], "output_norm.weight") @ weight("token_embd.weight").T


template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(field("tokenizer.chat_template"))
out = []
for chat in CHATS:
    messages = [{"role": role, "content": content} for role, content in chat]
    text = template.render(messages=messages, add_generation_prompt=True)
    prompt = encoded(text)
    greedy, margins = [], []
    while len(greedy) < NEW and (not greedy or greedy[-1] != field("tokenizer.ggml.eos_token_id")):
        last = logits(prompt + greedy)
        second, first = np.argsort(last)[-2:]
        greedy.append(int(first))
        margins.append(round(float(last[first] - last[second]), 3))
    answer = "".join(tokens[id] for id in greedy if tokens[id] not in special)
    answer = bytes(bytes_of[letter] for letter in answer).decode()
    out.append(
        {"messages": messages, "text": text, "ids": prompt, "greedy": greedy, "margins": margins, "answer": answer}
    )
print(json.dumps(out, ensure_ascii=False, separators=(",", ":")).replace('},{"messages"', '},\n{"messages"'))
