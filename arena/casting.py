"""What a vote's row says, given its battle and who cast it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import arena
from arena.gold import Judged
from arena.records import Battle, Vote, dumps, new_id


@dataclass(frozen=True, slots=True)
class Ballot:
    """One voter's choice. `seconds` is how long the browser says that the battle was looked at, `name` the user name of a
    voter who agreed to it; of a task with a known answer, `judged` is what goes on record in place of the choice."""

    voter: str
    winner: str
    seconds: float | None = None
    signed_in: bool = False
    name: str | None = None
    judged: Judged | None = None

    def vote(self, battle: Battle, now: int) -> Vote:
        """No more seconds are believed than have passed since the battle was made."""
        passed = max(0, now - battle.created_at) / 1000
        private = not self.judged and (battle.image_a.private or battle.image_b.private)
        winner, seconds = (self.judged.winner, self.judged.seconds) if self.judged else (self.winner, self.seconds)
        extra: dict[str, Any] = dict(self.judged.extra) if self.judged else {"private": True} if private else {}
        if self.name:
            extra["voter_name"] = self.name
        p = battle.prompt
        return Vote(new_id(), battle.battle_id, now, p.prompt_id, "" if private else p.prompt, p.category,
                    p.sub_category, p.complexity, p.prompt_source, battle.image_a.model, battle.image_b.model,
                    winner, battle.image_a.image_id, battle.image_b.image_id, self.voter, self.signed_in, battle.mode,
                    battle.served_from, battle.pair_probability,
                    passed if seconds is None else min(max(0.0, seconds), passed),
                    arena.__version__, dumps(extra))  # fmt: skip
