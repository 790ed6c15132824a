#!/usr/bin/env python3
"""The picture in docs/images.md: drawings made here, what a model finds alike among them. Wants Pillow and numpy.

    perf/images/alike.py MODEL docs/images/alike.png      MODEL: as for millrace embed
"""
import math
import pathlib
import random
import subprocess
import sys
import tempfile

from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[2]
MILLRACE = ROOT / "build/millrace"
COLORS = ["#c0392b", "#2980b9", "#27ae60", "#f1c40f", "#8e44ad", "#2c3e50"]


def stripes(draw, ink, rng):
    step, tilt = rng.randint(24, 40), rng.uniform(-0.6, 0.6)
    for x in range(-480, 960, 2 * step):
        draw.line([(x, 0), (x + 360 * tilt, 360)], fill=ink, width=step)


def discs(draw, ink, rng):
    for _ in range(14):
        x, y, r = rng.randint(0, 480), rng.randint(0, 360), rng.randint(20, 50)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=ink)


def checks(draw, ink, rng):
    side = rng.randint(28, 48)
    for x in range(0, 480, side):
        for y in range(0, 360, side):
            if (x // side + y // side) % 2:
                draw.rectangle([x, y, x + side, y + side], fill=ink)


def waves(draw, ink, rng):
    for y in range(-40, 400, 44):
        phase = rng.uniform(0, 6)
        draw.line([(x, y + 16 * math.sin(x / 30 + phase)) for x in range(0, 481, 6)], fill=ink, width=14)


def main():
    model, picture = sys.argv[1:]
    rng = random.Random(4)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name, "drawings")
        folder.mkdir()
        for kind in (stripes, discs, checks, waves):
            for color in COLORS:
                for i in range(3):
                    image = Image.new("RGB", (480, 360), rng.choice(["#fdf6e3", "#eeeeee", "#dfe6e9"]))
                    kind(ImageDraw.Draw(image), color, rng)
                    image.save(folder / f"{kind.__name__}-{color[1:]}-{i}.jpg", quality=90)
        vectors = pathlib.Path(name, "drawings.h5")
        subprocess.run([MILLRACE, "embed", folder, "-m", model, "-o", vectors, "-q"], check=True)
        subprocess.run([MILLRACE, "neighbors", vectors, "--image", folder / "discs-2980b9-0.jpg", "-k", "9", "--thumbnails", picture], check=True)


if __name__ == "__main__":
    main()
