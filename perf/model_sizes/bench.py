#!/usr/bin/env python3
"""What models of real size take: random weights of a published shape (tests/golden/random_model.py), 100 texts, each precision.

Per run, as a process: what the plan reserves, the largest resident set, the time until a first single text is done (start-up: with an
empty cache and, weights known and packed, again), and tokens per second. With --torch in turns with transformers on the same token counts.
Prints a Markdown table and ends with 1 when a run takes more memory than its limit.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
KINDS = ["bge-base", "jina-base", "stella-400m", "stella-1.5b", "qwen3-0.6b", "nv-embed"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["bge-base", "stella-1.5b"], help=f"of {', '.join(KINDS)} (default bge-base stella-1.5b)")
    parser.add_argument("--precision", default="f32,bf16,int8")
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--words", type=int, default=20, help="per text (default 20)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender, in turns (default 3)")
    parser.add_argument("--memory-limit", help="for millrace, e.g. 4G")
    parser.add_argument("--torch", type=pathlib.Path, metavar="PYTHON", help="a python with torch and transformers to run beside")
    parser.add_argument("--models", type=pathlib.Path, help="folder to make the models in, kept (default: a temporary one; nv-embed takes 15 GB)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    return parser.parse_args()


def run(*command):
    """(seconds, peak resident bytes, what it wrote) of a process."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        if status != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{errors.decode()[-2000:]}")
        return time.monotonic() - begin, usage.ru_maxrss * 1024, out.read().decode() or errors.decode()


class Contender:
    def __init__(self):
        self.speeds, self.peaks = [], []

    def tokens_per_second(self):
        return statistics.median(self.speeds)


class Millrace(Contender):
    def __init__(self, options, model, precision, texts, scratch):
        super().__init__()
        self.command = [options.millrace, "embed", texts, "-m", model, "-o", scratch / "out.h5", "--overwrite", "--precision", precision, "-q", "--json"]
        self.command += ["--cache", scratch / f"cache-{model.name}-{precision}", "--cache-size", "64G"]  # empty at first: packed once, then mapped
        self.command += ["--memory-limit", options.memory_limit] if options.memory_limit else []
        self.plan = json.loads(run(*self.command, "--plan")[2])

    def start_up(self):
        return run(*self.command, "--limit", "1")[0]

    def measure(self):
        idle = self.start_up()
        seconds, peak, summary = run(*self.command)
        self.peaks.append(peak)
        self.tokens = json.loads(summary.splitlines()[-1])["tokens"]
        self.speeds.append(self.tokens / max(seconds - idle, 1e-3))


class Torch(Contender):
    def __init__(self, options, model, precision, lengths):
        super().__init__()
        self.command = [options.torch, HERE / "torch_peer.py", model, precision, ",".join(map(str, lengths))]

    def measure(self):
        _, peak, out = run(*self.command)
        self.peaks.append(peak)
        self.speeds.append(json.loads(out)["tokens_per_second"])


def write_texts(path, count, words):
    chance = random.Random(1)
    vocabulary = "river stone light paper seven under green market tower glass the of and a to in".split()
    with path.open("w") as file:
        for i in range(count):
            text = " ".join(chance.choice(vocabulary) for _ in range(chance.randint(words // 2, words * 3 // 2)))
            file.write(json.dumps({"id": str(i), "text": text}) + "\n")


def token_counts(options, model, texts):
    out = run(options.millrace, "tokenize", texts, "-m", model)[2]
    return [len(json.loads(line)["ids"]) for line in out.splitlines()]


def megabytes(size):
    return f"{size / 1e6:,.0f}"


def measure(options, kind, precision, model, scratch):
    texts = scratch / "texts.jsonl"
    write_texts(texts, options.texts, options.words)
    millrace = Millrace(options, model, precision, texts, scratch)
    first, again = millrace.start_up(), millrace.start_up()
    torch = Torch(options, model, precision, token_counts(options, model, texts)) if options.torch and precision != "int8" else None
    for _ in range(options.repeat):
        for contender in filter(None, (millrace, torch)):
            contender.measure()
    peak = max(millrace.peaks)
    beside = f"{torch.tokens_per_second():,.1f} ({megabytes(max(torch.peaks))} MB) | {millrace.tokens_per_second() / torch.tokens_per_second():.2f}" if torch else "– | –"
    print(f"| {kind} | {precision} | {megabytes(millrace.plan['memory_total'])} | {megabytes(peak)} | {first:.1f}, {again:.1f} | "
          f"{millrace.tokens_per_second():,.1f} | {beside} |", flush=True)
    return peak <= millrace.plan["memory_limit"]


def main():
    options = parse_arguments()
    within = True
    print("| model | precision | plan MB | peak MB | one text, s: first, again | tokens/s | torch tokens/s (peak) | ratio |\n|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for kind in options.kinds:
            model = (options.models or scratch) / kind
            if not (model / "config.json").exists():
                run(sys.executable, ROOT / "tests/golden/random_model.py", kind, model)
                time.sleep(3)  # the cache keeps nothing of files that have only just been written
            for precision in options.precision.split(","):
                within = measure(options, kind, precision, model, scratch) and within
    sys.exit(0 if within else 1)


main()
