#!/usr/bin/env python3
"""millrace and its peers on the same texts, cores and precision, one after the other, several times over.

Prints texts/s, tokens/s, peak memory and the cosine against float32 torch as a table; keeps it with a picture in
perf/results/. Ends with 1 when millrace's smallest cosine is below what its precision class promises (f32: 0.999999,
bf16: 0.9999, int8: 0.995).
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import environment

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# A precision class: the peers that have it, and the cosine millrace promises in it.
CLASSES = {
    "f32": (["sentence-transformers", "onnxruntime", "openvino"], 0.999999),
    "bf16": (["sentence-transformers", "openvino"], 0.9999),
    "int8": (["onnxruntime"], 0.995),
}
COMPARED = 512  # texts, evenly spaced: enough to meet every length


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=CLASSES, default="f32", help="f32 (default), bf16 or int8, for all")
    parser.add_argument("--peers", help="which, separated by commas (default: all that have the precision); \"\" for none")
    parser.add_argument("--limit", type=int, default=2000, help="texts taken from the corpus, evenly spaced (default 2000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="cores and threads for each (default 2)")
    parser.add_argument("--max-tokens", type=int, default=256, help="truncation (default 256, the model's own)")
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT / "out/debian.jsonl", help="JSON lines with \"text\" (default out/debian.jsonl)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    parser.add_argument("--model", help=f"a folder (default: where {MODEL} was fetched to)")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "perf/results", help="folder for the results")
    parser.add_argument("--check", action="store_true", help="only millrace's cosine against torch, on 512 texts; nothing is kept")
    options = parser.parse_args()
    peers, options.cosine = CLASSES[options.precision]
    options.peers = peers if options.peers is None else [name for name in options.peers.split(",") if name]
    unknown = set(options.peers) - set(peers)
    if unknown:
        parser.error(f"no {options.precision} peers {', '.join(sorted(unknown))}; there are {', '.join(peers)}")
    if options.check:
        options.peers, options.limit, options.repeat = [], COMPARED, 1
    return options


def model_folder(options):
    if options.model:
        return pathlib.Path(options.model).resolve()
    home = os.environ.get("MILLRACE_HOME") or os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "millrace")
    folder = pathlib.Path(home) / "models" / MODEL
    if not (folder / "model.safetensors").exists():
        sys.exit(f"bench: {folder} is not there; run: {options.millrace} fetch {MODEL}")
    return folder


def write_corpus(options, path):
    """Every k-th text, so that all lengths are met. Returns the count."""
    if not options.corpus.exists():
        subprocess.run([ROOT / "tools/make-corpus", "-o", options.corpus], check=True)
    lines = options.corpus.read_text(encoding="utf-8").splitlines()
    step = max(1, len(lines) / options.limit)
    chosen = [lines[int(index * step)] for index in range(min(options.limit, len(lines)))]
    with open(path, "w", encoding="utf-8") as out:
        for number, line in enumerate(chosen):
            out.write(json.dumps({"id": str(number), "text": json.loads(line)["text"]}, ensure_ascii=False) + "\n")
    return len(chosen)


def count_tokens(job):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    tokenizer.enable_truncation(job["max_tokens"])
    tokenizer.no_padding()
    texts = [json.loads(line)["text"] for line in open(job["corpus"], encoding="utf-8")]
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))


def confine(threads):
    """For the child before it starts: the first cores of those we may use, and as many threads."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def child_environment(threads):
    count = str(threads)
    return {**os.environ, "OMP_NUM_THREADS": count, "RAYON_NUM_THREADS": count, "TOKENIZERS_PARALLELISM": "true",
            "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}


def run_child(command, job):
    """stdout of a child on its cores."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment(job["threads"]),
                             preexec_fn=lambda: confine(job["threads"]))
    out, err = child.communicate()
    if child.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command[:4]))} failed ({child.returncode}):\n" + "\n".join(err.strip().splitlines()[-8:]))
    return out


def run_peer(name, job, folder):
    """What the peer measured of itself; None for "export"."""
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(job))
    out = run_child([sys.executable, HERE / "peers.py", name, job_file], job)
    return json.loads(out.strip().splitlines()[-1]) if out.strip() else None


def run_millrace(options, job, folder):
    """The whole command is timed. A small process in between measures the child's peak memory alone."""
    output = folder / "out.h5"
    command = [options.millrace, "embed", job["corpus"], "-m", job["model"], "-o", output, "--precision", job["precision"],
               "--threads", job["threads"], "--max-tokens", job["max_tokens"], "--overwrite", "-q"]
    measured = "import resource,subprocess,sys,time; s=time.monotonic(); r=subprocess.run(sys.argv[1:]).returncode; t=time.monotonic()-s; " \
               "print(t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss*1024); sys.exit(r)"
    out = run_child([sys.executable, "-c", measured, *map(str, command)], job)
    seconds, peak = out.split()[-2:]
    import h5py
    import numpy

    with h5py.File(output, "r") as file:
        if (file["status"][:] > 1).any():
            sys.exit("bench: millrace failed on some texts")
        numpy.save(job["vectors"], file["embedding"][:][job["compared"]])
    return {"seconds": float(seconds), "load_seconds": None, "peak_rss": int(peak)}


def cosines(vectors, reference):
    import numpy

    a, b = (numpy.load(path).astype(numpy.float64) for path in (vectors, reference))
    values = (a * b).sum(1) / (numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1))
    return float(values.min()), float(values.mean())


