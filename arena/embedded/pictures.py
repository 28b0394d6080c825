"""The training set on disk: scenes drawn once into one array, with the list of their scenes beside it."""

from __future__ import annotations

import os
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from arena.embedded.draw import SIZE, draw
from arena.embedded.world import Scene, random_scene

CHUNK = 500


def _chunk(seed: int) -> tuple[list[Scene], np.ndarray]:
    rng = random.Random(seed)
    scenes = [random_scene(rng) for _ in range(CHUNK)]
    return scenes, np.stack([np.asarray(draw(scene)) for scene in scenes])


def make_pictures(folder: Path, count: int, seed: int = 1000, workers: int | None = None) -> None:
    """Draw `count` training scenes into `pictures.npy` and `scenes.pkl`; the seed settles them all."""
    folder.mkdir(parents=True, exist_ok=True)
    count = -(-count // CHUNK) * CHUNK
    part = folder / "pictures.part"  # so that a stopped run is not mistaken for a whole one
    array = np.lib.format.open_memmap(part, "w+", np.uint8, (count, SIZE, SIZE, 3))
    scenes: list[Scene] = []
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        for k, (more, drawn) in enumerate(pool.map(_chunk, range(seed, seed + count // CHUNK))):
            array[k * CHUNK : (k + 1) * CHUNK] = drawn
            scenes += more
    array.flush()
    (folder / "scenes.pkl").write_bytes(pickle.dumps(scenes))
    part.rename(folder / "pictures.npy")


def load_scenes(folder: Path) -> list[Scene]:
    return pickle.loads((folder / "scenes.pkl").read_bytes())
