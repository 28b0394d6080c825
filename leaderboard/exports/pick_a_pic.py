"""Owns the export with Pick-a-Pic v2's columns: one row a vote, a tie as 0.5 for each.

"Both good" and "both bad" are the same tie there; the column `outcome` beside the others keeps them apart.
"""

from datetime import datetime

from leaderboard.exports.base import Written, write_rows
from leaderboard.votes import A_WINS, B_WINS, OUTCOMES

NAME = "pick-a-pic"
ABOUT = "one row a vote in Pick-a-Pic v2's columns: caption, jpg_0, jpg_1, label_0, label_1 (0.5 is a tie)"
TRAINS = 'datasets.load_dataset("FOLDER", split="train"), as yuvalkirstain/pickapic_v2'
LABELS = {A_WINS: (1.0, 0.0), B_WINS: (0.0, 1.0)}
TIE = (0.5, 0.5)
COLUMNS = {
    "are_different": "bool", "best_image_uid": "text", "caption": "text", "created_at": "moment", "has_label": "bool",
    "image_0_uid": "text", "image_0_url": "text", "image_1_uid": "text", "image_1_url": "text", "jpg_0": "bytes",
    "jpg_1": "bytes", "label_0": "double", "label_1": "double", "model_0": "text", "model_1": "text",
    "ranking_id": "text", "user_id": "text", "num_example_per_prompt": "int", "outcome": "text",
}  # fmt: skip


def write(material, out):
    """Write data/SPLIT-*.parquet; the Written. Raises errors.SourceError for pictures that can't be read."""
    written = Written(notes=(
        "user_id and ranking_id are the text ids of this data set, not numbers; the urls are empty.",
        'A tie (0.5) is "both good" or "both bad"; the column outcome says which. Drop ties before you train with a '
        "script that takes every label but 0 as a win.",
    ))  # fmt: skip
    votes_of = {}
    for pair in material.pairs.pairs:
        votes_of[pair.prompt] = votes_of.get(pair.prompt, 0) + len(pair.answers)

    def rows():
        for pair in material.pairs.pairs:
            data = {image: material.pictures.data(image) for image in (pair.image_1, pair.image_2)}
            if None in data.values():
                written.leave_out("votes whose pictures can't be read", len(pair.answers))
                continue
            for answer in pair.answers:  # side a is image 0, as it was shown
                images, models = (pair.image_1, pair.image_2), (pair.model_1, pair.model_2)
                labels = LABELS.get(answer.outcome, TIE)
                if answer.left != pair.image_1:
                    images, models, labels = images[::-1], models[::-1], labels[::-1]
                best = images[labels.index(1.0)] if 1.0 in labels else ""
                yield material.split(pair.prompt), {
                    "are_different": True, "best_image_uid": best, "caption": pair.prompt,
                    "created_at": answer.created_at and datetime.fromisoformat(answer.created_at), "has_label": True,
                    "image_0_uid": images[0], "image_0_url": "", "image_1_uid": images[1], "image_1_url": "",
                    "jpg_0": data[images[0]], "jpg_1": data[images[1]], "label_0": labels[0], "label_1": labels[1],
                    "model_0": models[0], "model_1": models[1], "ranking_id": answer.vote_id,
                    "user_id": answer.voter, "num_example_per_prompt": votes_of[pair.prompt],
                    "outcome": _outcome(answer, images[0] == pair.image_1),
                }  # fmt: skip

    write_rows(out, COLUMNS, rows(), written)
    return written


def _outcome(answer, straight):
    turned = answer.outcome if straight else {A_WINS: B_WINS, B_WINS: A_WINS}.get(answer.outcome, answer.outcome)
    return OUTCOMES[turned]
