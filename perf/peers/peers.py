"""One measured run of one peer, in a process of its own: `peers.py NAME JOB.json` prints its measurements as JSON.
`peers.py export JOB.json` makes the ONNX files first.

Each peer gets what its users would give it: texts sorted by length, batches of 32 padded to their longest text, as
many threads as the run allows, the run's precision, mean pooling and normalisation done by the peer itself.
"""
import json
import os
import pathlib
import resource
import sys
import time

BATCH = 32  # the default of sentence-transformers; larger ones are no faster on a CPU


def sentence_transformers(job):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(job["threads"])
    settings = {"dtype": torch.bfloat16} if job["precision"] == "bf16" else {}
    model = SentenceTransformer(job["model"], device="cpu", local_files_only=True, model_kwargs=settings)
    model.max_seq_length = job["max_tokens"]
    # encode() sorts by length itself.
    return lambda texts: model.encode(texts, batch_size=BATCH, normalize_embeddings=True, convert_to_numpy=True)


def reference(job):
    """float32 torch, one text at a time: no padding anywhere. What the others are compared with."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(job["threads"])
    model = SentenceTransformer(job["model"], device="cpu", local_files_only=True)
    model.max_seq_length = job["max_tokens"]
    return lambda texts: model.encode(texts, batch_size=1, normalize_embeddings=True, convert_to_numpy=True)


def batched(job, infer):
    """texts -> vectors: the `tokenizers` library, sorted batches padded to their longest, `infer` on each."""
    import numpy
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    tokenizer.enable_truncation(job["max_tokens"])
    tokenizer.no_padding()

    def encode(texts):
        encodings = tokenizer.encode_batch_fast(texts)
        lengths = numpy.array([len(encoding.ids) for encoding in encodings])
        order = numpy.argsort(-lengths, kind="stable")
        vectors = None
        for first in range(0, len(order), BATCH):
            rows = order[first:first + BATCH]
            ids = numpy.zeros((len(rows), lengths[rows].max()), numpy.int64)
            mask = numpy.zeros_like(ids)
            for row, index in enumerate(rows):
                ids[row, :lengths[index]] = encodings[index].ids
                mask[row, :lengths[index]] = 1
            batch = infer({"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)})
            if vectors is None:
                vectors = numpy.empty((len(texts), batch.shape[1]), numpy.float32)
            vectors[rows] = batch
        return vectors

    return encode


def export_onnx(job):
    """The model with pooling and normalisation as ONNX, and the same after ONNX Runtime's own optimizer for BERT (fused
    attention, GELU and layer norm). In a process of its own: torch is not to count as the others' memory."""
    import torch
    from onnxruntime.transformers import optimizer
    from transformers import AutoModel

    class Embedder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # "eager" spells attention out: the form the optimizers of both runtimes know.
            self.model = AutoModel.from_pretrained(job["model"], attn_implementation="eager", local_files_only=True)

        def forward(self, input_ids, attention_mask, token_type_ids):
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    model = Embedder().eval()
    ids = torch.ones(2, 16, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    # The older exporter: ONNX Runtime runs the newer one's graph at half the speed.
    torch.onnx.export(model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), job["onnx"], dynamo=False, opset_version=17,
                      input_names=names, output_names=["vectors"], dynamic_axes={name: {0: "batch", 1: "length"} for name in names})
    config = model.model.config
    optimizer.optimize_model(job["onnx"], model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size,
                             opt_level=0).save_model_to_file(job["onnx_fused"])
    if job["precision"] == "int8":
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # The type of what comes out of a fused operator, which shape inference does not know.
        quantize_dynamic(job["onnx_fused"], job["onnx_fused"], per_channel=True, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": TensorProto.FLOAT})


def onnxruntime(job):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(job["onnx_fused"], options, providers=["CPUExecutionProvider"])
    return batched(job, lambda inputs: session.run(None, inputs)[0])


def openvino(job):
    import openvino as ov

    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": job["threads"], "INFERENCE_PRECISION_HINT": job["precision"], "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(job["onnx"]), "CPU", settings)
    return batched(job, lambda inputs: compiled(inputs)[0])


PEERS = {"sentence-transformers": sentence_transformers, "onnxruntime": onnxruntime, "openvino": openvino, "reference": reference}


def main():
    name, job_file = sys.argv[1:]
    job = json.loads(pathlib.Path(job_file).read_text())
    if name == "export":
        export_onnx(job)
        return
    texts = [json.loads(line)["text"] for line in open(job["corpus"], encoding="utf-8")]
    if name == "reference":
        texts = [texts[index] for index in job["compared"]]
    start = time.monotonic()
    encode = PEERS[name](job)
    encode(texts[:2 * BATCH])  # first runs allocate and choose kernels
    loaded = time.monotonic()
    vectors = encode(texts)
    seconds = time.monotonic() - loaded
    import numpy

    numpy.save(job["vectors"], vectors if name == "reference" else vectors[job["compared"]])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "load_seconds": loaded - start, "peak_rss": peak}))


if __name__ == "__main__":
    main()
