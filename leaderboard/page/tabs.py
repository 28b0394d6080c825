"""Owns what the pages show and where: TABS, a table of tabs, each a list of parts, each the names of sheets and figures.

A name that is in no table (leaderboard.sheets.SHEETS, leaderboard.figures.FIGURES) is an error of ours that a test
finds. To show another sheet, write its name into a part.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One section of a tab, computed when it is opened: blocks of why.BLOCKS first, then figures, then sheets.
    `folded` sheets wait under "as a table": they are what a figure shows, in words and numbers. `open` says that a part
    of a closed tab waits for nobody."""

    key: str
    title: str
    about: str
    figures: tuple = ()
    sheets: tuple = ()
    folded: tuple = ()
    blocks: tuple = ()
    open: bool = False


@dataclass(frozen=True)
class Tab:
    """A tab; with `closed` its parts wait to be opened by the reader."""

    key: str
    title: str
    parts: tuple
    closed: bool = False


TABS = (
    Tab(
        "overview",
        "Overview",
        (
            Part(
                "standings",
                "Standings",
                "Under each number stands its 95% interval; the ranks hold for all models at once.",
                sheets=("standings",),
            ),
            Part("ratings", "", "", figures=("ratings",)),
        ),
    ),
    Tab(
        "categories",
        "Categories",
        (
            Part("verdicts", "Who is better at what", "", sheets=("verdicts",)),
            Part("matrix", "", "", figures=("categories",), folded=("categories",)),
        ),
    ),
    Tab(
        "head-to-head",
        "Head to head",
        (
            Part("shares", "", "", figures=("win-fractions",), folded=("pairs",)),
            Part("counts", "", "", figures=("pair-counts",)),
        ),
    ),
    Tab("over-time", "Over time", (Part("history", "", "", figures=("history",), folded=("history",)),)),
    Tab(
        "speed-and-memory",
        "Speed and memory",
        (
            Part("seconds", "", "", figures=("pareto-seconds",)),
            Part("memory", "", "", figures=("pareto-memory",), folded=("speed",)),
        ),
    ),
    Tab(
        "voters",
        "Voters and agreement",
        (
            Part("agreement", "", "", figures=("agreement",), folded=("agreement",)),
            Part("overlap", "", "", figures=("overlap",), folded=("overlap",)),
            Part("people", "Voters", "Those who signed in and agreed to be named.", sheets=("voters",)),
        ),
    ),
    Tab(
        "why",
        "Why",
        (
            Part(
                "cards",
                "What voters say of the models",
                "After a vote, voters may rate each image, mark the words that it misses and point at what is wrong.",
                blocks=("cards",),
                open=True,
            ),
            Part("models", "All scores", "", sheets=("scores",)),
            Part("explained", "Which criterion explains the votes", "", sheets=("explained",)),
            Part("criteria", "A board for each criterion", "", sheets=("criteria",)),
            Part("words", "Words that images miss", "", sheets=("words",)),
            Part("groups", "Strong and weak groups", "", sheets=("weaknesses",)),
            Part("images", "Worst and best images", "", sheets=("images",)),
            Part("raters", "How far raters agree", "", sheets=("raters", "weighted")),
        ),
        closed=True,
    ),
    Tab(
        "quality",
        "Data quality",
        (
            Part("measures", "What could mislead", "", sheets=("quality",)),
            Part("position", "Does the side matter?", "", sheets=("position",)),
            Part("fragility", "How few votes would change it?", "", sheets=("fragility",)),
            Part("complexity", "Simple against detailed prompts", "", sheets=("complexity",)),
            Part("controls", "Other things held equal", "", sheets=("controls", "controlled")),
            Part("methods", "Other rating methods", "", sheets=("methods",)),
            Part("trusted", "With and without doubtful voters", "", sheets=("trusted",)),
            Part("sampling", "Who met whom", "", sheets=("sampling",)),
            Part("intervals", "Other ways to the intervals", "", sheets=("intervals",)),
            Part("components", "Who can be compared at all", "", sheets=("components",)),
        ),
        closed=True,
    ),
)


def listed(sheets, figures, blocks=()):
    """TABS without what these tables do not have; a part or tab with nothing left is not listed."""
    found = []
    for tab in TABS:
        parts = []
        for part in tab.parts:
            kept = Part(
                part.key,
                part.title,
                part.about,
                tuple(name for name in part.figures if name in figures and figures[name].sheet in sheets),
                tuple(name for name in part.sheets if name in sheets),
                tuple(name for name in part.folded if name in sheets),
                tuple(name for name in part.blocks if name in blocks),
                part.open,
            )
            if kept.figures or kept.sheets or kept.folded or kept.blocks:
                parts.append(kept)
        if parts:
            found.append(Tab(tab.key, tab.title, tuple(parts), tab.closed))
    return tuple(found)
