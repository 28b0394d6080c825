"""The bank keeps pixels and nothing else, and shows every model's picture in the same form."""

import io

import pytest
from PIL import Image, PngImagePlugin

from arena.bank import Bank
from arena.errors import ImageRejected


def picture(width=64, height=64, seed=0):
    image = Image.new("RGB", (width, height), (10 * seed % 255, 90, 160))
    image.paste((250, 200, 30), (width // 4, height // 4, width // 2, height // 2))
    return image


def test_what_is_stored_is_the_picture_without_loss_or_metadata(tmp_path):
    bank = Bank(tmp_path)
    original = picture()
    original.info = {"model": "secret-model"}
    image_id, size = bank.add(original)
    data = bank.read(image_id)
    assert len(data) == size and b"secret" not in data
    assert Image.open(io.BytesIO(data)).tobytes() == original.tobytes()


def test_the_same_picture_has_the_same_id_and_is_stored_once(tmp_path):
    bank = Bank(tmp_path)
    assert bank.add(picture()) == bank.add(picture())
    assert bank.add(picture(seed=3)) != bank.add(picture())
    assert len(list(tmp_path.rglob("*.png"))) == 2
    assert not list(tmp_path.rglob(".*")), "no scratch files are left"


@pytest.mark.parametrize("size", [(64, 64), (1024, 1024), (96, 64), (37, 111)])
def test_every_picture_is_shown_in_one_box_and_codec(tmp_path, size):
    bank = Bank(tmp_path, display_px=128)
    shown = Image.open(io.BytesIO(bank.display(bank.add(picture(*size))[0])))
    assert (shown.format, shown.size, shown.mode) == ("WEBP", (128, 128), "RGB")
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(shown.info)


def test_metadata_of_the_source_never_reaches_a_voter(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "model: secret-model")
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret-model"
    picture().save(out, "PNG", pnginfo=notes, exif=exif)
    bank = Bank(tmp_path, display_px=64)
    image_id, _ = bank.add(Image.open(out))
    assert b"secret" not in bank.read(image_id) + bank.display(image_id)


def test_a_blank_picture_is_rejected_and_not_stored(tmp_path):
    bank = Bank(tmp_path)
    for colour in ((0, 0, 0), (255, 255, 255), (12, 200, 7)):
        with pytest.raises(ImageRejected):
            bank.add(Image.new("RGB", (64, 64), colour))
    assert not list(tmp_path.rglob("*.png"))


def test_a_picture_is_encoded_once_and_kept_for_later(tmp_path, monkeypatch):
    bank = Bank(tmp_path, display_px=64)
    image_id, _ = bank.add(picture())
    shown = bank.display(image_id)
    later = Bank(tmp_path, display_px=64)
    monkeypatch.setattr(later, "_encoded", lambda image_id: pytest.fail("it was encoded again"))
    assert later.display(image_id) == shown
    assert Bank(tmp_path, display_px=32).display(image_id) != shown, "another box is another picture"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 31, "0" * 32, "." * 32])
def test_only_ids_name_files(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        Bank(tmp_path).read(name)


def test_a_removed_picture_is_gone_from_memory_too(tmp_path):
    bank = Bank(tmp_path)
    image_id, _ = bank.add(picture())
    bank.display(image_id)
    bank.remove(image_id)
    assert not bank.has(image_id)
    with pytest.raises(FileNotFoundError):
        bank.display(image_id)
