"""What the end-to-end tests share: running the program, making inputs, reading outputs."""
import contextlib
import fcntl
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import h5py
import numpy as np

MILLRACE = os.environ["MILLRACE"]
GOLDEN = pathlib.Path(os.environ["GOLDEN"])
MODEL = str(GOLDEN / "minilm")  # a tiny random BERT in the real layout
TIMEOUT = 120


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    data = raw[8 + length :]
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], dtype="<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def strings(group):
    raw, at = group["bytes"][:].tobytes(), group["offsets"][:]
    return [raw[at[i] : at[i + 1]].decode() for i in range(len(at) - 1)]


def datasets(path):
    """Every dataset of a file by name, as bytes with type and shape: what must not depend on how a job was run."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: (item.dtype.str, item.shape, item[()].tobytes())}) if isinstance(item, h5py.Dataset) else None)
    return found


class Case(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-e2e-")))
        self.env = {**os.environ, "MILLRACE_HOME": str(self.dir / "home"), "HOME": str(self.dir), "XDG_CACHE_HOME": str(self.dir / "cache"), "TERM": "dumb"}

    def start(self, *arguments, **options):
        return subprocess.Popen([MILLRACE, *map(str, arguments)], env=self.env, cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def write_and_await(self, process, data):
        """Onto its standard input, until all of it has been taken: the job has begun then."""
        process.stdin.write(data)
        process.stdin.flush()
        deadline = time.monotonic() + TIMEOUT
        while struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, b"    "))[0] > 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.2)  # from there to the batch

    def run_millrace(self, *arguments, code=0, stdin=None):
        done = subprocess.run([MILLRACE, *map(str, arguments)], env=self.env, cwd=self.dir, input=stdin, capture_output=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout[-2000:].decode()}\n{done.stderr[-4000:].decode()}")
        return done.stdout.decode(), done.stderr.decode()

    def embed(self, *arguments, out="out.h5", code=0, stdin=None):
        self.run_millrace("embed", *arguments, "-m", MODEL, "-o", out, code=code, stdin=stdin)
        return self.dir / out

    def write_jsonl(self, name, records):
        path = self.dir / name
        with open(path, "w") as file:
            for record in records:
                file.write((record if isinstance(record, str) else json.dumps(record)) + "\n")
        return path

    def corpus(self, count, name="corpus.jsonl", seed=1):
        """Texts of very different lengths, some empty, some over the model's limit."""
        chance = random.Random(seed)
        words = "river stone light paper seven under green market tower glass the of and a to in".split()
        records = []
        for i in range(count):
            length = 0 if i % 97 == 0 else 400 if i % 101 == 0 else chance.randint(1, 30)
            records.append({"id": f"r{i}", "text": " ".join(chance.choice(words) for _ in range(length))})
        return self.write_jsonl(name, records)
