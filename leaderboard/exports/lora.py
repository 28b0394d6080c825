"""Owns the export for fine-tuning on what people preferred: one row a chosen image, with its prompt as the caption.

It is what Open Image Preferences trained its LoRA on: `train_dreambooth_lora_flux.py --caption_column=prompt`. An image
is in it once however many pairs it won, and not at all where it lost more pairs than it won.
"""

from leaderboard.exports.base import Written, as_image, write_rows

NAME = "lora"
ABOUT = "one row an image that won more pairs than it lost: image, prompt, for LoRA and other fine-tuning"
TRAINS = (
    "accelerate launch train_dreambooth_lora_flux.py --dataset_name=FOLDER --image_column=image "
    "--caption_column=prompt ..."
)
COLUMNS = {"image": "image", "prompt": "text", "model": "text", "category": "text", "won": "int", "lost": "int"}


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.SourceError for pictures that can't be read."""
    written, about, record = Written(), {}, {}
    for pair, chosen, rejected in material.pairs.decided(written):
        for side, place in ((chosen, 0), (rejected, 1)):
            image = getattr(pair, side)
            about[image] = pair, pair.model_1 if side == "image_1" else pair.model_2
            record.setdefault(image, [0, 0])[place] += 1

    def rows():
        for image, (won, lost) in record.items():
            pair, model = about[image]
            data = material.pictures.data(image) if won > lost else None
            if data is not None:
                yield material.split(pair.prompt), {
                    "image": as_image(image, data), "prompt": pair.prompt, "model": model, "category": pair.category,
                    "won": won, "lost": lost,
                }  # fmt: skip

    write_rows(out, COLUMNS, rows(), written)
    written.notes = (
        f"{sum(won <= lost for won, lost in record.values()):,} images that did not win more pairs than they lost "
        "are not here.",
    )
    return written
