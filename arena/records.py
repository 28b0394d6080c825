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
# that holds JSON), "image" (the datasets library's Image feature: struct<bytes, path>), "list<int32>", and
# "list<point>" (each point a struct of x and y, both float32).
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
    "feedback": {
        "feedback_id": "string", "created_at": "timestamp", "battle_id": "string", "image_id": "string",
        "prompt_id": "string", "prompt": "string", "model": "string", "voter": "string", "style": "int8",
        "coherence": "int8", "alignment": "int8", "misaligned_words": "list<int32>",
        "coherence_points": "list<point>", "alignment_points": "list<point>", "extra": "json",
    },
    "prompts": {
        "prompt_id": "string", "prompt": "string", "category": "string", "sub_category": "string",
        "complexity": "string", "prompt_source": "string", "base_prompt_id": "string", "created_at": "timestamp",
        "extra": "json",
    },
    "exclusions": {"vote_id": "string", "reason": "string", "created_at": "timestamp", "extra": "json"},
}  # fmt: skip

CRITERIA = ("style", "coherence", "alignment")
POINTS_AT_MOST = 3  # that one feedback places for one criterion
POINT_DIGITS = 4  # decimals of a point's place; float32 keeps them
# Columns that are null where the voter was not asked, or gave nothing; every other one has a value in every row.
OPTIONAL = frozenset((*CRITERIA, "misaligned_words", "coherence_points", "alignment_points"))

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


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def dumps(value: dict[str, Any] | list[Any]) -> str:
    """JSON with sorted keys, so that equal settings are equal text."""
    return _encode(value)


@dataclass(frozen=True, slots=True)
class Prompt:
    prompt_id: str
    prompt: str
    category: str
    sub_category: str
    complexity: str
    prompt_source: str  # "curated", "voter", or "gold" for a task with a known answer
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
    pair_probability: float  # that this pair of models was drawn, given its prompt and what could be shown of it
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
    owed: dict[str, Any] | None = None  # {"winner", "sides"}: it has its vote, and lacks feedback on these sides

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


@dataclass(frozen=True, slots=True)
class Point:
    """A place in an image: shares of its width and height, from the top left."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one voter says of one image of a battle: exactly the published columns of `feedback`. Raises ValueError
    for what no feedback can hold."""

    feedback_id: str
    created_at: int
    battle_id: str
    image_id: str
    prompt_id: str
    prompt: str
    model: str
    voter: str
    style: int | None  # 1 to 5, higher is better, as the next two; None where not given
    coherence: int | None  # 6 minus what was answered to "how many errors?"
    alignment: int | None
    misaligned_words: tuple[int, ...] | None  # places in `prompt.split()`; () says "no mistakes", None "not asked"
    coherence_points: tuple[Point, ...] | None
    alignment_points: tuple[Point, ...] | None
    extra: str = "{}"

    def __post_init__(self) -> None:
        for name in CRITERIA:
            rating = getattr(self, name)
            if rating is not None and not 1 <= rating <= 5:
                raise ValueError(f"{name}: {rating} is not a rating from 1 to 5")
        words = self.misaligned_words or ()
        if len(set(words)) < len(words) or min(words, default=0) < 0:
            raise ValueError("misaligned_words: a word is there twice, or its place is negative")
        if self.prompt and max(words, default=-1) >= len(self.prompt.split()):
            raise ValueError(f"misaligned_words: the prompt has {len(self.prompt.split())} words")
        for name in ("coherence_points", "alignment_points"):
            points = getattr(self, name) or ()
            if len(points) > POINTS_AT_MOST:
                raise ValueError(f"{name}: {len(points)} points; at most {POINTS_AT_MOST} are allowed")
            if not all(0 <= place <= 1 for point in points for place in (point.x, point.y)):
                raise ValueError(f"{name}: a point lies outside of the image")


def feedback_id(vote_id: str, side: Side) -> str:
    """The id of the feedback that goes with a vote's image on this side. There can be only one, wherever it is given,
    and who has the vote's id, as the exclusion of an erased vote has, can tell its feedback."""
    return hashlib.sha256(f"{vote_id}\x1f{side}".encode()).hexdigest()[:32]


def arrow_schema(table: str, *, embed_images: bool = True):
    """The Arrow schema of a published table (a pyarrow.Schema). Raises KeyError for an unknown table."""
    import pyarrow as pa

    types = {
        "string": pa.string(), "json": pa.string(), "int64": pa.int64(), "int8": pa.int8(), "bool": pa.bool_(),
        "float32": pa.float32(), "float64": pa.float64(), "timestamp": pa.timestamp("ms", tz="UTC"),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]), "list<int32>": pa.list_(pa.int32()),
        "list<point>": pa.list_(pa.struct([("x", pa.float32()), ("y", pa.float32())])),
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
