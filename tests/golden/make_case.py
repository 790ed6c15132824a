#!/usr/bin/env python3
"""Writes a golden case: a small model with random weights in its published layout, and what the reference computes from it.

usage: make_case.py KIND DIRECTORY        KIND: mpnet | gemma | dense
needs: torch 2.13.0, transformers 5.23.0, sentence-transformers 6.2.0, safetensors

The forward pass is the reference library's, in float64, each text alone; where it casts to float32 on purpose (RoPE, RMSNorm) it is
made to use float64 instead. As a check the directory is then opened with sentence-transformers as it is, in float32.
"""
import json
import math
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "data" / "golden"
MOST_TEXTS = 36


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def random_weights(model, around_one):
    """Norm weights around 1 (or 0, where they are stored so), everything else large enough to matter."""
    generator = torch.Generator().manual_seed(7)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if "norm" in name.lower() and name.endswith("weight"):
            value.data = 0.2 * noise + (1 if around_one else 0)
        elif value.dim() < 2:
            value.data = 0.2 * noise
        elif "embed" in name or "relative" in name:
            value.data = noise * (0.5 if "relative" not in name else 1)
        else:
            value.data = noise * 1.2 / math.sqrt(value.shape[1])


def save_backbone(model, directory, config):
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, directory / "model.safetensors", metadata={"format": "pt"})


def save_tokenizer(directory, source, change=lambda tokenizer: None, **settings):
    tokenizer = json.loads((GOLDEN / source / "tokenizer.json").read_text())
    change(tokenizer)
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    write_json(directory / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **settings})
    return Tokenizer.from_file(str(directory / "tokenizer.json"))


def save_chain(directory, modules, limit, prompts=None):
    """modules: (class, folder, config or None, tensors or None) behind the Transformer."""
    kind = "sentence_transformers.models."
    chain = [{"idx": 0, "name": "0", "path": "", "type": kind + "Transformer"}] if limit else []
    for name, folder, config, tensors in modules:
        chain.append({"idx": len(chain), "name": str(len(chain)), "path": folder, "type": kind + name})
        if config is not None:
            write_json(directory / folder / "config.json", config)
        if tensors is not None:
            save_file(tensors, directory / folder / "model.safetensors")
    write_json(directory / "modules.json", chain)
    write_json(directory / "config_sentence_transformers.json", {"prompts": prompts or {}, "default_prompt_name": None, "similarity_fn_name": "cosine"})
    if limit:
        write_json(directory / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})


def pooling(width, mode="mean"):
    return ("Pooling", "1_Pooling", {"word_embedding_dimension": width, "pooling_mode": mode}, None)


