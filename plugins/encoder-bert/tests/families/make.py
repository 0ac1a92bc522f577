"""Makes the tiny models in this folder and `vectors.json`, what sentence-transformers computes with them.

    python make.py

Needs sentence-transformers (6.2.0, transformers 5.24.0 and torch 2.15.0 were used) and 200 kB of disk. Weights are random
and large, so that a mistake anywhere changes every vector; between them, the models have every family, pooling and file
format that the encoder reads.
"""

import json
import shutil
import tempfile
from pathlib import Path

import sentence_transformers
import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
TEXTS = [
    "size is not chosen yet",
    "buy",
    "",
    "Buy it now!",
    "the user declines politely",
    "Größe: 40 £, naïve café, 你好",
    "size is not chosen yet, so the thought is to choose a size before buying it",
    # Longer than every window and every bucket of near positions, and some longer than a model takes.
    " ".join(f"the agent looks for a blue shirt of size {n} and does not buy it yet" for n in range(12)),
]
WORDS = 90
# Vectors have this many numbers, layers so many heads.
HIDDEN, HEADS, INNER = 16, 4, 24


def wordpiece(cls="[CLS]", sep="[SEP]", pad="[PAD]", unk="[UNK]", mask="[MASK]"):
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token=unk))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The order decides the number of the padding token: 1 in RoBERTa and MPNet.
    special = [pad, cls, sep, unk, mask] if pad == "[PAD]" else [cls, pad, sep, unk, mask]
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=WORDS, special_tokens=special))
    return finished(tokenizer, cls, sep, pad, unk, mask)


def byte_pairs():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    train(tokenizer, trainers.BpeTrainer(vocab_size=WORDS, special_tokens=special))
    return finished(tokenizer, "<s>", "</s>", "<pad>", "<unk>", "<mask>")


def pieces():
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    train(tokenizer, trainers.UnigramTrainer(vocab_size=WORDS, special_tokens=special, unk_token="<unk>"))
    return finished(tokenizer, "<s>", "</s>", "<pad>", "<unk>", "<mask>")


def train(tokenizer, trainer):
    trainer.show_progress = False
    tokenizer.train_from_iterator(TEXTS * 3, trainer)


def finished(tokenizer, cls, sep, pad, unk, mask):
    ends = [(token, tokenizer.token_to_id(token)) for token in (cls, sep)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B {sep}", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token=cls, sep_token=sep, pad_token=pad, unk_token=unk, mask_token=mask
    )


def large(module):
    """Replaces a module's weights by random ones, far from those that training begins with."""
    generator = torch.Generator().manual_seed(7)
    for name, weight in sorted(module.named_parameters()):
        noise = torch.randn(weight.shape, generator=generator)
        norm = weight.dim() == 1 and name.endswith("weight")
        weight.data = 1 + 0.3 * noise if norm else 0.4 * noise
    return module


def usual(tokenizer, **more):
    return dict(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=HEADS,
        intermediate_size=INNER, pad_token_id=tokenizer.pad_token_id, **more,
    )  # fmt: skip


def families():
    """By name: tokenizer, network, longest text, modules after the network, prompts."""
    words, marked, pairs, unigrams = wordpiece(), wordpiece("<s>", "</s>", "<pad>", "<unk>", "<mask>"), byte_pairs(), pieces()
    dense = lambda outputs, activation: large(Dense(HIDDEN, outputs, activation_function=activation))
    yield "bert", words, transformers.BertModel(
        transformers.BertConfig(**usual(words, max_position_embeddings=40)), add_pooling_layer=False
    ), 32, [Pooling(HIDDEN, "max"), dense(12, torch.nn.Tanh()), Normalize()], {
        "prompts": {"query": "find the size: ", "document": ""}, "default_prompt_name": "query"
    }  # fmt: skip
    yield "roberta", pairs, transformers.RobertaModel(
        transformers.RobertaConfig(**usual(pairs, max_position_embeddings=50, type_vocab_size=1)), add_pooling_layer=False
    ), None, [Pooling(HIDDEN, "cls"), dense(20, torch.nn.Identity())], {}  # fmt: skip
    yield "xlm-roberta", unigrams, transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(**usual(unigrams, max_position_embeddings=50, type_vocab_size=1)),
        add_pooling_layer=False,
    ), 40, [Pooling(HIDDEN, "mean"), Normalize()], {"prompts": {"query": "query: ", "passage": "passage: "}}
    yield "mpnet", marked, transformers.MPNetModel(
        transformers.MPNetConfig(**usual(marked, max_position_embeddings=162, relative_attention_num_buckets=32)),
        add_pooling_layer=False,
    ), 160, [Pooling(HIDDEN, "mean"), Normalize()], {}
    yield "distilbert", words, transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=len(words), dim=HIDDEN, n_layers=2, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=40
        )
    ), 40, [Pooling(HIDDEN, "weightedmean", include_prompt=False)], {
        "prompts": {"sts": "the user buys: "}, "default_prompt_name": "sts"
    }  # fmt: skip
    yield "nomic-bert", words, transformers.NomicBertModel(
        transformers.NomicBertConfig(**usual(words, max_position_embeddings=200))
    ), 180, [Pooling(HIDDEN, "mean_sqrt_len_tokens")], {}
    yield "modernbert", words, transformers.ModernBertModel(
        transformers.ModernBertConfig(
            **(usual(words, max_position_embeddings=200, local_attention=8) | dict(num_hidden_layers=3)),
            bos_token_id=None, eos_token_id=None, cls_token_id=None, sep_token_id=None,
        )
    ), 180, [Pooling(HIDDEN, "lasttoken"), Normalize()], {}  # fmt: skip


def pickle(folder):
    """Writes weights in the older format instead."""
    for file in folder.rglob("model.safetensors"):
        torch.save(load_file(file), file.with_name("pytorch_model.bin"))
        file.unlink()


def make(name, tokenizer, network, longest, modules, prompts):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        large(network).save_pretrained(scratch)
        # Without another limit, the tokenizer's.
        tokenizer.model_max_length = longest or 44
        tokenizer.save_pretrained(scratch)
        network = Transformer(scratch, **({} if longest is None else {"max_seq_length": longest}))
        SentenceTransformer(modules=[network, *modules], device="cpu", **prompts).save(str(folder), create_model_card=False)
    if name == "roberta":
        pickle(folder)
    if longest is not None:
        # As versions before 6 wrote it.
        file = folder / "sentence_bert_config.json"
        file.write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}) + "\n")
    model = SentenceTransformer(str(folder), device="cpu")
    rows = lambda **how: [
        [round(x, 5) for x in row] for row in model.encode(TEXTS, normalize_embeddings=True, batch_size=3, **how).tolist()
    ]
    print(name, model.max_seq_length, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), "bytes")
    vectors = {"default": rows(), "none": rows(prompt="")}
    if "passage" in model.prompts:
        vectors["passage"] = rows(prompt_name="passage")
    return vectors


if __name__ == "__main__":
    torch.manual_seed(7)
    versions = f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}"
    vectors = {name: make(name, *rest) for name, *rest in families()}
    lines = [f'"made_with": "{versions}", "texts": {json.dumps(TEXTS, ensure_ascii=False)}']
    for name, of in vectors.items():
        lines += [f'"{name}/{how}": {json.dumps(rows)}' for how, rows in of.items()]
    (HERE / "vectors.json").write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
