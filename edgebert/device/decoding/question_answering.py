"""Question answering: the best span of the context, or none where its windows tell that the answer is missing."""

import re
import string
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from . import Decision, margin, softmax

_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """The text of the best span, cut from the row's `context`, where it begins and ends in it, and its score.

    Outputs are `start_logits` and `end_logits`, float32 [tokens]; a span's logit is the sum of its two. `score` is
    the softmax over the logits of the `n_best` best spans of all windows, which are listed too. Where
    `null_threshold` is a number, "no answer" is one more of them: its logit is that of [CLS] in the window that
    speaks least for it, and it is the answer where it is more than the threshold above the best span's (Devlin
    et al. 2018, section 4.3). `start` and `end` are code points, None without an answer.
    """
    listed = _best(windows, row["context"], settings)
    threshold = settings.get("null_threshold", 0.0)  # None: every question has an answer
    null = None  # type: Optional[int]
    if threshold is not None:
        missing = min(_null(window["outputs"]) for window in windows)
        ahead = not listed or missing - listed[0][0] > threshold
        listed = sorted(listed + [(missing, -1, -1)], key=lambda span: -span[0])
        null = listed.index((missing, -1, -1)) if ahead else None
    if not listed:
        return {"answer": "", "start": None, "end": None, "score": 0.0, "n_best": []}
    shares = softmax([span[0] for span in listed])
    told = [_told(row["context"], span, share) for span, share in zip(listed, shares)]
    first = next(i for i, span in enumerate(listed) if span[1] >= 0) if null is None else null
    return dict(told[first], n_best=told)


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """The best span of the window, or none, and half its lead: noise in both of a span's logits adds up."""
    sums = _sums(outputs, align, settings).ravel()
    threshold = settings.get("null_threshold", 0.0)
    if threshold is not None:
        sums = np.append(sums, _null(outputs) - threshold)
    return [(int(sums.argmax()), margin(sums) / 2)] if sums.size else []


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether the answer is one of the true texts, as SQuAD compares them."""
    return normalized(answered["answer"]) in golds(truth["text"])


def golds(texts: Sequence[str]) -> List[str]:
    """The true answers to compare with, normalized; the empty one where there is none."""
    return [text for text in map(normalized, texts) if text] or [""]


def normalized(text: str) -> str:
    """A text in lower case without punctuation, articles and superfluous space: SQuAD's official comparison."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def _best(
    windows: Sequence[Mapping[str, Any]], context: str, settings: Mapping[str, Any]
) -> List[Tuple[float, int, int]]:
    """The best different spans of all windows, best first: (logit, first code point, the one behind the last)."""
    found = {}  # type: Dict[Tuple[int, int], float]
    most = int(settings["n_best"])
    for window in windows:
        sums = _sums(window["outputs"], window["align"], settings)
        offsets = window["align"]["offsets"]
        for place in np.argsort(-sums, axis=None, kind="stable")[:most]:
            first, length = divmod(int(place), sums.shape[1])
            if first + length < len(offsets):
                span = _trimmed(context, offsets[first][0], offsets[first + length][1])
                found[span] = max(found.get(span, -np.inf), float(sums[first, length]))
    spans = [(logit, start, end) for (start, end), logit in found.items() if start < end]
    return sorted(spans, key=lambda span: (-span[0], span[1], span[2]))[:most]


def _sums(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """The logit of every span within the context, float64 [first token, tokens after it]; -inf beyond its end."""
    first, count = int(align["first"]), len(align["offsets"])
    start, end = (
        np.asarray(outputs[n], np.float64)[first : first + count] for n in ("start_logits", "end_logits")
    )
    longest = int(settings["max_answer_tokens"])
    ends = np.append(end, np.full(longest, -np.inf))
    return start[:, None] + ends[np.arange(count)[:, None] + np.arange(longest)]


def _null(outputs: Mapping[str, Any]) -> float:
    return float(outputs["start_logits"][0]) + float(outputs["end_logits"][0])


def _trimmed(context: str, start: int, end: int) -> Tuple[int, int]:
    """The span without white space around it: some tokenizers count the space before a word as part of it."""
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


def _told(context: str, span: Tuple[float, int, int], share: float) -> Dict[str, Any]:
    _, start, end = span
    if start < 0:
        return {"answer": "", "start": None, "end": None, "score": float(share)}
    return {"answer": context[start:end], "start": start, "end": end, "score": float(share)}
