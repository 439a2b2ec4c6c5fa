"""Put what was measured of a finished bundle into its card.

    python tools/add_to_card.py BUNDLE FILE.json ...

A file is what `benchmarks/strangers.py` or `benchmarks/robustness.py` wrote. Its tables stand in CARD.md before the
section "Limits", in place of those that an earlier call put there; size and hash in bundle.json follow. The graph stays
as it is.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from serotone.files import write_text
from serotone.recognition.loading import load_bundle

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
UNGIVEN = re.compile(r"## Figures\n\nNo cross-validation was given to this card[^\n]*\n+")


def main() -> None:
    """Rewrite the card, then the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("file", type=Path, nargs="+")
    given = parser.parse_args()
    sections = [_section(json.loads(path.read_text(encoding="utf-8")), path) for path in given.file]
    card, manifest = given.bundle / "CARD.md", given.bundle / "bundle.json"
    text = card.read_text(encoding="utf-8")
    text = re.sub(f"{BEGIN}.*?{END}\n+", "", UNGIVEN.sub("", text), flags=re.DOTALL)
    measured = "\n".join([BEGIN, *sections, END, "", ""])
    if text.count("## Limits\n") != 1:
        raise SystemExit(f"{card}: expected one section 'Limits' to put the tables before")
    write_text(card, text.replace("## Limits\n", f"{measured}## Limits\n"))
    content = card.read_bytes()
    stated = json.loads(manifest.read_text(encoding="utf-8"))
    stated["files"]["CARD.md"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    write_text(manifest, json.dumps(stated, indent=2, ensure_ascii=False) + "\n")
    print(f"{given.bundle}: {len(sections)} measurements in its card; sha256 {load_bundle(given.bundle).sha256}")


def _section(found: Mapping[str, Any], path: Path) -> str:
    kind = str(found.get("section", "robustness" if "conditions" in found else ""))
    if kind not in SECTIONS:
        raise SystemExit(f"{path}: neither a section of strangers.py that a card shows ({', '.join(SECTIONS)})")
    return "\n".join(SECTIONS[kind](found)) + "\n"


def _speakers(found: Mapping[str, Any]) -> list[str]:
    """One corpus by speaker-independent folds."""
    lines = [
        f"## {found['corpus']}, {len(found['labels'])} classes, {found['protocol']}",
        "",
        f"{found['folds']} folds, seed {found['seed']}, {found['date']}. {_what_trained(found)}",
        "",
        "| level, strength | UA pooled | UA mean ± SD of folds | ECE |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {name} | {row['ua_pooled']:.1%} | {row['ua_mean_of_folds']:.1%} ± {100 * row['ua_sd_of_folds']:.1f} |"
        f" {row['ece_cross_fitted']:.1%} |"
        for name, row in found["rows"].items()
    ]


def _what_trained(found: Mapping[str, Any]) -> str:
    """What was trained in a fold."""
    if "start" not in found:
        return "The same frozen layers, a head for these classes."
    start = found["start"]
    before = f" that had been distilled on {', '.join(start['corpora'])}" if start else ""
    return (
        f"In each fold an encoder{before} was distilled on the training speakers, and a head for these classes solved"
        " on them: nothing has heard a test speaker. *speaker*: standardised by the corpus, then by each speaker,"
        " without labels."
    )


def _corpora(found: Mapping[str, Any]) -> list[str]:
    """The recipe on each of several corpora, trained on the others."""
    names = [name for name in found["ua"]["plain"] if name != "mean"]
    lines = [
        "## The recipe on corpora that trained nothing",
        "",
        "UA among angry, happy, neutral and sad, or those that a corpus has, by a head trained on all other corpora of"
        f" the table (seed {found['seed']}, {found['date']}). *20 recordings*: standardised by 20 random unlabelled"
        f" ones, mean of {found['draws']} draws.",
        *(
            f"Labels exchanged: {', '.join(found['exchanged'])} (see docs/bundles.md)."
            for _ in [0]
            if found.get("exchanged")
        ),
        "",
        f"| | mean | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    return lines + [
        f"| {level} | {row['mean']:.1%} | {' | '.join(f'{row[name]:.1%}' for name in names)} |"
        for level, row in found["ua"].items()
    ]


def _calibration(found: Mapping[str, Any]) -> list[str]:
    """How honest confidence is on corpora that trained nothing and chose no temperature."""
    names = list(found["levels"]["plain"]["by_group"])
    lines = [
        "## Confidence on corpora that trained nothing",
        "",
        "Expected calibration error of free answers, over all labels, at the temperature that all other corpora of the"
        f" table ask for (seed {found['seed']}, {found['date']}). *pooled*: all answers together.",
        "",
        f"| | pooled | mean | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for level, row in found["levels"].items():
        cells = " | ".join(f"{row['by_group'][name]:.1%}" for name in names)
        lines.append(f"| {level} | {row['pooled']:.1%} | {row['mean']:.1%} | {cells} |")
    return lines


def _robustness(found: Mapping[str, Any]) -> list[str]:
    """The bundle itself on recordings that were made worse."""
    used = ", ".join(f"{name} ({about['speakers']} speakers)" for name, about in found["selection"].items())
    clean = found["clean"]
    lines = [
        "## Robustness",
        "",
        f"This bundle, plain, on {used}: {clean['clips']} clips as recorded, UA {clean['ua']:.1%}"
        f" (chance {clean['chance']:.1%}); seed {found['seed']}, {found['date']}. *kept*: clips that keep their label.",
        "",
        "| condition | clips | UA | UA as recorded | kept | no label |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['clips']} | {row['ua']:.1%} | {row['ua_clean']:.1%} | {_share(row['same_label'])} |"
        f" {_share(row['no_label'])} |"
        for name, row in found["conditions"].items()
    ]
    lines += ["", "| | clips | UA |", "|---|---|---|"]
    lines += [
        f"| {kind}: {name} | {row['clips']} | {_share(row['ua'])} |"
        for kind, rows in found["groups"].items()
        for name, row in rows.items()
    ]
    lines += ["", "| corpus | right when certain | clips | right when uncertain | clips |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {_share(row['certain']['accuracy'])} | {row['certain']['clips']} |"
        f" {_share(row['uncertain']['accuracy'])} | {row['uncertain']['clips']} |"
        for name, row in found["doubt"].items()
    ]
    lines += ["", "| sound that is no speech | signals | got a label |", "|---|---|---|"]
    return lines + [
        f"| {name} | {row['signals']} | {_share(row['labelled'])} |" for name, row in found["non_speech"].items()
    ]


def _unseen(found: Mapping[str, Any]) -> list[str]:
    """What a distilled encoder is worth on corpora that it never heard."""
    corpora = list(found["clips"])
    clips = ", ".join(f"{name} {count}" for name, count in found["clips"].items())
    lines = [
        "## On corpora that an encoder distilled alike had not heard",
        "",
        f"The encoder and its heads were trained on {', '.join(found['start']['corpora'])} only; clips: {clips}. UA"
        f" among angry, happy, neutral and sad (seed {found['seed']}, {found['date']}). ECE at the temperature that"
        " these answers ask for, which is so many times the one that fits the corpora it had heard.",
        "",
        f"| level | strength | {' | '.join(corpora)} | times the temperature | ECE |",
        f"|---|---|{'---|' * len(corpora)}---|---|",
    ]
    for level, row in found["levels"].items():
        shown = " | ".join(f"{row['ua_among_four'][name]:.1%}" for name in corpora)
        lines.append(f"| {level} | {row['strength']:g} | {shown} | {row['factor']:.2f} | {row['ece_at_wanted']:.1%} |")
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


SECTIONS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "emodb": _speakers,
    "ravdess": _speakers,
    "light-emodb": _speakers,
    "light-ravdess": _speakers,
    "light-corpora": _unseen,
    "corpora": _corpora,
    "calibration": _calibration,
    "robustness": _robustness,
}


if __name__ == "__main__":
    main()
