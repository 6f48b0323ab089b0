"""Draw the curve of a pre-training as SVG: python benchmarks/draw_pretraining.py pretraining.json curve.svg"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 520, 64, 20, 34, 40
Point = tuple[float, float]


def main() -> None:
    """Read the document that `edgebert pretrain` leaves beside the model, write the picture."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    target.write_text(drawn(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")


def drawn(found: dict[str, Any]) -> str:
    """Two panels over the steps: held-out perplexity (logarithmic) and, where there are pairs, their accuracy."""
    held = found["held_out"]
    steps = found["steps"]
    pair = next((name for name in ("sop_accuracy", "nsp_accuracy") if found[name] is not None), None)
    half = (HEIGHT - TOP - BOTTOM - 50) / 2
    perplexities = [(one["step"], one["perplexity"]) for one in held]
    parts = panel(f"{found['name']}: held-out perplexity", perplexities, steps, TOP, half, logarithmic=True)
    first, last = found["perplexity"]["first"], found["perplexity"]["last"]
    tenth = max(1, round(steps / 10))
    parts.append(
        note(f"at {tenth} steps {first:.0f}, at {steps} {last:.0f} ({100 * (last / first - 1):+.0f} %)", TOP)
    )
    if pair is not None:
        top = TOP + half + 50
        accuracy = [(one["step"], one[pair]["value"]) for one in held]
        bars = [(one["step"], *one[pair]["ci95"]) for one in held]
        parts += panel(f"held-out {pair[:3].upper()} accuracy, 95 %", accuracy, steps, top, half, bars=bars)
        end = found[pair]
        low, high = end["ci95"]
        parts.append(note(f"at the end {end['value']:.3f} ({low:.3f}-{high:.3f}) on {end['rows']} pairs", top))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def panel(
    title: str,
    points: Sequence[Point],
    steps: int,
    top: float,
    height: float,
    bars: Sequence[tuple[float, float, float]] = (),
    logarithmic: bool = False,
) -> list[str]:
    """Axes with four marks each, the line through the points, an upright line for each interval."""
    values = (
        [y for _, y in points] + [y for _, low, high in bars for y in (low, high)] + ([] if logarithmic else [0.5])
    )
    scale: Callable[[float], float] = math.log if logarithmic else float
    low, high = scale(min(values)), scale(max(values))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)

    def at(x: float, y: float) -> Point:
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * x / steps,
            top + height * (1 - (scale(y) - low) / (high - low)),
        )

    parts = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{title}</text>']
    for share in (0, 1 / 3, 2 / 3, 1):
        value = low + share * (high - low)
        said = f"{math.exp(value):.0f}" if logarithmic else f"{value:.3f}"
        y = top + height * (1 - share)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{said}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = LEFT + (WIDTH - LEFT - RIGHT) * share
        parts.append(
            f'<text x="{x:.1f}" y="{top + height + 16:.1f}" text-anchor="middle">{round(steps * share)}</text>'
        )
    if not logarithmic:
        x, y = at(steps, 0.5)
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{x:.1f}" y2="{y:.1f}" stroke="#999" stroke-dasharray="4"/>'
        )
    for step, below, above in bars:
        (x, y1), (_, y2) = at(step, below), at(step, above)
        parts.append(f'<line x1="{x:.1f}" y1="{y1:.1f}" x2="{x:.1f}" y2="{y2:.1f}" stroke="#7aa6d8"/>')
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    return [*parts, f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="2"/>']


def note(said: str, top: float) -> str:
    """A line at the right above a panel."""
    return f'<text x="{WIDTH - RIGHT}" y="{top - 10}" text-anchor="end" fill="#555">{said}</text>'


if __name__ == "__main__":
    main()
