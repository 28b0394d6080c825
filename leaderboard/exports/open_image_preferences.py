"""Owns the export with the columns of Open Image Preferences' results: one row a pair, every response in lists."""

from leaderboard.exports.base import Written, as_image, write_rows
from leaderboard.exports.pairs import RESPONSE

NAME = "open-image-preferences"
ABOUT = "one row a pair with every response, in the columns of Open Image Preferences' results"
TRAINS = 'datasets.load_dataset("FOLDER", split="train")'
EVOLUTION = {"complex": "quality"}
COLUMNS = {
    "id": "text", "images.image_1": "image", "images.image_2": "image", "images.prompt": "text", "model_1": "text",
    "model_2": "text", "evolution": "text", "category": "text", "sub_category": "text",
    "preference.responses": "texts", "preference.responses.users": "texts", "preference.responses.status": "texts",
}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.SourceError for pictures that can't be read."""
    written = Written(notes=("evolution says `quality` for a complex prompt, as that data set does.",))

    def rows():
        for pair in material.pairs.pairs:
            data = [material.pictures.data(image) for image in (pair.image_1, pair.image_2)]
            if None in data:
                written.leave_out("votes whose pictures can't be read", len(pair.answers))
                continue
            yield material.split(pair.prompt), {
                "id": pair.pair_id, "images.image_1": as_image(pair.image_1, data[0]),
                "images.image_2": as_image(pair.image_2, data[1]), "images.prompt": pair.prompt,
                "model_1": pair.model_1, "model_2": pair.model_2,
                "evolution": EVOLUTION.get(pair.complexity, pair.complexity), "category": pair.category,
                "sub_category": pair.sub_category,
                "preference.responses": [RESPONSE[answer.outcome] for answer in pair.answers],
                "preference.responses.users": [answer.voter or "" for answer in pair.answers],
                "preference.responses.status": ["submitted"] * len(pair.answers),
            }  # fmt: skip

    write_rows(out, COLUMNS, rows(), written)
    return written
