"""Gold tasks: battles with a known answer, mixed in among the others, so that care can be told from taste.

This desk owns which task a voter gets and when, and judges the answers. Until it is answered such a battle is like any
other: a row of `battles`, blind, with tokens of its own. A wrong answer is kept with its battle and refused with its
explanation until it is put right; then the first answer is what goes on record, marked in `extra`, with the count of
tries. Nothing of it counts anywhere: whoever counts votes or feedback leaves rows with `extra.gold` out.
"""

from __future__ import annotations

import io
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.bank import Bank
from arena.campaign_config import GoldSettings, bare, is_id
from arena.config import ArenaConfig
from arena.errors import ConfigError, GenerationError, TaskFirst, WrongAnswer
from arena.gold_record import GoldRecord
from arena.gold_tasks import ANY, Task, task_id
from arena.ledger import Ledger
from arena.records import Battle, Image, Prompt, Side, Vote, dumps, feedback_id, new_id

MODEL = "gold"  # who made a picture that came as a file, for columns that must say something
_OPEN = ("voted = 0 AND voided IS NULL AND created_at >= ? AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.battle_id = "
         "battles.battle_id)")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A vote on a gold task that may go on record: the first answer, and what its `extra` says."""

    winner: str
    seconds: float | None
    extra: dict[str, Any]


class GoldDesk:
    """The tasks of `config.gold`, whose files lie under `folder`; none where it is None. `asks(voter)` is what a voter
    is asked after a vote. Raises ConfigError for a file that is no picture."""

    def __init__(self, config: ArenaConfig, ledger: Ledger, bank: Bank, folder: Path, rng: random.Random,
                 asks: Callable[[str], Collection[str]]):  # fmt: skip
        self.settings: GoldSettings | None = config.gold
        self._config, self._ledger, self._bank, self._asks, self._rng = config, ledger, bank, asks, rng
        self._record = GoldRecord(ledger)
        self._lock = threading.RLock()
        self._tasks: dict[str, Task] = {}
        self._rows = [(k, row, tuple(self._image_id(k, name, folder) for name in row.images_of()))
                      for k, row in enumerate(config.gold.tasks if config.gold else ())]  # fmt: skip
        self.images = frozenset(image for _, _, images in self._rows for image in images)  # never in another battle

    def tasks(self) -> dict[str, Task]:
        """The tasks that can be shown now, by their ids: an image that is named by its id may still be to come."""
        with self._lock:
            if len(self._tasks) < len(self._rows):
                for _, row, images in self._rows:
                    key = task_id(row.kind, images, getattr(row, "criterion", ""))
                    if key not in self._tasks and (task := self._task(key, row, images)):
                        self._tasks[key] = task
            return dict(self._tasks)

    def waiting(self) -> list[str]:
        """Why tasks can't be shown, a line each, for the maintainer."""
        self.tasks()  # those with files are on record now
        found = [(k, self._why_not(row, images)) for k, row, images in self._rows]
        return [f"gold.tasks[{k}]: {why}" for k, why in found if why]

    # -- which task, and when ------------------------------------------------------------------------------

    def practice(self, voter: str) -> tuple[int, int]:
        """(done, of) of the tasks that come before the first battle that counts; equal where they are done."""
        if self.settings is None or not self.settings.first:
            return 0, 0
        of = min(self.settings.first, len(self._for(voter)))
        return min(of, len(self._record.done(voter))), of

    def practising(self, voter: str) -> bool:
        done, of = self.practice(voter)
        return done < of

    def draw(self, voter: str, category: str | None, others: Callable[[], bool] = lambda: True) -> Battle | None:
        """A gold task for this voter, in the ledger when this returns, where one is due. After those at the beginning
        they come among `others`: who has nothing else to vote on gets none."""
        if self.settings is None:
            return None
        with self._lock:
            # All of it is looked up for every battle, so that the time it takes tells nothing.
            (done, of), shown, waiting = self.practice(voter), self._record.shown(voter), self.open(voter)
            if done < of:
                if done + len(waiting) >= of:
                    return None
                category = None  # these come whatever was chosen
            elif self.settings.every is None or self._rng.random() * self.settings.every >= 1 or not others():
                return None
            tasks = {key: task for key, task in self._for(voter).items()
                     if category is None or task.prompt.category == category}  # fmt: skip
            fewest = min((shown[key] for key in tasks), default=0)
            least = sorted(key for key in tasks if shown[key] == fewest)
            if not least:
                return None
            task = tasks[self._rng.choice(least)]
            sides = task.images if self._rng.random() < 0.5 else task.images[::-1]
            battle = Battle(new_id(), voter, task.prompt, *sides, "anonymous", "bank", 1.0, self._ledger.now())
            self._ledger.add_battle(battle, gold=task.task_id)
        return battle

    def shown(self, voter: str) -> Counter[str]:
        """How often each task was shown to this voter."""
        return self._record.shown(voter)

    def done(self, voter: str) -> list[str]:
        """The battles of this voter whose task is answered, and put right where it was wrong, in the votes' order."""
        return list(self._record.done(voter))

    def open(self, voter: str, oldest: int = 0) -> set[str]:
        """The voter's gold battles that wait for their vote."""
        rows = self._ledger.all("SELECT battle_id FROM battles WHERE voter = ? AND gold IS NOT NULL AND " + _OPEN,
                                voter, oldest or self._oldest())  # fmt: skip
        return {row["battle_id"] for row in rows}

    # -- answers -------------------------------------------------------------------------------------------

    def to_put_right(self, voter: str) -> str | None:
        """The battle whose wrong vote has to be put right, the oldest first."""
        if self.settings is None:
            return None
        row = self._ledger.one("SELECT battle_id FROM battles WHERE voter = ? AND gold IS NOT NULL AND gold_first IS NOT "
                               f"NULL AND {_OPEN} ORDER BY created_at LIMIT 1", voter, self._oldest())  # fmt: skip
        return row["battle_id"] if row else None

    def abandoned(self, voter: str) -> list[tuple[str, Judged]]:
        """(battle, first answer) of wrong votes that nobody will put right any more: their time is over."""
        rows = self._ledger.all(
            "SELECT * FROM battles WHERE voter = ? AND gold IS NOT NULL AND gold_first IS NOT NULL AND voted = 0 AND voided "
            "IS NULL AND created_at < ? AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.battle_id = battles.battle_id)",
            voter, self._oldest()) if self.settings else []  # fmt: skip
        found = ((row, self._ledger.battle(row["battle_id"])) for row in rows)
        return [(row["battle_id"], self._judged(row, battle)) for row, battle in found if row["gold"] in self.tasks()]

    def abandoned_feedback(self, voter: str) -> list[tuple[Vote, Side, dict[str, Any], dict[str, Any]]]:
        """The same of wrong feedback: (vote, side, what was given first, what `extra` says of it)."""
        if self.settings is None:
            return []
        settled, oldest = self._record.settled(voter), self._oldest()
        rows = self._ledger.all(
            "SELECT v.vote_id, b.battle_id, b.gold, b.gold_first, b.gold_tries FROM battles b JOIN votes v USING (battle_id) "
            "WHERE b.voter = ? AND b.created_at >= ? AND b.created_at < ? AND instr(b.gold_first, '\"given\":') > 0",
            voter, settled, oldest)  # fmt: skip
        found = []
        for row in rows:
            task, first = self.tasks().get(row["gold"]), json.loads(row["gold_first"])
            side = task.side(self._ledger.battle(row["battle_id"])) if task else "a"
            given = self._ledger.one("SELECT 1 FROM feedback WHERE feedback_id = ?", feedback_id(row["vote_id"], side))
            if task and not given:
                known = {"gold": {"task": task.task_id, "right": first["right"]},
                         "gold_tries": row["gold_tries"] - first["voted"]}  # fmt: skip
                found.append((self._ledger.vote_of(row["battle_id"]), side, first["given"], known))
        if not found:
            self._record.settle(voter, oldest)
        return found

    def may_vote(self, battle_id: str, voter: str) -> None:
        """Raises TaskFirst while a task of this voter has to be done before this battle."""
        if self.settings is None:
            return
        wrong = self.to_put_right(voter)
        if wrong not in (None, battle_id):
            raise TaskFirst("First put right the task before this one.")
        if wrong is None and self.practising(voter) and battle_id not in self.open(voter):
            raise TaskFirst("A few tasks come before this one.")

    def may_skip(self, battle_id: str, voter: str) -> None:
        if self.to_put_right(voter) == battle_id:
            raise TaskFirst("This one has to be put right first.")

    def may_withdraw(self, battle_id: str, voter: str) -> None:
        if self.settings is None:
            return
        if battle_id in self._record.done(voter):
            raise TaskFirst("This was a task with a known answer: it counts for no model, and stays as it is.")
        said = "battle_id = ? AND voter = ? AND gold IS NOT NULL AND instr(gold_first, '\"given\":') > 0"
        if self._ledger.one(f"SELECT 1 FROM battles WHERE {said}", battle_id, voter):
            raise TaskFirst("This one has to be put right first.")

    def judge_vote(self, battle_id: str, voter: str, winner: str, seconds: float | None) -> Judged | None:
        """None for a battle that is no gold task, or can't be voted on; one whose task has left arena.yaml is a task
        still, and no result. Raises WrongAnswer, and then the answer is kept."""
        sql = f"SELECT * FROM battles WHERE battle_id = ? AND voter = ? AND gold IS NOT NULL AND {_OPEN}"
        if self._ledger.one(sql, battle_id, voter, self._oldest()) is None:  # most are none: nobody waits for a commit
            return None
        with self._ledger.transaction() as db:
            row = db.execute(sql, (battle_id, voter, self._oldest())).fetchone()
            if row is None:
                return None
            first = row["gold_first"] or dumps({"winner": winner, "seconds": seconds})
            db.execute("UPDATE battles SET gold_first = ?, gold_tries = gold_tries + 1 WHERE battle_id = ?",
                       (first, battle_id))  # fmt: skip
            row = db.execute("SELECT * FROM battles WHERE battle_id = ?", (battle_id,)).fetchone()
        judged = self._judged(row, self._ledger.battle(battle_id))
        if judged.extra["gold"] not in (ANY, winner):
            raise WrongAnswer(self.tasks()[row["gold"]].row.why)
        return judged

    def judge_feedback(self, vote: Vote, side: str, given: dict[str, Any], said: dict[str, Any], masks: dict[str, Any]
                       ) -> tuple[dict[str, Any], dict[str, Any]] | None:  # fmt: skip
        """(what was given first, what `extra` says of it) of feedback on a gold battle; None for any other. Raises
        WrongAnswer, and then the answer is kept."""
        extra = json.loads(vote.extra)
        if "gold" not in extra:
            return None
        task, battle = self.tasks().get(extra.get("gold_task")), self._ledger.battle(vote.battle_id)
        if task is None or battle is None or not task.asks_of(battle) or task.side(battle) != side:
            return given, {"gold": True}
        if self._ledger.one("SELECT 1 FROM feedback WHERE feedback_id = ?", feedback_id(vote.vote_id, side)):
            return given, {}  # it is given already, and is refused as such
        right = task.is_right(said, masks)
        with self._ledger.transaction() as db:
            sql = "SELECT gold_first, gold_tries FROM battles WHERE battle_id = ?"
            row = db.execute(sql, (vote.battle_id,)).fetchone()
            first = json.loads(row["gold_first"])
            first = first if "given" in first else {**first, "given": given, "right": right, "voted": row["gold_tries"]}
            db.execute("UPDATE battles SET gold_first = ?, gold_tries = gold_tries + 1 WHERE battle_id = ?",
                       (dumps(first), vote.battle_id))  # fmt: skip
        if not right:
            self._record.settle(vote.voter, 0)  # it may be given long after the vote
            raise WrongAnswer(task.row.why, task.about)
        tries = row["gold_tries"] + 1 - first["voted"]
        return first["given"], {"gold": {"task": task.task_id, "right": first["right"]}, "gold_tries": tries}

    def told(self, battle_id: str, voter: str) -> dict[str, Any] | None:
        """What a voter is told after a right answer: of the tasks before the first battle that counts, and of what they
        had to put right; later right answers go by in silence, so that nobody learns which battles are watched."""
        if self.settings is None or battle_id not in (done := self._record.done(voter)):
            return None
        row = self._ledger.one("SELECT gold, gold_first, gold_tries FROM battles WHERE battle_id = ?", battle_id)
        task = self.tasks().get(row["gold"]) if row else None
        if task is None:
            return None
        place, (_, of) = done[battle_id], self.practice(voter)
        tries = row["gold_tries"] - json.loads(row["gold_first"] or "{}").get("voted", 0)
        if place > of and tries == 1:
            return None
        return {"right": True, "why": task.row.why, "tries": tries,
                "practice": {"done": place, "of": of} if place <= of else None}  # fmt: skip

    def revealed(self, vote: Vote) -> dict[str, Any] | None:
        """In place of the models' names: that this was a task, and whether the first answer was right."""
        extra = json.loads(vote.extra)
        if "gold" not in extra:
            return None
        if extra["gold"] != ANY:
            return {"right": extra["gold"] == vote.winner}
        rows = (self._ledger.one("SELECT extra FROM feedback WHERE feedback_id = ?", feedback_id(vote.vote_id, side))
                for side in ("a", "b"))  # fmt: skip
        golds = [json.loads(row["extra"]).get("gold") for row in rows if row]
        return {"right": next((gold["right"] for gold in golds if isinstance(gold, dict)), None)}

    # -- inside --------------------------------------------------------------------------------------------

    def _for(self, voter: str) -> dict[str, Task]:
        """The tasks that this voter can answer."""
        asks = set(self._asks(voter))
        return {key: task for key, task in self.tasks().items() if task.needs <= asks}

    def _judged(self, row, battle: Battle) -> Judged:
        task, first = self.tasks().get(row["gold"]), json.loads(row["gold_first"])
        outcome = task.outcome(battle) if task else ANY  # a task that has left arena.yaml says nothing
        extra = {"gold": outcome, "gold_task": row["gold"]}
        if outcome != ANY:
            extra["gold_tries"] = row["gold_tries"]
        return Judged(first["winner"], first["seconds"], extra)

    def _oldest(self) -> int:
        return self._ledger.now() - int(self._config.limits.battle_hours * 3_600_000)

    def _image_id(self, place: int, name: str, folder: Path) -> str:
        """The id of an image; a file is put into the bank under its own."""
        if is_id(name):
            return name
        from PIL import Image as pictures

        try:
            with pictures.open(folder / name) as picture:
                return self._bank.add(picture)[0]
        except (OSError, GenerationError) as error:
            raise ConfigError(f"gold.tasks[{place}]: {name}: is no picture that can be shown ({error})") from None

    def _task(self, key: str, row, images: tuple[str, str]) -> Task | None:
        """The task as it can be shown, or None. Its prompt and files are on record then, and never published."""
        names, prompt = row.images_of(), None
        if row.prompt and row.category:
            prompt = self._filed(row.prompt, row.category)
            self._ledger.add_prompts([prompt], private=True)
            for image_id, name in zip(images, names, strict=True):
                if not is_id(name):
                    self._add_file(image_id, prompt)
        if self._why_not(row, images):
            return None
        found = tuple(self._ledger.image(image) for image in images)
        prompt = prompt or self._ledger.prompt(found[0].prompt_id)
        return Task(key, row, prompt, found)

    def _filed(self, text: str, category: str) -> Prompt:
        """A prompt that is filed as one of its category is, so that nothing sets it apart."""
        settings = next(c for c in self._config.categories if c.name == category)
        like = [(c, row.sub_category or "") for row in settings.prompts for c, _ in row.texts()] or [("original", "")]
        complexity, sub_category = like[len(text) % len(like)]
        return Prompt.make(text, category=category, sub_category=sub_category, complexity=complexity, source="gold",
                           now=self._ledger.now())  # fmt: skip

    def _add_file(self, image_id: str, prompt: Prompt) -> None:
        from PIL import Image as pictures

        if self._ledger.image(image_id) is None:
            with pictures.open(io.BytesIO(self._bank.read(image_id))) as picture:
                size = picture.size
            self._ledger.add_image(Image(image_id, prompt.prompt_id, MODEL, "", 0, *size, "{}", 0.0, "",
                                         self._ledger.now(), "", True, dumps({"gold": True})))  # fmt: skip

    def _why_not(self, row, images: tuple[str, str]) -> str:
        """Why the task can't be shown; "" where it can."""
        found = [self._ledger.image(image) for image in images]
        for image_id, image in zip(images, found, strict=True):
            if image is None or not self._bank.has(image_id):
                return f"the image {image_id} is not here"
            if image.private and image.model != MODEL:
                return f"the image {image_id} is a visitor's own"
        if row.prompt and row.category:
            return ""
        if found[0].prompt_id != found[1].prompt_id:
            return "its two images are of different prompts; give `prompt` and `category`"
        known = set(map(bare, self._ledger.prompt(found[0].prompt_id).prompt.split()))
        strange = [word for word in (*getattr(row, "missed", ()), *getattr(row, "may", ())) if bare(word) not in known]
        return f'its prompt has no word "{strange[0]}"' if strange else ""
