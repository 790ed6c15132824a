#!/usr/bin/python3
"""A fault at the n-th operation that writes, for every n: death, a full disk, an I/O error, interruptions, short writes.

    tests/fault/sweep.py [--every K] [--faults kill,enospc,...]        (MILLRACE=build/millrace SHIM=build/libfault_shim.so)

After each the output is whole or absent, the error says what happened where, and the same command then finishes with the
datasets of an undisturbed run.
"""
import argparse
import pathlib
import sys
import tempfile
import time

import fault

GOOD = (0, 3)
HARMLESS = ("eintr", "short")
REASON = {"enospc": "No space left on device", "eio": "Input/output error"}
EXIT = {"enospc": (73, 74), "eio": (73, 74)}


class Sweep:
    def __init__(self, folder):
        self.folder, self.inputs = folder / "work", fault.make_inputs(folder / "inputs")
        self.count_file = folder / "count"
        self.problems, self.runs = [], 0

    def problem(self, text):
        self.problems.append(text)
        print(text)

    def check(self, command, where, expected):
        """The output as it is now, then after the same command again."""
        out = self.folder / command.out
        replaces = command.name == "retry-failed"
        if out.exists() and not replaces and fault.contents(out) != expected:
            self.problem(f"{where}: a half-made output has the final name")
        again = fault.run(command.line(self.folder), self.folder)
        if again.returncode not in GOOD:
            self.problem(f"{where}: cannot be finished: exit code {again.returncode}: {again.stderr}")
        elif fault.contents(out) != expected:
            self.problem(f"{where}: another result")

    def strike(self, command, kind, number, expected):
        where = f"{command.name}, {kind} at operation {number}"
        fault.fresh(self.folder, command)
        done = fault.run(command.line(self.folder), self.folder, fault=f"{kind}:{number}")
        self.runs += 1
        if kind == "kill" and done.returncode != -9:
            self.problem(f"{where}: exit code {done.returncode}")
        if kind in EXIT and done.returncode not in (*EXIT[kind], *GOOD):
            self.problem(f"{where}: exit code {done.returncode}: {done.stderr}")
        if kind in EXIT and done.returncode in EXIT[kind] and (REASON[kind] not in done.stderr or str(self.folder) not in done.stderr):
            self.problem(f"{where}: does not say what happened where: {done.stderr}")
        if kind in EXIT and done.returncode in GOOD and not (self.folder / command.out).exists():
            self.problem(f"{where}: exit code {done.returncode} without an output")
        if kind in HARMLESS and done.returncode not in GOOD:
            self.problem(f"{where}: exit code {done.returncode}: {done.stderr}")
        self.check(command, where, expected)

    def sweep(self, command, kinds, every):
        fault.fresh(self.folder, command)
        done = fault.run(command.line(self.folder), self.folder, count=self.count_file)
        assert done.returncode in GOOD, done.stderr
        expected = fault.contents(self.folder / command.out)
        operations = int(self.count_file.read_text().split()[0])
        assert operations > 20, operations
        for kind in kinds:
            numbers = [0] if kind in HARMLESS else range(hash_of(kind, command.name) % every, operations, every)
            for number in numbers:
                self.strike(command, kind, number, expected)
        return operations


def hash_of(*words):
    """So that runs of one stride do not all look at the same operations."""
    return sum(map(ord, "".join(words)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="strike at every K-th operation only")
    parser.add_argument("--faults", default="kill,enospc,eio,eintr,short")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-sweep-") as folder:
        sweep = Sweep(pathlib.Path(folder))
        operations = [sweep.sweep(command, options.faults.split(","), options.every) for command in fault.commands(sweep.inputs)]
    print(f"{sweep.runs} faults at {sum(operations)} operations of {len(operations)} commands, {len(sweep.problems)} problems; {time.monotonic() - begun:.0f} s")
    return bool(sweep.problems)


if __name__ == "__main__":
    sys.exit(main())
