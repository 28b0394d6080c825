"""Feedback: what a voter says of the images of a battle, after the vote on it.

This module owns what a feedback may hold, given what is asked (`feedback` in arena.yaml), and takes it: on disk when
it is acknowledged, one for each image of a vote, from its voter only, never changed. `extra` of the row says whether
the voter knew the models' names by then (`revealed`), which criteria were rated too high for places to be asked
(`rated_high`), and holds what was painted (`coherence_mask`, `alignment_mask`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from arena.box import mask_on_image, on_image
from arena.campaign import CampaignDesk
from arena.config import FeedbackSettings
from arena.errors import AlreadyGiven, BadFeedback, UnknownBattle, VoteFirst
from arena.gold import GoldDesk
from arena.guard import RateLimit
from arena.ledger import Ledger
from arena.records import POINT_DIGITS, Feedback, Point, Vote, dumps, feedback_id
from arena.tables import feedback_values

PLACES = ("coherence", "alignment")  # the criteria of which it is asked where
GRID = 64  # cells on each side of a painted area
ANYTHING = FeedbackSettings(points="always", area=True)  # what was taken once is taken, whatever is asked by now
# The keys of a feedback as it is handed in; each may be absent or None.
KEYS = ("style", "errors", "alignment", "misaligned_words", "coherence_points", "alignment_points", "coherence_mask",
        "alignment_mask")  # fmt: skip


class FeedbackDesk:
    """Takes feedback as `asked` says, or as the `campaign` asks this voter, from one voter as fast as `limit` allows;
    `gold` judges what is said on battles with a known answer."""

    def __init__(self, asked: FeedbackSettings, ledger: Ledger, limit: RateLimit, campaign: CampaignDesk | None = None,
                 gold: GoldDesk | None = None):  # fmt: skip
        self.asked = asked
        self._ledger, self._limit, self._campaign, self._gold = ledger, limit, campaign, gold

    def give(self, battle_id: str, side: str, given: Mapping[str, Any], voter: str) -> Feedback:
        """Keep what `voter` says of the image on `side` ("a" or "b") of a battle that they voted on; `given` has the
        KEYS. On disk when this returns. Raises UnknownBattle, VoteFirst, BadFeedback, AlreadyGiven, TooFast, and
        WrongAnswer to a task with a known answer: the first answer is kept, and goes on record when it is put right."""
        asked = self._campaign.asked(voter) if self._campaign and self._campaign.settings else self.asked
        if not asked.enabled:
            raise BadFeedback("Feedback is not asked for here.")
        if side not in ("a", "b"):
            raise BadFeedback('side: "a" or "b" is expected.')
        self._limit.spend(voter, "so much feedback")
        vote = vote_to_go_with(self._ledger, battle_id, voter)
        said, masks = self._read(vote, side, given, asked)
        about: dict[str, Any] = {}
        if self._campaign:
            if vote.served_from == "bank":  # of their own prompt's images a voter says what they like
                placed = [name for name in PLACES if f"{name}_mask" not in masks
                          and not _no_places(name, said[name], asked)]  # fmt: skip
                self._campaign.check(said, asked, placed)
            about = self._campaign.extra(asked)
        if self._gold and (judged := self._gold.judge_feedback(vote, side, dict(given), said, masks)):
            said, masks = self._read(vote, side, judged[0], ANYTHING)
            about |= judged[1]
        return self._write(vote, side, said, {**about, **high(said, asked), **masks})

    def give_up(self, vote: Vote, side: str, given: Mapping[str, Any], known: dict[str, Any]) -> None:
        """Keep the first answer, which was wrong, of who did not put it right in time; `known` is what `extra` says."""
        said, masks = self._read(vote, side, given, ANYTHING)
        about = self._campaign.extra(self._campaign.asked(vote.voter)) if self._campaign else {}
        self._write(vote, side, said, {**about, **known, **masks})

    def _read(self, vote: Vote, side: str, given: Mapping[str, Any], asked: FeedbackSettings):
        said, masks = read(given, words=len(self._text(vote).split()), asked=asked)
        return self._on_image(vote.image_a if side == "a" else vote.image_b, said, masks)

    def _write(self, vote: Vote, side: str, said: dict[str, Any], extra: dict[str, Any]) -> Feedback:
        image, model = (vote.image_a, vote.model_a) if side == "a" else (vote.image_b, vote.model_b)
        with self._ledger.transaction() as db:
            if not vote.prompt:
                extra["private"] = True
            if not is_held(self._ledger, vote.battle_id):
                extra["revealed"] = True
            feedback = Feedback(feedback_id(vote.vote_id, side), self._ledger.now(), vote.battle_id, image,
                                vote.prompt_id, vote.prompt, model, vote.voter, **said, extra=dumps(extra))  # fmt: skip
            row = feedback_values(asdict(feedback))
            sql = f"INSERT OR IGNORE INTO feedback ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
            if not db.execute(sql, tuple(row.values())).rowcount:
                raise AlreadyGiven("You have already given feedback on this image.")
        return feedback

    def _on_image(self, image_id: str, said: dict[str, Any], masks: dict[str, Any]):
        """What was pointed at or painted in the square, as shares of the image."""
        image = self._ledger.image(image_id)
        if image is None or image.width == image.height:
            return said, masks
        size = image.width, image.height
        for key in ("coherence_points", "alignment_points"):
            if said[key]:
                places = (on_image(point.x, point.y, *size) for point in said[key])
                said = said | {key: tuple(Point(*(round(at, POINT_DIGITS) for at in place)) for place in places)}
        return said, {key: mask_on_image(mask, *size) for key, mask in masks.items()}

    def _text(self, vote: Vote) -> str:
        """The prompt that the voter saw: a private one is in the ledger only."""
        prompt = None if vote.prompt else self._ledger.prompt(vote.prompt_id)
        return prompt.prompt if prompt else vote.prompt


def vote_to_go_with(ledger: Ledger, battle_id: str, voter: str) -> Vote:
    """The voter's vote on this battle, which they have not taken back. Raises UnknownBattle or VoteFirst."""
    vote = ledger.vote_of(battle_id)
    if vote is None or vote.voter != voter:
        battle = ledger.battle(battle_id)
        if vote is None and battle is not None and battle.voter == voter:
            raise VoteFirst("Vote on this battle first.")
        raise UnknownBattle("This battle is not known here, or was served to somebody else.")
    if ledger.is_excluded(vote.vote_id):
        raise VoteFirst("You took back your vote on this battle.")
    return vote


