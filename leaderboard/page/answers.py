"""Owns the answers to what the pages ask: each part computed when somebody opens it, once for all readers."""

import json
import logging
import threading

from leaderboard.battles import battles
from leaderboard.errors import LeaderboardError, UnknownChoice
from leaderboard.figures import FIGURES
from leaderboard.page.blocks import figure_block, sheet_block
from leaderboard.page.head import head, stamp
from leaderboard.page.image import image_page, pictures, source
from leaderboard.page.tabs import listed
from leaderboard.page.why import BLOCKS, decided, model_page
from leaderboard.sheets import SHEETS

log = logging.getLogger(__name__)


class Pages:
    """Answers for the source behind `load() -> Study`, which should return the same Study while nothing changed.

    Safe to use from several threads. What was computed for a Study is kept until another one is loaded.
    """

    def __init__(self, load):
        self._load = load
        self._lock = threading.Lock()
        self._study, self._kept, self._locks = None, {}, {}

    def answer(self, question):
        """JSON text for a question, a dict whose `ask` is one of QUESTIONS. `{"error": one line}` for what the
        source or the question does not allow, `{"same": true}` where the asker's `seen` is still true."""
        try:
            question = question if isinstance(question, dict) else {}
            ask = question.get("ask")
            if ask not in QUESTIONS:
                raise UnknownChoice(f"nobody can ask for {ask!r}; known are {', '.join(QUESTIONS)}")
            return QUESTIONS[ask](self, self._fresh(), question)
        except LeaderboardError as error:
            return json.dumps({"error": str(error)})

    def _fresh(self):
        study = self._load()
        with self._lock:
            if study is not self._study:
                self._study, self._kept, self._locks = study, {}, {}
        return study

    def _once(self, study, key, make):
        """`make()` once per Study and key, also where several readers ask at the same time."""
        with self._lock:
            kept, locks = (self._kept, self._locks) if study is self._study else ({}, {})
            lock = locks.setdefault(key, threading.Lock())
        with lock:
            if key not in kept:
                kept[key] = make()
            return kept[key]

    def _stamp(self, study):
        return self._once(study, "stamp", lambda: stamp(study))

    def head(self, study, question):
        if question.get("seen") == self._stamp(study):
            return '{"same": true}'
        return self._once(study, "head", lambda: json.dumps(head(study), allow_nan=False))

    def part(self, study, question):
        key = question.get("part")
        if question.get("seen") == self._stamp(study):
            return '{"same": true}'
        tabs = {f"{tab.key}/{part.key}": part for tab in listed(SHEETS, FIGURES, BLOCKS) for part in tab.parts}
        if key not in tabs:
            raise UnknownChoice(f"no part is called {key!r}")
        return self._once(study, f"part {key}", lambda: json.dumps(self._blocks(study, tabs[key]), allow_nan=False))

    def _blocks(self, study, part):
        return {
            "stamp": self._stamp(study),
            "blocks": [
                *(BLOCKS[name](study) for name in part.blocks),
                *(
                    figure_block(study, name, FIGURES[name], self._sheet(study, FIGURES[name].sheet))
                    for name in part.figures
                ),
                *(sheet_block(study, self._sheet(study, name)) for name in part.sheets),
                *(sheet_block(study, self._sheet(study, name)) | {"folded": True} for name in part.folded),
            ],
        }

    def _sheet(self, study, name):
        return self._once(study, f"sheet {name}", lambda: SHEETS[name](study))

    def battles(self, study, question):
        selection, start = question.get("selection"), question.get("start")
        selection = selection if isinstance(selection, dict) else {}
        if not all(isinstance(value, str) for value in selection.values()):
            raise UnknownChoice("battles are chosen by names")
        found = battles(study, selection, start if isinstance(start, int) else 0)
        shown = {row[side]["image"] for row in found["rows"] for side in "ab"} - {None}
        thumbnails = {image: source(study, image) for image in shown}
        found["pictures"] = {image: data for image, data in thumbnails.items() if data}
        for row in found["rows"]:
            row["a"]["name"], row["b"]["name"] = study.name(row["a"]["model"]), study.name(row["b"]["model"])
        return json.dumps(found, allow_nan=False)

    def model(self, study, question):
        model = _name(question, "model")
        make = {"decided": decided}.get(question.get("of"), model_page)
        found = self._once(study, f"{make.__name__} {model}", lambda: make(study, model))
        return json.dumps(found | {"stamp": self._stamp(study)}, allow_nan=False)

    def image(self, study, question):
        found = image_page(study, _name(question, "image"), question.get("trusted") is True)
        return json.dumps(found | {"stamp": self._stamp(study)}, allow_nan=False)

    def pictures(self, study, question):
        return json.dumps({"images": pictures(study, question.get("images"))}, allow_nan=False)

    def file(self, study, question):
        """{"name", "type", "text"} of a download: a sheet as CSV or, where `form` says so, as JSON; or the board."""
        name = question.get("name")
        if name == "board":
            text = json.dumps(study.board.to_json(), ensure_ascii=False, allow_nan=False, indent=1)
            return json.dumps({"name": "leaderboard.json", "type": "application/json", "text": text})
        if name not in SHEETS:
            raise UnknownChoice(f"no table is called {name!r}; known are {', '.join(SHEETS)}")
        if question.get("form") == "json":
            text = json.dumps(self._sheet(study, name).to_json(), ensure_ascii=False, allow_nan=False, indent=1)
            return json.dumps({"name": f"{name}.json", "type": "application/json", "text": text})
        return json.dumps({"name": f"{name}.csv", "type": "text/csv", "text": self._sheet(study, name).to_csv()})


QUESTIONS = {
    "head": Pages.head, "part": Pages.part, "battles": Pages.battles, "file": Pages.file, "model": Pages.model,
    "image": Pages.image, "pictures": Pages.pictures,
}  # fmt: skip


def _name(question, what):
    if not isinstance(question.get(what), str):
        raise UnknownChoice(f"no {what} is named")
    return question[what]
