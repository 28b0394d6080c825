"""A published data set of our own making, with feedback whose truth is known: for every test that shows or sums it up.

    made = world(seed=1)              # rows of votes, images, prompts, feedback and exclusions, as plain dicts
    folder = write(made, tmp_path)    # data/<table>/**/*.parquet with the published columns, images as small PNGs

`rate` is the one place that says how a simulated voter rates, so that what a model deserves can be worked out.
"""

import hashlib
import io
import json
import math
from dataclasses import dataclass, field

import numpy as np

from tests.leaderboard_rows import START

CRITERIA = ("style", "coherence", "alignment")
VOCABULARY = ("red", "blue", "three", "two", "cat", "dog", "boat", "castle", "neon", "glass", "snow", "hat")
OF_IMAGES, OF_VOTERS, OF_RATINGS = 0.5, 0.4, 0.6  # standard deviations: of images, voters' leniency, single ratings
MARKED, BY_MISTAKE = 0.85, 0.03  # how often a word that the image misses is marked, and one that it does not
POINTS_BELOW = 4


@dataclass
class World:
    """Rows of the five published tables, and the truth: `score` {(model, "style" or "coherence"): the mean rating that
    infinitely many voters would give to infinitely many of its images}, `miss` {(model, word): how often an image of
    the model misses the word}, `missed` {image_id: indices of the words that it misses}, `flaw` {image_id: {kind: where
    the points gather}}, `taste` {criterion: log odds of a vote that one point more is worth}."""

    votes: list
    images: list
    prompts: list
    feedback: list
    exclusions: list = field(default_factory=list)
    score: dict = field(default_factory=dict)
    miss: dict = field(default_factory=dict)
    missed: dict = field(default_factory=dict)
    flaw: dict = field(default_factory=dict)
    taste: dict = field(default_factory=dict)


def expected_rating(mean):
    """The mean of a rating that `rate` gives to images of this mean quality."""
    spread = math.sqrt(OF_IMAGES**2 + OF_VOTERS**2 + OF_RATINGS**2)
    return 1.0 + sum(0.5 * math.erfc((edge - mean) / spread / math.sqrt(2)) for edge in (1.5, 2.5, 3.5, 4.5))


def rate(quality, leniency, rng):
    """What a voter gives an image of this quality: a whole number from 1 to 5."""
    return np.clip(np.rint(quality + leniency + rng.normal(0, OF_RATINGS, np.shape(quality))), 1, 5).astype(int)


def world(seed=1, models=4, prompts=24, voters=40, votes=600, categories=3, draws=0.1, given=1.0, withdrawn=5, named=5,
          taste=(0.3, 0.9, 0.6), careless=0, points_at_most=3):  # fmt: skip
    """A World: model m0 is the worst and each is weak in one category; `careless` voters rate and mark at random.
    `given`: the share of votes that are followed by feedback; `withdrawn` and `named` of them do not count."""
    rng = np.random.default_rng(seed)
    names = [f"m{number}" for number in range(models)]
    quality = np.linspace(2.4, 4.0, models)[:, None] + rng.normal(0, 0.3, (models, len(CRITERIA)))
    weak = {(at, at % categories) for at in range(models)}
    chance = rng.choice([0.05, 0.1, 0.6], (models, len(VOCABULARY)), p=[0.6, 0.2, 0.2])
    found = World([], [], [], [], taste=dict(zip(CRITERIA, taste, strict=True)))
    for at, model in enumerate(names):
        for c, criterion in enumerate(CRITERIA[:2]):
            by = [expected_rating(quality[at, c] - 0.8 * ((at, k) in weak)) for k in range(categories)]
            found.score[model, criterion] = sum(by) / categories
        found.miss |= {(model, word): float(chance[at, w]) for w, word in enumerate(VOCABULARY)}
    bank = _bank(found, rng, names, quality, weak, chance, prompts, categories)
    leniency = rng.normal(0, OF_VOTERS, voters)
    for number in range(votes):
        prompt, voter = found.prompts[rng.integers(prompts)], int(rng.integers(voters))
        sides = [bank[prompt["prompt_id"], at] for at in rng.permutation(models)[:2]]
        random = voter >= voters - careless
        rated = [rng.integers(1, 6, 3) if random else rate(side["quality"], leniency[voter], rng) for side in sides]
        odds = float(np.dot(taste, rated[0] - rated[1]))
        winner = "model_a" if rng.random() < 1 / (1 + math.exp(-odds)) else "model_b"
        if rng.random() < draws:
            winner = "both_good" if rated[0].mean() + rated[1].mean() > 6 else "both_bad"
        vote = _vote(number, prompt, sides, winner, voter, "named" if number < named else "anonymous")
        found.votes.append(vote)
        if rng.random() < given:
            for side, scores in zip(sides, rated, strict=True):
                found.feedback.append(_feedback(vote, side, scores, random, found, rng, points_at_most))
    for vote in found.votes[named : named + withdrawn]:
        found.exclusions.append({"vote_id": vote["vote_id"], "reason": "withdrawn",
                                 "created_at": vote["created_at"] + 500, "extra": "{}"})  # fmt: skip
    return found


