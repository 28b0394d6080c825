"""arena.yaml, read strictly: unknown keys, unknown values and contradictions are refused with their place.

`load_config(path)` returns an `ArenaConfig` or raises `ConfigError` with one line per mistake, for instance
`models[3].backend: unknown "difusers"; one of diffusers, zerogpu, http, fake`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from arena.campaign_config import (
    CampaignSettings,
    FeedbackSettings,
    GoldSettings,
    OverlapSettings,
    consistent,
    files_of,
)
from arena.errors import BadPrompt, ConfigError
from arena.guard import PromptRules
from arena.strict import Id, Strict, Text

Backend = Literal["diffusers", "zerogpu", "http", "fake"]


class ComponentSource(Strict):
    source: Text
    file: str | None = None
    subfolder: str | None = None
    revision: str | None = None


class PipelineSettings(Strict):
    """How a diffusers pipeline is loaded. `pipeline_class` is the class that the folder's model_index.json
    must name, checked before weights are read; None takes whatever it names."""

    pipeline_class: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    variant: str | None = None
    # A component taken from another repository, for instance a distilled UNet:
    # {"unet": {"source": "ByteDance/SDXL-Lightning", "file": "sdxl_lightning_4step_unet.safetensors"}}
    components: dict[str, ComponentSource] = {}
    # Scheduler arguments that replace the folder's own, for instance {"timestep_spacing": "trailing"}; another
    # scheduler altogether is named by "class".
    scheduler: dict[str, Any] = {}


class ModelSettings(Strict):
    """A contender. `id` is permanent: votes are filed under it."""

    id: Id
    name: Text
    organisation: Text
    family: Text
    licence: Text
    licence_url: str | None = None
    url: str | None = None
    backend: Backend = "diffusers"
    source: Text = Field(description="a local folder (relative to arena.yaml), a Hub repository id or, for http, a URL")
    revision: str | None = Field(None, description="a commit or tag of the Hub repository; recorded with every image")
    demo: bool = Field(False, description="a demonstration model: labelled as such wherever it shows")
    gated: bool = False
    parameters_b: float | None = Field(None, gt=0, description="size in billions of parameters")
    memory_gb: float | None = Field(None, gt=0, description="peak memory, for residency")
    pipeline: PipelineSettings = PipelineSettings()
    settings: dict[str, Any] = Field({}, description="arguments of the pipeline's call")
    batch: int | None = Field(None, ge=1, le=64, description="images in one call at most; by default what memory holds")
    provider: str | None = Field(None, description="http: the Inference Provider that serves it; by default any")
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None, description="http: the environment variable with the token; HF_TOKEN by default, for the Hub alone"
    )
    timeout_s: float | None = Field(None, gt=0, le=3600, description="http: seconds for one image; 120 by default")
    in_flight: int | None = Field(None, ge=1, le=256, description="http: requests at the same time; 4 by default")
    enabled: bool = True

    @model_validator(mode="after")
    def _keys_of_its_backend(self) -> ModelSettings:
        over_http = ("provider", "token_env", "timeout_s", "in_flight")
        foreign = ("pipeline", "batch") if self.backend == "http" else over_http
        wrong = [key for key in foreign if getattr(self, key) not in (None, PipelineSettings())]
        if wrong and self.backend != "fake":
            raise ValueError(f"{wrong[0]} says nothing to the backend {self.backend}")
        return self


class PromptSettings(Strict):
    """One curated prompt: either `prompt` alone, or a `simplified` and a `complex` text of the same idea."""

    prompt: Text | None = None
    simplified: Text | None = None
    complex: Text | None = None
    sub_category: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> PromptSettings:
        if bool(self.prompt) == bool(self.simplified or self.complex):
            raise ValueError("give either `prompt`, or `simplified` and/or `complex`")
        return self

    def texts(self) -> list[tuple[str, str]]:
        """(complexity, text) of each datapoint that this row makes."""
        pairs = (("original", self.prompt), ("simplified", self.simplified), ("complex", self.complex))
        return [(complexity, text) for complexity, text in pairs if text]


class CategorySettings(Strict):
    name: Text
    sub_categories: list[Text] = []
    prompts: list[PromptSettings] = []

    @model_validator(mode="after")
    def _known_sub_categories(self) -> CategorySettings:
        for i, row in enumerate(self.prompts):
            if row.sub_category and row.sub_category not in self.sub_categories:
                raise ValueError(f'prompts[{i}].sub_category: unknown "{row.sub_category}"; '
                                 f"one of {', '.join(self.sub_categories) or '(none are listed)'}")  # fmt: skip
        return self


class HubSettings(Strict):
    """Where votes are published. Without `dataset` the same shards are kept on the local disk only."""

    dataset: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    private: bool = False
    every_seconds: float = Field(65, ge=1, le=86_400, description="seconds between two commits, if anything is new")
    read_every_seconds: float = Field(
        300, ge=1, le=86_400, description="seconds between two looks at what other replicas published to the dataset"
    )
    licence: str = Field("cc-by-4.0", description="licence of the published dataset")
    compact: Literal["daily", "hourly", "never"] = Field(
        "daily", description="small shards of finished days, or hours, become large ones, in one commit"
    )
    squash: bool = Field(False, description="make the dataset's history one commit after every compaction")
    keep_days: float = Field(7, ge=0, description="days that published shards stay on the local disk as well")


class BankSettings(Strict):
    fill: bool = Field(True, description="generate missing images of curated prompts while nobody waits")
    display_px: int = Field(768, ge=64, le=2048, description="side of the square box that both images are shown in")
    seed: int = Field(0, ge=0, description="part of every image's seed; another number is another set of images")
    retire_after: int | None = Field(
        100, ge=1, description="votes after which an image is drawn no more and another one is made; null: never"
    )


class MatchmakingSettings(Strict):
    """Which pairs of models meet."""

    sampling: Literal["uniform", "active"] = Field(
        "uniform", description="every pair alike, or more often those whose next vote narrows the intervals most"
    )
    floor: float = Field(
        0.25, gt=0, le=1, description="active: the share of its uniform probability that every pair keeps"
    )
    different_families: bool = Field(
        True, description="pairs of different families only, where a prompt has images of two families"
    )
    overlap: OverlapSettings | None = Field(None, description="several voters for each pair of images; null: no rule")


class ClusterSettings(Strict):
    """What `python -m arena fill --ray` takes of a cluster."""

    gpus: float | None = Field(
        None, ge=0, le=16, description="share of a GPU, or how many, for each actor; by default 1 where there are any"
    )
    cpus: float = Field(1, gt=0, le=1024, description="processors that Ray sets aside for each actor")
    actors: int | None = Field(None, ge=1, description="actors at most; by default as many as the cluster has room for")
    block: int = Field(8, ge=1, le=1000, description="images that an actor makes before it hands them over")

    @model_validator(mode="after")
    def _whole_gpus(self) -> ClusterSettings:
        if self.gpus and self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus: {self.gpus:g} is neither a share of one GPU nor a whole number of them")
        return self


class LimitSettings(Strict):
    prompt_chars: int = Field(500, ge=1, le=2000)
    battle_hours: float = Field(24, gt=0)
    votes_per_minute: float = Field(40, gt=0)
    live_per_hour: float = Field(60, gt=0)
    live_queue: int = Field(20, ge=1, description="live requests that may wait; more are refused")
    blocked_words: list[str] = Field([], description="prompts with one of these words, in any case, are refused")


class LookSettings(Strict):
    tagline: str = "One prompt, two anonymous models. Which image is better?"
    accent: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#e4572e"
    contact: str | None = Field(None, description="where voters can ask for erasure; shown on the About page")
    examples: list[Text] = Field([], description="prompts to click under the box for one's own prompt")


class ArenaConfig(Strict):
    title: Text = "Image Arena"
    look: LookSettings = LookSettings()
    models: list[ModelSettings] = Field(min_length=2)
    categories: list[CategorySettings] = Field(min_length=1)
    hub: HubSettings = HubSettings()
    bank: BankSettings = BankSettings()
    matchmaking: MatchmakingSettings = MatchmakingSettings()
    cluster: ClusterSettings = ClusterSettings()
    limits: LimitSettings = LimitSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    campaign: CampaignSettings | None = Field(None, description="feedback collected on purpose; null: none")
    gold: GoldSettings | None = Field(None, description="tasks with a known answer; null: none")
    storage: Literal["auto", "disk", "bucket"] = Field(
        "auto", description="what the data folder is on: a disk, or a bucket or network share that is mounted there"
    )
    memory_gb: float | None = Field(None, gt=0, description="memory for loaded models; by default what the device has")

    @model_validator(mode="after")
    def _consistent(self) -> ArenaConfig:
        for what, names in (("models", [m.id for m in self.models]), ("categories", [c.name for c in self.categories])):
            twice = [name for name, n in Counter(names).items() if n > 1]
            if twice:
                raise ValueError(f'{what}: "{twice[0]}" is there twice; each must be unique')
        if self.cluster.gpus and self.cluster.gpus < 1 and self.memory_gb is None:
            raise ValueError("cluster.gpus: for a share of a GPU say with memory_gb what models may take of it")
        if sum(m.enabled for m in self.models) < 2:
            raise ValueError("models: a battle needs two enabled models")
        rules = PromptRules(self.limits.prompt_chars, self.limits.blocked_words)
        for i, category in enumerate(self.categories):
            for j, row in enumerate(category.prompts):
                for _, text in row.texts():
                    try:
                        rules.clean(text)
                    except BadPrompt as error:
                        raise ValueError(f"categories[{i}].prompts[{j}]: {error}") from None
        consistent(self.campaign, self.gold, self.feedback, self.matchmaking.overlap, self.category_names)
        return self

    @property
    def overlap(self) -> OverlapSettings | None:
        """How many voters get each pair: as the campaign says, else as `matchmaking` does."""
        return self.campaign.overlap if self.campaign and self.campaign.overlap else self.matchmaking.overlap

    @property
    def contenders(self) -> list[ModelSettings]:
        return [m for m in self.models if m.enabled]

    @property
    def category_names(self) -> list[str]:
        return [c.name for c in self.categories]


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, which YAML would silently overwrite."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise ConfigError(f'line {key_node.start_mark.line + 1}: "{key}" is there twice')
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_config(path: str | Path) -> ArenaConfig:
    """Read and check `path`. Raises ConfigError, whose text has one line per mistake."""
    path = Path(path)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; set ARENA_CONFIG or write an arena.yaml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name}: not valid YAML: {str(error).splitlines()[0]}"
                          + (f", line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else "")
                          ) from None  # fmt: skip
    if not isinstance(raw, dict):
        raise ConfigError(f"{path.name}: expected a mapping with `models` and `categories`, found {type(raw).__name__}")
    config = parse_config(raw, name=path.name)
    missing = [f"{path.name}: {place}: {file}: no such file" for place, file in files_of(config.campaign, config.gold)
               if not (path.parent / file).is_file()]  # fmt: skip
    if missing:
        raise ConfigError("\n".join(missing))
    return config


def parse_config(raw: dict[str, Any], *, name: str = "arena.yaml") -> ArenaConfig:
    try:
        return ArenaConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{name}: {_explain(e)}" for e in error.errors())) from None


def _explain(e: dict[str, Any]) -> str:
    """One of pydantic's errors as `place: what is wrong; what is allowed`."""
    where = e["loc"][:3] + e["loc"][4:] if e["loc"][:2] == ("gold", "tasks") else e["loc"]  # [3] is the task's kind
    place = re.sub(r"^\.", "", "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in where))
    found, context = e.get("input"), e.get("ctx", {})
    match e["type"]:
        case "literal_error":
            allowed = re.sub(r"'([^']*)'", r"\1", str(context["expected"]).replace(" or ", ", "))
            return f"{place}: unknown {_quote(found)}; one of {allowed}"
        case "extra_forbidden":
            return f"{place}: unknown key; see the comments in arena.yaml for the keys that exist here"
        case "missing":
            return f"{place}: is missing"
        case "union_tag_not_found":
            return place + f".{context['discriminator']}: is missing".replace("'", "")
        case "union_tag_invalid":
            said = f".{context['discriminator']}: unknown {_quote(context['tag'])}; one of {context['expected_tags']}"
            return place + said.replace("'", "")
        case "value_error":
            return ": ".join(part for part in (place, str(context["error"])) if part)
        case "string_pattern_mismatch":
            return f"{place}: {_quote(found)} does not match {context['pattern']}"
    return f"{place}: {e['msg'][0].lower()}{e['msg'][1:]}, found {_quote(found)}"


def _quote(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + '..."'


def json_schema() -> str:
    """The JSON schema that editors complete arena.yaml with (`arena/arena.schema.json`)."""
    return json.dumps(ArenaConfig.model_json_schema(), indent=1, ensure_ascii=False) + "\n"
