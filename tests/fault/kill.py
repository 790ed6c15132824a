#!/usr/bin/python3
"""SIGKILL at a random instant of a real command, again and again, until it is done: nothing is lost, nothing differs.

    tests/fault/kill.py [--kills N] [--seed S]        (MILLRACE=build/millrace)

Each trial takes a command in turn (a job, its shards, merge, retry-failed, ...), kills it at random, starts it again until it
ends by itself, and compares the output with that of an uninterrupted run, dataset by dataset. After each kill every
committed part must open, and none committed before may have gone unless the output is there.
"""
import argparse
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("MILLRACE", str(ROOT / "build/millrace"))
os.environ.setdefault("GOLDEN", str(ROOT / "tests/data/golden"))

import h5py  # noqa: E402

from harness import MILLRACE, MODEL, datasets  # noqa: E402

RECORDS = 4000
PART_ROWS = 256
SHARDS = 3
LONGEST = 60  # seconds a command may take


def write_corpus(path, count, first=0):
    """Short and long texts, empty ones, 1 % that are no records."""
    chance = random.Random(1)
    words = "river stone light paper seven under green market tower glass the of and".split()
    with open(path, "w") as file:
        for i in range(first, first + count):
            text = " ".join(chance.choice(words) for _ in range(chance.choice((0, 1, 3, 8, 40))))
            file.write("not a record\n" if i % 100 == 37 else f'{{"id":"r{i}","text":"{text}"}}\n')


def contents(path):
    return datasets(path) if path.suffix == ".h5" else path.read_bytes()


class Trial:
    """One output being made, in a folder of its own."""

    def __init__(self, inputs, folder):
        self.inputs, self.folder = inputs, folder
        self.out = folder / "out.h5"

    def embed(self, *more, out=None):
        return ["embed", self.inputs / "corpus.jsonl", "-m", MODEL, "-o", out or self.out, "--max-tokens", "16", "-q",
                "--part-rows", PART_ROWS, *more]


class Job(Trial):
    def commands(self):
        return [self.embed()]


class Lines(Trial):
    def commands(self):
        self.out = self.folder / "out.jsonl"
        return [self.embed()]


class WithText(Trial):
    def commands(self):
        return [self.embed("--store-text", "--dtype", "f16", "--threads", 1)]


class Shards(Trial):
    def commands(self):
        return [*(self.embed("--shard", f"{i}/{SHARDS}") for i in range(SHARDS)), ["merge", self.out, "-q"]]


class Overwrite(Trial):
    """Another job's output, finished, is there first."""

    def commands(self):
        shutil.copy(self.inputs / "other.h5", self.out)
        return [self.embed("--overwrite")]


class RetryFailed(Trial):
    def commands(self):
        shutil.copy(self.inputs / "bad.h5", self.out)
        return [["retry-failed", self.out, "-q", "--part-rows", 16]]


class Merge(Trial):
    def commands(self):
        return [["merge", self.inputs / "bad.h5", self.inputs / "bad.h5", "-o", self.out, "-q"]]


KINDS = [Job, Lines, WithText, Shards, Overwrite, RetryFailed, Merge]


def run(command, kill_after=None):
    """Exit code, or None when it was killed."""
    process = subprocess.Popen([MILLRACE, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, text = process.communicate(timeout=LONGEST if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        _, text = process.communicate()
        if kill_after is None:
            raise SystemExit(f"{command} did not end within {LONGEST} s")
    if process.returncode == -9:
        return None
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{text.decode()}")
    return process.returncode


class Soak:
    def __init__(self, folder, seed):
        self.chance = random.Random(seed)
        self.folder, self.inputs = folder, folder / "inputs"
        self.count = collections.Counter()
        self.expected, self.seconds = {}, {}
        self.inputs.mkdir()
        write_corpus(self.inputs / "corpus.jsonl", RECORDS)
        make = Trial(self.inputs, folder)
        run(make.embed(out=self.inputs / "bad.h5"))
        run(make.embed("--limit", 500, out=self.inputs / "other.h5"))
        for kind in KINDS:
            trial = self.new(kind, "expected")
            begun = time.monotonic()
            commands = trial.commands()
            for command in commands:
                run(command)
            self.seconds[kind] = (time.monotonic() - begun) / len(commands)
            self.expected[kind] = contents(trial.out)
            shutil.rmtree(trial.folder)
        assert self.expected[Job] == self.expected[Shards] == self.expected[Overwrite] == self.expected[RetryFailed]

    def new(self, kind, name):
        folder = self.folder / name
        folder.mkdir()
        return kind(self.inputs, folder)

    def parts(self, trial):
        return set(trial.folder.glob("out.*parts/part-*.h5"))

    def check_after_kill(self, trial, before):
        """Returns the parts there are now."""
        now = self.parts(trial)
        if not trial.out.exists() and not isinstance(trial, Overwrite):
            self.count["parts lost"] += len(before - now)
        for path in [*now, trial.out]:
            try:
                if path.suffix == ".h5" and path.exists():
                    h5py.File(path).close()
            except OSError:
                self.count["unopenable files"] += 1
        return now

    def finish(self, trial, command, kills):
        """Runs the command until it ends by itself; it is killed while `kills` are left."""
        parts = self.parts(trial)
        while True:
            wait = self.chance.uniform(0, 1.1 * self.seconds[type(trial)]) if self.count["kills"] < kills else None
            if run(command, wait) is not None:
                return
            self.count["kills"] += 1
            parts = self.check_after_kill(trial, parts)

    def compare(self, trial):
        got, expected = contents(trial.out), self.expected[type(trial)]
        if isinstance(got, bytes):
            got, expected = {"lines": got}, {"lines": expected}
        for name in expected.keys() | got.keys():
            self.count["differing datasets"] += got.get(name) != expected.get(name)
        status = {name: len(value[2]) for name, value in got.items() if name == "status"}
        self.count["rows lost"] += abs(RECORDS * (2 if isinstance(trial, Merge) else 1) - status.get("status", RECORDS))
        if trial.out.suffix == ".h5":
            run(["verify", trial.out, "-q"])
        left = [path for path in trial.folder.rglob("*") if path != trial.out]
        self.count["files left behind"] += len(left)
        if left:
            print(f"{trial.folder.name} ({type(trial).__name__}) leaves {', '.join(map(str, left))}")

    def run(self, kills):
        while self.count["kills"] < kills:
            kind = KINDS[self.count["trials"] % len(KINDS)]
            trial = self.new(kind, f"trial-{self.count['trials']}")
            for command in trial.commands():
                self.finish(trial, command, kills)
            self.compare(trial)
            self.count["trials"] += 1
            shutil.rmtree(trial.folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-kill-") as folder:
        soak = Soak(pathlib.Path(folder), options.seed)
        soak.run(options.kills)
    faults = ["rows lost", "parts lost", "differing datasets", "unopenable files", "files left behind"]
    report = ", ".join(f"{soak.count[name]} {name}" for name in ["kills", "trials", *faults])
    print(f"{report}; seed {options.seed}, {time.monotonic() - begun:.0f} s")
    return any(soak.count[name] for name in faults)


if __name__ == "__main__":
    sys.exit(main())
