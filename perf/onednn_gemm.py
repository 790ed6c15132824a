#!/usr/bin/env python3
"""Linear layers in bf16 beside oneDNN's, which torch calls: one thread, the same shapes, in turns; the best of each counts.

usage: onednn_gemm.py [--rounds N] TEST_KERNELS      (a build's test_kernels; run with a python that has torch)
"""
import argparse
import re
import subprocess
import time

import torch

SHAPES = [(1152, 384), (384, 384), (1536, 384), (384, 1536), (2304, 768), (768, 768), (3072, 768), (768, 3072)]
ROWS = [16, 64, 256]
RUNS, RUN_SECONDS = 40, 0.002


def onednn(n, k, rows):
    """Best seconds of a call; x is bf16 already, which ours converts within the call."""
    x = torch.randn(rows, k).bfloat16()
    layer = torch.nn.Linear(k, n).bfloat16()
    best, calls = float("inf"), 1
    for _ in range(RUNS):
        start = time.perf_counter()
        for _ in range(calls):
            layer(x)
        best = min(best, (time.perf_counter() - start) / calls)
        calls = int(RUN_SECONDS / best) + 1
    return best


def ours(program, isa):
    """(n, k, rows) -> seconds, from one run of the kernels' own bench."""
    text = subprocess.run([program, "--bench", isa, "linear bf16"], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"bf16\s+\[(\d+), (\d+)\]\s+(\d+)\s+([\d.]+) ", text)
    return {(int(n), int(k), int(rows)): float(us) * 1e-6 for n, k, rows, us in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="TEST_KERNELS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", default="avx512bf16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    best = {}
    with torch.inference_mode():
        for _ in range(options.rounds):
            measured = ours(options.program, options.isa)
            for shape in ((n, k, rows) for n, k in SHAPES for rows in ROWS):
                a, b = best.get(shape, (float("inf"), float("inf")))
                best[shape] = (min(a, measured[shape]), min(b, onednn(*shape)))
    print("| layer [n, k] | rows | millrace, GFLOP/s | oneDNN, GFLOP/s | ratio |\n|---|---:|---:|---:|---:|")
    for (n, k, rows), (a, b) in best.items():
        flops = 2e-9 * n * k * rows
        print(f"| [{n}, {k}] | {rows} | {flops / a:.0f} | {flops / b:.0f} | {b / a:.2f} |")


if __name__ == "__main__":
    main()
