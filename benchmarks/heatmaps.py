"""How long heatmaps take: 1,000 images with 60 points each, at 256 cells a side, against the other ways to make them.

The other ways: every point's gaussian over the whole grid, added up (the definition, written down); and each point
counted in its cell, the grid then blurred by scipy's gaussian filter, which moves points to the middle of their cells
and cuts the bells off. They are compared on 20 images. The script fails where ours takes more than 2 s of one processor for
all, which is the time on the wall of a machine that does nothing else, or differs from the definition by more than
1e-6.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import _one_thread  # noqa: F401
import numpy as np
from _clock import side_by_side
from _machine import describe, table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from leaderboard.rich.heatmaps import CELLS, SIGMA, heatmap, heatmaps  # noqa: E402

IMAGES, POINTS, SIZE = 1000, 60, (1024, 768)
SECONDS, TOLERANCE = 2.0, 1e-6


def by_definition(points, weight):
    """The mean of gaussians, point after point, in double precision."""
    width, height = SIZE
    y, x = np.meshgrid((np.arange(CELLS) + 0.5) / CELLS, (np.arange(CELLS) + 0.5) / CELLS, indexing="ij")
    found, sigma = np.zeros((CELLS, CELLS)), SIGMA * min(SIZE)
    for (at_x, at_y), part in zip(points, weight, strict=True):
        distance = ((x - at_x) * width) ** 2 + ((y - at_y) * height) ** 2
        found += part * np.exp(-distance / (2 * sigma**2))
    return found


def blurred(points, weight):
    """Points counted in their cells and blurred by scipy, scaled to a height of 1."""
    from scipy.ndimage import gaussian_filter

    cell = np.minimum((points * CELLS).astype(int), CELLS - 1)
    grid = np.zeros((CELLS, CELLS), np.float32)
    np.add.at(grid, (cell[:, 1], cell[:, 0]), weight)
    sigmas = [SIGMA * min(SIZE) * CELLS / side for side in SIZE[::-1]]
    return gaussian_filter(grid, sigmas, mode="constant") * (2 * np.pi * sigmas[0] * sigmas[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50 images; nothing is judged by time")
    images = 50 if parser.parse_args().quick else IMAGES
    rng = np.random.default_rng(0)
    points = list(rng.random((images, POINTS, 2)))
    weights = [np.full(POINTS, 1 / 20)] * images
    print(
        describe(), f"\n{images:,} images, {POINTS} points each, {CELLS} cells a side, {SIZE[0]} x {SIZE[1]} pixels\n"
    )

    started, started_cpu = time.perf_counter(), time.process_time()
    every = np.empty((images, CELLS, CELLS), np.float32)
    for at, found in enumerate(heatmaps(points, weights, sizes=[SIZE] * images)):
        every[at] = found
    whole, cpu = time.perf_counter() - started, time.process_time() - started_cpu

    part = slice(0, 20)
    ways = {
        "ours": lambda: [heatmap(p, w, size=SIZE) for p, w in zip(points[part], weights[part], strict=True)],
        "scipy, points moved to cells": lambda: [blurred(*pair) for pair in zip(points[part], weights[part], strict=True)],
        "by definition": lambda: [by_definition(*pair) for pair in zip(points[part], weights[part], strict=True)],
    }  # fmt: skip
    took = side_by_side(ways)
    exact = by_definition(points[0], weights[0])
    ours = took["ours"].cpu
    rows = []
    for name, way in ways.items():
        off = float(np.abs(way()[0] - exact).max())
        rows.append([name, took[name].wall / 20, took[name].cpu / 20, f"{took[name].cpu / ours:.1f}x", f"{off:.1e}"])
    print(table(["way", "wall ms an image", "CPU ms an image", "against ours", "largest error"], rows))
    print(f"\nall {images:,}, kept in memory: {whole:.2f} s, {cpu:.2f} s of the processor")
    worst = max(float(np.abs(every[at] - by_definition(points[at], weights[at])).max()) for at in range(0, images, 50))
    wrong = []
    if worst > TOLERANCE:
        wrong.append(f"the largest error is {worst:.1e}, above {TOLERANCE:.0e}")
    if images == IMAGES and cpu > SECONDS:
        wrong.append(f"{cpu:.2f} s of the processor are above {SECONDS:.0f} s")
    print("\n".join(wrong) or f"within the gates: {TOLERANCE:.0e}" + (f", {SECONDS:.0f} s" if images == IMAGES else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
