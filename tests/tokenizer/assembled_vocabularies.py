"""Published vocabularies that no registry has as a tokenizer.json, put together from other forms of them.

CLIP from its own package (the list of merges), Phi-4 from the ranks of cl100k_base that it shares with GPT-4.
"""
import base64
import gzip
import json
import re

SPLIT_GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT_CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
ORDER = PRINTABLE + [byte for byte in range(256) if byte not in PRINTABLE]
LETTER = {byte: chr(byte if i < len(PRINTABLE) else 0x100 + i - len(PRINTABLE)) for i, byte in enumerate(ORDER)}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}


def special(number, content, **flags):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


def clip(data):
    """From bpe_simple_vocab_16e6.txt.gz: 256 letters, the same at the end of a word, the results of 48,894 merges, two special tokens."""
    merges = gzip.decompress(data).decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = [LETTER[byte] for byte in ORDER]
    texts = letters + [letter + "</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    start, end = len(texts) - 2, len(texts) - 1
    return {
        "added_tokens": [special(start, "<|startoftext|>", normalized=True), special(end, "<|endoftext|>")],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(SPLIT_CLIP), {**BYTE_LEVEL, "use_regex": True}]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", end], "cls": ["<|startoftext|>", start], "trim_offsets": False, "add_prefix_space": False},
        "decoder": {**BYTE_LEVEL, "use_regex": True},
        "model": {"type": "BPE", "unk_token": "<|endoftext|>", "end_of_word_suffix": "</w>", "vocab": {text: i for i, text in enumerate(texts)}, "merges": merges},
    }


def read_ranks(data):
    """bytes -> rank, from js-tiktoken: lines of "!", the first rank, texts in Base64."""
    body = json.loads(re.search(r'bpe_ranks["\']?\s*:\s*("(?:[^"\\]|\\.)*")', data.decode()).group(1))
    ranks = {}
    for line in filter(None, body.split("\n")):
        _, first, *texts = line.split(" ")
        ranks.update((base64.b64decode(text), int(first) + i) for i, text in enumerate(texts))
    return ranks


def last_pair(text, ranks):
    """The two parts that merging by ranks joins last to make `text`; None when it makes something else."""
    parts = [text[i : i + 1] for i in range(len(text))]
    while len(parts) > 2:
        rank, at = min((ranks.get(parts[i] + parts[i + 1], len(ranks)), i) for i in range(len(parts) - 1))
        if rank >= ranks[text]:
            return None
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def phi4(data):
    ranks = read_ranks(data)
    pairs = [pair for text in sorted(ranks, key=ranks.get) if len(text) > 1 and (pair := last_pair(text, ranks))]
    show = lambda text: "".join(LETTER[byte] for byte in text)
    names = {i: f"<|dummy_{i}|>" for i in range(100256, 100352)}  # without gaps: the reference numbers added tokens itself
    names |= {100257: "<|endoftext|>", 100264: "<|im_start|>", 100265: "<|im_end|>", 100266: "<|im_sep|>"}
    return {
        "added_tokens": [special(i, name, lstrip=True, rstrip=True) for i, name in names.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(SPLIT_GPT4), {**BYTE_LEVEL, "use_regex": False}]},
        "post_processor": {**BYTE_LEVEL, "trim_offsets": False, "use_regex": True},
        "decoder": {**BYTE_LEVEL, "use_regex": True},
        "model": {"type": "BPE", "vocab": {show(text): rank for text, rank in ranks.items()}, "merges": [f"{show(a)} {show(b)}" for a, b in pairs]},
    }
