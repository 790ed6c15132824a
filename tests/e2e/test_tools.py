"""The other commands, help, errors and exit codes."""
import json
import pathlib
import re
import shutil
import unittest

import h5py
import numpy as np

from harness import GOLDEN, MODEL, Case, strings

COMMANDS = "embed run plan tokenize neighbors inspect status verify merge retry-failed export models fetch doctor".split()


class Help(Case):
    def test_every_command_explains_itself(self):
        overview, _ = self.run_millrace("--help")
        for command in COMMANDS:
            self.assertIn(f"  {command} ", overview)
            text, _ = self.run_millrace(command, "--help")
            self.assertIn(f"usage: millrace {command}", text)
            self.assertEqual(self.run_millrace("help", command)[0], text)
        self.assertIn("millrace 0.", self.run_millrace("--version")[0])

    def test_usage_errors(self):
        self.assertIn("did you mean embed", self.run_millrace("embde", code=64)[1])
        self.assertIn("did you mean --model", self.run_millrace("embed", "--modle", "x", code=64)[1])
        self.run_millrace(code=64)
        self.assertIn("needs a value", self.run_millrace("embed", "--dim", code=64)[1])
        self.assertIn("--dim", self.run_millrace("embed", "x", "-m", MODEL, "-o", "y.h5", "--dim", "-1", code=64)[1])
        self.assertIn("no input", self.run_millrace("embed", "-m", MODEL, "-o", "y.h5", code=64)[1])
        self.assertIn("no output", self.run_millrace("embed", "x", "-m", MODEL, code=64)[1])
        self.assertIn("absent.jsonl", self.run_millrace("embed", "absent.jsonl", "-m", MODEL, "-o", "y.h5", code=66)[1])
        self.assertIn("did you mean", self.run_millrace("embed", self.corpus(1), "-m", "sentence-transformers/all-MiniLM-L6-v3", "-o", "y.h5", code=69)[1])
        self.assertIn("millrace fetch", self.run_millrace("embed", self.corpus(1), "-m", "sentence-transformers/all-MiniLM-L6-v2", "-o", "y.h5", code=69)[1])

    def test_memory_refused(self):
        _, stderr = self.run_millrace("embed", self.corpus(5), "-m", MODEL, "-o", "y.h5", "--memory-limit", "20M", code=69)
        self.assertIn("Use --memory-limit", stderr)


class Jobs(Case):
    def test_trace(self):
        corpus = self.corpus(30)
        self.assertIn("cannot create nowhere/t.json", self.run_millrace("embed", corpus, "-m", MODEL, "-o", "x.h5", "--trace", "nowhere/t.json", code=73)[1])
        self.run_millrace("embed", corpus, "-m", MODEL, "-o", "x.h5", "--trace", "t.json")
        events = json.loads((self.dir / "t.json").read_text())["traceEvents"]
        names = {e["name"] for e in events}
        self.assertLessEqual({"read", "tokenize", "batch", "layer", "attention", "feed-forward", "write"}, names)
        self.assertIn("worker 0", [e["args"]["name"] for e in events if e["name"] == "thread_name"])
        self.assertEqual(sum(e["name"] == "read" for e in events), 30)

    def test_metrics(self):
        self.run_millrace("embed", self.corpus(30), "-m", MODEL, "-o", "x.h5", "--metrics", "m.prom")
        text = (self.dir / "m.prom").read_text()
        self.assertRegex(text, r'millrace_inputs_total\{[^}]*\} 30')
        self.run_millrace("embed", self.corpus(30), "-m", MODEL, "-o", "y.h5", "--metrics", "no/such/dir/m.prom", code=73)

    def test_yaml(self):
        corpus = self.corpus(30)
        job = self.dir / "job.yaml"
        job.write_text(f"version: 1\njob: embed\nmodel: {MODEL}\ninput: {{paths: [{corpus}]}}\noutput: {{path: a.h5}}\n")
        self.run_millrace("run", job)
        self.run_millrace("run", job, "--set", "output.path=b.h5", "--dim", "8")
        with h5py.File(self.dir / "b.h5") as file:
            self.assertEqual(file["embedding"].shape, (30, 8))
        plan, _ = self.run_millrace("plan", job)
        self.assertIn("limit", plan)
        self.assertEqual(json.loads(self.run_millrace("plan", job, "--json")[0])["dimension"], h5py.File(self.dir / "a.h5")["embedding"].shape[1])
        self.assertEqual(json.loads(self.run_millrace("run", job, "--set", "output.path=c.h5", "--json")[1])["ok"] > 0, True)
        job.write_text(job.read_text() + "embeding: {dim: 3}\n")
        _, stderr = self.run_millrace("run", job, code=78)
        self.assertIn("job.yaml:6:1: unknown key \"embeding\"", stderr)


