#!/usr/bin/env python3
"""No model may be known by name in the pool: greps it for catalogue keys, architectures, tokenizers and weight formats. And nobody
but the pool may own a worker.

usage: check_pool_words.py PROJECT_ROOT | --self-test
"""
import pathlib
import re
import sys
import tempfile

FORMATS = {"safetensors", "gguf", "ggml", "onnx", "wordpiece", "bpe", "unigram", "sentencepiece", "tokenizer"}
WORKER_CALL = re.compile(r"(?:->|\.)(?:run_batch|worker_create|worker_destroy)\(")
OWNERS = ("src/registry/pool/", "src/bench/")  # the bench measures forward passes with nothing around them
MAY_INCLUDE = ("core/", "capability/", "registry/pool/", "millrace.h")


def words(root):
    found = set(FORMATS)
    for entry in root.glob("configs/models/*.yaml"):
        text = entry.read_text()
        for key in re.findall(r"^key:\s*(\S+)", text, re.M):
            found.update((key, key.rsplit("/", 1)[-1]))
        found.update(re.findall(r"^architecture:\s*(\S+)", text, re.M))
    for table in root.glob("src/models/*_table.c.in"):  # of the kind's files: encoder_bert.c is bert
        kind = table.name.removesuffix("table.c.in")
        found.update(source.stem.removeprefix(kind) for source in root.glob(f"src/models/{kind}*.c"))
    return found


def check(root):
    pattern = re.compile("|".join(rf"(?<![A-Za-z0-9]){re.escape(w)}(?![A-Za-z0-9])" for w in sorted(words(root), key=len, reverse=True)), re.I)
    problems = []
    sources = sorted(root.glob("src/registry/pool/*"))
    for source in sources:
        for number, line in enumerate(source.read_text().splitlines(), 1):
            where = f"{source.relative_to(root)}:{number}"
            for hit in pattern.findall(line):
                problems.append(f"{where}: the pool knows \"{hit}\"")
            included = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if included and not included[1].startswith(MAY_INCLUDE):
                problems.append(f"{where}: includes {included[1]}")
    for source in sorted(path for folder in ("src", "pipelines", "io") for path in root.glob(f"{folder}/**/*.c")):
        name = str(source.relative_to(root))
        if not name.startswith(OWNERS) and WORKER_CALL.search(source.read_text()):
            problems.append(f"{name}: owns a worker; ask the registry for the model")
    return problems, len(sources)


def self_test():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for folder in ("configs/models", "src/models", "src/registry/pool"):
            (root / folder).mkdir(parents=True)
        (root / "configs/models/a.yaml").write_text("key: Org/Some-Model-v2\narchitecture: qwen\n")
        for name in ("encoder_table.c.in", "encoder_bert.c", "shared_clock.c"):
            (root / "src/models" / name).write_text("")
        clean = '#include "core/error.h"\nint alberta; /* workers of a model, a clock */\n'
        (root / "src/registry/pool/a.c").write_text(clean)
        assert check(root) == ([], 1), check(root)
        for bad in ("/* some-model-v2 is slow */", "if (is_bert) x();", "QWEN", "a .gguf file", '#include "models/encoder.h"'):
            (root / "src/registry/pool/a.c").write_text(clean + bad + "\n")
            assert len(check(root)[0]) == 1, bad
        (root / "src/registry/pool/a.c").write_text("vtable->run_batch(worker, request, response, error);\n")
        assert check(root)[0] == []
        (root / "src/shortcut.c").write_text("status = model.run_batch(worker, request, response, error);\n")
        assert len(check(root)[0]) == 1


if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        self_test()
        sys.exit(0)
    found, files = check(pathlib.Path(sys.argv[1]))
    print("\n".join(found) or f"{files} files of the pool know no model by name")
    sys.exit(1 if found or files == 0 else 0)
