"""Which of many vectors are nearest to others: numpy alone, a block of products at a time.

Vectors are as a feature-extraction bundle gives them, of the length 1: their product is the cosine.
"""

from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np

_AT_ONCE = 4000000  # products in memory


def products(queries: Any, vectors: Any) -> Iterator[Tuple[int, Any]]:
    """(number of the first query, products float32 [some queries, vectors]), one block after the other."""
    queries = np.ascontiguousarray(queries, np.float32)
    columns = np.ascontiguousarray(np.asarray(vectors, np.float32).T)
    step = max(1, _AT_ONCE // max(1, columns.shape[1]))
    for start in range(0, len(queries), step):
        yield start, queries[start : start + step] @ columns


def nearest(query: Any, vectors: Any, entries: Sequence[int], top: int) -> List[Tuple[int, float]]:
    """(entry, score) of the `top` entries nearest to a query [size], the best first.

    `entries` [vectors] tells whose each vector is: an entry may have several, and the nearest of them counts.
    """
    best = {}  # type: ignore[var-annotated]
    for entry, score in zip(entries, np.asarray(vectors, np.float32) @ np.asarray(query, np.float32)):
        best[entry] = max(float(score), best.get(entry, -2.0))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:top]
