"""Owns the Pareto figures: quality against the seconds of an image, and against memory."""

import math

import plotly.graph_objects as go

from leaderboard.figures.parts import MARK, TEXT, bars, label, layout, nothing

LABELLED = 16


def _pareto(study, sheet, key, best, axis, unit):
    """A dot a model; those that no other model beats in both ways are filled and joined by the frontier."""
    rows = [row for row in sheet.rows if row["rating"] is not None and row.get(key)]
    if not rows:
        return nothing(f"No model's {unit} are known" if unit == "seconds" else f"No model's {unit} is known")
    models = [row["model"] for row in rows]
    front = sorted((row for row in rows if row.get(best)), key=lambda row: row[key])
    figure = go.Figure()
    figure.add_scatter(
        x=[row[key] for row in front],
        y=[row["rating"] for row in front],
        mode="lines",
        line={"color": TEXT, "width": 1.5, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
        meta={"models": [row["model"] for row in front]},
    )
    figure.add_scatter(
        x=[row[key] for row in rows],
        y=[row["rating"] for row in rows],
        mode="markers+text",
        text=[f" {label(study.name(model), LABELLED)}" for model in models],
        textposition="top right",
        textfont={"size": 11, "color": TEXT},
        cliponaxis=False,
        marker={
            "size": 10,
            "color": MARK,
            "line": {"color": MARK, "width": 2},
            "symbol": ["circle" if row.get(best) else "circle-open" for row in rows],
        },
        error_y=bars(rows, "rating", "rating_lower", "rating_upper") | {"color": MARK, "thickness": 1.2, "width": 3},
        meta={"models": models, "first": [bool(row.get(best)) for row in rows]},
        customdata=[
            (
                label(study.name(row["model"]), 60),
                f"{row['rating']:.0f}",
                f"{row[key]:.3g} {unit}" if unit == "seconds" else f"{row[key]:.3g} GB",
                "<br>nothing here is both better and cheaper" if row.get(best) else "",
                f"<br>{label(row['hardware'], 60)}" if row.get("hardware") and unit == "seconds" else "",
            )
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>rating %{customdata[1]}, %{customdata[2]}%{customdata[4]}"
        "%{customdata[3]}<extra></extra>",
    )
    ticks = _ticks([row[key] for row in rows])
    return layout(
        figure,
        420,
        margin={"l": 8, "r": 110, "t": 24, "b": 8},
        xaxis={"type": "log", "title": {"text": axis}, "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]},
        yaxis={"title": {"text": "rating (Elo points)"}},
    )


def _ticks(values):
    """1, 2 and 5 times the powers of ten around these values."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    return [round(lead * 10.0**power, 9) for power in powers for lead in (1, 2, 5)]


def pareto_seconds(study, sheet):
    """Rating against the median seconds of an image, on a log scale."""
    return _pareto(study, sheet, "seconds", "pareto_seconds", "seconds an image (log scale)", "seconds")


def pareto_memory(study, sheet):
    """Rating against the memory that a model takes, on a log scale."""
    return _pareto(study, sheet, "memory_gb", "pareto_memory", "memory, GB (log scale)", "memory")
