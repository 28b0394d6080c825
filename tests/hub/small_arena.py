"""An arena's ledger and bank with a few votes, cast as the service casts them, for tests of publishing."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image as Pillow

from arena.bank import Bank
from arena.config import ArenaConfig, FeedbackSettings, parse_config
from arena.feedback import FeedbackDesk
from arena.guard import RateLimit
from arena.ledger import Ledger
from arena.publisher import HubTarget, Publisher
from arena.records import Battle, Feedback, Image, Prompt, Vote, new_id

DATASET = "tester/arena"
START = 1_789_000_000.0  # seconds: the arena's clock begins here and goes on one second a call
MODELS = ("tiny-one", "tiny-two")
WHOLE = {"style": 2, "errors": 5, "alignment": 3, "misaligned_words": [1], "coherence_points": [[0.1, 0.2], [1, 0]],
         "alignment_points": [], "coherence_mask": {"size": [64, 64], "counts": [64, 32, 4000]}}  # fmt: skip


def config(**hub: object) -> ArenaConfig:
    model = {"organisation": "Tests", "family": "tiny", "licence": "apache-2.0", "source": "nowhere", "backend": "fake"}
    return parse_config({
        "title": "A small arena",
        "models": [{**model, "id": name, "name": name.title(), "demo": True} for name in MODELS],
        "categories": [{"name": "Animals", "prompts": [{"prompt": "a cat"}]}],
        "hub": hub,
    })  # fmt: skip


class SmallArena:
    def __init__(self, folder: Path, *, alone: bool = False):
        self.folder = folder
        self._time = START
        self.ledger = Ledger(folder / "ledger.sqlite", clock=self.clock, alone=alone)
        self.bank = Bank(folder / "bank")
        self.prompts = [Prompt.make(text, category="Animals", now=self._now()) for text in ("a cat", "ein Käfer 🐞")]
        self.ledger.add_prompts(self.prompts)
        self.images = {p.prompt_id: [self.draw(p, model) for model in MODELS] for p in self.prompts}

    def clock(self) -> float:
        self._time += 1
        return self._time

    def _now(self) -> int:
        return int(self.clock() * 1000)

    def draw(self, prompt: Prompt, model: str, *, private: bool = False) -> Image:
        colour = sum(map(ord, prompt.prompt + model)) % 200
        picture = Pillow.linear_gradient("L").resize((32, 24)).convert("RGB")
        picture.paste((colour, 40, 90), (4, 4, 12, 12))
        image_id, _ = self.bank.add(picture)
        image = Image(image_id, prompt.prompt_id, model, "", 7, 32, 24, '{"steps":4}', 0.25, "cpu", self._now(),
                      "apache-2.0", private)  # fmt: skip
        self.ledger.add_image(image)
        return image

    def vote(self, count: int = 1, voter: str | None = None) -> list[Vote]:
        """Each of somebody else, or all of them of one `voter`."""
        return [self._vote(self.prompts[i % len(self.prompts)], voter) for i in range(count)]

    def _vote(self, prompt: Prompt, voter: str | None = None) -> Vote:
        a, b = self.images[prompt.prompt_id]
        voter = voter or f"voter{int(self._time)}"
        battle = Battle(new_id(), voter, prompt, a, b, "anonymous", "bank", 1.0, self._now())
        self.ledger.add_battle(battle)

        def make(battle: Battle) -> Vote:
            return Vote(new_id(), battle.battle_id, self._now(), prompt.prompt_id, prompt.prompt, prompt.category, "",
                        "original", "curated", a.model, b.model, "model_a", a.image_id, b.image_id, battle.voter,
                        False, "anonymous", "bank", 1.0, 1.5, "0", "{}")  # fmt: skip

        return self.ledger.cast_vote(battle.battle_id, battle.voter, make, not_before=0)

    def say(self, vote: Vote, side: str = "a", **given: object) -> Feedback:
        """Feedback that goes with a vote; by default one with every part."""
        asked = FeedbackSettings(points="always", area=True)
        desk = FeedbackDesk(asked, self.ledger, RateLimit(1e6, 1e6))
        return desk.give(vote.battle_id, side, given or WHOLE, vote.voter)

    def pixels(self, image_id: str) -> bytes:
        return Pillow.open(io.BytesIO(self.bank.read(image_id))).convert("RGB").tobytes()

    def sleep(self, days: float) -> None:
        self._time += days * 86_400

    def publisher(self, hub: HubTarget | None = None, *, every_seconds: float = 3600, replica: str = "test",
                  **settings: object) -> Publisher:  # fmt: skip
        """`settings` are those of `hub` in arena.yaml."""
        return Publisher(self.ledger, self.bank, hub, self.folder / "dataset", every_seconds=every_seconds,
                         replica=replica, config=config(**settings), clock=self.clock)  # fmt: skip