def is_held(ledger: Ledger, battle_id: str) -> bool:
    """Whether the voter of this battle, who has voted, was not told the models' names yet."""
    row = ledger.one("SELECT held FROM battles WHERE battle_id = ?", battle_id)
    return bool(row and row["held"])


def read(given: Mapping[str, Any], *, words: int, asked: FeedbackSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns of the record, masks by name) of what was `given` on an image of a prompt of so many words. Raises
    BadFeedback, which names the key, for what cannot be or was not asked."""
    for key in given:
        if key not in KEYS:
            raise BadFeedback(f"{str(key)[:40]}: unknown key; one of {', '.join(KEYS)}.")
    errors = _rating(given, "errors", "coherence", asked)
    ratings = {
        "style": _rating(given, "style", "style", asked),
        "coherence": None if errors is None else 6 - errors,
        "alignment": _rating(given, "alignment", "alignment", asked),
    }
    said: dict[str, Any] = {**ratings, "misaligned_words": _words(given.get("misaligned_words"), words, asked)}
    masks = {}
    for criterion in PLACES:
        places, mask = f"{criterion}_points", f"{criterion}_mask"
        why_not = _no_places(criterion, ratings[criterion], asked)
        said[places] = _points(places, given.get(places), why_not, asked.points_at_most)
        if given.get(mask) is not None:
            masks[mask] = _mask(mask, given[mask], why_not if asked.area else "areas are not asked for here")
    if all(value is None for value in said.values()) and not masks:
        raise BadFeedback("Nothing was given: rate the image, or mark a word or a place.")
    return said, masks


def _rating(given: Mapping[str, Any], key: str, criterion: str, asked: FeedbackSettings) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if criterion not in asked.criteria:
        raise BadFeedback(f"{key}: is not asked for here.")
    if not _is_int(value) or not 1 <= value <= 5:
        raise BadFeedback(f"{key}: a whole number from 1 to 5 is expected.")
    return value


def _words(value: Any, words: int, asked: FeedbackSettings) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not asked.words:
        raise BadFeedback("misaligned_words: is not asked for here.")
    if not isinstance(value, list) or not all(_is_int(place) and 0 <= place < words for place in value):
        raise BadFeedback(f"misaligned_words: a list of places from 0 to {words - 1} is expected.")
    if len(set(value)) < len(value):
        raise BadFeedback("misaligned_words: a word is there twice.")
    return tuple(sorted(value))


def _no_places(criterion: str, rating: int | None, asked: FeedbackSettings) -> str:
    """Why no places are asked for; "" where they are."""
    if asked.points == "never" or criterion not in asked.criteria:
        return "places are not asked for here"
    if asked.points == "low" and (rating is None or rating >= asked.points_below):
        return f"places are asked for only where {criterion} is low"
    return ""


def high(said: Mapping[str, Any], asked: FeedbackSettings) -> dict[str, Any]:
    """What `extra` says of criteria that were rated too high for places to be asked: whoever averages over voters counts
    such a null as nothing marked, and any other as no answer."""
    if asked.points != "low":
        return {}
    rated = [name for name in PLACES if said[name] is not None and _no_places(name, said[name], asked)]
    return {"rated_high": rated} if rated else {}


def _points(key: str, value: Any, why_not: str, at_most: int) -> tuple[Point, ...] | None:
    if value is None:
        return None
    if why_not:
        raise BadFeedback(f"{key}: {why_not}.")
    if not isinstance(value, list) or len(value) > at_most:
        raise BadFeedback(f"{key}: a list of at most {at_most} points is expected.")
    for point in value:
        if not isinstance(point, list) or len(point) != 2 or not all(_is_share(place) for place in point):
            raise BadFeedback(f"{key}: a point is [x, y], both from 0 to 1.")
    return tuple(Point(*(round(float(place), POINT_DIGITS) for place in point)) for point in value)


def _mask(key: str, value: Any, why_not: str) -> dict[str, Any]:
    """Run lengths over the rows of a grid from the top left, which begin with the cells that are not painted."""
    if why_not:
        raise BadFeedback(f"{key}: {why_not}.")
    if not isinstance(value, dict) or value.keys() != {"size", "counts"} or value["size"] != [GRID, GRID]:
        raise BadFeedback(f'{key}: {{"size": [{GRID}, {GRID}], "counts": [...]}} is expected.')
    counts = value["counts"]
    if not (isinstance(counts, list) and counts and all(map(_is_int, counts)) and counts[0] >= 0
            and all(count > 0 for count in counts[1:]) and sum(counts) == GRID * GRID):  # fmt: skip
        raise BadFeedback(
            f"{key}.counts: run lengths with the sum {GRID * GRID} are expected; only the first may be 0."
        )
    return {"size": [GRID, GRID], "counts": counts}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
