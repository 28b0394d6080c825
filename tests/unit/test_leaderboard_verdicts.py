"""Verdicts by category, in the form of Open Image Preferences' finding, on simulated votes; and how often they err.

Open Image Preferences compared two models in 12 categories, two or three voters an image pair, and found a tie in
Photographic and Animation, FLUX.1-dev better in 3D Model, Anime and Manga, SD3.5-large better in the other seven. The
votes here are simulated from that outcome: they show that the test finds what is there, not that the finding is right.
"""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.board import build
from leaderboard.sandwich import two_sided
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import row

FLUX, SD = "FLUX.1-dev", "SD3.5-large"
TIES, FLUX_BETTER = ("Photographic", "Animation"), ("3D Model", "Anime", "Manga")
SD_BETTER = ("Cinematic", "Digital art", "Pixel art", "Fantasy art", "Neonpunk", "Painting", "Illustration")
CATEGORIES = (*TIES, *FLUX_BETTER, *SD_BETTER)
LEAD = dict.fromkeys(TIES, 0.0) | dict.fromkeys(FLUX_BETTER, 0.8) | dict.fromkeys(SD_BETTER, -0.8)


def responses(rng, lead, pairs, voters=250, luck=1.0):
    """Two or three votes on each of `pairs` image pairs a category, each pair with a luck of its own; `lead` is
    FLUX's, in log odds. A fifth of the votes are draws."""
    rows = []
    for category, ahead in lead.items():
        for pair in range(pairs):
            odds = ahead + rng.normal(0.0, luck)
            first, second = (FLUX, SD) if rng.random() < 0.5 else (SD, FLUX)
            for voter in rng.choice(voters, rng.integers(2, 4), replace=False).tolist():
                flux_wins = rng.random() < 1.0 / (1.0 + np.exp(-odds))
                winner = "model_a" if flux_wins == (first == FLUX) else "model_b"
                draw = rng.random() < 0.2
                winner = ("both_good" if rng.random() < 0.7 else "both_bad") if draw else winner
                rows.append(row(first, second, winner, category=category, prompt_id=f"{category} {pair}",
                                voter=f"u{voter}"))  # fmt: skip
    return votes_from_rows(rows)


@pytest.mark.parametrize("seed", range(3))
def test_the_form_of_open_image_preferences_finding_comes_back(seed):
    board = build(responses(np.random.default_rng(seed), LEAD, pairs=250))
    verdicts = {name: group.verdict for name, group in board.groups.items()}
    assert len(verdicts) == 12
    better = {name: verdict for name, verdict in verdicts.items() if name not in TIES}
    assert better == dict.fromkeys(FLUX_BETTER, f"{FLUX} better") | dict.fromkeys(SD_BETTER, f"{SD} better")
    assert sum(verdicts[name] == "tie" for name in TIES) >= 1


def test_where_no_category_differs_few_boards_say_better_anywhere():
    """Holm's correction holds the chance of any false verdict in a board at 5%: of 80 boards 9 or more would err in
    less than 3% of runs. Pairs have luck of their own, so votes on a pair agree more than chance."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(80):
        board = build(responses(rng, dict.fromkeys(CATEGORIES, 0.0), pairs=50))
        wrong += any(group.verdict.endswith("better") for group in board.groups.values())
    assert wrong <= 8


def test_taking_votes_on_a_pair_for_independent_errs_more_often():
    """The same boards without clusters: that is what the clusters are for."""
    rng = np.random.default_rng(0)
    wrong = {"auto": 0, "none": 0}
    for _ in range(40):
        votes = responses(rng, dict.fromkeys(CATEGORIES, 0.0), pairs=40, luck=5.0)
        for clusters in wrong:
            board = build(votes, clusters=clusters)
            wrong[clusters] += any(group.verdict.endswith("better") for group in board.groups.values())
    assert wrong["auto"] <= 5 < wrong["none"]


def test_too_few_votes_are_no_tie():
    rows = [row(FLUX, SD, "model_a", category="Anime") for _ in range(29)]
    rows += [row(FLUX, SD, "model_a", category="Manga") for _ in range(30)]
    groups = build(votes_from_rows(rows)).groups
    assert groups["Anime"].verdict == "too few votes" and groups["Manga"].verdict == f"{FLUX} better"


def test_p_values_are_students():
    for degrees in (3.0, 8.5, 60.0):
        for ratio in (0.0, 0.3, 1.0, 2.1, 4.0):
            assert two_sided(-ratio, degrees) == pytest.approx(2 * stats.t.sf(ratio, degrees), abs=0.002)
    assert two_sided(1.959964, math.inf) == pytest.approx(0.05, abs=1e-7)
