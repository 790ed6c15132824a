#!/usr/bin/env python3
"""Everything docs/performance.md says, measured on this machine: kernels and forward passes against the machine's peaks, then millrace
beside its peers in each precision class, on one core, and on a busy machine; then the page is made anew. Wants a machine that does nothing
else; about an hour with two cores. ./bootstrap bench builds and fetches what it needs, then runs this.
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
PRECISIONS = ("f32", "bf16", "int8")
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(STEPS), help=f"steps, separated by commas (default: {','.join(STEPS)})")
    parser.add_argument("--limit", type=int, default=1000, help="texts beside the peers (default 1000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender (default 3)")
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT / "out/debian.jsonl", help="JSON lines with \"text\", also .gz (default out/debian.jsonl)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "perf/results")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(STEPS)
    if unknown:
        parser.error(f"no steps {', '.join(sorted(unknown))}")
    return options


def kernels(options):
    picture = ROOT / "docs/performance/roofline.svg"
    picture.parent.mkdir(exist_ok=True)
    found = subprocess.run([options.millrace, "bench", "-m", MODEL, "--seconds", "60", "--json", "--svg", picture], check=True, stdout=subprocess.PIPE).stdout
    (options.results / "bench.json").write_bytes(found)


def peers(options, precision, *more):
    subprocess.run([PEERS, "--precision", precision, "--limit", str(options.limit), "--repeat", str(options.repeat), "--corpus", options.corpus,
                    "--millrace", options.millrace, "--results", options.results, *more], check=True)


def cores(options):
    for precision in PRECISIONS:
        peers(options, precision, "--threads", "1")


def busy(options):
    for precision in PRECISIONS:
        peers(options, precision, "--busy", "2")


def trace(options):
    """The same job with and without --trace, in turns. Processor time beside wall time: others' work disturbs it less."""
    runs, texts, wall, cpu = 11, 400, {"off": [], "on": []}, {"off": [], "on": []}
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


STEPS = {"kernels": kernels, **{name: lambda options, name=name: peers(options, name) for name in PRECISIONS}, "cores": cores, "busy": busy, "trace": trace}


def main():
    options = parse_arguments()
    options.results.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        print(f"measure: {name}", file=sys.stderr, flush=True)
        STEPS[name](options)
    subprocess.run([sys.executable, ROOT / "perf/report.py"], check=True)


if __name__ == "__main__":
    main()
