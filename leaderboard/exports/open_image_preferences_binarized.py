"""Owns the export with the columns of Open Image Preferences' binarised version: a chosen and a rejected image a pair."""

from leaderboard.exports.base import Written, as_image, write_rows
from leaderboard.exports.open_image_preferences import EVOLUTION

NAME = "open-image-preferences-binarized"
ABOUT = "one verdict a pair: prompt, chosen, rejected (images), chosen_model, rejected_model"
TRAINS = 'datasets.load_dataset("FOLDER", split="train")'
COLUMNS = {"id": "text", "prompt": "text", "chosen": "image", "rejected": "image", "chosen_model": "text",
           "rejected_model": "text", "evolution": "text", "category": "text", "sub_category": "text"}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.SourceError for pictures that can't be read."""
    written = Written(notes=("Pairs without a clear winner are not here, so win rates can't be read off.",))

    def rows():
        for pair, chosen, rejected in material.pairs.decided(written):
            image = {side: getattr(pair, side) for side in (chosen, rejected)}
            data = {side: material.pictures.data(image[side]) for side in image}
            if None in data.values():
                written.leave_out("pairs whose pictures can't be read")
                continue
            model = {"image_1": pair.model_1, "image_2": pair.model_2}
            yield material.split(pair.prompt), {
                "id": pair.pair_id, "prompt": pair.prompt, "chosen": as_image(image[chosen], data[chosen]),
                "rejected": as_image(image[rejected], data[rejected]), "chosen_model": model[chosen],
                "rejected_model": model[rejected], "evolution": EVOLUTION.get(pair.complexity, pair.complexity),
                "category": pair.category, "sub_category": pair.sub_category,
            }  # fmt: skip

    write_rows(out, COLUMNS, rows(), written)
    return written
