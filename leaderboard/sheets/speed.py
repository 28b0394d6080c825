"""Owns the sheet of quality against speed, memory and size."""

from leaderboard.columns import plural
from leaderboard.sheet import Column, Sheet

COLUMNS = (
    Column("model", "model", "The contender."),
    Column("rating", "rating", "Its rating on the board.", "points"),
    Column("rating_lower", "from", "Lower end of the rating's 95% interval.", "points"),
    Column("rating_upper", "to", "Upper end of the rating's 95% interval.", "points"),
    Column("seconds", "seconds", "The median time of one image, on the hardware that made most images.", "number"),
    Column("seconds_lower", "from (s)", "Lower end of the median's 95% interval, by order statistics.", "number"),
    Column("seconds_upper", "to (s)", "Upper end of the median's 95% interval, by order statistics.", "number"),
    Column("images", "images", "Images of this model that were timed on that hardware.", "count"),
    Column("hardware", "hardware", "Where those images were made; seconds compare only on one hardware."),
    Column("memory_gb", "memory (GB)", "Peak memory, as said of the model by who runs it.", "number"),
    Column("parameters_b", "parameters (B)", "Billions of parameters, as said of the model.", "number"),
    Column("pareto_seconds", "best for its time", "No other model is both better rated and faster.", "flag"),
    Column("pareto_memory", "best for its memory", "No other model is both better rated and smaller.", "flag"),
)


def speed(study):
    """Every model with what it costs, best rated first."""
    found = study.speed
    rows = [
        {column.key: getattr(row, column.key) for column in COLUMNS if column.key != "hardware"}
        | {"hardware": found.hardware if row.images else None}
        for row in found.rows
    ]
    notes = []
    if found.hardware is None:
        notes.append("No image says how long it took, so there are no seconds.")
    if found.others:
        listed = ", ".join(f"{name} {count:,}" for name, count in found.others.items())
        notes.append(f"Images made on other hardware do not count here: {listed}.")
    if found.untimed:
        notes.append(f"{plural(found.untimed, 'image does', 'images do')} not say how long it took, or where.")
    return Sheet(
        "speed",
        "Quality against cost",
        "What a model's rating costs in time and memory. The flags go by the ratings alone and not by their intervals.",
        COLUMNS,
        tuple(rows),
        tuple(notes),
    )
