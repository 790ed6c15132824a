"""`millrace bench` as a user runs it: the machine alone, shapes, a model; every form of output. Figures are not judged, only that
they are there, finite and consistent."""
import json
import math
import pathlib
import re
import unittest
import xml.etree.ElementTree

from harness import GOLDEN, MODEL, Case

SVG = "{http://www.w3.org/2000/svg}"


def finite(value):
    """Every number of a JSON tree."""
    if isinstance(value, dict):
        return all(finite(item) for item in value.values())
    if isinstance(value, list):
        return all(finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


class Bench(Case):
    def bench(self, *arguments):
        out, _ = self.run_millrace("bench", "--seconds", "0.3", "--json", *arguments)
        report = json.loads(out)
        self.assertTrue(finite(report))
        return report

    def test_machine_alone(self):
        report = self.bench()
        machine = report["machine"]
        self.assertEqual([peak["name"] for peak in machine["peaks"]], ["f32", "bf16", "int8"])
        self.assertEqual([level["name"] for level in machine["memory"]][-2:], ["DRAM read", "DRAM triad"])
        for roof in machine["peaks"] + machine["memory"]:
            for series in (roof["one_core"], roof["all_cores"]):
                self.assertGreaterEqual(series["best"], series["median"])
                self.assertGreater(series["median"], 0)
        self.assertEqual((report["model"], report["kernels"], report["forward"]), (None, [], []))

    def test_shapes(self):
        report = self.bench("--shape", "3x40x24", "--shape", "7x40x24", "--shape", "1x8x8", "--precision", "int8,f32", "--isa", "ref", "--threads", "1")
        self.assertEqual(report["machine"]["isa"], "ref")
        self.assertEqual([(entry["precision"], entry["rows"], entry["name"]) for entry in report["kernels"]],
                         [(precision, rows, name) for precision in ("f32", "int8") for rows, name in ((3, "[40, 24]"), (7, "[40, 24]"), (1, "[8, 8]"))])
        for entry in report["kernels"]:
            self.assertAlmostEqual(entry["flops_per_second"], entry["flops"] / entry["seconds"]["best"], delta=1e-4 * entry["flops_per_second"])
            self.assertAlmostEqual(entry["flops_per_byte"], entry["flops"] / entry["bytes"], delta=1e-4 * entry["flops_per_byte"])

    def test_model(self):
        report = self.bench("-m", MODEL, "--lengths", "3,9,20", "--html", self.dir / "page.html", "--svg", self.dir / "roof.svg")
        self.assertEqual({entry["group"] for entry in report["kernels"]}, {"linear", "attention", "rows"})
        self.assertEqual([forward["precision"] for forward in report["forward"]], ["f32", "bf16", "int8"])
        config = json.loads(pathlib.Path(MODEL, "config.json").read_text())
        hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
        for forward in report["forward"]:
            self.assertEqual((forward["texts"], forward["tokens"]), (3, 32))
            self.assertEqual(forward["linear_flops_per_token"], 2 * layers * (4 * hidden * hidden + 2 * hidden * inner))
            self.assertAlmostEqual(forward["attention_flops_per_token"], layers * 4 * hidden * (3 * 3 + 9 * 9 + 20 * 20) / 32, delta=1)
            self.assertEqual(forward["counters_one_core"].get("page faults", 0), 0)  # a forward pass allocates nothing
            for series in (forward["one_core"], forward["all_cores"]):
                self.assertGreater(series["median"], 0)
        picture = xml.etree.ElementTree.parse(self.dir / "roof.svg").getroot()
        with_flops = sum("flops_per_second" in entry for entry in report["kernels"])
        self.assertEqual(len(picture.findall(f"{SVG}circle/{SVG}title")) + len(picture.findall(f"{SVG}path/{SVG}title")), with_flops)
        self.assertIn("<svg", (self.dir / "page.html").read_text())

    def test_image_towers(self):
        for name, class_row in (("clip-legacy", 1), ("siglip", 0)):
            model = GOLDEN.parent / "vision" / name
            report = self.bench("-m", model, "--precision", "int8")
            config = json.loads((model / "config.json").read_text())["vision_config"]
            hidden, layers, patch = config["hidden_size"], config["num_hidden_layers"], config["patch_size"]
            tokens = (config["image_size"] // patch) ** 2 + class_row
            f32 = 2 * 3 * patch * patch * hidden + (0 if class_row else 2 * 2 * hidden * hidden)  # patches; the probe's keys and values
            for forward in report["forward"]:
                self.assertEqual(forward["tokens"], forward["images"] * tokens)
                self.assertEqual(forward["linear_flops_per_token"], 2 * layers * (4 * hidden * hidden + 2 * hidden * config["intermediate_size"]) + f32)
                self.assertEqual(forward["f32_flops_per_token"], f32)
                self.assertAlmostEqual(forward["attention_flops_per_token"], layers * 4 * hidden * tokens, delta=1)
                self.assertEqual(forward["counters_one_core"].get("page faults", 0), 0)
            sizes = [(entry["name"], entry["rows"], entry["precision"]) for entry in report["kernels"] if entry["group"] == "linear"]
            self.assertEqual(len(sizes), len(set(sizes)))
            if class_row:
                self.assertEqual(self.bench("-m", model, "--modality", "text", "--no-kernels", "--lengths", "4,5")["forward"][0]["texts"], 2)

    def test_fixed_keys_are_counted(self):
        model = GOLDEN / "nv-embed-v2"
        config = json.loads((model / "config.json").read_text())
        text, latent = config["text_config"], config["latent_attention_config"]
        report = self.bench("-m", model, "--precision", "f32", "--lengths", "10")
        of_layers = text["num_hidden_layers"] * 4 * text["hidden_size"] * 10
        of_latents = 4 * latent["num_cross_heads"] * latent["cross_dim_head"] * latent["num_latents_value"]
        self.assertAlmostEqual(report["forward"][0]["attention_flops_per_token"], of_layers + of_latents, delta=1)

    def test_forward_alone(self):
        report = self.bench("-m", MODEL, "--no-kernels", "--precision", "int8", "--threads", "1", "--lengths", "500")
        self.assertEqual(report["kernels"], [])
        limit = json.loads(pathlib.Path(MODEL, "sentence_bert_config.json").read_text())["max_seq_length"]
        self.assertEqual([(forward["precision"], forward["tokens"]) for forward in report["forward"]], [("int8", min(500, limit))])

    def test_text(self):
        out, err = self.run_millrace("bench", "--seconds", "0.2", "-m", MODEL, "--precision", "bf16")
        for word in ("machine  ", "peaks", "DRAM triad", "linear", "attention", "of limit"):
            self.assertIn(word, out)
        self.assertEqual(err, "")

    def test_what_is_wrong_is_said(self):
        for arguments, word in ((("--shape", "3x4"), "rows x outputs x inputs"), (("--shape", "3x4x"), "rows x outputs x inputs"), (("--shape", "0x4x4"), "rows"),
                                (("--precision", "f64"), "f32, bf16, int8"), (("--precision", ""), "f32, bf16, int8"), (("--lengths", "3,"), "1 to 2048"),
                                (("--lengths", "4096"), "1 to 2048"), (("--threads", "0"), "from 1"), (("--modality", "sound"), "text or image"), (("--seconds", "-1"), "above 0"), (("text.txt",), "no inputs")):
            _, err = self.run_millrace("bench", *arguments, code=64)
            self.assertIn(word, err, arguments)
        _, err = self.run_millrace("bench", "--isa", "sse9", code=78)
        self.assertIn("avx2", err)
        self.run_millrace("bench", "--seconds", "0.1", "-m", self.dir / "nothing", code=69)
        self.run_millrace("bench", "--seconds", "0.1", "--svg", self.dir / "no" / "such.svg", code=73)

    def test_trace_shows_stages_batches_layers_and_operations(self):
        self.embed(self.corpus(300), "--trace", self.dir / "trace.json", "--threads", "2")
        trace = json.loads((self.dir / "trace.json").read_text())
        self.assertEqual(trace["spans_dropped"], 0)
        threads = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
        spans = {}
        for event in trace["traceEvents"]:
            if event["ph"] == "X":
                spans.setdefault(threads[event["tid"]].rsplit(" ", 1)[0], []).append(event)
        operations = {"embedding", "q, k and v", "attention", "attention output", "feed-forward", "pooling"}
        self.assertEqual(set(spans), {"read", "tokenize", "batch", "worker", "write"})
        self.assertLessEqual({"batch", "layer"} | operations, {event["name"] for event in spans["worker"]})
        inside = {"batch": r"worker \d", "embedding": "batch", "layer": "batch", "pooling": "batch", "attention": "layer", "feed-forward": "layer"}
        for event in spans["worker"]:
            if event["name"] not in inside:
                continue
            around = [other for other in spans["worker"] if other["tid"] == event["tid"] and re.fullmatch(inside[event["name"]], other["name"])
                      and other["ts"] <= event["ts"] + 0.002 and event["ts"] + event["dur"] <= other["ts"] + other["dur"] + 0.002]
            self.assertTrue(around, event)


if __name__ == "__main__":
    unittest.main()
