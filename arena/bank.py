"""The image bank: image files under the hash of their bytes, and the pictures that voters are shown.

What is stored is the model's own picture, lossless and without metadata (PNG). What a voter gets is that
picture in one common square box, in one codec at one quality, so that neither size nor format tells who made
it. Which images exist, and who may see them, is in the ledger; the bank only holds bytes.

The stored file of image `0123...` is `01/0123....png`; `leaderboard.pictures` finds it there, beside a ledger.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arena.errors import ImageRejected
from arena.records import content_id
from arena.webp import common_length, padded

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CODEC, MEDIA_TYPE, QUALITY = "WEBP", "image/webp", 90
BLANK_SPREAD = 3  # a picture whose channels all span at most this many of 255 levels shows nothing
CACHED = 256  # displayed pictures kept in memory; the others are read from the disk, already encoded


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as the bank keeps it."""

    image_id: str
    data: bytes  # PNG, at the model's own size
    shown: bytes  # what a voter gets


def encode(picture: Picture, display_px: int) -> Encoded:
    """The two files of a picture, wherever it was made. Raises ImageRejected when it is blank."""
    picture = picture.convert("RGB")
    if all(high - low <= BLANK_SPREAD for low, high in picture.getextrema()):
        raise ImageRejected("The model answered with a blank image.")
    data = _encode(picture, "PNG", compress_level=3)
    return Encoded(content_id(data), data, _shown(picture, display_px))


def shown_picture(data: bytes, side: int) -> bytes:
    """A picture file as voters get it: in a square box of `side` pixels, in the common codec, without metadata. Raises
    what Pillow does for what is no picture."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return _shown(picture.convert("RGB"), side)


class Bank:
    """Files under `folder`, shown in a box of `display_px` pixels a side."""

    def __init__(self, folder: str | Path, *, display_px: int = 768):
        self.folder = Path(folder)
        self.display_px = display_px
        self._shown: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, picture: Picture) -> tuple[str, int]:
        """Store a picture; returns its image id and its size in bytes. Raises ImageRejected when it is blank."""
        made = encode(picture, self.display_px)
        self.store(made)
        return made.image_id, len(made.data)

    def store(self, made: Encoded) -> None:
        """Store the files of a picture that `encode` made for this bank, here or on another machine. Raises
        ImageRejected for bytes that do not have their id."""
        if content_id(made.data) != made.image_id:
            raise ImageRejected("The picture is not the one that its id names.")
        if not self.has(made.image_id):
            _write(self._shown_path(made.image_id), made.shown)  # first: what the bank has can be served at once
            _write(self._path(made.image_id), made.data)

    def put(self, image_id: str, data: bytes) -> None:
        """Store a picture that was made elsewhere, under the id that it has there. Raises ImageRejected for bytes
        that do not have this id, or are no picture."""
        try:
            shown = self._encoded(data)
        except Exception as error:  # Pillow raises many kinds for what is no picture
            raise ImageRejected("The file is no picture.") from error
        self.store(Encoded(image_id, data, shown))

    def read(self, image_id: str) -> bytes:
        """The stored PNG. Raises FileNotFoundError."""
        return self._path(image_id).read_bytes()

    def size(self, image_id: str) -> int:
        """Bytes of the stored PNG. Raises FileNotFoundError."""
        return self._path(image_id).stat().st_size

    def has(self, image_id: str) -> bool:
        return self._path(image_id).exists()

    def remove(self, image_id: str) -> None:
        for path in (self._path(image_id), self._shown_path(image_id)):
            path.unlink(missing_ok=True)
        with self._lock:
            self._shown.pop(image_id, None)

    def display(self, image_id: str) -> bytes:
        """The picture as every voter gets it: `display_px` square, `CODEC` at `QUALITY`, no metadata."""
        with self._lock:
            if image_id in self._shown:
                self._shown.move_to_end(image_id)
                return self._shown[image_id]
        path = self._shown_path(image_id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = self._encoded(self.read(image_id))
            _write(path, data)
        with self._lock:
            self._shown[image_id] = data
            while len(self._shown) > CACHED:
                self._shown.popitem(last=False)
        return data

    def display_beside(self, image_id: str, other: str) -> bytes:
        """The picture as it is sent: as long as that of `other`, the other one of its battle, whichever is asked for.
        Raises FileNotFoundError."""
        shown = self.display(image_id)
        try:
            beside = len(self.display(other))
        except FileNotFoundError:  # this one can still be looked at
            beside = 0
        return padded(shown, common_length(len(shown), beside), self.display_px, self.display_px)

    def _encoded(self, data: bytes) -> bytes:
        return shown_picture(data, self.display_px)

    def _shown_path(self, image_id: str) -> Path:
        return self._path(image_id).with_suffix(f".{self.display_px}.webp")

    def _path(self, image_id: str) -> Path:
        if not (len(image_id) == 32 and image_id.isalnum()):
            raise FileNotFoundError(image_id)
        return self.folder / image_id[:2] / f"{image_id}.png"


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with open(scratch, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def _shown(picture: Picture, display_px: int) -> bytes:
    return _encode(_boxed(picture, display_px), CODEC, quality=QUALITY, method=2)


def _boxed(picture: Picture, side: int) -> Picture:
    """`picture` scaled to fit a square of `side` pixels, centred on neutral grey where it is not square."""
    from PIL import Image

    scale = side / max(picture.size)
    size = tuple(max(1, round(length * scale)) for length in picture.size)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    if picture.size == (side, side):
        return picture
    box = Image.new("RGB", (side, side), (128, 128, 128))
    box.paste(picture, ((side - size[0]) // 2, (side - size[1]) // 2))
    return box


def _encode(picture: Picture, codec: str, **arguments) -> bytes:
    """Bytes of the pixels alone: a fresh picture carries no text chunks, EXIF or profiles along."""
    from PIL import Image

    clean = Image.new("RGB", picture.size)
    clean.paste(picture)
    out = io.BytesIO()
    clean.save(out, codec, **arguments)
    return out.getvalue()
