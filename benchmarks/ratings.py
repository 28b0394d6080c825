"""How fast the leaderboard's engine is, beside other libraries, on the same votes in one process and on one thread.

Prints a table for each size (votes x models), an agreement table, and the gates; exit status 1 where one fails.
Peers: `pip install -r benchmarks/requirements.txt`; arena-rank pins another numpy, so it wants an environment of its
own (`--arena-rank PYTHON`). Times are medians over rounds in which all functions of a task take turns.
Ratios and gates are of the processor's time, which on one thread is the time on the wall of a machine with nothing
else to do.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import _one_thread  # before numpy

# isort: split
import _fastchat as fastchat
import _peers as peers
import numpy as np
from _clock import side_by_side
from _machine import describe, table
from _votes import Simulated, simulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from leaderboard.board import build
from leaderboard.bootstrap import of_table
from leaderboard.intervals import INTERVALS
from leaderboard.ranks import simultaneous_ranks
from leaderboard.ratings import bradley_terry, elo_online, fit
from leaderboard.running import Running
from leaderboard.tally import Pairs, count
from leaderboard.votes import read_votes

SIZES = {"S": (10_000, 12), "M": (240_000, 20), "L": (2_000_000, 50)}
DRAWS = 1000
METHOD = "bradley-terry"


def rate(s: Simulated):
    """(pairs, ratings) from codes."""
    pairs = Pairs.of(count(s.model_a, s.model_b, s.winner, s.models)[0])
    return pairs, bradley_terry(s.votes, pairs)


def full_set(s: Simulated):
    """Ratings, sandwich intervals and simultaneous ranks, from codes."""
    pairs, ratings = rate(s)
    anchor = pairs.battles.sum(axis=1)
    spread = INTERVALS[METHOD](s.votes, pairs, ratings, anchor, np.random.default_rng(0), "none")
    return spread, simultaneous_ranks(ratings.rating, spread.draws)


def bootstraps(s: Simulated):
    """1,000 multinomial resamples of the table, from codes."""
    pairs = Pairs.of(count(s.model_a, s.model_b, s.winner, s.models)[0])
    anchor = pairs.battles.sum(axis=1)
    return of_table(pairs, fit(pairs), anchor, np.random.default_rng(0), DRAWS)


class Size:
    """The measurements of one size: rows of its table, and what its gates compare."""

    def __init__(self, name: str, options):
        self.name, self.options, self.rows, self.took = name, options, [], {}
        self.s = simulate(*SIZES[name])
        self.folder = tempfile.TemporaryDirectory()

    def task(self, title: str, functions: dict, scaled: dict | None = None) -> None:
        """Time the functions in turns, the first being ours. `scaled` names those that did only a part, with (how many
        times that makes the whole, milliseconds of each call that are not repeated)."""
        took = side_by_side(functions, self.options.seconds)
        ours = next(iter(functions))
        for name, found in took.items():
            times, once = (scaled or {}).get(name, (1, 0.0))
            wall, cpu = (once + (part - once) * times for part in (found.wall, found.cpu))
            self.took[title, name] = cpu
            ratio = "" if name == ours else f"{cpu / self.took[title, ours]:.1f}x"
            done = f", 1/{times:g} done" if times > 1 else ""
            self.rows.append([title, name, f"{wall:.2f}", f"{cpu:.2f}", f"{found.rounds}{done}", ratio])

    def measure(self) -> None:
        s, frame = self.s, self.s.frame
        pairs, counts = rate(s)[0], count(s.model_a, s.model_b, s.winner, s.models)[0]
        theirs = {}
        if "evalica" not in peers.MISSING:
            theirs |= {
                "evalica": lambda: peers.evalica_public(s, labels=False),
                "evalica, its labels given": lambda: peers.evalica_public(s),
                "evalica, its Rust core alone": peers.evalica_core(s),
            }
        if "choix" not in peers.MISSING:
            theirs |= {"choix, from our table": lambda: peers.choix_rates(pairs)}
        if "arenakit" not in peers.MISSING:
            theirs |= {"arenakit, from our table": lambda: peers.arenakit_rates(counts)}
        theirs |= {"FastChat 2023, from its frame": lambda: fastchat.pivot_and_regress(frame),
                   "FastChat 2024, from its frame": lambda: fastchat.count_and_climb(frame)}  # fmt: skip
        self.task("Bradley-Terry", {"ours, from codes": lambda: rate(s)} | theirs)
        elo = {"evalica": lambda: peers.evalica_elo(s)} if "evalica" not in peers.MISSING else {}
        self.task("Elo", {"ours": lambda: elo_online(s.votes)} | elo | {"FastChat": lambda: fastchat.elo(frame)})
        rounds, fits = (2, 100) if self.name == "L" else (10, 200)
        resampled = {
            "FastChat 2023, scikit-learn, rows drawn": lambda: fastchat.resample_frame(frame, rounds),
            "FastChat 2023, scikit-learn, counts drawn": lambda: fastchat.resample_counts(frame, fits),
            "FastChat 2024, L-BFGS, counts drawn": lambda: fastchat.resample_triples(frame, DRAWS),
        }
        pivoted = side_by_side({"": lambda: fastchat.pivot(frame)}, 1.0)[""]
        scaled = {"FastChat 2023, scikit-learn, rows drawn": (DRAWS / rounds, 0.0),
                  "FastChat 2023, scikit-learn, counts drawn": (DRAWS / fits, pivoted.cpu)}  # fmt: skip
        self.task("1,000 bootstraps", {"ours": lambda: bootstraps(s)} | resampled, scaled)
        self.task("ratings, intervals, ranks", {"ours, from codes": lambda: full_set(s)})
        self._boards()
        self._incremental(counts)
        if self.options.arena_rank:
            took = peers.arena_rank(self.options.arena_rank, s)["took"]
            ours = self.took["ratings, intervals, ranks", "ours, from codes"]
            self.rows.append(
                ["ratings and intervals", "arena-rank, compiled", f"{took:.2f}", "-", "2", f"{took / ours:.1f}x"]
            )

    def _boards(self) -> None:
        import pyarrow.parquet as pq

        s, path = self.s, Path(self.folder.name) / f"{self.name}.parquet"
        pq.write_table(s.table, path)
        self.path, content = path, path.read_bytes()
        self.task("overall + 12 categories", {
            "ours, from codes": lambda: build(s.votes),
            "ours, from Parquet": lambda: build(read_votes(path)),
            "ours, with all that is shown, as JSON": lambda: build(s.votes).to_json(),
            "reading and checking alone": lambda: read_votes(path),
            "reading the codes alone": lambda: pq.read_table(io.BytesIO(content), read_dictionary=s.table.column_names),
            "reading the bytes alone": path.read_bytes,
        })  # fmt: skip

    def _incremental(self, counts) -> None:
        live, rng = Running(self.s.names, counts), np.random.default_rng(1)
        live.ratings()

        def ten_more():
            a, step, outcome = (
                rng.integers(0, self.s.models, 10),
                rng.integers(1, self.s.models, 10),
                rng.integers(0, 4, 10),
            )
            for model, more, code in zip(a.tolist(), step.tolist(), outcome.tolist(), strict=True):
                live.add(model, (model + more) % self.s.models, code)
            return live.ratings()

        self.task("10 more votes and a refit", {"ours, from the last answer": lambda: [ten_more() for _ in range(20)]},
                  {"ours, from the last answer": (1 / 20, 0.0)})  # fmt: skip
        found, again = live.ratings().rating, bradley_terry(self.s.votes, Pairs.of(live.counts)).rating
        self.refit_differs = float(np.abs(found - again).max())

    def memory(self) -> list[list[object]]:
        s = self.s
        s.votes.model_a, s.votes.category.codes  # noqa: B018  (what is worked out at the first look)
        tracemalloc.start()
        build(s.votes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.from_codes = peak / s.nbytes
        rows = [["from codes", f"{s.nbytes / 1e6:.0f}", f"{peak / 1e6:.0f}", f"{self.from_codes:.2f}", "tracemalloc"]]
        self.from_parquet = None
        if sys.platform == "linux":
            small = Path(self.folder.name) / "small.parquet"
            import pyarrow.parquet as pq

            pq.write_table(s.table.slice(0, 5000), small)
            made = subprocess.run([sys.executable, str(Path(__file__).with_name("_memory.py")), str(self.path), str(small)],
                                  capture_output=True, text=True, check=True)  # fmt: skip
            found = json.loads(made.stdout)
            self.from_parquet = found["grew"] / found["columns"]
            rows.append(["from Parquet", f"{found['columns'] / 1e6:.0f}", f"{found['grew'] / 1e6:.0f}",
                         f"{self.from_parquet:.2f}", "resident, the columns themselves included"])  # fmt: skip
        return rows


def agreement(s: Simulated) -> list[list[object]]:
    """Largest differences in Elo points, both sides less their means; None where a peer is not installed."""
    pairs, ratings = rate(s)
    ours, counts = peers.centred(ratings.rating), count(s.model_a, s.model_b, s.winner, s.models)[0]
    asked = {
        ("Bradley-Terry", "evalica", 1e-5): lambda: peers.evalica_public(s, tolerance=1e-14, limit=1_000_000),
        ("Bradley-Terry", "choix", 1e-6): lambda: peers.choix_rates(pairs, tol=1e-13, max_iter=10_000),
        ("Bradley-Terry", "arenakit", 1e-6): lambda: peers.arenakit_rates(counts),
    }
    rows = []
    for (what, peer, bound), rates in asked.items():
        if peer in peers.MISSING:
            rows.append([what, peer, "not installed", f"{bound:g}", "-"])
        else:
            gap = float(np.abs(peers.centred(rates()) - ours).max())
            rows.append([what, peer, f"{gap:.1e}", f"{bound:g}", "PASS" if gap <= bound else "FAIL"])
    if "evalica" not in peers.MISSING:
        gap = float(np.abs(peers.evalica_elo(s) - elo_online(s.votes)).max())
        rows.append(["Elo", "evalica", f"{gap:.1e}", "1e-09", "PASS" if gap <= 1e-9 else "FAIL"])
    return rows


def gates(size: Size) -> list[list[object]]:
    took = size.took
    ours, codes = took["Bradley-Terry", "ours, from codes"], "ours, from codes"
    published = ("FastChat 2023, scikit-learn, rows drawn", "FastChat 2024, L-BFGS, counts drawn")
    theirs = min(took["1,000 bootstraps", name] for name in published)
    board, parquet = took["overall + 12 categories", codes], took["overall + 12 categories", "ours, from Parquet"]
    frame = min(took["Bradley-Terry", f"FastChat {year}, from its frame"] for year in (2023, 2024))
    rows = []

    def gate(what, value, bound, at_least=False, unit="x"):
        held = value >= bound if at_least else value <= bound
        rows.append([what, f"{value:.2f}{unit}", f"{'at least' if at_least else 'at most'} {bound:g}{unit}",
                     "PASS" if held else "FAIL"])  # fmt: skip

    if ("Bradley-Terry", "evalica") in took:
        gate("Bradley-Terry, evalica / ours", took["Bradley-Terry", "evalica"] / ours, 25, True)
    gate("Bradley-Terry, FastChat's faster form / ours", frame / ours, 300, True)
    gate(
        "FastChat's 1,000 bootstraps, the faster form / our full set",
        theirs / took["ratings, intervals, ranks", codes],
        300,
        True,
    )
    gate(
        "FastChat's 1,000 bootstraps, the faster form / our 1,000", theirs / took["1,000 bootstraps", "ours"], 25, True
    )
    gate("overall + 12 categories, from codes", board, 50, unit=" ms")
    gate("overall + 12 categories, from Parquet", parquet, 300, unit=" ms")
    gate("10 more votes and a refit", took["10 more votes and a refit", "ours, from the last answer"], 1, unit=" ms")
    gate("refit against a fresh fit, points times 1e9", size.refit_differs * 1e9, 1, unit="")
    gate("added memory from codes / their size", size.from_codes, 2)
    if size.from_parquet is not None:
        gate("added memory from Parquet / columns read, beside them", size.from_parquet - 1, 2)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small size only; the gates are of the largest")
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=6.0, help="at most this long for the rounds of a task")
    parser.add_argument("--arena-rank", metavar="PYTHON", help="an interpreter that has arena-rank")
    options = parser.parse_args()
    _one_thread.hold_arrow()
    names = ("numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "evalica", "choix", "arenakit")
    print(describe(*(name for name in names if _known(name))))
    print(f"one thread each; milliseconds; load average {os.getloadavg()[0]:.1f}")
    for name in peers.MISSING:
        print(f"not installed: {name}")
    if not options.arena_rank:
        print("arena-rank is left out: --arena-rank names no interpreter that has it")
    size = None
    for name in ["S"] if options.quick else options.sizes:
        size = Size(name, options)
        print(f"\n{len(size.s):,} votes x {size.s.models} models")
        size.measure()
        print(table(["task", "who", "wall ms", "CPU ms", "rounds", "against ours"], size.rows), flush=True)
        print(table(["added memory", "columns, MB", "peak, MB", "ratio", "measured by"], size.memory()), flush=True)
    print("\nagreement on well-posed data, in Elo points")
    agreed = agreement(simulate(*SIZES["S"], seed=3)) + agreement(simulate(*SIZES["M"], seed=3))
    print(table(["what", "peer", "largest difference", "at most", ""], agreed))
    failed = any(row[-1] == "FAIL" for row in agreed)
    if not options.quick and "L" in options.sizes:
        judged = gates(size)
        print("\ngates at 2 million votes")
        print(table(["what", "measured", "wanted", ""], judged))
        floor = size.took["overall + 12 categories", "reading the codes alone"]
        print(f"Reading the codes alone takes {floor:.1f} ms: the board from Parquet is "
              f"{size.took['overall + 12 categories', 'ours, from Parquet'] / floor:.1f} times that floor.")  # fmt: skip
        failed |= any(row[-1] == "FAIL" for row in judged)
    return int(failed)


def _known(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
