"""The command `gold`: battles, words and areas that voters agree on, as rows for `gold.tasks` in arena.yaml.

What many saw alike is a candidate, no truth: a maintainer looks at each, and says why in the row. It also says which of
the tasks that are there can't be shown.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from arena.bank import Bank
from arena.config import load_config
from arena.errors import ConfigError
from arena.gold import GoldDesk
from arena.ledger import Ledger
from arena.tables import NOT_GOLD

WHY = "say here why, as a voter reads it after a wrong answer"
NEAR = 0.15  # points so far apart, as shares of width and of height, mark the same place
AROUND = 0.05  # of width and height, that an area has beyond the points in it


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row for arena.yaml, how many voters it rests on, and how many of them agree with it."""

    row: dict[str, Any]
    prompt: str
    voters: int
    agree: int


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("gold", help="list what voters agree on, as rows of gold.tasks for arena.yaml")
    parser.add_argument("--kind", choices=tuple(FINDERS), help="only these")
    parser.add_argument("--voters", type=int, default=3, help="voters at least (3)")
    parser.add_argument("--agree", type=float, default=0.9, help="share of them that agrees, at least (0.9)")
    parser.add_argument("--limit", type=int, default=20, help="rows of each kind at most (20)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """0 where anything was found, 1 where nothing was."""
    if not 0 < arguments.agree <= 1 or arguments.voters < 1 or arguments.limit < 1:
        raise ConfigError("--agree: a share over 0, up to 1; --voters and --limit: 1 at least")
    config = load_config(arguments.config)
    path = Path(arguments.data_dir) / "ledger.sqlite"
    if not path.exists():
        raise ConfigError(f"{path}: there is no ledger; --data-dir names another folder")
    ledger = Ledger(path)
    try:
        bank, folder = Bank(path.parent / "bank", display_px=config.bank.display_px), arguments.config.resolve().parent
        for line in GoldDesk(config, ledger, bank, folder, random.Random(0), lambda voter: ()).waiting():
            print(f"{arguments.config.name}: {line}", file=sys.stderr)
        known = {name for task in (config.gold.tasks if config.gold else ()) for name in task.images_of()}
        found = [c for kind, find in FINDERS.items() if arguments.kind in (None, kind)
                 for c in best(find(ledger), arguments, known)]  # fmt: skip
    finally:
        ledger.close()
    if not found:
        print(f"nothing that {arguments.voters} voters saw and {arguments.agree:.0%} of them agree on", file=sys.stderr)
        return 1
    print("# Candidates for `gold.tasks`: look at each, keep what is beyond doubt, and write its `why`.")
    for candidate in found:
        print(
            f"# {candidate.agree} of {candidate.voters} voters agree: {json.dumps(candidate.prompt, ensure_ascii=False)}"
        )
        print(yaml.safe_dump([candidate.row], sort_keys=False, allow_unicode=True, width=110), end="")
    return 0


def best(found: Iterator[Candidate], arguments: argparse.Namespace, known: set[str]) -> list[Candidate]:
    """Those that enough voters agree on, and whose images are in no task yet; the surest first."""
    sure = [c for c in found if c.voters >= arguments.voters and c.agree >= arguments.agree * c.voters
            and not known & {*c.row.get("images", ()), c.row.get("image"), c.row.get("beside")}]  # fmt: skip
    return sorted(sure, key=lambda c: (-c.agree / c.voters, -c.voters, c.prompt))[: arguments.limit]


def battles(ledger: Ledger) -> Iterator[Candidate]:
    """Of each pair of images the outcome that most voters gave."""
    pairs: dict[tuple[str, str], Counter[str]] = {}
    prompts: dict[tuple[str, str], str] = {}
    for row in ledger.all(
        f"SELECT image_a, image_b, winner, prompt FROM votes v WHERE mode = 'anonymous' AND prompt != '' AND {NOT_GOLD} "
        "AND prompt_source = 'curated' AND vote_id NOT IN (SELECT vote_id FROM exclusions) ORDER BY seq"
    ):
        pair = tuple(sorted((row["image_a"], row["image_b"])))
        winner = {"model_a": row["image_a"], "model_b": row["image_b"]}.get(row["winner"], row["winner"])
        pairs.setdefault(pair, Counter())[winner] += 1
        prompts[pair] = row["prompt"]
    for (one, other), outcomes in pairs.items():
        winner, agree = outcomes.most_common(1)[0]
        outcome = {one: "first", other: "second"}.get(winner, winner)
        task = {"kind": "battle", "images": [one, other], "winner": outcome, "why": WHY}
        yield Candidate(task, prompts[one, other], outcomes.total(), agree)


def words(ledger: Ledger) -> Iterator[Candidate]:
    """Of each image the set of words that most voters marked, beside the image that it met last."""
    marked: dict[str, Counter[tuple[int, ...]]] = {}
    about: dict[str, tuple[str, str]] = {}
    for row in said(ledger, "misaligned_words"):
        if row["misaligned_words"] is not None:
            marked.setdefault(row["image_id"], Counter())[tuple(json.loads(row["misaligned_words"]))] += 1
            about[row["image_id"]] = row["prompt"], beside(row)
    for image, sets in marked.items():
        prompt, other = about[image]
        places, agree = sets.most_common(1)[0]
        missed = list(dict.fromkeys(prompt.split()[place] for place in places))
        task = {"kind": "words", "image": image, "beside": other, "missed": missed, "why": WHY}
        yield Candidate(task, prompt, sets.total(), agree)


def areas(ledger: Ledger) -> Iterator[Candidate]:
    """Of each image and criterion the box around the place that most voters pointed at, of those who were asked where, or
    had rated it too high to be asked."""
    for criterion in ("coherence", "alignment"):
        placed: dict[str, list[list[tuple[float, float]]]] = {}  # of an image each voter's points
        about: dict[str, tuple[str, str]] = {}
        for row in said(ledger, f"{criterion}_points"):
            points = row[f"{criterion}_points"]
            if points is not None or criterion in json.loads(row["extra"]).get("rated_high", ()):
                here = [(point["x"], point["y"]) for point in json.loads(points or "[]")]
                placed.setdefault(row["image_id"], []).append(here)
                about[row["image_id"]] = row["prompt"], beside(row)
        for image, voters in placed.items():
            near = max((nearest(spot, voters) for points in voters for spot in points), key=len, default=())
            if near:
                prompt, other = about[image]
                box = [*(max(0.0, round(min(at) - AROUND, 3)) for at in zip(*near, strict=True)),
                       *(min(1.0, round(max(at) + AROUND, 3)) for at in zip(*near, strict=True))]  # fmt: skip
                task = {"kind": "area", "image": image, "beside": other, "criterion": criterion, "box": box, "why": WHY}
                yield Candidate(task, prompt, len(voters), len(near))


def nearest(spot: tuple[float, float], voters: list[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Of every voter with a point near `spot` the nearest one."""
    found = []
    for points in voters:
        far = {point: max(abs(point[0] - spot[0]), abs(point[1] - spot[1])) for point in points}
        if far and min(far.values()) <= NEAR:
            found.append(min(far, key=far.__getitem__))
    return found


def said(ledger: Ledger, column: str) -> list[Any]:
    """Feedback on curated prompts whose vote stands, with its battle's two images; no answer to a known task."""
    return ledger.all(
        f"SELECT f.image_id, f.{column}, f.extra, f.prompt, v.image_a, v.image_b FROM feedback f JOIN votes v USING "
        "(battle_id) WHERE f.prompt != '' AND instr(f.extra, '\"gold\":') = 0 AND v.prompt_source = 'curated' AND v.vote_id "
        "NOT IN (SELECT vote_id FROM exclusions) ORDER BY f.seq"
    )


def beside(row: Any) -> str:
    """The other image of a feedback's battle."""
    return row["image_b"] if row["image_a"] == row["image_id"] else row["image_a"]


FINDERS = {"battle": battles, "words": words, "area": areas}
