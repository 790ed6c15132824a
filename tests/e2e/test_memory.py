"""A real model under memory limits: the process stays below them, and N workers cost W + N*S."""
import json
import os
import pathlib
import unittest

from harness import MILLRACE, Case

STORE = pathlib.Path(os.environ.get("MILLRACE_HOME") or pathlib.Path(os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share") / "millrace")
MINILM = STORE / "models/sentence-transformers/all-MiniLM-L6-v2"
MIB = 1 << 20


@unittest.skipUnless((MINILM / "model.safetensors").exists(), f"all-MiniLM-L6-v2 is not in {STORE}; run ./bootstrap test, which fetches it")
class Memory(Case):
    def job(self, *options, code=0):
        corpus = self.corpus(150)
        out = f"out{len(list(self.dir.iterdir()))}.h5"
        plan = json.loads(self.run_millrace("embed", corpus, "-m", MINILM, "-o", out, "--plan", "--json", *options, code=code)[0] or "{}")
        if code:
            return plan, None
        summary = json.loads(self.run_millrace("embed", corpus, "-m", MINILM, "-o", out, "--json", *options)[1].splitlines()[-1])
        return plan, summary

    def test_stays_under_the_limit(self):
        for limit in ("200M", "300M", "600M", "2G"):
            plan, summary = self.job("--memory-limit", limit)
            self.assertLessEqual(plan["memory_total"], plan["memory_limit"], limit)
            self.assertLess(summary["peak_rss"], plan["memory_limit"], limit)

    def test_too_little_is_refused_with_what_would_do(self):
        _, stderr = self.run_millrace("embed", self.corpus(5), "-m", MINILM, "-o", "x.h5", "--memory-limit", "120M", code=69)
        advice = stderr.split("Use --memory-limit ")[1].split()[0]
        self.run_millrace("embed", self.corpus(5), "-m", MINILM, "-o", "x.h5", "--memory-limit", advice)

    def test_workers_share_the_weights(self):
        peaks = {}
        for workers in (1, 4):
            plan, summary = self.job("--threads", workers)
            self.assertEqual(plan["workers"], workers)
            peaks[workers] = summary["peak_rss"]
        each = (peaks[4] - peaks[1]) / 3
        self.assertLess(each, 1.5 * plan["worker_bytes"] + 2 * MIB)
        self.assertLess(each, plan["weights_bytes"] / 2)


if __name__ == "__main__":
    unittest.main()
