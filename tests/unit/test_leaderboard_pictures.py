"""The images behind the votes: found in every kind of source, read when asked for, measured at one size."""

import io
import json
import math
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from arena.bank import Bank
from arena.ledger import Ledger
from arena.records import Image as Made
from arena.records import Prompt, arrow_schema
from leaderboard import errors
from leaderboard.covariates import COVARIATES, differences, measure
from leaderboard.formats.arena import COVARIATES as COLUMNS
from leaderboard.pictures import Parquets, Pictures, decoded, open_pictures
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import row


def pixels(seed=0, side=64, low=0, high=256):
    return Image.fromarray(np.random.default_rng(seed).integers(low, high, (side, side, 3), dtype=np.uint8))


def encoded(image, codec="PNG", **more):
    out = io.BytesIO()
    image.save(out, codec, **more)
    return out.getvalue()


def shard(path, images, rows_a_group=2):
    """`images` {id: bytes} as a published shard; models m0 and m1 by turns."""
    schema = arrow_schema("images")
    rows = []
    for number, (name, data) in enumerate(images.items()):
        known = {"image_id": name, "image": {"bytes": data, "path": None}, "model": f"m{number % 2}", "prompt_id": "p",
                 "width": 64, "height": 64, "seconds": 1.5, "hardware": "cpu", "settings": '{"steps": 4}'}  # fmt: skip
        rows.append({column: known.get(column) for column in schema.names})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=rows_a_group)


def test_the_published_layout_is_read_a_row_group_at_a_time(tmp_path):
    images = {f"i{number}": encoded(pixels(number)) for number in range(7)}
    shard(tmp_path / "data/images/2026/a.parquet", dict([*images.items()][:4]))
    shard(tmp_path / "data/images/2026/b.parquet", dict([*images.items()][4:]))
    pq.write_table(pa.table({"vote_id": ["v"]}), tmp_path / "votes.parquet")
    for source in (tmp_path, tmp_path / "data" / "images"):
        pictures = open_pictures(source)
        assert len(pictures) == 7 and [p.image_id for p in pictures.all()] == list(images)
        assert all(pictures.data(name) == data for name, data in images.items())
    picture = pictures.picture("i3")
    assert (picture.model, picture.seconds, picture.hardware) == ("m1", 1.5, "cpu")
    assert picture.arguments() == {"steps": 4}
    assert [p.image_id for p in pictures.of_model("m0")] == ["i0", "i2", "i4", "i6"]
    assert pictures.picture("no") is None and pictures.data("no") is None and pictures.thumbnail("no") is None


def test_memory_holds_few_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("leaderboard.pictures.ROW_GROUPS", 60_000)
    images = {f"i{number}": encoded(pixels(number)) for number in range(8)}
    shard(tmp_path / "a.parquet", images)
    shelf = Parquets([tmp_path / "a.parquet"])
    for name in images:
        assert shelf.read(name) == images[name]
        assert 1 <= len(shelf._groups) <= 2


def test_a_source_without_images_has_none(tmp_path):
    pq.write_table(pa.table({"model_a": ["x"], "model_b": ["y"], "winner": ["tie"]}), tmp_path / "votes.parquet")
    (tmp_path / "votes.csv").write_text("model_a,model_b,winner\n")
    for source in (tmp_path, tmp_path / "votes.parquet", tmp_path / "votes.csv", "user/name", tmp_path / "absent"):
        assert len(open_pictures(source)) == 0
    assert open_pictures(tmp_path).all() == [] and open_pictures(tmp_path).picture("i") is None


