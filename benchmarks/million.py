"""What an arena with a million votes takes: each thing that a request waits for, the app's start, and the first look at
its leaderboard.

Another process makes a ledger of so many votes by 2,000 voters, one of whom cast 30,000, a tenth of them on tasks with a
known answer; pairs go to several voters, images retire, a tenth of the votes is withdrawn or has feedback. Then it asks
what a request asks, of the voter with most votes and of usual ones in turn. `--against FOLDER` does the same with the code
of another checkout at the same time, so that both are measured under the same load.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import _one_thread  # noqa: F401
from _app import ROOT
from _machine import describe, table

MOST = 2.0  # ms, the median of what a request waits for in the ledger
AT_MOST = {"ticker: until the first battle, s": 2.0, "leaderboard: first look, s": 15.0}  # of a processor, a million

CHILD = r"""
import json, random, resource, sys, threading, time
from pathlib import Path

folder, votes = Path(sys.argv[1]), int(sys.argv[2])
PROMPTS, MODELS, VOTERS, HEAVY, START = 6000, 12, 2000, 30_000, 1_700_000_000_000
rng = random.Random(1)
hexes = lambda: f"{rng.getrandbits(128):032x}"
categories = [f"Category {k}" for k in range(10)]
config = {
    "models": [{"id": f"model-{m}", "name": f"Model {m}", "organisation": "Org", "family": f"family {m // 2}",
                "licence": "mit", "backend": "fake", "source": f"org/model-{m}"} for m in range(MODELS)],
    "categories": [{"name": c, "prompts": [{"prompt": f"prompt number {k} of the benchmark, at some length"}
                                           for k in range(PROMPTS) if k % 10 == n]} for n, c in enumerate(categories)],
    "bank": {"fill": False, "retire_after": 100_000}, "matchmaking": {"overlap": {"voters": 2}},
    "limits": {"votes_per_minute": 1e9},
    "gold": {"first": 2, "every": 10, "tasks": [
        {"kind": "battle", "images": [f"{2 * k:032x}", f"{2 * k + 1:032x}"], "winner": "first", "why": "It is sharper."}
        for k in range(6)]},
}
(folder / "arena.yaml").write_text(json.dumps(config))

from arena.build import build_arena
from arena.records import TABLES, WINNERS, Image, Shard
from standings import Standings

arena = build_arena(folder / "arena.yaml", folder / "data", fake=True)
prompts = arena.stock.curated
images = {p.prompt_id: [f"{n * 12 + m:032x}" for m in range(MODELS)] for n, p in enumerate(prompts)}
arena.ledger.add_images(Image(i, p.prompt_id, f"model-{m}", "r", m, 512, 512, "{}", 1.0, "cpu", START, "mit")
                        for p in prompts for m, i in enumerate(images[p.prompt_id]))
for i in (i for row in images.values() for i in row):
    path = arena.bank.folder / i[:2] / f"{i}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