class Reading(Case):
    def test_neighbors_inspect_export(self):
        texts = ["alpha beta", "gamma delta", "alpha beta gamma", "zeta", "river stone"]
        out = self.embed(self.write_jsonl("in.jsonl", [{"id": f"t{i}", "text": t} for i, t in enumerate(texts)]), "--store-text")
        with h5py.File(out) as file:
            vectors = file["embedding"][:].astype(np.float64)
        found, _ = self.run_millrace("neighbors", out, "river stone", "-k", "2", "--json")
        rows = [json.loads(line) for line in found.splitlines()]
        self.assertEqual((len(rows), rows[0]["id"]), (2, "t4"))
        self.assertAlmostEqual(rows[0]["score"], 1.0, places=5)
        found, _ = self.run_millrace("neighbors", out, "--id", "t0", "--json")
        rows = [json.loads(line) for line in found.splitlines()]
        order = [i for i in np.argsort(-(vectors @ vectors[0]), kind="stable") if i != 0]
        self.assertEqual([row["row"] for row in rows], order)
        self.assertIn("river stone", self.run_millrace("neighbors", out, "river stone", "-k", "1")[0])
        self.run_millrace("neighbors", out, "--id", "nobody", code=66)
        self.assertIn("model_sha256", self.run_millrace("inspect", out)[0])
        row = json.loads(self.run_millrace("inspect", out, "--id", "t3", "--json")[0])
        np.testing.assert_array_equal(np.array(row["embedding"], dtype=np.float32), vectors[3].astype(np.float32))
        self.run_millrace("inspect", out, "--row", "5", code=66)
        (self.dir / "junk.h5").write_bytes(b"junk")
        self.run_millrace("inspect", "junk.h5", code=65)
        self.run_millrace("export", out, "--to", "npy", "-o", "v.npy")
        np.testing.assert_array_equal(np.load(self.dir / "v.npy"), vectors.astype(np.float32))
        lines, _ = self.run_millrace("export", out, "--to", "jsonl", "-o", "-")
        rows = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual([r["id"] for r in rows], [f"t{i}" for i in range(5)])
        np.testing.assert_array_equal(np.array([r["embedding"] for r in rows], dtype=np.float32), vectors.astype(np.float32))

    def test_neighbors_as_the_model_compares(self):
        """The score is what config_sentence_transformers.json names; vectors are not normalised, so that they differ."""
        model = self.dir / "model"
        shutil.copytree(GOLDEN / "jina", model)
        settings = json.loads((model / "config_sentence_transformers.json").read_text())
        source = self.write_jsonl("in.jsonl", [{"id": str(i), "text": "alpha beta gamma " * i} for i in range(6)])
        unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
        scores = {"cosine": lambda x, q: unit(x) @ unit(q), "dot": lambda x, q: x @ q, "euclidean": lambda x, q: -np.linalg.norm(x - q, axis=1),
                  "manhattan": lambda x, q: -np.abs(x - q).sum(axis=1)}
        for name, score in scores.items():
            (model / "config_sentence_transformers.json").write_text(json.dumps({**settings, "similarity_fn_name": name}))
            self.run_millrace("embed", source, "-m", model, "-o", f"{name}.h5")
            with h5py.File(self.dir / f"{name}.h5") as file:
                vectors = file["embedding"][:].astype(np.float64)
                self.assertEqual(file.attrs["similarity"], name)
            expected = score(vectors, vectors[2])
            rows = [json.loads(line) for line in self.run_millrace("neighbors", f"{name}.h5", "--id", "2", "--json")[0].splitlines()]
            self.assertEqual([row["row"] for row in rows], [i for i in np.argsort(-expected, kind="stable") if i != 2])
            np.testing.assert_allclose([row["score"] for row in rows], expected[[row["row"] for row in rows]], rtol=1e-5)

    def test_tokenize_there_and_back(self):
        meta = json.loads((GOLDEN / "minilm/expect/cases.json").read_text())
        inputs = [i for i in meta["inputs"] if not i["truncated"]]
        path = self.write_jsonl("in.jsonl", [{"id": i["name"], "text": i["text"]} for i in inputs])
        lines, _ = self.run_millrace("tokenize", path, "-m", MODEL)
        self.assertEqual([json.loads(line)["ids"] for line in lines.splitlines()], [i["input_ids"] for i in inputs])
        ids = self.write_jsonl("ids.jsonl", lines.splitlines())
        back, _ = self.run_millrace("tokenize", "--decode", "--skip-special-tokens", ids, "-m", MODEL)
        self.assertEqual(len(back.splitlines()), len(inputs))
        self.run_millrace("tokenize", "-", "-m", MODEL, stdin=b"{}\n", code=3)

    def test_tokenize_says_where_tokens_come_from(self):
        path = self.dir / "odd.jsonl"
        path.write_bytes('{"id":"a","text":"Hello, W\u00f6rld!"}\n'.encode() + b'{"id":"b","text":"bad \xff"}\n{"id":"c","text":"half \\ud83d"}\n')
        text = "Hello, W\u00f6rld!".encode()
        lines, _ = self.run_millrace("tokenize", path, "-m", MODEL, "--offsets", "--pieces", code=3)
        rows = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual([rows[0]["pieces"][0], rows[0]["pieces"][-1]], ["[CLS]", "[SEP]"])
        self.assertEqual([rows[0]["offsets"][0], rows[0]["offsets"][-1]], [[0, 0], [0, 0]])
        self.assertEqual(b"".join(text[a:b] for a, b in rows[0]["offsets"]).decode(), "Hello,W\u00f6rld!")
        self.assertIn("invalid UTF-8 at byte 22", rows[1]["error"])
        self.assertIn("error", rows[2])
        lines, _ = self.run_millrace("tokenize", path, "-m", MODEL, "--invalid-utf8", "replace")
        rows = [json.loads(line) for line in lines.splitlines()]
        clean, _ = self.run_millrace("tokenize", "-", "-m", MODEL, stdin=b'{"text":"bad"}\n{"text":"half"}\n')
        self.assertEqual([row["ids"] for row in rows[1:]], [json.loads(line)["ids"] for line in clean.splitlines()])  # BERT drops U+FFFD
        self.run_millrace("embed", path, "-m", MODEL, "-o", "odd.h5", code=3)
        self.run_millrace("embed", path, "-m", MODEL, "-o", "repaired.h5", "--invalid-utf8", "replace")

    def test_tokenize_chats(self):
        folder = self.dir / "chatty"
        folder.mkdir()
        for name in ("tokenizer.json", "vocab.txt"):
            source = pathlib.Path(MODEL) / name
            if source.exists():
                (folder / name).write_bytes(source.read_bytes())
        (folder / "tokenizer_config.json").write_text('{"bos_token": "[CLS]"}')
        conversation = b'{"id":7,"messages":[{"role":"user","content":"Hi"}]}\n{"messages":[{"role":5}]}\n'
        self.run_millrace("tokenize", "--chat", "-", "-m", folder, stdin=conversation, code=69)
        (folder / "chat_template.jinja").write_text("{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}")
        lines, _ = self.run_millrace("tokenize", "--chat", "--pieces", "-", "-m", folder, stdin=conversation, code=3)
        rows = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual((rows[0]["id"], rows[0]["text"]), ("7", "[CLS]user: Hi"))
        self.assertEqual(rows[0]["pieces"][:2].count("[CLS]"), 1)  # the template wrote it, so it is not added again
        self.assertIn("messages[0]", rows[1]["error"])

    def test_prompts_the_catalogue_knows(self):
        """A model whose own files name no prompt, as the e5 family's."""
        home = self.dir / "home"
        (home / "catalogue").mkdir(parents=True)
        (home / "models/org").mkdir(parents=True)
        (home / "models/org/tiny").symlink_to(MODEL)
        (home / "catalogue/tiny.yaml").write_text(
            "key: org/tiny\ncapability: text_embedding\narchitecture: bert\nlicence: MIT\nmemory: 10M\n"
            "prompts:\n  - {name: query, text: 'query: '}\nhub: {repository: org/tiny, revision: abc}\nfiles:\n  - path: config.json\n")
        self.write_jsonl("plain.jsonl", [{"id": "a", "text": "light"}])
        self.write_jsonl("prefixed.jsonl", [{"id": "a", "text": "query: light"}])
        vectors = []
        for source, options in (("plain.jsonl", ["--prompt", "query"]), ("prefixed.jsonl", [])):
            out = self.run_millrace("embed", source, "-m", "org/tiny", "-o", "-", *options)[0]
            vectors.append(json.loads(out)["embedding"])
        self.assertEqual(*vectors)
        self.assertIn('query: "query: "', self.run_millrace("models", "org/tiny")[0])
        entry = home / "catalogue/tiny.yaml"
        for memory, fits in (("10M", "yes"), ("900T\nmemory_int8: 10M", "int8"), ("900T", "no")):
            entry.write_text(re.sub("memory: .*\n(memory_int8.*\n)?", f"memory: {memory}\n", entry.read_text()))
            self.assertEqual(json.loads(self.run_millrace("models", "org/tiny", "--json")[0])["fits"], fits)
            self.assertRegex(self.run_millrace("models", "org/tiny")[0], rf"fits +{fits}\n")
        self.run_millrace("embed", "plain.jsonl", "-m", "org/tiny", "-o", "-", "--prompt", "passage", code=78)

    def test_nothing_a_terminal_would_obey_is_printed(self):
        """Ids and texts are whoever's who made the corpus. What is printed for programs stays as it is."""
        lines = self.write_jsonl("in.jsonl", [{"id": "a\x1b]0;title\x07", "text": "river \x1b[2J \u009b2J \u00e9\u4e2d"}])
        self.run_millrace("embed", lines, "-m", MODEL, "-o", "out.h5", "--store-text")
        for command in (["inspect", "out.h5", "--row", "0"], ["neighbors", "out.h5", "river"]):
            shown = self.run_millrace(*command)[0]
            self.assertIn("a?]0;title?", shown)
            self.assertIn("river ?[2J ?2J \u00e9\u4e2d", shown)
            self.assertFalse(re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown))
        self.assertEqual(json.loads(self.run_millrace("inspect", "out.h5", "--row", "0", "--json")[0])["id"], "a\x1b]0;title\x07")

    def test_what_is_no_output_is_told_with_the_reason(self):
        whole = self.embed(self.corpus(50)).read_bytes()
        lines = self.write_jsonl("lines.jsonl", [{"id": "a", "text": "light"}])
        (self.dir / "cut.h5").write_bytes(whole[: len(whole) // 2])
        (self.dir / "junk.h5").write_bytes(bytes(5000))
        (self.dir / "folder.h5").mkdir()
        for name, reason in (("cut.h5", "truncated"), ("junk.h5", "signature"), ("folder.h5", "is a directory"), (lines, "signature")):
            self.assertIn("no checksums" if name == lines else reason, self.run_millrace("verify", name, code=65)[1])
            for command in (["inspect"], ["neighbors", "--id", "r1"], ["export", "--to", "npy", "-o", "x.npy"]):
                self.assertIn(reason, self.run_millrace(*command, name, code=65)[1], command)
        self.assertIn("does not say", self.run_millrace("merge", lines, code=73)[1])
        self.run_millrace("embed", lines, "-m", MODEL, "-o", "out.jsonl")
        self.run_millrace("merge", "out.jsonl")
        self.assertIn("no failed rows", self.run_millrace("retry-failed", "out.h5")[1])
        self.assertIn("run --settings", self.run_millrace("embed", lines, "-m", MODEL, "-o", "x.h5", "--set", "nonsense=1", code=64)[1])
        self.assertIn("SLURM_ARRAY_TASK_ID", self.run_millrace("embed", lines, "-m", MODEL, "-o", "x.h5", "--shard", "auto", code=78)[1])

    def test_models_and_doctor(self):
        listed = json.loads(self.run_millrace("models", "--json")[0])
        self.assertIn("sentence-transformers/all-MiniLM-L6-v2", [m["key"] for m in listed])
        self.assertIn("get it: millrace fetch", self.run_millrace("models", "sentence-transformers/all-MiniLM-L6-v2")[0])
        self.run_millrace("models", "nobody/nothing", code=69)
        self.assertGreaterEqual(json.loads(self.run_millrace("doctor", "--json")[0])["cores"], 1)
        self.assertIn("kernels", self.run_millrace("doctor")[0])


if __name__ == "__main__":
    unittest.main()
