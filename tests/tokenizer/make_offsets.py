#!/usr/bin/env python3
"""Write tests/data/tokenizer/offsets.json: where the reference (`tokenizers`) says the tokens of strings.jsonl.gz come from.

usage: make_offsets.py           needs the package `tokenizers` 0.23
For every case a CRC-32 over each hundred strings: the tokens' first and last byte (the reference counts characters), as
little-endian u32, without special tokens.
"""
import gzip
import json
import os
import struct
import zlib

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "tokenizer")


def read_json(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def altered(base, changes):
    """README.md beside the data says how a case "base+change" is made."""
    made, ids = json.loads(json.dumps(base)), {token["content"]: token["id"] for token in base["added_tokens"]}

    def resolve(value):
        if isinstance(value, str) and value.startswith("@"):
            return base[value[1:]] if value[1:] in base else ids[value[1:]]
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return {key: resolve(item) for key, item in value.items()} if isinstance(value, dict) else value

    for path, value in changes.items():
        *way, last = path.split(".")
        at = made
        for key in way:
            at = at[int(key)] if isinstance(at, list) else at[key]
        if last == "+":
            at.extend(resolve(value))
        else:
            at[int(last) if isinstance(at, list) else last] = resolve(value)
    return made


def checksums(tokenizer, strings):
    sums = []
    for first in range(0, len(strings), 100):
        crc = 0
        for text in strings[first:first + 100]:
            places = [0]
            for character in text:
                places.append(places[-1] + len(character.encode("utf-8")))
            for start, end in tokenizer.encode(text, add_special_tokens=False).offsets:
                crc = zlib.crc32(struct.pack("<II", places[start], places[end]), crc)
        sums.append("%08x" % crc)
    return sums


def main():
    from tokenizers import Tokenizer
    with gzip.open(os.path.join(FOLDER, "strings.jsonl.gz"), "rt", encoding="utf-8") as file:
        strings = [json.loads(line)["text"] for line in file]
    changes = read_json(os.path.join(FOLDER, "mods.json"))
    made = {}
    for name in sorted(os.listdir(FOLDER)):
        path = os.path.join(FOLDER, name.split("+")[0], "tokenizer.json.gz")
        if not os.path.isdir(os.path.join(FOLDER, name)) or not os.path.exists(path):
            continue
        definition = read_json(path)
        if "+" in name:
            definition = altered(definition, changes[name])
        tokenizer = Tokenizer.from_str(json.dumps(definition))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        made[name] = checksums(tokenizer, strings)
    with open(os.path.join(FOLDER, "offsets.json"), "w", encoding="utf-8") as file:
        json.dump(made, file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main()
