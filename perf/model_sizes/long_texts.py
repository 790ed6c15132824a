#!/usr/bin/env python3
"""One text of 512, 2,048, ... tokens through models of published size (random weights): processor seconds and memory.

Processor seconds of the whole process less those of a run on one short text, so that neither loading nor what else the machine does
counts; beside them what linear layers and attention cost in multiply-adds, in units of the shortest text: the two columns grow alike.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["jina-base"], help="jina-base, stella-400m, qwen3-0.6b (default jina-base)")
    parser.add_argument("--tokens", default="512,2048,8192,32768")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--layers", type=int, help="only the first so many of the model's layers, where all would take too long")
    parser.add_argument("--models", type=pathlib.Path, help="folder to make the models in, kept (default: a temporary one)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    return parser.parse_args()


def embed(options, model, scratch, tokens):
    """(processor seconds, peak resident bytes, tokens really seen)"""
    source = scratch / "text.jsonl"
    source.write_text(json.dumps({"id": "long", "text": "the " * (tokens + 8)}) + "\n")
    command = [options.millrace, "embed", source, "-m", model, "-o", scratch / "out.h5", "--overwrite", "--precision", options.precision,
               "--threads", options.threads, "--max-tokens", str(tokens), "-q", "--json"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    summary = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(summary.decode())
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, json.loads(summary.splitlines()[-1])["tokens"]


def prepare(options, kind, scratch):
    """The model's folder with other limits, and its config."""
    model, changed = (options.models or scratch) / kind, scratch / f"{kind}-changed"
    if not (model / "config.json").exists():
        subprocess.run([sys.executable, ROOT / "tests/golden/random_model.py", kind, model], check=True)
    config = json.loads((model / "config.json").read_text())
    config["num_hidden_layers"] = options.layers or config["num_hidden_layers"]
    changed.mkdir()
    for path in model.iterdir():
        if path.name not in ("config.json", "sentence_bert_config.json"):
            (changed / path.name).symlink_to(path.resolve())
    (changed / "config.json").write_text(json.dumps(config))
    (changed / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32768}))
    return changed, config


def multiply_adds(config, tokens):
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = heads * config.get("head_dim", hidden // heads)
    kv = width * config.get("num_key_value_heads", heads) // heads
    linear = hidden * (2 * width + 2 * kv) + 3 * hidden * config["intermediate_size"]
    attention = 2 * width * tokens / (2 if config["model_type"] == "qwen3" else 1)
    return config["num_hidden_layers"] * tokens * (linear + attention)


def main():
    options = parse_arguments()
    print("| model | tokens | processor s | x the shortest | multiply-adds, x the shortest | peak MB |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for kind in options.kinds:
            model, config = prepare(options, kind, scratch)
            embed(options, model, scratch, 8)  # the first run of a model also computes its digest
            idle = min(embed(options, model, scratch, 8)[0] for _ in range(2))
            shortest = None
            for tokens in map(int, options.tokens.split(",")):
                seconds, peak, seen = embed(options, model, scratch, tokens)
                seconds, work = seconds - idle, multiply_adds(config, seen)
                shortest = shortest or (seconds, work)
                print(f"| {kind} | {seen:,} | {seconds:.1f} | {seconds / shortest[0]:.0f} | {work / shortest[1]:.0f} | {peak / 1e6:,.0f} |", flush=True)


main()
