"""The tables and the picture of `alternatives.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOOKS = {
    "light": ("#D55E00", "o"),
    "default": ("#0072B2", "s"),
    "egemaps": ("#009E73", "^"),
    "compare": ("#CC79A7", "v"),
    "librosa": ("#8A7000", "D"),
    "wav2vec2": ("#555555", "x"),
}
"""Colours that colour-blind people tell apart, and markers."""

PROTOCOLS = {
    "emodb": "EmoDB, 7 emotions, one speaker left out",
    "ravdess": "RAVDESS, 8 emotions, 5 folds of speakers",
    "corpora": "one corpus left out, 4 emotions",
}


def markdown(figures: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Both tables, with what they were measured on."""
    parts = []
    if "costs" in figures:
        parts.append(_costs(figures["costs"], names))
    if "accuracy" in figures:
        parts.append(_accuracy(figures["accuracy"], names))
    return "\n\n".join(parts)


def _costs(costs: Mapping[str, Any], names: Mapping[str, str]) -> str:
    lines = [
        f"{costs['machine']}, Python {costs['python']}; {costs['clips']} clips, {costs['audio_seconds']:.0f} s of "
        f"speech; {', '.join(sorted({row['date'] for row in costs['rows'].values()}))}.",
        "",
        "| | first answer, s | clips a second | times real time | peak memory, MB | 30 s clip: s, MB | packages, MB "
        "| model, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in costs["rows"].items():
        long = f"{row['cpu_seconds_by_length'][-1]:.2f}, {row['peak_mb_by_length'][-1]:.0f}"
        model = f"{row['model_bytes'] / 1e6:.2f}" if row["model_bytes"] else "in packages"
        cells = (
            f"{row['first_answer_cpu_seconds']:.2f}",
            f"{row['clips_per_cpu_second']:.1f}",
            f"{row['times_real_time']:.0f}",
            f"{row['peak_mb']:.0f}",
            long,
            f"{row['packages_bytes'] / 1e6:.0f}",
            "none" if name == "librosa" else model,
        )
        lines.append(f"| {names[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _accuracy(found: Mapping[str, Any], names: Mapping[str, str]) -> str:
    protocols = [name for name in PROTOCOLS if name in found]
    lines = [
        "UA in percent, mean of folds: clips as they are / standardised by their own speaker or corpus without labels.",
        "",
        "| | " + " | ".join(PROTOCOLS[name] for name in protocols) + " |",
        "|---|" + "---:|" * len(protocols),
    ]
    for kind, name in names.items():
        cells = ["cost only" if kind == "wav2vec2" else _cell(found[protocol].get(kind)) for protocol in protocols]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    for protocol in protocols:
        for kind, row in found[protocol].items():
            if isinstance(row, Mapping) and "from" in row:
                of = f", of {row['date']}" if "date" in row else ""
                lines.append(f"- {protocol}, `{kind}`: {row['from']}{of}")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not run"
    plain = row["plain"]
    adapted = next((value for level, value in row.items() if level in ("speaker", "collection")), None)
    if "mean" not in plain:  # some corpora alone
        return ", ".join(
            f"{corpus} {100 * value:.1f}" + (f" / {100 * adapted[corpus]:.1f}" if adapted else "")
            for corpus, value in plain.items()
        )
    return f"{100 * plain['mean']:.1f}" + (f" / {100 * adapted['mean']:.1f}" if adapted else "")


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Growth with length, with files and with processes, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot, ticker

    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "serotone"
    costs = figures["costs"]
    picture, (by_length, by_files, by_processes) = pyplot.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for name, row in costs["rows"].items():
        colour, marker = LOOKS[name]
        look = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.2, "label": name}
        by_length.plot(costs["lengths"], row["cpu_seconds_by_length"], **look)
        counts = [n for n in (1, 3, 10, 30, 100) if n <= costs["clips"]]
        spent = row["cpu_seconds_by_clip"]
        totals = [row["first_answer_cpu_seconds"] + sum(spent[1:n]) for n in counts]
        by_files.plot(counts, totals, **look)
        together = {int(count): speed for count, speed in row["clips_per_clock_second_by_processes"].items()}
        by_processes.plot(list(together), list(together.values()), **look)
    for axes, title, label in (
        (by_length, "one clip", "seconds of the clip"),
        (by_files, "start and clips", "clips"),
    ):
        axes.set(title=title, xlabel=label, ylabel="seconds of the processor", xscale="log", yscale="log")
    load = max(row["load_average"] for row in costs["rows"].values())
    by_processes.set(title=f"several processes (load up to {load:.0f})", xlabel="processes", yscale="log")
    by_processes.set(ylabel="clips a second of the clock")
    by_length.set_xticks(costs["lengths"])
    by_files.set_xticks(counts)
    by_processes.set_xticks(range(1, 1 + max(map(int, together))))
    for axes in (by_length, by_files, by_processes):
        axes.grid(alpha=0.25, which="major")
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    picture.legend(*by_length.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    picture.savefig(path, metadata={"Date": None})
