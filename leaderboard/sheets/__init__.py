"""Owns the table of sheets, SHEETS: name -> a function of a Study that returns a Sheet, one module a subject.

To add a table to the command line and the page, write the function and its row.
"""

from leaderboard.sheets.controls import controlled, controls
from leaderboard.sheets.history import history
from leaderboard.sheets.honesty import complexity, fragility, quality
from leaderboard.sheets.intervals import components, intervals
from leaderboard.sheets.methods import methods, position
from leaderboard.sheets.overview import categories, pairs, standings
from leaderboard.sheets.rich import images, scores, weaknesses, weighted, words
from leaderboard.sheets.rich_paired import criteria, explained, raters
from leaderboard.sheets.sampling import sampling
from leaderboard.sheets.speed import speed
from leaderboard.sheets.verdicts import verdicts
from leaderboard.sheets.voters import agreement, overlap, trusted, voters

SHEETS = {
    "standings": standings,
    "categories": categories,
    "verdicts": verdicts,
    "pairs": pairs,
    "agreement": agreement,
    "overlap": overlap,
    "voters": voters,
    "trusted": trusted,
    "sampling": sampling,
    "history": history,
    "controlled": controlled,
    "controls": controls,
    "speed": speed,
    "fragility": fragility,
    "intervals": intervals,
    "components": components,
    "complexity": complexity,
    "quality": quality,
    "methods": methods,
    "position": position,
    "scores": scores,
    "weaknesses": weaknesses,
    "words": words,
    "criteria": criteria,
    "explained": explained,
    "raters": raters,
    "weighted": weighted,
    "images": images,
}
