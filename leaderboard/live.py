"""Owns the LiveBoard: a Leaderboard that is fed with votes as they come in and is computed when it is asked for."""

import threading

from leaderboard import errors
from leaderboard.board import DEFAULT_METHOD
from leaderboard.columns import milliseconds
from leaderboard.sources import EXCLUSION_COLUMNS, OPTIONAL, REQUIRED, Raw, open_source
from leaderboard.study import Study
from leaderboard.votes import check, columns_of, votes_from_rows


class LiveBoard:
    """Votes in memory and the Leaderboard of them; safe to use from several threads.

    `add` and `exclude` cost microseconds a row; the board is computed again at the first `board()` after a
    change, by the same way as any other source, so that page and command line can't differ.
    """

    def __init__(
        self, votes=(), exclusions=(), *, source="ledger", by="category", method=DEFAULT_METHOD, seed=0, models=None
    ):
        """`votes` and `exclusions` are mappings with the columns of those tables; the rest as for board.build."""
        self._source = source
        self._options = {"by": by, "method": method, "seed": seed, "models": models}
        self._votes = {name: [] for name in REQUIRED + OPTIONAL}
        self._exclusions = {name: [] for name in EXCLUSION_COLUMNS}
        self._known = {}
        self._lock, self._building = threading.Lock(), threading.Lock()
        self._version, self._built, self._study = 0, -1, None
        self.add(votes)
        self.exclude(exclusions)

    @classmethod
    def read(cls, source, **options):
        """A LiveBoard that starts with what a source holds (see leaderboard.sources). Raises as read_votes does."""
        raw = open_source(source)
        return cls(_rows(raw.votes), _rows(raw.exclusions), source=raw.name, **options)

    @property
    def version(self):
        """A number that grows with every change; equal versions have equal boards."""
        return self._version

    def add(self, rows):
        """Take in new votes, all or none. Raises errors.BadVotes as read_votes does."""
        rows = list(rows)
        if not rows:
            return
        votes_from_rows(rows, source=self._source)
        columns = columns_of(rows, REQUIRED + OPTIONAL)
        if "created_at" in columns:
            times = milliseconds(columns["created_at"]).tolist()
            columns["created_at"] = [
                moment if cell not in (None, "") else None
                for cell, moment in zip(columns["created_at"], times, strict=True)
            ]
        votes = zip(columns["model_a"], columns["model_b"], columns["winner"], strict=True)
        fresh = dict(zip(columns.get("vote_id", ()), votes, strict=False))
        with self._lock:
            for vote_id, vote in fresh.items():
                if vote_id and self._known.get(vote_id, vote) != vote:
                    raise errors.ConflictingVotes(f"{self._source}: vote_id {vote_id!r} stands for another vote")
            self._known |= fresh
            for name, cells in self._votes.items():
                cells.extend(columns.get(name) or [None] * len(rows))
            self._version += 1

    def exclude(self, rows):
        """Take in new rows of moderation (vote_id, reason, created_at); reason `restored` lifts an earlier one."""
        rows = list(rows)
        if not rows:
            return
        with self._lock:
            for name, cells in self._exclusions.items():
                cells.extend(row.get(name) for row in rows)
            self._version += 1

    def study(self):
        """The Study of everything taken in so far; the same one until something changed."""
        with self._building:
            with self._lock:
                version = self._version
                if version == self._built:
                    return self._study
                raw = Raw(
                    self._source,
                    {name: list(cells) for name, cells in self._votes.items()},
                    {name: list(cells) for name, cells in self._exclusions.items()},
                )
            study = Study(check(raw), **self._options)
            self._study, self._built = study, version
            return study

    def board(self):
        """The Leaderboard of everything taken in so far; computed only where something changed."""
        return self.study().board


def _rows(columns):
    """Raw columns -> one dict a row."""
    if not columns:
        return []
    cells = [column if isinstance(column, list) else column.to_pylist() for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
