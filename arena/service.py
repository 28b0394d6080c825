"""Arena: the facade that every entry point calls. One method a thing that a visitor can do.

It owns no storage and no model: it asks guard, matchmaking, ledger, bank and studio in the right order. What
it returns before a vote is blind (`Battle.blind`); what it raises is `arena.errors.Refused` with a message fit
for the visitor, or a fault of ours.
"""

from __future__ import annotations

import json
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import arena
from arena.bank import MEDIA_TYPE, Bank
from arena.campaign import CampaignDesk
from arena.casting import Ballot
from arena.config import ArenaConfig, ModelSettings
from arena.errors import (
    BadVote,
    BattleExpired,
    NoBattle,
    TaskFirst,
    UnknownBattle,
    UnknownCategory,
)
from arena.feedback import FeedbackDesk, vote_to_go_with
from arena.gold import GoldDesk
from arena.guard import PromptRules, RateLimit, VoterKey
from arena.ledger import Ledger
from arena.live import LiveBattles
from arena.making import Refill
from arena.matchmaking import Gains
from arena.records import WINNERS, Battle, BlindBattle, Image, Prompt, Vote, new_id
from arena.restore import NoDataset, Restorer
from arena.reveal import Contender, Reveal
from arena.stock import Stock
from arena.studio import Studio

if TYPE_CHECKING:
    from arena.publisher import Publisher

HELD_AT_MOST = 10_000  # votes whose names are held back and whose change of the ratings is remembered

# Told of every vote, with its published row; returns the change of both models' Elo to show with the reveal:
# {"a": {"before": float, "after": float}, "b": {...}}, or None. Told None when votes came from the dataset.
Ticker = Callable[[dict[str, Any] | None], dict[str, dict[str, float]] | None]


