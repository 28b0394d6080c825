"""Owns the export for ImageReward's training: SPLIT.json with a ranking of each prompt's images, and the images.

A ranking is of all images of a prompt that were compared: by the pairs that an image won less those it lost, over the
pairs that it was in. Equal shares share a rank; lower is better.
"""

import hashlib
import json
import re
from collections import defaultdict

from leaderboard.exports.base import Written, ending

NAME = "imagereward"
ABOUT = "one ranking a prompt, as ImageReward trains on: train.json with generations and ranking, and images/"
TRAINS = "ImageReward's train/src/make_dataset.py reads train.json, with images/ as its image folder"


def write(material, out):
    """Write SPLIT.json and images/; the Written. Raises errors.SourceError for pictures that can't be read."""
    written = Written(notes=(
        "A ranking is made of pairwise verdicts (won less lost over judged), not given by one annotator.",
        "A row of SPLIT.json is a prompt.",
    ))  # fmt: skip
    judged, prompts = defaultdict(lambda: defaultdict(lambda: [0, 0])), {}
    for pair in material.pairs.pairs:
        key, verdict = pair.prompt_id or pair.prompt, pair.verdict()
        prompts[key] = pair
        for side in ("image_1", "image_2"):
            record = judged[key][getattr(pair, side)]
            record[0] += 0 if verdict is None else 1 if verdict == side else -1
            record[1] += 1
    images, found = out / "images", defaultdict(list)
    images.mkdir()
    for key, of_images in judged.items():
        data = {image: material.pictures.data(image) for image in of_images}
        shares = {image: of_images[image][0] / of_images[image][1] for image in data if data[image] is not None}
        if len(set(shares.values())) < 2:
            written.leave_out(
                "pairs of prompts whose images can't be told apart", sum(n for _, n in of_images.values()) // 2
            )
            continue
        order = sorted(set(shares.values()), reverse=True)
        pair, names = prompts[key], []
        for image in shares:
            names.append(f"images/{file_name(image)}{ending(data[image])}")
            (out / names[-1]).write_bytes(data[image])
        found[material.split(pair.prompt)].append({
            "id": str(pair.prompt_id or key), "prompt": pair.prompt, "generations": names,
            "ranking": [1 + order.index(share) for share in shares.values()],
        })  # fmt: skip
    for split, rows in found.items():
        written.splits[split] = len(rows)
        (out / f"{split}.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return written


def file_name(image):
    """An image's id where it is a plain name, and else a hash of it: a source may call its images what it likes."""
    return image if re.fullmatch(r"[\w-]{1,64}", image, re.ASCII) else hashlib.sha256(image.encode()).hexdigest()[:32]
