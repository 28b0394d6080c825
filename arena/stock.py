"""The stock: which images there are to serve, which are missing, and how a missing one is made and kept.

It joins the ledger's rows, the bank's files and the shelf that battles are drawn from. Every curated prompt, and
every visitor's prompt that is not private, is to have one image of each contender.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from arena.backends.base import Generated, Request
from arena.bank import Bank
from arena.config import ArenaConfig
from arena.errors import GenerationCancelled, GenerationError
from arena.guard import PromptRules
from arena.ledger import Ledger
from arena.matchmaking import Shelf
from arena.records import Image, Prompt, dumps

if TYPE_CHECKING:
    from arena.studio import Studio


class Stock:
    """Empty until `take`. The shelf may be read from any thread; images are added from the studio's."""

    def __init__(self, config: ArenaConfig, ledger: Ledger, bank: Bank, rules: PromptRules):
        self.config, self.ledger, self.bank, self.rules = config, ledger, bank, rules
        self.contenders = {m.id: m for m in config.contenders}
        self.shelf = Shelf(self.contenders)
        self.curated: list[Prompt] = []
        self._wanted: list[tuple[Prompt, str]] = []  # (prompt, model) that the bank lacks; the first wanted is last

    def take(self, rng: random.Random) -> None:
        """Put arena.yaml's prompts on record, shelve what ledger and bank have, and list what is missing."""
        self.curated = list(self._curated_prompts())
        self.ledger.add_prompts(self.curated)
        images: dict[str, list[Image]] = {}
        for image in self.ledger.banked_images():
            if self.bank.has(image.image_id):
                images.setdefault(image.prompt_id, []).append(image)
        current = {prompt.prompt_id for prompt in self.curated}
        known = self.ledger.prompts()
        for prompt in known:
            # A curated prompt that has left arena.yaml is not served any more; its votes stay.
            if prompt.prompt_id in current or prompt.prompt_source == "voter":
                self.shelf.add(prompt, images.get(prompt.prompt_id, []))
        order = [prompt for prompt in known if prompt.prompt_id in current]
        rng.shuffle(order)
        for prompt in order:
            self._want(prompt)

    def add(self, prompt: Prompt, images: Iterable[Image]) -> None:
        """Shelve new images of a prompt, and want the other contenders' as well."""
        self.shelf.add(prompt, images)
        self._want(prompt)

    def missing(self) -> int:
        """How many images are wanted."""
        return len(self._wanted)

    def fill_one(self, studio: Studio) -> bool:
        """Make the image that is wanted first; False when none is, or none can be made now. A failing model rests
        and its image is tried again last. Raises GenerationError."""
        resting = studio.resting()
        for at in range(len(self._wanted) - 1, -1, -1):
            prompt, model = self._wanted[at]
            if model in resting:
                continue
            del self._wanted[at]
            request = self.request(prompt, model, self.config.bank.seed)
            try:  # a live request goes first: what is half done is begun again later
                made = studio.generate([request], lambda share: None, studio.busy)
                image = self.keep(prompt, request, made[0], private=False)
            except GenerationCancelled:
                self._wanted.insert(at, (prompt, model))
                raise
            except GenerationError as error:
                self._wanted.insert(0, (prompt, model))
                error.model = model
                studio.rest(model)
                raise
            studio.recovered(model)
            self.ledger.add_image(image)
            self.shelf.add(prompt, [image])
            return True
        return False

    def request(self, prompt: Prompt, model: str, replicate: int) -> Request:
        """The generation of one image. Its seed is a hash of prompt, model, revision and replicate, so that
        nobody chose it and the same request is the same picture."""
        row = self.contenders[model]
        text = f"{prompt.prompt_id}/{row.id}/{row.revision or ''}/{replicate}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
        return Request(row, prompt.prompt, seed)

    def keep(self, prompt: Prompt, request: Request, made: Generated, *, private: bool) -> Image:
        """Bank a picture; returns its record, which is not in the ledger yet. Raises ImageRejected."""
        try:
            image_id, _ = self.bank.add(made.picture)
        except GenerationError as error:
            error.model = request.model.id
            raise
        return Image(image_id, prompt.prompt_id, request.model.id, made.model_revision, request.seed,
                     *made.picture.size, dumps(made.settings), round(made.seconds, 4), made.hardware,
                     self.ledger.now(), request.model.licence, private)  # fmt: skip

    def _curated_prompts(self) -> Iterable[Prompt]:
        now = self.ledger.now()
        for category in self.config.categories:
            for entry in category.prompts:
                base = ""
                for complexity, text in entry.texts():
                    prompt = Prompt.make(self.rules.clean(text), category=category.name, complexity=complexity,
                                         sub_category=entry.sub_category or "", base=base, now=now)  # fmt: skip
                    base = base or prompt.prompt_id
                    yield prompt

    def _want(self, prompt: Prompt) -> None:
        """List what the bank lacks of a prompt. The order of models is a hash's, so that a half-filled bank
        favours none of them."""
        if not self.config.bank.fill:
            return
        lacking = [m for m in self.contenders if not self.shelf.has(prompt.prompt_id, m)]
        lacking.sort(key=lambda m: hashlib.sha256(f"{prompt.prompt_id}/{m}".encode()).digest())
        self._wanted[:0] = [(prompt, m) for m in reversed(lacking)]
