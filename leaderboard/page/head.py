"""Owns the top of the pages: what was counted, what a reader must not overlook, and what is known of each model."""

import hashlib

from leaderboard.columns import plural
from leaderboard.figures import FIGURES
from leaderboard.notes import ALARMS
from leaderboard.page.blocks import named
from leaderboard.page.tabs import listed
from leaderboard.page.why import BLOCKS
from leaderboard.sheets import SHEETS

REASONS = {
    "duplicate": "published twice",
    "self_battle": "a model against itself",
    "gold": "tasks with a known answer",
}
METHOD_WORDS = {
    "bradley-terry": "Bradley-Terry ratings in Elo points",
    "elo": "Online Elo ratings",
}
FACTS = ("organisation", "licence", "family", "parameters_b", "memory_gb", "demo")


def stamp(study):
    """Tells two states of a source apart: equal stamps show the same pages."""
    board = study.board
    known = f"{board.source} {board.method} {board.by} {study.seed} {sorted(study.models)} {study.edition}"
    return hashlib.blake2b(known.encode(), digest_size=9).hexdigest()


def reason_in_words(reason):
    """'excluded:withdrawn' -> 'excluded (withdrawn)', for a person."""
    kind, _, detail = reason.partition(":")
    return REASONS.get(reason) or (f"{kind} ({detail.replace('_', ' ')})" if detail else kind.replace("_", " "))


def head(study):
    """The top of the pages as plain JSON."""
    board, source = study.board, study.board.source
    return {
        "stamp": stamp(study),
        "facts": [
            ["votes counted", f"{source.counted:,}", "Votes behind every number here."],
            ["models", f"{source.models:,}", "Models with a vote that counts."],
            ["voters", f"{source.voters:,}", "Different voters, as far as the source tells them apart."],
        ],
        "about": _about(source),
        "last": _last(source),
        "method": METHOD_WORDS.get(board.method, board.method),
        "by": board.by.replace("_", "-"),
        "alarms": [named(study, note) for note in board.notes if note.startswith(ALARMS)],
        "warnings": [
            measure.name + (f" ({measure.value})" if "(" not in measure.value else "")
            for measure in study.quality
            if measure.warning
        ],
        "notes": [named(study, note) for note in board.notes if not note.startswith(ALARMS)],
        "models": models(study),
        "tabs": [
            {
                "key": tab.key,
                "title": tab.title,
                "closed": tab.closed,
                "parts": [{"key": f"{tab.key}/{part.key}", "title": part.title, "about": part.about, "open": part.open}
                          for part in tab.parts],
            }
            for tab in listed(SHEETS, FIGURES, BLOCKS)
        ],
    }  # fmt: skip


def _about(source):
    found = []
    if source.left_out:
        reasons = ", ".join(f"{count:,} {reason_in_words(reason)}" for reason, count in source.left_out.items())
        found.append(f"Left out {plural(sum(source.left_out.values()), 'vote', 'votes')}: {reasons}.")
    if source.last:
        found.append(_last(source))
    if source.revision:
        found.append(f"Data set revision {source.revision[:12]}.")
    return " ".join(found)


def _last(source):
    return f"Last vote {source.last[:10]} {source.last[11:16]} UTC." if source.last else ""


def models(study):
    """{id: {"name", "preliminary", and what is known of FACTS}} in the order of the standings."""
    found = {}
    for row in study.board.standings:
        known = study.models.get(row.model, {})
        found[row.model] = {"name": study.name(row.model), "preliminary": bool(row.preliminary)} | {
            key: known[key] for key in FACTS if known.get(key) not in (None, "", False)
        }
    return found
