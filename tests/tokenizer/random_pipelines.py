#!/usr/bin/env python3
"""Tokenizers put together at random, trained on a little text, beside the reference library: the same ids, the same text back?

usage: random_pipelines.py MILLRACE [--count N] [--seed S]      exit code 77 where the reference library is missing
needs: tokenizers 0.23.3

A pipeline that millrace refuses by name counts as such; one that differs is kept in the folder that is printed.
"""
import argparse
import collections
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

TEXTS_PER_PIPELINE = 150
SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "<s>", "</s>"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
ADDED = ["<x>", "hello", "<|im|>", "É", "the", " the", "<mask>", "[MASK]", "ﬁ", "a b"]
FRAGMENTS = ADDED + ["Hello", "E\u0301", " the ", "fi", "  ", "\t", "\n", "１２", "123", "4567", "東京", "の", "😀", "👨‍👩‍👧", "ı", "İ", "ß", "…", "—", "'s", "``", "-", "_",
                     "▁", "\u00ad", "\u200b", "\u3000", "\0", "\x7f", "가", "\u1100\u1161", "क्षि", "ي", "ﷺ", "Ⅷ", "ǅ", "[CLS]", "[UNK]", "</s>", "<0x41>", "tion", ".", "!?",
                     "#", "a" * 30, "\u0301", "\u0327\u0301", "q\u0323\u0307", "\ufeff", "x\u2028y", "\u0085"]
PROSE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text().split("\n\n")