class Arena:
    """`hint(prompt)` says what a visitor should know of a prompt ("" for nothing), `world` what the
    demonstration models understand. All parts are handed in by `arena.build`."""

    def __init__(self, config: ArenaConfig, *, ledger: Ledger, bank: Bank, studio: Studio, publisher: Publisher,
                 key: VoterKey, rng: random.Random, restorer: Restorer | NoDataset = NoDataset(),
                 ticker: Ticker | None = None, gains: Callable[[], Gains | None] | None = None,
                 hint: Callable[[str], str] = lambda prompt: "", world: dict[str, list[str]] | None = None,
                 folder: Path = Path()):  # fmt: skip
        self.config = config
        self.ledger, self.bank, self.studio, self.publisher, self.key = ledger, bank, studio, publisher, key
        self.restorer = restorer
        self.rng, self.ticker, self.hint, self.world = rng, ticker, hint, world
        self.models = {m.id: m for m in config.models}
        self.contenders = {m.id: m for m in config.contenders}
        self.rules = PromptRules(config.limits.prompt_chars, config.limits.blocked_words)
        self.campaign = CampaignDesk(config, ledger, folder, lambda: self.stock.shelf.pairs())
        self.gold = GoldDesk(config, ledger, bank, folder, random.Random(rng.getrandbits(128)), self.campaign.asks)
        self.stock = Stock(config, ledger, bank, self.rules, gains, self.gold.images)
        self.live = LiveBattles(self.stock, ledger, bank, studio, random.Random(rng.getrandbits(128)), self._blind)
        self._refill = Refill(self.stock)
        limits = config.limits
        self._votes = RateLimit(limits.votes_per_minute / 60, max(10, limits.votes_per_minute / 2))
        self._draws = RateLimit(limits.votes_per_minute / 20, max(30, limits.votes_per_minute * 2))
        self._live = RateLimit(limits.live_per_hour / 3600, max(5, limits.live_per_hour / 4))
        self.feedback = FeedbackDesk(config.feedback, ledger, RateLimit(2 * limits.votes_per_minute / 60,
                                     max(20, limits.votes_per_minute)), self.campaign, self.gold)  # fmt: skip
        self._changes: OrderedDict[str, dict[str, dict[str, float]] | None] = OrderedDict()  # of held battles
        self._rng_lock = threading.Lock()
        self._told: dict[str, Any] = {}  # public counts, as they were when nobody's images were being drawn
        self._private_gone = 0  # private pictures that were made before this (milliseconds) are removed
        self._forget_private()
        self.stock.take(rng)

    # -- battles -----------------------------------------------------------------------------------------

    def next_battle(self, voter: str, *, category: str | None = None, after: str | None = None) -> BlindBattle:
        """The voter's oldest open battle other than `after`, so that a reload or a restart goes on where it was;
        where there is none, a fresh one. In a campaign what has to be put right, or lacks its feedback (`owed`), comes
        first, whatever is asked for. Raises NoBattle, UnknownCategory, TooFast."""
        self._known_category(category)
        self._settle_gold(voter)
        if wrong := self.gold.to_put_right(voter):
            return self._blind(self.ledger.battle(wrong))
        if owed := self.campaign.owed(voter):
            return replace(self._blind(self.ledger.battle(owed["battle_id"])), owed=owed)
        known = self.gold.open(voter) if self.gold.practising(voter) else None  # nothing else before these
        for battle in self.ledger.open_battles(voter, self._oldest()):
            if battle.battle_id == after or (known is not None and battle.battle_id not in known):
                continue
            if known is None and category and battle.prompt.category != category:
                continue
            if self.bank.has(battle.image_a.image_id) and self.bank.has(battle.image_b.image_id):
                return self._blind(battle)
            self.ledger.void_battle(battle.battle_id, "image missing")
            self.stock.shelf.release(battle.battle_id)
        self._draws.spend(voter, "so many new battles")
        battle = (self.gold.draw(voter, category, lambda: self.stock.offers(voter, category))
                  or self.stock.serve(self.rng, voter, category))  # fmt: skip
        if battle is None:
            raise NoBattle(self._why_nothing(category))
        return self._blind(battle)

    def skip(self, battle_id: str, voter: str) -> None:
        """Give up an open battle; it counts for nobody."""
        battle = self._battle_of(battle_id, voter)
        self.gold.may_skip(battle_id, voter)
        self.ledger.void_battle(battle.battle_id, "skipped")
        self.stock.shelf.release(battle.battle_id)

    def image(self, token: str) -> tuple[bytes, str]:
        """(bytes, media type) of the picture that is served under `token`. Raises UnknownBattle."""
        images = self.ledger.images_of_token(token)
        try:
            if images:
                return self.bank.display_beside(*images), MEDIA_TYPE
        except FileNotFoundError:
            pass
        raise UnknownBattle("This picture is not here any more.")

    # -- votes -------------------------------------------------------------------------------------------

    def cast_vote(self, battle_id: str, winner: str, voter: str, *, seconds: float | None = None,
                  signed_in: bool = False, user_name: str | None = None, hold: bool = False) -> Reveal | None:  # fmt: skip
        """Write the vote, and only then tell the names; with `hold` they wait for `reveal`, and None is returned.
        `seconds` is how long the browser says that the battle was looked at; no more is believed than has passed
        since it was made. `user_name`, of who is signed in, is written only while the voter agrees to it."""
        if winner not in WINNERS:
            raise BadVote(f"A vote is one of {', '.join(WINNERS)}.")
        self._votes.spend(voter, "so many votes")
        battle = self.ledger.battle(battle_id)
        if battle and battle.voter == voter and self.ledger.vote_of(battle_id) is None:
            self.gold.may_vote(battle_id, voter)
            self.campaign.may_go_on(voter, battle_id)
        judged = self.gold.judge_vote(battle_id, voter, winner, seconds)
        name = user_name if signed_in and user_name and self.ledger.is_named(voter) else None
        hold = (
            hold
            or judged is not None
            or (self.campaign.required and battle is not None and battle.served_from == "bank")
        )
        vote = self._cast(battle_id, Ballot(voter, winner, seconds, signed_in, name, judged), hold)
        if judged:  # no result of anything
            return None
        self.stock.voted()
        change = self.ticker(asdict(vote)) if self.ticker else None
        if not hold:
            return self._reveal(vote, change)
        self._changes[battle_id] = change
        while len(self._changes) > HELD_AT_MOST:
            self._changes.popitem(last=False)
        return None

    def _cast(self, battle_id: str, ballot: Ballot, hold: bool) -> Vote:
        oldest = self._oldest() if ballot.judged is None else 0  # what was judged was in time
        return self.ledger.cast_vote(battle_id, ballot.voter, lambda battle: ballot.vote(battle, self.ledger.now()),
                                     not_before=oldest, hold=hold)  # fmt: skip

    def _settle_gold(self, voter: str) -> None:
        """First answers to known tasks that nobody put right in time go on record as they are."""
        for battle_id, judged in self.gold.abandoned(voter):
            self._cast(battle_id, Ballot(voter, judged.winner, judged=judged), hold=True)
        for given in self.gold.abandoned_feedback(voter):
            self.feedback.give_up(*given)

    def reveal(self, battle_id: str, voter: str) -> Reveal | dict[str, Any]:
        """Tell the names that were held back, to the voter of this battle; from now on their feedback is marked as
        given with the names known. Of a task with a known answer there are no names to tell, but `GoldDesk.revealed`.
        Raises UnknownBattle, VoteFirst, TaskFirst."""
        vote = vote_to_go_with(self.ledger, battle_id, voter)
        owed = self.campaign.owed(voter)
        if owed and owed["battle_id"] == battle_id:
            raise TaskFirst("First say what you think of the two images.")
        if known := self.gold.revealed(vote):
            return known
        told = self._reveal(vote, self._changes.get(battle_id))
        self.ledger.unveil(battle_id)
        last = self.ledger.last_vote(voter)
        return replace(told, withdrawable=last is not None and last.vote_id == vote.vote_id)

    def withdraw(self, battle_id: str, voter: str) -> None:
        """Take back the voter's last vote: it stays on record, excluded as withdrawn."""
        self.gold.may_withdraw(battle_id, voter)
        self.ledger.withdraw(battle_id, voter)

    def is_named(self, voter: str) -> bool:
        """Whether this voter's name goes with their votes, as they chose; nobody's does by itself."""
        return self.ledger.is_named(voter)

    def set_named(self, voter: str, agreed: bool) -> None:
        """Keep the voter's choice. It holds from the next vote on: a vote row is never rewritten."""
        self.ledger.set_named(voter, agreed)

    def voter_of(self, identity: str) -> str:
        return self.key.voter(identity)

    # -- live battles ------------------------------------------------------------------------------------

    def random_prompt(self, category: str | None = None) -> dict[str, str]:
        self._known_category(category)
        rows = [p for p in self.stock.curated if category is None or p.category == category]
        if not rows:
            raise NoBattle(f'There are no prompts in "{category}" yet. Type one of your own.')
        with self._rng_lock:
            chosen = self.rng.choice(rows)
        return {"prompt": chosen.prompt, "category": chosen.category}

    def request_live(self, voter: str, prompt: str, *, category: str | None = None, private: bool = False) -> str:
        """Queue a battle of two models on the visitor's own prompt; returns a ticket for `follow_live`.
        Raises BadPrompt, UnknownCategory, TooFast, NoBattle."""
        self._known_category(category)
        text = self.rules.clean(prompt)
        self._live.spend(voter, "so many pictures")
        row = Prompt.make(text, category=category or "", source="voter", now=self.ledger.now())
        self._forget_private()
        if private:  # its id must not tell its text either
            row = Prompt(new_id(), text, category or "", "", "original", "voter", "", self.ledger.now())
        return self.studio.submit(self.live.job(voter, row, private))

    def follow_live(self, ticket: str, voter: str) -> Iterator[dict[str, Any]]:
        """Events of the request, the last of which is "done" with its blind battle, or "error"."""
        return self.studio.follow(ticket, voter)

    def cancel_live(self, ticket: str, voter: str) -> None:
        self.studio.cancel(ticket, voter)

    # -- the bank ----------------------------------------------------------------------------------------

    def refill(self, studio: Studio) -> bool:
        """Make what the bank lacks most, an image or a few of one model; False when it lacks none that can be made now,
        or when the dataset may have it."""
        self.stock.notice()
        self.stock.shelf.renew()
        return self.restorer.settled and self._refill.some(studio)

    def hear(self, table: str) -> None:
        """Rows of `table` came from the dataset."""
        if table in ("prompts", "images"):
            self.stock.refresh()
        elif table in ("votes", "exclusions"):
            self.stock.voted()
            if self.ticker:
                self.ticker(None)

    def missing(self) -> int:
        """Images that the bank still lacks."""
        return self.stock.missing()

    # -- what the pages show -----------------------------------------------------------------------------

    def meta(self) -> dict[str, Any]:
        """Public facts of this arena, for the pages."""
        sizes = self.still("sizes", self.stock.shelf.sizes)
        look = self.config.look
        return {
            "title": self.config.title, "tagline": look.tagline, "accent": look.accent, "contact": look.contact,
            "categories": [{"name": c.name, "sub_categories": c.sub_categories, "prompts": sizes.get(c.name, 0)}
                           for c in self.config.categories],
            "examples": look.examples,
            "limits": {"prompt_chars": self.rules.max_chars, "battle_hours": self.config.limits.battle_hours},
            "models": [{"id": m.id, "name": m.name, "organisation": m.organisation, "licence": m.licence,
                        "licence_url": m.licence_url, "url": m.url, "demo": m.demo, "family": m.family}
                       for m in self.contenders.values()],
            "demo": all(m.demo for m in self.contenders.values()), "world": self.world,
            "feedback": self.feedback.asked.model_dump(), "campaign": self.campaign.meta(),
            "hub_dataset": self.config.hub.dataset, "dataset_licence": self.config.hub.licence,
            "arena_version": arena.__version__,
        }  # fmt: skip

    def status(self) -> dict[str, Any]:
        """Counts and health; holds no secret and no voter."""
        counts, hub = self.ledger.counts(), asdict(self.publisher.status())
        still = self.still("status", lambda: {
            "resting": sorted(self.studio.resting()),
            "images": counts["images"], "prompts": counts["prompts"], "missing": self.missing(),
            "pending": hub["pending_rows"]})  # fmt: skip
        return {**counts, "images": still["images"], "prompts": still["prompts"], "bank_missing": still["missing"],
                "live_waiting": self.studio.waiting(), "resting_models": still["resting"],
                "hub": {**hub, "pending_rows": still["pending"]}, "restore": asdict(self.restorer.status()),
                "arena_version": arena.__version__}  # fmt: skip

    def close(self) -> None:
        """Stop drawing, publish what is pending (with a deadline), close the ledger. Safe to call twice."""
        # A model may need seconds to stop: publishing does not wait for that.
        others = [threading.Thread(target=part.close, daemon=True) for part in (self.studio, self.restorer)]
        for other in others:
            other.start()
        self.publisher.close()
        for other in others:
            other.join()
        self.ledger.close()

    # -- inside ------------------------------------------------------------------------------------------

    def _blind(self, battle: Battle) -> BlindBattle:
        blind = battle.blind()
        hint = self.hint(blind.prompt) if battle.prompt.prompt_source == "voter" else ""
        return BlindBattle(**{**asdict(blind), "hint": hint})

    def still(self, what: str, read: Callable[[], Any]) -> Any:
        """What is public of the stock does not move while somebody's images are drawn: the bank is filled again as
        soon as the models are done, and a count would tell when that was (`arena.pace`)."""
        if what not in self._told or not self.studio.drawing():
            self._told[what] = read()
        return self._told[what]

    def _forget_private(self) -> None:
        """Private pictures are kept only as long as their battle can be voted."""
        oldest = self._oldest()
        for image_id in self.ledger.private_images(since=self._private_gone, before=oldest):
            self.bank.remove(image_id)
        self._private_gone = oldest

    def _reveal(self, vote: Vote, change: dict[str, dict[str, float]] | None) -> Reveal:
        images = self.ledger.image(vote.image_a), self.ledger.image(vote.image_b)
        if None in images:
            raise UnknownBattle("The images of this battle are not here any more.")
        a, b = (self._contender(image, change and change.get(side)) for side, image in zip("ab", images, strict=True))
        return Reveal(vote.battle_id, vote.winner, a, b, self.ledger.pair_record(vote.image_a, vote.image_b))

    def _contender(self, image: Image, change: dict[str, float] | None) -> Contender:
        row: ModelSettings | None = self.models.get(image.model)
        settings = {"seed": image.seed, "width": image.width, "height": image.height, **json.loads(image.settings)}
        if row is None:  # a model that has left arena.yaml since
            who = (image.model, image.model, "", "", image.licence, None, None, False)
        else:
            who = (row.id, row.name, row.organisation, row.family, row.licence, row.licence_url, row.url, row.demo)
        return Contender(*who, image.seconds, settings, change)

    def _battle_of(self, battle_id: str, voter: str) -> Battle:
        battle = self.ledger.battle(battle_id)
        if battle is None or battle.voter != voter:
            raise UnknownBattle("This battle is not known here, or was served to somebody else.")
        if self.ledger.vote_of(battle_id) is not None:
            raise BattleExpired("This battle has its vote already.")
        return battle

    def _known_category(self, category: str | None) -> None:
        if category is not None and category not in self.config.category_names:
            known = ", ".join(self.config.category_names)
            raise UnknownCategory(f'"{category}" is not a category here; one of {known}.')

    def _oldest(self) -> int:
        return self.ledger.now() - int(self.config.limits.battle_hours * 3_600_000)

    def _why_nothing(self, category: str | None) -> str:
        here, missing = self.stock.shelf.sizes(), self.missing()
        if not (here if category is None else here.get(category)):
            if missing:
                return "The first images are being drawn."
            if self.stock.awaited():
                return "The first images are on their way here."
        where = f' in "{category}"' if category else ""
        more = " More images are being drawn." if missing else ""
        return f"You have seen every battle{where}.{more} Choose another category, or type a prompt of your own."
