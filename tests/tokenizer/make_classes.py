#!/usr/bin/env python3
"""Write tests/data/tokenizer/classes.json: which characters the reference's regular expressions match.

usage: make_classes.py           needs the package `tokenizers` 0.23
For every pattern, and a text in front of the character, SHA-256 of one byte for each code point, surrogates left out: 1 where
the pattern matches at the beginning of the text, else 0.
"""
import hashlib
import json
import os

PATTERNS = [("", r"\w"), ("", r"\W"), ("", r"[\w]"), ("", r"[^\w]"), ("", r"[^\w\s]"), ("", r"(?i:\w)"), ("", r"(?i:[\w])"), ("", r"(?i:\W)"), ("", r"\b.\b"), ("a", r"a\b"), ("a", r"a\B"),
            ("-", r"-\b"), ("-", r"-\B"), ("", r"\s"), ("", r"\S"), ("", r"\d"), ("", r"\p{L}"), ("", r"\p{N}"), ("", r"[^\p{P}\p{S}]"), ("", r"\p{Han}")]
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "tokenizer", "classes.json")


def matched(split, text):
    """The matches are taken out of what is left."""
    left = split.pre_tokenize_str(text)
    return not left or left[0][1][0] > 0


def main():
    from tokenizers import Regex, pre_tokenizers
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
    classes = []
    for before, pattern in PATTERNS:
        split = pre_tokenizers.Split(Regex(pattern), "removed")
        found = bytes(matched(split, before + point) for point in points)
        classes.append({"before": before, "pattern": pattern, "count": sum(found), "sha256": hashlib.sha256(found).hexdigest()})
        print(classes[-1])
    with open(PATH, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(entry) for entry in classes) + "\n]\n")


if __name__ == "__main__":
    main()
