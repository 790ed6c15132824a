#!/usr/bin/env python3
"""Writes a model of a published size with random weights, to see what plan, memory and speed a real one will have.

usage: random_model.py KIND DIRECTORY [F32|F16|BF16]
       KIND: bge-base | jina-base | stella-400m | stella-1.5b | qwen3-0.6b | nv-embed

Takes the tokenizer of a golden case, so `millrace embed TEXTS -m DIRECTORY -o OUT.h5` runs. The vectors mean nothing.
"""
import array
import json
import pathlib
import random
import shutil
import struct
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "data" / "golden"
SIZES = {"F32": 4, "F16": 2, "BF16": 2}
SHARD_BYTES = 5 << 30


def pair(name, rows, columns):
    return [(name + ".weight", [rows, columns]), (name + ".bias", [rows])]


def norm(name, n):
    return [(name + ".weight", [n]), (name + ".bias", [n])]


def bert(hidden=768, layers=12, inner=3072, vocabulary=30522):
    tensors = [("embeddings.word_embeddings.weight", [vocabulary, hidden]), ("embeddings.position_embeddings.weight", [512, hidden]),
               ("embeddings.token_type_embeddings.weight", [2, hidden]), *norm("embeddings.LayerNorm", hidden)]
    for n in range(layers):
        p = f"encoder.layer.{n}."
        for name in ("query", "key", "value"):
            tensors += pair(p + "attention.self." + name, hidden, hidden)
        tensors += pair(p + "attention.output.dense", hidden, hidden) + norm(p + "attention.output.LayerNorm", hidden)
        tensors += pair(p + "intermediate.dense", inner, hidden) + pair(p + "output.dense", hidden, inner) + norm(p + "output.LayerNorm", hidden)
    config = {"model_type": "bert", "vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers,
              "num_attention_heads": hidden // 64, "intermediate_size": inner}
    return config, tensors, "minilm"


def jina(hidden=768, layers=12, inner=3072, vocabulary=30528):
    tensors = [("embeddings.word_embeddings.weight", [vocabulary, hidden]), ("embeddings.token_type_embeddings.weight", [2, hidden]),
               *norm("embeddings.LayerNorm", hidden)]
    for n in range(layers):
        p = f"encoder.layer.{n}."
        for name in ("query", "key", "value"):
            tensors += pair(p + "attention.self." + name, hidden, hidden)
        tensors += pair(p + "attention.output.dense", hidden, hidden) + norm(p + "attention.output.LayerNorm", hidden)
        tensors += [(p + "mlp.gated_layers.weight", [2 * inner, hidden])] + pair(p + "mlp.wo", hidden, inner) + norm(p + "mlp.layernorm", hidden)
    config = {"model_type": "bert", "vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": hidden // 64,
              "intermediate_size": inner, "position_embedding_type": "alibi", "feed_forward_type": "geglu"}
    return config, tensors, "minilm"


def gte(hidden=1024, layers=24, inner=4096, vocabulary=30528):
    tensors = [("new.embeddings.word_embeddings.weight", [vocabulary, hidden]), ("new.embeddings.token_type_embeddings.weight", [2, hidden]),
               *norm("new.embeddings.LayerNorm", hidden)]
    for n in range(layers):
        p = f"new.encoder.layer.{n}."
        tensors += pair(p + "attention.qkv_proj", 3 * hidden, hidden) + pair(p + "attention.o_proj", hidden, hidden)
        tensors += norm(p + "attn_ln", hidden) + norm(p + "mlp_ln", hidden)
        tensors += [(p + "mlp.up_gate_proj.weight", [2 * inner, hidden])] + pair(p + "mlp.down_proj", hidden, inner)
    config = {"model_type": "new", "vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": hidden // 64,
              "intermediate_size": inner, "type_vocab_size": 2, "max_position_embeddings": 8192, "rope_theta": 160000,
              "rope_scaling": {"type": "ntk", "factor": 2.0}}
    return config, tensors, "stella400m"


def decoder(prefix, bias, hidden, layers, heads, kv_heads, inner, vocabulary, head_dim=0):
    d = head_dim or hidden // heads
    tensors = [(prefix + "embed_tokens.weight", [vocabulary, hidden]), (prefix + "norm.weight", [hidden])]
    for n in range(layers):
        p = f"{prefix}layers.{n}."
        tensors += [(p + name + ".weight", [hidden]) for name in ("input_layernorm", "post_attention_layernorm")]
        for name, rows in (("q_proj", heads * d), ("k_proj", kv_heads * d), ("v_proj", kv_heads * d)):
            part = pair(p + "self_attn." + name, rows, hidden)
            tensors += part if bias else part[:1]
        tensors += [(p + "self_attn.o_proj.weight", [hidden, heads * d]), (p + "mlp.gate_proj.weight", [inner, hidden]),
                    (p + "mlp.up_proj.weight", [inner, hidden]), (p + "mlp.down_proj.weight", [hidden, inner])]
    config = {"vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "intermediate_size": inner}
    return config, tensors


def qwen2():
    config, tensors = decoder("model.", True, 1536, 28, 12, 2, 8960, 151646)
    return {**config, "model_type": "qwen2", "rope_theta": 1e6, "is_causal": False, "max_position_embeddings": 131072}, tensors, "minilm"


def qwen3():
    config, tensors = decoder("", False, 1024, 28, 16, 8, 3072, 151669, 128)
    for n in range(28):
        tensors += [(f"layers.{n}.self_attn.{name}.weight", [128]) for name in ("q_norm", "k_norm")]
    return {**config, "model_type": "qwen3", "head_dim": 128, "rope_theta": 1e6, "max_position_embeddings": 32768}, tensors, "minilm"


def nv_embed():
    text, tensors = decoder("embedding_model.", False, 4096, 32, 32, 8, 14336, 32000)
    p = "latent_attention_model."
    tensors += [(p + "latents", [512, 4096])]
    p += "cross_attend_blocks."
    tensors += norm(p + "0.norm", 4096) + norm(p + "0.norm_context", 4096) + norm(p + "1.norm", 4096)
    tensors += [(p + "0.fn.to_q.weight", [32768, 4096]), (p + "0.fn.to_kv.weight", [65536, 4096]), (p + "0.fn.to_out.weight", [4096, 32768])]
    tensors += pair(p + "1.fn.net.0", 32768, 4096) + pair(p + "1.fn.net.2", 4096, 16384)
    return {"model_type": "nvembed", "text_config": text, "latent_attention_config": {}}, tensors, "minilm"


KINDS = {"bge-base": (bert, 512), "jina-base": (jina, 32768), "stella-400m": (gte, 512), "stella-1.5b": (qwen2, 512), "qwen3-0.6b": (qwen3, 32768),
         "nv-embed": (nv_embed, 512)}


def noise(dtype):
    """1 MiB of values around 0 with deviation 0.02; norms get them too, which is of no consequence here."""
    source = random.Random(1)
    if dtype == "F16":
        return struct.pack("<524288e", *(source.gauss(0, 0.02) for _ in range(1 << 19)))
    values = array.array("f", (source.gauss(0, 0.02) for _ in range(1 << 18))).tobytes()
    return values if dtype == "F32" else b"".join(values[i + 2:i + 4] for i in range(0, len(values), 4))


def tensor_bytes(shape, dtype):
    count = SIZES[dtype]
    for size in shape:
        count *= size
    return count


def write_shard(path, tensors, dtype, block):
    header, offset = {}, 0
    for name, shape in tensors:
        end = offset + tensor_bytes(shape, dtype)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while offset > 0:
            file.write(block[:offset])
            offset -= len(block)


def write_weights(directory, tensors, dtype):
    shards, filled = [[]], 0
    for name, shape in tensors:
        if filled > SHARD_BYTES:
            shards, filled = shards + [[]], 0
        shards[-1].append((name, shape))
        filled += tensor_bytes(shape, dtype)
    block = noise(dtype)
    names = ["model.safetensors"] if len(shards) == 1 else [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for name, shard in zip(names, shards):
        write_shard(directory / name, shard, dtype, block)
    if len(shards) > 1:
        index = {name: file for file, shard in zip(names, shards) for name, _ in shard}
        (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in KINDS or (len(sys.argv) == 4 and sys.argv[3] not in SIZES):
        sys.exit(__doc__)
    make, limit = KINDS[sys.argv[1]]
    directory, dtype = pathlib.Path(sys.argv[2]), sys.argv[3] if len(sys.argv) == 4 else "BF16"
    config, tensors, tokenizer = make()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": limit}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(GOLDEN / tokenizer / name, directory / name)
    write_weights(directory, tensors, dtype)


main()
