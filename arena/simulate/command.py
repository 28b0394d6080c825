"""python -m arena simulate traffic: what visitors would meet on a GPU of yours, under each policy, as a table or JSON."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, fields
from pathlib import Path

from arena.config import load_config
from arena.costs import TFLOPS, Cost, costs, measured_seconds
from arena.errors import ConfigError
from arena.pace import Pace
from arena.simulate.crowd import Traffic
from arena.simulate.traffic import POLICIES, VOTES, Outcome, Setup, compare, quantile

SAYS = {
    "hours": "simulated time",
    "bursts_per_hour": "bursts of visitors, at random times",
    "burst_visitors": "visitors in a burst, on average",
    "burst_minutes": "over how long a burst's visitors come",
    "visitors_per_hour": "visitors beside the bursts",
    "battles": "battles that a visitor would vote on, on average",
    "think_seconds": "from a battle to its vote, on average",
    "patience_seconds": "how long visitors wait before they leave, the median; inf for ever",
    "own_prompts": "share of visitors with a prompt of their own, 0 to 1",
    "gpu_gb": "memory of the GPU",
    "reserve_gb": "of it, what is not for weights",
    "load_gb_s": "gigabytes of weights that are loaded in a second",
    "bank_prompts": "prompts that the bank begins with, complete",
}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's own arguments, from the fields of Traffic and Setup."""
    parser = commands.add_parser("simulate", help="what would happen, by simulation: simulate traffic")
    kinds = parser.add_subparsers(dest="kind", required=True)
    traffic = kinds.add_parser("traffic", help="waiting times and votes under each policy, for visitors in bursts")
    for owner in (Traffic, Setup):
        for field in fields(owner):
            if field.name in SAYS:
                whole = isinstance(field.default, int)
                traffic.add_argument(f"--{field.name.replace('_', '-')}", type=_count if whole else _number,
                                     default=field.default, metavar="N",
                                     help=f"{SAYS[field.name]} (%(default)s)")  # fmt: skip
    traffic.add_argument("--uses", type=_count, default=None, metavar="N",
                         help="votes that a banked image takes; by default bank.retire_after")  # fmt: skip
    traffic.add_argument("--tflops", type=_number, default=TFLOPS, metavar="N",
                         help="what the GPU computes in a second, for models without measured seconds (%(default)s)")  # fmt: skip
    traffic.add_argument("--policy", nargs="+", choices=POLICIES, default=list(POLICIES))
    traffic.add_argument("--seed", type=int, default=0)
    traffic.add_argument("--format", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Print what the policies come to. Raises ConfigError for what cannot be."""
    config = load_config(arguments.config)
    if arguments.uses is None:
        arguments.uses = config.bank.retire_after
    known = _measured(arguments.data_dir)
    found = costs(config.contenders, known, tflops=_positive(arguments, "tflops"))
    for name in ("hours", "burst_minutes", "gpu_gb", "load_gb_s", "think_seconds", "patience_seconds"):
        _positive(arguments, name)
    if arguments.own_prompts > 1 or arguments.battles < 1 or (arguments.uses is not None and arguments.uses < 1):
        raise ConfigError("--own-prompts is a share from 0 to 1; --battles and --uses are at least 1")
    if not all(math.isfinite(value) for name, value in vars(arguments).items()
               if isinstance(value, float) and name != "patience_seconds"):  # fmt: skip
        raise ConfigError("only --patience-seconds may be infinite")
    pace = Pace.of_models(config.contenders, known, memory_gb=arguments.gpu_gb - arguments.reserve_gb,
                          load_gb_s=arguments.load_gb_s, tflops=arguments.tflops,
                          different_families=config.matchmaking.different_families)  # fmt: skip
    traffic = Traffic(**{field.name: getattr(arguments, field.name) for field in fields(Traffic)})
    setup = Setup(**{field.name: getattr(arguments, field.name) for field in fields(Setup) if field.name in SAYS},
                  uses=arguments.uses, hold=pace.plan().shown_at)  # fmt: skip
    try:
        outcomes = compare(traffic, setup, found, arguments.policy, arguments.seed)
    except ValueError as error:
        raise ConfigError(f"{error}; give --gpu-gb, or set enabled: false in its row") from None
    assumed = {**asdict(traffic), **{name: getattr(setup, name) for name in SAYS if hasattr(setup, name)},
               "uses": setup.uses, "tflops": arguments.tflops, "seed": arguments.seed}  # fmt: skip
    if arguments.format == "json":
        print(json.dumps({"assumed": _plain(assumed), "models": [asdict(cost) for cost in found],
                          "policies": [row(outcome) for outcome in outcomes]}, indent=1))  # fmt: skip
    else:
        print("\n".join(_lines(assumed, found, outcomes)))
    return 0


def row(outcome: Outcome) -> dict[str, object]:
    """What is told of a policy. A wait is null where nobody waited for that, or where so many left without."""
    return {
        "policy": outcome.policy,
        "visitors": outcome.visitors,
        "left_without_a_battle": outcome.visitors - outcome.served,
        "first_battle_p50_s": quantile(outcome.first_wait, 0.5),
        "first_battle_p95_s": quantile(outcome.first_wait, 0.95),
        "own_prompt_p50_s": quantile(outcome.live_wait, 0.5),
        "own_prompt_p95_s": quantile(outcome.live_wait, 0.95),
        "votes": outcome.votes,
        "votes_an_hour": outcome.votes_an_hour,
        "images": outcome.images,
        "images_a_vote": outcome.images_a_vote,
        "gpu_generating": outcome.generating,
        "gpu_loading": outcome.loading,
        "pair_exposure_max_to_min": outcome.exposure,
        f"elo_error_at_{VOTES}_votes": outcome.elo_error,
    }


def _lines(assumed: dict, found: list[Cost], outcomes: list[Outcome]) -> list[str]:
    measured = sum(cost.measured for cost in found)
    lines = [
        "{hours:g} hours; {bursts_per_hour:g} bursts an hour of {burst_visitors:g} visitors in {burst_minutes:g} minutes, "
        "and {visitors_per_hour:g} an hour beside them; {battles:g} battles a visitor, {think_seconds:g} s each, patience "
        "{patience_seconds:g} s; {own_prompts:.0%} have a prompt of their own".format(**assumed),
        "one GPU of {gpu_gb:g} GB ({reserve_gb:g} in reserve) that loads {load_gb_s:g} GB/s; {models} models; a bank that "
        "begins with {bank_prompts} prompts".format(models=len(found), **assumed),
        f"seconds an image: {measured} models measured on this disk, {len(found) - measured} estimated from their size and "
        f"steps at {assumed['tflops']:g} TFLOP/s" + (" (an estimate may be off by a factor of two)" if measured < len(found)
                                                     else ""),
        "",
    ]  # fmt: skip
    heads = ("policy", "first battle p50", "p95", "left", "own prompt p50", "p95", "votes/h", "images/vote", "GPU draws",
             "loads", "pairs max/min", f"Elo error, {VOTES} votes")  # fmt: skip
    cells = [heads]
    for outcome in outcomes:
        told = row(outcome)
        cells.append((
            outcome.policy, _seconds(told["first_battle_p50_s"]), _seconds(told["first_battle_p95_s"]),
            f"{told['left_without_a_battle'] / max(1, outcome.visitors):.0%}",
            _seconds(told["own_prompt_p50_s"], "-"), _seconds(told["own_prompt_p95_s"], "-"),
            f"{outcome.votes_an_hour:.0f}", _or(outcome.images_a_vote, "{:.2f}"), f"{outcome.generating:.0%}",
            f"{outcome.loading:.0%}", _or(outcome.exposure, "{:.1f}", "some never met"),
            _or(outcome.elo_error, "{:.1f}", "unconnected"),
        ))  # fmt: skip
    widths = [max(len(line[k]) for line in cells) for k in range(len(heads))]
    lines += ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    return lines


def _seconds(value: object, none: str = "left") -> str:
    return none if value is None else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _or(value: float | None, form: str, none: str = "-") -> str:
    return none if value is None else form.format(value)


def _plain(values: dict[str, object]) -> dict[str, object]:
    """JSON knows no infinity."""
    return {name: "inf" if value == math.inf else value for name, value in values.items()}


def _measured(data_dir: Path) -> dict[str, float]:
    from arena.ledger import Ledger

    path = data_dir / "ledger.sqlite"
    if not path.exists():
        return {}
    ledger = Ledger(path)
    try:
        return measured_seconds(ledger)
    finally:
        ledger.close()


def _positive(arguments: argparse.Namespace, name: str) -> float:
    value = getattr(arguments, name)
    if value <= 0:
        raise ConfigError(f"--{name.replace('_', '-')}: more than 0 is expected, found {value:g}")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"a number of 0 or more is expected, found {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number is expected, found {text!r}")
    return int(text)
