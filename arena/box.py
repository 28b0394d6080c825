"""The common box: where a place in the square that voters see is on the image itself.

Every image is shown in one square, scaled to fit and centred (`arena.bank`). Voters point and paint in that square; what
is kept and published are shares of the image, from its top left, so that nobody needs to know how it was shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any


def on_image(x: float, y: float, width: int, height: int) -> tuple[float, float]:
    """Shares of the square -> shares of an image of `width` x `height` pixels; a place beside the image is taken to be
    the nearest one on it."""
    return _unboxed(x, width / max(width, height)), _unboxed(y, height / max(width, height))


def mask_on_image(mask: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """A painted area of the square, as run lengths over the rows of its grid, beginning with what is not painted -> the
    same grid laid over the image: a cell is painted where the square is at the cell's centre."""
    rows, columns = mask["size"]
    painted = [i % 2 == 1 for i, count in enumerate(mask["counts"]) for _ in range(count)]
    side = max(width, height)
    down = [_cell((row + 0.5) / rows, height / side, rows) for row in range(rows)]
    across = [_cell((column + 0.5) / columns, width / side, columns) for column in range(columns)]
    found = [painted[row * columns + column] for row in down for column in across]
    runs = [(value, sum(1 for _ in run)) for value, run in itertools.groupby(found)]
    counts = [count for _, count in runs]
    return {"size": [rows, columns], "counts": [0, *counts] if runs[0][0] else counts}


def _unboxed(place: float, share: float) -> float:
    return min(1.0, max(0.0, (place - (1 - share) / 2) / share))


def _cell(place: float, share: float, cells: int) -> int:
    """The cell of the square at a `place` on the image."""
    return min(cells - 1, int(((1 - share) / 2 + place * share) * cells))
