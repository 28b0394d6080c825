"""Owns the figures of ratings: with their intervals, and over time."""

import plotly.graph_objects as go

from leaderboard.figures.parts import MARK, PALETTE, ROW, bars, label, layout, names_axis, nothing

SHOWN_AT_FIRST = 6  # lines of a history; the legend has the others
LABELLED = 14


def ratings(study, sheet):
    """Ratings with their 95% intervals, best on top; hollow where preliminary. Models without a rating are left out."""
    rows = [row for row in sheet.rows if row["rating"] is not None]
    if not rows:
        return nothing("No model has a finite rating yet" if sheet.rows else "No votes yet")
    models = [row["model"] for row in rows]
    figure = go.Figure(
        go.Scatter(
            x=[row["rating"] for row in rows],
            y=models,
            mode="markers",
            marker={
                "size": 10,
                "color": MARK,
                "line": {"color": MARK, "width": 2},
                "symbol": ["circle-open" if row["preliminary"] else "circle" for row in rows],
            },
            error_x=bars(rows, "rating", "rating_lower", "rating_upper") | {"color": MARK},
            meta={"models": models},
            customdata=[
                (
                    label(study.name(row["model"]), 60),
                    f"{row['rating']:.0f}",
                    f"{row['rating_lower']:.0f}",
                    f"{row['rating_upper']:.0f}",
                    f"{row['votes']:,}",
                    f"{row['win_rate']:.1%}",
                    " · preliminary" if row["preliminary"] else "",
                )
                for row in rows
            ],
            hovertemplate="<b>%{customdata[0]}</b>%{customdata[6]}<br>rating %{customdata[1]} (95%: %{customdata[2]} to "
            "%{customdata[3]})<br>%{customdata[4]} votes, win rate %{customdata[5]}<extra></extra>",
        )
    )
    return layout(
        figure,
        80 + ROW * len(rows),
        base=80,
        xaxis={"title": {"text": "rating (Elo points), 95% interval"}},
        yaxis=names_axis(models, [label(study.name(model)) for model in models], autorange="reversed"),
    )


def history(study, sheet):
    """A line a model over time in its interval's band, labelled at its end; the best are shown, the legend has all."""
    lines = {}
    for row in sheet.rows:
        if row["rating"] is not None:
            lines.setdefault(row["model"], []).append(row)
    if not lines:
        return nothing("No model has a finite rating yet" if sheet.rows else "No votes with a time yet")
    place = {row.model: at for at, row in enumerate(study.board.standings)}
    figure = go.Figure()
    for at, model in enumerate(sorted(lines, key=lambda model: place.get(model, len(place)))):
        _line(figure, study.name(model), model, lines[model], PALETTE[at % len(PALETTE)], at < SHOWN_AT_FIRST)
    return layout(
        figure,
        460,
        showlegend=True,
        legend={"orientation": "h", "y": -0.14, "yanchor": "top", "x": 0, "itemsizing": "constant"},
        margin={"l": 8, "r": 96, "t": 12, "b": 8},
        hovermode="closest",
        yaxis={"title": {"text": "rating (Elo points)"}},
        xaxis={"type": "date"},
    )


def _line(figure, name, model, rows, colour, shown):
    dates = [row["date"] for row in rows]
    visible = True if shown else "legendonly"
    upper = [row["rating"] if row["rating_upper"] is None else row["rating_upper"] for row in rows]
    lower = [row["rating"] if row["rating_lower"] is None else row["rating_lower"] for row in rows]
    figure.add_scatter(
        x=dates + dates[::-1],
        y=upper + lower[::-1],
        fill="toself",
        fillcolor=f"rgba({','.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))},0.14)",
        line={"width": 0},
        hoverinfo="skip",
        mode="lines",
        showlegend=False,
        legendgroup=model,
        visible=visible,
        meta={"model": model, "band": True},
    )
    figure.add_scatter(
        x=dates,
        y=[row["rating"] for row in rows],
        mode="lines+markers+text",
        text=[""] * (len(rows) - 1) + [f" {label(name, LABELLED)}"],
        textposition="middle right",
        textfont={"color": colour, "size": 11},
        cliponaxis=False,
        name=label(name, 30),
        legendgroup=model,
        visible=visible,
        line={"color": colour, "width": 2},
        marker={"size": 5, "color": colour},
        meta={"model": model},
        customdata=[
            (
                label(name, 60),
                f"{row['rating']:.0f}",
                *("–" if row[end] is None else f"{row[end]:.0f}" for end in ("rating_lower", "rating_upper")),
                f"{row['votes']:,}",
                str(row["rank"]) if row.get("rank") is not None else "–",
            )
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b>, %{x|%e %b %Y}<br>rating %{customdata[1]} (95%: %{customdata[2]} to "
        "%{customdata[3]})<br>rank %{customdata[5]}, %{customdata[4]} votes until then<extra></extra>",
    )
