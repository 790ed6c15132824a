"""Embedding as a user meets it: right values, every record accounted for, the same bits however it is run."""
import gzip
import json
import lzma
import os
import tarfile
import unittest

import h5py
import numpy as np

from harness import GOLDEN, MODEL, Case, datasets, read_safetensors, strings


class Values(Case):
    def check_golden(self, case):
        folder = GOLDEN / case
        meta = json.loads((folder / "expect/cases.json").read_text())
        expected = read_safetensors(folder / "expect/expected.safetensors")["embedding"]
        inputs = [i for i in meta["inputs"] if not i.get("prompt")]
        path = self.write_jsonl("in.jsonl", [{"id": f"row{i['row']}", "text": i["text"]} for i in inputs])
        self.run_millrace("embed", path, "-m", folder, "-o", "out.h5", "--prompt-text", "", "--precision", "f32")
        with h5py.File(self.dir / "out.h5") as file:
            got = file["embedding"][:].astype(np.float64)
            self.assertEqual(strings(file["id"]), [f"row{i['row']}" for i in inputs])
            self.assertEqual(file["tokens"][:].tolist(), [i["n_tokens"] for i in inputs])
            self.assertEqual(file["status"][:].tolist(), [int(i["truncated"]) for i in inputs])
        for vector, i in zip(got, inputs):
            want = expected[i["row"]].astype(np.float64)
            cosine = vector @ want / np.linalg.norm(vector) / np.linalg.norm(want)
            self.assertGreaterEqual(cosine, 0.999999, i["name"])
            self.assertLessEqual(np.abs(vector - want).max(), 1e-5 * max(1.0, np.abs(want).max()), i["name"])

    def test_minilm(self):
        self.check_golden("minilm")

    def test_bge(self):
        self.check_golden("bge")

    def test_auto_is_close(self):
        """auto takes the fastest class that keeps cosine >= 0.9999 on real models; this tiny random one is held to its own bound."""
        bound = json.loads((GOLDEN / "minilm/expect/cases.json").read_text())["tolerance"]["bf16"]["cosine"]
        corpus = self.corpus(50)
        with h5py.File(self.embed(corpus)) as file, h5py.File(self.embed(corpus, "--precision", "f32", out="f32.h5")) as exact:
            self.assertIn(file.attrs["precision"], ("f32", "bf16"))
            self.assertGreaterEqual((file["embedding"][:] * exact["embedding"][:]).sum(axis=1).min(), bound)

    def test_types(self):
        corpus = self.corpus(50)
        with h5py.File(self.embed(corpus)) as file:
            full = file["embedding"][:]
        with h5py.File(self.embed(corpus, "--dtype", "f16", out="half.h5")) as file:
            self.assertEqual(file["embedding"].dtype, np.float16)
            np.testing.assert_array_equal(file["embedding"][:], full.astype(np.float16))
        with h5py.File(self.embed(corpus, "--dtype", "binary", out="binary.h5")) as file:
            np.testing.assert_array_equal(file["embedding"][:], np.packbits(full > 0, axis=1))
        with h5py.File(self.embed(corpus, "--dtype", "int8", out="int8.h5")) as file:
            self.assertEqual(file["embedding"].dtype, np.int8)
            scale = file["scale"][:][:, None]
            np.testing.assert_allclose(file["embedding"][:] * scale, full, atol=0.5001 * scale.max())

    def test_options(self):
        corpus = self.corpus(20)
        with h5py.File(self.embed(corpus)) as file:
            full = file["embedding"][:]
            np.testing.assert_allclose(np.linalg.norm(full, axis=1), 1.0, atol=1e-5)
        with h5py.File(self.embed(corpus, "--dim", "16", out="dim.h5")) as file:
            cut = full[:, :16] / np.linalg.norm(full[:, :16], axis=1, keepdims=True)
            np.testing.assert_allclose(file["embedding"][:], cut, atol=1e-5)
        with h5py.File(self.embed(corpus, "--no-normalize", out="raw.h5")) as file:
            raw = file["embedding"][:]
            self.assertGreater(np.abs(np.linalg.norm(raw, axis=1) - 1.0).max(), 1e-3)
            np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), full, atol=1e-5)
        with h5py.File(self.embed(corpus, "--max-tokens", "8", out="short.h5")) as file:
            self.assertLessEqual(file["tokens"][:].max(), 8)
            self.assertIn(1, file["status"][:])
        with h5py.File(self.embed(corpus, "--max-tokens", "8", "--no-truncate", out="strict.h5", code=3)) as file:
            self.assertIn(2, file["status"][:])
            self.assertIn("more than the 8 allowed", " ".join(strings(file["error"])))

    def test_store_text(self):
        path = self.write_jsonl("t.jsonl", [{"id": "a", "text": "grün \u0000 x"}, {"id": "b", "text": ""}])
        with h5py.File(self.embed(path, "--store-text")) as file:
            self.assertEqual(strings(file["text"]), ["grün \u0000 x", ""])


