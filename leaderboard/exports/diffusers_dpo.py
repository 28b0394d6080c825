"""Owns the export for diffusers' DPO and ORPO training scripts: one row a pair with a verdict.

They read `caption`, `jpg_0` and `jpg_1` (an image file's bytes, not the Image feature) and `label_0`. They take any
label but 0 as a win of image 0, so a pair without a winner must not be there.
"""

from leaderboard.exports.base import Written, write_rows

NAME = "diffusers-dpo"
ABOUT = "one verdict a pair, for diffusers' DPO and ORPO scripts: caption, jpg_0, jpg_1, label_0"
TRAINS = "accelerate launch train_diffusion_dpo_sdxl.py --dataset_name=FOLDER --dataset_split_name=train ..."
COLUMNS = {"caption": "text", "jpg_0": "bytes", "jpg_1": "bytes", "label_0": "int", "label_1": "int",
           "model_0": "text", "model_1": "text", "votes": "int", "pair_id": "text"}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.SourceError for pictures that can't be read."""
    written = Written(notes=("jpg_0 and jpg_1 hold the stored files as they are, whatever their codec.",))

    def rows():
        for pair, chosen, _ in material.pairs.decided(written):
            data = [material.pictures.data(image) for image in (pair.image_1, pair.image_2)]
            if None in data:
                written.leave_out("pairs whose pictures can't be read")
                continue
            first = int(chosen == "image_1")
            yield material.split(pair.prompt), {
                "caption": pair.prompt, "jpg_0": data[0], "jpg_1": data[1], "label_0": first, "label_1": 1 - first,
                "model_0": pair.model_1, "model_1": pair.model_2, "votes": len(pair.answers), "pair_id": pair.pair_id,
            }  # fmt: skip

    write_rows(out, COLUMNS, rows(), written)
    return written
