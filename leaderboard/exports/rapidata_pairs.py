"""Owns the export with the columns of Rapidata's preference sets: one row a pair, with how many preferred each image.

Draws were not offered there, so a draw is no count here; a pair with draws alone is left out.
"""

from leaderboard.exports.base import Written, as_image, write_rows
from leaderboard.votes import A_WINS, B_WINS

NAME = "rapidata"
ABOUT = "one row a pair in the columns of Rapidata's preference sets: votes_image1, votes_image2, without draws"
TRAINS = 'datasets.load_dataset("FOLDER", split="train")'
COLUMNS = {"prompt": "text", "image1": "image", "image2": "image", "votes_image1": "int", "votes_image2": "int",
           "model1": "text", "model2": "text", "image1_path": "text", "image2_path": "text"}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.SourceError for pictures that can't be read."""
    written = Written(notes=("Draws are not counted: that format has no place for them.",))

    def rows():
        for pair in material.pairs.pairs:
            votes = pair.counts()
            first, second = votes[A_WINS], votes[B_WINS]
            written.leave_out("votes that are draws", len(pair.answers) - first - second)
            data = [material.pictures.data(image) for image in (pair.image_1, pair.image_2)]
            if None in data:
                written.leave_out("votes whose pictures can't be read", first + second)
            elif first + second:
                yield material.split(pair.prompt), {
                    "prompt": pair.prompt, "image1": as_image(pair.image_1, data[0]),
                    "image2": as_image(pair.image_2, data[1]), "votes_image1": first, "votes_image2": second,
                    "model1": pair.model_1, "model2": pair.model_2, "image1_path": pair.image_1,
                    "image2_path": pair.image_2,
                }  # fmt: skip

    write_rows(out, COLUMNS, rows(), written)
    return written
