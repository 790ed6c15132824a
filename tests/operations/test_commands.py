"""The commands of docs/operations.md, run as they stand there."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MILLRACE = pathlib.Path(os.environ["MILLRACE"])
MODEL = pathlib.Path(os.environ["GOLDEN"]) / "minilm"

JOB = f"""
version: 1
job: embed
model: {MODEL}
input: {{paths: [corpus.jsonl]}}
output: {{path: out/corpus.h5}}
"""


def commands():
    """(command, exit code) of each line that begins with "$ "."""
    for block in re.findall(r"^```console\n(.*?)^```$", (ROOT / "docs/operations.md").read_text(), re.M | re.S):
        for line in block.splitlines():
            command, _, comment = line.removeprefix("$ ").partition("  #")
            code = re.match(r"\s*(\d+)\b", comment)
            yield command.strip(), int(code.group(1)) if code else 0


class Commands(unittest.TestCase):
    def test_all(self):
        with tempfile.TemporaryDirectory(prefix="millrace-operations-") as folder:
            directory = pathlib.Path(folder)
            (directory / "job.yaml").write_text(JOB)
            lines = [f'{{"id":"r{i}","text":"river stone {i % 7}"}}\n' for i in range(9000)]
            (directory / "corpus.jsonl").write_text("".join(lines))
            (directory / "mixed.jsonl").write_text("".join([*lines[:5], "not a record\n", *lines[5:10]]))
            os.mkfifo(directory / "endless")
            endless = os.open(directory / "endless", os.O_RDWR)  # somebody has it open and writes nothing
            self.addCleanup(os.close, endless)
            env = {**os.environ, "PATH": f"{MILLRACE.parent}:{os.environ['PATH']}", "HOME": folder}
            count = 0
            for command, code in commands():
                with self.subTest(command=command):
                    done = subprocess.run(["bash", "-c", command], cwd=directory, env=env, capture_output=True, text=True, timeout=120)
                    self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                    count += 1
            self.assertGreater(count, 15)


if __name__ == "__main__":
    sys.exit(unittest.main())
