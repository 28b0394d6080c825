"""Other libraries' ratings of the same votes, in Elo points less their mean; a peer that is not installed is named."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SCALE = 400.0 / math.log(10.0)
WINNERS = np.array([1, 2, 0, 0], np.uint8)  # evalica's X, Y and Draw by our outcomes
MISSING = [name for name in ("evalica", "choix", "arenakit", "sklearn", "scipy", "pandas") if find_spec(name) is None]


def centred(ratings) -> np.ndarray:
    return np.asarray(ratings, float) - np.mean(ratings)


def evalica_public(s, labels: bool = True, **options):
    """From integer codes through its public function; with `labels` it need not look for them in the votes."""
    import evalica
    import pandas as pd

    index = pd.RangeIndex(s.models) if labels else None
    found = evalica.bradley_terry(s.model_a, s.model_b, WINNERS[s.winner], index=index, **options)
    return SCALE * np.log(found.scores.sort_index().to_numpy())


def evalica_core(s):
    """A function of nothing: its Rust core alone, its lists of numbers made beforehand."""
    from evalica import _brzo

    lists = {
        "xs": s.model_a.tolist(),
        "ys": s.model_b.tolist(),
        "winners": WINNERS[s.winner],
        "weights": [1.0] * len(s),
    }
    return lambda: _brzo.bradley_terry(
        **lists, total=s.models, win_weight=1.0, tie_weight=0.5, tolerance=1e-6, limit=100
    )


def evalica_elo(s):
    import evalica
    import pandas as pd

    found = evalica.elo(s.model_a, s.model_b, WINNERS[s.winner], index=pd.RangeIndex(s.models))
    return found.scores.sort_index().to_numpy()


def choix_rates(pairs, **options):
    """From our table of wins and half draws: choix has no way to count votes but a Python list of pairs."""
    import choix

    return SCALE * choix.ilsr_pairwise_dense(pairs.score, **options)


def arenakit_rates(counts):
    """From our counts by side, without its prior."""
    from arenakit.bt import fit_bt
    from arenakit.schema import PairCounts

    sided = counts.astype(float)
    return SCALE * fit_bt(PairCounts(sided[..., 0], sided[..., 1], sided[..., 2] + sided[..., 3]), prior=0.0).scores


ARENA_RANK = """
import json, sys, time
import pandas as pd
from arena_rank.models.bradley_terry import BradleyTerry
from arena_rank.utils.data_utils import PairDataset
frame, took = pd.read_parquet(sys.argv[1]), []
for _ in range(3):
    started = time.perf_counter()
    data = PairDataset.from_pandas(frame)
    model = BradleyTerry(n_competitors=len(data.competitors))
    found = model.compute_ratings_and_cis(data)
    took.append(1000 * (time.perf_counter() - started))
ratings = dict(zip(found["competitors"], map(float, found["ratings"])))
print(json.dumps({"took": sorted(took[1:])[0], "ratings": [ratings[name] for name in sorted(ratings)]}))
"""


def arena_rank(python: str, s) -> dict:
    """{"took": milliseconds of ratings and sandwich intervals once compiled, "ratings"} from another interpreter: it
    pins another numpy. Its ties are its own mapping of the outcomes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "battles.parquet"
        s.frame.assign(winner=s.frame["winner"].replace("tie (bothbad)", "both_bad")).to_parquet(path)
        made = subprocess.run([python, "-c", ARENA_RANK, str(path)], capture_output=True, text=True, timeout=900)
    if made.returncode:
        raise RuntimeError(f"arena-rank: {made.stderr.strip().splitlines()[-1] if made.stderr.strip() else 'failed'}")
    return json.loads(made.stdout.splitlines()[-1])
