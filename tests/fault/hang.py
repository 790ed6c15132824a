#!/usr/bin/python3
"""A stage that hangs, or whose thread is gone, ends the job soon, naming the stage; then the same command finishes it.

    tests/fault/hang.py        (MILLRACE=build/millrace of a test build: src/core/fault.h)
"""
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import fault

LIMIT = 2  # seconds without a sign of life
WITHIN = 10 + 5 * ("asan" in fault.MILLRACE or "tsan" in fault.MILLRACE)
STAGES = {"read": "reading the input", "prepare": "preparing records", "embed": "computing", "write": "writing the output", "join": "writing the output"}
PASSES = {"read": 1500, "prepare": 1500, "embed": 40, "write": 1500, "join": 3}  # where it happens
RECORDS = 3000


class Hang(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="millrace-hang-")
        self.addCleanup(temporary.cleanup)
        self.dir = pathlib.Path(temporary.name)
        fault.write_corpus(self.dir / "corpus.jsonl", RECORDS)
        fault.run(self.command("whole.h5"), self.dir / "elsewhere")
        self.whole = fault.datasets(self.dir / "whole.h5")

    def command(self, out):
        return ["embed", self.dir / "corpus.jsonl", "-m", fault.MODEL, "-o", self.dir / out, "-q", "--part-rows", 256, "--batch-tokens", 256,
                "--stall-timeout", f"{LIMIT}s", "--set", "pool.shutdown_timeout=2s"]

    def start(self, wish, out):
        env = {**fault.os.environ, "MILLRACE_FAULT": wish}
        return subprocess.Popen([fault.MILLRACE, *map(str, self.command(out))], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def end(self, process, within=WITHIN):
        begun = time.monotonic()
        try:
            _, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            self.fail("it hangs")
        self.assertLess(time.monotonic() - begun, within, stderr)
        return stderr

    def finish(self, out):
        done = fault.run(self.command(out), self.dir / "elsewhere")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(fault.datasets(self.dir / out), self.whole)

    def test_every_stage(self):
        cases = [(stage, kind) for stage in STAGES for kind in ("stall", "exit")]
        started = [self.start(f"{stage}:{kind}:{PASSES[stage]}", f"{stage}-{kind}.h5") for stage, kind in cases]
        for (stage, kind), process in zip(cases, started):
            with self.subTest(stage=stage, kind=kind):
                out = f"{stage}-{kind}.h5"
                stderr = self.end(process)
                self.assertEqual(process.returncode, 70, stderr)
                self.assertIn(f"{out}: no sign of life for {LIMIT}s while {STAGES[stage]}", stderr)
                self.assertFalse((self.dir / out).exists())
                self.assertTrue(list((self.dir / f"{out}.parts").glob("part-*.h5")))
                self.finish(out)

    def test_a_stop_does_not_wait_for_what_hangs(self):
        for stage in ("read", "write"):
            with self.subTest(stage=stage):
                process = self.start(f"{stage}:stall:{PASSES[stage]}", f"{stage}.h5")
                while not list((self.dir / f"{stage}.h5.parts").glob("part-*.h5")) and process.poll() is None:
                    time.sleep(0.01)
                process.terminate()
                stderr = self.end(process)
                self.assertIn(process.returncode, (70, 75), stderr)
                self.finish(f"{stage}.h5")


if __name__ == "__main__":
    unittest.main()
