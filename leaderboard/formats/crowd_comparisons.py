"""Owns side-by-side comparisons by crowd workers: `left` and `right` are names, `winner` says which side won.

The form of dustalov/llmfao (id, prompt, worker, winner, left, right) and of evalica's examples (left, right, winner).
"""

from leaderboard.formats.base import DRAWS_ARE_TIES, Converted, outcomes, renamed

NAME = "crowd-comparisons"
ABOUT = "crowd workers' comparisons (llmfao, evalica): left, right, winner (left, right, tie); worker, id, prompt"
NEEDS = frozenset({"left", "right", "winner"})
RENAMED = {"left": "model_a", "right": "model_b", "worker": "voter", "id": "pair_id", "prompt": "prompt",
           "category": "category", "created_at": "created_at"}  # fmt: skip
COLUMNS = NEEDS | set(RENAMED)
OUTCOMES = {"left": "model_a", "right": "model_b", "tie": "both_good"}


def matches(names):
    """True where the two sides and the winner are there."""
    return set(names) >= NEEDS


def convert(columns):
    """One row a comparison; the left one is side a, `id` names the pair that several workers judged."""
    winner = outcomes(columns["winner"], "winner", OUTCOMES)
    notes = (DRAWS_ARE_TIES,) if "both_good" in winner.names else ()
    return Converted(renamed(columns, RENAMED) | {"winner": winner}, notes=notes)
