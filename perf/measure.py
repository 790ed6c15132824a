#!/usr/bin/env python3
"""Everything docs/performance.md says, measured on this machine: kernels and forward passes against the machine's peaks, bf16 layers beside
oneDNN's, then millrace beside its peers in each precision class, on two corpora, on one core, and on a busy machine; then the page is made
anew. Wants a machine that does nothing else; about three quarters of an hour with two cores. ./bootstrap bench builds and fetches what it needs, then runs
this.
"""
import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ROOT / "perf/peers/bench.py"
sys.path.insert(0, str(PEERS.parent))
import environment  # noqa: E402

PRECISIONS = ("f32", "bf16", "int8")
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# Layers of wider models: bge-base and ViT-B, ViT-L.
WIDE = [(2304, 768), (768, 768), (3072, 768), (768, 3072), (3072, 1024), (1024, 1024), (4096, 1024), (1024, 4096)]
WIDE_ROWS = (16, 256)
# Those that came first and second in a class; where every contender is too many.
BEST = {"f32": ("OpenVINO", "ONNX Runtime, fused"), "bf16": ("OpenVINO", "torch"), "int8": ("ONNX Runtime, dynamic int8", "OpenVINO, NNCF int8")}
# A faster class takes more texts, about as long as the others: starting and loading are part of millrace's time.
SCALE = {"f32": 3, "bf16": 6, "int8": 9}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(STEPS), help=f"steps, separated by commas (default: {','.join(STEPS)})")
    parser.add_argument("--limit", type=int, default=600, help="texts beside the peers in f32, more in bf16 and int8 (default 600)")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each contender (default 2)")
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT / "out/debian.jsonl", help="JSON lines with \"text\", also .gz (default out/debian.jsonl)")
    parser.add_argument("--mixed", type=pathlib.Path, default=ROOT / "out/debian-mixed.jsonl", help="the same of texts of every length (default out/debian-mixed.jsonl)")
    parser.add_argument("--seconds", type=int, default=90, help="of the kernels (default 90)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "perf/results", help="folder for the figures (default perf/results)")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/performance.md", help="the page that is filled (default docs/performance.md)")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(STEPS)
    if unknown:
        parser.error(f"no steps {', '.join(sorted(unknown))}")
    return options


def kernels(options):
    picture = options.page.parent / "performance/roofline.svg"
    picture.parent.mkdir(exist_ok=True)
    shapes = [word for n, k in WIDE for rows in WIDE_ROWS for word in ("--shape", f"{rows}x{n}x{k}")]
    found = subprocess.run([options.millrace, "bench", "-m", MODEL, *shapes, "--seconds", str(options.seconds), "--json", "--svg", picture], check=True,
                           stdout=subprocess.PIPE).stdout
    (options.results / "bench.json").write_bytes(found)


def onednn(options):
    subprocess.run([environment.make(), ROOT / "perf/onednn_gemm.py", "--millrace", options.millrace, "--results", options.results], check=True)


def peers(options, precision, *more, corpus=None, share=1):
    corpus, limit = corpus or options.corpus, int(share * options.limit * SCALE[precision] / 3)
    subprocess.run([PEERS, "--precision", precision, "--limit", str(limit), "--repeat", str(options.repeat), "--corpus", corpus,
                    "--graphs", pathlib.Path(options.graphs, corpus.name), "--millrace", options.millrace, "--results", options.results, *more], check=True)


def mixed(options):
    if not options.mixed.exists():
        subprocess.run([ROOT / "tools/make-corpus", "--mixed", "-o", options.mixed], check=True)
    for precision in PRECISIONS:
        peers(options, precision, "--peers", ";".join(BEST[precision]), corpus=options.mixed)


def alone(options):
    for precision in PRECISIONS:
        peers(options, precision, "--peers", "", share=5)


def best_again(options, *more, share=1):
    """The best peer once more, at the batch size found before."""
    for precision in PRECISIONS:
        known = options.results / f"peers-{precision}.json"
        peers(options, precision, "--peers", BEST[precision][0], *(("--batches", known) if known.exists() else ()), *more, share=share)


def cores(options):
    best_again(options, "--threads", "1")


def busy(options):
    best_again(options, "--busy", "2", share=0.5)


def trace(options):
    """The same job with and without --trace, in turns. Processor time beside wall time: others' work disturbs it less."""
    runs, texts, wall, cpu = 11, min(options.limit, 400), {"off": [], "on": []}, {"off": [], "on": []}
    with tempfile.TemporaryDirectory(prefix="millrace-trace.") as folder:
        spans = pathlib.Path(folder, "trace.json")
        command = [options.millrace, "embed", options.corpus, "-m", MODEL, "-o", pathlib.Path(folder, "out.h5"), "--precision", "int8", "--limit", str(texts),
                   "--overwrite", "-q"]
        for _ in range(runs):
            for name, more in (("off", []), ("on", ["--trace", spans])):
                start = time.monotonic()
                _, status, usage = os.wait4(subprocess.Popen(command + more).pid, 0)
                if status != 0:
                    sys.exit(f"measure: {command[0]} failed")
                wall[name].append(time.monotonic() - start)
                cpu[name].append(usage.ru_utime + usage.ru_stime)
        events = json.loads(spans.read_text())["traceEvents"]
        found = {"date": datetime.date.today().isoformat(), "model": MODEL, "precision": "int8", "texts": texts, "runs": runs,
                 "wall": {name: statistics.median(values) for name, values in wall.items()}, "cpu": {name: statistics.median(values) for name, values in cpu.items()},
                 "all": {"wall": wall, "cpu": cpu}, "spans": sum(event["ph"] == "X" for event in events), "bytes": spans.stat().st_size}
    (options.results / "trace.json").write_text(json.dumps(found, indent=1) + "\n")


STEPS = {"kernels": kernels, "onednn": onednn, **{name: lambda options, name=name: peers(options, name) for name in PRECISIONS}, "mixed": mixed, "alone": alone,
         "cores": cores, "busy": busy, "trace": trace}


def main():
    options = parse_arguments()
    options.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="millrace-graphs.") as options.graphs:
        for name in options.only:
            start = time.monotonic()
            print(f"measure: {name}", file=sys.stderr, flush=True)
            STEPS[name](options)
            print(f"measure: {name} took {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, ROOT / "perf/report.py", "--results", options.results, "--page", options.page], check=True)


if __name__ == "__main__":
    main()
