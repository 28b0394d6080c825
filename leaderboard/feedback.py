"""Owns the checked table of feedback: `read_feedback` (any source) and `check_feedback` (raw columns).

Nothing is dropped in silence. What can't be trusted is refused with errors.BadFeedback; what is sound but does not count
is counted by reason in `left_out`: feedback on a vote that does not count has that vote's reason (`excluded:withdrawn`,
`mode:named`, ...), and always `total == len(feedback) + sum(left_out.values())`.
"""

import json
from collections import Counter
from dataclasses import dataclass, field, fields, replace

import numpy as np

from leaderboard import errors
from leaderboard.columns import NO_TIME, Coded, encode, milliseconds, plural
from leaderboard.feedback_cells import Given, given, inside, objects, painted, point, ratings, word
from leaderboard.feedback_formats import COLUMNS, CRITERIA, TEXT
from leaderboard.feedback_sources import BATTLES, GROUPED, PROMPTS, RawFeedback, open_feedback, rows_of
from leaderboard.formats.base import cells
from leaderboard.votes import ALIASES, MAIN_MODE, OUTCOMES, standing_exclusions

KINDS = ("coherence", "alignment")
UNKNOWN = -1


@dataclass(frozen=True)
class Feedback:
    """n rows that count, oldest first: one voter's feedback on one image of one battle.

    `scores` float64 [n, 3] from 1 to 5 by CRITERIA, 5 the best, NaN where not given; `words` and `points[kind]` are
    Given; `painted[kind]` {row: bool [h, w]}, areas painted in place of points; `faultless[kind]` bool [n]: rated so high
    that no places were asked for, which says that there is nothing to mark. `revealed` bool [n]: the models' names were
    shown before; `private` bool [n]: the image is nobody else's to see, and its id may stand for nothing. `side` int8 [n]
    is 0 for side a of the battle, 1 for side b, and `winner` int8 [n] the index of its vote's outcome in OUTCOMES;
    UNKNOWN (-1) where no vote says it. All else is Coded [n]: `vote` is the id of its vote, `asked` what this voter was
    asked (words of `extra.asked`, with spaces between), empty where the row does not say; `created_at` int64 [n] in
    milliseconds. `total`, `left_out`, `revision` and `notes` are as for votes.
    """

    image: Coded
    model: Coded
    voter: Coded
    battle: Coded
    vote: Coded
    asked: Coded
    prompt_id: Coded
    prompt: Coded
    category: Coded
    sub_category: Coded
    complexity: Coded
    created_at: np.ndarray
    scores: np.ndarray
    words: Given
    points: dict
    painted: dict
    faultless: dict
    revealed: np.ndarray
    private: np.ndarray
    side: np.ndarray
    winner: np.ndarray
    source: str = ""
    revision: str | None = None
    total: int = 0
    left_out: dict = field(default_factory=dict)
    notes: tuple = ()
    gold_tasks: tuple = ()  # (voter, task, right) of what was said where the answer is known; such rows never count

    def __len__(self):
        return len(self.scores)

    def without(self, rows, reason):
        """All but these rows (a mask [n]), which are counted as left out for this reason."""
        if not rows.any():
            return self
        kept = np.flatnonzero(~rows)
        place = dict(zip(kept.tolist(), range(len(kept)), strict=True))
        cut = {part.name: getattr(self, part.name) for part in fields(self)}
        cut = {name: column.take(kept).compact() if isinstance(column, Coded) else column[kept]
               for name, column in cut.items() if isinstance(column, Coded | np.ndarray)}  # fmt: skip
        return replace(
            self,
            **cut,
            words=self.words.where(kept),
            points={kind: points.where(kept) for kind, points in self.points.items()},
            painted={kind: {place[row]: area for row, area in areas.items() if row in place}
                     for kind, areas in self.painted.items()},
            faultless={kind: column[kept] for kind, column in self.faultless.items()},
            left_out=self.left_out | {reason: int(rows.sum())},
        )  # fmt: skip


def read_feedback(source, mode=MAIN_MODE):
    """The checked Feedback of a source (see feedback_sources), without rows where the source has none.

    Raises errors.SourceError where it can't be read and errors.BadFeedback where its rows can't be trusted.
    """
    return check_feedback(open_feedback(source), mode)


def feedback_from_rows(rows, votes=None, exclusions=(), prompts=(), mode=MAIN_MODE, source="memory"):
    """Checked Feedback from mappings with the columns of the `feedback` table, and of `votes`, `exclusions` and
    `prompts`; without `votes` (None) nothing is known of the battles."""

    def columns(table, names):
        return {name: [row.get(name) for row in table] for name in names}

    raw = RawFeedback(
        source,
        columns(list(rows), COLUMNS),
        None if votes is None else columns(list(votes), BATTLES),
        columns(list(exclusions), ("vote_id", "reason", "created_at")),
        columns(list(prompts), PROMPTS),
    )
    return check_feedback(raw, mode)


