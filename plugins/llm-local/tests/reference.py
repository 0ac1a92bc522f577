"""Makes tests/fixtures: tiny, randomly initialised models of each family, and what the reference library says of them.

    pip install torch==2.15.0 transformers==5.23.0 tokenizers==0.23.3 safetensors==0.8.0 gguf==0.19.0 numpy==2.4.6
    python tests/reference.py

Each folder of fixtures is a model as its authors would publish it, and `reference.json` and `reference.safetensors`:
rendered chats and their token ids, logits after each token of a text and after a long one, the greedy continuation.
Everything is drawn from fixed seeds, and references are computed from the files as written, in float32 on the CPU.
"""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast,
    Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM,
)

FIXTURES = Path(__file__).parent / "fixtures"
# Tokens of a text that is longer than what is read or kept at once.
LONG = 600
CORPUS = [
    "Thought: look at the price before you buy. Action: click[Buy Now]",
    "The shop sells red shoes, blue shirts and a grey tent; search for what you were asked to find.",
    "Prüfe die Größe: 42 € – günstig? 価格を確認してから買う。 🙂 🚀",
    '{"name": "search", "arguments": {"query": "red shoes", "limit": 3}}',
] * 4

# The templates are ours; between them they use what published ones use.
LLAMA_TEMPLATE = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{%- if strftime_now is defined %}{% set date = 'today' %}{% else %}{% set date = 'today' %}{% endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if loop.first and system_message %}
        {%- set content = '<<SYS>>\\n' + date + ': ' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {%- else %}
        {%- set content = message['content'] %}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + content.strip() + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + content.strip() + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}