def texts(source):
    """Of another case: hard ones, multilingual ones, short and long."""
    inputs = json.loads((GOLDEN / source / "expect" / "cases.json").read_text())["inputs"]
    chosen = inputs[::max(1, len(inputs) // MOST_TEXTS)][:MOST_TEXTS - 1]
    long = max(inputs, key=lambda entry: len(entry["input_ids"]))
    return [(e["name"], e["text"]) for e in chosen if e is not long] + [(long["name"], long["text"])]


def trace_layers(model, layers, run):
    """hidden.0: what enters the first layer; hidden.k: what leaves layer k."""
    states, hooks = [], []
    hooks.append(layers[0].register_forward_pre_hook(lambda m, a, k: states.append(a[0] if a else k["hidden_states"]), with_kwargs=True))
    for layer in layers:
        hooks.append(layer.register_forward_hook(lambda m, a, out: states.append(out[0] if isinstance(out, tuple) else out)))
    run()
    for hook in hooks:
        hook.remove()
    return {f"hidden.{k}": state[0].float().contiguous() for k, state in enumerate(states)}


def write_expected(directory, about, rows, pooled, embedding, trace, traced):
    expect = directory / "expect"
    expect.mkdir(exist_ok=True)
    to_f32 = lambda values: torch.stack(values).to(torch.float32).contiguous()
    tensors = {"embedding": to_f32(embedding)}
    if pooled:
        tensors["pooled"] = to_f32(pooled)
    save_file(tensors, expect / "expected.safetensors")
    save_file(trace, expect / "trace.safetensors")
    few = [[1, 3, 5, 7, 9], [2, 4, 6, 8], [len(rows) - 1, 0, 3]]
    (expect / "cases.json").write_text(json.dumps({
        **about, "how": "float64 forward pass of the reference from the stored weights, each text alone, rounded to float32",
        "tolerance": {"f32": {"cosine": 0.999999, "max_abs": 1e-5}, "bf16": {"cosine": 0.9999}, "int8": {"cosine": 0.995}},
        "trace": {"input": traced}, "ragged_batches": few, "inputs": rows}, ensure_ascii=False) + "\n")


def encode(tokenizer, source, limit, prefix="", specials=True):
    rows = []
    tokenizer.no_padding()
    for name, text in texts(source):
        tokenizer.no_truncation()
        full = len(tokenizer.encode(prefix + text, add_special_tokens=specials).ids)
        if limit:
            tokenizer.enable_truncation(limit)
        ids = tokenizer.encode(prefix + text, add_special_tokens=specials).ids
        if ids:
            rows.append({"row": len(rows), "name": name, "text": text, "input_ids": ids, "truncated": bool(limit and full > limit)})
    return rows


def check_with_library(directory, rows, embedding, prompt=None):
    from sentence_transformers import SentenceTransformer
    got = SentenceTransformer(str(directory), device="cpu").encode([r["text"] for r in rows], prompt=prompt, batch_size=1, convert_to_tensor=True)
    cosine = torch.nn.functional.cosine_similarity(got.double(), torch.stack(embedding), dim=1)
    print(f"{directory.name}: {len(rows)} texts, sentence-transformers in float32: least cosine {cosine.min():.9f}")


def run_transformer(directory, model, layers, tokenizer, source, limit, finish, about, prompt=None, float_is_double=False):
    rows = encode(tokenizer, source, limit, prompt or "")
    model = model.double().eval()
    original = torch.Tensor.float
    if float_is_double:
        torch.Tensor.float = torch.Tensor.double
    forward = lambda row: model(input_ids=torch.tensor([row["input_ids"]])).last_hidden_state[0]
    traced = next(r for r in rows if 12 <= len(r["input_ids"]) <= 40)
    with torch.no_grad():
        hidden = [forward(row) for row in rows]
        torch_trace = trace_layers(model, layers, lambda: forward(traced))
    torch.Tensor.float = original
    pooled = [h.mean(0) for h in hidden]
    embedding = [finish(p) for p in pooled]
    if prompt:
        for row in rows:
            row["prompt"] = prompt
    trace = {k: v.to(torch.float32) for k, v in torch_trace.items()}
    write_expected(directory, about, rows, pooled, embedding, trace, traced["name"])
    check_with_library(directory, rows, embedding, prompt)


def unit(x):
    return x / x.norm()


def mpnet(directory):
    from transformers import MPNetConfig, MPNetModel
    config = {"model_type": "mpnet", "architectures": ["MPNetForMaskedLM"], "vocab_size": 4000, "hidden_size": 48, "num_hidden_layers": 3,
              "num_attention_heads": 3, "intermediate_size": 96, "hidden_act": "gelu", "max_position_embeddings": 202, "pad_token_id": 1,
              "layer_norm_eps": 1e-4, "relative_attention_num_buckets": 32}
    tokenizer = Tokenizer.from_file(str(GOLDEN / "xlmr" / "tokenizer.json"))
    config["vocab_size"] = tokenizer.get_vocab_size()
    model = MPNetModel(MPNetConfig(**{k: v for k, v in config.items() if k != "model_type"}), add_pooling_layer=False)
    random_weights(model, True)
    save_backbone(model, directory, config)
    tokenizer = save_tokenizer(directory, "xlmr", model_max_length=200, pad_token="<pad>")
    save_chain(directory, [pooling(48), ("Normalize", "2_Normalize", None, None)], 200)
    run_transformer(directory, model, model.encoder.layer, tokenizer, "xlmr", 200, unit,
                    {"family": "mpnet", "reference": "transformers 5.23.0 MPNetModel"})


def gemma(directory):
    from transformers import Gemma3TextConfig, Gemma3TextModel
    config = {"model_type": "gemma3_text", "architectures": ["Gemma3TextModel"], "hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3,
              "num_key_value_heads": 1, "head_dim": 24, "intermediate_size": 80, "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-4,
              "max_position_embeddings": 2048, "query_pre_attn_scalar": 20, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
              "sliding_window": 16, "sliding_window_pattern": 3, "_sliding_window_pattern": 3, "use_bidirectional_attention": True,
              "attention_bias": False, "attn_logit_softcapping": None, "final_logit_softcapping": None, "bos_token_id": 1, "eos_token_id": 2,
              "pad_token_id": 0}
    tokenizer = Tokenizer.from_file(str(GOLDEN / "nv-embed-v2" / "tokenizer.json"))
    config["vocab_size"] = tokenizer.get_vocab_size()
    model = Gemma3TextModel(Gemma3TextConfig(**{k: v for k, v in config.items() if k not in ("model_type", "_sliding_window_pattern")}))
    random_weights(model, False)
    save_backbone(model, directory, config)

    def add_eos(tokenizer):
        eos = {"SpecialToken": {"id": "</s>", "type_id": 0}}
        tokenizer["post_processor"]["single"].append(eos)
        tokenizer["post_processor"]["special_tokens"]["</s>"] = {"id": "</s>", "ids": [2], "tokens": ["</s>"]}
    tokenizer = save_tokenizer(directory, "nv-embed-v2", add_eos, model_max_length=256, eos_token="</s>", bos_token="<s>", pad_token="<unk>")
    generator = torch.Generator().manual_seed(3)
    wide, back = (torch.randn(shape, generator=generator) / math.sqrt(shape[1]) for shape in ((96, 48), (48, 96)))
    dense = lambda a, b: {"in_features": a, "out_features": b, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}
    save_chain(directory, [pooling(48), ("Dense", "2_Dense", dense(48, 96), {"linear.weight": wide}),
                           ("Dense", "3_Dense", dense(96, 48), {"linear.weight": back}), ("Normalize", "4_Normalize", None, None)], 256,
               {"query": "task: search result | query: ", "document": "title: none | text: "})
    run_transformer(directory, model, model.layers, tokenizer, "nv-embed-v2", 256, lambda p: unit(back.double() @ (wide.double() @ p)),
                    {"family": "gemma3_text", "reference": "transformers 5.23.0 Gemma3TextModel"}, "task: search result | query: ", True)


def dense(directory):
    """A chain of all activations, with and without bias and residual, behind two poolings of an existing backbone."""
    from sentence_transformers import SentenceTransformer
    directory.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(GOLDEN / "minilm" / name, directory / name)
    generator = torch.Generator().manual_seed(5)
    modules, widths = [("Pooling", "1_Pooling", {"word_embedding_dimension": 48, "pooling_mode": ["mean", "max"]}, None)], [96, 64, 64, 48, 40]
    kinds = [("modules.activation.ReLU", True, True), ("modules.activation.Sigmoid", True, True), ("modules.activation.SiLU", False, False),
             ("modules.activation.GELU", True, False)]
    for i, (activation, bias, residual) in enumerate(kinds):
        inputs, outputs = widths[i], widths[i + 1]
        tensors = {"linear.weight": torch.randn((outputs, inputs), generator=generator) / math.sqrt(inputs)}
        if bias:
            tensors["linear.bias"] = torch.randn(outputs, generator=generator) * 0.3
        if residual and inputs != outputs:
            tensors["residual.weight"] = torch.randn((outputs, inputs), generator=generator) / math.sqrt(inputs)
        config = {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": "torch.nn." + activation, "use_residual": residual}
        modules.append(("Dense", f"{i + 2}_Dense", config, tensors))
    save_chain(directory, modules, 128)
    model = SentenceTransformer(str(directory), device="cpu").double().eval()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    rows, pooled, embedding = encode(tokenizer, "minilm", 128), [], []

    def forward(row):
        features = {"input_ids": torch.tensor([row["input_ids"]]), "attention_mask": torch.ones(1, len(row["input_ids"]), dtype=torch.long)}
        states = []
        for module in model:
            features = module(features)
            states.append(features.get("sentence_embedding"))
        return states[1][0], states[-1][0]
    with torch.no_grad():
        for row in rows:
            between, end = forward(row)
            pooled.append(between)
            embedding.append(end)
        traced = next(r for r in rows if 12 <= len(r["input_ids"]) <= 40)
        trace = trace_layers(model, model[0].auto_model.encoder.layer, lambda: forward(traced))
    write_expected(directory, {"family": "dense", "reference": "sentence-transformers 6.2.0"}, rows, pooled, embedding, trace, traced["name"])
    check_with_library(directory, rows, embedding)


KINDS = {"mpnet": mpnet, "gemma": gemma, "dense": dense}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    directory = pathlib.Path(sys.argv[2])
    shutil.rmtree(directory, ignore_errors=True)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    KINDS[sys.argv[1]](directory)


if __name__ == "__main__":
    main()
