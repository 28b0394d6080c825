"""Simulated crowds for the tests of trust: honest, careless and adversarial voters on banked pairs of known strength."""

import numpy as np

from leaderboard.votes import OUTCOMES
from tests.leaderboard_rows import row

OPPOSITE = {"model_a": "model_b", "model_b": "model_a", "both_good": "both_bad", "both_bad": "both_good"}


def crowd(rng, adversarial=0.0, careless=0.0, other_taste=0.0, votes=6000, voters=150, models=6, prompts=60, gold=0,
          heavy=True):  # fmt: skip
    """Rows of `votes` votes by `voters` people, of whom shares are adversarial (they say the opposite of what they see),
    careless (they draw one of the four outcomes) or of another taste (honest, but they like other models), and the kind
    of each voter by name. Each prompt's images are luckier or unluckier than their model. Each voter answers `gold`
    tasks besides."""
    strength = np.linspace(-0.9, 0.9, models)
    luck = rng.normal(0, 0.7, (prompts, models))
    kind = np.full(voters, "honest", dtype="<U11")
    order = rng.permutation(voters)
    bad = round(adversarial * voters)
    kind[order[:bad]] = "adversarial"
    worse = bad + round(careless * voters)
    kind[order[bad:worse]] = "careless"
    kind[order[worse : worse + round(other_taste * voters)]] = "other taste"
    liked = {"other taste": np.random.default_rng(0).permutation(strength)}
    activity = rng.lognormal(0, 1 if heavy else 0, voters)
    who = rng.choice(voters, votes, p=activity / activity.sum())
    prompt = rng.integers(0, prompts, votes)
    a = rng.integers(0, models, votes)
    b = (a + rng.integers(1, models, votes)) % models
    rows = []
    for voter, p, i, j in zip(who.tolist(), prompt.tolist(), a.tolist(), b.tolist(), strict=True):
        taste = liked.get(kind[voter], strength)
        better = 1 / (1 + np.exp(-1.5 * (taste[i] + luck[p, i] - taste[j] - luck[p, j])))
        seen = rng.choice(OUTCOMES, p=[0.85 * better, 0.85 * (1 - better), 0.08, 0.07])
        rows.append(row(f"m{i}", f"m{j}", says(kind[voter], seen, rng), voter=f"u{voter}", prompt_id=f"p{p}",
                        image_a=f"{p}-{i}", image_b=f"{p}-{j}"))  # fmt: skip
    for voter in range(voters):
        for _ in range(gold):
            answer = OUTCOMES[rng.integers(2)]
            seen = answer if rng.random() < 0.9 else rng.choice(OUTCOMES)
            rows.append(row("m0", "m1", says(kind[voter], seen, rng), voter=f"u{voter}", gold=answer))
    return rows, {f"u{voter}": str(kind[voter]) for voter in range(voters)}


def says(kind, seen, rng):
    """What a voter of this kind answers who sees that."""
    if kind == "careless":
        return OUTCOMES[rng.integers(4)]
    return OPPOSITE[seen] if kind == "adversarial" else str(seen)
