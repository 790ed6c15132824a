"""Kill it anywhere: what was committed is readable, the same command finishes, the datasets are those of an undisturbed run."""
import json
import os
import random
import resource
import signal
import subprocess
import time
import unittest

import h5py

from harness import MILLRACE, MODEL, TIMEOUT, Case, datasets

# Several parts of 16384 rows; fewer under a sanitizer, which makes the same code ten times slower.
ROWS = int(os.environ.get("MILLRACE_RESUME_ROWS", "60000"))


class Resume(Case):
    @classmethod
    def setUpClass(cls):
        cls.rounds = int(os.environ.get("MILLRACE_KILL_ROUNDS", "4"))

    def arguments(self, corpus, out):
        return ["embed", corpus, "-m", MODEL, "-o", out, "-q", "--max-tokens", "16"]

    def wait_for_part(self, process, parts, count):
        deadline = time.monotonic() + TIMEOUT
        while process.poll() is None and len(list(parts.glob("part-*.h5"))) < count and time.monotonic() < deadline:
            time.sleep(0.005)

    def check_parts(self, parts):
        for part in parts.glob("part-*.h5"):
            with h5py.File(part) as file:
                self.assertGreater(file["embedding"].shape[0], 0)

    def test_sigkill(self):
        corpus = self.corpus(ROWS)
        self.run_millrace(*self.arguments(corpus, "whole.h5"))
        whole = datasets(self.dir / "whole.h5")
        chance = random.Random(7)
        parts = self.dir / "killed.h5.parts"
        for round_number in range(self.rounds):
            process = self.start(*self.arguments(corpus, "killed.h5"))
            self.wait_for_part(process, parts, round_number + 1)
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=TIMEOUT)
            if process.returncode == 0:
                break
            self.assertFalse((self.dir / "killed.h5").exists() and parts.exists() and round_number == 0)
            self.check_parts(parts)
        self.run_millrace(*self.arguments(corpus, "killed.h5"))
        self.assertEqual(datasets(self.dir / "killed.h5"), whole)
        self.assertFalse(parts.exists())
        _, stderr = self.run_millrace(*[a for a in self.arguments(corpus, "killed.h5") if a != "-q"])
        self.assertIn("complete already", stderr)

    def test_sigterm_commits_and_exits_75(self):
        corpus = self.corpus(ROWS)
        self.run_millrace(*self.arguments(corpus, "whole.h5"))
        process = self.start(*self.arguments(corpus, "stopped.h5"))
        parts = self.dir / "stopped.h5.parts"
        self.wait_for_part(process, parts, 1)
        process.terminate()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 75)
        self.assertFalse((self.dir / "stopped.h5").exists())
        self.check_parts(parts)
        self.run_millrace(*self.arguments(corpus, "stopped.h5"))
        self.assertEqual(datasets(self.dir / "stopped.h5"), datasets(self.dir / "whole.h5"))

    def test_second_signal_stops_at_once(self):
        """Whatever the first signal has begun by then, the second one ends the process, and what was committed stays."""
        corpus = self.corpus(ROWS)
        process = self.start(*self.arguments(corpus, "twice.h5"))
        self.wait_for_part(process, self.dir / "twice.h5.parts", 1)
        process.terminate()
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        process.communicate(timeout=TIMEOUT)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(process.returncode, 75)
        self.check_parts(self.dir / "twice.h5.parts")
        self.run_millrace(*self.arguments(corpus, "twice.h5"))

    def test_failed_rows_of_an_earlier_run_count(self):
        records = ["not json", *[f'{{"id":"r{i}","text":"river {i}"}}' for i in range(ROWS)]]
        corpus = self.write_jsonl("corpus.jsonl", records)
        for out in ("bad.h5", "bad.jsonl"):
            process = self.start(*self.arguments(corpus, out))
            self.wait_for_part(process, self.dir / f"{out}.parts", 1)
            process.kill()
            process.communicate()
            summary = json.loads(self.run_millrace(*self.arguments(corpus, out), "--json", code=3)[1])
            self.assertEqual((summary["resumed_failed"], summary["failed"]), (1, 0))

    def test_stop_while_waiting_for_stdin(self):
        process = self.start("embed", "-", "-m", MODEL, "-o", "pipe.h5", "-q", stdin=subprocess.PIPE)
        self.write_and_await(process, b'{"id":"a","text":"one"}\n')
        process.terminate()
        begun = time.monotonic()
        self.assertEqual(process.wait(timeout=20), 75)
        self.assertLess(time.monotonic() - begun, 10)
        process.communicate()

    def test_shards(self):
        corpus = self.corpus(20000)
        self.run_millrace(*self.arguments(corpus, "whole.h5"))
        together = [self.start(*self.arguments(corpus, "shared.h5"), "--shard", f"{i}/3") for i in (0, 2)]
        for process in together:
            process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, 0)
        self.assertIn("4096 to 8191", self.run_millrace("merge", "shared.h5", code=75)[1])
        self.assertIn("of 20,000", self.run_millrace("status", "shared.h5", code=75)[0])
        self.env.update(SLURM_ARRAY_TASK_ID="1", SLURM_ARRAY_TASK_COUNT="2", SLURM_ARRAY_TASK_MIN="0")
        self.run_millrace(*self.arguments(corpus, "shared.h5"), "--shard", "auto")  # another count: does what is missing of its half
        self.env.update(SLURM_ARRAY_TASK_ID="0")
        _, summary = self.run_millrace(*self.arguments(corpus, "shared.h5"), "--shard", "auto", "--json")
        counts = json.loads(summary)
        self.assertEqual(counts["ok"] + counts["truncated"] + counts["resumed"], 2 * 4096 + 20000 - 4 * 4096)  # its own, not the other's
        self.run_millrace("merge", "shared.h5")
        self.run_millrace("verify", "shared.h5", "whole.h5")
        self.assertIn("finished", self.run_millrace("status", "shared.h5")[0])
        self.assertEqual(datasets(self.dir / "shared.h5"), datasets(self.dir / "whole.h5"))
        self.run_millrace("embed", corpus, "-m", MODEL, "-o", "-", "--shard", "0/2", code=78)

    def test_retry_failed(self):
        """A retry of truly bad records keeps every other row and says that they failed again."""
        corpus = self.write_jsonl("mixed.jsonl", ['{"id":"a","text":"fine"}', "broken", '{"id":"c","text":"also fine"}'])
        out = self.embed(corpus, code=3)
        before = datasets(out)
        again = ["embed", corpus, "-m", MODEL, "-o", "out.h5"]
        self.assertIn("1 of its rows failed", self.run_millrace(*again)[1])
        summary = json.loads(self.run_millrace(*again, "--json")[1])
        self.assertEqual((summary["resumed"], summary["resumed_failed"], summary["failed"]), (3, 1, 0))
        self.run_millrace("retry-failed", out, "--threads", "1", code=3)
        self.assertEqual(datasets(out), before)
        self.run_millrace("verify", out)
        self.assertFalse((self.dir / "out.h5.retry.parts").exists())

    def test_another_job_is_refused(self):
        corpus = self.corpus(50)
        self.embed(corpus)
        _, stderr = self.run_millrace("embed", corpus, "-m", MODEL, "-o", "out.h5", "--max-tokens", "9", code=73)
        self.assertIn("max_tokens", stderr)
        self.run_millrace("embed", corpus, "-m", MODEL, "-o", "out.h5", "--max-tokens", "9", "--overwrite")
        with open(corpus, "a") as file:
            file.write('{"id":"new","text":"changed since"}\n')
        _, stderr = self.run_millrace("embed", corpus, "-m", MODEL, "-o", "out.h5", "--max-tokens", "9", code=73)
        self.assertIn(f"input {corpus} has been changed", stderr)

    def test_full_disk(self):
        """A file-size limit stands in for a full disk: writing fails, nothing half-written gets the final name."""
        corpus = self.corpus(20000)

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        done = subprocess.run([MILLRACE, *map(str, self.arguments(corpus, "full.h5"))], env=self.env, cwd=self.dir, capture_output=True, timeout=TIMEOUT, preexec_fn=limit)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn(b"full.h5", done.stderr)
        self.assertFalse((self.dir / "full.h5").exists())
        self.run_millrace(*self.arguments(corpus, "full.h5"))


if __name__ == "__main__":
    unittest.main()