def _bank(found, rng, names, quality, weak, chance, prompts, categories):
    """Fill prompts and images; {(prompt_id, model's number): {"image": row, "quality": float [3]}}."""
    bank = {}
    for number in range(prompts):
        words = rng.choice(len(VOCABULARY), 4, replace=False)
        a, b, c, d = (VOCABULARY[word] for word in words)
        text = f"A {a} {b}, {c} and {d} no. {number}"  # words with punctuation, and some in common
        spoken = [1, 2, 3, 5]  # the indices of a, b, c and d
        about = {"prompt_id": f"{number:032x}", "prompt": text, "category": f"category {number % categories}",
                 "sub_category": f"sub {number % 5}", "complexity": ("simplified", "complex")[number % 2]}  # fmt: skip
        found.prompts.append(about | {"prompt_source": "curated", "base_prompt_id": "", "created_at": START,
                                      "extra": "{}"})  # fmt: skip
        for at, model in enumerate(names):
            png = picture(number, at)
            image_id = hashlib.sha256(png).hexdigest()[:32]
            row = {"image_id": image_id, "image": {"bytes": png, "path": f"{image_id}.png"}, **about, "model": model,
                   "model_revision": "1", "seed": number, "width": 48, "height": 32, "settings": "{}", "seconds": 0.5,
                   "hardware": "cpu", "created_at": START, "licence": "apache-2.0", "extra": "{}"}  # fmt: skip
            found.images.append(row)
            down = 0.8 if (at, number % categories) in weak else 0.0
            bank[about["prompt_id"], at] = {"image": row, "quality": quality[at] - down + rng.normal(0, OF_IMAGES, 3)}
            missed = [index for index, word in zip(spoken, words, strict=True) if rng.random() < chance[at, word]]
            found.missed[image_id] = missed
            found.flaw[image_id] = {
                kind: tuple(rng.uniform(0.2, 0.8, 2).tolist()) for kind in ("coherence", "alignment")
            }
    return bank


def _vote(number, prompt, sides, winner, voter, mode):
    a, b = (side["image"] for side in sides)
    return {"vote_id": f"v{number:06d}", "battle_id": f"b{number:06d}", "created_at": START + 60_000 * number,
            **{name: prompt[name] for name in ("prompt_id", "prompt", "category", "sub_category", "complexity",
                                               "prompt_source")},
            "model_a": a["model"], "model_b": b["model"], "winner": winner, "image_a": a["image_id"],
            "image_b": b["image_id"], "voter": f"u{voter:03d}", "signed_in": False, "mode": mode,
            "served_from": "bank", "pair_probability": 0.1, "seconds_to_vote": 3.0, "arena_version": "0",
            "extra": "{}"}  # fmt: skip