voters = [hexes() for _ in range(VOTERS)]
end = int(time.time() * 1000)
step = 30 * 86_400_000 // votes
heavy = min(HEAVY, votes // 10)
begun = time.perf_counter()


def rows():
    for k in range(votes):
        p = rng.choice(prompts)
        a, b = rng.sample(range(MODELS), 2)
        who = 0 if k % (votes // heavy) == 0 else rng.randrange(1, VOTERS)
        if who == 0:  # nobody is shown an image twice
            n = k // (votes // heavy)
            p, (a, b) = prompts[n // 6 % PROMPTS], rng.sample((n % 6, n % 6 + 6), 2)
        at, winner = end - (votes - k) * step, rng.choice(WINNERS)
        gold = who == 0 and n % 10 == 0
        task = "some task" if gold else None
        extra = json.dumps({"gold": winner, "gold_task": task, "gold_tries": 1}) if gold else "{}"
        ids = hexes(), hexes()
        pair = images[p.prompt_id][a], images[p.prompt_id][b]
        yield (ids[1], voters[who], p.prompt_id, *pair, "anonymous", "bank", 1 / 66, at - 5000, hexes(), hexes(), task,
               json.dumps({"winner": winner, "seconds": 5.0}) if gold else None, int(gold)), \
              (*ids, at, p.prompt_id, p.prompt, p.category, p.sub_category, p.complexity, "curated", f"model-{a}",
               f"model-{b}", winner, *pair, voters[who], 0, "anonymous", "bank", 1 / 66, 5.0, "0", extra)


db = arena.ledger._connection()
db.execute("PRAGMA synchronous = OFF")
db.execute("PRAGMA cache_size = -400000")
indexes = [row for row in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()]
for name, _ in indexes:  # made at the end, which is quicker
    db.execute(f"DROP INDEX {name}")
voted = "voted" in {row[1] for row in db.execute("PRAGMA table_info(battles)")}
made, left = rows(), votes
while left:
    some = [next(made) for _ in range(min(left, 50_000))]
    left -= len(some)
    db.execute("BEGIN")
    db.executemany("INSERT INTO battles (battle_id, voter, prompt_id, image_a, image_b, mode, served_from, pair_probability, "
                   "created_at, token_a, token_b, gold, gold_first, gold_tries" + (", voted" if voted else "") + ") VALUES ("
                   + "?, " * 13 + "?" + (", 1" if voted else "") + ")", [battle for battle, _ in some])
    db.executemany("INSERT INTO votes (vote_id, battle_id, created_at, prompt_id, prompt, category, sub_category, "
                   "complexity, prompt_source, model_a, model_b, winner, image_a, image_b, voter, signed_in, mode, "
                   "served_from, pair_probability, seconds_to_vote, arena_version, extra) VALUES ("
                   + "?, " * 21 + "?)", [vote for _, vote in some])
    db.executemany("INSERT INTO exclusions (vote_id, reason, created_at, extra) VALUES (?, 'withdrawn', ?, '{}')",
                   [(vote[0], vote[2] + 1) for _, vote in some[::50] if '"gold"' not in vote[-1]])
    db.executemany("INSERT INTO feedback (feedback_id, created_at, battle_id, image_id, prompt_id, prompt, model, voter, "
                   "style, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 3, '{}')",
                   [(hexes(), v[2] + 2, v[1], v[12], v[3], v[4], v[9], v[14]) for _, v in some[::20]])
    db.execute("COMMIT")
for _, sql in indexes:
    db.execute(sql)
for name in TABLES:  # as it is where all but the last hundred rows are published
    last = db.execute(f"SELECT COALESCE(MAX(seq), 0) FROM {name}").fetchone()[0] - 100
    if last > 0:
        arena.ledger.record_shard(Shard(f"data/{name}/x.parquet", name, 1, last, last, "0", 1))
        arena.ledger.mark_published([f"data/{name}/x.parquet"], 2)
arena.ledger.close()
making = time.perf_counter() - begun


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


found = {}


def took(name, call, of=1.0):
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    found[name] = [(time.perf_counter() - wall) * of, (time.process_time() - cpu) * of]
    return result


standings = Standings()
arena = took("app: build, s", lambda: build_arena(folder / "arena.yaml", folder / "data", fake=True,
                                                  ticker=standings.ticker, gains=standings.gains))
before = resident()
took("ticker: until the first battle, s", lambda: standings.follow(arena.ledger, arena.config, arena.bank))
took("draw: the first, s", lambda: arena.next_battle("first"))
took("ticker: until it has counted, s", lambda: standings.ticker(None))
found["memory: of the ticker and draws, MB"] = [resident() - before] * 2

from arena.health import health
from arena.errors import NoBattle

times = {}


def asked(name, call):
    begun, cpu = time.perf_counter(), time.process_time()
    result = call()
    times.setdefault(name, []).append((1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - cpu)))
    return result


for turn in range(40):
    for kind, who in (("most votes", voters[0]), ("usual", voters[1 + turn])):
        blind = asked(f"next_battle, {kind}", lambda: arena.next_battle(who))
        for again in range(3):
            asked(f"open battle again, {kind}", lambda: arena.next_battle(who))
        asked(f"gold draw, {kind}", lambda: arena.gold.draw(who, None))
        try:
            reveal = asked(f"cast_vote, {kind}", lambda: arena.cast_vote(blind.battle_id, "model_a", who, hold=turn % 2 == 0))
        except Exception as error:
            if type(error).__name__ not in ("WrongAnswer", "TaskFirst"):
                raise
            arena.cast_vote(blind.battle_id, "model_b", who)
            reveal = None
        if arena.ledger.vote_of(blind.battle_id).extra == "{}":
            asked(f"feedback, {kind}", lambda: arena.feedback.give(blind.battle_id, "a", {"style": 3}, who))
            asked(f"reveal, {kind}", lambda: arena.reveal(blind.battle_id, who))
            asked(f"withdraw, {kind}", lambda: arena.withdraw(blind.battle_id, who))
        open_ = arena.ledger.open_battles(who, 0)
        for battle in open_:
            if arena.gold.to_put_right(who) != battle.battle_id:
                arena.skip(battle.battle_id, who)
    asked("status", arena.status)
    asked("/health", lambda: health(arena, uptime=1.0, running=0))
    asked("counts", arena.ledger.counts)
    asked("meta", arena.meta)

before = resident()
board = took("leaderboard: first look, s", standings.board)
found["memory: of the leaderboard, MB"] = [resident() - before] * 2
who = voters[7]
blind = arena.next_battle(who)
try:
    arena.cast_vote(blind.battle_id, "model_a", who)
except Exception:
    arena.cast_vote(blind.battle_id, "model_b", who)
took("leaderboard: a look after one more vote, s", standings.board)
middle = {name: [sorted(t[k] for t in ts)[len(ts) // 2] for k in (0, 1)] + [sorted(t[0] for t in ts)[int(0.95 * len(ts))]]
          for name, ts in times.items()}
elo = standings._elo.ratings
rows = [[r.model, r.rating, r.elo, r.votes] for r in board.standings]
print(json.dumps({"making": making, "found": found, "times": middle, "board": rows,
                  "counted": [board.source.votes, board.source.counted], "elo": {k: elo[k] for k in sorted(elo)}}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--against", type=Path, help="another checkout, of an earlier commit")
    parser.add_argument("--folder", type=Path, help="where the ledgers are made, by default a temporary folder")
    options = parser.parse_args()
    print(describe("numpy", "pyarrow"))
    trees = {"before": options.against, "now": ROOT} if options.against else {"now": ROOT}
    with ThreadPoolExecutor(len(trees)) as pool:
        measured = dict(zip(trees, pool.map(lambda tree: run(tree, options), trees.values()), strict=True))
    print(report(measured, options.votes))
    return int(any(late(measured["now"], options.votes)))


def run(tree: Path, options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith("ARENA_")}
        done = subprocess.run([sys.executable, "-c", CHILD, folder, str(options.votes)], cwd=tree,
                              env={**env, "PYTHONPATH": str(tree)}, capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def late(measured: dict, votes: int) -> list[str]:
    """What took longer than it may."""
    slow = [name for name, (_, cpu, _) in measured["times"].items() if cpu > MOST and not name.startswith(WRITES)]
    return slow + [name for name, most in AT_MOST.items() if measured["found"][name][1] > most * max(votes / 1e6, 0.1)]


WRITES = ("/health",)  # it writes, to find out whether the disk can be written


def report(measured: dict[str, dict], votes: int) -> str:
    now, trees = measured["now"], list(measured)
    slow = set(late(now, votes))
    parts = [f"{votes:,} votes; made in {now['making']:.0f} s. Seconds, on the wall and of a processor"]
    heads = ["what", *(f"{tree}, {kind}" for tree in trees for kind in ("wall", "CPU")), ""]
    parts.append(table(heads, [
        [name, *(f"{value:.2f}" if value < 100 else f"{value:.0f}" for tree in trees for value in measured[tree]["found"][name]),
         verdict(name, name in AT_MOST, slow)] for name in now["found"]]))  # fmt: skip
    parts.append("\nwhat a request waits for, ms: medians on the wall and of a processor, and the 95th percentile")
    heads = ["what", *(f"{tree}, {kind}" for tree in trees for kind in ("wall", "CPU", "p95")), ""]
    parts.append(table(heads, [
        [name, *(f"{value:.2f}" for tree in trees for value in measured[tree]["times"][name]),
         verdict(name, not name.startswith(WRITES), slow)] for name in now["times"]]))  # fmt: skip
    return "\n".join(parts)


def verdict(name: str, held: bool, slow: set[str]) -> str:
    return "" if not held else "FAIL" if name in slow else "PASS"


if __name__ == "__main__":
    begun = time.perf_counter()
    code = main()
    print(f"({time.perf_counter() - begun:.0f} s in all)")
    sys.exit(code)