class Maker:
    """One random source; a method per component, None where there is to be none."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        return self.random.choice(choices)

    def flag(self):
        return self.pick(True, False)

    def normalizer(self, depth=0):
        pick, flag = self.pick, self.flag
        made = pick(normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase, normalizers.StripAccents, normalizers.Nmt,
                    lambda: None,
                    lambda: normalizers.Strip(left=flag(), right=flag()),
                    lambda: normalizers.Replace(pick(" ", "e", "a", "the", "``"), pick("▁", "", "xx", '"')),
                    lambda: normalizers.Replace(Regex(pick(" {2,}", r"\s+", "[0-9]", "[aeiou]+")), pick(" ", "▁", "#", "")),
                    lambda: normalizers.Prepend(pick("▁", "x", " ")),
                    lambda: normalizers.BertNormalizer(clean_text=flag(), handle_chinese_chars=flag(), strip_accents=pick(True, False, None), lowercase=flag()),
                    lambda: self.sequence(normalizers.Sequence, self.normalizer, depth))()
        return made

    def pre_tokenizer(self, depth=0):
        pick, flag = self.pick, self.flag
        made = pick(pre_tokenizers.BertPreTokenizer, pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit, lambda: None,
                    lambda: pre_tokenizers.ByteLevel(add_prefix_space=flag(), use_regex=flag()),
                    lambda: pre_tokenizers.Split(Regex(pick(r"\s+", r"'s|'t|\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]+|\s+", "[A-Z]", r"\p{Han}", r"\w+|[^\w\s]+", r"\b\w", r"\W+", r"[\w.]+\B")), pick(*BEHAVIORS), invert=flag()),
                    lambda: pre_tokenizers.Split(pick(" ", "e", "the", "-"), pick(*BEHAVIORS), invert=flag()),
                    lambda: pre_tokenizers.Metaspace(replacement=pick("▁", "_"), prepend_scheme=pick("always", "never", "first"), split=flag()),
                    lambda: pre_tokenizers.Digits(individual_digits=flag()),
                    lambda: pre_tokenizers.Punctuation(behavior=pick(*BEHAVIORS)),
                    lambda: pre_tokenizers.CharDelimiterSplit(pick(" ", "e")),
                    lambda: self.sequence(pre_tokenizers.Sequence, self.pre_tokenizer, depth))()
        return made

    def sequence(self, kind, component, depth):
        parts = [component(depth + 1) for _ in range(self.random.randint(1, 3))] if depth < 2 else []
        parts = [part for part in parts if part is not None]
        return kind(parts) if parts else None

    def decoder(self):
        pick, flag = self.pick, self.flag
        return pick(decoders.ByteLevel, decoders.Fuse, decoders.ByteFallback, lambda: None,
                    lambda: decoders.WordPiece(prefix="##", cleanup=flag()),
                    lambda: decoders.Metaspace(replacement="▁", prepend_scheme=pick("always", "never", "first")),
                    lambda: decoders.BPEDecoder(suffix="</w>"),
                    lambda: decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", pick(0, 1), pick(0, 1))]))()

    def model(self):
        size = self.pick(200, 500, 1500)
        common = dict(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
        return self.pick(
            lambda: (models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=self.pick(20, 100)), trainers.WordPieceTrainer(**common)),
            lambda: (models.BPE(unk_token="[UNK]", fuse_unk=self.flag(), ignore_merges=self.flag()),
                     trainers.BpeTrainer(**common, initial_alphabet=self.pick([], pre_tokenizers.ByteLevel.alphabet()))),
            lambda: (models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"), trainers.BpeTrainer(**common, end_of_word_suffix="</w>")),
            lambda: (models.BPE(unk_token="[UNK]", fuse_unk=self.flag(), byte_fallback=True),
                     trainers.BpeTrainer(**dict(common, vocab_size=size + 256, special_tokens=SPECIAL + [f"<0x{i:02X}>" for i in range(256)]))),
            lambda: (models.Unigram(), trainers.UnigramTrainer(**common, unk_token="[UNK]")),
            lambda: (models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(**common)))()

    def post_processor(self, tokenizer):
        flag = self.flag
        cls, sep = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        template = lambda single: processors.TemplateProcessing(single=single, pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[cls, sep])
        return self.pick(lambda: None,
                         lambda: template(self.pick("[CLS] $A [SEP]", "$A [SEP]", "[CLS] [CLS] $A")),
                         lambda: processors.BertProcessing(sep, cls),
                         lambda: processors.RobertaProcessing(sep, cls, trim_offsets=flag(), add_prefix_space=flag()),
                         lambda: processors.ByteLevel(trim_offsets=flag()),
                         lambda: processors.Sequence([processors.ByteLevel(trim_offsets=False), template("[CLS] $A [SEP]")]))()

    def tokenizer(self):
        model, trainer = self.model()
        made = Tokenizer(model)
        for name in ("normalizer", "pre_tokenizer"):
            part = getattr(self, name)()
            if part is not None:
                setattr(made, name, part)
        made.train_from_iterator(self.random.sample(PROSE, min(60, len(PROSE))), trainer)
        for name, part in [("post_processor", self.post_processor(made)), ("decoder", self.decoder())]:
            if part is not None:
                setattr(made, name, part)
        for _ in range(self.random.randint(0, 3)):
            token = AddedToken(self.pick(*ADDED), single_word=self.flag(), lstrip=self.flag(), rstrip=self.flag(), normalized=self.flag())
            (made.add_tokens if self.flag() else made.add_special_tokens)([token])
        return made

    def text(self):
        prose = self.random.choice(PROSE)
        start = self.random.randrange(len(prose) + 1)
        if self.pick(True, False, False):
            return prose[start:start + self.random.randint(1, 120)]
        return "".join(self.pick(self.random.choice(FRAGMENTS), " ", prose[start:start + self.random.randint(1, 6)]) for _ in range(self.random.randint(0, 14)))


def run(millrace, directory, records, *options):
    """What `millrace tokenize` answers, a dictionary a record; or the reason why the tokenizer is refused."""
    (directory / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    done = subprocess.run([millrace, "tokenize", directory / "in.jsonl", "-m", directory, "--json", *options], capture_output=True, text=True, check=False, timeout=120)
    lines = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    return lines if len(lines) == len(records) else done.stderr.strip()


def reference(call):
    """None where the reference itself fails on a text."""
    try:
        return call()
    except BaseException as failure:  # pyo3's panic is no Exception
        if isinstance(failure, KeyboardInterrupt):
            raise
        return None


def compare(millrace, directory, texts):
    """(refusal, difference): at most one is not None."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    for special in (False, True):
        expected = [reference(lambda: tokenizer.encode(text, add_special_tokens=special).ids) for text in texts]
        got = run(millrace, directory, [{"text": text} for text in texts], *[] if special else ["--no-special-tokens"])
        if isinstance(got, str):
            return got, None
        for text, ids, line in zip(texts, expected, got):
            if ids is not None and line.get("ids") != ids:
                return None, f"{text!r}: {line}, expected {ids}"
    known = [ids for ids in expected if ids]
    got = run(millrace, directory, [{"ids": ids} for ids in known], "--decode")
    for ids, line in zip(known, got):
        text = reference(lambda: tokenizer.decode(ids, skip_special_tokens=False))
        if text is not None and line.get("text") != text:
            return None, f"{ids}: {line}, expected {text!r}"
    return None, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("millrace")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    maker = Maker(options.seed)
    kept = pathlib.Path(tempfile.mkdtemp(prefix="random_pipelines."))
    refusals, wrong = collections.Counter(), 0
    for n in range(options.count):
        directory = kept / str(n)
        directory.mkdir()
        maker.tokenizer().save(str(directory / "tokenizer.json"))
        refusal, difference = compare(options.millrace, directory, [maker.text() for _ in range(TEXTS_PER_PIPELINE)])
        if difference:
            wrong += 1
            print(f"{directory}: {difference}", flush=True)
            continue
        if refusal:
            refusals[re.sub(".*json: ", "", refusal)] += 1
        shutil.rmtree(directory)
    for refusal, count in refusals.most_common():
        print(f"refused {count} times: {refusal}")
    print(f"{options.count} pipelines, {sum(refusals.values())} refused, {wrong} differ")
    if not wrong:
        shutil.rmtree(kept)
    return 1 if wrong or sum(refusals.values()) > options.count / 2 else 0


if __name__ == "__main__":
    sys.exit(main())
