#!/usr/bin/env python3
"""What Pillow makes of synthetic images: tests/data/images/resize.txt. Needs Pillow 13.0.0; run by hand.

A line: width height new-width new-height filter crc32. The image: pixel(x, y, c) = (7x + 13y + 29c + 5 ((x y) mod 31)) mod 256.
"""
import random
import zlib
from pathlib import Path

import numpy
import PIL
from PIL import Image

assert PIL.__version__ == "13.0.0", PIL.__version__
NEAREST, LANCZOS, BILINEAR, BICUBIC, BOX, HAMMING = range(6)


def image(width, height):
    y, x, c = numpy.ogrid[0:height, 0:width, 0:3]
    return Image.fromarray(((7 * x + 13 * y + 29 * c + 5 * ((x * y) % 31)) % 256).astype("u1"))


def sizes():
    rng = random.Random(20)
    side = lambda: rng.choice((rng.randint(1, 12), rng.randint(1, 130), rng.randint(100, 400)))
    for _ in range(1000):
        yield side(), side(), side(), side(), rng.choice((BICUBIC,) * 4 + (BILINEAR, BILINEAR, LANCZOS, BOX, HAMMING, NEAREST))
    for width, height in ((640, 480), (480, 640), (480, 1000), (1000, 333), (4000, 30), (30, 4000), (17, 400), (224, 224)):
        for new in ((224, 224), (298, 224), (224, 466)):
            for kind in range(6):
                yield width, height, *new, kind


lines = []
for width, height, new_width, new_height, kind in sizes():
    resized = image(width, height).resize((new_width, new_height), kind)
    lines.append(f"{width} {height} {new_width} {new_height} {kind} {zlib.crc32(resized.tobytes()):08x}\n")
Path(__file__).parent.parent.joinpath("data/images/resize.txt").write_text("".join(lines))
