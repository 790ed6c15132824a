"""Inputs as they come in the world: archives of every make, damaged, enormous or malicious. Memory stays flat.

MILLRACE_LINE_MB, MILLRACE_STREAM_MB, MILLRACE_TAR_GB: sizes of the long line, the piped tar and the tar on disk. The defaults are
for CI; 2000, 20000 and 20 are the real thing."""
import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
import threading
import unittest
import zipfile
import zlib

import h5py

from harness import MILLRACE, MODEL, Case, strings

LINE_MB = int(os.environ.get("MILLRACE_LINE_MB", "100"))
STREAM_MB = int(os.environ.get("MILLRACE_STREAM_MB", "200"))
TAR_GB = int(os.environ.get("MILLRACE_TAR_GB", "1"))
SANITIZED = bool(os.environ.get("MILLRACE_SANITIZED"))
MEMORY = 200 << 20  # of the whole process; the tiny model takes 25 MB, a record 64 MiB at most


class Input(Case):
    def run_job(self, *arguments, code=0, feed=None, out="out.h5"):
        """Runs a job, written to by feed(file) when given; the summary it prints, or None."""
        process = self.start("embed", *arguments, "-m", MODEL, "-o", out, "--json", "--max-tokens", "16", stdin=subprocess.PIPE if feed else None)
        if feed:
            try:
                feed(process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass
            process.stdin = None
        _, stderr = process.communicate(timeout=600)
        self.assertEqual(process.returncode, code, stderr.decode()[-3000:])
        self.stderr = stderr.decode()
        summary = json.loads(self.stderr.splitlines()[-1]) if code in (0, 3) else None
        if summary and not SANITIZED:
            self.assertLess(summary["peak_rss"], MEMORY)
        return summary

    def rows(self, out="out.h5"):
        with h5py.File(self.dir / out) as file:
            return strings(file["id"]), list(file["status"][:]), strings(file["error"])

    def committed_rows(self, out="out.h5"):
        count = 0
        for part in (self.dir / f"{out}.parts").glob("part-*.h5"):
            with h5py.File(part) as file:
                count += file["embedding"].shape[0]
        return count


class Names(Input):
    def test_any_bytes_a_file_system_takes(self):
        for i, name in enumerate(("new\nline.jsonl", "latin\udce9.jsonl", '"both\n\udcff.jsonl')):
            self.write_jsonl(name, [{"id": "a", "text": "river"}, "no record"])
            self.run_job(name, out=f"{i}.h5", code=3)
            self.assertEqual(self.run_millrace("embed", name, "-m", MODEL, "-o", f"{i}.h5", "--max-tokens", "16", "-q")[1], "")  # the same job
            self.run_millrace("verify", f"{i}.h5")
        self.run_millrace("retry-failed", "0.h5", code=3)


class Damaged(Input):
    def test_cut_off_gzip_gives_every_line_that_can_be_read(self):
        chance = random.Random(3)
        text = "".join(json.dumps({"id": f"r{i}", "text": " ".join(chance.choice("river stone glass tower".split()) for _ in range(9))}) + "\n" for i in range(30000))
        packed = gzip.compress(text.encode())
        for cut in (len(packed) // 3, len(packed) - 5):  # in the data; in the checksum behind it
            (self.dir / "cut.jsonl.gz").write_bytes(packed[:cut])
            readable = zlib.decompressobj(31).decompress(packed[:cut]).count(b"\n")
            self.run_job("cut.jsonl.gz", "--overwrite", code=65)
            self.assertIn("cut.jsonl.gz: damaged or cut off", self.stderr)
            self.assertEqual(self.committed_rows(), readable)
            self.assertFalse((self.dir / "out.h5").exists())
            shutil.rmtree(self.dir / "out.h5.parts")

    def test_every_compression_cut_off(self):
        text = "".join(json.dumps({"id": f"r{i}", "text": f"river {i * 7919}"}) + "\n" for i in range(20000)).encode()
        zstd = subprocess.run(["zstd", "-c"], input=text, capture_output=True).stdout if shutil.which("zstd") else None
        for name, packed in (("c.jsonl.bz2", bz2.compress(text, 1)), ("c.jsonl.xz", lzma.compress(text)), ("c.jsonl.zst", zstd)):
            if packed is None:
                continue
            (self.dir / name).write_bytes(packed[: len(packed) * 3 // 4])
            self.run_job(name, out=name + ".h5", code=65)
            self.assertIn(f"{name}: damaged or cut off", self.stderr)
            self.assertGreater(self.committed_rows(name + ".h5"), 5000)

    def test_cut_off_archive(self):
        with tarfile.open(self.dir / "whole.tar", "w") as tar:
            for i in range(2000):
                self.add(tar, f"{i:05}.txt", f"river {i}".encode())
        raw = (self.dir / "whole.tar").read_bytes()
        (self.dir / "cut.tar").write_bytes(raw[: 1024 * 1500 + 600])  # a header and a data block each
        (self.dir / "cut.tar.gz").write_bytes(gzip.compress(raw)[:-30])
        self.run_job("cut.tar", code=65)
        self.assertIn("cut.tar", self.stderr)
        self.assertEqual(self.committed_rows(), 1500)
        self.run_job("cut.tar.gz", out="gz.h5", code=65)
        self.assertIn("cut.tar.gz: damaged or cut off", self.stderr)
        self.assertEqual(self.committed_rows("gz.h5"), 2000)

    @staticmethod
    def add(tar, name, data=b"", **fields):
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        for key, value in fields.items():
            setattr(entry, key, value)
        tar.addfile(entry, io.BytesIO(data))


class Enormous(Input):
    def test_one_line_is_one_failed_record(self):
        def feed(file):
            file.write(b'{"id":"a","text":"before"}\n{"id":"b","text":"')
            for _ in range(LINE_MB):
                file.write(b"x" * (1 << 20))
            file.write(b'"}\n{"id":"c","text":"behind"}\n')

        self.run_job("-", feed=feed, code=3)
        ids, statuses, errors = self.rows()
        self.assertEqual((ids, statuses), (["a", "-#2", "c"], [0, 2, 0]))
        self.assertIn(f"the line has {(LINE_MB << 20) + 20} bytes, more than the 67108864 allowed", errors[1])

    def test_a_line_of_a_bomb(self):
        packed = zlib.compressobj(1, zlib.DEFLATED, 31)
        with open(self.dir / "bomb.jsonl.gz", "wb") as file:
            for _ in range(LINE_MB):
                file.write(packed.compress(b"x" * (1 << 20)))
            file.write(packed.flush())
        self.assertLess((self.dir / "bomb.jsonl.gz").stat().st_size, LINE_MB << 13)
        self.run_job("bomb.jsonl.gz", code=3)
        self.assertEqual(self.rows()[1], [2])

    def test_piped_tar(self):
        """Members of no use are read past; what is held is one record."""
        os.mkfifo(self.dir / "stream.tar")

        def write():
            with open(self.dir / "stream.tar", "wb") as file, tarfile.open(fileobj=file, mode="w|") as tar:
                for i in range(10):
                    Damaged.add(tar, f"{i}.txt", f"river {i}".encode())
                    entry = tarfile.TarInfo(f"{i}.bin")
                    entry.size = STREAM_MB * (1 << 20) // 10
                    tar.addfile(entry, Zeros())

        class Zeros:
            def read(self, size):
                return bytes(size)

        writer = threading.Thread(target=write)
        writer.start()
        self.run_job("stream.tar")
        writer.join()
        self.assertEqual(self.rows()[0], [str(i) for i in range(10)])

    def test_tar_of_many_gigabytes(self):
        """A file with a hole, so that it costs no disk."""
        size = TAR_GB << 30
        with open(self.dir / "large.tar", "wb") as file:
            for name, data in (("a.txt", b"before"), ("large.bin", None), ("b.txt", b"behind")):
                entry = tarfile.TarInfo(name)
                entry.size = len(data) if data else size
                file.write(entry.tobuf(tarfile.GNU_FORMAT))
                if data:
                    file.write(data.ljust(512, b"\0"))
                else:
                    file.seek(size, os.SEEK_CUR)
            file.write(bytes(1024))
        self.run_job("large.tar")
        self.assertEqual(self.rows()[0], ["a.txt", "b.txt"])


class Archives(Input):
    def gnu_tar(self, *arguments):
        subprocess.run(["tar", *map(str, arguments)], check=True, cwd=self.dir, stderr=subprocess.DEVNULL)

    def test_sparse_members(self):
        """A hole reads as zeros: a terabyte of them is one record that is too long."""
        with open(self.dir / "hole.txt", "wb") as file:
            file.write(b"x")
            file.truncate(1 << 40)
        with open(self.dir / "small.jsonl", "wb") as file:
            file.write(b'{"id":"s","text":"river"}\n')
            file.seek(1 << 20)
            file.write(b'\n{"id":"t","text":"stone"}\n')
        (self.dir / "z.txt").write_text("behind")
        for name, options in (("gnu", ["--format=gnu"]), ("pax0", ["--format=posix", "--sparse-version=0.0"]), ("pax1", ["--format=posix", "--sparse-version=1.0"])):
            self.gnu_tar("-S", *options, "-cf", f"{name}.tar", "hole.txt", "small.jsonl", "z.txt")
            self.assertLess((self.dir / f"{name}.tar").stat().st_size, 1 << 20)
            self.run_job(f"{name}.tar", code=3, out=f"{name}.h5")
            ids, statuses, errors = self.rows(f"{name}.h5")
            self.assertEqual(ids, ["hole.txt", "s", f"{name}.tar/small.jsonl#2", "t", "z.txt"])
            self.assertEqual(statuses, [2, 0, 2, 0, 0])
            self.assertIn("has more than the 67108864 bytes allowed", errors[0])

    def test_names_links_and_other_things(self):
        long = "deep/" * 30 + "name.txt"
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            name = f"odd-{form}.tar"
            with tarfile.open(self.dir / name, "w", format=form) as tar:
                Damaged.add(tar, "../../outside.txt", b"one")
                Damaged.add(tar, "/tmp/millrace-absolute.txt", b"two")
                Damaged.add(tar, long, b"three")
                Damaged.add(tar, "hard.txt", type=tarfile.LNKTYPE, linkname="../../outside.txt")
                Damaged.add(tar, "soft.txt", type=tarfile.SYMTYPE, linkname="/etc/passwd")
                Damaged.add(tar, "null.txt", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
                Damaged.add(tar, "pipe.txt", type=tarfile.FIFOTYPE)
                Damaged.add(tar, "folder.txt", type=tarfile.DIRTYPE)
                Damaged.add(tar, "caf\u00e9.txt", b"four")
            self.run_job(name, code=3, out=f"{name}.h5")
            ids, statuses, errors = self.rows(f"{name}.h5")
            self.assertEqual(ids, ["../../outside.txt", "/tmp/millrace-absolute.txt", long, "hard.txt", "soft.txt", "caf\u00e9.txt"])
            self.assertEqual(statuses, [0, 0, 0, 2, 2, 0])
            self.assertIn("is a link", errors[3])
        self.assertFalse(pathlib.Path("/tmp/millrace-absolute.txt").exists())
        self.assertFalse((self.dir.parent.parent / "outside.txt").exists())

    def test_zip(self):
        with zipfile.ZipFile(self.dir / "a.zip", "w") as archive:
            archive.writestr("../up.txt", "one", zipfile.ZIP_DEFLATED)
            archive.writestr("stored.txt", "two", zipfile.ZIP_STORED)
            archive.writestr("bomb.txt", bytes(70 << 20), zipfile.ZIP_DEFLATED)
            archive.writestr("lines.jsonl", '{"id":"x","text":"three"}\n', zipfile.ZIP_DEFLATED)
        self.run_job("a.zip", code=3)
        ids, statuses, errors = self.rows()
        self.assertEqual((ids, statuses), (["../up.txt", "stored.txt", "bomb.txt", "x"], [0, 0, 2, 0]))
        self.assertIn("bomb.txt: has more than the 67108864 bytes allowed", errors[2])

    def test_packed_again_and_again(self):
        data = b'{"id":"a","text":"river"}\n'
        for times in (1, 2, 3):
            data = gzip.compress(data)
            (self.dir / f"{times}.jsonl.gz").write_bytes(data)
        self.run_job("1.jsonl.gz", "2.jsonl.gz", out="good.h5")
        self.assertEqual(self.rows("good.h5")[0], ["a", "a"])
        self.run_job("3.jsonl.gz", code=65)
        self.assertIn("3.jsonl.gz is compressed more than twice over; unpack it first", self.stderr)

    def test_zstd_window_bomb(self):
        if not shutil.which("zstd"):
            self.skipTest("no zstd")
        zeros = subprocess.Popen(["head", "-c", str(130 << 20), "/dev/zero"], stdout=subprocess.PIPE)
        with open(self.dir / "wide.txt.zst", "wb") as file:
            subprocess.run(["zstd", "-c", "-1", "--long=28"], stdin=zeros.stdout, stdout=file, check=True)
        zeros.stdout.close()
        zeros.wait()
        self.run_job("wide.txt.zst", code=65)
        self.assertIn("takes more memory than is allowed", self.stderr)

    def test_webdataset(self):
        with tarfile.open(self.dir / "w.tar", "w") as tar:
            for i in range(3):
                Damaged.add(tar, f"shard/{i:06}.jpg", b"JPEG")
                Damaged.add(tar, f"shard/{i:06}.txt", f"caption {i}".encode())
                Damaged.add(tar, f"shard/{i:06}.json", json.dumps({"width": 3}).encode())
        self.run_job("w.tar", "--store-text")
        with h5py.File(self.dir / "out.h5") as file:
            self.assertEqual(strings(file["id"]), [f"shard/{i:06}" for i in range(3)])
            self.assertEqual(strings(file["text"]), [f"caption {i}" for i in range(3)])


class Batches(Input):
    def test_openai_batch_file(self):
        lines = [
            {"custom_id": "q1", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "river stone"}},
            {"custom_id": "q2", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": ["river stone", "glass"]}},
            {"custom_id": "q3", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "river stone"}]}},
            {"custom_id": "q4", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": [[1, 2]]}},
        ]
        self.run_job(self.write_jsonl("batch.jsonl", lines), "--store-text", code=3)
        ids, statuses, errors = self.rows()
        self.assertEqual((ids, statuses), (["q1", "q2/0", "q2/1", "q3", "q4"], [0, 0, 0, 0, 2]))
        self.assertIn('"body.input"[0] is an array, not a string', errors[4])
        with h5py.File(self.dir / "out.h5") as file:
            self.assertEqual(strings(file["text"])[3], "user: river stone")
            self.assertEqual(file["embedding"][0].tobytes(), file["embedding"][1].tobytes())

    def test_arrays_across_shards_and_kills(self):
        """Numbering does not depend on where reading begins: records of arrays fall on both sides of a shard's end."""
        chance = random.Random(5)
        lines, texts = [], []
        for i in range(6000):
            inputs = [f"river {i} {j}" for j in range(chance.randint(1, 4))]
            lines.append({"custom_id": f"q{i}", "body": {"input": inputs if len(inputs) > 1 else inputs[0]}})
            texts += inputs
        batch = self.write_jsonl("batch.jsonl", lines)
        self.run_job(batch, "--store-text", out="whole.h5")
        for shard in (1, 0):
            self.run_job(batch, "--store-text", "--shard", f"{shard}/2", out="shared.h5")
        self.run_millrace("merge", "shared.h5")
        for out in ("whole.h5", "shared.h5"):
            with h5py.File(self.dir / out) as file:
                self.assertEqual(strings(file["text"]), texts)


if __name__ == "__main__":
    unittest.main()