class SameBits(Case):
    def test_batches_threads_and_isa_of_one_kind(self):
        corpus = self.corpus(700)
        base = datasets(self.embed(corpus, "--threads", "1"))
        for i, options in enumerate((["--threads", "2"], ["--threads", "3", "--batch-tokens", "300"], ["--batch-tokens", "1"], ["--memory-limit", "600M"])):
            self.assertEqual(datasets(self.embed(corpus, *options, out=f"out{i}.h5")), base, options)

    def test_order_and_company_do_not_matter(self):
        corpus = self.corpus(200)
        lines = corpus.read_text().splitlines()
        backwards = self.write_jsonl("backwards.jsonl", lines[::-1])
        with h5py.File(self.embed(corpus)) as a, h5py.File(self.embed(backwards, out="b.h5")) as b:
            np.testing.assert_array_equal(a["embedding"][:].view(np.uint32), b["embedding"][:][::-1].view(np.uint32))


class Records(Case):
    def test_bad_records_get_their_row(self):
        path = self.dir / "bad.jsonl"
        path.write_bytes(b'{"id":"a","text":"fine"}\nnot json\n{"id":"c","txt":"no text"}\n{"id":"d","text":7}\n{"id":"e","text":"\xff\xfe"}\n'
                         b'{"id":"f","text":"\\ud800"}\n\n{"id":"g","text":"fine"}\n[1]\n{"id":"h","text":"last, no newline"}')
        _, stderr = self.run_millrace("embed", path, "-m", MODEL, "-o", "out.h5", code=3)
        self.assertIn("3 ok, 0 truncated, 6 failed", stderr)
        with h5py.File(self.dir / "out.h5") as file:
            status, vectors, errors = file["status"][:], file["embedding"][:], strings(file["error"])
        self.assertEqual(status.tolist(), [0, 2, 2, 2, 2, 2, 0, 2, 0])
        self.assertTrue(np.isnan(vectors[status == 2]).all())
        self.assertTrue(np.isfinite(vectors[status == 0]).all())
        self.assertTrue(all(bool(e) == (s == 2) for e, s in zip(errors, status)))
        np.testing.assert_array_equal(vectors[0], vectors[6])

    def test_policies(self):
        path = self.write_jsonl("bad.jsonl", ['{"id":"a","text":"fine"}', "nonsense", '{"id":"c","text":"fine"}'])
        _, stderr = self.run_millrace("embed", path, "-m", MODEL, "-o", "x.h5", "--on-error", "fail", code=65)
        self.assertIn("bad.jsonl:2", stderr)
        self.assertFalse((self.dir / "x.h5").exists())
        self.run_millrace("embed", path, "-m", MODEL, "-o", "y.h5", "--max-failed", "1", code=3)
        self.run_millrace("embed", path, "-m", MODEL, "-o", "z.h5", "--max-failed", "0", code=65)

    def test_source_order_and_kinds(self):
        (self.dir / "a.txt").write_text("one\ntwo\n")
        (self.dir / "b.jsonl.gz").write_bytes(gzip.compress(b'{"custom_id":"k","body":"three"}\n'))
        (self.dir / "c.ndjson.xz").write_bytes(lzma.compress(b'{"_id":4,"content":"four"}\n'))
        (self.dir / "d").mkdir()
        (self.dir / "d/x.txt").write_text("five")
        with tarfile.open(self.dir / "e.tar", "w") as tar:
            tar.add(self.dir / "d/x.txt", "../../evil.txt")
        out = self.embed("a.txt", "b.jsonl.gz", "c.ndjson.xz", "d", "e.tar", "--store-text")
        with h5py.File(out) as file:
            self.assertEqual([t.strip() for t in strings(file["text"])], ["one", "two", "three", "four", "five", "five"])
            self.assertEqual(strings(file["id"])[:4], ["a.txt#1", "a.txt#2", "k", "4"])
            self.assertEqual(file["source/shard"][:].tolist(), [0, 0, 1, 2, 3, 4])
        self.assertFalse((self.dir.parent / "evil.txt").exists())

    def test_stdin_and_stdout(self):
        lines = b'{"id":"a","text":"one"}\n{"id":"b","text":"two"}\n'
        stdout, _ = self.run_millrace("embed", "-", "-m", MODEL, "-o", "-", stdin=lines)
        rows = [json.loads(line) for line in stdout.splitlines()]
        self.assertEqual([row["id"] for row in rows], ["a", "b"])
        path = self.write_jsonl("same.jsonl", lines.decode().splitlines())
        with h5py.File(self.embed(path)) as file:
            np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], dtype=np.float32), file["embedding"][:])

    def test_empty_input_and_limit(self):
        (self.dir / "empty.jsonl").write_text("")
        _, stderr = self.run_millrace("embed", "empty.jsonl", "-m", MODEL, "-o", "out.h5")
        self.assertIn("the input holds no record", stderr)
        with h5py.File(self.dir / "out.h5") as file:
            self.assertEqual(file["embedding"].shape[0], 0)
        with h5py.File(self.embed(self.corpus(30), "--limit", "7", out="seven.h5")) as file:
            self.assertEqual(file["embedding"].shape[0], 7)

    def test_broken_archive(self):
        whole = gzip.compress(self.corpus(3000).read_bytes())
        (self.dir / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
        _, stderr = self.run_millrace("embed", "cut.jsonl.gz", "-m", MODEL, "-o", "cut.h5", code=65)
        self.assertIn("cut.jsonl.gz", stderr)
        self.assertFalse((self.dir / "cut.h5").exists())
        self.assertTrue(list((self.dir / "cut.h5.parts").glob("part-*.h5")))
        self.assertRegex(stderr, r"1,\d\d\d rows are committed in cut.h5.parts/; to make a file of them: millrace merge cut.h5.parts/part-\*.h5 -o ")
        _, stderr = self.run_millrace("merge", "cut.h5", code=75)
        self.assertIn("millrace merge cut.h5.parts/part-*.h5 -o", stderr)
        self.run_millrace("merge", *(self.dir / "cut.h5.parts").glob("part-*.h5"), "-o", "some.h5")
        self.run_millrace("verify", "some.h5")

    def test_an_input_is_never_the_output(self):
        """Not by another name either: --overwrite would remove what is to be read."""
        corpus = self.corpus(5)
        before = corpus.read_bytes()
        (self.dir / "link.jsonl").symlink_to(corpus)
        for name in ("corpus.jsonl", "./corpus.jsonl", "link.jsonl"):
            _, stderr = self.run_millrace("embed", corpus, "-m", MODEL, "-o", name, "--overwrite", code=73)
            self.assertIn(f"{name} is an input of this job", stderr)
        self.assertEqual(corpus.read_bytes(), before)

    def test_names_of_outputs(self):
        """HDF5 under the name of another format would be found out too late."""
        corpus = self.corpus(5)
        for name in ("out.csv", "out.jsonl.gz", "a.b/out.npy"):
            self.assertIn(f"{name}: an output is .h5", self.run_millrace("embed", corpus, "-m", MODEL, "-o", name, code=78)[1])
        self.embed(corpus, out="out.hdf5")
        self.run_millrace("merge", "out.hdf5", "-o", "two.npy", code=64)

    def test_a_model_needs_a_folder_and_no_home(self):
        corpus = self.corpus(5)
        for name in ("MILLRACE_HOME", "HOME", "XDG_CACHE_HOME"):
            del self.env[name]
        self.embed(corpus)
        self.assertIn("none: neither", self.run_millrace("doctor")[0])
        self.assertIn("set MILLRACE_HOME", self.run_millrace("embed", corpus, "-m", "BAAI/bge-small-en-v1.5", "-o", "x.h5", code=78)[1])
        self.assertIn("set MILLRACE_HOME", self.run_millrace("fetch", "BAAI/bge-small-en-v1.5", code=78)[1])
        self.assertIn("corpus.jsonl is a file", self.run_millrace("embed", corpus, "-m", corpus, "-o", "x.h5", code=69)[1])


class Attributes(Case):
    def test_who_what_and_when(self):
        with h5py.File(self.embed(self.corpus(5))) as file:
            attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in file.attrs.items()}
        for name in ("schema_version", "fingerprint", "model", "model_sha256", "inputs", "precision", "isa", "pooling", "normalized", "tool", "build", "created_utc", "shard"):
            self.assertIn(name, attributes)
        self.assertEqual(attributes["pooling"], "mean")
        self.assertEqual(attributes["normalized"], "true")
        self.assertIn("corpus.jsonl", attributes["inputs"])


