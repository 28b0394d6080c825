"""Owns the images behind the votes: what is known of each, and its bytes when somebody asks for them.

Three kinds of shelf hold them. A shelf has `all()` (its Pictures, in the order in which they are cheapest to read),
`find(image_id)` and `read(image_id)`, both None for what it does not hold:

- Parquet files with the columns of the published `images` table, alone or as `data/images/**/*.parquet`;
- a ledger, `NAME.sqlite`, whose table `images` says what there is, with the arena's bank beside it: the file of image
  `0123...` is `bank/01/0123....png`. What is marked private there is never shown;
- whatever an app hands over, for instance its running arena.
"""

import io
import json
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from leaderboard import errors

OURS = ["data/images/**"]  # in one of our data sets on the Hub
KNOWN = ("image_id", "model", "prompt_id", "width", "height", "seconds", "hardware", "settings")
THUMBNAIL, QUALITY = 192, 80  # pixels of the longer side; WebP
THUMBNAILS = 24 * 2**20  # bytes of them kept in memory: one is about 8 kB, and one of 1,024 pixels about 100
ROW_GROUPS = 128 * 2**20  # bytes of row groups kept in memory; one more is held however large it is


@dataclass(frozen=True, slots=True)
class Picture:
    """One generation: `seconds` it took on `hardware`; `settings` are the arguments, as JSON text. None: not known."""

    image_id: str
    model: str | None = None
    prompt_id: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    hardware: str | None = None
    settings: str | None = None

    def arguments(self):
        """The settings as a dict; empty where they are not known or no JSON object."""
        try:
            found = json.loads(self.settings or "{}")
        except json.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


class Pictures:
    """The images of a shelf; safe to use from several threads. `measured` {image id: what leaderboard.covariates
    measured on it} lasts as long as the Pictures do.

    `open_shelf` makes the shelf and is called when somebody first asks for an image. `patience` is for how many
    seconds one look may measure images, where somebody waits for a page; None: as long as it takes."""

    def __init__(self, open_shelf=None, patience=None):
        self._open, self._opened = open_shelf, None
        self.measured, self.patience = {}, patience
        self._thumbnails, self._held, self._lock = OrderedDict(), 0, threading.RLock()

    @property
    def _shelf(self):
        with self._lock:
            if self._opened is None:
                self._opened = self._open() if self._open else Parquets(())
            return self._opened

    def __len__(self):
        return len(self._shelf.all())

    def all(self):
        """Every Picture, in the order in which their bytes are cheapest to read."""
        return list(self._shelf.all())

    def picture(self, image_id):
        """What is known of an image, or None."""
        return self._shelf.find(image_id)

    def of_model(self, model):
        """Every Picture that a model made."""
        return [picture for picture in self._shelf.all() if picture.model == model]

    def data(self, image_id):
        """The bytes of an image as they are stored, or None where it is not (or no longer) there."""
        return self._shelf.read(image_id)

    def thumbnail(self, image_id, side=THUMBNAIL):
        """A WebP of the pixels alone, at most `side` pixels a side; None where there is no readable image."""
        key = image_id, side
        with self._lock:
            if key in self._thumbnails:
                self._thumbnails.move_to_end(key)
                return self._thumbnails[key]
        data = self.data(image_id)
        small = None if data is None else _small(data, side)
        if small is None:
            return None  # not remembered: it may come yet
        with self._lock:
            if key not in self._thumbnails:
                self._thumbnails[key] = small
                self._held += len(small)
            while self._held > THUMBNAILS:
                self._held -= len(self._thumbnails.popitem(last=False)[1])
        return small


