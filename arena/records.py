"""The frozen records that the parts hand to each other, and the published tables' columns.

Times are integer milliseconds since 1970 in UTC. `TABLES` is the one place that says which columns a
published table has; the ledger's DDL, the Parquet schemas and the dataset card are all derived from it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Winner = Literal["model_a", "model_b", "both_good", "both_bad"]
WINNERS: tuple[str, ...] = ("model_a", "model_b", "both_good", "both_bad")
COMPLEXITIES: tuple[str, ...] = ("simplified", "complex", "original")
Side = Literal["a", "b"]

# Column types: "string", "int64", "int8", "float32", "float64", "bool", "timestamp" (ms, UTC), "json" (a string
# that holds JSON), "image" (the datasets library's Image feature: struct<bytes, path>).
TABLES: dict[str, dict[str, str]] = {
    "votes": {
        "vote_id": "string", "battle_id": "string", "created_at": "timestamp", "prompt_id": "string",
        "prompt": "string", "category": "string", "sub_category": "string", "complexity": "string",
        "prompt_source": "string", "model_a": "string", "model_b": "string", "winner": "string",
        "image_a": "string", "image_b": "string", "voter": "string", "signed_in": "bool", "mode": "string",
        "served_from": "string", "pair_probability": "float64", "seconds_to_vote": "float32",
        "arena_version": "string", "extra": "json",
    },
    "images": {
        "image_id": "string", "image": "image", "prompt_id": "string", "prompt": "string", "category": "string",
        "sub_category": "string", "complexity": "string", "model": "string", "model_revision": "string",
        "seed": "int64", "width": "int64", "height": "int64", "settings": "json", "seconds": "float64",
        "hardware": "string", "created_at": "timestamp", "licence": "string", "extra": "json",
    },
    "prompts": {
        "prompt_id": "string", "prompt": "string", "category": "string", "sub_category": "string",
        "complexity": "string", "prompt_source": "string", "base_prompt_id": "string", "created_at": "timestamp",
        "extra": "json",
    },
    "exclusions": {"vote_id": "string", "reason": "string", "created_at": "timestamp", "extra": "json"},
}  # fmt: skip

# Why a standing vote may be left out; an exclusion is lifted by a later row with reason "restored".
EXCLUSION_REASONS: dict[str, str] = {
    "withdrawn": "the voter took it back as a slip, before their next vote",
    "erased": "its voter had it erased; the vote itself is gone",
    "restored": "an earlier exclusion of this vote no longer holds",
}


def new_id() -> str:
    """A fresh random id of 128 bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def content_id(data: bytes) -> str:
    """The id of an image: the first 128 bits of the SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def dumps(value: dict[str, Any]) -> str:
    """JSON with sorted keys, so that equal settings are equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Prompt:
    prompt_id: str
    prompt: str
    category: str
    sub_category: str
    complexity: str
    prompt_source: str  # "curated" or "voter"
    base_prompt_id: str
    created_at: int
    extra: str = "{}"

    @classmethod
    def make(cls, text: str, *, category: str = "", sub_category: str = "", complexity: str = "original",
             source: str = "curated", base: str = "", now: int = 0) -> Prompt:  # fmt: skip
        """A prompt whose id is a hash of what it says and how it is filed: the same row is the same prompt."""
        key = "\x1f".join((text, category, sub_category, complexity, source))
        return cls(hashlib.sha256(key.encode()).hexdigest()[:32], text, category, sub_category, complexity,
                   source, base, now)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """One generation. Its bytes are in the bank under `image_id`; `private` images are shown to one voter only
    and are never banked or published."""

    image_id: str
    prompt_id: str
    model: str
    model_revision: str
    seed: int
    width: int
    height: int
    settings: str  # JSON: every argument of the generation, and the versions of the libraries
    seconds: float
    hardware: str
    created_at: int
    licence: str
    private: bool = False
    extra: str = "{}"


@dataclass(frozen=True, slots=True)
class Battle:
    """Two images of one prompt on sides a and b, served to one voter; blind until voted."""

    battle_id: str
    voter: str
    prompt: Prompt
    image_a: Image
    image_b: Image
    mode: str  # "anonymous" now; "named" and "winner_stays" are in the schema
    served_from: str  # "bank" or "live"
    pair_probability: float  # that this pair of models was drawn, given its prompt
    created_at: int
    token_a: str = field(default_factory=new_id)  # the names under which the two images are served
    token_b: str = field(default_factory=new_id)

    def blind(self) -> BlindBattle:
        """What a browser may know before the vote. Anonymity lives here: nothing else is sent."""
        return BlindBattle(self.battle_id, self.prompt.prompt, self.prompt.category, self.prompt.sub_category,
                           self.prompt.complexity, self.token_a, self.token_b, self.served_from)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BlindBattle:
    battle_id: str
    prompt: str
    category: str
    sub_category: str
    complexity: str
    token_a: str
    token_b: str
    served_from: str
    hint: str = ""  # said beside the prompt, for instance that it is outside the demonstration models' world

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Vote:
    """One voter's outcome of one battle: exactly the published columns of `votes`."""

    vote_id: str
    battle_id: str
    created_at: int
    prompt_id: str
    prompt: str
    category: str
    sub_category: str
    complexity: str
    prompt_source: str
    model_a: str
    model_b: str
    winner: str
    image_a: str
    image_b: str
    voter: str
    signed_in: bool
    mode: str
    served_from: str
    pair_probability: float
    seconds_to_vote: float
    arena_version: str
    extra: str = "{}"


def arrow_schema(table: str, *, embed_images: bool = True):
    """The Arrow schema of a published table (a pyarrow.Schema). Raises KeyError for an unknown table."""
    import pyarrow as pa

    types = {
        "string": pa.string(), "json": pa.string(), "int64": pa.int64(), "int8": pa.int8(), "bool": pa.bool_(),
        "float32": pa.float32(), "float64": pa.float64(), "timestamp": pa.timestamp("ms", tz="UTC"),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }  # fmt: skip
    return pa.schema([(name, types[kind]) for name, kind in TABLES[table].items()
                      if embed_images or kind != "image"])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shard:
    """An immutable Parquet file of a published table, sealed on disk; `path` is its path in the dataset."""

    path: str
    table: str
    first_seq: int
    last_seq: int
    rows: int
    sha256: str
    sealed_at: int
