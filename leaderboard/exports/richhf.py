"""Owns the export with RichHF-18K's labels: one row an image.

Its conventions (Liang et al. 2024, and the code that google-research publishes with it): four scores from 0 to 1, higher
is better for each of them, `artifact_score` and `misalignment_score` too; maps are 512 x 512 grey images, 255 the worst;
`prompt_misalignment_label` has a 1 for each token of the prompt that the image shows and a 0 for one that it misses,
tokens being what is left between spaces and the marks , . ? ! " : ;
"""

import io
import re

import numpy as np

from leaderboard.exports.base import Written, ending, write_rows
from leaderboard.exports.rich import images
from leaderboard.rich import OVERALL

NAME = "richhf-18k"
ABOUT = "one row an image with feedback, labelled as RichHF-18K: four scores, two maps, one label a token"
TRAINS = (
    'datasets.load_dataset("FOLDER", split="train"); the fields are those of the TFRecords, image and prompt beside'
)
SIDE, WHITE = 512, 255
SCORES = {"aesthetics_score": "style", "artifact_score": "coherence", "misalignment_score": "alignment",
          "overall_score": OVERALL}  # fmt: skip
MAPS = {"artifact_map": "coherence", "misalignment_map": "alignment"}
TOKEN = re.compile(r'[^,.?!":; ]+')
COLUMNS = {"filename": "text", **dict.fromkeys(SCORES, "float"), **dict.fromkeys(MAPS, "bytes"),
           "prompt_misalignment_label": "text", "image": "image", "prompt": "text"}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.NothingToExport and errors.SourceError."""
    written = Written(notes=(
        "overall_score is the mean of the other three, since voters here are not asked for a fourth.",
        "A token is missed (0) where at least half of the trust in those asked marked its word; the label is null where "
        "nobody was asked. A map is the mean over voters, of whom those who rated too high to be asked where point nowhere; it "
        "is null where no voter was asked or rated so. Maps are PNG files.",
    ))  # fmt: skip

    def rows():
        for found, image, picture, split in images(material, written):
            row = {"filename": f"{image.image_id}{ending(picture['bytes'])}", "image": picture, "prompt": image.prompt}
            for field, criterion in SCORES.items():
                mean = image.scores[criterion].mean
                row[field] = None if mean is None else (mean - 1) / 4
            for field, kind in MAPS.items():
                row[field] = _png(found.heatmap(image.image_id, kind, SIDE)) if image.heard[kind] else None
            row["prompt_misalignment_label"] = label(image) if image.asked_words else None
            yield split, row

    write_rows(out, COLUMNS, rows(), written)
    return written


def label(image):
    """One 1 or 0 a token of the prompt, with spaces between: 0 where it has a part in a word that is missed. Words are
    parted by any white space and tokens by the space alone, so a token may hold several."""
    words = list(zip(re.finditer(r"\S+", image.prompt), image.words, strict=True))
    missed = [found.span() for found, word in words if word.trusted >= 0.5 - 1e-9]
    tokens = (token.span() for token in TOKEN.finditer(image.prompt))
    return " ".join("01"[not any(at < end and start < to for at, to in missed)] for start, end in tokens)


def _png(heat):
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray((np.clip(heat, 0, 1) * WHITE).round().astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
