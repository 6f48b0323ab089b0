"""Tables and a picture of what `compare.py` measured: python benchmarks/peers/drawing.py OUT"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

OURS, OURS_TOO = "edgebert", "edgebert_litert"
FLOAT = ("torch_eager", "onnxruntime_fp32")
SCORES = ("agreement", "cosine", "accuracy")
WIDTH, BAR, GAP, LEFT, RIGHT, TOP = 760, 14, 26, 150, 60, 44
Ratio = tuple[float, float, float]


def draw(out: Path) -> None:
    """Write table.md and latency.svg beside samples.json."""
    found = json.loads((out / "samples.json").read_text(encoding="utf-8"))
    (out / "table.md").write_text(table(found), encoding="utf-8")
    (out / "latency.svg").write_text(picture(found), encoding="utf-8")


def ratio(theirs: list[list[int]], ours: list[list[int]]) -> Ratio:
    """(median over rows of their least time over ours, the least and the largest of the rounds' medians)."""
    rounds = [
        statistics.median(a / b for a, b in zip(one, other, strict=True))
        for one, other in zip(theirs, ours, strict=True)
    ]
    least = [[min(times) for times in zip(*samples, strict=True)] for samples in (theirs, ours)]
    whole = statistics.median(a / b for a, b in zip(*least, strict=True))
    return whole, min(rounds), max(rounds)


def ratios(found: dict[str, Any], threads: str, work: str) -> dict[str, Ratio]:
    """Each engine's time in that of the first engine that is there: EdgeBERT's, where it was compared."""
    measured = found["threads"][threads]
    base = OURS if OURS in measured else next(iter(measured))
    return {name: ratio(one[work], measured[base][work]) for name, one in measured.items()}


def shares(found: dict[str, Any], threads: str, work: str) -> dict[str, dict[str, float]]:
    """Of the int8 limit that as many threads have, the share each int8 engine reaches at texts of a fixed length.

    `executed`: two operations for each multiply-add that it carries out, over its time. `whole`, of our file alone
    and where it is another: counted as if it computed the last layer for every token, too, in the same time.
    """
    counted, limit = found["multiply_adds"][work], found["limits"][threads]
    shared = {}
    for name, one in found["threads"][threads].items():
        if name not in FLOAT:
            least = statistics.median(min(times) for times in zip(*one[work], strict=True))
            ours = name in (OURS, OURS_TOO)  # both files compute the same
            counts = {**counted} if ours else {"executed": counted["whole"]}
            shared[name] = {kind: 2 * count / least / limit for kind, count in counts.items()}
    return shared


def share_table(found: dict[str, Any], threads: str) -> list[str]:
    """Markdown lines: shares of the int8 limit, an engine a line and a length a column."""
    works = list(found["multiply_adds"])
    if not works:
        return []
    columns = {work: shares(found, threads, work) for work in works}
    lines = [
        f"Share of the int8 limit of {threads} thread(s), {found['limits'][threads]:.0f} GOP/s in this run:",
        "",
    ]
    lines += [f"| | {' | '.join(works)} |", f"|---|{'---|' * len(works)}"]
    for name in columns[works[0]]:
        executed = [columns[work][name].get("executed") for work in works]
        if None not in executed:
            lines.append(f"| {name} | {' | '.join(f'{one:.2f}' for one in executed)} |")
        if name in (OURS, OURS_TOO):
            whole = " | ".join(f"{columns[work][name]['whole']:.2f}" for work in works)
            lines.append(f"| {name}, all multiply-adds of the checkpoint counted | {whole} |")
    return [*lines, ""]


def table(found: dict[str, Any]) -> str:
    """Markdown: latency ratios and shares a work and number of threads, then what does not depend on them."""
    lines = []
    for threads in found["threads"]:
        works = list(found["works"])
        lines += [f"Time in that of {OURS}'s file, {threads} thread(s); in brackets the rounds' range:", ""]
        lines += [f"| | {' | '.join(works)} |", f"|---|{'---|' * len(works)}"]
        columns = {work: ratios(found, threads, work) for work in works}
        for name in found["engines"]:
            cells = [f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in (columns[w][name] for w in works)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines += ["", *share_table(found, threads)]
    first = next(iter(found["threads"]))
    lines += ["| | MB | load, ms | peak memory, MB | agrees with torch | cosine | accuracy | made in, s |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, one in found["engines"].items():
        load, peak = (found["threads"][first][name][key] for key in ("load_ms", "peak_memory_mb"))
        scores = " | ".join(f"{one[key]:.4f}" if key in one else "" for key in SCORES)
        lines.append(f"| {name} | {one['mb']:.1f} | {load:.0f} | {peak:.0f} | {scores} | {one['made_s']:.0f} |")
    rows = {one["rows"] for one in found["engines"].values() if "rows" in one}
    answered = f"{', '.join(map(str, rows))} rows answered." if rows else "Random weights: nothing is scored."
    lines += ["", f"{answered} Evidence: host; no figure of a board."]
    return "\n".join(lines) + "\n"


def picture(found: dict[str, Any]) -> str:
    """Bars of the ratios of one thread, a group a work."""
    threads = next(iter(found["threads"]))
    groups = {work: ratios(found, threads, work) for work in found["works"]}
    largest = max(high for group in groups.values() for _, _, high in group.values())
    scale = (WIDTH - LEFT - RIGHT) / largest
    parts, y = [], float(TOP)
    for work, group in groups.items():
        title = work if work == "natural" else f"{work} tokens"
        parts.append(f'<text x="{LEFT}" y="{y - 4:.0f}" font-weight="bold">{escape(title)}</text>')
        for name, (middle, low, high) in sorted(group.items(), key=lambda one: one[1]):
            fill = "#1b6ca8" if name in (OURS, OURS_TOO) else "#b8c4ce"
            end = LEFT + middle * scale
            parts += [
                f'<text x="{LEFT - 6}" y="{y + 11:.0f}" text-anchor="end">{escape(name)}</text>',
                f'<rect x="{LEFT}" y="{y:.0f}" width="{middle * scale:.1f}" height="{BAR - 2}" fill="{fill}"/>',
                f'<line x1="{LEFT + low * scale:.1f}" x2="{LEFT + high * scale:.1f}" y1="{y + 6:.0f}" '
                f'y2="{y + 6:.0f}" stroke="#333"/>',
                f'<text x="{max(end, LEFT + high * scale) + 4:.1f}" y="{y + 11:.0f}">{middle:.2f}</text>',
            ]
            y += BAR
        y += GAP
    head = f'<text x="10" y="18" font-size="14">Time in that of {OURS}, {threads} thread(s), host</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y:.0f}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>{head}{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
