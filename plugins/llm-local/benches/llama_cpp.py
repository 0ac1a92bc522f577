"""Local models beside llama.cpp, on the same file, on two cores, in turns; prints the tables of docs/local-models.md.

    cargo build --release -p forethought-llm-local --example speed
    npm pack @node-llama-cpp/linux-x64@3.22.1 && tar xf node-llama-cpp-linux-x64-3.22.1.tgz
    bash .ci/smollm2
    python llama_cpp.py target/release/examples/speed package/bins/linux-x64 target/smollm2/*.gguf FOLDER

The second argument is any folder with llama.cpp's libraries. The package above has kernels for many CPUs, of which
llama.cpp takes the best. The other forms of the model are made from the file by llama.cpp's own quantiser, in FOLDER.

A decision is six chats of PNLC (recorded in a simulated shop), one after the other. Like its server,
llama.cpp reads on after what a prompt has in common with what it has just read. It writes as many tokens as the other.
"""

import ctypes as c
import json
import os
import subprocess
import sys
import tempfile
import time
from glob import glob
from pathlib import Path
from statistics import median

ROUNDS = int(os.environ.get("ROUNDS", 3))
PROMPT, ANSWER = 456, 64
FORMS = {"Q4_1": None, "Q8_0": 7, "Q4_K_M": 15, "F16": 1}


SILENT = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda *_: None)


class Opaque(c.Structure):
    """The default parameters of a version of llama.cpp: whatever they are, they are passed on."""

    _fields_ = [("all", c.c_byte * 512)]


