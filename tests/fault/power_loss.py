#!/usr/bin/python3
"""Lost power at any instant: what was reported as committed is there, and the same command finishes with the same result.

    tests/fault/power_loss.py [--states N | --all] [--seed S]        (MILLRACE=build/millrace SHIM=build/libfault_shim.so)

The shim records what a command does to its folder. Behind each operation the disk may hold, of what was not fsynced by
then: nothing; names without bytes; or any part of it, writes torn. Each such state is made real and the command run on it.
"""
import argparse
import collections
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

import fault

GOOD = (0, 3)
Operation = collections.namedtuple("Operation", "name inode offset path other data")
WITH_DATA = ("write", "say", "attribute")


def read_log(path):
    raw, at, operations = path.read_bytes(), 0, []
    while at < len(raw):
        first = raw.index(b"\0", at)
        second = raw.index(b"\0", first + 1)
        name, inode, offset, length, path_text = raw[at:first].decode().split(" ", 4)
        other = raw[first + 1 : second].decode()
        at = second + 2
        data = b""
        if name in WITH_DATA:
            data, at = raw[at : at + int(length)], at + int(length)
        operations.append(Operation(name, int(inode), int(offset), path_text, other, data))
    return operations


class File:
    def __init__(self):
        self.durable, self.pending = b"", []
        self.attributes, self.safe_attributes = {}, {}

    def bytes_with(self, changes):
        content = bytearray(self.durable)
        for offset, data in changes:
            if data is None:
                content[:] = content[:offset].ljust(offset, b"\0")
            else:
                content[len(content) :] = b"\0" * max(0, offset - len(content))
                content[offset : offset + len(data)] = data
        return bytes(content)

    def sync(self):
        self.durable, self.pending = self.bytes_with(self.pending), []
        self.safe_attributes = dict(self.attributes)


class Folder:
    def __init__(self):
        self.durable, self.pending = {}, []  # name -> File or Folder; changes: {name: File, Folder or None}, each atomic

    def names_with(self, changes):
        names = dict(self.durable)
        for change in changes:
            names.update(change)
        return {name: what for name, what in names.items() if what is not None}

    def sync(self):
        self.durable, self.pending = self.names_with(self.pending), []


class Disk:
    """Every file and folder below `root`: what is safe, and what is only in memory."""

    def __init__(self, root):
        self.root, self.top, self.files = root, Folder(), {}
        self.committed = {}  # path -> bytes, as the program reported
        for path in root.iterdir():  # what was there before is safe
            self.top.durable[path.name] = self.load(path)

    def load(self, path):
        made = File() if path.is_file() else Folder()
        if path.is_file():
            made.durable = path.read_bytes()
            self.files[path.stat().st_ino] = made
        else:
            made.durable = {below.name: self.load(below) for below in path.iterdir()}
        return made

    def folder_of(self, path):
        folder = self.top
        for name in pathlib.Path(path).relative_to(self.root).parts[:-1]:
            folder = folder.names_with(folder.pending)[name]
        return folder

    def find(self, path):
        if pathlib.Path(path) == self.root:
            return self.top
        folder = self.folder_of(path)
        return folder.names_with(folder.pending).get(pathlib.Path(path).name)

    def change(self, path, what):
        self.folder_of(path).pending.append({pathlib.Path(path).name: what})

    def apply(self, op):
        name = pathlib.Path(op.path).name
        if op.name == "create":
            self.files[op.inode] = File()
            self.change(op.path, self.files[op.inode])
        elif op.name == "mkdir":
            self.change(op.path, Folder())
        elif op.name == "write":
            self.files[op.inode].pending.append((op.offset, op.data))
        elif op.name == "truncate":
            self.files[op.inode].pending.append((op.offset, None))
        elif op.name == "attribute":
            self.files[op.inode].attributes[op.other] = op.data
        elif op.name == "sync":
            self.files[op.inode].sync()
        elif op.name == "syncdir":
            self.find(op.path).sync()
        elif op.name == "unlink":
            self.change(op.path, None)
        elif op.name == "rename":
            what, source, target = self.find(op.path), self.folder_of(op.path), self.folder_of(op.other)
            if source is target:
                source.pending.append({name: None, pathlib.Path(op.other).name: what})
            else:
                self.change(op.other, what)
                self.change(op.path, None)
        elif op.name == "say":
            for path in re.findall(r"committed (\S+)", op.data.decode()):
                self.committed[path] = self.find(path).bytes_with(self.find(path).pending)

    def survive(self, choose_names, choose_writes, into, folder=None):
        """Makes the folder real as the choices let it survive."""
        folder = folder or self.top
        into.mkdir(exist_ok=True)
        for name, what in folder.names_with(choose_names(folder.pending)).items():
            if isinstance(what, Folder):
                self.survive(choose_names, choose_writes, into / name, what)
                continue
            (into / name).write_bytes(what.bytes_with(choose_writes(what.pending)))
            for key, value in what.safe_attributes.items():
                fault.os.setxattr(into / name, key, value)


