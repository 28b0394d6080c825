"""A task with a known answer: what it shows, and whether an answer to it is right. Nothing here is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from arena.campaign_config import AreaTask, BattleTask, WordsTask, bare
from arena.records import Battle, Image, Point, Prompt, Side

ANY = "any"  # in place of the right outcome, where the task is not about the vote
INSIDE = 0.5  # of what is painted, so much must lie in the area at least


@dataclass(frozen=True, slots=True)
class Task:
    """`images` are the row's two: words and areas are asked of the first."""

    task_id: str
    row: BattleTask | WordsTask | AreaTask
    prompt: Prompt
    images: tuple[Image, Image]

    @property
    def needs(self) -> frozenset[str]:
        """What a voter must be asked after the vote to answer it."""
        if isinstance(self.row, BattleTask):
            return frozenset()
        return frozenset({"words"} if isinstance(self.row, WordsTask) else {self.row.criterion, "points"})

    @property
    def about(self) -> str | None:
        """Which answer of the feedback it knows: "words", or the criterion whose places are known; None for a battle."""
        if isinstance(self.row, BattleTask):
            return None
        return "words" if isinstance(self.row, WordsTask) else self.row.criterion

    def asks_of(self, battle: Battle) -> bool:
        """Whether this battle's feedback answers the task. Of words it does not where the task had another prompt then."""
        return bool(self.needs) and (isinstance(self.row, AreaTask) or battle.prompt.prompt == self.prompt.prompt)

    def side(self, battle: Battle) -> Side:
        """Where the first image is."""
        return "a" if battle.image_a.image_id == self.images[0].image_id else "b"

    def outcome(self, battle: Battle) -> str:
        """The right outcome of the vote, or ANY."""
        if not isinstance(self.row, BattleTask):
            return ANY
        if self.row.winner in ("first", "second"):
            return "model_a" if (self.row.winner == "first") == (self.side(battle) == "a") else "model_b"
        return self.row.winner

    def is_right(self, said: dict[str, Any], masks: dict[str, Any]) -> bool:
        """Whether this feedback on the first image, as `arena.feedback.read` gives it, is right."""
        if isinstance(self.row, WordsTask):
            return words_right(self.row, self.prompt.prompt.split(), said["misaligned_words"])
        name = self.row.criterion
        return area_right(self.row, said[f"{name}_points"] or (), masks.get(f"{name}_mask"))


def task_id(kind: str, images: tuple[str, str], about: str = "") -> str:
    """The same for the same question about the same pictures, whatever its answer is thought to be."""
    return hashlib.sha256("\x1f".join((kind, *images, about)).encode()).hexdigest()[:32]


def words_right(row: WordsTask, words: list[str], marked: tuple[int, ...] | None) -> bool:
    """Whether every missed word is marked somewhere in the prompt, and nothing else but what may be."""
    if marked is None:
        return False
    said, missed = {bare(words[place]) for place in marked}, {bare(word) for word in row.missed}
    return missed <= said <= missed | {bare(word) for word in row.may}


def area_right(row: AreaTask, points: tuple[Point, ...], mask: dict[str, Any] | None) -> bool:
    """Whether a point falls into the area, or INSIDE of what is painted does."""
    if any(inside(row, point.x, point.y) for point in points):
        return True
    if mask is None:
        return False
    height, width = mask["size"]
    painted, place = [], 0
    for k, count in enumerate(mask["counts"]):
        painted += range(place, place + count) if k % 2 else ()
        place += count
    hits = sum(inside(row, (cell % width + 0.5) / width, (cell // width + 0.5) / height) for cell in painted)
    return bool(painted) and hits >= INSIDE * len(painted)


def inside(row: AreaTask, x: float, y: float) -> bool:
    """Whether a place lies in the box, its edge included, or in the polygon (by the even-odd rule)."""
    if row.box:
        left, top, right, bottom = row.box
        return left <= x <= right and top <= y <= bottom
    crossed = False
    for (x1, y1), (x2, y2) in zip(row.polygon, (*row.polygon[1:], row.polygon[0]), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            crossed = not crossed
    return crossed
