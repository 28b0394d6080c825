"""Owns the README.md of an export: what it is, where it came from, what was left out, and how it is loaded."""

import json
from pathlib import Path


def card(format_, material, written):
    """The README.md of an export, whose first lines name its files to the datasets library."""
    votes = material.votes
    head = {"tags": ["preference", "text-to-image", "image-arena"]}
    if getattr(format_, "COLUMNS", None):
        files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in written.splits]
        head["configs"] = [{"config_name": "default", "data_files": files}]
    # JSON is YAML: nothing that a source is called can break out of it.
    top = "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items())
    revision = f", commit {votes.revision}" if votes.revision else ""
    lines = [
        f"---\n{top}\n---",
        f"# {format_.NAME}",
        f"{format_.ABOUT[0].upper()}{format_.ABOUT[1:]}.",
        f"Written from `{_name(votes.source)}`{revision}: {len(votes):,} votes on {len(votes.models)} models.",
        "\n".join(f"- {split}: {rows:,} rows" for split, rows in written.splits.items()),
    ]
    if written.left_out:
        lines.append("Left out:\n" + "\n".join(f"- {n:,} {why}" for why, n in written.left_out.items()))
    if written.notes:
        lines.append("\n".join(f"- {note}" for note in written.notes))
    lines.append(f"Load it with:\n```\n{format_.TRAINS}\n```")
    return "\n\n".join(lines) + "\n"


def _name(source):
    """A source's name without the folders of somebody's machine, and in one line."""
    name = Path(source).name if Path(source).exists() else source
    return " ".join(str(name).replace("`", "'").split())
