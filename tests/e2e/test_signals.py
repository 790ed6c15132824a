"""Signals at any moment of a job's life: it ends soon, with a code that tells how, and the same command finishes it."""
import os
import signal
import time
import unittest

import exposition
from harness import MODEL, TIMEOUT, Case, datasets

ROWS = 1000 if os.environ.get("MILLRACE_SANITIZED") else 6000


class Signals(Case):
    def arguments(self, corpus, out):
        return ["embed", corpus, "-m", MODEL, "-o", out, "-q", "--max-tokens", "16"]

    def end(self, process, signals, delay):
        time.sleep(delay)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.002)
        begun = time.monotonic()
        process.wait(timeout=TIMEOUT)  # before a pipe to it is closed: that would end its input
        stderr = process.communicate()[1].decode()
        self.assertLess(time.monotonic() - begun, 10)
        return process.returncode, stderr

    def test_at_any_moment(self):
        corpus = self.corpus(ROWS)
        self.run_millrace(*self.arguments(corpus, "whole.h5"))
        for step in range(12):
            out, number = f"out{step}.h5", (signal.SIGTERM, signal.SIGINT)[step % 2]
            signals = [number] * (1 + step % 3 // 2)
            code, stderr = self.end(self.start(*self.arguments(corpus, out)), signals, step * 0.015)
            self.assertIn(code, (75, 0, -number), stderr)  # -number: before the job began
            self.run_millrace(*self.arguments(corpus, out))
            self.assertEqual(datasets(self.dir / out), datasets(self.dir / "whole.h5"))

    def test_what_a_stopped_job_leaves_behind(self):
        """Its metrics have the last word, and the drain is logged."""
        prom = self.dir / "stopped.prom"
        self.env["MILLRACE_LOG"] = "pool=info"
        job = self.start("embed", "-", "-m", MODEL, "-o", "piped.h5", "-q", "--metrics", prom, stdin=-1)
        self.write_and_await(job, b'{"text":"one"}\n' * 50)
        code, stderr = self.end(job, [signal.SIGTERM], 0)
        self.assertEqual(code, 75)
        self.assertRegex(stderr, r"graceful shutdown complete \(\d\.\ds, \d+ requests drained\)")
        self.assertIn("terminated: finishing what is in flight", stderr)
        families = exposition.parse(prom.read_text())
        self.assertEqual(sum(value for _, _, value in families["millrace_inputs_total"]), 50)


if __name__ == "__main__":
    unittest.main()
