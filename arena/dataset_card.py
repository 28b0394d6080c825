"""The published dataset's card: README.md with the metadata that `datasets.load_dataset` goes by, and prose.

The metadata lists only tables with at least one shard, as a config without files cannot be loaded, and gives the
type of every column, so that shards written before a column was added still load beside those written after.
The text holds no counts and no dates: it changes only when the arena or the set of tables does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import yaml

from arena.config import ArenaConfig, ModelSettings
from arena.records import EXCLUSION_REASONS, TABLES, WINNERS
from arena.shards import features

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
    "prompts": "One row a prompt, as it is filed.",
    "exclusions": "Votes that do not count, and why. Rows of `votes` are never changed or deleted: a vote is left "
                  "out from its row here on, until a later row with the reason `restored`.",
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
    "prompt_source": "`curated`, or `voter` for one that a visitor wrote",
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
    "pair_probability": "probability with which this pair of models was drawn, given its prompt",
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
    "reason": ", ".join(f"`{code}` ({why})" for code, why in EXCLUSION_REASONS.items()),
    "extra": "JSON: what has no column of its own; in votes voter_name, the user name of a voter who signed in and "
    "agreed to be named",
}


def dataset_card(config: ArenaConfig, tables: Collection[str], *, dataset: str | None) -> str:
    """The card for `tables` of the Hub dataset `dataset` (None: the copy in a local folder)."""
    listed = [table for table in TABLES if table in tables]
    front = yaml.safe_dump(_metadata(config, listed), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{front}---\n\n{_prose(config, listed, dataset or '.')}"


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
    columns = [{"name": column, "dtype": kind} for column, kind in features(table).items()]
    return {"config_name": table, "features": columns}


def _prose(config: ArenaConfig, tables: list[str], source: str) -> str:
    demo = [model for model in config.contenders if model.demo]
    contact = f" To have your votes taken out, write to {config.look.contact}." if config.look.contact else ""
    parts = [
        f"# {config.title}",
        "People compared two images of one prompt without knowing which models had made them. This dataset holds "
        "every such vote, the images, the prompts, and which votes were left out afterwards. The votes were taken "
        "by Image Arena, open-source software.",
        _demo_note(demo, config.contenders),
        "## How it was collected",
        "A prompt is drawn, then a pair of models with a recorded probability (`pair_probability`), and the sides "
        "at random. Both images are shown in one size and encoding. The names of the models are revealed only "
        "after the vote is stored. An image that failed or came out blank voids its battle and is never a loss. "
        "Voters appear as keyed hashes; only who signed in and agreed to be named has a `voter_name` in `extra`. What they "
        "asked to keep private is left out." + contact,
        "## How to load it",
        "```python\n" + _loading(tables, source) + "```",
        "The leaderboard can be computed again from these votes alone, with Image Arena's code:",
        f"```sh\npython -m leaderboard {source}\n```",
        "## Models",
        _table(["id", "model", "by", "licence", ""], [_model(model) for model in config.contenders]),
        *(part for table in tables for part in _columns(table)),
        "## Licence",
        f"Votes, prompts and the collection: {config.hub.licence}. Each image comes under the terms of the model "
        "that drew it, named in its row.",
        "This card is written by the arena with every change; edit `arena.yaml`, not this file.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


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
