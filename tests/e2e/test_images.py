"""Images to vectors as a user runs it: folders and webdataset tars, bad files, queries in words and pictures, thumbnails."""
import functools
import http.server
import io
import json
import shutil
import tarfile
import threading
import unittest
import zlib

import h5py
import numpy as np

from harness import GOLDEN, Case, datasets, read_safetensors, strings

DATA = GOLDEN.parent
CLIP = DATA / "vision" / "clip-legacy"  # a tiny random CLIP in the real layout
FILES = DATA / "images" / "files"
CASES = json.loads((DATA / "images" / "cases.json").read_text())


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Images(Case):
    def embed_images(self, *inputs, out="out.h5", code=0, options=()):
        self.run_millrace("embed", *inputs, "-m", CLIP, "-o", out, *options, code=code)
        return self.dir / out

    def photos(self):
        folder = self.dir / "photos"
        shutil.copytree(CLIP / "expect" / "images", folder)
        return folder

    def test_vectors_are_the_references(self):
        expected = read_safetensors(CLIP / "expect" / "expected.safetensors")["image_embeds_normalized"]
        photos = self.photos()
        self.assertRegex(self.run_millrace("embed", photos, "-m", CLIP, "-o", "out.h5", "--plan")[0], "input +5 files, ")
        path = self.embed_images(photos, options=["--precision", "f32"])
        with h5py.File(path) as file:
            np.testing.assert_allclose(file["embedding"][:], expected, atol=1e-5)
            self.assertEqual(strings(file["id"]), ["img0.jpg", "img1.png", "img2.webp", "img3.jpg", "img4.png"])
            self.assertEqual(file.attrs["image_size"], "224x224")
            self.assertEqual(file.attrs["normalized"], "true")
            self.assertTrue(all(w > 0 for w in file["width"][:]) and all(h > 0 for h in file["height"][:]))

    def test_a_model_of_the_catalogue_is_fetched_and_embeds(self):
        key = "openai/clip-vit-base-patch16"
        known = {model["key"]: model for model in json.loads(self.run_millrace("models", "--json")[0])}[key]
        self.assertEqual((known["capability"], known["architecture"], known["dimension"]), ("image_embedding", "clip", 512))
        (self.dir / "hub" / key / "resolve").mkdir(parents=True)
        (self.dir / "hub" / key / "resolve/5ef227a78de3f75873f373246dac80def63b0003").symlink_to(CLIP)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=self.dir / "hub"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.env["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
        self.run_millrace("fetch", key)
        expected = read_safetensors(CLIP / "expect" / "expected.safetensors")["image_embeds_normalized"]
        self.run_millrace("embed", self.photos(), "-m", key, "-o", "out.h5", "--precision", "f32")
        with h5py.File(self.dir / "out.h5") as file:
            np.testing.assert_allclose(file["embedding"][:], expected, atol=1e-5)

    def test_a_model_without_words(self):
        model = DATA / "vision" / "dinov2"
        self.run_millrace("embed", self.photos(), "-m", model, "-o", "out.h5")
        self.assertIn("img1.png", self.run_millrace("neighbors", "out.h5", "--image", CLIP / "expect/images/img1.png", "-k", "1")[0])
        self.assertIn("it reads no texts", self.run_millrace("neighbors", "out.h5", "a red bicycle", code=69)[1])

    def test_bad_images_are_failed_rows_and_cost_nobody(self):
        path = self.embed_images(FILES, code=3)
        alone = self.embed_images(FILES / "jpeg_420.jpg", out="alone.h5")
        with h5py.File(path) as file, h5py.File(alone) as one:
            ids, errors, status = strings(file["id"]), strings(file["error"]), file["status"][:]
            required = {image["file"]: image["required"] for image in CASES["images"] if not image["file"].endswith((".bin", ".tif"))}
            self.assertEqual(set(ids), set(required))
            for name, error, state in zip(ids, errors, status):
                self.assertIn(state, {"ok": (0,), "fail": (2,)}.get(required[name], (0, 2)), (name, error))
                self.assertEqual(bool(error), state == 2, name)
            at = ids.index("jpeg_420.jpg")
            self.assertEqual(file["embedding"][at].tobytes(), one["embedding"][0].tobytes())
            self.assertEqual((file["width"][at], file["height"][at]), (96, 72))
            self.assertTrue(np.isnan(file["embedding"][ids.index("jpeg_cut_half.jpg")]).all())

    def test_a_webdataset_gives_captions(self):
        with tarfile.open(self.dir / "set.tar", "w") as tar:
            for i, image in enumerate(sorted((CLIP / "expect" / "images").iterdir())):
                for suffix, data in ((image.suffix, image.read_bytes()), (".txt", f"caption {i}".encode())):
                    member = tarfile.TarInfo(f"{i:06}{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        from_tar = self.embed_images("set.tar", options=["--store-text"])
        from_folder = self.embed_images(self.photos(), out="folder.h5")
        with h5py.File(from_tar) as file, h5py.File(from_folder) as folder:
            self.assertEqual(strings(file["caption"]), [f"caption {i}" for i in range(5)])
            self.assertEqual(strings(file["id"]), [f"{i:06}" for i in range(5)])
            self.assertEqual(file["embedding"][:].tobytes(), folder["embedding"][:].tobytes())

    def test_bits_do_not_depend_on_how_it_runs(self):
        folder = self.photos()
        whole = datasets(self.embed_images(folder))
        for i, options in enumerate((["--threads", "1"], ["--batch-tokens", "50"], ["--memory-limit", "300M"], ["--part-rows", "2"])):
            self.assertEqual(datasets(self.embed_images(folder, out=f"{i}.h5", options=options)), whole, options)
        for shard in range(2):
            self.run_millrace("embed", folder, "-m", CLIP, "-o", "sharded.h5", "--shard", f"{shard}/2", "--part-rows", "2")
        self.run_millrace("merge", "sharded.h5")
        self.assertEqual(datasets(self.dir / "sharded.h5"), whole)

    def test_words_and_pictures_find_pictures(self):
        folder = self.photos()
        out = self.embed_images(folder)
        text, _ = self.run_millrace("neighbors", out, "a red bicycle", "-k", "3", "--json")
        self.assertEqual(len(text.splitlines()), 3)
        (self.dir / "empty.jpg").touch()
        self.assertIn("empty.jpg: the file is empty", self.run_millrace("neighbors", out, "--image", "empty.jpg", code=65)[1])
        _, stderr = self.run_millrace("neighbors", out, "--id", "img1.png", "--thumbnails", "nowhere/sheet.png", code=73)
        self.assertIn("nowhere/sheet.png: No such file", stderr)
        picture, _ = self.run_millrace("neighbors", out, "--image", folder / "img2.webp", "-k", "2", "--json", "--thumbnails", "sheet.png")
        best = json.loads(picture.splitlines()[0])
        self.assertEqual(best["id"], "img2.webp")
        self.assertGreater(best["score"], 0.9999)
        self.assertTrue((self.dir / "sheet.png").read_bytes().startswith(b"\x89PNG"))
        (folder / "img2.webp").unlink()  # found, but gone: the sheet has a hole and says so
        _, said = self.run_millrace("neighbors", out, "--id", "img1.png", "-k", "4", "--thumbnails", "holes.png")
        self.assertIn("no thumbnail of row", said)

    def test_the_same_model_embeds_texts(self):
        texts = self.write_jsonl("texts.jsonl", [{"text": case["text"]} for case in json.loads((CLIP / "expect" / "cases.json").read_text())["texts"]])
        expected = read_safetensors(CLIP / "expect" / "expected.safetensors")["text_embeds_normalized"]
        with h5py.File(self.embed_images(texts, options=["--precision", "f32"])) as file:
            np.testing.assert_allclose(file["embedding"][:], expected, atol=1e-5)

    def test_what_makes_no_sense_is_refused(self):
        folder = self.photos()
        for option, value, word in (("--dim", "8", "dim"), ("--pooling", "mean", "pooling"), ("--prompt-text", "x", "prompt")):
            _, said = self.run_millrace("embed", folder, "-m", CLIP, "-o", "x.h5", option, value, code=78)
            self.assertIn(word, said)
        _, said = self.run_millrace("embed", folder, "-m", GOLDEN / "minilm", "-o", "y.h5", code=3)
        with h5py.File(self.dir / "y.h5") as file:
            self.assertIn("this model embeds text", strings(file["error"])[0])

    def test_fast_decoding_is_nearly_the_same(self):
        big = FILES / "jpeg_500x375.jpg"
        exact, fast = self.embed_images(big), self.embed_images(big, out="fast.h5", options=["--fast-decode"])
        with h5py.File(exact) as a, h5py.File(fast) as b:
            self.assertEqual(a["width"][0], 500)
            self.assertGreater(float(a["embedding"][0] @ b["embedding"][0]), 0.9)

    def test_max_pixels_is_a_limit(self):
        out = self.embed_images(FILES / "jpeg_500x375.jpg", FILES / "jpeg_1x1.jpg", code=3, options=["--max-pixels", "1000"])
        with h5py.File(out) as file:
            self.assertEqual(list(file["status"][:]), [2, 0])
            self.assertIn("500 x 375 pixels: more than 1000", strings(file["error"])[0])

    def test_preprocess_writes_the_models_pixels(self):
        folder = self.dir / "only-processor"
        folder.mkdir()
        (folder / "preprocessor_config.json").write_text(json.dumps(CASES["processors"]["p64"]))
        self.assertRegex(self.run_millrace("preprocess", FILES, "-m", folder, "-o", "pixels.h5", code=3)[1], r"\d+ images failed; error/bytes in pixels.h5 says why")
        expected = {image["file"]: image["crops"]["p64"] for image in CASES["images"] if image["required"] == "ok" and "crops" in image}

        with h5py.File(self.dir / "pixels.h5") as file:
            compared = 0
            for name, state, pixels in zip(strings(file["id"]), file["status"][:], file["pixels"]):
                if name in expected and state == 0:
                    self.assertEqual(f"{zlib.crc32(pixels.tobytes()):08x}", expected[name][2], name)
                    compared += 1
            self.assertGreater(compared, 90)
        self.run_millrace("preprocess", FILES, "-m", folder, "-o", "pixels.h5", code=73)
        self.run_millrace("preprocess", FILES, "-m", folder, "-o", "pixels.h5", "--overwrite", code=3)


if __name__ == "__main__":
    unittest.main()
