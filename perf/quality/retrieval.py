#!/usr/bin/env python3
"""Does a lower precision find what f32 finds? Every package's title is searched among all long descriptions (without the title).

Per precision class: recall@1, recall@10 and mean reciprocal rank of the title's own description; how many of f32's ten nearest
are among its ten nearest; and the cosine between its vectors and f32's. Ends with 1 when a class's recall or rank differs from
f32's by more than --tolerance. Needs numpy and, unless --corpus is given, apt (tools/make-corpus).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRECISIONS = ["f32", "bf16", "int8"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2", help="key or folder (default %(default)s)")
    parser.add_argument("--corpus", type=pathlib.Path, help="JSON lines with id, title, text (default: Debian's descriptions)")
    parser.add_argument("--limit", type=int, default=3000, help="packages (default 3000)")
    parser.add_argument("--tolerance", type=float, default=0.005, help="largest difference from f32 (default 0.005)")
    parser.add_argument("--millrace", type=pathlib.Path, default=ROOT / "build/millrace")
    return parser.parse_args()


def read_corpus(options, scratch):
    """[(title, long description)]"""
    path = options.corpus
    if not path:
        path = scratch / "corpus.jsonl"
        subprocess.run([ROOT / "tools/make-corpus", "-n", str(options.limit), "-o", path], check=True, stdout=sys.stderr)
    pairs, seen = [], set()
    for line in path.open():
        record = json.loads(line)
        title, _, description = record["text"].partition("\n")
        if description and title not in seen and description not in seen:  # two packages of one text cannot be told apart
            pairs.append((title, description))
            seen.update((title, description))
    return pairs[:options.limit]


def embed(options, scratch, texts, name, precision):
    """[texts, dimension], of length 1"""
    source, target, array = scratch / f"{name}.jsonl", scratch / f"{name}-{precision}.h5", scratch / f"{name}-{precision}.npy"
    source.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
    subprocess.run([options.millrace, "embed", source, "-m", options.model, "-o", target, "--precision", precision, "-q"], check=True)
    subprocess.run([options.millrace, "export", target, "--to", "npy", "-o", array], check=True, stdout=subprocess.DEVNULL)
    vectors = numpy.load(array).astype(numpy.float32)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def measure(queries, documents):
    scores = queries @ documents.T
    own = numpy.diagonal(scores)
    ranks = 1 + (scores > own[:, None]).sum(axis=1)
    nearest = numpy.argpartition(-scores, 10, axis=1)[:, :10]
    return {"recall@1": (ranks <= 1).mean(), "recall@10": (ranks <= 10).mean(), "MRR": (1 / ranks).mean()}, nearest


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        pairs = read_corpus(options, scratch)
        print(f"{options.model}: {len(pairs)} titles, each searched among {len(pairs)} descriptions\n")
        print("| precision | recall@1 | recall@10 | MRR | of f32's ten nearest | least and mean cosine to f32 |\n|---|---|---|---|---|---|")
        exact, worst = None, 0
        for precision in PRECISIONS:
            queries = embed(options, scratch, [title for title, _ in pairs], "titles", precision)
            documents = embed(options, scratch, [text for _, text in pairs], "descriptions", precision)
            numbers, nearest = measure(queries, documents)
            if exact is None:
                exact = numbers, nearest, documents
            overlap = numpy.mean([len(set(a) & set(b)) / 10 for a, b in zip(nearest, exact[1])])
            cosines = (documents * exact[2]).sum(axis=1)
            worst = max(worst, *(abs(numbers[key] - exact[0][key]) for key in numbers))
            print(f"| {precision} | {numbers['recall@1']:.4f} | {numbers['recall@10']:.4f} | {numbers['MRR']:.4f} | {overlap:.4f} | "
                  f"{cosines.min():.6f}, {cosines.mean():.6f} |", flush=True)
        print(f"\nlargest difference from f32: {worst:.4f}, allowed {options.tolerance}")
        sys.exit(0 if worst <= options.tolerance else 1)


main()
