"""Records bad in every way among 100,000: each is accounted for with its own reason, and the others never notice."""
import json
import os
import random
import unittest

import h5py
import numpy as np

from harness import MODEL, Case, strings

RECORDS = int(os.environ.get("MILLRACE_BAD_RECORDS", "100000"))
LONG = 64 << 20  # bytes a record may have

# What is wrong -> (line, what its reason begins with behind "file:line: "). 1 % of the records each.
KINDS = {
    "no json": (b"nope", "not JSON: "),
    "cut off": (b'{"id":"x","text":"half', "not JSON: "),
    "two objects": (b'{"text":"a"} {"text":"b"}', "not JSON: end of file expected"),
    "lone surrogate": (b'{"text":"\\ud800"}', "not JSON: invalid Unicode '\\uD800'"),
    "bad utf-8": (b'{"text":"\xff"}', "invalid UTF-8 at byte 9"),
    "array": (b"[1, 2]", "the line is an array, not an object"),
    "string": (b'"text"', "the line is a string, not an object"),
    "no text": (b'{"id":"x","title":"t"}', 'no "text" field (nor content, body, document or messages)'),
    "null text": (b'{"text":null}', 'no "text" field (nor content, body, document or messages)'),
    "number": (b'{"text":3}', '"text" is a number, not a string'),
    "object": (b'{"text":{}}', '"text" is an object, not a string'),
    "bad id": (b'{"id":1.5,"text":"t"}', 'the id "id" is a number, not a string or whole number'),
    "bad role": (b'{"messages":[{"role":"robot","content":"x"}]}', 'messages[0] has the role "robot"'),
    "no content": (b'{"messages":[{"role":"user"}]}', "messages[0] has no content"),
    "token ids": (b'{"custom_id":"x","body":{"input":[1,2]}}', '"body.input"[0] is a number, not a string'),
}


class BadRecords(Case):
    def write(self, path):
        """Good and bad lines, two of a kind that is bad by its size; -> for each record its kind, None for a good one."""
        chance = random.Random(11)
        words = "river stone light paper seven under green market tower glass".split()
        kinds = [name for name in KINDS for _ in range(RECORDS // 100)] + ["too long", "too many values"]
        kinds += ["truncated"] * (RECORDS // 100) + ["empty"] * (RECORDS // 100) + ["same id"] * (RECORDS // 100)
        kinds += [None] * (RECORDS - len(kinds))
        chance.shuffle(kinds)
        with open(path, "wb") as everything, open(self.dir / "good.jsonl", "wb") as good:
            for i, kind in enumerate(kinds):
                if kind in KINDS:
                    everything.write(KINDS[kind][0] + b"\n")
                elif kind == "too long":
                    everything.write(b'{"text":"' + b"x" * LONG + b'"}\n')
                elif kind == "too many values":
                    everything.write(b'{"text":"x","v":[' + b"1," * 1000001 + b"1]}\n")
                else:
                    text = "" if kind == "empty" else " ".join(chance.choice(words) for _ in range(40 if kind == "truncated" else chance.randint(1, 8)))
                    line = json.dumps({"id": "twin" if kind == "same id" else f"r{i}", "text": text}).encode() + b"\n"
                    everything.write(line)
                    good.write(line)
        return kinds

    def expected_reason(self, kind):
        if kind == "too long":
            return f"the line has {LONG + 11} bytes, more than the {LONG} allowed"
        return "the object has more than 1000000 values" if kind == "too many values" else KINDS[kind][1]

    def run_job(self, path, out, code):
        self.run_millrace("embed", path, "-m", MODEL, "-o", out, "--max-tokens", "16", "-q", code=code)
        return h5py.File(self.dir / out)

    def test_every_kind(self):
        kinds = self.write(self.dir / "bad.jsonl")
        process_output = self.run_millrace("embed", "bad.jsonl", "-m", MODEL, "-o", "bad.h5", "--max-tokens", "16", "--json", code=3)[1]
        summary = json.loads(process_output.splitlines()[-1])
        bad = [i for i, kind in enumerate(kinds) if kind in KINDS or kind in ("too long", "too many values")]
        self.assertEqual(summary["ok"] + summary["truncated"] + summary["failed"], RECORDS)
        self.assertEqual(summary["failed"], len(bad))
        self.assertIn(f"bad.jsonl:{bad[0] + 1}: ", summary["first_failure"])
        self.assertEqual(summary["truncated"], kinds.count("truncated"))
        with h5py.File(self.dir / "bad.h5") as file, self.run_job("good.jsonl", "good.h5", 0) as good:
            status, reasons, ids = file["status"][:], strings(file["error"]), strings(file["id"])
            self.assertEqual(file.attrs["rows"], RECORDS)
            self.assertEqual([i for i in range(RECORDS) if status[i] == 2], bad)
            self.assertEqual([i for i in range(RECORDS) if reasons[i]], bad)
            for i in bad:
                line = f"bad.jsonl:{i + 1}: "
                self.assertTrue(reasons[i].startswith(line + self.expected_reason(kinds[i])), (kinds[i], reasons[i]))
            self.assertEqual(sum(id == "twin" for id in ids), kinds.count("same id"))
            fine = status != 2
            for name in ("embedding", "status", "tokens"):
                self.assertEqual(file[name][:][fine].tobytes(), good[name][:].tobytes(), name)
            self.assertEqual([ids[i] for i in np.flatnonzero(fine)], strings(good["id"]))
            self.assertTrue(np.isnan(file["embedding"][:][~fine]).all())
        self.run_millrace("verify", "bad.h5", "good.h5")
        self.assertIn(f"{len(bad):,} failed", self.run_millrace("status", "bad.h5")[0])

    def test_the_first_failure_is_named(self):
        source = self.write_jsonl("in.jsonl", [{"id": "a\x1b[31m" + "é" * 200, "body": 1}])
        _, stderr = self.run_millrace("embed", source, "-m", MODEL, "-o", "out.h5", "--text-field", "bdy", code=3)
        self.assertRegex(stderr, r"the first that failed: a\?\[31mé+\n")  # cut at a character, without the escape

    def test_policies(self):
        self.write(self.dir / "bad.jsonl")
        self.assertIn("--on-error fail", self.run_millrace("embed", "bad.jsonl", "-m", MODEL, "-o", "fail.h5", "--on-error", "fail", code=65)[1])
        self.assertIn("more than 5% of the records have failed", self.run_millrace("embed", "bad.jsonl", "-m", MODEL, "-o", "some.h5", "--max-failed", "5%", code=65)[1])
        self.assertFalse((self.dir / "fail.h5").exists() or (self.dir / "some.h5").exists())


if __name__ == "__main__":
    unittest.main()
