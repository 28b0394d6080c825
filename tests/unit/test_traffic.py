"""The simulated arena: waiting times that theory knows, what a maintainer chooses by, and the shipped roster."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from arena.__main__ import main
from arena.config import load_config
from arena.costs import Cost, costs, estimate, measured_seconds
from arena.errors import ConfigError
from arena.records import Image, Prompt
from arena.simulate.crowd import Traffic, crowd
from arena.simulate.machine import Events, Job, Machine
from arena.simulate.stores import Store
from arena.simulate.traffic import POLICIES, Setup, compare, elo_error, pairs_of, quantile, simulate

GPU = Path(__file__).parents[2] / "arena.gpu.yaml"
STEADY = Traffic(hours=20, bursts_per_hour=0, visitors_per_hour=1800, battles=1, think_seconds=1,
                 patience_seconds=math.inf, own_prompts=0)  # fmt: skip
NO_LOADS = Setup(load_gb_s=math.inf)


def models(*seconds: float, gb: float = 1.0) -> list[Cost]:
    return [Cost(f"m{k}", f"family {k}", gb, s, measured=True) for k, s in enumerate(seconds)]


def waits(seconds: list[float], rate: float) -> float:
    """The mean wait in a queue with Poisson arrivals and one server, after Pollaczek and Khinchine; `rate` a second,
    every service time equally likely."""
    mean = statistics.fmean(seconds)
    return rate * statistics.fmean(s * s for s in seconds) / (2 * (1 - rate * mean))


@pytest.mark.parametrize("speeds", [(0.6, 0.6), (0.1, 0.2, 1.0, 1.2)], ids=["M/D/1", "M/G/1"])
def test_a_queue_waits_as_theory_says(speeds):
    pairs = [a + b for a, b in itertools.combinations(speeds, 2)]
    outcome = simulate(STEADY, NO_LOADS, models(*speeds), "on-demand", 0)
    assert outcome.visitors > 30_000
    expected = statistics.fmean(pairs) + waits(pairs, 0.5)
    assert statistics.fmean(t for t in outcome.first_wait if t < math.inf) == pytest.approx(expected, rel=0.05)
    assert outcome.generating == pytest.approx(0.5 * statistics.fmean(pairs), rel=0.03), "utilisation is rate x time"


def test_two_models_that_do_not_fit_together_are_loaded_for_every_battle():
    tight = Setup(gpu_gb=33, reserve_gb=3, load_gb_s=10)
    outcome = simulate(replace(STEADY, visitors_per_hour=30, hours=20), tight, models(1, 1, gb=20), "on-demand", 0)
    alone = outcome.first_wait[0]
    assert alone == pytest.approx(1 + 1 + 2 + 2), "two images and two loads of 20 GB at 10 GB/s"
    assert outcome.loading / outcome.generating == pytest.approx(2, rel=0.02)


def test_the_bank_gives_way_to_a_live_request_but_finishes_a_load():
    events, told = Events(), []
    machine = Machine(
        events, {"slow": Cost("slow", "f", 10, 100, True), "quick": Cost("quick", "g", 10, 1, True)}, 40, 10
    )
    fills = iter(
        [Job(lambda: ("slow",), lambda took: told.append("filled"), filling=True, lost=lambda: told.append("lost"))]
    )
    machine.refill = lambda: next(fills, None)
    machine.turn()
    events.at(0.5, lambda: machine.submit(Job(lambda: ("quick",), lambda took: told.append(("live", events.now)))))
    events.run()
    assert told == ["lost", ("live", 1 + 1 + 1)], "slow was loaded until 1, quick was loaded until 2, and drew until 3"


def test_a_held_battle_lets_the_bank_be_filled_and_the_next_one_wait():
    events, told = Events(), []
    machine = Machine(events, {"m": Cost("m", "f", 1, 1, True)}, 10, math.inf, hold=lambda took, models: 10.0)
    fills = iter([Job(lambda: ("m",), lambda took: told.append(("filled", events.now)), filling=True)])
    machine.refill = lambda: next(fills, None)
    for k in (1, 2):
        machine.submit(Job(lambda: ("m",), lambda took, k=k: told.append((k, events.now))))
    events.run()
    assert told == [("filled", 2.0), (1, 10.0), (2, 20.0)]


def test_every_policy_meets_the_same_people_and_a_seed_is_a_run():
    traffic, few = Traffic(hours=1), models(0.5, 1, 2)
    first, again = (compare(traffic, Setup(), few, POLICIES, 7) for _ in range(2))
    assert first == again
    assert len({outcome.visitors for outcome in first}) == 1
    assert simulate(traffic, Setup(), few, "bank", 8) != first[2]


def test_crowds_are_as_they_are_described():
    traffic = Traffic(hours=200)
    people = crowd(traffic, 0)
    assert len(people) / 200 == pytest.approx(70, rel=0.15)
    assert statistics.fmean(len(p.thinks) for p in people) == pytest.approx(12, rel=0.05)
    assert statistics.fmean(t for p in people for t in p.thinks) == pytest.approx(8, rel=0.03)
    assert statistics.median(p.patience for p in people) == pytest.approx(60, rel=0.05)
    assert statistics.fmean(p.own_prompt for p in people) == pytest.approx(0.2, abs=0.02)


def test_a_store_shows_no_prompt_twice_and_wants_what_is_used_up():
    store = Store(["a", "b", "c"], [("a", "b"), ("b", "c")], prompts=2, uses=1, rng=random.Random(0))
    seen: set[int] = set()
    first, second = (store.draw(seen) for _ in range(2))
    assert {first[0], second[0]} <= {0, 1} and {"a", "c"} & {*first[1:]}
    while drawn := store.draw(set()):
        assert drawn[1:] in (("a", "b"), ("b", "c"))
    [(model, prompt)] = store.next_wanted()
    store.put([(model, prompt)])
    assert model == first[1], "first wanted is what was used first"


def test_a_store_is_filled_as_the_app_fills_its_bank():
    store = Store(["a", "b", "c"], [("a", "b"), ("b", "c")], prompts=80, uses=None, rng=random.Random(0))
    for _ in range(40):
        store.add(["a"])  # b and c are wanted of each, in either order
    calls = []
    for _ in range(4):
        calls.append(some := store.next_wanted())
        assert len({model for model, _ in some}) == 1
        store.put(some)
    assert [len(some) for some in calls] == [1, 2, 4, 4], "80 prompts can be served: a turn of 10 images, or so"
    lost = store.next_wanted()
    assert lost[0][0] != calls[0][0][0], "then it is the other model's turn"
    store.lose(lost)
    assert store.next_wanted() == lost


def test_what_an_uneven_spread_costs():
    even = dict.fromkeys(itertools.combinations("abcd", 2), 10)
    assert elo_error({("a", "b"): 5}) == pytest.approx(400 / math.log(10) * math.sqrt(1 / 1000)), "x and -x, half each"
    assert elo_error({**even, ("a", "b"): 200}) > elo_error(even)
    assert elo_error({("a", "b"): 5, ("c", "d"): 5}) is None
    assert elo_error(even) == elo_error({pair: 3 * n for pair, n in even.items()}), "for a given number of votes"


def test_the_shipped_roster_in_bursts():
    """What issue and README promise: five times the votes of load-on-demand, and a first battle within a second."""
    roster = costs(load_config(GPU).contenders, {})
    for seed in range(5):
        demand, resident, bank = compare(Traffic(), Setup(), roster, POLICIES, seed)
        assert bank.votes_an_hour >= 5 * demand.votes_an_hour
        assert bank.votes_an_hour > 2 * resident.votes_an_hour
        assert quantile(bank.first_wait, 0.95) <= 1.0
        assert bank.served == bank.visitors
        assert bank.elo_error < resident.elo_error, "what is loaded decides who meets whom"
        assert bank.images_a_vote < demand.images_a_vote


def test_estimates_and_measurements(ledger):
    rows = {m.id: m for m in load_config(GPU).contenders}
    seconds = {name: estimate(row) for name, row in rows.items()}
    assert seconds["flux.1-dev"] == pytest.approx(0.3 + 50 * 2 * 12e9 * 4096 / 400e12), "its guidance is no second pass"
    assert seconds["qwen-image"] == pytest.approx(0.3 + 50 * 2 * 2 * 20e9 * 4096 / 400e12), "true guidance is"
    assert seconds["sdxl-turbo"] < seconds["sdxl-lightning-4step"] < seconds["sdxl-base"]
    prompt = Prompt.make("a cat")
    ledger.add_prompts([prompt])
    for k, (hardware, took) in enumerate([("old GPU", 9.0), ("GPU", 1.0), ("GPU", 2.0), ("GPU", 30.0)]):
        ledger.add_image(Image(f"{k:032}", prompt.prompt_id, "kolors", "r", k, 8, 8, "{}", took, hardware, k, "x"))
    assert measured_seconds(ledger) == {"kolors": 2.0}, "on this hardware, and the median"
    [kolors] = [c for c in costs(list(rows.values()), measured_seconds(ledger)) if c.model == "kolors"]
    assert (kolors.seconds, kolors.measured) == (2.0, True)
    for k, (model, took) in enumerate([("kolors", 0.5), ("kolors", 0.5), ("kolors", 0.5), ("sana", 0.2)], 10):
        ledger.add_image(Image(f"{k:032}", prompt.prompt_id, model, "r", k, 8, 8, '{"batch": {"images": 4}}', took, "GPU",
                               k, "x"))  # fmt: skip
    assert measured_seconds(ledger) == {"kolors": 2.0, "sana": 0.2}, "a live image is not drawn in a batch"


def test_a_row_that_says_too_little_is_named():
    row = load_config(GPU).contenders[0].model_copy(update={"parameters_b": None})
    with pytest.raises(ConfigError, match=r"models\.sdxl-base: parameters_b is missing"):
        costs([row], {})
    assert costs([row], {"sdxl-base": 2.0})[0].seconds == 2.0


def test_pairs_are_of_different_families():
    roster = costs(load_config(GPU).contenders, {})
    pairs = pairs_of(roster)
    family = {c.model: c.family for c in roster}
    assert all(family[a] != family[b] for a, b in pairs) and ("sdxl-base", "sdxl-turbo") not in pairs
    assert len(pairs_of([replace(c, family="one") for c in roster])) == 120


def test_the_command_prints_a_table_and_json(tmp_path, capsys):
    base = ["--config", str(GPU), "--data-dir", str(tmp_path), "simulate", "traffic", "--hours", "1", "--seed", "3"]
    assert main(base) == 0
    shown = capsys.readouterr().out
    assert "16 estimated" in shown and all(policy in shown for policy in POLICIES)
    assert main([*base, "--policy", "bank", "--format", "json", "--patience-seconds", "inf"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["policy"] for row in told["policies"]] == ["bank"] and told["policies"][0]["first_battle_p95_s"] <= 1
    assert told["assumed"]["patience_seconds"] == "inf" and len(told["models"]) == 16
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


@pytest.mark.parametrize("options, message", [
    (["--policy", "magic"], "invalid choice: 'magic'"),
    (["--hours", "-1"], "a number of 0 or more"),
    (["--hours", "0"], "--hours: more than 0"),
    (["--uses", "2.5"], "a whole number"),
    (["--own-prompts", "2"], "a share from 0 to 1"),
    (["--gpu-gb", "inf"], "only --patience-seconds may be infinite"),
    (["--gpu-gb", "24"], "needs 27.7 GB"),
])  # fmt: skip
def test_what_cannot_be_simulated_is_refused_in_a_line(tmp_path, capsys, options, message):
    arguments = ["--config", str(GPU), "--data-dir", str(tmp_path), "simulate", "traffic", *options]
    try:
        code = main(arguments)
    except SystemExit as ended:  # argparse's own
        code = ended.code
    assert code == 2 and message in capsys.readouterr().err
