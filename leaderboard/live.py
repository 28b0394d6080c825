"""Owns the LiveBoard: a Leaderboard that is fed with votes as they come in and is computed when it is asked for."""

import threading

import numpy as np

from leaderboard import errors
from leaderboard.board import DEFAULT_METHOD
from leaderboard.columns import NO_TIME, chances, encode, floats, milliseconds, recoded
from leaderboard.formats.arena import MEASURED, PROBABILITY
from leaderboard.growing import Numbers, Texts
from leaderboard.sampling import AS_SERVED
from leaderboard.sources import EXCLUSION_COLUMNS, OPTIONAL, REQUIRED, Raw, columns_of, open_source
from leaderboard.study import Study
from leaderboard.votes import ALIASES, check


class LiveBoard:
    """Votes in memory and the Leaderboard of them; safe to use from several threads.

    `add` checks the new rows only and appends them to columns of codes. The board is computed again at the first
    `board()` after a change, from those columns and by the same way as any other source, so that page and command line
    can't differ.
    """

    def __init__(
        self,
        votes=(),
        exclusions=(),
        *,
        source="ledger",
        by="category",
        method=DEFAULT_METHOD,
        seed=0,
        models=None,
        pictures=None,
        feedback=None,
        sampling=AS_SERVED,
    ):
        """`votes` and `exclusions` are mappings with the columns of those tables; the rest as for study.Study."""
        self._source = source
        self._options = {"by": by, "method": method, "seed": seed, "models": models, "pictures": pictures}
        self._options |= {"feedback": feedback, "sampling": sampling}
        self._votes = {name: Texts() for name in REQUIRED + OPTIONAL}
        self._votes |= {"created_at": Numbers(np.int64, NO_TIME)}
        self._votes |= {name: Numbers(np.float64, np.nan) for name in (*MEASURED, PROBABILITY)}
        self._given = set()  # the columns that came with any row
        self._first = Numbers(np.int64, -1)  # of each vote_id, the row in which it came first
        self._exclusions = {name: [] for name in EXCLUSION_COLUMNS}
        self._left_out, self._notes = {}, ()
        self._lock, self._building = threading.Lock(), threading.Lock()
        self._version, self._built, self._study, self._renewed = 0, -1, None, 0
        self.add(votes)
        self.exclude(exclusions)

    @classmethod
    def read(cls, source, **options):
        """A LiveBoard that starts with what a source holds (see leaderboard.sources). Raises as read_votes does."""
        raw = open_source(source)
        live = cls((), _rows(raw.exclusions), source=raw.name, **options)
        live._left_out, live._notes = raw.left_out, raw.notes
        live.take(raw.votes)
        return live

    @property
    def version(self):
        """A number that grows with every change; equal versions have equal boards."""
        return self._version

    def add(self, rows):
        """Take in new votes, all or none. Raises errors.BadVotes as read_votes does."""
        rows = list(rows)
        if rows:
            self.take(columns_of(rows, REQUIRED + OPTIONAL + MEASURED))

    def take(self, columns):
        """The same of raw columns by name, all of one length."""
        check(Raw(self._source, columns))
        columns = {name: _prepared(name, column) for name, column in columns.items() if name in self._votes}
        rows = len(columns["winner"])
        with self._lock:
            first = self._first_rows(columns)
            self._given |= set(columns)
            for name, column in self._votes.items():
                column.extend(rows, columns.get(name))
            self._first.extend(len(first), first)
            self._version += 1

    def _first_rows(self, columns):
        """The rows in which vote_ids come that are new, in the order of those. Raises errors.ConflictingVotes."""
        if "vote_id" not in columns:
            return np.empty(0, np.int64)
        ids, known = columns["vote_id"], self._votes["vote_id"].codes_of(columns["vote_id"].names)
        if (known >= 0).any():
            again = np.flatnonzero(recoded(ids.codes, known) >= 0)
            earlier = self._first.now()[known[ids.codes[again]]]
            differs = np.zeros(len(again), bool)
            for name in REQUIRED:
                mine, theirs = self._votes[name], columns[name]
                codes = mine.codes_of(theirs.names)[theirs.codes[again]]
                differs |= codes != mine.now().codes[earlier]
            if differs.any():
                vote_id = ids.names[ids.codes[again[differs][0]]]
                raise errors.ConflictingVotes(f"{self._source}: vote_id {vote_id!r} stands for another vote")
        named = np.flatnonzero(ids.codes >= 0)
        first = np.empty(len(ids.names), np.int64)
        first[ids.codes[named][::-1]] = named[::-1] + len(self._votes["winner"].now())  # the earliest is written last
        return first[known < 0]

    def exclude(self, rows):
        """Take in new rows of moderation (vote_id, reason, created_at); reason `restored` lifts an earlier one."""
        rows = list(rows)
        if not rows:
            return
        with self._lock:
            for name, cells in self._exclusions.items():
                cells.extend(row.get(name) for row in rows)
            self._version += 1

    def renew(self):
        """The next Study is a new one: what lies beside the votes, such as feedback, has changed."""
        with self._lock:
            self._version += 1
            self._renewed += 1

    def study(self):
        """The Study of everything taken in so far; the same one until something changed."""
        with self._building:
            with self._lock:
                version = self._version
                if version == self._built:
                    return self._study
                columns = {name: self._votes[name].now() for name in (*REQUIRED, *self._given)}
                exclusions = {name: list(cells) for name, cells in self._exclusions.items()}
            raw = Raw(self._source, columns, exclusions, None, self._left_out, self._notes)
            study = Study(check(raw), edition=str(self._renewed), **self._options)
            self._study, self._built = study, version
            return study

    def board(self):
        """The Leaderboard of everything taken in so far; computed only where something changed."""
        return self.study().board


def _prepared(name, column):
    """A raw column as its growing column takes it: outcomes by one name each, moments and measures as numbers."""
    if name == "created_at":
        return milliseconds(column)
    if name in MEASURED:
        return floats(column, name)
    if name == PROBABILITY:
        return chances(column() if callable(column) else column, name)
    column = encode(column)
    if name == "vote_id" and len(column.present()) < len(column.names):
        return column.compact()
    return column.renamed(lambda outcome: ALIASES.get(outcome, outcome)) if name == "winner" else column


def _rows(columns):
    """Raw columns -> one dict a row."""
    if not columns:
        return []
    cells = [column if isinstance(column, list) else column.to_pylist() for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
