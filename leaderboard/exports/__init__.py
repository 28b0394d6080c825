"""Owns the table of exports, EXPORTS: what trainers and other data sets load unchanged, each from one source.

An export is a module with `NAME`, `ABOUT`, `TRAINS` (how it is loaded, one line) and `write(material, out)`, which
writes the files of one format into the folder `out` and returns Written. To add one, write its module and its row.
"""

import shutil
from pathlib import Path

from leaderboard import errors
from leaderboard.exports import (
    diffusers_dpo,
    imagereward,
    lora,
    open_image_preferences,
    open_image_preferences_binarized,
    pick_a_pic,
    rapidata_pairs,
    rapidata_rich,
    richhf,
)
from leaderboard.exports.base import Material, Written
from leaderboard.exports.card import card

__all__ = ["EXPORTS", "Material", "Written", "export"]

EXPORTS = {
    module.NAME: module
    for module in (
        diffusers_dpo,
        pick_a_pic,
        open_image_preferences,
        open_image_preferences_binarized,
        rapidata_pairs,
        imagereward,
        lora,
        rapidata_rich,
        richhf,
    )
}


def export(material, name, out):
    """Write Material in the format `name` into the new folder `out`; the Written.

    The folder appears whole or not at all. Raises errors.UnknownChoice for a format that is in no table,
    errors.NothingToExport where no row would be left, and errors.Unwritable where `out` holds files already.
    """
    if name not in EXPORTS:
        raise errors.UnknownChoice(f"{name!r} is no format to export to; known are {', '.join(EXPORTS)}")
    out = Path(out).expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.Unwritable(f"{out}: is there already; name a folder that is new or empty")
    scratch = out.with_name(f".{out.name}.unfinished")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        written = EXPORTS[name].write(material, scratch)
        for what, count in material.pairs.left_out.items():
            written.leave_out(what, count)
        for why, count in material.votes.left_out.items():
            written.leave_out(f"votes that do not count ({why})", count)
        if not written.rows:
            why = ", ".join(f"{count:,} {what}" for what, count in written.left_out.items())
            raise errors.NothingToExport(f"{material.votes.source}: nothing to write as {name} ({why or 'no votes'})")
        (scratch / "README.md").write_text(card(EXPORTS[name], material, written), encoding="utf-8")
        if out.exists():
            out.rmdir()
        scratch.replace(out)
    except OSError as error:
        raise errors.Unwritable(f"{out}: {' '.join(str(error).split())}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return written
