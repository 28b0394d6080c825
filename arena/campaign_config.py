"""The sections `feedback`, `campaign` and `gold` of arena.yaml, and how many voters get each pair
(`matchmaking.overlap`).

What contradicts itself is refused here, in one line; whether the files that are named exist is seen by `load_config`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from arena.strict import Strict, Text

Asks = Literal["style", "coherence", "alignment", "words", "points"]
ASKS: tuple[str, ...] = ("style", "coherence", "alignment", "words", "points")
PLACED = frozenset(("coherence", "alignment"))  # of which it can be asked where
Outcome = Literal["first", "second", "both_good", "both_bad"]
Share = Annotated[float, Field(ge=0, le=1)]
IMAGE_ID = re.compile(r"[0-9a-f]{32}")


class OverlapSettings(Strict):
    """How many voters get each pair of images, so that their agreement can be measured."""

    voters: int = Field(2, ge=2, le=20, description="voters who get each pair of images")
    tie_break: int | None = Field(3, ge=3, le=21, description="voters where those do not all agree; null: no more")
    lease_minutes: float = Field(30, gt=0, description="a pair without a vote goes to another voter after this")

    @model_validator(mode="after")
    def _more_voters(self) -> OverlapSettings:
        if self.tie_break is not None and self.tie_break <= self.voters:
            raise ValueError(f"tie_break: {self.tie_break} voters are not more than `voters`, {self.voters}; "
                             "null asks for no more")  # fmt: skip
        return self


class FeedbackSettings(Strict):
    """What is asked about the images of a battle after the vote on it."""

    enabled: bool = True
    reveal: Literal["after", "before"] = Field(
        "after", description="whether the models are named after the feedback, or before it is asked for"
    )
    criteria: list[Literal["style", "coherence", "alignment"]] = Field(
        ["style", "coherence", "alignment"], description="what is rated from 1 to 5"
    )
    words: bool = Field(True, description="ask which words of the prompt the image misses")
    points: Literal["low", "always", "never"] = Field(
        "low", description="ask for places of errors and of mismatches: on images rated low, always or never"
    )
    points_at_most: int = Field(3, ge=1, le=3, description="points that may be placed for one criterion")
    points_below: int = Field(4, ge=2, le=5, description="a rating below this is low")
    area: bool = Field(False, description="let voters paint an area in place of points")

    @model_validator(mode="after")
    def _once_each(self) -> FeedbackSettings:
        if len(set(self.criteria)) < len(self.criteria):
            raise ValueError("criteria: one is there twice")
        if self.enabled and not (self.criteria or self.words):
            raise ValueError("nothing is asked: name `criteria`, ask for `words`, or set `enabled: false`")
        return self

    def asks(self) -> list[str]:
        """What of all that can be asked is asked here."""
        places = self.points != "never" and not PLACED.isdisjoint(self.criteria)
        here = {*self.criteria, *(["words"] * self.words), *(["points"] * places)}
        return [ask for ask in ASKS if ask in here and self.enabled]

    def only(self, asks: Collection[str]) -> FeedbackSettings:
        """The same with no other questions than these."""
        criteria = [name for name in self.criteria if name in asks]
        return self.model_copy(update={
            "enabled": self.enabled and bool(criteria or "words" in asks), "criteria": criteria,
            "words": self.words and "words" in asks, "points": self.points if "points" in asks else "never",
        })  # fmt: skip


class ExampleSettings(Strict):
    """One example of a guideline, with pictures as it should be and as it should not."""

    text: Text
    good: Text | None = Field(None, description="a picture, its path relative to arena.yaml")
    bad: Text | None = Field(None, description="a picture, its path relative to arena.yaml")


class GuidelineSettings(Strict):
    text: Text
    title: Text | None = None
    examples: list[ExampleSettings] = []


class ShareSettings(Strict):
    """Some voters, and what they are asked."""

    asks: list[Asks] = Field(min_length=1)
    share: float = Field(1, gt=0, allow_inf_nan=False, description="of all voters, in proportion to the other rows")


class CampaignSettings(Strict):
    """Feedback that is collected on purpose: from whom, how much, and what is asked."""

    title: Text = "Campaign"
    guidelines: list[GuidelineSettings] = Field([], description="what a voter reads before the first task")
    asks: list[Asks] | None = Field(
        None, description="what voters are asked after a vote; by default all of `feedback`"
    )
    shares: list[ShareSettings] = Field(
        [], description="groups of voters who are asked different things; each voter is in one, by a hash"
    )
    feedback: Literal["required", "optional"] = Field(
        "required", description="whether both images must have their feedback before the next battle"
    )
    overlap: OverlapSettings | None = Field(None, description="voters for each pair; instead of matchmaking.overlap")
    target: int | None = Field(None, ge=1, description="answers wanted in all; null: no end")
    since: date | None = Field(None, description="votes of earlier days (UTC) are not the campaign's; null: all are")
    ranking: bool = Field(True, description="show the voters who agreed to be named, by their answers")

    @model_validator(mode="after")
    def _one_way(self) -> CampaignSettings:
        if self.asks is not None and self.shares:
            raise ValueError("asks, shares: give one of them; `shares` says for each group what it is asked")
        for place, asks in (
            ("asks", self.asks or []),
            *((f"shares[{k}].asks", s.asks) for k, s in enumerate(self.shares)),
        ):
            if twice := [ask for ask, n in Counter(asks).items() if n > 1]:
                raise ValueError(f'{place}: "{twice[0]}" is there twice')
            if "points" in asks and PLACED.isdisjoint(asks):
                raise ValueError(f"{place}: points go with a rating; ask for coherence or alignment too")
        if self.asks == [] and self.feedback == "required":
            raise ValueError("feedback: is required, but `asks` asks nothing")
        return self

    def groups(self) -> list[tuple[float, list[str] | None]]:
        """(share, asks) of each group of voters; None asks all that `feedback` does."""
        return [(row.share, list(row.asks)) for row in self.shares] or [(1.0, self.asks)]


class _Task(Strict, ABC):
    why: Text = Field(description="what a voter reads after a wrong answer")
    prompt: Text | None = Field(None, description="needed where the images are files")
    category: Text | None = Field(None, description="needed where the images are files")

    @abstractmethod
    def images_of(self) -> tuple[str, str]:
        """The two images of its battle, as they are written: the first is what words and areas are asked of."""

    @model_validator(mode="after")
    def _filed(self):
        one, other = self.images_of()
        if one == other:
            raise ValueError("the two images are the same")
        files = [name for name in (one, other) if not is_id(name)]
        if files and not (self.prompt and self.category):
            raise ValueError(f"{files[0]} is a file: give `prompt` and `category`, as its battle shows them")
        return self


class BattleTask(_Task):
    """Of two images it is known which is better."""

    kind: Literal["battle"]
    images: tuple[Text, Text] = Field(description="two ids of images, or paths relative to arena.yaml")
    winner: Outcome = Field(description="first or second (of `images`), both_good or both_bad")

    def images_of(self) -> tuple[str, str]:
        return self.images


class _OfOneImage(_Task):
    image: Text = Field(description="the image that is asked about: its id, or a path relative to arena.yaml")
    beside: Text = Field(description="the other image of its battle; nothing is known of it")

    def images_of(self) -> tuple[str, str]:
        return self.image, self.beside


class WordsTask(_OfOneImage):
    """Of an image it is known which words of the prompt it misses."""

    kind: Literal["words"]
    missed: list[Text] = Field(description="words that must be marked; [] where the image misses nothing")
    may: list[Text] = Field([], description="words that may be marked or not")

    @model_validator(mode="after")
    def _of_the_prompt(self) -> WordsTask:
        for name in ("missed", "may") if self.prompt else ():
            for word in getattr(self, name):
                if bare(word) not in map(bare, self.prompt.split()):
                    raise ValueError(f'{name}: the prompt has no word "{word}"')
        if both := set(map(bare, self.missed)) & set(map(bare, self.may)):
            raise ValueError(f'may: "{min(both)}" is in `missed` too')
        return self


class AreaTask(_OfOneImage):
    """Of an image it is known where it is wrong."""

    kind: Literal["area"]
    criterion: Literal["coherence", "alignment"] = Field("coherence", description="in what it is wrong there")
    box: tuple[Share, Share, Share, Share] | None = Field(
        None, description="left, top, right and bottom, as shares of width and height"
    )
    polygon: list[tuple[Share, Share]] | None = Field(None, min_length=3, description="its corners, as shares")

    @model_validator(mode="after")
    def _one_area(self) -> AreaTask:
        if (self.box is None) == (self.polygon is None):
            raise ValueError("give either `box` or `polygon`")
        if self.box and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("box: left, top, right, bottom are expected, the first two below the others")
        corners = self.polygon or []
        turns = ((x1 * y2 - x2 * y1) for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True))
        if corners and abs(sum(turns)) < 1e-6:
            raise ValueError("polygon: its corners enclose nothing")
        return self


GoldTask = Annotated[BattleTask | WordsTask | AreaTask, Field(discriminator="kind")]


class GoldSettings(Strict):
    """Tasks with a known answer. None of their answers enters any result."""

    first: int = Field(2, ge=0, description="tasks that a voter does before the first battle that counts")
    every: float | None = Field(20, ge=2, description="then one of so many battles on average, at random; null: none")
    tasks: list[GoldTask] = Field(min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> GoldSettings:
        known: dict[tuple, int] = {}
        for k, task in enumerate(self.tasks):
            pair = frozenset(task.images_of()) if task.kind == "battle" else task.images_of()
            first = known.setdefault((task.kind, pair, getattr(task, "criterion", "")), k)
            if first != k:
                raise ValueError(f"tasks[{k}]: asks the same as tasks[{first}]")
        return self


def bare(word: str) -> str:
    """A word without case, and without what is no letter or digit around it."""
    return re.sub(r"^\W+|\W+$", "", word).casefold() or word.casefold()


def is_id(name: str) -> bool:
    """Whether an image is named by its id, and not by a path."""
    return IMAGE_ID.fullmatch(name) is not None


def files_of(campaign: CampaignSettings | None, gold: GoldSettings | None) -> Iterator[tuple[str, str]]:
    """(place in arena.yaml, path) of every file that the two sections name."""
    for k, guideline in enumerate(campaign.guidelines if campaign else ()):
        for m, example in enumerate(guideline.examples):
            for name in ("good", "bad"):
                if path := getattr(example, name):
                    yield f"campaign.guidelines[{k}].examples[{m}].{name}", path
    for k, task in enumerate(gold.tasks if gold else ()):
        names = ("images[0]", "images[1]") if isinstance(task, BattleTask) else ("image", "beside")
        for name, path in zip(names, task.images_of(), strict=True):
            if not is_id(path):
                yield f"gold.tasks[{k}].{name}", path


def consistent(campaign: CampaignSettings | None, gold: GoldSettings | None, feedback: FeedbackSettings,
               overlap: OverlapSettings | None, categories: Collection[str]) -> None:  # fmt: skip
    """Whether the sections fit each other. Raises ValueError."""
    groups = campaign.groups() if campaign else []
    if groups and campaign.overlap and overlap:
        raise ValueError("campaign.overlap, matchmaking.overlap: give one of them")
    asked = [set(asks if asks is not None else feedback.asks()) for _, asks in groups]
    for ask in sorted(set().union(*asked) - set(feedback.asks())):
        raise ValueError(f'campaign: asks for "{ask}", but the section `feedback` does not')
    required = bool(groups) and campaign.feedback == "required"
    if required and not any(asked):
        raise ValueError("campaign.feedback: is required, but nothing is asked")
    if required and feedback.reveal != "after":
        raise ValueError(
            "campaign.feedback: is required, so the models stay unnamed and `feedback.reveal` has to be after"
        )
    for k, task in enumerate(gold.tasks if gold else ()):
        if task.category and task.category not in categories:
            raise ValueError(f'gold.tasks[{k}].category: unknown "{task.category}"; one of {", ".join(categories)}')
        needs = {task.criterion, "points"} if task.kind == "area" else {"words"} if task.kind == "words" else set()
        if needs and not required:
            raise ValueError(f"gold.tasks[{k}]: is answered with feedback, so `campaign.feedback` has to be required")
        if needs and not any(needs <= asks for asks in asked):
            raise ValueError(f"gold.tasks[{k}]: nobody is asked for {' and '.join(sorted(needs))}")
