"""Owns the checked table of feedback: `read_feedback` (any source) and `check_feedback` (raw columns).

Nothing is dropped in silence. What can't be trusted is refused with errors.BadFeedback; what is sound but does not count
is counted by reason in `left_out`: feedback on a vote that does not count has that vote's reason (`excluded:withdrawn`,
`mode:named`, ...), and always `total == len(feedback) + sum(left_out.values())`.
"""

import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from leaderboard import errors
from leaderboard.columns import NO_TIME, Coded, encode, floats, milliseconds, plural, some
from leaderboard.feedback_formats import COLUMNS, CRITERIA, TEXT
from leaderboard.feedback_sources import BATTLES, GROUPED, PROMPTS, RawFeedback, open_feedback, rows_of
from leaderboard.formats.base import cells
from leaderboard.votes import ALIASES, MAIN_MODE, OUTCOMES, standing_exclusions

KINDS = ("coherence", "alignment")
UNKNOWN = -1


@dataclass(frozen=True)
class Given:
    """What n rows gave of one kind, m things in all: `asked` bool [n]; thing i belongs to row `row[i]` (int64 [m]) and
    is `value[i]`: the index of a word (int64 [m]), or a point's x and y (float64 [m, 2], 0 to 1 from the top left)."""

    asked: np.ndarray
    row: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Feedback:
    """n rows that count, oldest first: one voter's feedback on one image of one battle.

    `scores` float64 [n, 3] from 1 to 5 by CRITERIA, 5 the best, NaN where not given; `words` and `points[kind]` are
    Given; `painted[kind]` {row: bool [h, w]}, areas painted in place of points; `revealed` bool [n]: the models' names
    were shown before; `private` bool [n]: the image is nobody else's to see, and its id may stand for nothing. `side` int8 [n] is 0 for side a of the battle, 1 for side b, and `winner` int8 [n] the index of
    its vote's outcome in OUTCOMES; UNKNOWN (-1) where no vote says it. All else is Coded [n]; `created_at` int64 [n] in
    milliseconds. `total`, `left_out`, `revision` and `notes` are as for votes.
    """

    image: Coded
    model: Coded
    voter: Coded
    battle: Coded
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
    scores = np.column_stack([_scores(columns.get(name), name, rows) for name in CRITERIA])
    extra = _objects(columns.get("extra"), rows)
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
    words = _given(columns.get("misaligned_words"), "misaligned_words", kept, _word)
    _inside(words, column("prompt"))
    extra_of_all, extra = extra, [extra[at] for at in kept.tolist()]
    groups = _groups(raw, column, found)
    return Feedback(
        image=encode(column("image_id")),
        model=encode(column("model")).compact(),
        voter=encode(column("voter")),
        battle=encode(column("battle_id")),
        prompt_id=encode([key or text for key, text in zip(column("prompt_id"), column("prompt"), strict=True)]),
        prompt=encode(column("prompt")),
        **{name: encode(group).compact() for name, group in groups.items()},
        created_at=when[kept],
        scores=scores[kept],
        words=words,
        points={kind: _given(columns.get(f"{kind}_points"), f"{kind}_points", kept, _point, 2) for kind in KINDS},
        painted={kind: _painted(extra, f"{kind}_mask") for kind in KINDS},
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


def _scores(column, name, rows):
    """float64 [n]; refuses what is no whole number from 1 to 5."""
    if column is None:
        return np.full(rows, np.nan)
    found = floats(column, name)
    wrong = ~np.isnan(found) & ~np.isin(found, (1, 2, 3, 4, 5))
    if wrong.any():
        bad = Counter(f"{value:g}" for value in found[wrong].tolist())
        raise errors.BadFeedback(
            f"column {name}: {plural(bad.total(), 'row holds', 'rows hold')} a value that is no rating: {some(bad)}; "
            "ratings are whole numbers from 1 to 5"
        )
    return found


def _objects(column, rows):
    """The JSON objects of the column `extra`, {} where it is empty."""
    if column is None:
        return [{}] * rows
    found = []
    for cell in cells(column):
        try:
            value = json.loads(cell) if isinstance(cell, str) and cell else cell or {}
        except json.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise errors.BadFeedback(f"column extra: {str(cell)[:40]!r} is not a JSON object")
        found.append(value)
    return found


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
        elif more.get("gold"):
            reason = "gold"
        elif battles is not None and battle_id and vote is None:
            reason = "no_vote"
        elif vote and vote["voter"] and voter and vote["voter"] != voter:
            reason = "another_voter"
        else:
            reason = vote["left_out"] if vote else None
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


def _given(column, name, kept, read, width=0):
    """A column of lists (or of JSON text) -> Given of the rows `kept`; None and '' say that nobody was asked."""
    listed = [None] * len(kept)
    if column is not None:
        every = cells(column)
        listed = [every[at] for at in kept.tolist()]
    asked, row, values = np.zeros(len(kept), bool), [], []
    for at, cell in enumerate(listed):
        try:
            cell = json.loads(cell) if isinstance(cell, str) and cell else cell
            if cell is None or isinstance(cell, str):
                continue
            found = [read(value) for value in cell]
        except (ValueError, TypeError, KeyError):
            raise errors.BadFeedback(f"column {name}: can't read {str(listed[at])[:60]!r}") from None
        asked[at] = True
        row += [at] * len(found)
        values += found
    shape = (-1, width) if width else -1
    kind = np.float64 if width else np.int64
    return Given(asked, np.array(row, np.int64), np.array(values, kind).reshape(shape))


def _word(value):
    if isinstance(value, bool) or int(value) != value or value < 0:
        raise ValueError
    return int(value)


def _point(value):
    x, y = (value["x"], value["y"]) if isinstance(value, dict) else value
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError
    return float(x), float(y)


def _inside(words, prompts):
    """Refuse a word's index beyond the prompt's words; a prompt that was kept private is not known."""
    for row, index in zip(words.row.tolist(), words.value.tolist(), strict=True):
        if prompts[row] and index >= len(prompts[row].split()):
            raise errors.BadFeedback(
                f"column misaligned_words: word {index} of a prompt of {len(prompts[row].split())} words: "
                f"{prompts[row][:60]!r}"
            )


def _painted(extra, name):
    """{row: bool [h, w]} from run lengths over the rows of the grid, which begin with the count of zeros."""
    found = {}
    for row, cell in enumerate(extra):
        if cell.get(name) is None:
            continue
        try:
            (height, width), counts = cell[name]["size"], [int(count) for count in cell[name]["counts"]]
            painted = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
            if min(counts, default=0) < 0 or not 0 < height * width <= 1 << 20 or len(painted) != height * width:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise errors.BadFeedback(f"column extra: {name} is no run-length mask: {str(cell[name])[:60]!r}") from None
        found[row] = painted.reshape(height, width)
    return found


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
