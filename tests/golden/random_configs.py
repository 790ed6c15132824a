#!/usr/bin/env python3
"""Models of random shapes and settings, saved by transformers itself, beside sentence-transformers: the same vectors?

usage: random_configs.py MILLRACE [--count N] [--seed S]      exit code 77 where a reference library is missing
needs: torch, transformers, sentence-transformers (perf/peers/environment.py makes such an environment), h5py

A model that differs, or that millrace refuses, is kept in the folder that is printed.
"""
import argparse
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")
try:
    import h5py
    import numpy as np
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "data" / "golden"
LEAST_COSINE = 0.99999
TEXTS = ["hello world", "a river stone. 42 times!", "The quick brown fox jumps over the lazy dog. " * 6, "Ünïcödé café — naïve", "東京 は 日本", "x" * 50,
         "one two three four five six seven eight nine ten " * 12]


def tokenizer_of(case):
    return Tokenizer.from_file(str(GOLDEN / case / "tokenizer.json"))


def common_settings(pick, case):
    heads = pick(2, 3, 4)
    return dict(vocab_size=tokenizer_of(case).get_vocab_size(), num_attention_heads=heads, hidden_size=heads * pick(8, 12, 16, 20, 24, 32, 40, 64),
                intermediate_size=pick(16, 37, 48, 100, 130, 256), num_hidden_layers=pick(1, 2, 3))


def bert_settings(pick, case, positions):
    return dict(common_settings(pick, case), hidden_act=pick("gelu", "gelu_new", "relu", "silu"), layer_norm_eps=pick(1e-12, 1e-5),
                max_position_embeddings=positions)


def decoder_settings(pick, case):
    settings = common_settings(pick, case)
    key_value_heads = pick(*[n for n in (1, 2, 3, 4) if settings["num_attention_heads"] % n == 0])
    return dict(settings, num_key_value_heads=key_value_heads, max_position_embeddings=1024,
                rope_parameters={"rope_type": "default", "rope_theta": pick(10000.0, 1e6)})


def bert(pick):
    case = "minilm"
    config = transformers.BertConfig(type_vocab_size=pick(1, 2), **bert_settings(pick, case, pick(128, 512)))
    return case, transformers.BertModel(config, add_pooling_layer=pick(True, False))


def roberta(pick):
    case = "xlmr"
    config, model = pick((transformers.RobertaConfig, transformers.RobertaModel), (transformers.XLMRobertaConfig, transformers.XLMRobertaModel))
    return case, model(config(type_vocab_size=1, pad_token_id=1, **bert_settings(pick, case, pick(130, 514))))


def mpnet(pick):
    case = "mpnet"
    return case, transformers.MPNetModel(transformers.MPNetConfig(**bert_settings(pick, case, pick(130, 514))))


def modernbert(pick):
    case = "modernbert"
    settings = common_settings(pick, case)
    return case, transformers.ModernBertModel(transformers.ModernBertConfig(
        **settings, max_position_embeddings=512, local_attention=pick(8, 16, 128), global_attn_every_n_layers=pick(1, 2, 3), attention_bias=pick(True, False),
        mlp_bias=pick(True, False), norm_bias=pick(True, False), hidden_activation=pick("gelu", "silu"), pad_token_id=0, bos_token_id=1, eos_token_id=2,
        cls_token_id=1, sep_token_id=2))


def qwen2(pick):
    case = "qwen3-embedding-0.6b"  # that of Qwen2's models needs their own code
    return case, transformers.Qwen2Model(transformers.Qwen2Config(**decoder_settings(pick, case)))


def qwen3(pick):
    case = "qwen3-embedding-0.6b"
    config = transformers.Qwen3Config(head_dim=pick(16, 32, 64), attention_bias=pick(True, False), **decoder_settings(pick, case))
    return case, transformers.Qwen3Model(config)


KINDS = [bert, roberta, mpnet, modernbert, qwen2, qwen3]
POOLINGS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens", "last": "pooling_mode_lasttoken",
            "weightedmean": "pooling_mode_weightedmean_tokens", "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens"}


def fill(model):
    """Weights large enough that everything matters."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn_like(value)
            if "norm" in name.lower() and name.endswith("weight"):
                value.copy_(1 + 0.2 * noise)
            elif value.dim() < 2:
                value.copy_(0.2 * noise)
            else:
                value.copy_(0.5 * noise if "embed" in name else 1.2 * noise / math.sqrt(value.shape[1]))


def save(model, case, directory, pick):
    """The model in sentence-transformers layout; returns a line that says what it is."""
    stored = pick(torch.float32, torch.bfloat16, torch.float16)
    model.to(stored).save_pretrained(directory, max_shard_size=pick("5GB", "100KB"))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (GOLDEN / case / name).exists():
            shutil.copy(GOLDEN / case / name, directory)
    pooling, normalize, limit = pick(*POOLINGS), pick(True, False), pick(16, 64, 120)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")] + [("Normalize", "2_Normalize")] * normalize
    described = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"} for i, (name, path) in enumerate(modules)]
    for name, value in [("modules.json", described), ("sentence_bert_config.json", {"max_seq_length": limit}),
                        ("1_Pooling/config.json", {"word_embedding_dimension": model.config.hidden_size, POOLINGS[pooling]: True})]:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value))
    return f"{model.config.model_type}, {str(stored).removeprefix('torch.')}, {pooling}{', normalised' if normalize else ''}, {limit} tokens"


def compare(millrace, directory):
    """None when the vectors are the same, else what is wrong."""
    reference = SentenceTransformer(str(directory), device="cpu", model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"})
    expected = np.stack([reference.encode([text], show_progress_bar=False)[0] for text in TEXTS]).astype(np.float64)
    corpus, output = directory / "texts.jsonl", directory / "vectors.h5"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    done = subprocess.run([millrace, "embed", corpus, "-m", directory, "-o", output, "--precision", "f32", "--cache", "none", "-q"], capture_output=True,
                          text=True, check=False, timeout=120)
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip()}"
    with h5py.File(output) as file:
        got = file["embedding"][:].astype(np.float64)
    cosine = (got * expected).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(expected, axis=1)
    scale = np.linalg.norm(got, axis=1) / np.linalg.norm(expected, axis=1)
    if cosine.min() >= LEAST_COSINE and abs(scale - 1).max() < 1e-3:
        return None
    return f"least cosine {cosine.min():.7f}, lengths {scale.min():.5f} to {scale.max():.5f} of the reference's"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("millrace")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    print(f"seed {options.seed}")
    kept = pathlib.Path(tempfile.mkdtemp(prefix="random_configs."))
    wrong = 0
    for n in range(options.count):
        directory = kept / str(n)
        case, model = chance.choice(KINDS)(lambda *choices: chance.choice(choices))
        fill(model)
        told = save(model.eval(), case, directory, lambda *choices: chance.choice(choices))
        problem = compare(options.millrace, directory)
        print(f"{n}: {told}: {problem or 'the same'}", flush=True)
        if problem:
            wrong += 1
        else:
            shutil.rmtree(directory)
    print(f"{wrong} of {options.count} differ" + (f": {kept}" if wrong else ""))
    if not wrong:
        shutil.rmtree(kept)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
