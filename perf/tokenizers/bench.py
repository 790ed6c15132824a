#!/usr/bin/env python3
"""Tokenizers beside their peers: MB/s, tokens/s, time to load; ids are compared while timing.

usage: bench.py [--bench BENCH_TOKENIZER] [--cache DIR] [--rounds N] [--megabytes N] [--only NAME...] [--threads N] [-o FILE.json]

Peers that are installed take part: `tokenizers` (its own threads for "all cores"), `tiktoken`, `sentencepiece`, `gigatoken`, `kitoken`, and `blingfire`
with the vocabulary it carries. All run in
turns, so that a slow minute of the machine hits them all; the best round counts. Times are processor time, of all threads
together: with N threads MB/s is N times that of their sum, what N free cores would give.
Texts: descriptions of Debian packages in English, and their translations into 16 other languages. `cold` is the first
pass of millrace or gigatoken with empty word caches, `warm` the passes after; `cached` is how long millrace takes to open a vocabulary that is in its cache. Vocabularies: tests/tokenizer/real_vocabularies.py fetches them.
"""
import argparse
import bz2
import itertools
import json
import lzma
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/tokenizer"))
import real_vocabularies  # noqa: E402

INDEX = "http://deb.debian.org/debian/dists/bookworm/main/i18n/Translation-{}.{}"
LANGUAGES = "ja zh_CN ru ko de fr es it pl uk cs pt_BR sv tr vi nl".split()
TIKTOKEN = {"gpt-4o", "llama3", "qwen3"}  # whose ids are ranks
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {"gpt-4o": O200K, "llama3": CL100K, "qwen3": CL100K.replace(r"\p{N}{1,3}", r"\p{N}")}


def descriptions(language, cache):
    """The long descriptions of an index of apt."""
    kind = "xz" if language == "en" else "bz2"
    path = cache / f"Translation-{language}.{kind}"
    if not path.exists():
        with urllib.request.urlopen(INDEX.format(language, kind), timeout=60) as answer:
            path.write_bytes(answer.read())
    for record in (lzma if language == "en" else bz2).decompress(path.read_bytes()).decode("utf-8", "replace").split("\n\n"):
        found = re.search(r"^Description-(?!md5)\w+: (.*(?:\n .*)*)", record, re.M)
        if found:
            yield re.sub(r"^ \.?", "", found.group(1), flags=re.M)


def take(texts, limit):
    taken, size = [], 0
    for text in texts:
        taken.append(text)
        size += len(text.encode())
        if size >= limit:
            break
    return taken, size


def corpora(cache, megabytes):
    limit = int(megabytes * 1e6)
    many = [take(descriptions(language, cache), limit // len(LANGUAGES))[0] for language in LANGUAGES]
    return {"English": take(descriptions("en", cache), limit)[0], "16 languages": [text for group in itertools.zip_longest(*many) for text in group if text]}


# A peer: load(folder) -> state; one(state, texts) -> ids of every text, one thread; all(state, texts, threads) the same on all, or None.


class HuggingFace:
    name = "tokenizers"

    def __init__(self, folder):
        from tokenizers import Tokenizer
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def run(self, texts, threads):
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


class Tiktoken:
    name = "tiktoken"

    def __init__(self, folder):
        import tiktoken
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
        byte_of = {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)}
        ranks = {bytes(byte_of[c] for c in text): rank for text, rank in vocabulary.items() if all(c in byte_of for c in text)}
        self.encoding = tiktoken.Encoding(folder.name, pat_str=PATTERNS[folder.name], mergeable_ranks=ranks, special_tokens={})

    def run(self, texts, threads):
        if threads > 1:
            return self.encoding.encode_ordinary_batch(texts, num_threads=threads)
        return [self.encoding.encode_ordinary(text) for text in texts]


class SentencePiece:
    name = "sentencepiece"

    def __init__(self, folder):
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2
        model = json.loads((folder / "tokenizer.json").read_text())["model"]
        best = {}
        for rank, merge in enumerate(model["merges"]):
            best.setdefault("".join(merge.split(" ", 1) if isinstance(merge, str) else merge), -1.0 - rank)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.trainer_spec.model_type, proto.trainer_spec.byte_fallback = 2, True
        proto.normalizer_spec.name, proto.normalizer_spec.remove_extra_whitespaces = "identity", False
        kinds = {"<unk>": 2, "<s>": 3, "</s>": 3}
        for text in sorted(model["vocab"], key=model["vocab"].get):
            kind = kinds.get(text, 6 if re.fullmatch("<0x[0-9A-F]{2}>", text) else 1)
            proto.pieces.add(piece=text, score=best.get(text, -1e6 if kind == 1 else 0.0), type=kind)
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())

    def run(self, texts, threads):
        return self.processor.encode(texts, num_threads=threads)


class Gigatoken:
    name = "gigatoken"
    remembers = True  # words it has seen: a new one for each round

    def __init__(self, folder):
        import gigatoken
        self.tokenizer = gigatoken.Tokenizer(str(folder / "tokenizer.json"))

    def run(self, texts, threads):
        return self.tokenizer.encode_batch([text.encode() for text in texts], parallel=threads > 1)


class Kitoken:
    name = "kitoken"

    def __init__(self, folder):
        import kitoken
        self.tokenizer = kitoken.Kitoken.from_tokenizers_file(str(folder / "tokenizer.json"))

    def run(self, texts, threads):
        return self.tokenizer.encode_all(texts, False)


