#!/usr/bin/env python3
"""From process start to the first vector: whole processes, timed from outside, in turns, files in the page cache.

Per contender the time until the vector's line arrives, until the process has ended, and its largest resident set; medians.
Ends with 1 when a millrace that knows its model (the second run and later ones) takes longer than --limit.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXT = "A first text, to see how long it takes."


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=40, help="runs of each millrace (default 40)")
    parser.add_argument("--peer-repeat", type=int, default=5, help="runs of sentence-transformers (default 5; 0: leave it out)")
    parser.add_argument("--precision", choices=["f32", "bf16", "int8"], help="default: the machine's own choice")
    parser.add_argument("--model", default=MODEL, help=f"key or folder (default {MODEL})")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="folder with millrace and libmillrace.so (default build)")
    parser.add_argument("--python", type=pathlib.Path, help="a python with sentence-transformers (default: the one of perf/peers, made if need be)")
    parser.add_argument("--limit", type=float, metavar="MS", help="milliseconds the median may take (default: no limit)")
    parser.add_argument("--json", action="store_true", help="every single run, as JSON")
    return parser.parse_args()


def peer_python(options):
    if options.python:
        return options.python
    sys.path.insert(0, str(ROOT / "perf/peers"))
    import environment

    return environment.make()


def peer_model(options):
    """A folder, for one who does not know our keys."""
    if pathlib.Path(options.model).is_dir():
        return options.model
    data = os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share"
    return str(pathlib.Path(os.environ.get("MILLRACE_HOME") or pathlib.Path(data) / "millrace") / "models" / options.model)


def contenders(options, scratch):
    """name -> (command, environment, runs)"""
    text = scratch / "text.txt"
    text.write_text(TEXT + "\n")
    library = scratch / "first_vector"
    subprocess.run(["cc", "-O2", "-o", library, HERE / "first_vector.c", f"-I{ROOT / 'src'}", f"-L{options.build}", "-lmillrace",
                    f"-Wl,-rpath,{options.build.resolve()}"], check=True)
    precision = options.precision or "auto"
    warm = {**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")}
    fresh = {**os.environ, "XDG_CACHE_HOME": str(scratch / "none")}
    embed = [options.build / "millrace", "embed", text, "-m", options.model, "-o", "-", "-q", "--precision", precision]
    found = {
        "millrace embed": (embed, warm, options.repeat),
        "millrace embed, model never seen": (embed, fresh, options.repeat),
        "libmillrace": ([library, options.model, TEXT, precision], warm, options.repeat),
        "libmillrace, model never seen": ([library, options.model, TEXT, precision], fresh, options.repeat),
    }
    if options.peer_repeat:
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}
        found["sentence-transformers"] = ([peer_python(options), HERE / "first_vector.py", peer_model(options), TEXT, precision], offline,
                                          options.peer_repeat)
    return found


def run_once(command, environment):
    """Milliseconds to the first line and to the end, and the peak resident set in bytes."""
    begin = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    line = child.stdout.readline()
    first = time.perf_counter()
    child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    end = time.perf_counter()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0 or not line:
        sys.exit(f"bench: {command[0]} failed ({child.returncode}): {child.stderr.read().decode()[-500:]}")
    return {"first_ms": 1000 * (first - begin), "end_ms": 1000 * (end - begin), "peak_rss": usage.ru_maxrss * 1024}


def measure(options, scratch):
    """name -> runs. The contenders take turns; the first turn warms the page cache and is not counted."""
    runs = {}
    todo = contenders(options, scratch)
    for turn in range(1 + max(repeat for _, _, repeat in todo.values())):
        for name, (command, environment, repeat) in todo.items():
            if turn > repeat:
                continue
            shutil.rmtree(scratch / "none", ignore_errors=True)
            run = run_once(command, environment)
            if turn > 0:
                runs.setdefault(name, []).append(run)
    return runs


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="millrace-coldstart.") as folder:
        runs = measure(options, pathlib.Path(folder))
    if options.json:
        print(json.dumps({"load_average": os.getloadavg()[0], "runs": runs}, indent=1))
    else:
        print("| | first vector, ms | best | whole process, ms | peak RSS, MiB | runs |\n|---|---:|---:|---:|---:|---:|")
        for name, entries in runs.items():
            first, end, peak = (statistics.median(entry[key] for entry in entries) for key in ("first_ms", "end_ms", "peak_rss"))
            best = min(entry["first_ms"] for entry in entries)
            print(f"| {name} | {first:.0f} | {best:.0f} | {end:.0f} | {peak / 2**20:.0f} | {len(entries)} |")
    for name in ("millrace embed", "libmillrace"):
        median = statistics.median(run["first_ms"] for run in runs[name])
        if options.limit and median > options.limit:
            sys.exit(f"bench: {name} takes {median:.0f} ms to the first vector, more than {options.limit:.0f}")


if __name__ == "__main__":
    main()