"""
CHATML_TEMPLATE = """{%- macro say(role, text) -%}
<|im_start|>{{ role }}
{{ text }}<|im_end|>
{% endmacro %}
    {# Blocks are trimmed, and comments are gone. #}
{% for message in messages %}
    {% if message.role == "tool" %}
{{ say("user", message.content) }}
    {% elif message.content is string %}
{{ say(message.role, message.content) }}
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""
TOOL_TEMPLATE = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nReply as <tool_call>\\n{\\"name\\": ..., \\"arguments\\": ...}\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and not(message.content.startswith('<tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if tool_call.function %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
            {{- tool_call.arguments if tool_call.arguments is string else tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
TOOLS = [{
    "type": "function",
    "function": {
        "name": "search",
        "description": "Finds goods; <b>cheap</b> & \"good\" ones – günstig",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}, "below": {"type": "number", "default": 1e-05, "maximum": 1e16}},
            "required": ["query"],
            "additionalProperties": False,
            "examples": [], "nothing": None, "also": {},
        },
    },
}]
PLAIN = [
    [{"role": "user", "content": "Find red shoes."}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Größe 42 €?"},
     {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes, 価格."}, {"role": "user", "content": "  Buy 🙂\n"}],
]
WITH_TOOLS = [
    {"role": "system", "content": "Use tools."}, {"role": "user", "content": "Find red shoes."},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call_0", "type": "function",
         "function": {"name": "search", "arguments": {"query": "red shoes", "below": 12.5}}}]},
    {"role": "tool", "content": "3 pairs", "tool_call_id": "call_0"}, {"role": "user", "content": "And <blue> ones?"},
]


def byte_level_tokenizer():
    """As Llama 3 and Qwen have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"],
                                  show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in ["<think>", "</think>", "<tool_call>", "</tool_call>"]])
    return tokenizer, dict(eos_token="<|im_end|>", pad_token="<|endoftext|>")


def byte_fallback_tokenizer():
    """As Llama 2 has it."""
    vocabulary = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    letters = list("▁abcdefghijklmnopqrstuvwxyzABCFGINPT.,:;[]")
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=vocabulary, initial_alphabet=letters,
                                  limit_alphabet=len(letters), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    # Bytes are ordinary tokens; only the first three are special.
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = content["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer, dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def write_model(name, cls, config, tokenizer, template, seed, shards=None, legacy=None, template_file=False):
    folder = FIXTURES / name
    tokenizer, special = tokenizer
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    shape = dict(vocab_size=tokenizer.get_vocab_size(), intermediate_size=64, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, bos_token_id=fast.bos_token_id,
                 eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id)
    config = cls.config_class(**{"hidden_size": 32, "max_position_embeddings": 1024, **shape, **config})
    torch.manual_seed(seed)
    model = cls(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms about 1, all else wide enough for the answers to differ.
            mean, width = (1.0, 0.3) if parameter.dim() == 1 and parameter.mean() == 1 else (0.0, 0.3)
            parameter.copy_(mean + width * torch.randn_like(parameter))
        # Lone bytes are seldom likeliest, so that answers are text.
        lone = [token for token in range(config.vocab_size) if "\ufffd" in tokenizer.decode([token]) or token < 3]
        model.get_output_embeddings().weight[lone] *= 0.1
    model.generation_config = GenerationConfig(eos_token_id=fast.eos_token_id)
    # bfloat16 on disk, as most models come: half the size, and exact in float32.
    model.to(torch.bfloat16).save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    fast.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    if template_file:
        (folder / "chat_template.jinja").write_text(template)
    else:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        settings["chat_template"] = template
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
    if legacy:
        # Before version 5 of the library, positions were configured by these keys.
        config = json.loads((folder / "config.json").read_text())
        del config["rope_parameters"]
        config["torch_dtype"] = config.pop("dtype")
        config.update(legacy)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return folder


def write_reference(folder, chats):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = []
    for chat in chats:
        chat = {"messages": chat} if isinstance(chat, list) else chat
        settings = {key: value for key, value in chat.items() if key != "messages"}
        text = tokenizer.apply_chat_template(
            chat["messages"], tokenize=False, add_generation_prompt=True, **settings)
        ids = tokenizer.encode(text, add_special_tokens=False)
        prompts.append({**chat, "text": text, "ids": ids})
    ids = prompts[1]["ids"][:24]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
        long = torch.arange(LONG) * 7 % model.config.vocab_size
        long_logits = model(long[None]).logits[0, -1:]
        prompt = torch.tensor([prompts[0]["ids"]])
        # The end of a text is a token like any other here: always 40 tokens.
        model.generation_config.eos_token_id = None
        greedy = model.generate(prompt, do_sample=False, max_new_tokens=40, pad_token_id=0)[0, prompt.shape[1]:]
        scores = model(torch.cat([prompt[0], greedy])[None]).logits[0, prompt.shape[1] - 1 : -1]
        logprobs = scores.log_softmax(-1).gather(1, greedy[:, None])[:, 0]
    numbers = {"logits": logits.contiguous(), "long_logits": long_logits, "greedy_logprobs": logprobs}
    save_file(numbers, folder / "reference.safetensors")
    reference = {"prompts": prompts, "logits_of": ids, "greedy": greedy.tolist(),
                 "greedy_text": tokenizer.decode(greedy, skip_special_tokens=True,
                                             clean_up_tokenization_spaces=False)}
    (folder / "reference.json").write_text(json.dumps(reference, ensure_ascii=False) + "\n")


# Names of tensors as llama.cpp has them; norms and biases stay in float32, as there.
GGUF_NAMES = [
    ("model.embed_tokens", "token_embd"), ("lm_head", "output"), ("model.norm", "output_norm"), ("model.layers.", "blk."),
    ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"),
    ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
]


def write_gguf(source, name, kind, chats):
    """The model in `source` as a GGUF file, with the reference computed from the rounded weights."""
    origin, folder = FIXTURES / source, FIXTURES / name
    folder.mkdir()
    config = json.loads((origin / "config.json").read_text())
    rope = config.get("rope_parameters") or {"rope_theta": config["rope_theta"], **(config.get("rope_scaling") or {})}
    family, heads, kv_heads = config["model_type"], config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(folder / "model.gguf", family)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    if family == "llama":
        writer.add_rope_dimension_count(head_dim)
    if config.get("head_dim"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    tokenizer = AutoTokenizer.from_pretrained(origin)
    writer.add_tokenizer_model("gpt2" if family != "llama" else "llama")
    writer.add_token_list([tokenizer.convert_ids_to_tokens(i) for i in range(len(tokenizer))])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_chat_template(tokenizer.chat_template)

    weights, rounded = {}, {}
    for file in sorted(origin.glob("model*.safetensors")):
        weights.update(load_file(file))
    for full, tensor in weights.items():
        values, short = tensor.float().numpy(), full
        for old, new in GGUF_NAMES:
            short = short.replace(old, new)
        wide = "norm" in short or short.endswith(".bias")
        kind_here = gguf.GGMLQuantizationType.F32 if wide else kind
        if family == "llama" and ("attn_q." in short or "attn_k." in short):
            # llama.cpp turns neighbours instead of halves, so it has the rows in another order.
            count = heads if "attn_q." in short else kv_heads
            values = values.reshape(count, 2, head_dim // 2, -1).swapaxes(1, 2).reshape(values.shape)
        packed = gguf.quants.quantize(values, kind_here)
        writer.add_tensor(short, packed, raw_dtype=kind_here)
        back = gguf.quants.dequantize(packed, kind_here).reshape(values.shape)
        if family == "llama" and ("attn_q." in short or "attn_k." in short):
            back = back.reshape(count, head_dim // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)
        rounded[full] = torch.from_numpy(np.ascontiguousarray(back))
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        old, low, high = (rope[key] for key in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
        factors = []
        for index in range(0, head_dim, 2):
            wave = 2 * np.pi * rope["rope_theta"] ** (index / head_dim)
            smooth = np.clip((old / wave - low) / (high - low), 0, 1)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
        writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    # The reference reads the contents of the GGUF file from its own files; of those only the tokenizer stays.
    save_file(rounded, folder / "model.safetensors", metadata={"format": "pt"})
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]:
        if (origin / file).exists():
            shutil.copy(origin / file, folder / file)
    write_reference(folder, chats)
    for file in ["config.json", "model.safetensors", "tokenizer_config.json", "chat_template.jinja"]:
        (folder / file).unlink(missing_ok=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(FIXTURES, ignore_errors=True)
    with_tools = [*PLAIN, {"messages": PLAIN[1], "enable_thinking": False}, {"messages": WITH_TOOLS, "tools": TOOLS}]
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    write_reference(write_model(
        "llama", LlamaForCausalLM, {"attention_bias": True, "mlp_bias": True}, byte_fallback_tokenizer(),
        LLAMA_TEMPLATE, 1), PLAIN)
    write_reference(write_model(
        "llama3", LlamaForCausalLM, {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 5000.0, **llama3}},
        byte_level_tokenizer(), CHATML_TEMPLATE, 2, legacy={"rope_theta": 5000.0, "rope_scaling": llama3},
        template_file=True), PLAIN)
    write_reference(write_model(
        "qwen2", Qwen2ForCausalLM, {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e6}},
        byte_level_tokenizer(), TOOL_TEMPLATE, 3, shards="60KB"), with_tools)
    write_reference(write_model(
        "qwen3", Qwen3ForCausalLM, {"tie_word_embeddings": True, "head_dim": 16, "rope_parameters":
        {"rope_type": "default", "rope_theta": 1e6}}, byte_level_tokenizer(), TOOL_TEMPLATE, 4), with_tools)
    kinds = gguf.GGMLQuantizationType
    write_gguf("llama3", "llama3-gguf", kinds.F16, PLAIN)
    write_gguf("qwen2", "qwen2-gguf", kinds.Q8_0, with_tools)
    write_gguf("qwen3", "qwen3-gguf", kinds.F16, with_tools)
