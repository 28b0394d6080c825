"""The published dataset's card: README.md with the metadata that `datasets.load_dataset` goes by, and prose.

The metadata lists only tables with at least one shard, as a config without files cannot be loaded, and gives the
type of every column, so that shards written before a column was added still load beside those written after.
The prose has figures as of a day. A card that is there is left alone until another day, another set of tables or
another arena.yaml makes it out of date, or until the votes have doubled, so that commits do not all carry it along;
its last line says what it was made of.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import yaml

from arena.card_figures import Figures, figures
from arena.config import ArenaConfig, ModelSettings
from arena.ledger import Ledger
from arena.records import EXCLUSION_REASONS, TABLES, WINNERS, dumps
from arena.shards import features, list_of

FEW_VOTES = 10  # doubling fewer than so many is no news

# The Hub refuses a licence that it does not know, unless it is called "other" and named beside.
HUB_LICENCES = {
    "apache-2.0", "mit", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "odc-by", "odbl", "openrail", "pddl", "unlicense", "unknown", "other",
}  # fmt: skip

ABOUT_TABLES = {
    "votes": "One row a vote: one person's outcome of one battle between two images of one prompt.",
    "images": "One row a generated image, with the image itself and everything needed to draw it again.",
    "feedback": "What a voter said of one image of a battle after the vote on it; one row an image and voter, never changed. "
                "Parts of it may be missing: a null was not asked or not given. Leave out rows whose battle's vote is left out (join `votes` by "
                "`battle_id`, then `exclusions`): a voter who took a vote back may have meant other images.",
    "prompts": "One row a prompt, as it is filed.",
    "exclusions": "Votes that do not count, and why. Rows of `votes` are never changed, nor deleted unless a voter asks: a "
                  "vote is left out from its row here on, until a later row with the reason `restored`.",
}  # fmt: skip

ABOUT_COLUMNS = {
    "vote_id": "id of the vote",
    "battle_id": "id of the battle that was voted on; one vote each",
    "created_at": "when the row was made, UTC",
    "prompt_id": "id of the prompt: a hash of its text and of how it is filed",
    "prompt": "its text; empty where the voter kept it private",
    "category": "its category",
    "sub_category": "its sub-category, where it has one",
    "complexity": "`simplified`, `complex` or `original`",
    "prompt_source": "`curated`, `voter` for one that a visitor wrote, or `gold` for one of a task with a known answer",
    "base_prompt_id": "the prompt that it was derived from, if any",
    "model_a": "id of the model on side a, shown on the left or on top",
    "model_b": "id of the model on side b",
    "winner": ", ".join(f"`{winner}`" for winner in WINNERS),
    "image_a": "id of the image on side a, in `images`; a private image is not published",
    "image_b": "id of the image on side b",
    "voter": "keyed hash (HMAC-SHA256) of a visitor; never a name, an address or a token",
    "signed_in": "whether the voter had signed in with a Hugging Face account",
    "mode": "`anonymous`: the models were hidden until the vote; only these count for the main leaderboard",
    "served_from": "`bank` for images drawn earlier, `live` for ones drawn on the voter's request",
    "pair_probability": "probability with which this pair of models was drawn (for the first voter of these images, where "
    "several get them), given its prompt and the images of it that could be shown",
    "seconds_to_vote": "from the images being shown to the vote",
    "arena_version": "version of Image Arena that took the vote",
    "image_id": "id of the image: the first 32 hexadecimal digits of the SHA-256 of its PNG file",
    "image": "the model's own picture, lossless",
    "model": "id of the model",
    "model_revision": "revision of the model's files",
    "seed": "seed of the generation",
    "width": "in pixels",
    "height": "in pixels",
    "settings": "JSON: every argument of the generation, and the versions of the libraries",
    "seconds": "duration of the generation",
    "hardware": "what it ran on",
    "licence": "licence of the model that drew it",
    "feedback_id": "unique id of the feedback: there is at most one for each image of a vote's battle",
    "style": "1 to 5, 5 is best: how it looks, whatever it shows; null where not given, as in the next two",
    "coherence": "1 to 5, 5 is best: asked as how many errors there are, 1 none to 5 many, and stored as 6 minus that",
    "alignment": "1 to 5, 5 is best: how well it matches the prompt",
    "misaligned_words": "words of the prompt that the image misses, by their place when it is split on whitespace, from 0; "
    "empty says that there are none, null that it was not asked or not answered",
    "coherence_points": "up to three places with errors, as shares of width and height from the top left; null where not "
    "asked or not answered, as in the next one",
    "alignment_points": "up to three places that do not match the prompt",
    "reason": ", ".join(f"`{code}` ({why})" for code, why in EXCLUSION_REASONS.items()),
    "extra": "JSON: what has no column of its own; in votes voter_name, the user name of a voter who signed in and "
    "agreed to be named, and gold, the right outcome where that was known, or any where it was known of the feedback (such "
    "votes are no results); in feedback gold likewise, asked, what this voter was asked for, rated_high, the criteria that were rated too high for places to be asked, revealed, true where the voter knew the models' names by then, and coherence_mask and "
    "alignment_mask, painted areas as run lengths over the rows of a grid from the top left, beginning with those not "
    "painted",
}


def renewed_card(config: ArenaConfig, tables: Collection[str], ledger: Ledger, *, dataset: str | None, now: float,
                 there: str | None) -> str | None:  # fmt: skip
    """The card for `tables` of the Hub dataset `dataset` (None: the copy in a local folder), or None where the one
    that is `there` will do. `now` is in seconds since 1970. Raises LedgerError."""
    day = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    made_of = _made_of(config, tables, dataset)
    if there is not None:
        if _is_later(there):
            return None
        votes = ledger.one("SELECT COUNT(*) AS n FROM votes")["n"]
        stamp = _STAMP.search(there)
        if stamp and stamp["day"] == day and stamp["of"] == made_of and votes < max(FEW_VOTES, 2 * int(stamp["votes"])):
            return None
    return dataset_card(config, tables, dataset=dataset, day=day, known=figures(ledger))


def dataset_card(config: ArenaConfig, tables: Collection[str], *, dataset: str | None, day: str = "",
                 known: Figures | None = None) -> str:  # fmt: skip
    """The card, with the figures that are `known` as of `day`."""
    listed = [table for table in TABLES if table in tables]
    front = yaml.safe_dump(_metadata(config, listed), sort_keys=False, allow_unicode=True, width=100)
    text = f"---\n{front}---\n\n{_prose(config, listed, dataset or '.', day, known)}"
    if known is None:
        return text
    return f"{text}\n<!-- as of {day}, votes {known.rows['votes']}, made of {_made_of(config, tables, dataset)} -->\n"


_STAMP = re.compile(r"<!-- as of (?P<day>[\d-]+), votes (?P<votes>\d+), made of (?P<of>\w+) -->\s*\Z")


def _made_of(config: ArenaConfig, tables: Collection[str], dataset: str | None) -> str:
    """Changes with all of the card but its figures."""
    listed = [table for table in TABLES if table in tables]
    text = dumps(_metadata(config, listed)) + _prose(config, listed, dataset or ".", "", None)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(2)  # the same card is asked about at every commit, and to read it would hold up votes
def _is_later(card: str) -> bool:
    """Whether a later version of ours wrote it: its tables or columns are more than we know, and need to be there."""
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    try:
        listed = yaml.safe_load(front[1])["dataset_info"] if front else []
        more = {table["config_name"] for table in listed} - TABLES.keys()
        return bool(more and _STAMP.search(card)) or any(
            {column["name"] for column in table["features"]} > TABLES[table["config_name"]].keys()
            for table in listed if table["config_name"] in TABLES)  # fmt: skip
    except (yaml.YAMLError, KeyError, TypeError):
        return False  # somebody else's, or none of a table yet


def _metadata(config: ArenaConfig, tables: list[str]) -> dict[str, Any]:
    licence = config.hub.licence.lower()
    known = {"license": licence} if licence in HUB_LICENCES else {"license": "other", "license_name": licence}
    return {
        **known,
        "pretty_name": config.title,
        "task_categories": ["text-to-image"],
        "tags": ["text-to-image", "human-preferences", "arena", "leaderboard", "image-arena"],
        **({"configs": [_config(table) for table in tables]} if tables else {}),
        **({"dataset_info": [_info(table) for table in tables]} if tables else {}),
    }


def _config(table: str) -> dict[str, Any]:
    files = [{"split": "train", "path": f"data/{table}/**/*.parquet"}]
    return {"config_name": table, **({"default": True} if table == "votes" else {}), "data_files": files}


def _info(table: str) -> dict[str, Any]:
    columns = [{"name": column, **_type(TABLES[table][column], name)} for column, name in features(table).items()]
    return {"config_name": table, "features": columns}


def _type(kind: str, name: str) -> dict[str, Any]:
    inside = list_of(kind)
    if inside is None:
        return {"dtype": name}
    return {"list": inside if isinstance(inside, str) else [{"name": n, "dtype": t} for n, t in inside.items()]}


def _prose(config: ArenaConfig, tables: list[str], source: str, day: str, known: Figures | None) -> str:
    demo = [model for model in config.contenders if model.demo]
    parts = [
        f"# {config.title}",
        "People compared two images of one prompt without knowing which models had made them. This dataset holds "
        "every such vote, the images, the prompts, what some voters said of single images, and which votes were left out "
        "afterwards. All of it was collected by Image Arena, open-source software.",
        _demo_note(demo, config.contenders),
        "## How it was collected",
        "A prompt is drawn, then a pair of models with a recorded probability (`pair_probability`), and the sides "
        "at random. Both images are shown in one size and encoding. The names of the models are revealed only "
        "after the vote is stored. An image that failed or came out blank voids its battle and is never a loss. "
        "Voters appear as keyed hashes; only who signed in and agreed to be named has a `voter_name` in `extra`. What they "
        "asked to keep private is left out.",
        *(_size(known, day) if known else []),
        "## How to load it",
        "```python\n" + _loading(tables, source) + "```",
        "The leaderboard can be computed again from these votes alone, with Image Arena's code:",
        f"```sh\npython -m leaderboard {source}\n```",
        "## Models",
        _table(["id", "model", "by", "licence", ""], [_model(model) for model in config.contenders]),
        *(part for table in tables for part in _columns(table)),
        "## Biases and limits",
        "Who votes here chose to: they are not a sample of anybody, and nobody checks that one person is one voter. "
        "The prompts of the bank are the arena's own choice. Outcomes say which image was preferred, not why.",
        *(_biases(known, day) if known else []),
        "## To have your votes erased",
        _erasure(config),
        "## Licence",
        f"Votes, prompts and the collection: {config.hub.licence}. Each image comes under the terms of the model "
        "that drew it, named in its row.",
        "This card is written by the arena with every change; edit `arena.yaml`, not this file.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _size(known: Figures, day: str) -> list[str]:
    span = f", cast from {known.first} to {known.last}" if known.first else ""
    said = (
        f" {_n(known.feedback_voters, 'voter')} said something of {_n(known.feedback_images, 'image')}, in `feedback`."
    )
    rows = [[f"`{table}`", f"{count:,}"] for table, count in known.rows.items()]
    return [
        "## How much there is",
        f"As of {day}: {_n(known.rows['votes'], 'vote')} on {_n(known.models, 'model')}{span}. The main leaderboard "
        f"counts {known.counted:,} of them, by {_n(known.voters, 'voter')} on {_n(known.prompts, 'prompt')}."
        + (said if known.feedback_voters else ""),
        _table(["table", "rows"], rows),
        "The figures on this card are those of the arena that wrote it; where several publish here, each knows the "
        "others' votes as of its last look. The files are what counts.",
    ]


def _biases(known: Figures, day: str) -> list[str]:
    if not known.counted:
        return [f"As of {day} no vote counts yet, so there are no figures."]
    side = (
        (
            f"{known.side_a:.1%} of {known.decisive:,} votes for one side, 95% interval {known.side_a_low:.1%} to "
            f"{known.side_a_high:.1%}; 50% without a bias of position"
        )
        if known.decisive
        else "no vote for one side"
    )
    shares = [
        ["the most active voter", f"{known.most_active:.1%} of the votes"],
        ["the most active 10% of voters", f"{known.busiest_tenth:.1%} of the votes"],
        ["side a (left or on top) won", side],
        ["both good", f"{known.both_good:.1%} of the votes"],
        ["both bad", f"{known.both_bad:.1%} of the votes"],
        ["the prompt with most votes", f"{known.busiest_prompt:.1%} of the votes"],
        ["prompts that visitors wrote", f"{known.by_voters:.1%} of the votes"],
    ]  # fmt: skip
    categories = [[name or "(none)", f"{count:,}", f"{count / known.counted:.1%}"] for name, count in known.categories]
    return [
        f"Of the {known.counted:,} votes that count, as of {day}:",
        _table(["what", "share"], shares),
        _table(["category", "votes", "share"], categories),
    ]


def _n(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _erasure(config: ArenaConfig) -> str:
    whom = f"Write to {config.look.contact}" if config.look.contact else "Write to the people who run the arena"
    return (f"{whom}, or open a discussion on this page, and say which browser or account you voted with. Votes carry "
            "a keyed hash alone, so they are found from your side only. They are taken out of the current files and "
            "of the history of this dataset; copies that others have downloaded stay with them.")  # fmt: skip


def _demo_note(demo: list[ModelSettings], all_models: list[ModelSettings]) -> str:
    if not demo:
        return ""
    which = "All models are" if len(demo) == len(all_models) else f"{', '.join(f'`{m.id}`' for m in demo)}: these are"
    return f"> **Demonstration.** {which} tiny demonstration models; their results say nothing about real models."


def _loading(tables: list[str], source: str) -> str:
    lines = [f'{table} = load_dataset("{source}", "{table}", split="train")' for table in tables[:2]]
    return "\n".join(["from datasets import load_dataset", *lines]) + "\n"


def _model(model: ModelSettings) -> list[str]:
    name = f"[{model.name}]({model.url})" if model.url else model.name
    licence = f"[{model.licence}]({model.licence_url})" if model.licence_url else model.licence
    return [f"`{model.id}`", name, model.organisation, licence, "demonstration model" if model.demo else ""]


def _columns(table: str) -> list[str]:
    rows = [[f"`{column}`", kind, ABOUT_COLUMNS.get(column, "")] for column, kind in features(table).items()]
    return [f"## `{table}`", ABOUT_TABLES[table], _table(["column", "type", "meaning"], rows)]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
