"""The stock: which images there are to serve, which are missing, and how a missing one is made and kept.

An image whose picture is still to come from the dataset is neither: it is served from when the bank has it. The stock
joins the ledger's rows, the bank's files and the shelf that battles are drawn from. Every curated prompt, and
every visitor's prompt that is not private, is to have one image of each contender.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from arena.backends.base import Generated, Request
from arena.bank import Bank
from arena.config import ArenaConfig
from arena.errors import GenerationCancelled, GenerationError
from arena.guard import PromptRules
from arena.intake import Awaited, awaited
from arena.ledger import Ledger
from arena.matchmaking import Shelf
from arena.records import Image, Prompt, dumps

if TYPE_CHECKING:
    from arena.studio import Studio


class Stock:
    """Empty until `take`. Images are added from the studio's thread, and by `refresh` and `arrived` from the
    restorer's; the shelf may be read from any."""

    def __init__(self, config: ArenaConfig, ledger: Ledger, bank: Bank, rules: PromptRules):
        self.config, self.ledger, self.bank, self.rules = config, ledger, bank, rules
        self.contenders = {m.id: m for m in config.contenders}
        self.shelf = Shelf(self.contenders)
        self.curated: list[Prompt] = []
        self._current: set[str] = set()  # their ids
        self._wanted: list[tuple[Prompt, str]] = []  # (prompt, model) that the bank lacks; the first wanted is last
        self._awaited: set[tuple[str, str]] = set()  # (prompt_id, model) whose picture is still on the Hub
        self._lock = threading.Lock()

    def take(self, rng: random.Random) -> None:
        """Put arena.yaml's prompts on record, shelve what ledger and bank have, and list what is missing."""
        self.curated = list({prompt.prompt_id: prompt for prompt in self._curated_prompts()}.values())
        self.ledger.add_prompts(self.curated)
        self._current = {prompt.prompt_id for prompt in self.curated}
        rng.shuffle(self.curated)
        self.refresh()

    def refresh(self) -> None:
        """Shelve what ledger and bank have now, and list anew what is missing."""
        images: dict[str, list[Image]] = {}
        for image in self.ledger.banked_images():
            if self.bank.has(image.image_id):
                images.setdefault(image.prompt_id, []).append(image)
        waiting = {(picture.prompt_id, picture.model) for picture in awaited(self.ledger)}
        prompts = {prompt.prompt_id: prompt for prompt in self.ledger.prompts() if self._serves(prompt)}
        for prompt_id, prompt in prompts.items():
            self.shelf.add(prompt, images.get(prompt_id, []))
        with self._lock:
            self._awaited, voters = waiting, [(p, m) for p, m in self._wanted if p.prompt_id not in self._current]
            self._wanted.clear()
        for prompt in self.curated:
            self._want(prompts[prompt.prompt_id])
        with self._lock:
            self._wanted[:0] = [(p, m) for p, m in voters if (p.prompt_id, m) not in waiting]

    def arrived(self, pictures: Iterable[Awaited]) -> None:
        """Shelve those whose picture the bank has now, and want the others, which will never come."""
        for picture in pictures:
            with self._lock:
                self._awaited.discard((picture.prompt_id, picture.model))
            prompt, image = self.ledger.prompt(picture.prompt_id), self.ledger.image(picture.image_id)
            if prompt and image and self._serves(prompt):
                if self.bank.has(picture.image_id):
                    self.shelf.add(prompt, [image])
                elif self.config.bank.fill and image.model in self.contenders:
                    with self._lock:
                        self._wanted.insert(0, (prompt, image.model))

    def needs(self, picture: Awaited) -> bool:
        """Whether it could be served if it were here, and nothing is in its place."""
        if picture.model not in self.contenders or self.shelf.has(picture.prompt_id, picture.model):
            return False
        prompt = self.ledger.prompt(picture.prompt_id)
        return prompt is not None and self._serves(prompt)

    def add(self, prompt: Prompt, images: Iterable[Image]) -> None:
        """Shelve new images of a prompt, and want the other contenders' as well."""
        self.shelf.add(prompt, images)
        self._want(prompt)

    def missing(self) -> int:
        """How many images are wanted."""
        return len(self._wanted)

    def awaited(self) -> int:
        """How many images are still to come from the dataset."""
        return len(self._awaited)

    def fill_one(self, studio: Studio) -> bool:
        """Make the image that is wanted first; False when none is, or none can be made now. A failing model rests
        and its image is tried again last. Raises GenerationError."""
        found = self._next(studio.resting())
        if found is None:
            return False
        prompt, model = found
        request = self.request(prompt, model, self.config.bank.seed)
        try:  # a live request goes first: what is half done is begun again later
            made = studio.generate([request], lambda share: None, studio.busy)
            image = self.keep(prompt, request, made[0], private=False)
        except GenerationCancelled:
            with self._lock:
                self._wanted.append(found)
            raise
        except GenerationError as error:
            with self._lock:
                self._wanted.insert(0, found)
            error.model = model
            studio.rest(model)
            raise
        studio.recovered(model)
        self.ledger.add_image(image)
        self.shelf.add(prompt, [image])
        return True

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

    def _serves(self, prompt: Prompt) -> bool:
        """A curated prompt that has left arena.yaml is not served any more; its votes stay."""
        return prompt.prompt_source == "voter" or prompt.prompt_id in self._current

    def _next(self, resting: Collection[str]) -> tuple[Prompt, str] | None:
        """Take what is wanted first, of a model that is not `resting`, off the list."""
        with self._lock:
            for at in range(len(self._wanted) - 1, -1, -1):
                prompt, model = self._wanted[at]
                if self.shelf.has(prompt.prompt_id, model) or (prompt.prompt_id, model) in self._awaited:
                    del self._wanted[at]
                elif model not in resting:
                    return self._wanted.pop(at)
        return None

    def _want(self, prompt: Prompt) -> None:
        """List what the bank lacks of a prompt. The order of models is a hash's, so that a half-filled bank
        favours none of them."""
        if not self.config.bank.fill:
            return
        with self._lock:
            lacking = [m for m in self.contenders if not self.shelf.has(prompt.prompt_id, m)
                       and (prompt.prompt_id, m) not in self._awaited]  # fmt: skip
            lacking.sort(key=lambda m: hashlib.sha256(f"{prompt.prompt_id}/{m}".encode()).digest())
            self._wanted[:0] = [(prompt, m) for m in reversed(lacking)]
