"""What is written, as other programs read it; what stands in it; where it lies."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from harness import MILLRACE, MODEL, TIMEOUT, Case, datasets

ROWS = int(os.environ.get("MILLRACE_OUTPUT_ROWS", "60000"))  # several parts of 16384
ATTRIBUTES = """schema schema_version dtype dimension created_utc tool build job_settings model model_path model_sha256 inputs precision isa pooling
normalized similarity prompt max_tokens shard fingerprint job first_ordinal end_ordinal rows rows_ok rows_truncated rows_failed rows_skipped written_utc""".split()


class Formats(Case):
    def test_types_as_numpy_makes_them(self):
        corpus = self.corpus(300)
        files = {dtype: h5py.File(self.embed(corpus, "--dtype", dtype, out=f"{dtype}.h5")) for dtype in ("f32", "f16", "int8", "binary")}
        x = files["f32"]["embedding"][:]
        self.assertEqual(files["f16"]["embedding"].dtype, np.float16)
        self.assertEqual(files["f16"]["embedding"][:].tobytes(), x.astype(np.float16).tobytes())
        self.assertEqual(files["binary"]["embedding"][:].tobytes(), np.packbits(x > 0, axis=1).tobytes())
        scale = np.abs(x).max(axis=1) / np.float32(127)
        self.assertEqual(files["int8"]["scale"][:].tobytes(), scale.tobytes())
        self.assertEqual(files["int8"]["embedding"][:].tobytes(), np.rint(x / scale[:, None]).astype(np.int8).tobytes())
        for file in files.values():
            file.close()

    def test_no_plugin_is_needed(self):
        """Nothing but the filters and types of every HDF5 library since 1.6, so that MATLAB, R, Julia and h5dump read it."""
        corpus = self.corpus(300)
        for dtype in ("f32", "f16", "int8", "binary"):
            out = self.embed(corpus, "--dtype", dtype, "--store-text", out=f"{dtype}.h5")

            def check(name, item):
                if not isinstance(item, h5py.Dataset):
                    return
                filters = item.id.get_create_plist()
                numbers = {filters.get_filter(i)[0] for i in range(filters.get_nfilters())}
                self.assertLessEqual(numbers, {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}, name)
                self.assertIn(item.dtype.kind, "fiu", name)
                self.assertIn(item.dtype.byteorder, "<=|", name)

            with h5py.File(out) as file:
                file.visititems(check)
                self.assertIsNone(file["embedding"].chunks)
                self.assertGreater(file["embedding"].id.get_offset(), 0)  # it can be mapped
            if shutil.which("h5dump"):
                shown = subprocess.run(["h5dump", "-d", "/embedding", "-s", "299,0", "-c", "1,1", out], capture_output=True, check=True).stdout
                self.assertIn(b"(299,0): ", shown)

    def test_attributes_are_complete(self):
        corpus = self.corpus(20)
        with h5py.File(self.embed(corpus)) as file:
            self.assertLessEqual(set(ATTRIBUTES), set(file.attrs))
            self.assertEqual(file.attrs["inputs"], f"{hashlib.sha256(corpus.read_bytes()).hexdigest()}  {corpus}\n")
            self.assertEqual((file.attrs["rows"], file.attrs["first_ordinal"], file.attrs["end_ordinal"]), (20, 0, 20))
            (self.dir / "inputs").write_text(file.attrs["inputs"])
        subprocess.run(["sha256sum", "-c", "--quiet", "inputs"], cwd=self.dir, check=True)  # it says so in its own form

    def test_json_lines(self):
        corpus = self.write_jsonl("in.jsonl", ['{"id":"a","text":"river"}', "bad"])
        vectors = h5py.File(self.embed(corpus, code=3))["embedding"][:]
        self.embed(corpus, out="out.jsonl", code=3)
        piped, _ = self.run_millrace("embed", corpus, "-m", MODEL, "-o", "-", "-q", code=3)
        self.assertEqual((self.dir / "out.jsonl").read_text(), piped)
        summary = json.loads(self.run_millrace("embed", corpus, "-m", MODEL, "-o", "out.jsonl", "--json")[1])
        self.assertEqual((summary["resumed"], summary["resumed_failed"]), (2, 1))
        state = json.loads(self.run_millrace("status", "out.jsonl", "--json")[0])
        self.assertEqual((state["finished"], state["rows"], state["ok"], state["failed"]), (True, 2, 1, 1))
        self.assertIn("no checksums", self.run_millrace("verify", "out.jsonl", code=65)[1])
        rows = [json.loads(line) for line in piped.splitlines()]
        self.assertEqual(np.array(rows[0]["embedding"], dtype=np.float32).tobytes(), vectors[0].tobytes())
        self.assertEqual((rows[1]["status"], rows[1]["embedding"]), ("failed", None))
        self.run_millrace("embed", corpus, "-m", MODEL, "-o", "-", "--in-place-parts", code=78)


class InPlace(Case):
    def test_vectors_stay_in_their_parts(self):
        corpus = self.corpus(ROWS)
        for out, flags in (("one.h5", []), ("place.h5", ["--in-place-parts"])):
            self.run_millrace("embed", corpus, "-m", MODEL, "-o", out, "-q", "--max-tokens", "16", *flags)
        self.assertEqual(datasets(self.dir / "place.h5"), datasets(self.dir / "one.h5"))
        with h5py.File(self.dir / "place.h5") as file:
            self.assertTrue(file["embedding"].is_virtual)
        vectors = ROWS * h5py.File(self.dir / "one.h5")["embedding"].shape[1] * 4
        self.assertLess((self.dir / "place.h5").stat().st_size, (self.dir / "one.h5").stat().st_size - vectors + 100000)
        self.run_millrace("embed", corpus, "-m", MODEL, "-o", "place.h5", "-q", "--max-tokens", "16")  # done already, and stays so
        self.run_millrace("verify", "place.h5")
        for command in (["inspect", "--id", f"r{ROWS - 1}", "--json"], ["neighbors", "--id", "r5", "--json"], ["export", "--to", "npy", "-o", "-"]):
            shown = [subprocess.run([MILLRACE, command[0], out, *command[1:]], cwd=self.dir, env=self.env, capture_output=True, check=True).stdout for out in ("one.h5", "place.h5")]
            self.assertEqual(*shown)
        self.run_millrace("merge", "place.h5", "-o", "merged.h5")
        self.assertEqual(datasets(self.dir / "merged.h5"), datasets(self.dir / "one.h5"))
        shutil.move(self.dir / "place.h5.parts", self.dir / "elsewhere")
        self.assertIn("Keep the two together", self.run_millrace("verify", "place.h5", code=65)[1])
        self.run_millrace("neighbors", "place.h5", "--id", "r5", code=65)


class Progress(Case):
    def status(self, out, code):
        return json.loads(self.run_millrace("status", out, "--json", code=code)[0])

    def test_status_from_outside(self):
        corpus = self.corpus(ROWS)
        process = self.start("embed", corpus, "-m", MODEL, "-o", "out.h5", "-q", "--max-tokens", "16", "--threads", "1")
        deadline = time.monotonic() + TIMEOUT
        while not list((self.dir / "out.h5.parts").glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        running = self.status("out.h5", 75)
        self.assertTrue(running["running"] and not running["finished"])
        self.assertIn(f"process {process.pid} on ", running["holder"])
        self.assertGreaterEqual(running["rows"], 16384)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stopped = self.status("out.h5", 75)
        self.assertFalse(stopped["running"])
        self.assertGreaterEqual(stopped["rows"], running["rows"])
        self.assertEqual(stopped["rows"], stopped["ok"] + stopped["truncated"] + stopped["failed"] + stopped["skipped"])
        self.assertIn("run the same command again", self.run_millrace("status", "out.h5", code=75)[0])
        self.assertIn("sound", self.run_millrace("verify", "out.h5", code=75)[1])
        self.run_millrace("embed", corpus, "-m", MODEL, "-o", "out.h5", "-q", "--max-tokens", "16")
        done = self.status("out.h5", 0)
        self.assertEqual((done["finished"], done["rows"], done["total"]), (True, ROWS, ROWS))

    def test_inputs_that_changed_are_named(self):
        names = [self.write_jsonl(f"{letter}.jsonl", [{"id": letter, "text": "river"}]) for letter in "abc"]
        self.embed(*names)
        names[0].touch()  # another time, the same content: the same job
        self.embed(*names)
        names[1].write_text('{"id":"b","text":"stone"}\n')
        self.write_jsonl("d.jsonl", [])
        _, stderr = self.run_millrace("embed", *names, "d.jsonl", "-m", MODEL, "-o", "out.h5", "-q", code=73)
        self.assertIn(f"input {names[1]} has been changed", stderr)
        self.assertIn("input d.jsonl is new", stderr)
        self.assertNotIn("a.jsonl", stderr)
        _, stderr = self.run_millrace("retry-failed", "out.h5", code=73)
        self.assertIn(f"input {names[1]} has been changed", stderr)


if __name__ == "__main__":
    unittest.main()
