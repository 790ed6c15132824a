"""What a job shows to the outside while it runs: metrics in a file and over HTTP, log lines by module and level."""
import contextlib
import os
import pty
import re
import shutil
import socket
import subprocess
import termios
import time
import unittest
import urllib.error
import urllib.request

import exposition
from harness import MILLRACE, MODEL, TIMEOUT, Case

GOOD = '# HELP a_total A.\n# TYPE a_total counter\na_total{x="1"} 1\n# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")

# Every family, so that none is dropped unnoticed: dashboards are built on them.
FAMILIES = {"requests_total", "rejected_by_breaker_total", "rejected_full_total", "timeouts_total", "inputs_total", "inputs_failed_total",
            "inputs_non_finite_total", "workers_spawned_total", "workers_evicted_total", "workers_failed_total", "requests_moved_total",
            "requests_stolen_total", "requests_dropped_total", "finished_total", "latency_seconds", "queue_depth", "pending_requests",
            "breaker_state", "workers", "memory_limit_bytes", "memory_acquired_bytes", "resident_bytes", "memory_pressure"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Terminal(Case):
    def on_terminal(self, columns, *arguments):
        """What appears on one of so many columns."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        with open(ours, "rb", buffering=0) as screen, subprocess.Popen([MILLRACE, *map(str, arguments)], env={**self.env, "TERM": "xterm"}, cwd=self.dir, stderr=theirs) as process:
            os.close(theirs)
            text = b""
            with contextlib.suppress(OSError):  # EIO: the last to write has closed it
                while read := screen.read(65536):
                    text += read
        self.assertEqual(process.returncode, 0, text)
        return text.decode()

    def test_progress(self):
        """As wide as the terminal: numbers first, then bars; and no estimate goes beyond --limit."""
        corpus = self.corpus(16000)
        job = ["embed", corpus, "-m", MODEL, "--limit", 8000, "--max-tokens", 16]
        for columns, bar in ((100, True), (50, False)):
            shown = self.on_terminal(columns, *job, "-o", f"out{columns}.h5")
            self.assertEqual("[#" in shown, bar)
            lines = re.findall(r"\x1b\[K(embed .*)", shown)
            self.assertTrue(lines)
            for line in lines:
                self.assertLess(len(line.rstrip()), columns)
                self.assertRegex(line, r"^embed +(\[[#-]+\] )?[\d,]+")
                self.assertLessEqual(int((re.search(r"/~?([\d,]+)", line) or ["", "0"])[1].replace(",", "")), 8000)
            self.assertRegex(lines[-1], "8,000/8,000")


class Observe(Case):
    def test_the_checker_can_fail(self):
        exposition.parse(GOOD)
        for old, new in (('a_total{x="1"} 1', 'a_total{x="1} 1'), ("a_total{", "b_total{"), (" counter", " gauge"), ('le="1"} 1', 'le="1"} 3'), ("h_count 2", "h_count 3"),
                         ("h_sum 3\n", ""), ("# TYPE a_total counter\n", ""), ('a_total{x="1"} 1\n', 'a_total{x="1"} 1\n' * 2), ("} 1\n", "} one\n"), ("h_count 2\n", "h_count 2")):
            self.assertIn(old, GOOD)
            with self.assertRaises((AssertionError, KeyError, ValueError), msg=new):
                exposition.parse(GOOD.replace(old, new))

    def metrics_of_a_job(self):
        path = self.dir / "millrace.prom"
        corpus = self.corpus(500)
        self.embed(corpus, "--metrics", path)
        return path

    def test_file_of_a_job(self):
        text = self.metrics_of_a_job().read_text()
        families = exposition.parse(text)
        self.assertEqual({name.removeprefix("millrace_") for name in families}, FAMILIES)
        value = lambda name: sum(v for _, _, v in families["millrace_" + name])
        self.assertEqual(value("inputs_total"), 500)
        self.assertGreaterEqual(value("requests_total"), 4)
        self.assertEqual(value("requests_total"), value("finished_total"))
        (count,) = (v for name, labels, v in families["millrace_latency_seconds"] if name.endswith("_count") and labels["model"] == MODEL)
        self.assertEqual(count, value("requests_total"))
        self.assertEqual({labels["state"] for _, labels, _ in families["millrace_workers"]}, {"spawning", "loading", "ready", "processing", "idle", "evicting", "failed"})
        self.assertEqual(value("workers_spawned_total"), value("workers_evicted_total"))
        self.assertEqual([p.name for p in self.dir.glob("millrace.prom*")], ["millrace.prom"])

    @unittest.skipUnless(PROMTOOL, "no promtool (Debian: prometheus); the checker above has run")
    def test_promtool_has_no_complaint(self):
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=self.metrics_of_a_job().read_bytes(), capture_output=True, timeout=TIMEOUT)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_http(self):
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        job = self.start("embed", "-", "-m", MODEL, "-o", "piped.h5", "-q", "--metrics-listen", str(port), stdin=subprocess.PIPE)
        self.addCleanup(job.kill)
        job.stdin.write(b'{"text":"one"}\n' * 20)
        job.stdin.flush()
        deadline, done = time.monotonic() + TIMEOUT, 0
        while done < 20 and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url + "metrics", timeout=10) as answer:
                    self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
                    families = exposition.parse(answer.read().decode())
                    done = sum(v for _, _, v in families["millrace_inputs_total"])
            except urllib.error.URLError:
                self.assertIsNone(job.poll())  # not listening yet
            time.sleep(0.02)
        self.assertEqual(done, 20)
        _, stderr = self.run_millrace("embed", "-", "-m", MODEL, "-o", "-", "--metrics-listen", f"127.0.0.1:{port}", stdin=b"", code=74)
        self.assertIn("Address already in use", stderr)
        job.communicate(timeout=TIMEOUT)
        self.assertEqual(job.returncode, 0)
        with self.assertRaises(urllib.error.URLError):
            urllib.request.urlopen(url + "metrics", timeout=1)
        self.run_millrace("embed", "-", "-m", MODEL, "-o", "-", "--metrics-listen", "example.org:80", stdin=b"", code=78)

    def log_of_a_job(self, *options, **environment):
        self.env.update(environment)
        name = f"log{len(list(self.dir.iterdir()))}.h5"
        _, stderr = self.run_millrace("embed", self.corpus(500), "-m", MODEL, "-o", name, "-q", *options)
        return [line for line in stderr.splitlines() if re.match(r"(error|warn|info|debug|trace) \w+: ", line)]

    def test_log_levels(self):
        self.assertEqual(self.log_of_a_job(), [])  # nothing to say about a job that goes well
        milestones = self.log_of_a_job(MILLRACE_LOG="pool=info")
        self.assertTrue(all(line.startswith("info pool: ") for line in milestones), milestones)
        for wanted in (r"worker 1 spawned$", r"worker 1 ready in \d+\.\d{3} s$", r"worker 1 evicted: shutdown$", r"graceful shutdown complete \(\d+\.\ds, \d+ requests drained\)$"):
            self.assertEqual(sum(bool(re.search(wanted, line)) for line in milestones), 1, wanted)
        spawned = sum("spawned" in line for line in milestones)
        self.assertEqual(len(milestones), 3 * spawned + 1)  # of 500 records and their requests, no line
        detailed = self.log_of_a_job(MILLRACE_LOG="pool=debug,io=info")
        self.assertLessEqual({line.split()[1] for line in detailed}, {"pool:", "io:"})
        self.assertEqual(self.log_of_a_job("--log", "pool=off,io=off"), [])
        self.run_millrace("embed", "x", "-m", MODEL, "-o", "y.h5", "--log", "pool=loud", code=78)


if __name__ == "__main__":
    unittest.main()