def check_feedback(raw, mode=MAIN_MODE):
    """A RawFeedback -> Feedback. Raises errors.BadFeedback, its message led by the source's name."""
    try:
        return _check(raw, mode)
    except (errors.BadFeedback, errors.BadVotes) as error:
        raise errors.BadFeedback(f"{raw.name}, feedback: {error}") from None


def _check(raw, mode):
    columns = raw.feedback or {}
    rows = len(next(iter(columns.values()))) if columns else 0
    text = {name: cells(columns[name]) if name in columns else [None] * rows for name in TEXT}
    for name in ("image_id", "model"):
        if name not in columns and rows:
            raise errors.BadFeedback(f"column {name} is missing")
    if empty := sum(cell in (None, "") for cell in text["model"]):
        raise errors.BadFeedback(f"column model: {plural(empty, 'row is', 'rows are')} empty")
    unnamed = [cell in (None, "") for cell in text["image_id"]]
    if any(unnamed):  # what is private may come without its image: it tells of the model, and of no image
        alone = zip(text["battle_id"], text["model"], text["feedback_id"], strict=True)
        text["image_id"] = [own or " ".join(map(str, key)) for own, key in zip(text["image_id"], alone, strict=True)]
    scores = np.column_stack([ratings(columns.get(name), name, rows) for name in CRITERIA])
    extra = objects(columns.get("extra"), rows)
    when = milliseconds(columns["created_at"]) if "created_at" in columns else np.full(rows, NO_TIME)
    battles = _battles(raw, set(text["battle_id"]), mode)
    reasons = _reasons(text, extra, battles)
    left_out = Counter(reason for reason in reasons if reason)
    kept = np.array([at for at, reason in enumerate(reasons) if not reason], np.int64)
    ids = [text["feedback_id"][at] or "" for at in kept.tolist()]
    kept = kept[np.lexsort((ids, when[kept]))] if len(kept) else kept

    def column(name):
        return [text[name][at] for at in kept.tolist()]

    found = [battles.get(name) for name in column("battle_id")] if battles is not None else [None] * len(kept)
    words = given(columns.get("misaligned_words"), "misaligned_words", kept, word)
    inside(words, column("prompt"))
    extra_of_all, extra = extra, [extra[at] for at in kept.tolist()]
    groups = _groups(raw, column, found)
    points = {kind: given(columns.get(f"{kind}_points"), f"{kind}_points", kept, point, 2) for kind in KINDS}
    areas = {kind: painted(extra, f"{kind}_mask") for kind in KINDS}
    asked = [_asked(cell) for cell in extra]
    return Feedback(
        image=encode(column("image_id")),
        model=encode(column("model")).compact(),
        voter=encode(column("voter")),
        battle=encode(column("battle_id")),
        vote=encode([vote and vote["vote_id"] for vote in found]),
        asked=encode(asked),
        prompt_id=encode([key or text for key, text in zip(column("prompt_id"), column("prompt"), strict=True)]),
        prompt=encode(column("prompt")),
        **{name: encode(group).compact() for name, group in groups.items()},
        created_at=when[kept],
        scores=scores[kept],
        words=words,
        points=points,
        painted=areas,
        faultless={
            kind: _faultless(kind, extra, asked, scores[kept], points[kind].asked, areas[kind]) for kind in KINDS
        },
        revealed=np.array([bool(cell.get("revealed")) for cell in extra], bool),
        private=np.array([bool(cell.get("private")) for cell in extra], bool) | np.array(unnamed, bool)[kept],
        side=np.array(
            [_side(*cells) for cells in zip(column("image_id"), column("model"), found, strict=True)], np.int8
        ),
        winner=np.array([OUTCOMES.index(battle["winner"]) if battle else UNKNOWN for battle in found], np.int8),
        source=raw.name,
        revision=raw.revision,
        total=rows,
        left_out={why: left_out[why] for why in sorted(left_out)},
        notes=(raw.note,) if raw.note and rows else (),
        gold_tasks=_gold_tasks(text["voter"], extra_of_all, reasons),
    )


def _battles(raw, wanted, mode):
    """{battle_id: its vote as a dict, with `left_out`: why it does not count, or None}; None without votes."""
    if raw.votes is None or "battle_id" not in raw.votes:
        return None
    excluded, found = standing_exclusions(raw.exclusions), {}
    for row in rows_of(raw.votes, BATTLES):
        vote = dict(zip(BATTLES, row, strict=True))
        if vote["battle_id"] in wanted and vote["battle_id"]:
            vote["winner"] = ALIASES.get(vote["winner"], vote["winner"])
            if vote["winner"] not in OUTCOMES:
                raise errors.BadFeedback(
                    f"the vote on battle {vote['battle_id']} has the unknown winner {vote['winner']!r}"
                )
            vote["left_out"] = _why(vote, excluded, mode)
            found.setdefault(vote["battle_id"], vote)
    return found


