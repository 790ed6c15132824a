"""tools/make-corpus on an index of our own, with an apt-get of our own in the PATH."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools/make-corpus"

INDEX = """Package: gimp
Description-md5: 1
Description-en: paints pictures
 Line one
 line two.
 .
 Second paragraph.

Package: gimp
Description-md5: 2
Description-en: an older version

Package: libgimp-dev
Description-md5: 3
Description-en: headers
 For programmers.

Package: empty
Description-md5: 4

Package: vim
Description-md5: 5
Description-en: \u00e9dite "text"
"""


class MakeCorpus(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        (self.folder / "index").write_text(INDEX, encoding="utf-8")

    def tearDown(self):
        self.scratch.cleanup()

    def fake_apt(self, lines):
        path = self.folder / "apt-get"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)

    def make(self, *options):
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        return subprocess.run([SCRIPT, "-o", self.folder / "c.jsonl", "--lists", self.folder / "lists", *options],
                              env=environment, capture_output=True, text=True)

    def records(self):
        return [json.loads(line) for line in (self.folder / "c.jsonl").read_text(encoding="utf-8").splitlines()]

    def test_everything(self):
        self.fake_apt(f"echo {self.folder}/index")
        self.assertEqual(self.make("--all").returncode, 0)
        records = self.records()
        self.assertEqual([record["id"] for record in records], ["gimp", "libgimp-dev", "vim"])
        self.assertEqual(records[0]["title"], "paints pictures")
        self.assertEqual(records[0]["text"], "paints pictures\nLine one\nline two.\n\nSecond paragraph.")
        self.assertEqual(records[2]["text"], "\u00e9dite \"text\"")

    def test_sample(self):
        self.fake_apt(f"echo {self.folder}/index")
        self.assertEqual(self.make().returncode, 0)
        self.assertEqual([record["id"] for record in self.records()], ["gimp", "vim"])  # no development files
        self.assertEqual(self.make("-n", "1").returncode, 0)
        first = self.records()
        self.assertEqual(self.make("-n", "1").returncode, 0)
        self.assertEqual(self.records(), first)

    def test_mixed(self):
        stanzas = [f"Package: p{number:02}\nDescription-en: title {number}\n body {number}\n" for number in range(24)]
        (self.folder / "index").write_text("\n".join(stanzas), encoding="utf-8")
        self.fake_apt(f"echo {self.folder}/index")
        self.assertEqual(self.make("--all", "--mixed").returncode, 0)
        texts = [record["text"] for record in self.records()]
        self.assertEqual([number for number, text in enumerate(texts) if text == f"title {number}"], [0, 1, 2, 3, 11, 12, 13, 14, 22, 23])
        self.assertEqual(texts[4], "title 4\nbody 4")
        self.assertEqual(texts[10], "\n\n".join(f"title {number}\nbody {number}" for number in range(10, 22)))
        self.assertEqual(texts[21], "\n\n".join(f"title {number}\nbody {number}" for number in range(21, 24)))

    def test_no_network(self):
        self.fake_apt('[ "$1" = indextargets ] && exit 0; echo "E: cannot resolve the mirror" >&2; exit 100')
        done = self.make()
        self.assertEqual(done.returncode, 1)
        self.assertIn("apt-get update failed: E: cannot resolve the mirror; is there a network", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertFalse((self.folder / "c.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
