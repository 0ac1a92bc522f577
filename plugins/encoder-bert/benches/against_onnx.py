r"""Texts per second of encoder.bert, sentence-transformers and ONNX Runtime on the CPU, alternating.

    cargo bench -p forethought-encoder-bert --bench texts --no-run      # prints where the program is
    python benches/against_onnx.py PROGRAM FOLDER [--rounds 7] [--texts 256] [--threads 1,2]

FOLDER is that of all-MiniLM-L6-v2. Needs sentence-transformers, onnxruntime, onnx and PyTorch. All encode the same texts of
mixed length, half of 5 to 15 words and half of 30 to 120, tokenising included. ONNX Runtime gets the exported network as
its own optimiser for BERT fuses it, in f32 and dynamically quantised to int8, with texts ordered by length, in batches of
whichever size of 8, 32 and 128 is fastest. Prints for each the median over rounds of texts per second, of those per second
of processor time, and the least cosine to sentence-transformers in f32.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

OURS = ["f32", "bf16", "candle"]
THEIRS = ["sentence-transformers f32", "sentence-transformers bf16", "onnx f32", "onnx int8"]
WORDS = (
    "the agent chose a blue shirt of size large because price was below forty dollars and reviews were good search for"
    " waterproof hiking boots in black the page shows ten products none has colour option yet click next then compare buy"
    " now merlin suspects player three voted against last mission which failed with one sabotage persuade donor to give"
    " two dollars children hospital they asked where money goes answer honestly mention website"
).split()


def texts(count):
    chosen = random.Random(7)
    lengths = [chosen.randint(5, 15) if chosen.random() < 0.5 else chosen.randint(30, 120) for _ in range(count)]
    return [" ".join(chosen.choice(WORDS) for _ in range(length)) for length in lengths]


def export(folder, out):
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    one = torch.ones(2, 9, dtype=torch.long)
    plain, fused = os.path.join(out, "plain.onnx"), os.path.join(out, "f32.onnx")
    torch.onnx.export(
        Hidden(), (one, one, one * 0), plain, input_names=names, output_names=["hidden"], opset_version=17, dynamo=False,
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names + ["hidden"]},
    )
    config = model.config
    best = optimizer.optimize_model(
        plain, model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=1
    )
    print("fused by ONNX Runtime's optimiser:", best.get_fused_operator_statistics())
    best.save_model_to_file(fused)
    # Fused operators are of a domain whose types are not inferred.
    assumed = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(fused, os.path.join(out, "int8.onnx"), weight_type=QuantType.QInt8, extra_options=assumed)


def worker(what, folder, out, threads):
    import numpy

    with open(os.path.join(out, "texts")) as file:
        all_texts = file.read().splitlines()
    if what.startswith("onnx"):
        import onnxruntime
        from tokenizers import Tokenizer

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(os.path.join(out, what[5:] + ".onnx"), settings)
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        tokenizer.enable_truncation(256)
        tokenizer.no_padding()

        def encode(batch=32):
            ids = [one.ids for one in tokenizer.encode_batch_fast(all_texts)]
            order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
            rows = numpy.empty((len(ids), 384), numpy.float32)
            for start in range(0, len(order), batch):
                some = order[start : start + batch]
                longest = max(len(ids[index]) for index in some)
                tokens = numpy.zeros((len(some), longest), numpy.int64)
                mask = numpy.zeros_like(tokens)
                for row, index in enumerate(some):
                    tokens[row, : len(ids[index])] = ids[index]
                    mask[row, : len(ids[index])] = 1
                inputs = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": tokens * 0}
                hidden = session.run(None, inputs)[0]
                mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
                rows[some] = mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
            return rows

        def timed(size):
            encode(size)
            began = time.process_time()
            encode(size)
            return time.process_time() - began

        best = min([8, 32, 128], key=timed)
        run = lambda: encode(best)
    else:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        half = what.endswith("bf16")
        arguments = {"torch_dtype": torch.bfloat16} if half else {}
        model = SentenceTransformer(folder, device="cpu", model_kwargs=arguments)

        def run():
            vectors = model.encode(all_texts, batch_size=32, convert_to_tensor=True, normalize_embeddings=True)
            return vectors.float().numpy()

    numpy.save(os.path.join(out, what.replace(" ", "-") + ".npy"), run())
    print("ready", flush=True)
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        run()
        print(time.perf_counter() - began, time.process_time() - used, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--threads", default="1,2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        with open(os.path.join(out, "texts"), "w") as file:
            file.write("\n".join(texts(options.texts)))
        export(options.folder, out)
        print("| what | threads | texts/s | per s of processor time | least cosine |\n|---|---|---|---|---|")
        for threads in options.threads.split(","):
            running = {}
            environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
            for what in THEIRS + OURS:
                command = [options.program, what, options.folder, os.path.join(out, "texts")]
                if what in THEIRS:
                    command = [sys.executable, __file__, "worker", what, options.folder, out, threads]
                pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
                running[what] = subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipe)
                if what in THEIRS:
                    assert running[what].stdout.readline().strip() == "ready", what
            found = {what: [] for what in running}
            for round in range(options.rounds + 1):
                for what, process in running.items():
                    process.stdin.write("\n")
                    process.stdin.flush()
                    took = [options.texts / float(word) for word in process.stdout.readline().split()]
                    if round > 0:
                        found[what].append(took)
            for what, process in running.items():
                process.stdin.close()
                process.wait()
                wall, processor = (statistics.median(column) for column in zip(*found[what]))
                print(f"| {what} | {threads} | {wall:.0f} | {processor:.0f} | {cosine(out, what)} |", flush=True)
    print(f"\nload {', '.join(f'{one:.1f}' for one in os.getloadavg())}")


def cosine(out, what):
    import numpy

    path = os.path.join(out, what.replace(" ", "-") + ".npy")
    if not os.path.exists(path):
        return "–"
    exact = numpy.load(os.path.join(out, "sentence-transformers-f32.npy"))
    return f"{(numpy.load(path) * exact).sum(1).min():.6f}"


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker(*sys.argv[2:5], int(sys.argv[5]))
    else:
        main()
