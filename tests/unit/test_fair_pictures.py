"""Before the vote two pictures differ in nothing but what was drawn; after it, how each was made is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from arena.webp import STEP, common_length, padded

SIZES = {"wide": (256, 96), "tall": (80, 200), "large": (512, 512), "small": (32, 32)}
BOX = 128


@pytest.fixture
def arena(make_arena, fill):
    models = [{"id": name, "name": name, "organisation": "Org", "family": name, "licence": "x", "backend": "fake",
               "source": "x", "settings": {"width": w, "height": h, "num_inference_steps": w}}
              for name, (w, h) in SIZES.items()]  # fmt: skip
    arena = make_arena(models=models, bank={"display_px": BOX}, limits={"votes_per_minute": 1e6},
                       categories=[{"name": "A", "prompts": [{"prompt": f"prompt {k}"} for k in range(8)]}])  # fmt: skip
    fill(arena)
    return arena


def test_two_models_of_other_sizes_and_shapes_send_alike(arena):
    met = set()
    for k in range(30):
        battle = arena.next_battle(f"voter {k}")
        told = arena.ledger.battle(battle.battle_id)
        met.add(frozenset((told.image_a.model, told.image_b.model)))
        a, b = (arena.image(token) for token in (battle.token_a, battle.token_b))
        assert len(a[0]) == len(b[0]) and a[1] == b[1] == "image/webp"
        shown = [Image.open(io.BytesIO(data)) for data, _ in (a, b)]
        assert {(s.format, s.mode, s.size) for s in shown} == {("WEBP", "RGB", (BOX, BOX))}
        assert shown[0].info == shown[1].info and not shown[0].getexif()
        chunks = [list(riff(data)) for data, _ in (a, b)]
        assert [[name for name, _ in one] for one in chunks] == [[b"VP8X", b"VP8 ", b"PAD "]] * 2
        assert chunks[0][0] == chunks[1][0], "canvas and flags"
    assert len(met) == 6


def riff(data: bytes):
    """(name, body) of the chunks of a RIFF file."""
    at = 12
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(data)


def test_a_picture_is_whole_centred_and_on_neutral_grey(arena):
    for k in range(12):
        battle = arena.next_battle(f"voter {k}")
        told = arena.ledger.battle(battle.battle_id)
        for token, image in ((battle.token_a, told.image_a), (battle.token_b, told.image_b)):
            pixels = np.asarray(Image.open(io.BytesIO(arena.image(token)[0])).convert("RGB")).astype(int)
            scale = BOX / max(image.width, image.height)
            w, h = round(image.width * scale), round(image.height * scale)
            grey = np.abs(pixels - 128).max(axis=2) <= 8
            top, left = (BOX - h) // 2, (BOX - w) // 2
            outside = np.ones((BOX, BOX), dtype=bool)
            outside[max(0, top - 16) : top + h + 16, max(0, left - 16) : left + w + 16] = False  # the codec's blocks
            assert grey[outside].all(), "nothing but grey beside the picture"
            # Lossy, but the model's own picture, whole: as Pillow scales it.
            own = Image.open(io.BytesIO(arena.bank.read(image.image_id)))
            kind = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
            expected = np.asarray(own.resize((w, h), kind)).astype(int)
            assert np.abs(pixels[top : top + h, left : left + w] - expected).mean() < 10


def test_the_vote_tells_size_settings_and_seed_of_each(arena):
    battle = arena.next_battle("ann")
    reveal = arena.cast_vote(battle.battle_id, "model_a", "ann")
    for side in (reveal.a, reveal.b):
        width, height = SIZES[side.model]
        assert (side.settings["width"], side.settings["height"]) == (width, height)
        assert side.settings["arguments"]["num_inference_steps"] == width
        assert side.settings["seed"] and side.settings["pipeline"] == "Fake"


@pytest.mark.parametrize("side", [1, 7, 16, 300])
def test_padding_changes_no_pixel(side):
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "WEBP", quality=90)
    data = out.getvalue()
    length = common_length(len(data), 40_000)
    longer = padded(data, length, side, side)
    assert len(longer) == length and length % STEP == 0
    one, other = (np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in (data, longer))
    assert (one == other).all()


def test_what_cannot_be_padded_is_refused():
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "WEBP", quality=90)
    with pytest.raises(ValueError, match="do not fit"):
        padded(out.getvalue(), len(out.getvalue()), 8, 8)
    with pytest.raises(ValueError, match="not a simple lossy"):
        padded(b"\x89PNG and more", STEP, 8, 8)


@pytest.mark.parametrize("lengths", [(1,), (STEP - 26,), (STEP - 25,), (5, STEP), (3 * STEP, 7)])
def test_lengths_leave_room_and_are_shared(lengths):
    length = common_length(*lengths)
    assert length % STEP == 0 and 26 <= length - max(lengths) < STEP + 26
    assert length == common_length(*reversed(lengths))
