#!/usr/bin/env python3
"""Images to vectors beside the peers: a folder of JPEGs through a ViT-B/32 of real size (random weights), in each precision class.

Three measurements, each in turns with the others so that a slow minute hits all: decoding and resizing on one core (millrace preprocess against
Pillow); the forward pass (images that are 224 x 224 BMPs already); and end to end (JPEGs of 500 x 375). millrace is timed as the whole command,
from its start (not its first one with the model) to the synced file. The peers are timed from files to vectors in memory, after loading and a warm-up, fed by transformers' Pillow
processor in batches of 16; their forward pass is the part of that which runs the model. Pictures are made here (a smooth scene with noise).
Prints a Markdown table; --json FILE.

On a machine that is busy otherwise: --threads 1 --cpu, which counts CPU seconds instead of the clock's.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "perf/peers"))
PEERS = {"f32": ["torch", "openvino"], "bf16": ["torch", "openvino"], "int8": ["onnxruntime"]}
BATCH = 16
PROCESSOR = {"crop_size": 224, "size": 224, "resample": 3, "do_resize": True, "do_center_crop": True, "do_normalize": True, "image_processor_type": "CLIPImageProcessor",
             "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="f32,bf16,int8")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--peer", nargs=4, help=argparse.SUPPRESS)  # NAME PRECISION MODEL FOLDER: what a peer's process does
    return parser.parse_args()


# ---------------------------------------------------------------- what is measured on


def scene(width, height, seed):
    import numpy
    from PIL import Image

    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    a, b, c = rng.uniform(20, 90, 3)
    planes = [128 + 80 * numpy.sin(x / a + y / b) + 30 * numpy.sin(x * y / 9000), 120 + 70 * numpy.cos(y / c - x / b), 110 + 60 * numpy.sin((x + y) / a)]
    picture = numpy.stack(planes, -1) + rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(numpy.clip(picture, 0, 255).astype("u1"))


def make_images(folder, count, width, height, ending, scenes=16, **options):
    folder.mkdir()
    for i in range(count):
        if i < scenes:
            scene(width, height, i).save(folder / f"{i:05}.{ending}", **options)
        else:
            os.link(folder / f"{i % scenes:05}.{ending}", folder / f"{i:05}.{ending}")


def make_model(folder):
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))


# ---------------------------------------------------------------- the peers


def torch_forward(model, precision, threads):
    import torch

    torch.set_num_threads(threads)
    tower = model.to(torch.bfloat16) if precision == "bf16" else model

    def run(pixels):
        with torch.inference_mode():
            return tower(torch.from_numpy(pixels).to(tower.dtype)).image_embeds.float().numpy()

    return run


def openvino_forward(model, precision, threads):
    import openvino
    import torch

    graph = openvino.convert_model(model, example_input=torch.zeros(BATCH, 3, 224, 224))
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"})
    return lambda pixels: compiled([pixels])[0]


def onnxruntime_forward(model, precision, threads):
    import onnxruntime
    import torch
    from onnxruntime.quantization import quantize_dynamic

    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-onnx."))
    torch.onnx.export(model, (torch.zeros(BATCH, 3, 224, 224),), folder / "f32.onnx", input_names=["pixels"], dynamic_axes={"pixels": {0: "n"}}, dynamo=False)
    quantize_dynamic(folder / "f32.onnx", folder / "int8.onnx", per_channel=True, op_types_to_quantize=["MatMul", "Gemm"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "int8.onnx", options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def peer(options):
    """One run: seconds for decoding and resizing, for the forward pass, and for both as people write it; and the vectors."""
    import numpy
    from PIL import Image
    from transformers import CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    name, precision, model_folder, images = options.peer
    processor = CLIPImageProcessorPil.from_pretrained(model_folder)
    forward = globals()[f"{name}_forward"](CLIPVisionModelWithProjection.from_pretrained(model_folder).eval(), precision, options.threads)
    files = sorted(pathlib.Path(images).iterdir())
    batches = [files[i : i + BATCH] for i in range(0, len(files), BATCH)]
    load = lambda batch: processor([Image.open(file).convert("RGB") for file in batch], return_tensors="np")["pixel_values"]
    now = time.process_time if options.cpu else time.perf_counter
    forward(load(batches[0]))
    vectors, in_forward, begin = [], 0, now()
    for batch in batches:
        pixels = load(batch)
        loaded = now()
        vectors.append(forward(pixels))
        in_forward += now() - loaded
    both = now() - begin
    vectors = numpy.concatenate(vectors)
    numpy.save(pathlib.Path(model_folder) / f"{name}-{precision}.npy", vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True))
    print(json.dumps({"forward": in_forward, "both": both}))


# ---------------------------------------------------------------- the turns


def pillow_seconds(options, folder):
    """As millrace preprocess does it: decoded, resized, cropped; on one core."""
    now = "time.process_time()" if options.cpu else "time.perf_counter()"
    code = (f"import sys, time, pathlib\nfrom PIL import Image\nbegin = {now}\nfor f in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
            "    im = Image.open(f).convert('RGB')\n    w, h = im.size\n    s = (224, 224 * h // w) if w <= h else (224 * w // h, 224)\n"
            "    im = im.resize(s, Image.BICUBIC)\n    l, t = (s[0] - 224) // 2, (s[1] - 224) // 2\n    im.crop((l, t, l + 224, t + 224)).tobytes()\n" f"print({now} - begin)")
    return float(subprocess.run(["taskset", "-c", "0", sys.executable, "-c", code, folder], check=True, stdout=subprocess.PIPE).stdout)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(options, *command):
    now = cpu_seconds if options.cpu else time.monotonic
    begin = now()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return now() - begin


def embed(options, model, images, precision, out):
    return timed(options, options.millrace, "embed", images, "-m", model, "-o", out, "--precision", precision, "--threads", options.threads, "--overwrite", "-q")


def run_peer(options, name, precision, model, images):
    command = [sys.executable, __file__, "--threads", str(options.threads), *["--cpu"] * options.cpu, "--peer", name, precision, str(model), str(images)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.splitlines()[-1])


def least_cosine(path, reference):
    import h5py
    import numpy

    with h5py.File(path) as file:
        return float((file["embedding"][:] * reference).sum(1).min())


def measure_decoding(options, model, folders, scratch, rates):
    for name, folder in folders.items():
        count = len(list(folder.iterdir()))
        for _ in range(options.repeat):
            seconds = timed(options, "taskset", "-c", "0", options.millrace, "preprocess", folder, "-m", model, "-o", scratch / "pixels.h5", "--overwrite")
            rates.setdefault(("decode " + name, "", "millrace"), []).append(count / seconds)
            rates.setdefault(("decode " + name, "", "Pillow"), []).append(count / pillow_seconds(options, folder))


def measure_precision(options, precision, model, jpegs, bitmaps, scratch, rates, cosines):
    import numpy

    embed(options, model, next(iter(jpegs.iterdir())), precision, scratch / "out.h5")  # hashes and packs the weights, which the next starts find done
    for _ in range(options.repeat):
        for name in PEERS[precision]:
            seconds = run_peer(options, name, precision, model, jpegs)
            rates.setdefault(("forward", precision, name), []).append(options.images / seconds["forward"])
            rates.setdefault(("end to end", precision, name), []).append(options.images / seconds["both"])
        rates.setdefault(("forward", precision, "millrace"), []).append(options.images / embed(options, model, bitmaps, precision, scratch / "forward.h5"))
        rates.setdefault(("end to end", precision, "millrace"), []).append(options.images / embed(options, model, jpegs, precision, scratch / "out.h5"))
    reference_file = model / "torch-f32.npy"
    if not reference_file.exists():
        run_peer(options, "torch", "f32", model, jpegs)
    reference = numpy.load(reference_file)
    cosines[precision, "millrace"] = least_cosine(scratch / "out.h5", reference)
    for name in PEERS[precision]:
        cosines[precision, name] = float((numpy.load(model / f"{name}-{precision}.npy") * reference).sum(1).min())


def report(rates, cosines):
    print("| what | class | | images/s | millrace is | least cosine to f32 torch |\n|---|---|---|---:|---:|---:|")
    for (what, precision, name), found in rates.items():
        rate, own = statistics.median(found), statistics.median(rates[what, precision, "millrace"])
        cosine = cosines.get((precision, name))
        print(f"| {what} | {precision} | {name} | {rate:.1f} | {'' if name == 'millrace' else f'{own / rate:.2f} x'} | {'' if cosine is None else f'{cosine:.6f}'} |")


def main():
    options = parse_arguments()
    if options.peer:
        return peer(options)
    import environment

    python = environment.make()
    if pathlib.Path(sys.executable) != python:
        os.execv(python, [str(python), *sys.argv])
    rates, cosines = {}, {}
    with tempfile.TemporaryDirectory(prefix="millrace-images.") as name:
        scratch = pathlib.Path(name)
        model, jpegs, bitmaps, large = scratch / "model", scratch / "jpegs", scratch / "bitmaps", scratch / "large"
        make_model(model)
        make_images(jpegs, options.images, 500, 375, "jpg", quality=85)
        make_images(bitmaps, options.images, 224, 224, "bmp")
        make_images(large, 10, 4000, 3000, "jpg", scenes=1, quality=85)
        measure_decoding(options, model, {"500 x 375": jpegs, "4000 x 3000": large}, scratch, rates)
        for precision in options.precision.split(","):
            measure_precision(options, precision, model, jpegs, bitmaps, scratch, rates, cosines)
    report(rates, cosines)
    if options.json:
        found = [{"what": what, "precision": precision, "name": name, "images_per_second": values} for (what, precision, name), values in rates.items()]
        options.json.write_text(json.dumps({"rates": found, "cosines": {f"{p} {n}": c for (p, n), c in cosines.items()}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
