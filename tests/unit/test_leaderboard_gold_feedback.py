"""What answers to known words and areas say of voters, on simulated honest, careless and adversarial ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from leaderboard.errors import BadFeedback
from leaderboard.feedback import feedback_from_rows
from leaderboard.gold import gold_weights
from leaderboard.rich import Rich
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import row as vote_row


def said(image, voter, **more):
    return {"image_id": image, "model": "m", "voter": voter, **more}


def crowd(rng, tasks: int, honest: int, careless: int, adversarial: int, hard: float = 0.0):
    """Answers (voter, task, right) to `tasks` known words and areas; a share `hard` of them half of the honest miss."""
    easy = np.where(rng.random(tasks) < hard, 0.5, 0.93)
    kinds = [("honest", k, easy) for k in range(honest)]
    kinds += [("careless", k, np.full(tasks, 0.1)) for k in range(careless)]
    kinds += [("adversarial", k, np.full(tasks, 0.02)) for k in range(adversarial)]
    return [(f"{kind}-{k}", f"t{task}", bool(rng.random() < chance[task]))
            for kind, k, chance in kinds for task in range(tasks)]  # fmt: skip


def mean_weight(answers, kind: str) -> float:
    voters = sorted({voter for voter, _, _ in answers})
    weights = dict(zip(voters, gold_weights((), voters, of_feedback=answers), strict=True))
    return float(np.mean([weight for voter, weight in weights.items() if voter.startswith(kind)]))


@pytest.mark.parametrize("hard", [0.0, 0.4])
def test_simulated_voters_of_feedback_are_told_apart(hard):
    answers = crowd(np.random.default_rng(11), tasks=10, honest=30, careless=6, adversarial=4, hard=hard)
    honest, careless, bad = (mean_weight(answers, kind) for kind in ("honest", "careless", "adversarial"))
    assert honest > 0.9 and careless < 0.5 and bad < 0.42 and bad <= careless
    more = crowd(np.random.default_rng(12), tasks=40, honest=30, careless=6, adversarial=4, hard=hard)
    assert mean_weight(more, "careless") < 0.25 and mean_weight(more, "adversarial") < careless


def test_trust_keeps_a_mean_near_what_the_honest_say():
    """Adversaries rate everything the other way round; the trust-weighted mean stays with the honest."""
    rng = np.random.default_rng(3)
    answers = crowd(rng, tasks=12, honest=12, careless=3, adversarial=5)
    rows = [said(f"i{task}", voter, battle_id=f"g{task}{voter}", extra=json.dumps({"gold": {"task": task, "right": right}}))
            for voter, task, right in answers]  # fmt: skip
    for voter in sorted({voter for voter, _, _ in answers}):
        style = 5 if voter.startswith("honest") else 1 if voter.startswith("adv") else int(rng.integers(1, 6))
        rows.append(said("picture", voter, style=style))
    found = Rich(feedback_from_rows(rows))
    assert len(found) == 20 and found.feedback.left_out == {"gold": len(answers)}
    assert len(found.feedback.gold_tasks) == len(answers)
    score = found.image("picture").scores["style"]
    assert score.mean < 4 and score.trusted > score.mean + 0.4


def test_answers_to_battles_and_of_feedback_add_up():
    battles, words = [("u", "t", False)] * 2, [("u", "t", False)] * 2
    both = gold_weights(battles, ["u"], of_feedback=words)[0]
    assert both < min(gold_weights(battles, ["u"])[0], gold_weights((), ["u"], of_feedback=words)[0])
    assert gold_weights((), ["u"], of_feedback=[("u", "t", True)])[0] == 1.0
    # m (p0 - g0) = 3 * 0.65 and, for one wrong answer, d = 1, r = 0, g = 0.05: (1.95 - 0.05) / (1.95 + 0.85)
    assert gold_weights((), ["u"], of_feedback=[("u", "t", False)])[0] == pytest.approx(1.9 / 2.8)


def test_gold_rows_that_say_nothing_are_left_out_and_strange_ones_refused():
    found = feedback_from_rows([said("i", "u", style=1, extra='{"gold":true}')])
    assert len(found) == 0 and found.gold_tasks == () and found.left_out == {"gold": 1}
    for gold in ({"task": "t"}, {"task": "t", "right": "yes"}, {"right": True}):
        with pytest.raises(BadFeedback, match="gold is no task"):
            feedback_from_rows([said("i", "u", style=1, extra=json.dumps({"gold": gold}))])


def test_a_vote_on_a_task_about_feedback_says_nothing_of_the_voter():
    votes = votes_from_rows([vote_row("m", "n", "model_a", voter="u", extra='{"gold":"any"}'),
                             vote_row("m", "n", "model_b", voter="u", extra='{"gold":"model_a"}')])  # fmt: skip
    assert len(votes) == 0 and votes.left_out == {"gold": 2}
    assert [right for _, _, right in votes.gold_tasks] == [False]
