"""Prometheus' text format 0.0.4, strictly (https://prometheus.io/docs/instrumenting/exposition_formats/): what a scraper accepts, and
the conventions `promtool check metrics` asks for."""
import re

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def parse_labels(text, where):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"{where}: bad labels"
        assert match[1] not in labels, f"{where}: label twice"
        labels[match[1]] = match[2]
        at = match.end()
    return labels


def check_histogram(name, series):
    """`series`: (sample name, labels, value) of one family."""
    buckets, sums, counts = {}, {}, {}
    for sample, labels, value in series:
        rest = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        if sample == name + "_bucket":
            buckets.setdefault(rest, []).append((float(labels["le"]), value))
        else:
            assert sample in (name + "_sum", name + "_count"), f"{sample}: not of a histogram"
            (sums if sample == name + "_sum" else counts)[rest] = value
    assert buckets.keys() == sums.keys() == counts.keys(), f"{name}: buckets, sum and count do not belong together"
    for rest, steps in buckets.items():
        bounds, values = zip(*steps)
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), f"{name}: bounds"
        assert list(values) == sorted(values) and values[-1] == counts[rest], f"{name}: buckets fall, or do not end at the count"


def parse(text):
    """{family: [(sample, labels, value)]}; AssertionError for anything a strict reader would not have."""
    families, types, seen, family = {}, {}, set(), None
    assert text.endswith("\n"), "no newline at the end"
    for number, line in enumerate(text.splitlines(), 1):
        where = f"line {number}: {line!r}"
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in families and len(line.split(" ", 3)[3]) > 0, f"{where}: twice, or without text"
            families[family] = []
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and name not in types and not families[name], f"{where}: not right behind its HELP"
            assert kind in ("counter", "gauge", "histogram"), where
            assert (kind == "counter") == name.endswith("_total"), f"{where}: counters, and only they, end in _total"
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"{where}: no sample"
            name, labels, value = match[1], parse_labels(match[2] or "", where), float(match[3])
            allowed = (family + "_bucket", family + "_sum", family + "_count") if types.get(family) == "histogram" else (family,)
            assert name in allowed, f"{where}: not of the family above it"
            assert types[family] != "counter" or value >= 0, f"{where}: a negative counter"
            key = (name, tuple(sorted(labels.items())))
            assert key not in seen, f"{where}: twice"
            seen.add(key)
            families[family].append((name, labels, value))
    assert families.keys() == types.keys(), "HELP without TYPE"
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, families[name])
    return families