def test_what_can_not_be_read_is_said(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    (tmp_path / "x.sqlite").write_bytes(b"not a data base at all, but long enough to be looked at" * 30)
    for name in ("x.parquet", "x.sqlite"):
        with pytest.raises(errors.Unreadable, match=name):
            len(open_pictures(tmp_path / name))


def test_a_ledger_and_its_bank(tmp_path):
    ledger, bank = Ledger(tmp_path / "ledger.sqlite"), Bank(tmp_path / "bank", display_px=64)
    prompt = Prompt.make("a cat")
    ledger.add_prompts([prompt])
    names = []
    for number, private in enumerate((False, True, False)):
        name, _ = bank.add(pixels(number))
        names.append(name)
        ledger.add_image(Made(name, prompt.prompt_id, "m", "r", 1, 64, 64, "{}", 2.0, "cpu", 0, "mit", private))
    bank.remove(names[2])
    ledger.close()
    pictures = open_pictures(tmp_path / "ledger.sqlite")
    assert [p.image_id for p in pictures.all()] == [names[0], names[2]]
    assert pictures.data(names[0]) == bank.read(names[0]) and pictures.thumbnail(names[0])
    assert pictures.data(names[1]) is None and pictures.thumbnail(names[1]) is None, "private"
    assert pictures.data(names[2]) is None, "gone"
    sqlite3.connect(tmp_path / "other.sqlite").close()
    assert len(open_pictures(tmp_path / "other.sqlite")) == 0


class Shelf:
    def __init__(self, images):
        self.images, self.reads = images, 0

    def all(self):
        return self.pictures().values()

    def pictures(self):
        from leaderboard.pictures import Picture

        return {name: Picture(name, "m") for name in self.images}

    def find(self, image_id):
        return self.pictures().get(image_id)

    def read(self, image_id):
        self.reads += 1
        return self.images.get(image_id)


def test_a_thumbnail_is_small_and_says_nothing_but_its_pixels():
    text = PngImagePlugin.PngInfo()
    text.add_text("model", "secret-model")
    exif = Image.Exif()
    exif[0x010E] = "secret-model"
    shelf = Shelf({"png": encoded(pixels(side=600), pnginfo=text), "jpg": encoded(pixels(side=600), "JPEG", exif=exif),
                   "bad": b"no image"})  # fmt: skip
    pictures = Pictures(lambda: shelf)
    for name in ("png", "jpg"):
        data = pictures.thumbnail(name)
        assert b"secret" not in data
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "WEBP" and image.size == (192, 192) and not image.getexif()
    reads = shelf.reads
    assert pictures.thumbnail("png") == pictures.thumbnail("png") and shelf.reads == reads
    assert pictures.thumbnail("bad") is None and decoded(b"") is None


# -- covariates ---------------------------------------------------------------------------------------------------


def test_plain_colours_measure_as_they_look():
    black, white, red = (measure(encoded(Image.new("RGB", (32, 32), colour))) for colour in ("black", "white", "red"))
    assert black["brightness"] == 0 and white["brightness"] == 1 and red["brightness"] == pytest.approx(0.299, abs=0.01)
    assert black["saturation"] == white["saturation"] == 0 and red["saturation"] == 1
    assert black["contrast"] == black["sharpness"] == 0
    assert red["resolution"] == pytest.approx(math.log(1024))
    halves = Image.new("L", (32, 32))
    halves.paste(255, (16, 0, 32, 32))
    assert measure(encoded(halves))["contrast"] == pytest.approx(0.5, abs=0.02)


def test_sharpness_is_not_resolution():
    from PIL import ImageFilter

    large = pixels(3, 32).resize((512, 512), Image.Resampling.BICUBIC)
    small = large.resize((256, 256), Image.Resampling.BOX)
    one, other = measure(encoded(large)), measure(encoded(small))
    assert one["sharpness"] == pytest.approx(other["sharpness"], rel=0.02)
    assert one["resolution"] - other["resolution"] == pytest.approx(math.log(4))
    assert measure(encoded(large.filter(ImageFilter.GaussianBlur(12))))["sharpness"] < one["sharpness"] - 0.5


def test_covariates_have_the_names_of_the_columns():
    assert tuple(COVARIATES) == COLUMNS == tuple(measure(encoded(pixels())))


def test_differences_of_votes_are_measured_once_an_image():
    shelf = Shelf({"dark": encoded(pixels(1, high=60)), "light": encoded(pixels(2, low=200)), "bad": b"?"})
    rows = [row("x", "y", "model_a", image_a="dark", image_b="light") for _ in range(5)]
    rows += [row("x", "y", "model_a", image_a="light", image_b="dark"), row("x", "y", "tie", image_a="light"),
             row("x", "y", "tie", image_a="bad", image_b="dark"), row("x", "y", "tie", image_a="gone", image_b="dark")]  # fmt: skip
    votes = votes_from_rows(rows)
    found = differences(votes, Pictures(lambda: shelf))
    bright = found.values["brightness"]
    assert (bright[:5] == bright[0]).all() and bright[0] < -0.5 and bright[5] == -bright[0]
    assert np.isnan(bright[6:]).all() and shelf.reads == 3
    assert found.without == {"without images": 2, "with an image that can't be read": 1}
    few = differences(votes, Pictures(lambda: shelf), most=1)
    assert sum(few.without.values()) == len(votes)


def test_a_reader_who_waits_gets_what_is_measured_by_then():
    shelf = Shelf({name: encoded(pixels(at)) for at, name in enumerate("abcd")})
    votes = votes_from_rows([row("x", "y", "model_a", image_a="a", image_b="b"),
                             row("x", "y", "model_a", image_a="c", image_b="d")])  # fmt: skip
    pictures, seconds = Pictures(lambda: shelf, patience=2.5), iter(range(100))
    first = differences(votes, pictures, clock=lambda: next(seconds))
    assert len(pictures.measured) == 2 and list(first.without.values()) == [1]
    second = differences(votes, pictures, clock=lambda: next(seconds))
    assert second.without == {} and np.isfinite(second.values["brightness"]).all()


def test_the_votes_file_may_say_what_it_measured(tmp_path):
    lines = [row("x", "y", "model_a", brightness_a=0.2, brightness_b=0.5), row("x", "y", "tie", brightness_a=0.4)]
    path = tmp_path / "votes.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    from leaderboard.votes import read_votes

    for votes in (votes_from_rows(lines), read_votes(path)):
        found = differences(votes)
        assert list(found.values) == ["brightness"] and found.without == {}
        assert found.values["brightness"][0] == pytest.approx(-0.3) and np.isnan(found.values["brightness"][1])
    with pytest.raises(errors.BadNumber, match="column file_b: 1 row holds a value that is no number: 'big'"):
        votes_from_rows([row("x", "y", "model_a", file_a=1, file_b="big")])
    assert differences(votes_from_rows([row("x", "y", "model_a")])).without == {"without images": 1}


def test_no_votes_have_no_differences():
    assert differences(votes_from_rows([]), Pictures()).without == {}
