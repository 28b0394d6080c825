"""A visitor's own prompt: two models drawn for it, their pictures, and the battle that is made of them.

Until the battle is shown (`Drawn.show`) neither ledger nor stock knows of it: a battle that could be fetched, a prompt
that others could be served, or a count that moved would tell how long the models took.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from arena.backends.base import Cancelled
from arena.bank import Bank
from arena.errors import BackendUnavailable, GenerationError
from arena.jobs import Drawn, LiveJob
from arena.ledger import Ledger
from arena.matchmaking import draw_models
from arena.records import Battle, Image, Prompt, new_id
from arena.stock import Stock
from arena.studio import Studio

TRIES = 3  # pairs of models that a request may take before it is given up


class LiveBattles:
    """`blind(battle)` is what a browser may know of a battle."""

    def __init__(self, stock: Stock, ledger: Ledger, bank: Bank, studio: Studio, rng: random.Random,
                 blind: Callable[[Battle], Any]):  # fmt: skip
        self.stock, self.ledger, self.bank, self.studio, self.blind = stock, ledger, bank, studio, blind
        self.rng = rng  # used by the studio's thread alone

    def job(self, voter: str, prompt: Prompt, private: bool) -> LiveJob:
        return LiveJob(voter, lambda cancelled: self.draw(voter, prompt, private, cancelled))

    def draw(self, voter: str, prompt: Prompt, private: bool, cancelled: Cancelled) -> Drawn:
        """Both pictures, of models that can draw it. Raises GenerationError when three pairs could not."""
        failed: set[str] = set()
        for tries_left in reversed(range(TRIES)):
            (a, b), probability = draw_models(self.rng, self.stock.pairing, self.stock.contenders,
                                              failed | self.studio.resting())  # fmt: skip
            replicate = self.rng.getrandbits(32)
            requests = [self.stock.request(prompt, m, replicate) for m in (a, b)]
            kept: list[Image] = []
            try:
                made = self.studio.generate(requests, lambda share: None, cancelled)
                for request, picture in zip(requests, made, strict=True):
                    kept.append(self.stock.keep(prompt, request, picture, private=private))
            except GenerationError as error:
                self._drop(kept)
                if tries_left == 0 or cancelled() or error.any_model:
                    raise
                failed |= {error.model} if error.model else {a, b}
                for model in failed:
                    self.studio.rest(model)
                continue
            return Drawn((a, b), partial(self._show, voter, prompt, kept, probability, private),
                         partial(self._drop, kept))  # fmt: skip
        raise BackendUnavailable("no pair of models could draw")

    def _show(
        self, voter: str, prompt: Prompt, images: list[Image], probability: float, private: bool
    ) -> dict[str, Any]:
        self.ledger.add_prompts([prompt], private=private)
        for image in images:
            self.ledger.add_image(image)
        battle = Battle(new_id(), voter, prompt, *images, "anonymous", "live", probability, self.ledger.now())
        self.ledger.add_battle(battle)
        if not private:
            self.stock.add(prompt, images)
        return {"battle": self.blind(battle).as_dict()}

    def _drop(self, images: list[Image]) -> None:
        for image in images:
            if self.ledger.image(image.image_id) is None:  # the same picture may have been made before
                self.bank.remove(image.image_id)