class Cache(Case):
    def test_makes_no_difference(self):
        """Without a cache, with a new one, out of one, out of a damaged one, where none can be: the same job, the same bits."""
        path = self.corpus(20)
        cache = self.dir / "kept"
        plain = self.embed(path, "--cache", "none", out="plain.h5")
        self.assertFalse((self.dir / "cache").exists())

        def check(*options):
            out = self.embed(path, *options, "--overwrite")
            self.assertEqual(datasets(out), datasets(plain))
            with h5py.File(out) as a, h5py.File(plain) as b:
                self.assertEqual(a.attrs["model_sha256"], b.attrs["model_sha256"])

        check("--cache", cache)
        files = sorted(cache.iterdir())
        sizes = sorted(file.stat().st_size for file in files)
        self.assertEqual(len(files), 3, "the weights' digest, the packed layers, the vocabulary")
        self.assertGreater(sizes[1], 1000)
        check("--cache", cache)
        for file in files:
            raw = bytearray(file.read_bytes())
            raw[len(raw) * 3 // 4] ^= 16
            file.write_bytes(raw)
        check("--cache", cache)
        check("--cache", cache, "--cache-size", "1K")
        check("--cache", path / "below a file")
        check()
        self.assertTrue((self.dir / "cache/millrace").is_dir())

    def test_heads_are_kept_too(self):
        """The Dense layers behind an encoder: packed once, like its own."""
        texts = self.corpus(3)
        kept = lambda: sorted(file.name for file in (self.dir / "kept").iterdir())

        def embed(name, *options):
            self.run_millrace("embed", texts, "-m", GOLDEN / "dense", "-o", name, *options)
            return datasets(self.dir / name)

        plain = embed("plain.h5", "--cache", "none")
        self.assertEqual(embed("first.h5", "--cache", "kept"), plain)
        files, weights = kept(), list((GOLDEN / "dense").rglob("model.safetensors"))
        self.assertGreater(len(weights), 1)
        self.assertEqual(len(files), 2 * len(weights) + 1, "a digest and the packed layers of each, the vocabulary")
        self.assertEqual(embed("second.h5", "--cache", "kept"), plain)
        self.assertEqual(kept(), files)

    def test_sizes_are_sizes(self):
        path = self.corpus(1)
        out, err = self.run_millrace("embed", path, "-m", MODEL, "-o", "out.h5", "--cache-size", "much", code=78)
        self.assertIn('cache size "much"', err)


if __name__ == "__main__":
    os.environ.setdefault("TERM", "dumb")
    unittest.main()
