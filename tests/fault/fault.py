"""What the fault tests share: small jobs in folders of their own, run with or without the shim (shim.c) below them."""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("MILLRACE", str(ROOT / "build/millrace"))
os.environ.setdefault("GOLDEN", str(ROOT / "tests/data/golden"))
os.environ.setdefault("SHIM", str(ROOT / "build/libfault_shim.so"))

from harness import MILLRACE, MODEL, datasets  # noqa: E402

assert pathlib.Path(os.environ["SHIM"]).exists(), "SHIM names no file: build the target fault_shim"

RECORDS = 150
PART_ROWS = 64
LONGEST = 60  # seconds a command may take


def write_corpus(path, count):
    with open(path, "w") as file:
        for i in range(count):
            file.write("not a record\n" if i % 50 == 37 else f'{{"id":"r{i}","text":"river stone {i % 7} light"}}\n')


def contents(path):
    return datasets(path) if path.suffix == ".h5" else path.read_bytes()


def run(command, folder, **shim):
    """shim: fault="enospc:3", log=FILE, count=FILE. Returns the finished process; stderr is text. Nothing waits for the disk."""
    env = {**os.environ, "MILLRACE_LOG": "io=debug", "LD_PRELOAD": os.environ["SHIM"], "SHIM_UNDER": str(folder)}
    env.update({f"SHIM_{key.upper()}": str(value) for key, value in shim.items()})
    return subprocess.run([MILLRACE, *map(str, command)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=LONGEST)


class Command:
    """A command that makes `out` in `folder`, and what else it needs there."""

    def __init__(self, name, out, arguments, prepare=lambda folder: None):
        self.name, self.out, self.arguments, self.prepare = name, out, arguments, prepare

    def line(self, folder):
        return self.arguments(folder / self.out)


def commands(inputs):
    """The ways to an output, each beginning in an empty folder."""
    job = ["embed", inputs / "corpus.jsonl", "-m", MODEL, "-q", "--max-tokens", 16, "--part-rows", PART_ROWS]

    def shards(folder):
        for i in range(2):
            run([*job, "-o", folder / "out.h5", "--shard", f"{i}/2"], folder)

    return [
        Command("job", "out.h5", lambda out: [*job, "-o", out]),
        Command("json lines", "out.jsonl", lambda out: [*job, "-o", out]),
        Command("merge of shards", "out.h5", lambda out: ["merge", out, "-q"], shards),
        Command("merge of files", "out.h5", lambda out: ["merge", inputs / "whole.h5", inputs / "whole.h5", "-o", out, "-q"]),
        Command("retry-failed", "out.h5", lambda out: ["retry-failed", out, "-q"], lambda folder: shutil.copy(inputs / "whole.h5", folder / "out.h5")),
    ]


def make_inputs(folder):
    folder.mkdir()
    write_corpus(folder / "corpus.jsonl", RECORDS)
    run(["embed", folder / "corpus.jsonl", "-m", MODEL, "-q", "--max-tokens", 16, "-o", folder / "whole.h5"], folder)
    return folder


def fresh(folder, command):
    """An emptied folder, prepared for the command."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command.prepare(folder)
    return folder
