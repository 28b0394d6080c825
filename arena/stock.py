"""The stock: which images there are to serve, which are missing, and what is asked for each.

Every curated prompt, and every prompt of a visitor here that is not private, is to have one image of each contender. With
`bank.retire_after` an image that has so many votes is retired: it stays on record, is drawn no more, and the next
replicate is made in its place. An image whose picture is still to come from the dataset is neither there nor missing: it
is served from when the bank has it. The stock joins the ledger's rows, the bank's files and the shelf that battles are
drawn from.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import random
import threading
from collections.abc import Callable, Collection, Iterable

from arena.backends.base import Generated, Request
from arena.bank import Bank
from arena.config import ArenaConfig
from arena.errors import GenerationError
from arena.guard import PromptRules
from arena.intake import Awaited, awaited
from arena.ledger import Ledger
from arena.matchmaking import Gains, Overlap, Pairing, Shelf
from arena.records import Battle, Image, Prompt, dumps, new_id
from arena.served import SeenBy, Uses
from arena.wanted import Slot, Wanted, WantList

log = logging.getLogger(__name__)


class Stock:
    """Empty until `take`. Images are added from the studio's thread, and by `refresh` and `arrived` from the
    restorer's; draws come from any. `gains` says which pairs the ratings want most (`arena.matchmaking.pairs`).
    Images that are `kept_out`, by their ids, are served in no draw, and another is made in the place of each."""

    def __init__(self, config: ArenaConfig, ledger: Ledger, bank: Bank, rules: PromptRules,
                 gains: Callable[[], Gains | None] | None = None, kept_out: Collection[str] = ()):  # fmt: skip
        self.config, self.ledger, self.bank, self.rules = config, ledger, bank, rules
        self._kept_out = kept_out
        self.contenders = {m.id: m for m in config.contenders}
        settings = config.matchmaking
        self.pairing = Pairing({m.id: m.family for m in config.contenders}, floor=settings.floor,
                               different_families=settings.different_families,
                               gains=gains if settings.sampling == "active" else None)  # fmt: skip
        overlap = Overlap(config.overlap, ledger, self._pair) if config.overlap else None
        self.shelf = Shelf(self.pairing, overlap)
        self.curated: list[Prompt] = []
        self._listed: list[Prompt] = []  # the same, in the order in which they are filled first
        self._current: set[str] = set()  # their ids
        self._seen, self._drawing = SeenBy(ledger), threading.Lock()
        self._uses, self._counting = Uses(ledger), threading.Lock()
        self._spent: dict[Slot, set[int]] = {}  # seeds of retired images, and of those that were rejected
        self.wanted = WantList()  # for the app, in the order in which it makes them
        self._awaited: set[Slot] = set()  # whose picture is still on the Hub
        self._image, self._noticing = 0, threading.Lock()  # the last image of the ledger that was looked at
        self._lock = threading.Lock()

    def take(self, rng: random.Random) -> None:
        """Put arena.yaml's prompts on record, shelve what ledger and bank have, and list what is missing."""
        self._listed = list({prompt.prompt_id: prompt for prompt in self._curated_prompts()}.values())
        self.curated = list(self._listed)
        self.ledger.add_prompts(self.curated)
        self._current = {prompt.prompt_id for prompt in self.curated}
        rng.shuffle(self.curated)
        self.refresh()

    def refresh(self) -> None:
        """Shelve what ledger and bank have now, and list anew what is missing."""
        if self.config.bank.retire_after:
            with self._counting:
                self._uses.follow()
        with self._noticing:
            images, self._image = self._servable_images(0)
        waiting = {(p.prompt_id, p.model) for p in awaited(self.ledger) if not self._retired(p.image_id)}
        prompts = {prompt.prompt_id: prompt for prompt in self.ledger.prompts() if self._serves(prompt)}
        for prompt_id, prompt in prompts.items():
            self.shelf.add(prompt, images.get(prompt_id, []))
        self.shelf.look_again()
        with self._lock:
            self._awaited = waiting
        self.wanted.clear()
        for prompt in (*self.curated, *self._visitors()):
            self._want(prompt)

    def notice(self) -> None:
        """Shelve what another process put on record since: `fill` beside the app, or a second app on this folder."""
        with self._noticing:
            images, self._image = self._servable_images(self._image)
        for prompt_id, row in images.items():
            prompt = self.ledger.prompt(prompt_id)
            if prompt and self._serves(prompt):
                self.shelf.add(prompt, row)
                for image in row:
                    self.wanted.drop((prompt_id, image.model))
        if images:
            self.shelf.look_again()

    def arrived(self, pictures: Iterable[Awaited]) -> None:
        """Shelve those whose picture the bank has now, and want the others, which will never come."""
        for picture in pictures:
            with self._lock:
                self._awaited.discard((picture.prompt_id, picture.model))
            prompt, image = self.ledger.prompt(picture.prompt_id), self.ledger.image(picture.image_id)
            if prompt and image and self._serves(prompt):
                if self.bank.has(picture.image_id) and not self._retired(picture.image_id):
                    self.shelf.add(prompt, [image])
                elif self.config.bank.fill and image.model in self.contenders:
                    self.wanted.put(prompt, image.model)
        self.shelf.look_again()

    def needs(self, picture: Awaited) -> bool:
        """Whether it could be served if it were here, and nothing is in its place."""
        if picture.model not in self.contenders or self.shelf.has(picture.prompt_id, picture.model):
            return False
        prompt = self.ledger.prompt(picture.prompt_id)
        return prompt is not None and self._serves(prompt) and not self._retired(picture.image_id)

    def add(self, prompt: Prompt, images: Iterable[Image]) -> None:
        """Shelve new images of a prompt, and want the other contenders' as well."""
        self.shelf.add(prompt, images)
        self._want(prompt)

    def offers(self, voter: str, category: str | None = None) -> bool:
        """Whether `serve` has a battle for this voter. Nothing is drawn."""
        with self._drawing:
            return self.shelf.draw(random.Random(0), self._seen.of(voter), category) is not None

    def serve(self, rng: random.Random, voter: str, category: str | None = None) -> Battle | None:
        """A battle for this voter, of images that they were never shown, in the ledger when this returns; None when
        nothing is left for them. One at a time, so that no two draws at once can show one image twice."""
        with self._drawing:
            draw = self.shelf.draw(rng, self._seen.of(voter), category)
            if draw is None:
                self.notice()
                draw = self.shelf.draw(rng, self._seen.of(voter), category)
            if draw is None:
                return None
            battle = Battle(new_id(), voter, draw.prompt, draw.image_a, draw.image_b, "anonymous", "bank",
                            draw.probability, self.ledger.now())  # fmt: skip
            self.ledger.add_battle(battle)
        return battle

    def voted(self) -> None:
        """Votes came: retire the images that have had theirs, and want the next replicates. Raises nothing: the votes
        are on disk, and none of them may look refused."""
        try:
            self.shelf.follow()
            if self.config.bank.retire_after:
                self._retire()
        except Exception:
            log.exception("images that have had their votes could not be retired yet")

    def _retire(self) -> None:
        with self._counting:
            used = self._uses.follow()
        for image_id, prompt_id in used.items():
            if self._retired(image_id) and (image := self.ledger.image(image_id)):
                self.spend((image.prompt_id, image.model), image.seed)
                if self.shelf.remove(prompt_id, image_id):
                    self._want(self.shelf.prompt(prompt_id))

    def missing(self) -> int:
        """How many images are wanted."""
        return len(self.wanted)

    def awaited(self) -> int:
        """How many images are still to come from the dataset."""
        return len(self._awaited)

    # -- what is missing ----------------------------------------------------------------------------------

    def lacking(self, prompts: int | None = None, models: Collection[str] | None = None) -> list[Wanted]:
        """The keys of all images that are neither here nor on their way, whatever `bank.fill` says: of the first
        `prompts` curated prompts, taken from the categories in turn as arena.yaml lists them, and of these `models`; of
        every prompt and contender by default. Prompt by prompt, models in the order of arena.yaml."""
        chosen = self._listed[:prompts] if prompts is not None else [*self._listed, *self._visitors()]
        named = [m for m in self.contenders if models is None or m in models]
        with self._lock:
            return [self._key(p, m) for p in chosen for m in named if self.lacks(p, m)]

    def key(self, prompt: Prompt, model: str) -> Wanted:
        """The key of the next image that this model is to make of this prompt."""
        with self._lock:
            return self._key(prompt, model)

    def lacks(self, prompt: Prompt, model: str) -> bool:
        """Whether this image is neither here nor on its way."""
        return (prompt.prompt_id, model) not in self._awaited and not self.shelf.has(prompt.prompt_id, model)

    def spend(self, slot: Slot, seed: int) -> None:
        """The picture of this seed is not wanted: the next replicate is."""
        with self._lock:
            self._spent.setdefault(slot, set()).add(seed)

    def request(self, prompt: Prompt, model: str, replicate: int) -> Request:
        """The generation of one image. Its seed is a hash of prompt, model, revision, `bank.seed` and replicate, so
        that nobody chose it and the same request is the same picture."""
        row = self.contenders[model]
        text = f"{prompt.prompt_id}/{row.id}/{row.revision or ''}/{self.config.bank.seed}"
        text += f"/{replicate}" if replicate else ""
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

    # -- inside ------------------------------------------------------------------------------------------

    def _servable_images(self, after: int) -> tuple[dict[str, list[Image]], int]:
        """Those that came after the image with this number, by prompt, and the last one's number."""
        images: dict[str, list[Image]] = {}
        last = self.ledger.last("images")
        for image in self.ledger.banked_images(after) if last > after else ():
            if self._retired(image.image_id):
                self.spend((image.prompt_id, image.model), image.seed)
            elif self.bank.has(image.image_id):
                images.setdefault(image.prompt_id, []).append(image)
        return images, max(after, last)

    def _curated_prompts(self) -> Iterable[Prompt]:
        """The categories in turn, each with its rows in order; the texts of one row come together."""
        now = self.ledger.now()
        rows = ([(category, entry) for entry in category.prompts] for category in self.config.categories)
        for category, entry in filter(None, itertools.chain(*itertools.zip_longest(*rows))):
            base = ""
            for complexity, text in entry.texts():
                prompt = Prompt.make(self.rules.clean(text), category=category.name, complexity=complexity,
                                     sub_category=entry.sub_category or "", base=base, now=now)  # fmt: skip
                base = base or prompt.prompt_id
                yield prompt

    def _visitors(self) -> list[Prompt]:
        """The prompts that visitors typed here; what they typed elsewhere is completed there."""
        rows = self.ledger.all("SELECT prompt_id FROM prompts WHERE prompt_source = 'voter' AND from_hub = 0")
        here = {row["prompt_id"] for row in rows}
        return [prompt for prompt in self.ledger.prompts(source="voter") if prompt.prompt_id in here]

    def _serves(self, prompt: Prompt) -> bool:
        """A curated prompt that has left arena.yaml is not served any more; its votes stay."""
        return prompt.prompt_source == "voter" or prompt.prompt_id in self._current

    def _pair(self, prompt_id: str, one: str, other: str) -> tuple[Prompt, Image, Image] | None:
        """A pair that is under way is finished, though an image of it may be retired by now."""
        prompt, *images = self.ledger.prompt(prompt_id), self.ledger.image(one), self.ledger.image(other)
        if prompt is None or None in images or not self._serves(prompt) or {one, other} & set(self._kept_out):
            return None
        if all(i.model in self.contenders and not i.private and self.bank.has(i.image_id) for i in images):
            return prompt, *images
        return None

    def _retired(self, image_id: str) -> bool:
        most = self.config.bank.retire_after
        return image_id in self._kept_out or (most is not None and self._uses[image_id] >= most)

    def _key(self, prompt: Prompt, model: str) -> Wanted:
        """The first replicate that has not been used up."""
        spent = self._spent.get((prompt.prompt_id, model), ())
        free = (r for r in itertools.count() if self.request(prompt, model, r).seed not in spent)
        return Wanted(prompt, model, next(free))

    def _want(self, prompt: Prompt) -> None:
        """List what the bank lacks of a prompt. The order of models is a hash's, so that a half-filled bank favours
        none of them, but that the second one is of another family than the first."""
        if not self.config.bank.fill:
            return
        lacking = [m for m in self.contenders if self.lacks(prompt, m)]
        lacking.sort(key=lambda m: hashlib.sha256(f"{prompt.prompt_id}/{m}".encode()).digest())
        others = [m for m in lacking[1:] if self.pairing.mixed((m, lacking[0]))]
        for model in dict.fromkeys((*lacking[:1], *others[:1], *lacking)):
            self.wanted.put(prompt, model)
