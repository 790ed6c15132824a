"""A real model under memory limits, the program's own and the kernel's: the process stays below them, and N workers cost W + N*S."""
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import unittest

from harness import MILLRACE, MODEL, TIMEOUT, Case

STORE = pathlib.Path(os.environ.get("MILLRACE_HOME") or pathlib.Path(os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share") / "millrace")
MINILM = STORE / "models/sentence-transformers/all-MiniLM-L6-v2"
MIB = 1 << 20


class ControlGroup:
    """A control group of our own with a hard memory limit: version 1 or 2, whichever this machine lets us make."""

    def __init__(self, limit):
        self.path, self.limit_file = self.make()
        if self.path:
            (self.path / self.limit_file).write_text(str(limit))

    @staticmethod
    def make():
        lines = dict(line.split(":", 2)[1:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines())
        candidates = [(pathlib.Path("/sys/fs/cgroup/memory"), lines.get("memory"), "memory.limit_in_bytes"), (pathlib.Path("/sys/fs/cgroup"), lines.get(""), "memory.max")]
        for mount, own, limit_file in candidates:
            for parent in [mount / own.lstrip("/"), mount] if own else []:
                path = parent / f"millrace-test-{os.getpid()}"
                try:
                    path.mkdir()
                except OSError:
                    continue
                if os.access(path / limit_file, os.W_OK):
                    return path, limit_file
                path.rmdir()
        return None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.path:
            self.path.rmdir()

    def join(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


def can_make_groups():
    with ControlGroup(100 * MIB) as group:
        return group.path is not None


@unittest.skipUnless((MINILM / "model.safetensors").exists(), f"all-MiniLM-L6-v2 is not in {STORE}; run ./bootstrap test, which fetches it")
class Memory(Case):
    def watch(self, *arguments, preexec_fn=None):
        """Runs the program; its exit code, what it said, and the most that was ever resident, as the kernel counted."""
        process = self.start(*arguments, preexec_fn=preexec_fn)
        stdout, stderr = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close(), process.stderr.close()
        return process.returncode, (stdout + stderr).decode(), usage.ru_maxrss * 1024

    def job(self, *options, rows=150, preexec_fn=None):
        """Plan and peak of a job that ends well."""
        corpus = self.corpus(rows)
        job = ["embed", corpus, "-m", MINILM, "-o", f"out{len(list(self.dir.iterdir()))}.h5", "--json", *options]
        code, text, _ = self.watch(*job, "--plan", preexec_fn=preexec_fn)
        self.assertEqual(code, 0, text)
        plan = json.loads(text)
        code, text, peak = self.watch(*job, preexec_fn=preexec_fn)
        self.assertEqual(code, 0, text)
        summary = json.loads(text.splitlines()[-1])
        self.assertLess(abs(summary["peak_rss"] - peak), 4 * MIB)  # what the program says of itself is true
        return plan, peak

    def test_stays_under_the_limit(self):
        for limit in ("180M", "300M", "600M", "2G"):
            plan, peak = self.job("--memory-limit", limit)
            self.assertLessEqual(plan["memory_total"], plan["memory_limit"], limit)
            self.assertLess(peak, plan["memory_limit"], limit)

    def test_a_limit_changes_the_plan(self):
        """What a job plans for when it may would not fit here; what it plans for within the limit does."""
        generous, _ = self.job("--memory-limit", "4G", "--threads", "8")
        plan, peak = self.job("--memory-limit", "180M", "--threads", "8", rows=2500)
        self.assertGreater(generous["memory_total"], plan["memory_limit"])
        self.assertLess(peak, plan["memory_limit"])

    @unittest.skipUnless(can_make_groups(), "no control group with a memory limit can be made here (it takes root)")
    def test_under_the_kernels_limit(self):
        for mib in (300, 600, 2048):
            with ControlGroup(mib * MIB) as group:
                plan, peak = self.job(preexec_fn=group.join)  # finds the limit by itself
                self.assertLessEqual(plan["memory_limit"], mib * MIB * 8 // 10)
                self.assertLess(peak, plan["memory_limit"])
                self.job("--memory-limit", f"{mib}M", preexec_fn=group.join)
        with ControlGroup(100 * MIB) as group:
            code, text, _ = self.watch("embed", self.corpus(5), "-m", MINILM, "-o", "x.h5", preexec_fn=group.join)
            self.assertEqual(code, 69, text)  # refused, not killed
            self.assertIn("does not fit", text)
            greedy = subprocess.run([sys.executable, "-c", "bytearray(200 << 20)"], preexec_fn=group.join, timeout=TIMEOUT)
            self.assertEqual(greedy.returncode, -signal.SIGKILL)  # the kernel means it

    def test_under_ulimit_v(self):
        """Address space, libraries and stacks included: enough for the job, or refused; never a crash."""
        for mib in (100, 200, 400, 800):
            limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))
            code, text, _ = self.watch("embed", self.corpus(50), "-m", MINILM, "-o", f"as{mib}.h5", "-q", "--threads", "2", preexec_fn=limit)
            self.assertEqual(code, 0 if mib >= 400 else code, text)
            self.assertIn(code, (0, 69, 70, 74), text)
            if code:
                self.assertRegex(text, "memory|does not fit")

    def test_every_allocation_may_fail(self):
        """So little address space that the plan passes and threads, caches and libraries do not all get theirs."""
        corpus = self.write_jsonl("numbers.jsonl", [{"text": f"river {i}"} for i in range(20000)])  # each a word of its own
        for mib in range(146, 156):
            limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))
            code, text, _ = self.watch("embed", corpus, "-m", MODEL, "-o", f"as{mib}.h5", "-q", "--threads", "2", "--memory-limit", "100%", preexec_fn=limit)
            self.assertIn(code, (0, 69, 70, 74), text)

    def test_a_limit_that_is_not_ours_is_named(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (100 * MIB, 100 * MIB))
        code, text, _ = self.watch("embed", self.corpus(5), "-m", MODEL, "-o", "x.h5", preexec_fn=limit)
        self.assertEqual(code, 69, text)
        self.assertNotIn("--memory-limit", text)
        self.assertIn("ulimit -v", text)

    def test_too_little_is_refused_with_what_would_do(self):
        _, stderr = self.run_millrace("embed", self.corpus(5), "-m", MINILM, "-o", "x.h5", "--memory-limit", "120M", code=69)
        advice = re.search(r"Use --memory-limit (\S+)", stderr)[1]
        self.run_millrace("embed", self.corpus(5), "-m", MINILM, "-o", "x.h5", "--memory-limit", advice)

    def test_workers_share_the_weights(self):
        peaks = {}
        for workers in (1, 4):
            plan, peaks[workers] = self.job("--threads", workers)
            self.assertEqual(plan["workers"], workers)
        each = (peaks[4] - peaks[1]) / 3
        self.assertLess(each, 1.5 * plan["worker_bytes"] + 2 * MIB)
        self.assertLess(each, plan["weights_bytes"] / 2)


if __name__ == "__main__":
    unittest.main()
