#!/usr/bin/env python3
"""How much bf16 costs in the golden cases, here and in the reference: least cosine of a vector with the float64 one.

The cases are tiny networks with random weights, which lose more than trained ones. Two columns say whether that is the class or us:
millrace's bf16 (linear layers take bf16, all else is f32) beside torch's (everything is bf16, the hidden state between layers too) on
the same stored weights and token ids. Ends with 1 where millrace loses more than torch. Needs torch, transformers, safetensors.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/data/golden"
LONGEST = 1000  # tokens; longer texts are left out
CASES = ["minilm", "bge", "xlmr", "bge-m3", "me5-small", "modernbert", "nomic", "gte-base", "stella400m", "gte-qwen2-1.5b", "stella-1.5b", "qwen3-embedding-0.6b"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, help=f"of {', '.join(CASES)}")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    return parser.parse_args()


def read_weights(directory):
    weights = {}
    for file in directory.glob("model*.safetensors"):
        weights.update(load_file(file))
    return weights


def scaled_frequencies(width, theta, scaling):
    """RoPE's inverse frequencies; with the hub's NTK scaling, both theta and each frequency are scaled."""
    def inverse(base):
        return 1.0 / base ** (torch.arange(0, width, 2, dtype=torch.float64) / width)

    if not scaling:
        return inverse(theta)
    factor = scaling["factor"]
    return inverse(theta * factor) / factor ** (2 / width)


def set_frequencies(model, frequencies):
    model.rotary_emb.forward = lambda x, position_ids: tuple(
        f(torch.cat((position_ids[..., None] * frequencies,) * 2, -1)).to(x.dtype) for f in (torch.cos, torch.sin))


def build_nomic(directory, config):
    settings = transformers.NomicBertConfig(
        vocab_size=config["vocab_size"], hidden_size=config["n_embd"], num_hidden_layers=config["n_layer"], num_attention_heads=config["n_head"],
        intermediate_size=config["n_inner"], type_vocab_size=config["type_vocab_size"])
    model = transformers.NomicBertModel.from_pretrained(directory, config=settings, dtype=torch.float32)
    set_frequencies(model, scaled_frequencies(config["n_embd"] // config["n_head"], config["rotary_emb_base"], None))
    return model


def build_gte(directory, config):
    """transformers' class under the hub's tensor names."""
    keys = ("vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act max_position_embeddings type_vocab_size "
            "layer_norm_eps pad_token_id").split()
    model = transformers.GteModel(transformers.GteConfig(**{key: config[key] for key in keys}))
    hidden, inner, tensors = config["hidden_size"], config["intermediate_size"], {}
    renamed = [("new.", ""), ("encoder.layer", "layers"), ("attention.", "self_attn."), ("attn_ln", "post_attention_layernorm"), ("mlp_ln", "post_mlp_layernorm")]
    for name, value in read_weights(directory).items():
        for old, new in renamed:
            name = name.replace(old, new)
        if "qkv_proj" in name:
            for part, letter in enumerate("qkv"):
                tensors[name.replace("qkv_proj", letter + "_proj")] = value[part * hidden:(part + 1) * hidden]
        elif "up_gate_proj" in name:
            tensors[name.replace("up_gate", "up")], tensors[name.replace("up_gate", "gate")] = value[:inner], value[inner:]
        else:
            tensors[name] = value.float()
    missing, _ = model.load_state_dict(tensors, strict=False)
    assert not missing, missing
    set_frequencies(model, scaled_frequencies(hidden // config["num_attention_heads"], config["rope_theta"], config["rope_scaling"]))
    return model


def build_qwen2(directory, config):
    """Bidirectional where the hub's own class is."""
    settings = transformers.Qwen2Config.from_pretrained(directory)
    settings.is_causal = config.get("is_causal", "auto_map" not in config)
    model = transformers.Qwen2Model(settings)
    missing, _ = model.load_state_dict({name.removeprefix("model."): value.float() for name, value in read_weights(directory).items()}, strict=False)
    assert not missing, missing
    return model


def build(directory):
    config = json.loads((directory / "config.json").read_text())
    special = {"nomic_bert": build_nomic, "new": build_gte, "qwen2": build_qwen2}.get(config["model_type"])
    return special(directory, config) if special else transformers.AutoModel.from_pretrained(directory, dtype=torch.float32)


def pool(directory, hidden):
    """The case's one pooling, in float64: only the encoder is compared."""
    modes = json.loads((directory / "1_Pooling/config.json").read_text())
    hidden = hidden.double()
    if modes.get("pooling_mode_cls_token"):
        return hidden[0]
    return hidden[-1] if modes.get("pooling_mode_lasttoken") else hidden.mean(0)


def least_cosine(got, expected):
    return torch.nn.functional.cosine_similarity(torch.as_tensor(got).double(), expected.double(), dim=-1).min().item()


def torch_cosines(directory, inputs, expected):
    model = build(directory).eval()
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        with torch.inference_mode():
            model.to(dtype)
            vectors = [pool(directory, model(input_ids=torch.tensor([one["ids"]])).last_hidden_state[0]) for one in inputs]
        found.append(least_cosine(torch.stack(vectors), expected))
    return found


def millrace_cosine(options, directory, inputs, expected):
    """Vectors straight behind the pooling: without the directory's Dense and Normalize."""
    with tempfile.TemporaryDirectory() as folder:
        bare = pathlib.Path(folder) / "model"
        bare.mkdir()
        for path in directory.iterdir():
            (bare / path.name).symlink_to(path)
        (bare / "modules.json").unlink()
        kind = "sentence_transformers.models."
        (bare / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind + "Transformer"},
                                                       {"idx": 1, "name": "1", "path": "1_Pooling", "type": kind + "Pooling"}]))
        vectors = []
        for prompt in sorted({one.get("prompt") for one in inputs}, key=str):
            source = bare.parent / "in.jsonl"
            source.write_text("".join(json.dumps({"id": str(one["row"]), "text": one["text"]}) + "\n" for one in inputs if one.get("prompt") == prompt))
            command = [options.millrace, "embed", source, "-m", bare, "-o", "-", "--precision", "bf16", "-q"]
            command += [] if prompt is None else ["--prompt-text", prompt]
            out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout
            vectors += [(int(row["id"]), row["embedding"]) for row in map(json.loads, out.splitlines())]
        return least_cosine([vector for _, vector in sorted(vectors)], expected)


def main():
    options = parse_arguments()
    transformers.utils.logging.disable_progress_bar()
    worse = []
    print("| case | millrace bf16 | torch bf16 | torch f32 |\n|---|---|---|---|", flush=True)
    for case in options.cases:
        directory = GOLDEN / case
        document = json.loads((directory / "expect/cases.json").read_text())
        tensors = load_file(directory / "expect/expected.safetensors")
        stored = tensors["pooled" if "pooled" in tensors else "embedding"]  # the same direction: then no Dense follows
        inputs = [{**one, "row": row, "ids": one["input_ids"]} for row, one in enumerate(document["inputs"])]
        inputs = [one for one in inputs if len(one["ids"]) <= LONGEST]
        expected = stored[[one["row"] for one in inputs]]
        ours = millrace_cosine(options, directory, inputs, expected)
        exact, rounded = torch_cosines(directory, inputs, expected)
        print(f"| {case} | {ours:.5f} | {rounded:.5f} | {exact:.7f} |", flush=True)
        if exact < 0.99999:
            sys.exit(f"{case}: torch computes something else here: cosine {exact:.6f} in f32")
        if ours < rounded:
            worse.append(case)
    sys.exit(f"more is lost than by torch: {', '.join(worse)}" if worse else 0)


main()