def _why(vote, excluded, mode):
    """Why a vote does not count, in the words of leaderboard.votes, or None."""
    if vote["vote_id"] in excluded:
        return f"excluded:{excluded[vote['vote_id']]}"
    if (vote["mode"] or mode) != mode:
        return f"mode:{vote['mode']}"
    extra = vote["extra"] or "{}"
    if vote["gold"] or ('"gold"' in extra and json.loads(extra).get("gold")):
        return "gold"
    return "self_battle" if vote["model_a"] == vote["model_b"] else None


def _reasons(text, extra, battles):
    """Of each row the reason why it does not count, or None."""
    reasons, ids, given = [], set(), set()
    names = ("feedback_id", "battle_id", "image_id", "voter")
    for more, *row in zip(extra, *(text[name] for name in names), strict=True):
        feedback_id, battle_id, image_id, voter = row
        vote = battles.get(battle_id) if battles is not None and battle_id else None
        key = (voter, battle_id, image_id)
        if feedback_id and feedback_id in ids:
            reason = "duplicate"
        elif voter and battle_id and key in given:
            reason = "repeated"
        elif battles is not None and battle_id and vote is None:
            reason = "no_vote"
        elif vote and vote["voter"] and voter and vote["voter"] != voter:
            reason = "another_voter"
        else:  # what is excluded says nothing of its voter's care either
            reason = (vote["left_out"] if vote else None) or ("gold" if more.get("gold") else None)
        ids.add(feedback_id)
        given.add(key)
        reasons.append(reason)
    return reasons


def _gold_tasks(voters, extra, reasons):
    """(voter, task, right) of each row of a task with a known answer that names both; other gold rows say nothing."""
    found = []
    for voter, more, reason in zip(voters, extra, reasons, strict=True):
        gold = more.get("gold")
        if reason != "gold" or not isinstance(gold, dict):
            continue
        if not isinstance(gold.get("right"), bool) or not gold.get("task"):
            raise errors.BadFeedback(f"column extra: gold is no task with an answer: {str(gold)[:60]!r}")
        if voter:
            found.append((voter, str(gold["task"]), gold["right"]))
    return tuple(found)


def _asked(extra):
    """What a row says was asked, as text; None where it does not say."""
    names = _names(extra.get("asked"), "asked")
    return None if names is None else " ".join(names) or "nothing"


def _names(cell, key):
    """A list of names in `extra`, or None."""
    if cell is not None and not (isinstance(cell, list) and all(isinstance(name, str) for name in cell)):
        raise errors.BadFeedback(f"column extra: {key} is no list of names: {str(cell)[:60]!r}")
    return cell


def _faultless(kind, extra, asked, scores, pointed, areas):
    """bool [n]: of whom no places of a kind were asked because they rated high. A row says so in `extra.rated_high`. Where
    no row of the source does, it follows from the ratings: high is what is above every rating at which anybody was asked;
    who was asked other things (`extra.asked`) says nothing."""
    given = pointed.copy()
    given[list(areas)] = True
    high = [_names(cell.get("rated_high"), "rated_high") for cell in extra]
    if any(names is not None for names in high):
        return np.array([kind in (names or ()) for names in high], bool) & ~given
    rating = scores[:, CRITERIA.index(kind)]
    known = rating[given & np.isfinite(rating)]
    if not len(known):
        return np.zeros(len(given), bool)
    able = np.array([said is None or {kind, "points"} <= set(said.split()) for said in asked], bool)
    return ~given & able & (rating > known.max())


def _groups(raw, column, found):
    """{category, sub_category, complexity: cells}: as the feedback says, else its vote, else the table of prompts."""
    prompts = {}
    if raw.prompts and "prompt_id" in raw.prompts:
        prompts = {row[0]: dict(zip(PROMPTS, row, strict=True)) for row in rows_of(raw.prompts, PROMPTS)}
    groups = {}
    for name in GROUPED:
        groups[name] = [
            own or (vote or {}).get(name) or prompts.get(prompt, {}).get(name)
            for own, vote, prompt in zip(column(name), found, column("prompt_id"), strict=True)
        ]
    return groups


def _side(image, model, vote):
    """0 for side a of its battle, 1 for side b, UNKNOWN where that can't be told."""
    if not vote:
        return UNKNOWN
    for a, b, own in ((vote["image_a"], vote["image_b"], image), (vote["model_a"], vote["model_b"], model)):
        if a != b and own in (a, b):
            return 0 if own == a else 1
    return UNKNOWN
