"""Owns GenAI-Bench (TIGER-Lab/GenAI-Bench), votes of GenAI-Arena: left_model, right_model and a four-way vote.

The vote is `vote_type` in the data set and `human_vote` in the results that the project's repository holds, which
name no models: those can't be ranked, and are only read when genai-bench-sides is asked for.
"""

from leaderboard import errors
from leaderboard.formats.base import Converted, outcomes, renamed

NAME = "genai-bench"
ABOUT = "GenAI-Bench: left_model, right_model, vote_type (leftvote, rightvote, tievote, bothbad_vote)"
VOTES = ("vote_type", "human_vote")
NEEDS = frozenset({"left_model", "right_model"})
RENAMED = {"left_model": "model_a", "right_model": "model_b", "prompt": "prompt", "instruct_prompt": "prompt"}
COLUMNS = NEEDS | {"idx", *VOTES, *RENAMED}
OUTCOMES = {"leftvote": "model_a", "rightvote": "model_b", "tievote": "both_good", "bothbad_vote": "both_bad"}


def matches(names):
    """True where the vote is there under one of its names; without models, `convert` says what is missing."""
    names = set(names)
    return names >= {"vote_type", *NEEDS} or "human_vote" in names


def convert(columns):
    """One row a vote; the left image is side a."""
    if lacking := sorted(NEEDS - set(columns)):
        raise errors.MissingColumn(
            f"format {NAME}: {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing: this source says "
            "which side won but not whose images they were, so no model can be ranked; "
            "--source-format genai-bench-sides compares the two sides instead"
        )
    return Converted(renamed(columns, RENAMED) | {"winner": winner_of(columns)})


def winner_of(columns):
    """The vote, under either name, as our outcomes. Raises MissingColumn and UnknownOutcome."""
    name = next((name for name in VOTES if name in columns), None)
    if name is None:
        raise errors.MissingColumn(f"format {NAME}: {' or '.join(VOTES)} is missing")
    return outcomes(columns[name], name, OUTCOMES)
