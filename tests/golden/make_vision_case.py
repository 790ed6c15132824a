#!/usr/bin/env python3
"""Writes a golden case of a vision tower: a small model with random weights in its published layout, and what the reference computes from it.

usage: make_vision_case.py DIRECTORY      a DINOv2 as giant is: gated feed-forward part; tensors named as on the hub, positions resampled upwards
needs: torch 2.13.0, transformers 5.23.0, safetensors, Pillow 13.0.0

The forward pass is the reference library's, in float64, from the float32 pixels of its Pillow image processor.
"""
import json
import pathlib
import shutil
import sys

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2Model
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

from make_case import random_weights, write_json

OTHER = pathlib.Path(__file__).resolve().parent.parent / "data/vision/dinov2"
HUB_NAMES = {"attention.q_proj": "attention.attention.query", "attention.k_proj": "attention.attention.key", "attention.v_proj": "attention.attention.value",
             "attention.o_proj": "attention.output.dense", "mlp.down_proj": "mlp.weights_out"}


def as_on_the_hub(tensors):
    renamed = {}
    for name, value in tensors.items():
        for newer, older in HUB_NAMES.items():
            name = name.replace(newer, older)
        if ".gate_proj." in name:
            name, value = name.replace("gate_proj", "weights_in"), torch.cat([value, tensors[name.replace("gate_proj", "up_proj")]])
        if ".up_proj." not in name:
            renamed[name] = value.float().contiguous()
    return renamed


def main():
    directory = pathlib.Path(sys.argv[1])
    config = Dinov2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, image_size=32, patch_size=8, mlp_ratio=3, qkv_bias=False,
                          use_swiglu_ffn=True, layer_norm_eps=1e-2)
    model = Dinov2Model(config).double().eval()
    random_weights(model, True)
    model.load_state_dict({name: value.float().double() for name, value in model.state_dict().items()})
    shutil.copytree(OTHER / "expect/images", directory / "expect/images", dirs_exist_ok=True)
    settings = json.loads((OTHER / "preprocessor_config.json").read_text())
    write_json(directory / "preprocessor_config.json", settings)
    write_json(directory / "config.json", {"architectures": ["Dinov2Model"], "torch_dtype": "float32", **config.to_diff_dict(), "model_type": "dinov2"})
    save_file(as_on_the_hub(model.state_dict()), directory / "model.safetensors", metadata={"format": "pt"})

    names = sorted(path.name for path in (directory / "expect/images").iterdir())
    images = [Image.open(directory / "expect/images" / name).convert("RGB") for name in names]
    pixels = BitImageProcessorPil(**settings)(images, return_tensors="pt")["pixel_values"].double()
    with torch.no_grad():
        states = model(pixels, output_hidden_states=True)
    save_file({"image_embeds": states.last_hidden_state[:, 0].float().contiguous()}, directory / "expect/expected.safetensors")
    trace = {"embeddings" if k == 0 else f"encoder.layer.{k - 1}": state[:1].float().contiguous() for k, state in enumerate(states.hidden_states)}
    save_file(trace, directory / "expect/trace.safetensors")
    tolerance = {"f32": {"cosine": 0.999999, "rel_max_abs": 1e-4}, "bf16": {"cosine": 0.9999}, "int8": {"cosine": 0.995}}
    write_json(directory / "expect/cases.json", {"images": names, "tensors": {"image_embeds": "layernorm(h)[0]"}, "tolerance": tolerance})


if __name__ == "__main__":
    main()
