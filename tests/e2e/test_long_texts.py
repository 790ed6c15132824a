#!/usr/bin/env python3
"""One text of thousands of tokens among short ones: they are not kept waiting, and it costs what attention costs, not more."""
import json
import os
import re
import resource
import shutil
import unittest

from harness import GOLDEN, Case

LONG = 8000
SHORT = 300


class LongTexts(Case):
    def setUp(self):
        super().setUp()
        self.model = self.dir / "model"  # a tiny one that takes as many tokens as its big brother
        shutil.copytree(GOLDEN / "qwen3-embedding-0.6b", self.model)
        (self.model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32768}))

    def batches(self, records, *options):
        """[(thread, begin, end, tokens)] of a run; times in microseconds."""
        source = self.write_jsonl("in.jsonl", records)
        self.run_millrace("embed", source, "-m", self.model, "-o", "out.jsonl", "--overwrite", "--trace", "trace.json", *options)
        events = json.loads((self.dir / "trace.json").read_text())["traceEvents"]
        return [(e["tid"], e["ts"], e["ts"] + e["dur"], e["args"]["tokens"]) for e in events if e.get("name") == "batch" and e.get("ph") == "X"]

    def vectors(self):
        lines = (self.dir / "out.jsonl").read_text().splitlines()
        return {r["id"]: r["embedding"] for r in map(json.loads, lines)}

    def short(self):
        return [{"id": f"s{i}", "text": f"a short text, number {i}"} for i in range(SHORT)]

    def long(self, tokens=LONG):
        return {"id": "long", "text": "abc " * (tokens // 2)}

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one core: one batch at a time")
    def test_short_texts_pass_a_long_one(self):
        """Now and then a busy machine lets the other worker wait for as long as that takes: three attempts."""
        for _ in range(3):
            batches = self.batches([self.long(), *self.short()], "--threads", "2", "--batch-tokens", "256")
            long = max(batches, key=lambda b: b[3])
            self.assertGreater(long[3], 256)
            meanwhile = [b for b in batches if b[0] != long[0] and long[1] < b[1] and b[2] < long[2]]
            if meanwhile:
                return
        behind = [b for b in batches if b is not long and b[0] == long[0]]
        self.fail(f"nothing was computed beside the long text, {len(behind)} batches behind it")

    def test_a_long_text_goes_alone_and_changes_nothing(self):
        self.batches([*self.short()])
        alone = self.vectors()
        batches = self.batches([*self.short()[:10], self.long(), *self.short()[10:]], "--batch-tokens", "512")
        self.assertEqual(len([b for b in batches if b[3] > 512]), 1)
        among = self.vectors()
        self.assertEqual({k: v for k, v in among.items() if k != "long"}, alone)

    def plan(self, *options):
        return json.loads(self.run_millrace("embed", self.corpus(5), "-m", self.model, "-o", "plan.h5", "--plan", "--json", *options)[0])

    def test_fewer_workers_rather_than_smaller_batches(self):
        """Scratch is made for the longest text here, so smaller batches would gain nothing."""
        whole = self.plan("--threads", "2", "--memory-limit", "4G")
        self.assertEqual((whole["workers"], whole["max_batch_tokens"]), (2, 512))
        self.assertGreater(whole["worker_bytes"], 16 << 20)
        less = self.plan("--threads", "2", "--memory-limit", str(whole["memory_total"] - whole["worker_bytes"] // 3), "--set", "resources.memory_reserve=0")
        self.assertEqual((less["workers"], less["max_batch_tokens"]), (1, 512))

    def test_too_little_memory_for_long_texts(self):
        whole = self.plan("--threads", "1", "--memory-limit", "4G")
        job = ["embed", self.corpus(5), "-m", self.model, "-o", "out.h5", "--threads", "1", "--set", "resources.memory_reserve=0",
               "--memory-limit", str(whole["memory_total"] - whole["worker_bytes"] // 2)]
        _, stderr = self.run_millrace(*job, code=69)
        self.assertIn("texts of up to 32768", stderr)
        advice = re.search(r"--max-tokens (\d+)", stderr)[1]
        self.run_millrace(*job, "--max-tokens", advice)

    def test_a_model_without_a_limit(self):
        """Only memory limits its texts: one that is longer than a batch costs itself, not the job."""
        for file, key in [("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")]:
            settings = json.loads((self.model / file).read_text())
            settings.pop(key, None)
            (self.model / file).write_text(json.dumps(settings))
        (self.model / "sentence_bert_config.json").unlink()
        source = self.write_jsonl("in.jsonl", [{"id": "a", "text": "short"}, self.long(), {"id": "b", "text": "short"}])
        self.run_millrace("embed", source, "-m", self.model, "-o", "out.jsonl", code=3)
        a, long, b = map(json.loads, (self.dir / "out.jsonl").read_text().splitlines())
        self.assertIn("--batch-tokens", long["error"])
        self.assertEqual(a["embedding"], b["embedding"])
        self.run_millrace("embed", source, "-m", self.model, "-o", "out.jsonl", "--batch-tokens", "16384", "--overwrite")

    def test_cost_grows_no_faster_than_attention(self):
        """Twice the tokens: at most four times the time, and some for noise."""
        def seconds(tokens):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            self.batches([self.long(tokens)], "--threads", "1")
            return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

        half, whole = (min(seconds(tokens) for _ in range(3)) for tokens in (LONG, 2 * LONG))
        self.assertLess(whole, 5 * half)


if __name__ == "__main__":
    unittest.main()
