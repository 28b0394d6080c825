"""Owns what is known of the models besides their votes, from a file that the reader gives."""

import csv
import json
from pathlib import Path

from leaderboard import errors

TEXTS = ("name", "organisation", "licence", "licence_url", "family", "url")
NUMBERS = ("parameters_b", "memory_gb")
KEYS = ("id", *TEXTS, *NUMBERS, "demo")


def read_models(path, present=()):
    """A .yaml, .json or .csv file -> {id: what is known of that model}, as a Study takes it.

    The file is a list of rows with an `id` (or `model`), a mapping of ids to rows, or the configuration of an arena,
    whose list `models` is taken and whose other keys are left alone. `present` are the models of the votes: a file
    that knows none of them is refused. Raises errors.SourceNotFound, UnknownFileType, Unreadable and BadModels.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise errors.SourceNotFound(f"{path}: no such file of models")
    if path.suffix.lower() not in READERS:
        raise errors.UnknownFileType(f"{path}: a file of models ends in one of {', '.join(READERS)}")
    try:
        content = READERS[path.suffix.lower()](path)
    except (OSError, ValueError, csv.Error) as error:
        raise errors.Unreadable(f"{path}: {' '.join(str(error).split())[:200]}") from error
    try:
        models = dict(_model(row, strict) for row, strict in _rows(content))
    except errors.BadModels as error:
        raise errors.BadModels(f"{path}: {error}") from None
    if present and not set(models) & set(present):
        raise errors.BadModels(
            f"{path}: none of its ids is a model of these votes (it has {', '.join(list(models)[:5]) or 'none'}; the "
            f"votes have {', '.join(present[:5])})"
        )
    return models


def _rows(content):
    """(row, whether its keys must all be known) of each model."""
    strict = True
    if isinstance(content, dict) and isinstance(content.get("models"), list):
        content, strict = content["models"], False
    elif isinstance(content, dict):
        content = [row | {"id": key} if isinstance(row, dict) else row for key, row in content.items()]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise errors.BadModels("neither a list of models nor a mapping of ids to what is known of them")
    return [(row, strict) for row in content]


def _model(row, strict):
    row = {("id" if key == "model" else key): cell for key, cell in row.items()}
    name = str(row.get("id") or "").strip()
    if not name:
        raise errors.BadModels(f"a model has no id: {str(row)[:80]}")
    unknown = [str(key) for key in row if key not in KEYS]
    if unknown and strict:
        raise errors.BadModels(f"model {name}: unknown {', '.join(unknown)}; known are {', '.join(KEYS)}")
    found = {key: str(row[key]) for key in TEXTS if row.get(key) not in (None, "")}
    for key in NUMBERS:
        if row.get(key) not in (None, ""):
            found[key] = _positive(row[key], f"model {name}: {key}")
    if str(row.get("demo", "")).lower() in ("true", "1"):
        found["demo"] = True
    return name, found


def _positive(value, where):
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < 1e6:
        raise errors.BadModels(f"{where} is {str(value)[:40]!r}, which is no positive number")
    return number


def _yaml(path):
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error


def _json(path):
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


READERS = {".yaml": _yaml, ".yml": _yaml, ".json": _json, ".csv": _csv}
