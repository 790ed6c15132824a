"""torch_peer.py MODEL PRECISION LENGTHS: tokens per second of transformers' class for MODEL/config.json, random weights of its own,
on texts of the given token counts, sorted, in padded batches of 32. Prints JSON."""
import json
import pathlib
import sys
import time

import torch
from transformers import BertConfig, BertModel, MistralConfig, MistralModel, Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

CLASSES = {"bert": (BertConfig, BertModel), "qwen2": (Qwen2Config, Qwen2Model), "qwen3": (Qwen3Config, Qwen3Model), "mistral": (MistralConfig, MistralModel)}
BATCH = 32


def build(path, dtype):
    config = json.loads((pathlib.Path(path) / "config.json").read_text())
    if config["model_type"] == "nvembed":  # without the latent attention
        config = {**config["text_config"], "model_type": "mistral"}
    kind, model = CLASSES[config.pop("model_type")]
    with torch.device("meta"):
        empty = model(kind(**config)).to(dtype)
    made = empty.to_empty(device="cpu")
    with torch.no_grad():
        for value in made.parameters():
            value.normal_(0, 0.02)
        for value in made.buffers():
            value.zero_()
    return made.eval(), config["vocab_size"]


def main():
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[2]]
    lengths = sorted(map(int, sys.argv[3].split(",")), reverse=True)
    model, vocabulary = build(sys.argv[1], dtype)

    def embed(batch):
        mask = torch.arange(batch[0])[None, :] < torch.tensor(batch)[:, None]
        ids = torch.randint(0, vocabulary, (len(batch), batch[0]))
        model(input_ids=ids, attention_mask=mask.long())

    with torch.inference_mode():
        embed(lengths[-2:])  # warm-up
        begin = time.monotonic()
        for i in range(0, len(lengths), BATCH):
            embed(lengths[i:i + BATCH])
        seconds = time.monotonic() - begin
    print(json.dumps({"tokens_per_second": sum(lengths) / seconds}))


main()
