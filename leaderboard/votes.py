"""Owns the checked table of votes: `read_votes` (any source) and `votes_from_rows` (rows in memory).

Nothing is dropped in silence. What can't be trusted is refused with a typed error; what is sound but does
not count (another mode, excluded, a model against itself, published twice) is counted by reason in
`left_out`, so that always `total == len(votes) + sum(left_out.values())`.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from leaderboard import errors
from leaderboard.columns import EMPTY, NO_TIME, Coded, encode, floats, milliseconds, nothing, plural, recoded, some
from leaderboard.formats.arena import COVARIATES, MEASURED
from leaderboard.later import Later
from leaderboard.sources import OPTIONAL, REQUIRED, TEXT, Raw, columns_of, open_source, raw_of, saying

OUTCOMES = ("model_a", "model_b", "both_good", "both_bad")
A_WINS, B_WINS, BOTH_GOOD, BOTH_BAD = range(4)
ALIASES = {"tie": "both_good", "tie (bothbad)": "both_bad"}
GROUPINGS = ("category", "sub_category", "complexity")
MAIN_MODE = "anonymous"
ANY = "any"  # in `gold`: the task is about feedback, and no outcome of the vote is the right one
TRUTH = {"true": "true", "1": "true", "1.0": "true"}
NOT_NAMES = {"nan", "none", "null", "<na>"}


@dataclass(frozen=True)
class Votes:
    """Votes that count, oldest first (ties of time by vote_id; rows without a time stay behind their neighbour).

    With n votes and K models: `model_a`, `model_b` int32 [n] index `models` (K names, alphabetical);
    `winner` int8 [n] indexes OUTCOMES; `created_at` int64 [n], milliseconds UTC or NO_TIME; the rest Coded [n].
    `pair_id` names the pair of images where the source has no image ids; `voter_name` is there for voters who
    agreed to be named; `signed_in` is "true" or "false". A vote whose `gold` names an outcome is a task with a
    known answer: it never counts; `gold_tasks` are its (voter, task, right).
    `weight` float64 [n] is what each vote counts in a rating, None where all count 1; `reweighted`: by sampling.py, too.
    `total` counts the rows of the source and `left_out` says by reason why some do not count; `notes` are sentences
    that a reader of these votes must know because of the source's format. `covariates` {name: float64 [n]} holds what
    the source itself measured on the images, side a's less side b's, NaN where it did not. `pair_probability()` is
    float64 [n], NaN for a vote that has none; it may raise errors.BadNumber. None where the source knows of none.
    """

    models: tuple
    model_a: np.ndarray = Later()
    model_b: np.ndarray = Later()
    winner: np.ndarray = Later()
    created_at: np.ndarray = Later()
    category: Coded
    sub_category: Coded
    complexity: Coded
    prompt_id: Coded
    voter: Coded
    mode: Coded
    vote_id: Coded
    prompt: Coded
    image_a: Coded
    image_b: Coded
    pair_id: Coded
    signed_in: Coded
    voter_name: Coded
    gold: Coded
    source: str = ""
    revision: str | None = None
    total: int = 0
    left_out: dict = field(default_factory=dict)
    idle_exclusions: int = 0
    gold_tasks: tuple = ()
    weight: np.ndarray | None = Later(None)
    notes: tuple = ()
    covariates: dict = field(default_factory=dict)
    pair_probability: Callable | None = None
    reweighted: bool = False

    def __len__(self):
        return len(self.winner)

    def where(self, rows):
        """Only these rows (a mask, row numbers or a function that gives them), with the same vocabularies and the same
        account of the source. A column is cut when it is first read."""
        cut = cache(rows if callable(rows) else lambda: rows)

        def column(name):
            return lambda: getattr(self, name)[cut()]

        return replace(
            self,
            **{name: column(name) for name in ("model_a", "model_b", "winner", "created_at")},
            **{name: getattr(self, name).take(cut) for name in TEXT},
            weight=None if self.weight is None else column("weight"),
            covariates={name: values[cut()] for name, values in self.covariates.items()},
            pair_probability=self.pair_probability and (lambda: self.pair_probability()[cut()]),
        )

    def split(self, codes, groups):
        """One Votes a group, in the same order of rows: `codes` [n] says in which of `groups` each vote is."""

        @cache
        def sorted_rows():
            small = codes.astype(np.min_scalar_type(max(groups, 1)))  # a radix sort, up to 16 bits
            return np.argsort(small, kind="stable"), np.cumsum(np.bincount(codes, minlength=groups))

        def rows(group):
            order, ends = sorted_rows()
            return order[ends[group - 1] if group else 0 : ends[group]]

        return [self.where(lambda group=group: rows(group)) for group in range(groups)]


def read_votes(source, mode=MAIN_MODE, source_format=None):
    """Read any source (see leaderboard.sources) into checked Votes of one mode.

    `source_format` names a row of leaderboard.formats.FORMATS; without it the columns decide. Raises
    errors.SourceError where it can't be read and errors.BadVotes where its rows can't be trusted.
    """
    return check(open_source(source, source_format), mode)


def votes_from_rows(rows, exclusions=(), mode=MAIN_MODE, source="memory"):
    """Checked Votes from mappings with the columns of the `votes` table (and of `exclusions`)."""
    return check(
        Raw(
            source,
            columns_of(rows, REQUIRED + OPTIONAL + MEASURED),
            columns_of(exclusions, ("vote_id", "reason", "created_at")),
        ),
        mode,
    )


def from_arrow(table, exclusions=None, mode=MAIN_MODE, source="memory"):
    """Checked Votes from a pyarrow Table with the columns of any format (and one of `exclusions`)."""
    moderation = None if exclusions is None else {name: exclusions[name] for name in exclusions.column_names}
    with saying(source):
        raw = raw_of(source, {name: table[name] for name in table.column_names}, moderation)
    return check(raw, mode)


def check(raw, mode=MAIN_MODE):
    """A Raw source -> Votes. Raises errors.BadVotes, its message led by the source's name."""
    with saying(raw.name):
        return _check(raw, mode)