def _feedback(vote, side, scores, random, found, rng, most):
    image, scores = side["image"], dict(zip(CRITERIA, (int(score) for score in scores), strict=True))
    words = vote["prompt"].split()
    missed = found.missed[image["image_id"]]
    marks = [rng.random() < (0.3 if random else MARKED if at in missed else BY_MISTAKE) for at in range(len(words))]
    points = {}
    for kind in ("coherence", "alignment"):
        where = np.array(found.flaw[image["image_id"]][kind])
        drawn = rng.uniform(0, 1, (most, 2)) if random else np.clip(where + rng.normal(0, 0.04, (most, 2)), 0, 1)
        shown = [{"x": float(x), "y": float(y)} for x, y in drawn[: rng.integers(1, most + 1)].astype(np.float32)]
        points[f"{kind}_points"] = shown if scores[kind] < POINTS_BELOW else None
    key = f"{vote['battle_id']}-{image['image_id']}"
    return {"feedback_id": hashlib.sha256(key.encode()).hexdigest()[:32], "created_at": vote["created_at"] + 400,
            "battle_id": vote["battle_id"], "image_id": image["image_id"], "prompt_id": vote["prompt_id"],
            "prompt": vote["prompt"], "model": image["model"], "voter": vote["voter"], **scores,
            "misaligned_words": [at for at, mark in enumerate(marks) if mark], **points, "extra": "{}"}  # fmt: skip


def picture(prompt, model):
    """A PNG of 48 x 32 pixels: a disc on a ground, whose colours and place say prompt and model."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng([prompt, model])
    ground, disc = (tuple(int(part) for part in rng.integers(30, 225, 3)) for _ in range(2))
    image = Image.new("RGB", (48, 32), ground)
    x, y, r = int(rng.integers(10, 38)), int(rng.integers(8, 24)), int(rng.integers(4, 8))
    ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), disc)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def feedback_schema():
    """The published columns of `feedback`, as the contract has them."""
    import pyarrow as pa

    point = pa.struct([("x", pa.float32()), ("y", pa.float32())])
    text = [(name, pa.string()) for name in ("battle_id", "image_id", "prompt_id", "prompt", "model", "voter")]
    return pa.schema([("feedback_id", pa.string()), ("created_at", pa.timestamp("ms", tz="UTC")), *text,
                      *((name, pa.int8()) for name in CRITERIA), ("misaligned_words", pa.list_(pa.int32())),
                      ("coherence_points", pa.list_(point)), ("alignment_points", pa.list_(point)),
                      ("extra", pa.string())])  # fmt: skip


def write(made, folder, shards=2):
    """Write a World as the published data set; the folder. Tables without rows have no file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from arena.records import arrow_schema

    for table in ("votes", "images", "prompts", "feedback", "exclusions"):
        rows = getattr(made, table)
        schema = feedback_schema() if table == "feedback" else arrow_schema(table)
        for shard in range(shards):
            if part := rows[shard::shards]:
                path = folder / "data" / table / f"2026-11-{20 + shard}" / "part.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(part, schema), path)
    return folder


def write_ledger(made, path):
    """Write a World as an SQLite ledger: lists as JSON text, moments as milliseconds; the path."""
    import sqlite3

    connection = sqlite3.connect(path)
    for table in ("votes", "images", "prompts", "feedback", "exclusions"):
        rows = [{name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in row.items()
                 if name != "image"} | ({"private": 0} if table == "images" else {}) for row in getattr(made, table)]  # fmt: skip
        names = list(rows[0]) if rows else ["vote_id", "reason", "created_at"]
        connection.execute(f"CREATE TABLE {table} ({', '.join(names)})")
        places = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", [tuple(row.values()) for row in rows])
    connection.commit()
    connection.close()
    return path
