"""Votes of our own making for the leaderboard's tests: single rows, and simulated voters with known strengths."""

import numpy as np

START = 1_790_000_000_000  # milliseconds since 1970


def row(model_a, model_b, winner, **more):
    """One vote, as the arena would append it."""
    return {"model_a": model_a, "model_b": model_b, "winner": winner, "mode": "anonymous"} | more


def battles(first, second, wins=0, losses=0, both_good=0, both_bad=0, **more):
    """Votes of one pair, side a always `first`."""
    outcomes = ["model_a"] * wins + ["model_b"] * losses + ["both_good"] * both_good + ["both_bad"] * both_bad
    return [row(first, second, outcome, **more) for outcome in outcomes]


def simulated(votes=1500, models=6, seed=1, categories=3, prompts=60, voters=40, draws=0.2):
    """Complete rows of simulated voters: model m<i> is stronger the larger i, everyone meets everyone."""
    rng = np.random.default_rng(seed)
    strength = np.linspace(-0.8, 0.8, models)
    rows = []
    for number in range(votes):
        a, b = rng.choice(models, 2, replace=False)
        if rng.random() < draws:
            winner = "both_good" if rng.random() < 0.5 else "both_bad"
        else:
            winner = "model_a" if rng.random() < 1 / (1 + np.exp(strength[b] - strength[a])) else "model_b"
        prompt = int(rng.integers(prompts))
        rows.append(row(f"m{a}", f"m{b}", winner, vote_id=f"v{number:06d}", created_at=START + 1000 * number,
                        prompt_id=f"p{prompt}", category=f"category {prompt % categories}",
                        sub_category=f"sub {prompt % 7}", complexity=("simplified", "complex")[prompt % 2],
                        voter=f"u{int(rng.integers(voters))}"))  # fmt: skip
    return rows
