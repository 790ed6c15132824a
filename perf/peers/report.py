"""The results of a run as a table and as a picture."""

HEADER = ("", "texts/s", "tokens/s", "x millrace", "seconds", "load, s", "peak RSS, MiB", "cosine min", "cosine mean")


def rows(results):
    """One row a contender, fastest first; the median run counts."""
    ours = results["contenders"]["millrace"]
    for name, entry in sorted(results["contenders"].items(), key=lambda item: item[1]["seconds"]):
        ratio = f"{ours['seconds'] / entry['seconds']:.2f}"
        yield (name, f"{results['texts'] / entry['seconds']:.1f}", f"{results['tokens'] / entry['seconds']:.0f}", ratio,
               f"{entry['seconds']:.2f}", f"{entry['load_seconds']:.2f}" if entry["load_seconds"] is not None else "within",
               f"{entry['peak_rss'] / 2**20:.0f}", f"{entry['cosine_min']:.8f}", f"{entry['cosine_mean']:.8f}")


def conditions(results):
    return (f"{results['cpu']}, {results['threads']} threads; {results['texts']} texts, {results['tokens']} tokens after truncation "
            f"at {results['max_tokens']}; {results['precision']}; {results['date']}, median of {results['repeat']} interleaved runs, load average "
            f"of the machine before them {results['load_before']:.1f}. "
            f"{results['versions']}. Peers: loading and warm-up left out, texts in memory, vectors left in memory. millrace: the whole "
            "command, from its start to the finished HDF5 file, loading included. "
            f"Cosine: against float32 torch without padding, {results['compared']} texts.")


def markdown(results):
    lines = ["| " + " | ".join(HEADER) + " |", "|---" + "|---:" * (len(HEADER) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    return "\n".join(lines) + "\n\n" + conditions(results) + "\n"


def picture(results, path):
    import textwrap

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = list(rows(results))[::-1]
    rates = [float(row[1]) for row in table]
    figure, axes = pyplot.subplots(figsize=(8, 1.6 + 0.5 * len(table)))
    bars = axes.barh([row[0] for row in table], rates, color=["#c2410c" if row[0] == "millrace" else "#94a3b8" for row in table])
    axes.bar_label(bars, labels=[f"{row[1]} ({row[6]} MiB)" for row in table], padding=4)
    axes.set_xlim(0, max(rates) * 1.25)
    axes.set_xlabel("texts/s (peak resident memory)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.01, 0.01, "\n".join(textwrap.wrap(conditions(results), 190)), fontsize=5.5, color="#475569")
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, dpi=150)
