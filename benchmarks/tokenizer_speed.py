"""Texts a second of a bundle's own tokenizer, plain Python, beside its library's, in turns on one thread.

python benchmarks/tokenizer_speed.py BUNDLE ROWS.jsonl [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgebert import data
from edgebert.device.tokenizer import Tokenizer
from edgebert.tokenization import Encoder

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def rate(encode: Callable[[str], Any], texts: Sequence[str]) -> float:
    """Texts a second, each by itself."""
    start = time.perf_counter()
    for text in texts:
        encode(text)
    return len(texts) / (time.perf_counter() - start)


def main() -> None:
    """Print the rates, and the median of their ratio with its range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    texts = [row["text"] for row in data.read(options.rows, {}, lambda row: None).rows]
    encoder = Encoder(options.bundle, 128, INPUTS)
    cold = rate(Tokenizer(str(options.bundle), 128, INPUTS).encode, texts)
    own = Tokenizer(str(options.bundle), 128, INPUTS)
    rates = [(rate(own.encode, texts), rate(encoder.encode, texts)) for _ in range(options.rounds)]
    ratios = [one / other for one, other in rates]
    print(f"{len(texts)} texts, one at a time")
    print(f"plain Python, first time over them: {cold:,.0f} texts a second")
    print(f"plain Python, again: {statistics.median(one for one, _ in rates):,.0f}")
    print(f"the library, from Python: {statistics.median(other for _, other in rates):,.0f}")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
