"""Owns the error tree. Everything that this package raises on purpose is a LeaderboardError.

LeaderboardError
├── SourceError              the source can't be read at all
│   ├── SourceNotFound       no such file, folder or data set
│   ├── UnknownFileType      a file whose ending names no reader
│   ├── Unreadable           it is there, but is not what its name says
│   ├── AmbiguousFormat      its columns are those of several formats, or its files are several data sets
│   ├── TooLarge             more of it would have to be downloaded than is decent
│   └── HubError             the Hub refused or could not be reached
├── BadVotes                 the source was read, but its rows can't be trusted
│   ├── MissingColumn        a required column is absent
│   ├── MissingValue         a required column has empty cells
│   ├── UnknownOutcome       `winner` holds a value that names no outcome
│   ├── BadTime              `created_at` holds a value that names no moment
│   ├── BadNumber            a column of numbers holds something else
│   └── ConflictingVotes     one vote_id stands for two different votes
├── BadModels                a file of models that does not say what it should
├── UnknownChoice            a method, grouping or view that is in no table
└── NotConverged             a fit did not reach its tolerance (never expected on checked votes)

Each message is one line for a person: which column, which value, how many rows.
"""


class LeaderboardError(Exception):
    """Root of the tree; the command line prints its message and exits 2."""


class SourceError(LeaderboardError):
    """The source can't be read at all."""


class SourceNotFound(SourceError):
    """No such file, folder or data set."""


class UnknownFileType(SourceError):
    """A file whose ending names no reader."""


class Unreadable(SourceError):
    """The file is there, but is not what its name says."""


class AmbiguousFormat(SourceError):
    """Its columns are those of several formats, or its files are several data sets: the reader has to choose."""


class TooLarge(SourceError):
    """More of it would have to be downloaded than is decent without asking."""


class HubError(SourceError):
    """The Hub refused, or could not be reached."""


class BadVotes(LeaderboardError):
    """The source was read, but its rows can't be trusted."""


class MissingColumn(BadVotes):
    """A required column is absent."""


class MissingValue(BadVotes):
    """A required column has empty cells."""


class UnknownOutcome(BadVotes):
    """`winner` holds a value that names no outcome."""


class BadTime(BadVotes):
    """`created_at` holds a value that names no moment."""


class BadNumber(BadVotes):
    """A column of numbers holds something else."""


class ConflictingVotes(BadVotes):
    """One vote_id stands for two different votes."""


class BadModels(LeaderboardError):
    """A file of models does not say what it should."""


class UnknownChoice(LeaderboardError):
    """A method, grouping or view that is in no table."""


class NotConverged(LeaderboardError):
    """A fit did not reach its tolerance."""