class ContextParameters(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq")]
    _fields_ += [("outputs", c.c_uint32 * 2), ("n_threads", c.c_int32), ("n_threads_batch", c.c_int32)]
    _fields_ += [("rest", c.c_byte * 512)]


class QuantiseParameters(c.Structure):
    _fields_ = [("nthread", c.c_int32), ("ftype", c.c_int), ("types", c.c_int * 2), ("allow_requantize", c.c_bool)]
    _fields_ += [("rest", c.c_byte * 511)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("pointers", c.c_void_p * 6)]


def llama_cpp(folder):
    """The functions of llama.cpp that are needed here."""
    for name in ("libggml-base*.so*", "libggml.*so*"):
        ggml = c.CDLL(min(glob(f"{folder}/{name}")), mode=c.RTLD_GLOBAL)
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    library = c.CDLL(min(glob(f"{folder}/libllama.*so*")))
    library.llama_log_set(SILENT, None)
    pointer, number = c.c_void_p, c.c_int32
    for name, result, *arguments in [
        ("llama_model_default_params", Opaque),
        ("llama_context_default_params", ContextParameters),
        ("llama_model_quantize_default_params", QuantiseParameters),
        ("llama_model_quantize", c.c_uint32, c.c_char_p, c.c_char_p, c.POINTER(QuantiseParameters)),
        ("llama_model_load_from_file", pointer, c.c_char_p, Opaque),
        ("llama_init_from_model", pointer, pointer, ContextParameters),
        ("llama_get_memory", pointer, pointer),
        ("llama_memory_seq_rm", c.c_bool, pointer, number, number, number),
        ("llama_batch_get_one", Batch, pointer, number),
        ("llama_decode", number, pointer, Batch),
        ("llama_get_logits_ith", c.POINTER(c.c_float), pointer, number),
    ]:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Model:
    """A model in llama.cpp, with one text that it has read."""

    def __init__(self, folder, path):
        self.library = llama_cpp(folder)
        model = self.library.llama_model_load_from_file(path.encode(), self.library.llama_model_default_params())
        parameters = self.library.llama_context_default_params()
        parameters.n_ctx, parameters.n_threads, parameters.n_threads_batch = 2048, 2, 2
        self.context = self.library.llama_init_from_model(model, parameters)
        self.memory = self.library.llama_get_memory(self.context)
        self.text = []

    def read(self, tokens):
        array = (c.c_int32 * len(tokens))(*tokens)
        assert self.library.llama_decode(self.context, self.library.llama_batch_get_one(array, len(tokens))) == 0
        self.library.llama_get_logits_ith(self.context, -1)[0]
        self.text += tokens

    def keep(self, count):
        self.library.llama_memory_seq_rm(self.memory, 0, count, -1)
        del self.text[count:]


def pace(model):
    rounds = []
    for _ in range(3):
        model.keep(0)
        start = time.perf_counter()
        model.read([1000 + at * 7 % 5000 for at in range(PROMPT)])
        middle = time.perf_counter()
        for token in range(ANSWER):
            model.read([1000 + token])
        rounds.append((middle - start, time.perf_counter() - middle))
    return rounds


def decision(model, prompts, written):
    seconds = []
    for prompt, count in zip(prompts, written):
        start = time.perf_counter()
        same = next((at for at, pair in enumerate(zip(prompt, model.text)) if pair[0] != pair[1]), len(model.text))
        model.keep(min(same, len(prompt) - 1))
        model.read(prompt[len(model.text) :])
        for token in range(count - 1):
            model.read([1000 + token])
        seconds.append(time.perf_counter() - start)
    return seconds


def child(command, given=None):
    """What a process says as JSON, and its largest memory in megabytes."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, command
        out.seek(0)
        return json.loads(out.read().splitlines()[-1]), usage.ru_maxrss / 1024


def main(speed, folder, source, forms):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    chats = str(Path(__file__).parents[1] / "tests/fixtures/decision.json")
    theirs = [sys.executable, __file__, "--llama.cpp", folder]
    library = llama_cpp(folder)
    files = {}
    for form, number in FORMS.items():
        files[form] = source if number is None else f"{forms}/{form}.gguf"
        if not Path(files[form]).exists():
            parameters = library.llama_model_quantize_default_params()
            parameters.nthread, parameters.ftype, parameters.allow_requantize = 2, number, True
            result = library.llama_model_quantize(source.encode(), files[form].encode(), c.byref(parameters))
            assert result == 0, form
    paces, decisions = {form: [] for form in FORMS}, {form: [] for form in FORMS}
    for _ in range(ROUNDS):
        for form, file in files.items():
            both = [child([speed, file])[0]["seconds"], child([*theirs, file])[0]["seconds"]]
            paces[form].append([[median(column) for column in zip(*rounds)] for rounds in both])
            own, memory = child([speed, file, chats])
            other, their_memory = child([*theirs, file], own)
            decisions[form].append((sum(own["seconds"]), sum(other["seconds"]), memory, their_memory))
            print(form, paces[form][-1], decisions[form][-1], file=sys.stderr, flush=True)
    tokens = sum(map(len, own["prompts"])), sum(own["written"])
    print(f"Load {os.getloadavg()[0]:.1f}; medians of {ROUNDS} rounds; a decision: {tokens[0]} tokens in, {tokens[1]} out.\n")
    print("| file | prompt, tokens/s | llama.cpp | ratio | answer, tokens/s | llama.cpp | ratio |\n|---|---|---|---|---|---|---|")
    for form, rounds in paces.items():
        cells = []
        for part, count in enumerate((PROMPT, ANSWER)):
            own, other = (median(count / each[who][part] for each in rounds) for who in (0, 1))
            ratio = median(each[1][part] / each[0][part] for each in rounds)
            cells += [f"{own:.0f}", f"{other:.0f}", f"{ratio:.2f}"]
        print(f"| {form} | {' | '.join(cells)} |")
    print("\n| file | decision, s | llama.cpp | ratio | memory, MB | llama.cpp |\n|---|---|---|---|---|---|")
    for form, rounds in decisions.items():
        own, other, memory, their_memory = (median(column) for column in zip(*rounds))
        ratio = median(each[0] / each[1] for each in rounds)
        print(f"| {form} | {own:.1f} | {other:.1f} | {ratio:.2f} | {memory:.0f} | {their_memory:.0f} |")


if sys.argv[1] == "--llama.cpp":
    given = json.load(sys.stdin)
    opened = Model(*sys.argv[2:4])
    print(json.dumps({"seconds": decision(opened, given["prompts"], given["written"]) if given else pace(opened)}))
else:
    main(*sys.argv[1:5])