def survivors(chance):
    """What may have reached the disk of changes that were not fsynced: ways to choose."""

    def some(changes):
        kept = [change for change in changes if chance.random() < 0.5]
        if kept and isinstance(kept[-1], tuple) and kept[-1][1]:
            offset, data = kept[-1]
            kept[-1] = (offset, data[: chance.randrange(len(data))])  # torn
        return kept

    def nothing(changes):
        return []

    def everything(changes):
        return changes

    return {"nothing": (nothing, nothing), "names without bytes": (everything, nothing), "some of it": (some, some)}


class Replay:
    def __init__(self, folder, chance):
        self.folder, self.chance = folder / "work", chance
        self.inputs = fault.make_inputs(folder / "inputs")
        self.log, self.before = folder / "log", folder / "before"
        self.problems, self.states = [], 0

    def problem(self, text):
        self.problems.append(text)
        print(text)

    def is_whole(self, command, out, expected):
        try:
            return command.name != "retry-failed" and out.exists() and fault.contents(out) == expected
        except OSError:  # libhdf5 does not open it
            return False

    def check(self, command, disk, way, where, expected, ended):
        names, writes = survivors(self.chance)[way]
        shutil.rmtree(self.folder)
        disk.survive(names, writes, self.folder)
        self.states += 1
        out = self.folder / command.out
        whole = self.is_whole(command, out, expected)
        if ended and not whole and command.name != "retry-failed":
            self.problem(f"{where}: the output was reported as done and is not whole")
        for path, data in disk.committed.items():
            if not whole and (not pathlib.Path(path).exists() or pathlib.Path(path).read_bytes() != data):
                self.problem(f"{where}: {path} was reported as committed and is lost")
        done = fault.run(command.line(self.folder), self.folder)
        if done.returncode not in GOOD:
            self.problem(f"{where}: exit code {done.returncode}: {done.stderr}")
        elif fault.contents(out) != expected:
            self.problem(f"{where}: another result")

    def replay(self, command, states):
        self.log.unlink(missing_ok=True)
        fault.fresh(self.folder, command)
        disk = Disk(self.folder)
        done = fault.run(command.line(self.folder), self.folder, log=self.log)
        assert done.returncode in GOOD, done.stderr
        expected = fault.contents(self.folder / command.out)
        operations = read_log(self.log)
        ways = list(survivors(self.chance))
        points = [(i, way) for i in range(len(operations)) for way in ways]
        wanted = set(points if states is None else self.chance.sample(points, min(states, len(points))) + points[-len(ways) :])
        for i, op in enumerate(operations):
            disk.apply(op)
            for way in ways:
                if (i, way) in wanted:
                    self.check(command, disk, way, f"{command.name}, behind operation {i} ({op.name} {op.path}), {way} of what was not synced", expected, i == len(operations) - 1)
        return len(points)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=100, help="so many states, chosen at random")
    parser.add_argument("--all", action="store_true", help="every operation and way")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-power-") as folder:
        replay = Replay(pathlib.Path(folder), random.Random(options.seed))
        all_commands = fault.commands(replay.inputs)
        points = [replay.replay(command, None if options.all else options.states // len(all_commands)) for command in all_commands]
    print(f"{replay.states} states of {sum(points)} in {len(points)} commands, {len(replay.problems)} problems; {time.monotonic() - begun:.0f} s")
    return bool(replay.problems)


if __name__ == "__main__":
    sys.exit(main())