def measure(options, job, folder):
    """name -> its runs; the contenders take turns, so that a slow minute of the machine hits all."""
    runs = {}
    for turn in range(options.repeat):
        for name in ["millrace", *options.peers]:
            entry = run_millrace(options, job, folder) if name == "millrace" else run_peer(name, job, folder)
            entry["cosine_min"], entry["cosine_mean"] = cosines(job["vectors"], folder / "reference.npy")
            runs.setdefault(name, []).append(entry)
            print(f"{turn + 1}/{options.repeat} {name}: {job['texts'] / entry['seconds']:.1f} texts/s", file=sys.stderr, flush=True)
    return runs


def summarise(runs):
    by_time = sorted(runs, key=lambda run: run["seconds"])
    middle = dict(by_time[len(by_time) // 2])
    middle["seconds"] = statistics.median(run["seconds"] for run in runs)
    middle["peak_rss"] = max(run["peak_rss"] for run in runs)
    middle["cosine_min"] = min(run["cosine_min"] for run in runs)
    middle["all_seconds"] = [run["seconds"] for run in runs]
    return middle


def cpu_name():
    found = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1).strip() if found else os.uname().machine


def versions(options):
    from importlib.metadata import version

    ours = subprocess.run([options.millrace, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    names = [*options.peers, "torch"] if options.peers else ["torch"]
    return ", ".join([ours, *(f"{name} {version(name)}" for name in names)])


def main():
    options = parse_arguments()
    python = environment.make()
    if pathlib.Path(sys.executable) != python:
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    import report

    load_before = os.getloadavg()[0]
    if load_before > 0.5:  # threads that wait for each other suffer most from others' work: it does not hit all alike
        print(f"bench: the machine is busy (load {load_before:.1f}); on an idle one the figures will differ", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="millrace-bench.") as scratch:
        folder = pathlib.Path(scratch)
        count = write_corpus(options, folder / "corpus.jsonl")
        compared = min(count, COMPARED)
        job = {"corpus": str(folder / "corpus.jsonl"), "model": str(model_folder(options)), "threads": options.threads, "texts": count,
               "max_tokens": options.max_tokens, "onnx": str(folder / "model.onnx"), "onnx_fused": str(folder / "model-fused.onnx"),
               "precision": options.precision, "compared": [index * count // compared for index in range(compared)],
               "vectors": str(folder / "reference.npy")}
        run_peer("reference", job, folder)
        if {"onnxruntime", "openvino"} & set(options.peers):
            run_peer("export", job, folder)
        job["vectors"] = str(folder / "vectors.npy")
        runs = measure(options, job, folder)
        results = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "load_before": load_before, "versions": versions(options),
                   "threads": options.threads, "texts": count, "tokens": count_tokens(job), "max_tokens": options.max_tokens,
                   "precision": options.precision, "repeat": options.repeat, "compared": compared,
                   "contenders": {name: summarise(entries) for name, entries in runs.items()}}
    print(report.markdown(results))
    if not options.check:
        options.results.mkdir(parents=True, exist_ok=True)
        stem = options.results / f"{results['date']}-{re.sub(r'[^a-z0-9]+', '-', results['cpu'].lower()).strip('-')}-{options.precision}"
        stem.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        stem.with_suffix(".md").write_text(report.markdown(results))
        report.picture(results, stem.with_suffix(".png"))
        print(f"kept as {stem}.json, .md, .png", file=sys.stderr)
    smallest = results["contenders"]["millrace"]["cosine_min"]
    if not smallest >= options.cosine:
        sys.exit(f"bench: millrace's smallest cosine against torch is {smallest:.9f}, below {options.cosine}")


if __name__ == "__main__":
    main()