def decoded(data, least=None):
    """Image bytes -> an RGB PIL image that carries no metadata along, or None where they are no image.

    `least` pixels a side are enough for the caller: JPEG is then decoded at a fraction of its size.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            if least:
                image.draft("RGB", (least, least))
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    rgb.info = {}
    return rgb


def _small(data, side):
    image = decoded(data, 2 * side)
    if image is None:
        return None
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=2)
    return out.getvalue()


def open_pictures(source, images=False):
    """The Pictures of a source of votes; none where it has none.

    Of a data set on the Hub the images are downloaded, and only where `images` asks for them. Nothing is read before
    somebody asks for an image; that raises errors.SourceError for files that can't be read.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        published = path / "data" / "images"
        return Pictures(lambda: Parquets.under(published if published.is_dir() else path))
    if path.is_file() and path.suffix.lower() == ".parquet":
        return Pictures(lambda: Parquets([path]))
    if path.is_file() and path.suffix.lower() in (".sqlite", ".sqlite3", ".db"):
        return Pictures(lambda: Banked(path))
    if images and not path.exists():
        from leaderboard.remote import download
        from leaderboard.sources import HUB_ID

        if found := HUB_ID.fullmatch(str(source)):
            repo = found.groups()[:2]
            return Pictures(lambda: Parquets.under(download(str(source), *repo, patterns=OURS) / "data" / "images"))
    return Pictures()


class Parquets:
    """Images in Parquet files; files that hold none are passed over. Only a row group is read to show an image."""

    def __init__(self, files):
        self._found, self._place = {}, {}
        self._groups, self._lock = OrderedDict(), threading.Lock()
        for file in files:
            self._index(file)

    @classmethod
    def under(cls, folder):
        """Every Parquet file in a folder and those in it, by name."""
        return cls(sorted(folder.rglob("*.parquet")))

    def all(self):
        return self._found.values()

    def find(self, image_id):
        return self._found.get(image_id)

    def read(self, image_id):
        if image_id not in self._place:
            return None
        file, group, row = self._place[image_id]
        with self._lock:
            cell = self._group(file, group)[row].as_py()
        return cell.get("bytes") if isinstance(cell, dict) else cell

    def _index(self, file):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as parquet:
                names = parquet.schema_arrow.names
                if not {"image_id", "image"} <= set(names):
                    return
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group, columns=[name for name in KNOWN if name in names])
                    for row, cells in enumerate(table.to_pylist()):
                        if cells["image_id"] and cells["image_id"] not in self._found:
                            self._found[cells["image_id"]] = Picture(**cells)
                            self._place[cells["image_id"]] = file, group, row
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, "not a readable Parquet file", error) from error

    def _group(self, file, group):
        """The column `image` of a row group, from memory where it was read lately."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        key = file, group
        if key not in self._groups:
            try:
                with pq.ParquetFile(file) as parquet:
                    self._groups[key] = parquet.read_row_group(group, columns=["image"])["image"].combine_chunks()
            except (pa.ArrowException, OSError) as error:
                raise _unreadable(file, "not a readable Parquet file", error) from error
        self._groups.move_to_end(key)
        while len(self._groups) > 1 and sum(column.nbytes for column in self._groups.values()) > ROW_GROUPS:
            self._groups.popitem(last=False)
        return self._groups[key]


class Banked:
    """Images of an arena's ledger, as it was when this was made, with its bank beside the file."""

    def __init__(self, ledger):
        self._bank = Path(ledger).parent / "bank"
        wanted = ", ".join(f'"{name}"' for name in KNOWN)
        try:
            connection = sqlite3.connect(f"file:{quote(str(Path(ledger).resolve()))}?mode=ro", uri=True, timeout=10)
            try:
                columns = {row[1] for row in connection.execute("PRAGMA table_info(images)")}
                rows = []
                if set(KNOWN) <= columns:
                    public = " WHERE private = 0" if "private" in columns else ""
                    rows = connection.execute(f"SELECT {wanted} FROM images{public}").fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise _unreadable(ledger, "not a readable ledger", error) from error
        self._found = {row[0]: Picture(*row) for row in rows}

    def all(self):
        return self._found.values()

    def find(self, image_id):
        return self._found.get(image_id)

    def read(self, image_id):
        if image_id not in self._found or not image_id.isalnum():
            return None
        try:
            return (self._bank / image_id[:2] / f"{image_id}.png").read_bytes()
        except FileNotFoundError:
            return None


def _unreadable(file, what, error):
    return errors.Unreadable(f"{file}: {what} ({' '.join(str(error).split()) or type(error).__name__})")