class BlingFire:
    name = "blingfire"

    def __init__(self, folder):
        import blingfire
        self.module = blingfire
        self.model = blingfire.load_model(os.path.join(os.path.dirname(blingfire.__file__), "bert_base_tok.bin"))

    def run(self, texts, threads):
        return [self.module.text_to_ids(self.model, text, len(text) + 1, 100, no_padding=True) for text in texts]


def peers_of(name):
    peers = [HuggingFace, Kitoken]
    if name in TIKTOKEN:
        peers += [Tiktoken]
    if name in TIKTOKEN or name in ("deepseek-v3", "mistral"):
        peers += [Gigatoken]
    return peers + ([SentencePiece] if name == "mistral" else []) + ([BlingFire] if name == "bert-uncased" else [])


def timed(action):
    start = time.process_time()
    value = action()
    return value, time.process_time() - start


def millrace(bench, folder, lines, threads, rounds=3, more=()):
    done = subprocess.run([bench, folder, lines, "--threads", str(threads), "--rounds", str(rounds), *more], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def cached_load(bench, folder, lines):
    """Seconds to open a vocabulary the second and the third time."""
    with tempfile.TemporaryDirectory() as cache:
        return [millrace(bench, folder, lines, 1, 1, ["--cache", cache])["load_seconds"] for _ in range(3)][1:]


def measure(name, folder, corpus, texts, options):
    """Rows (who, {measure: value}) for one vocabulary on one corpus."""
    size = sum(len(text.encode()) for text in texts)
    lines = options.cache / f"bench-{os.getpid()}.jsonl"
    real_vocabularies.write_lines(lines, texts)
    peers, loads = [], {}
    for kind in peers_of(name):
        try:
            peer, seconds = timed(lambda kind=kind: kind(folder))
        except ImportError:
            continue
        peers.append(peer)
        loads[kind.name] = seconds
    best = {"millrace": {"cached": cached_load(options.bench, folder, lines)}}

    def note(who, what, seconds):
        best.setdefault(who, {}).setdefault(what, []).append(seconds)

    ids = {}
    for _ in range(options.rounds):
        for threads in {1, options.threads}:
            result = millrace(options.bench, folder, lines, threads)
            note("millrace", f"cold {threads}", result["rounds"][0]["processor_seconds"])
            note("millrace", f"warm {threads}", min(r["processor_seconds"] for r in result["rounds"][1:]))
            if threads == 1:
                note("millrace", "load", result["load_seconds"])
            for peer in peers:
                if hasattr(peer, "remembers"):
                    if threads > 1:
                        continue
                    peer = type(peer)(folder)
                    note(peer.name, "cold 1", timed(lambda peer=peer: peer.run(texts, 1))[1])
                ids[peer.name], processor = timed(lambda peer=peer, threads=threads: peer.run(texts, threads))
                note(peer.name, f"warm {threads}", processor)
    got = [json.loads(line) for line in subprocess.run([options.bench, folder, lines, "--ids"], check=True, capture_output=True, text=True).stdout.splitlines()]
    lines.unlink()
    tokens = sum(map(len, got))
    rows = []
    for who, times in best.items():
        row = {what: min(seconds) for what, seconds in times.items()}
        row["load"] = min(times.get("load", [loads.get(who, 0.0)]))
        row["differ"] = 0 if who == "millrace" else sum(a != list(b) for a, b in zip(got, ids[who]))
        rows.append({"vocabulary": name, "corpus": corpus, "who": who, "bytes": size, "tokens": tokens, "texts": len(texts), "seconds": row})
    return rows


def show(rows, threads):
    print(f"\n| vocabulary | texts | | MB/s cold | MB/s | x `tokenizers` | M tokens/s | MB/s {threads} threads | scales | load ms | cached | texts with other ids |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        seconds, size = row["seconds"], row["bytes"] / 1e6
        reference = next(r["seconds"]["warm 1"] for r in rows if (r["vocabulary"], r["corpus"], r["who"]) == (row["vocabulary"], row["corpus"], "tokenizers"))
        cold = f"{size / seconds['cold 1']:.1f}" if "cold 1" in seconds else ""
        cached = f"{1e3 * seconds['cached']:.1f}" if "cached" in seconds else ""
        many = seconds.get(f"warm {threads}", 0.0) / threads
        both = f"{size / many:.1f} | {seconds['warm 1'] / many:.2f}" if many else " | "
        print(f"| {row['vocabulary']} | {row['corpus']} | {row['who']} | {cold} | {size / seconds['warm 1']:.1f} | {reference / seconds['warm 1']:.1f} | "
              f"{row['tokens'] / seconds['warm 1'] / 1e6:.1f} | {both} | {1e3 * seconds['load']:.0f} | {cached} | {seconds['differ']} of {row['texts']} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / "build/bench_tokenizer")
    parser.add_argument("--cache", type=pathlib.Path, default=real_vocabularies.default_cache())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="*", default=[*real_vocabularies.TOKENIZERS])
    parser.add_argument("-o", "--output", type=pathlib.Path)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    texts, rows = corpora(options.cache, options.megabytes), []
    for name in options.only:
        folder = pathlib.Path(name) if os.sep in name else real_vocabularies.fetch(name, options.cache)
        for corpus in texts:
            rows += measure(folder.name, folder, corpus, texts[corpus], options)
    show(rows, options.threads)
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
