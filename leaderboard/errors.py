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
├── BadFeedback              feedback was read, but its rows can't be trusted
├── BadModels                a file of models that does not say what it should
├── ExportError              an export can't be written
│   ├── NothingToExport      no row of the source fits the format
│   └── Unwritable           the folder holds something already, or can't be written
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


class BadFeedback(LeaderboardError):
    """Feedback was read, but its rows can't be trusted."""


class BadModels(LeaderboardError):
    """A file of models does not say what it should."""


class ExportError(LeaderboardError):
    """An export can't be written."""


class NothingToExport(ExportError):
    """No row of the source fits the format."""


class Unwritable(ExportError):
    """The folder holds something already, or can't be written."""


class UnknownChoice(LeaderboardError):
    """A method, grouping or view that is in no table."""


class NotConverged(LeaderboardError):
    """A fit did not reach its tolerance."""
