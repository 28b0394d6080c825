"""The common box: a place that a voter points at is the same place of the picture, whatever its shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from arena.bank import _boxed
from arena.box import mask_on_image, on_image

SIZES = [(1024, 1024), (1344, 768), (768, 1344), (400, 100), (64, 1000)]


def counts_of(painted):
    """Run lengths of a bool [64, 64], as a browser sends them."""
    flat, counts, value = painted.reshape(-1), [0], False
    for cell in flat:
        if cell != value:
            counts.append(0)
            value = cell
        counts[-1] += 1
    return {"size": [64, 64], "counts": counts}


def grid_of(mask):
    flat = np.repeat(np.arange(len(mask["counts"])) % 2 == 1, mask["counts"])
    return flat.reshape(mask["size"])


@pytest.mark.parametrize("size", SIZES)
def test_a_bright_dot_is_found_where_the_box_shows_it(size):
    """Draw a dot on a picture, box it as voters see it, point at the dot, and come back to where it was drawn."""
    width, height = size
    for share_x, share_y in ((0.25, 0.3), (0.7, 0.85), (0.5, 0.5)):
        picture = np.zeros((height, width, 3), np.uint8)
        x, y, r = int(share_x * width), int(share_y * height), max(3, min(size) // 20)
        picture[max(0, y - r) : y + r, max(0, x - r) : x + r] = 255
        shown = np.asarray(_boxed(Image.fromarray(picture), 768).convert("L"), float)
        bright = np.argwhere(shown > 200)
        down, across = (bright.mean(axis=0) + 0.5) / 768
        assert on_image(across, down, *size) == pytest.approx((share_x, share_y), abs=0.02)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(SIZES))
def test_every_place_of_the_square_is_a_place_of_the_image(x, y, size):
    there = on_image(x, y, *size)
    assert all(0 <= place <= 1 for place in there)
    if size[0] == size[1]:
        assert there == pytest.approx((x, y))


@given(st.integers(0, 2**32))
def test_a_square_image_keeps_its_mask(seed):
    mask = counts_of(np.random.default_rng(seed).random((64, 64)) < 0.3)
    assert mask_on_image(mask, 512, 512) == mask


@pytest.mark.parametrize("size", SIZES)
def test_what_is_painted_is_the_same_part_of_the_image(size):
    painted = np.zeros((64, 64), bool)
    painted[:, 32:] = True  # the right half of the square is the right half of any picture in it
    found = grid_of(mask_on_image(counts_of(painted), *size))
    assert found[:, 32:].all() and not found[:, :32].any()
    everything = mask_on_image({"size": [64, 64], "counts": [0, 4096]}, *size)
    assert everything == {"size": [64, 64], "counts": [0, 4096]}


def test_what_is_painted_beside_the_image_only_is_nothing():
    painted = np.zeros((64, 64), bool)
    painted[:10] = True  # above a wide picture
    assert mask_on_image(counts_of(painted), 1000, 500) == {"size": [64, 64], "counts": [4096]}