def _check(raw, mode):
    columns = raw.votes
    for name in REQUIRED:
        if name not in columns:
            found = ", ".join(sorted(columns)) or "none"
            raise errors.MissingColumn(f"column {name} is missing (of the columns read, it has: {found})")
    side_a, side_b = _names(columns["model_a"], "model_a"), _names(columns["model_b"], "model_b")
    winner = _outcomes(columns["winner"]).astype(np.int8)
    rows = len(winner)
    text = {name: encode(columns[name]) if name in columns else nothing(rows) for name in TEXT}
    if "extra" in columns:
        text |= _from_extra(encode(columns["extra"]), text)
    signed_in = text["signed_in"]
    text["signed_in"] = signed_in.later(lambda: signed_in.renamed(lambda name: TRUTH.get(name.lower(), "false")))
    created_at = milliseconds(columns["created_at"]) if "created_at" in columns else np.broadcast_to(NO_TIME, rows)
    models = sorted(set(side_a.names) | set(side_b.names))
    side_a, side_b = side_a.recode(models), side_b.recode(models)
    model_a, model_b = side_a.codes, side_b.codes

    reason, reasons = np.zeros(rows, np.int32), [None]

    def leave_out(mask, why):
        if mask.any():
            reasons.append(why)
            reason[mask & (reason == 0)] = len(reasons) - 1

    leave_out(_repeated(text["vote_id"], model_a, model_b, winner), "duplicate")
    idle = _apply_exclusions(standing_exclusions(raw.exclusions), text["vote_id"], leave_out)
    kinds = text["mode"]
    if (kinds.codes >= 0).any():  # a source that records no mode at all has but one
        for code in [*kinds.present(), *([EMPTY] if (kinds.codes == EMPTY).any() else [])]:
            kind = kinds.names[code] if code >= 0 else "unknown"
            if kind != mode:
                leave_out(kinds.codes == code, f"mode:{kind}")
    gold = text["gold"].codes >= 0
    gold_tasks = _gold_tasks(text, winner, np.flatnonzero(gold & (reason == 0))) if gold.any() else ()
    leave_out(gold, "gold")
    leave_out(model_a == model_b, "self_battle")
    left_out, kept = Counter(raw.left_out), None
    if len(reasons) > 1:
        for why, count in zip(reasons[1:], np.bincount(reason, minlength=len(reasons))[1:], strict=True):
            left_out[why] += int(count)
        kept = np.flatnonzero(reason == 0)
    order = _order(created_at, text["vote_id"], kept)
    covariates = _covariates(columns)
    if order is not None:
        model_a, model_b, winner, created_at = (column[order] for column in (model_a, model_b, winner, created_at))
        text = {name: column.take(order) for name, column in text.items()}
        covariates = {name: values[order] for name, values in covariates.items()}
    side_a, side_b = Coded(model_a, models), Coded(model_b, models)
    present = [models[code] for code in np.union1d(side_a.present(), side_b.present())]
    text |= {name: text[name].later(text[name].compact) for name in GROUPINGS}
    return Votes(
        tuple(present),
        side_a.recode(present).codes,
        side_b.recode(present).codes,
        winner,
        created_at,
        **text,
        source=raw.name,
        revision=raw.revision,
        total=rows + sum(raw.left_out.values()),
        left_out={why: left_out[why] for why in sorted(left_out) if left_out[why]},
        idle_exclusions=idle,
        gold_tasks=gold_tasks,
        notes=tuple(raw.notes),
        covariates=covariates,
        pair_probability=raw.probability(rows, order),
    )


