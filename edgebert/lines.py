"""Rows for `predict`: the texts of the command line, or the lines of standard input, JSON objects among them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from edgebert.device.reading.fill_mask import MASK as MASK
from edgebert.errors import InputError


def rows(texts: list[str]) -> list[str | dict[str, Any]]:
    """A row a text, or for - alone a row a line. Raises InputError naming a row that is no UTF-8 or too deep."""
    return [_row(text, number) for number, text in enumerate(_given(texts), 1)]


def example(row: Mapping[str, Any]) -> str | dict[str, Any]:
    """What a user would ask in place of a row, told from its columns; of a text alone, that."""
    asked = {
        name: ["your", name] if isinstance(value, list) else f"your {name.replace('_', ' ')}"
        for name, value in row.items()
        if name != "id"
    }
    if MASK in str(row.get("text", "")):
        asked["text"] = f"your {MASK} text"
    return str(asked["text"]) if set(asked) == {"text"} else asked


def _given(texts: list[str]) -> list[str]:
    """The texts of the command line, or for - the lines of standard input; a line ends at a line feed only."""
    if texts != ["-"]:
        return texts
    lines = sys.stdin.buffer.read().split(b"\n")
    if not lines[-1]:
        lines.pop()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r"))
        except UnicodeDecodeError as error:
            raise InputError(f"row {number}: not UTF-8 at byte {error.start + 1}") from None
    return found


def _row(text: str, number: int) -> str | dict[str, Any]:
    """A JSON object where the text is one, else the text itself."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        row = json.loads(text)
    except RecursionError:
        raise InputError(f"row {number}: not JSON that can be read") from None
    except ValueError:
        return text
    return row if isinstance(row, dict) else text
