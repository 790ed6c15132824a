"""What `cmake --install` puts down: found by pkg-config and by CMake, exporting the header's functions and nothing else; the
examples, built against it, work."""
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import MODEL, TIMEOUT, Case

BUILD = os.environ["BUILD"]
CC = os.environ["CC"]
SOURCE = pathlib.Path(__file__).parents[2]
TEXTS = ["edit photographs", "play chess", "river stone under the tower"]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, **options).stdout.decode()


def numbers(line):
    return [float(number) for number in line.split()]


class Install(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="millrace-install-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.top = pathlib.Path(cls.folder.name)
        cls.prefix = cls.top / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.library = next(cls.prefix.rglob("libmillrace.so"))
        cls.archive = cls.library.with_suffix(".a")
        cls.with_pkg_config()
        cls.with_cmake()

    @classmethod
    def pkg_config(cls, *arguments):
        environment = {**os.environ, "PKG_CONFIG_PATH": str(next(cls.prefix.rglob("millrace.pc")).parent)}
        return shlex.split(run("pkg-config", *arguments, "millrace", env=environment))

    @classmethod
    def with_pkg_config(cls):
        (cls.top / "pkg-config").mkdir()
        strict = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread"]
        for name in ("embed", "pool_server"):
            run(CC, *strict, SOURCE / f"examples/{name}.c", *cls.pkg_config("--cflags", "--libs"), "-o", cls.top / "pkg-config" / name)
        libraries = [flag for flag in cls.pkg_config("--static", "--libs") if flag != "-lmillrace"]
        run(CC, *strict, SOURCE / "examples/embed.c", *cls.pkg_config("--cflags"), cls.archive, *libraries, "-o", cls.top / "pkg-config/embed_static")

    @classmethod
    def with_cmake(cls):
        run("cmake", "-S", SOURCE / "examples", "-B", cls.top / "cmake", f"-DCMAKE_PREFIX_PATH={cls.prefix}", f"-DCMAKE_C_COMPILER={CC}")
        run("cmake", "--build", cls.top / "cmake")

    def environment(self):
        return {**self.env, "LD_LIBRARY_PATH": str(self.library.parent)}

    def expected(self):
        stdin = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
        lines, _ = self.run_millrace("embed", "-", "-m", MODEL, "-o", "-", "-q", stdin=stdin)
        return [json.loads(line)["embedding"] for line in lines.splitlines()]

    def assert_same(self, got, expected):
        for one, other in zip(got, expected, strict=True):
            self.assertEqual(len(one), len(other))
            for a, b in zip(one, other):
                self.assertAlmostEqual(a, b, delta=1e-6)

    def test_embed(self):
        expected = self.expected()
        for built in ("pkg-config/embed", "pkg-config/embed_static", "cmake/embed"):
            stdin = "".join(text + "\n" for text in TEXTS).encode()
            done = subprocess.run([self.top / built, MODEL], input=stdin, capture_output=True, env=self.environment(), timeout=TIMEOUT)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assert_same([numbers(line) for line in done.stdout.decode().splitlines()], expected)
        wrong = subprocess.run([self.top / built, "no/model"], capture_output=True, env=self.environment(), timeout=TIMEOUT)
        self.assertEqual(wrong.returncode, 69)
        self.assertIn(b"no/model", wrong.stderr)

    def ask(self, path, count, expected, failures):
        """One client: `count` requests to two models in turns."""
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(TIMEOUT)
                peer.connect(path)
                with peer.makefile("rw") as stream:
                    for i in range(count):
                        stream.write(f"{i % 2} {TEXTS[i % 3]}\n")
                        stream.flush()
                        self.assert_same([numbers(stream.readline())], [expected[i % 3]])
        except Exception as failure:  # of a thread: told by the test
            failures.append(failure)

    def test_pool_server(self):
        expected, path, failures = self.expected(), str(self.dir / "socket"), []
        for built in ("pkg-config/pool_server", "cmake/pool_server"):
            server = subprocess.Popen([self.top / built, path, MODEL, MODEL + "/"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
            self.addCleanup(server.kill)
            while server.poll() is None and not os.path.exists(path):
                time.sleep(0.01)
            clients = [threading.Thread(target=self.ask, args=(path, 30, expected, failures)) for _ in range(8)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            self.assertEqual(failures, [])
            with socket.socket(socket.AF_UNIX) as peer, peer.makefile("rw") as stream:
                peer.settimeout(TIMEOUT)
                peer.connect(path)
                stream.write("7 no such model\n")
                stream.flush()
                self.assertIn("error", stream.readline())
                stream.write("".join(f"0 {TEXTS[i % 3]}\n" for i in range(30)))  # asked before the signal: answered after it
                stream.flush()
                stream.readline()
                server.send_signal(signal.SIGTERM)
                self.assertEqual(len(stream.readlines()), 29)
            metrics, log = server.communicate(timeout=TIMEOUT)
            self.assertEqual(server.returncode, 0, log)
            requests = {int(n) for n in re.findall(r"^millrace_requests_total\{.*\} (\d+)$", metrics.decode(), re.M)}
            self.assertEqual(requests, {8 * 15 + 30, 8 * 15})
            self.assertRegex(metrics.decode(), r'(?m)^millrace_memory_acquired_bytes\{use="weights"\} 0$')
            self.assertFalse(os.path.exists(path))

    def test_exports_are_the_header(self):
        header = next(self.prefix.rglob("millrace.h")).read_text()
        declared = set(re.findall(r"^MR_API\s+[^;(]*?\b(mr_\w+)\s*\(", header, re.M))
        exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", self.library).splitlines()}
        self.assertEqual(exported, declared)
        self.assertGreater(len(declared), 15)

    def test_archive_names_are_ours(self):
        listed = subprocess.run(["nm", "-g", "--defined-only", self.archive], capture_output=True, timeout=TIMEOUT).stdout.decode()
        names = {fields[2] for fields in map(str.split, listed.splitlines()) if len(fields) == 3}
        self.assertGreater(len(names), 300)
        self.assertEqual({name for name in names if not name.startswith("mr_")}, set())


if __name__ == "__main__":
    unittest.main()