def _covariates(columns):
    """{covariate: side a's less side b's}, of those that the source has for both sides."""
    found = {}
    for name in COVARIATES:
        sides = [f"{name}_{side}" for side in "ab"]
        if all(side in columns for side in sides):
            found[name] = floats(columns[sides[0]], sides[0]) - floats(columns[sides[1]], sides[1])
    return found


def _from_extra(extra, text):
    """What later versions put into the JSON column `extra`: `voter_name` and `gold`, where no column holds them."""
    found = {}
    for code, cell in enumerate(extra.names):
        if cell != "{}":
            try:
                value = json.loads(cell)
            except json.JSONDecodeError:
                value = None
            if not isinstance(value, dict):
                rows = plural(int(np.sum(extra.codes == code)), "row holds", "rows hold")
                raise errors.BadVotes(f"column extra: {rows} {cell[:40]!r}, which is not a JSON object")
            for name in ("voter_name", "gold"):
                if value.get(name) and (text[name].codes < 0).all():
                    found.setdefault(name, {})[cell] = str(value[name])
    return {name: extra.renamed(cells.get) for name, cells in found.items()}


def _gold_tasks(text, winner, rows):
    """(voter, task, right) of each of these rows that has a voter; a task is a pair of images, whichever side each was
    on, or what else names it. Raises UnknownOutcome for an answer that names none."""
    rows = rows[np.array([name != ANY for name in text["gold"].names] + [True])[text["gold"].codes[rows]]]
    right = (_outcomes(text["gold"].take(rows), "gold") == winner[rows]).tolist()
    names = ("voter", "pair_id", "image_a", "image_b", "prompt_id")
    voter, pair, *rest = (text[name].take(rows).to_pylist() for name in names)
    found = []
    for who, known, a, b, prompt, good in zip(voter, pair, *rest, right, strict=True):
        if who:
            found.append(
                (who, known or ("/".join(sorted((a, b))) if a and b else prompt) or f"task {len(found)}", good)
            )
    return tuple(found)


def _names(column, title):
    coded = encode(column)
    bad = Counter({"": int(np.sum(coded.codes == EMPTY))})
    for code, name in enumerate(coded.names):
        if not name.strip() or name.strip().lower() in NOT_NAMES:
            bad[name] = int(np.sum(coded.codes == code))
    if bad := +bad:
        raise errors.MissingValue(
            f"column {title}: {plural(bad.total(), 'row has', 'rows have')} no model name: {some(bad)}"
        )
    return coded


def _outcomes(column, title="winner"):
    coded = column if isinstance(column, Coded) else encode(column)
    if empty := int(np.sum(coded.codes == EMPTY)):
        raise errors.MissingValue(f"column {title}: {plural(empty, 'row is', 'rows are')} empty")
    known = [ALIASES.get(name, name) for name in coded.names]
    bad = Counter(
        {coded.names[code]: int(np.sum(coded.codes == code)) for code, name in enumerate(known) if name not in OUTCOMES}
    )
    if bad := +bad:
        raise errors.UnknownOutcome(
            f"column {title}: {plural(bad.total(), 'row holds', 'rows hold')} a value that names no outcome: "
            f"{some(bad)}; known are {', '.join(OUTCOMES + tuple(ALIASES))}"
        )
    return recoded(coded.codes, np.array([OUTCOMES.index(name) if name in OUTCOMES else 0 for name in known], np.int8))


