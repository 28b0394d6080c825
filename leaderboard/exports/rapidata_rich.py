"""Owns the export with the columns of Rapidata's rich human feedback: one row an image.

Its conventions: scores are means from 1 to 5, 5 the best, and `_norm` runs from 0 to 1 between the data set's worst and
best image. `word_scores` is JSON text, a list of [word, trust-weighted count of those who marked it] for each word of
the prompt and, last, of those who marked none. Heatmaps are lists of rows, null where nobody was asked for points.
"""

import json

from leaderboard.exports.base import Written, write_rows
from leaderboard.exports.rich import images
from leaderboard.feedback import KINDS
from leaderboard.feedback_formats import CRITERIA

NAME = "rapidata-rich"
ABOUT = "one row an image with feedback, in the columns of Rapidata's rich human feedback: scores, words, heatmaps"
TRAINS = 'datasets.load_dataset("FOLDER", split="train")'
NO_MISTAKES = "[No_mistakes]"
CELLS = 128  # a side: the gaussian's sigma is then 6.4 cells, and a row 64 kB in place of 256
COLUMNS = {
    "image": "image", "prompt": "text", "word_scores": "text",
    **{f"{name}_score_norm": "float" for name in ("alignment", "coherence", "style")},
    **{f"{kind}_heatmap": "map" for kind in ("alignment", "coherence")},
    **{f"{name}_score": "float" for name in ("alignment", "coherence", "style")},
}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.NothingToExport and errors.SourceError."""
    written = Written(notes=(
        f"Heatmaps are {CELLS} cells a side over the image's box, whatever its shape: the mean over voters of a gaussian "
        "at each point, its sigma 5% of the smaller side. Who rated too high to be asked where counts as pointing nowhere, "
        "who was asked other things does not count.",
        "A word's score is the sum of the trust in the voters who marked it, 1 each where nothing is known of them; a voter "
        "counts once on an image.",
    ))  # fmt: skip

    def rows():
        for found, image, picture, split in images(material, written):
            row = {"image": picture, "prompt": image.prompt, "word_scores": None}
            if image.asked_words:
                pairs = [[word.text, round(word.weighted, 6)] for word in image.words]
                none = round(image.no_mistakes_weighted, 6)
                row["word_scores"] = json.dumps([*pairs, [NO_MISTAKES, none]], ensure_ascii=False)
            for name in CRITERIA:
                row[f"{name}_score"] = image.scores[name].mean
                row[f"{name}_score_norm"] = image.scores[name].normalised
            for kind in KINDS:
                asked = image.asked[kind]
                row[f"{kind}_heatmap"] = found.heatmap(image.image_id, kind, CELLS).astype("float16") if asked else None
            yield split, row | {key: _lists(cell) for key, cell in row.items() if key.endswith("_heatmap")}

    write_rows(out, COLUMNS, rows(), written)
    return written


def _lists(grid):
    return None if grid is None else list(grid)
