"""Tables and a picture of what `compare.py` measured: python benchmarks/peers/drawing.py OUT"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

OURS = "edgebert"
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


def table(found: dict[str, Any]) -> str:
    """Markdown: latency ratios a work and number of threads, then what does not depend on them."""
    lines = []
    for threads in found["threads"]:
        works = list(found["works"])
        lines += [f"Time in that of {OURS}'s file, {threads} thread(s); in brackets the rounds' range:", ""]
        lines += [f"| | {' | '.join(works)} |", f"|---|{'---|' * len(works)}"]
        columns = {work: ratios(found, threads, work) for work in works}
        for name in found["engines"]:
            cells = [f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in (columns[w][name] for w in works)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    first = next(iter(found["threads"]))
    lines += ["| | MB | load, ms | peak memory, MB | agrees with torch | cosine | accuracy | made in, s |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, one in found["engines"].items():
        load, peak = (found["threads"][first][name][key] for key in ("load_ms", "peak_memory_mb"))
        lines.append(
            f"| {name} | {one['mb']:.1f} | {load:.0f} | {peak:.0f} | {one['agreement']:.4f} | "
            f"{one['cosine']:.4f} | {one['accuracy']:.4f} | {one['made_s']:.0f} |"
        )
    rows = {one["rows"] for one in found["engines"].values()}
    lines += ["", f"{', '.join(map(str, rows))} rows answered. Evidence: host; no figure of a board."]
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
            fill = "#1b6ca8" if name == OURS else "#b8c4ce"
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