def _repeated(vote_id, model_a, model_b, winner):
    """Mask of rows whose vote_id stood in an earlier row. Raises ConflictingVotes where the two differ."""
    known = np.flatnonzero(vote_id.codes >= 0)
    codes = vote_id.codes[known]
    if not len(known) or np.bincount(codes).max() < 2:
        return np.zeros(len(vote_id), bool)
    first = np.empty(len(vote_id.names), np.int64)
    first[codes[::-1]] = known[::-1]  # of several rows the last one written stands, which is the earliest
    earlier = np.arange(len(vote_id))
    earlier[known] = first[codes]
    repeated = earlier != np.arange(len(vote_id))
    conflict = repeated & ((model_a != model_a[earlier]) | (model_b != model_b[earlier]) | (winner != winner[earlier]))
    if conflict.any():
        bad = Counter(vote_id.names[code] for code in vote_id.codes[conflict])
        raise errors.ConflictingVotes(
            f"column vote_id: {plural(bad.total(), 'row repeats', 'rows repeat')} an "
            f"earlier vote_id with another model or winner: {some(bad)}"
        )
    return repeated


def standing_exclusions(columns):
    """The columns of `exclusions` -> {vote_id: reason}, the latest row of each vote deciding; `restored` lifts."""
    if not columns or "vote_id" not in columns:
        return {}
    vote_id = encode(columns["vote_id"])
    if empty := int(np.sum(vote_id.codes == EMPTY)):
        raise errors.MissingValue(f"exclusions, column vote_id: {plural(empty, 'row is', 'rows are')} empty")
    reason = encode(columns["reason"]) if "reason" in columns else nothing(len(vote_id))
    when = milliseconds(columns["created_at"]) if "created_at" in columns else np.zeros(len(vote_id), np.int64)
    standing = {}
    for row in np.argsort(when, kind="stable"):
        code = reason.codes[row]
        standing[vote_id.names[vote_id.codes[row]]] = reason.names[code] if code >= 0 else "unspecified"
    return {vote: why for vote, why in standing.items() if why != "restored"}


def _apply_exclusions(standing, vote_id, leave_out):
    """Leave out what stands excluded; how many exclusions name a vote that is not in the source."""
    if not standing:
        return 0
    reasons = sorted(set(standing.values()))
    place = vote_id.places(list(standing))  # of each vote_id among the exclusions
    why = np.array([reasons.index(reason) for reason in standing.values()], np.int32)
    why = recoded(recoded(vote_id.codes, place), why)
    for code, reason in enumerate(reasons):
        leave_out(why == code, f"excluded:{reason}")
    return len(standing) - int(np.sum(place >= 0))


def _order(created_at, vote_id, kept):
    """The rows that count (`kept`, None for all) by time; equal times by vote_id, so that every source of the same
    votes gives the same order. None where that is every row as it stands."""
    when = created_at if kept is None else created_at[kept]
    timed = when != NO_TIME
    if not timed.any() and not len(vote_id.names):
        return kept
    if not timed.all():
        when = when[np.maximum.accumulate(np.where(timed, np.arange(len(when)), 0))]
    rows = np.arange(len(when)) if (when[1:] < when[:-1]).any() else None
    if rows is not None:
        rows = np.argsort(when, kind="stable")
        when = when[rows]
    tie = np.flatnonzero(when[1:] == when[:-1]) if len(vote_id.names) else ()
    if len(tie):
        tied = np.union1d(tie, tie + 1)  # places whose rows are to be put into the order of their ids
        rows = np.arange(len(when)) if rows is None else rows
        codes = vote_id.codes[rows[tied] if kept is None else kept[rows[tied]]]
        rank = np.full(len(tied), -1)
        rank[codes >= 0] = vote_id.ranks(codes[codes >= 0])
        rows[tied] = rows[tied][np.lexsort((rank, when[tied]))]
    if kept is None or rows is None:
        return kept if rows is None else rows
    return kept[rows]
