#!/usr/bin/python3
"""Does the memory of a job depend on its input? Runs a tiny model over a million short records and over ten thousand long
ones, watches the resident set size, draws both as an SVG and fails when either grows or passes its plan, or a row is missing.

    perf/memory/flat_memory.py build/millrace [--short 1000000] [--long 10000] [--svg docs/memory.svg]
    perf/memory/flat_memory.py build/millrace --images      # a tar of small JPEGs and a folder of large ones; wants Pillow"""
import argparse
import io
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests/data"
TEXT_MODEL, IMAGE_MODEL = DATA / "golden/minilm", DATA / "vision/clip-legacy"
MIB = 1 << 20
WORDS = "river stone light paper seven under green market tower glass the of and a to in".split()
LONG_BYTES = 50_000
GROWTH = 1.15  # the mean later in the run over that earlier: an allocator's own ups and downs
IMAGES_IN_FLIGHT = 480 * 224 * 224 * 3  # how many of them are there just then depends on which stage gets the cores


def write_corpus(path, count, length):
    """Texts of about `length` bytes, half as long to half as long again."""
    chance = random.Random(1)
    pool = " ".join(chance.choice(WORDS) for _ in range(length))
    with open(path, "w") as file:
        for i in range(count):
            start = chance.randrange(len(pool) // 2)
            file.write(json.dumps({"id": f"r{i}", "text": pool[start : start + chance.randint(length // 2, length * 3 // 2)]}) + "\n")


def jpeg(width, height, seed):
    from PIL import Image

    noise = Image.effect_noise((width // 8, height // 8), 60 + seed % 16).resize((width, height), Image.BICUBIC)
    out = io.BytesIO()
    Image.merge("RGB", [noise, noise.transpose(Image.ROTATE_180), noise.transpose(Image.FLIP_LEFT_RIGHT)]).save(out, "jpeg", quality=88)
    return out.getvalue()


def write_tar(path, count):
    some = [jpeg(160, 120, seed) for seed in range(16)]
    with tarfile.open(path, "w") as tar:
        for i in range(count):
            member = tarfile.TarInfo(f"{i:06}.jpg")
            member.size = len(some[i % len(some)])
            tar.addfile(member, io.BytesIO(some[i % len(some)]))


def write_folder(path, count):
    path.mkdir()
    some = [jpeg(4000, 3000, seed) for seed in range(4)]
    for i in range(count):
        (path / f"{i:03}.jpg").write_bytes(some[i % len(some)])


def text_cases(folder, short, long):
    for name, count, length in ((f"{short:,} short records", short, 60), (f"{long:,} long records", long, LONG_BYTES)):
        write_corpus(folder / "corpus.jsonl", count, length)
        yield name, count, folder / "corpus.jsonl", TEXT_MODEL, "300M"


def image_cases(folder):
    write_tar(folder / "small.tar", 20_000)
    yield "a tar of 20,000 JPEGs of 160 x 120", 20_000, folder / "small.tar", IMAGE_MODEL, "400M"
    write_folder(folder / "large", 200)
    yield "200 JPEGs of 4000 x 3000", 200, folder / "large", IMAGE_MODEL, "2G"


def resident(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def watch(millrace, corpus, count, model, limit, out):
    command = [millrace, "embed", corpus, "-m", model, "-o", out, "--memory-limit", limit]
    plan = json.loads(subprocess.run([*command, "--plan", "--json"], check=True, capture_output=True).stdout)
    process = subprocess.Popen([*command, "-q"], stderr=subprocess.PIPE)
    begun, samples = time.monotonic(), []
    while process.poll() is None:
        samples.append((time.monotonic() - begun, resident(process.pid)))
        time.sleep(max(0.02, min(0.2, samples[-1][0] / 300)))
    if process.returncode != 0:
        sys.exit(process.stderr.read().decode())
    rows = json.loads(subprocess.run([millrace, "inspect", out, "--json"], check=True, capture_output=True).stdout)["rows"]
    if rows != count:
        sys.exit(f"{rows} rows of {count}")
    samples = [sample for sample in samples if sample[1]]
    thin = max(1, len(samples) // 1500)  # keeps every peak
    return [max(samples[i : i + thin], key=lambda sample: sample[1]) for i in range(0, len(samples), thin)], plan["memory_total"]


def check(name, samples, planned, in_flight):
    seconds, peak = samples[-1][0], max(size for _, size in samples)
    early, late, end = (statistics.mean(size for at, size in samples if seconds * first <= at <= seconds * last) for first, last in ((0.25, 0.5), (0.5, 0.9), (0.9, 1)))
    print(f"{name}: {seconds:.0f} s; MiB on average in the second quarter {early / MIB:.0f}, from half to nine tenths {late / MIB:.0f}, at the end, where the "
          f"index of ids is sorted, {end / MIB:.0f}; at most {peak / MIB:.0f}; plan {planned / MIB:.0f}", flush=True)
    return late <= early * GROWTH + in_flight and peak <= planned


def draw(path, curves):
    """Share of the run across, MiB up."""
    width, height, left, bottom = 720, 300, 60, 40
    top = max(planned for _, _, planned in curves) * 1.1
    x = lambda share: left + share * (width - left - 20)
    y = lambda size: height - bottom - size / top * (height - bottom - 30)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>']
    for mib in range(0, int(top / MIB), 50):
        lines.append(f'<line x1="{left}" x2="{width - 20}" y1="{y(mib * MIB):.1f}" y2="{y(mib * MIB):.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{y(mib * MIB) + 4:.1f}" text-anchor="end">{mib}</text>')
    for i, (name, samples, planned) in enumerate(curves):
        color = ("#1f6fb4", "#c4521a")[i]
        points = " ".join(f"{x(at / samples[-1][0]):.1f},{y(size):.1f}" for at, size in samples)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>'
                     f'<line x1="{left}" x2="{width - 20}" y1="{y(planned):.1f}" y2="{y(planned):.1f}" stroke="{color}" stroke-dasharray="4 4"/>'
                     f'<text x="{left + 10 + 330 * i}" y="18" fill="{color}">{name}, {samples[-1][0]:.0f} s (dashed: its plan)</text>')
    lines.append(f'<text x="{width / 2}" y="{height - 10}" text-anchor="middle">share of the run; MiB of resident memory up</text></svg>')
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("--short", type=int, default=1_000_000)
    parser.add_argument("--long", type=int, default=10_000)
    parser.add_argument("--images", action="store_true", help="images instead of texts")
    parser.add_argument("--svg")
    arguments = parser.parse_args()
    curves, good = [], True
    with tempfile.TemporaryDirectory(prefix="millrace-memory-") as folder:
        folder = pathlib.Path(folder)
        cases = image_cases(folder) if arguments.images else text_cases(folder, arguments.short, arguments.long)
        for i, (name, count, corpus, model, limit) in enumerate(cases):
            samples, planned = watch(arguments.millrace, corpus, count, model, limit, folder / f"{i}.h5")
            good = check(name, samples, planned, IMAGES_IN_FLIGHT if arguments.images else 0) and good
            curves.append((name, samples, planned))
    if arguments.svg:
        draw(arguments.svg, curves)
    sys.exit(0 if good else "memory grows with the input, or is beyond its plan")


if __name__ == "__main__":
    main()
