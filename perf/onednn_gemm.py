#!/usr/bin/env python3
"""bf16 linear layers beside oneDNN's, which torch calls: one thread, the same shapes, in turns; the best of each counts.

oneDNN gets its weights both as torch.nn.Linear leaves them and reordered once into the layout it asks for (what torch.compile's freezing
does), and the faster counts. Its inputs are bf16 already; ours are f32, and converting them is part of the time.

Run with a python that has torch: perf/measure.py --only onednn makes one.
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAYERS = [(1152, 384), (384, 384), (1536, 384), (384, 1536), (2304, 768), (768, 768), (3072, 768), (768, 3072), (3072, 1024), (1024, 1024), (4096, 1024), (1024, 4096)]
ROWS = [16, 256]
SHAPES = [(n, k, rows) for n, k in LAYERS for rows in ROWS]
RUNS, RUN_SECONDS = 12, 0.005


def best_of(call):
    """Least seconds of a call."""
    best, calls = float("inf"), 1
    for _ in range(RUNS):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - start) / calls)
        calls = int(RUN_SECONDS / best) + 1
    return best


def onednn(n, k, rows):
    x, layer = torch.randn(rows, k).bfloat16(), torch.nn.Linear(k, n).bfloat16()
    reordered = torch.ops.mkldnn._reorder_linear_weight(layer.weight, rows)
    return min(best_of(lambda: layer(x)),
               best_of(lambda: torch.ops.mkldnn._linear_pointwise(x, reordered, layer.bias, "none", [], "")))


def ours(program, seconds):
    """Seconds of each of SHAPES, and the machine's bf16 peak."""
    shapes = [word for n, k, rows in SHAPES for word in ("--shape", f"{rows}x{n}x{k}")]
    found = json.loads(subprocess.run([program, "bench", *shapes, "--precision", "bf16", "--threads", "1", "--seconds", str(seconds), "--json"],
                                      capture_output=True, text=True, check=True).stdout)
    peak = next(roof["one_core"]["best"] for roof in found["machine"]["peaks"] if roof["name"] == "bf16")
    return [entry["seconds"]["best"] for entry in found["kernels"]], peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "perf/results")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of ours in each round (default 8)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    millrace, peer, peak = [float("inf")] * len(SHAPES), [float("inf")] * len(SHAPES), 0.0
    with torch.inference_mode():
        for _ in range(options.rounds):
            measured, peak_now = ours(options.millrace, options.seconds)
            millrace, peak = list(map(min, millrace, measured)), max(peak, peak_now)
            peer = [min(best, onednn(*shape)) for best, shape in zip(peer, SHAPES)]
    layers = [{"n": n, "k": k, "rows": rows, "millrace": ours_best, "onednn": peer_best}
              for (n, k, rows), ours_best, peer_best in zip(SHAPES, millrace, peer)]
    results = {"date": datetime.date.today().isoformat(), "torch": torch.__version__, "rounds": options.rounds, "peak": peak, "layers": layers}
    (options.results / "onednn.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
