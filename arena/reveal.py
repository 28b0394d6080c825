"""What a voter is told once the vote is on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Contender:
    """One side's model, and how its image was made. `rating` is the Elo before and after this vote."""

    model: str
    name: str
    organisation: str
    family: str
    licence: str
    licence_url: str | None
    url: str | None
    demo: bool
    seconds: float
    settings: dict[str, Any]
    rating: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Reveal:
    """`crowd` counts the standing votes on this pair of images, this one included; its a and b are this
    battle's sides."""

    battle_id: str
    winner: str
    a: Contender
    b: Contender
    crowd: dict[str, int]
    withdrawable: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
