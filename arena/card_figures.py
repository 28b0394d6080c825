"""Figures for the dataset card, counted in the ledger: how much there is, and how uneven it is.

They tell what this ledger knows: its own rows, and those of other replicas as far as they have been read back.
`counted` votes are those that the main leaderboard counts: anonymous ones that no exclusion touches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from arena.ledger import Ledger
from arena.tables import NOT_GOLD

Z95 = 1.959964  # two-sided 95% of a normal distribution

_COUNTED = f"""mode = 'anonymous' AND {NOT_GOLD} AND vote_id NOT IN (
    SELECT vote_id FROM (SELECT vote_id, reason, ROW_NUMBER() OVER (
        PARTITION BY vote_id ORDER BY created_at DESC, seq DESC) AS place FROM exclusions)
    WHERE place = 1 AND reason != 'restored')"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all rows that were there when it was made. Shares are between 0 and 1, None where nothing was cast."""

    rows: dict[str, int]  # of each table
    first: str | None  # days of the first and last vote, UTC
    last: str | None
    models: int  # that were voted on
    voters: int
    counted: int
    most_active: float | None  # share of the votes that the most active voter cast
    busiest_tenth: float | None  # share of those by the most active 10% of voters
    decisive: int  # votes for one side
    side_a: float | None  # share of them for side a,
    side_a_low: float | None  # with its 95% interval (Wilson)
    side_a_high: float | None
    both_good: float | None
    both_bad: float | None
    categories: tuple[tuple[str, int], ...]  # the most voted first
    prompts: int  # that were voted on
    busiest_prompt: float | None  # share of the votes on the prompt with the most
    by_voters: float | None  # share of the votes on prompts that visitors wrote
    feedback_voters: int  # who gave feedback,
    feedback_images: int  # and on how many images


def figures(ledger: Ledger) -> Figures:
    """Raises LedgerError."""
    span = ledger.one("SELECT MIN(created_at) AS first, MAX(created_at) AS last FROM votes")
    models = ledger.one(
        f"SELECT COUNT(*) AS n FROM (SELECT model_a FROM votes WHERE {NOT_GOLD} UNION SELECT model_b "
        f"FROM votes WHERE {NOT_GOLD})"
    )["n"]
    winners = {row["winner"]: row["n"] for row in _groups(ledger, "winner")}
    voters = [row["n"] for row in _groups(ledger, "voter")]
    prompts = [row["n"] for row in _groups(ledger, "prompt_id")]
    sources = {row["prompt_source"]: row["n"] for row in _groups(ledger, "prompt_source")}
    said = ledger.one(
        f"SELECT COUNT(DISTINCT voter) AS voters, COUNT(DISTINCT image_id) AS images FROM feedback WHERE {NOT_GOLD}"
    )
    counted, decisive = sum(winners.values()), winners.get("model_a", 0) + winners.get("model_b", 0)
    low, high = wilson(winners.get("model_a", 0), decisive)
    return Figures(
        rows=ledger.counts(), first=_day(span["first"]), last=_day(span["last"]), models=models, voters=len(voters),
        counted=counted, most_active=_share(sum(voters[:1]), counted),
        busiest_tenth=_share(sum(voters[: math.ceil(len(voters) / 10)]), counted), decisive=decisive,
        side_a=_share(winners.get("model_a", 0), decisive), side_a_low=low, side_a_high=high,
        both_good=_share(winners.get("both_good", 0), counted), both_bad=_share(winners.get("both_bad", 0), counted),
        categories=tuple((row["category"], row["n"]) for row in _groups(ledger, "category")), prompts=len(prompts),
        busiest_prompt=_share(sum(prompts[:1]), counted), by_voters=_share(sources.get("voter", 0), counted),
        feedback_voters=said["voters"], feedback_images=said["images"],
    )  # fmt: skip


def wilson(successes: int, trials: int) -> tuple[float | None, float | None]:
    """The 95% score interval of a share; (None, None) without trials."""
    if not trials:
        return None, None
    share, spread = successes / trials, Z95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return centre - half, centre + half


def _groups(ledger: Ledger, column: str):
    """(value, n) of the counted votes by a column, the largest group first."""
    return ledger.all(f"SELECT {column}, COUNT(*) AS n FROM votes WHERE {_COUNTED} "
                      f"GROUP BY {column} ORDER BY n DESC, {column}")  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _day(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d}"
