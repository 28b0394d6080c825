"""Owns the figures of ratings: with their intervals, and over time."""

import plotly.graph_objects as go

from leaderboard.figures.parts import LONGEST_ROW, MARK, PALETTE, ROW, bars, down, label, layout, names_axis, nothing

SHOWN_AT_FIRST = 6  # lines of a history; a reader may add the others
MARKED = 60  # moments beyond which a line needs no dots
LABELLED = 15
WIDEST = 3  # times the median interval: what is wider may be cut off


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
        yaxis=names_axis(models, [label(study.name(model), LONGEST_ROW) for model in models], range=down(len(models))),
    )


def history(study, sheet):
    """A line a model over time in its interval's band, labelled at its end; the page lets a reader choose the lines."""
    lines = {}
    for row in sheet.rows:
        if row["rating"] is not None:
            lines.setdefault(row["model"], []).append(row)
    if not lines:
        return nothing("No model has a finite rating yet" if sheet.rows else "No votes with a time yet")
    place = {row.model: at for at, row in enumerate(study.board.standings)}
    figure = go.Figure()
    lines = {model: lines[model] for model in sorted(lines, key=lambda model: place.get(model, len(place)))}
    for at, model in enumerate(lines):
        _line(figure, study.name(model), model, lines[model], PALETTE[at % len(PALETTE)], at < SHOWN_AT_FIRST)
    shown = [row for model in list(lines)[:SHOWN_AT_FIRST] for row in lines[model]]
    return layout(
        figure,
        440,
        margin={"l": 8, "r": 108, "t": 12, "b": 8},
        hovermode="closest",
        yaxis={
            "title": {"text": "rating (Elo points)"},
            "range": _range(shown),
        },
        xaxis={"type": "date"},
    )


def _ends(row):
    """(lower, upper) of a row's interval, its rating where an end is not known."""
    return tuple(row["rating"] if row[end] is None else row[end] for end in ("rating_lower", "rating_upper"))


def _range(rows):
    """Room for every rating and the usual intervals; the widest ones, of the first days, may leave the picture."""
    widths = sorted(upper - lower for lower, upper in map(_ends, rows))
    usual = WIDEST * widths[len(widths) // 2]
    shown = [
        end for row in rows for end in (*(_ends(row) if _ends(row)[1] - _ends(row)[0] <= usual else ()), row["rating"])
    ]
    room = 0.04 * (max(shown) - min(shown)) or 1.0
    return [min(shown) - room, max(shown) + room]


def _line(figure, name, model, rows, colour, shown):
    dates = [row["date"] for row in rows]
    lower, upper = zip(*map(_ends, rows), strict=True)
    figure.add_scatter(
        x=dates + dates[::-1],
        y=[*upper, *lower[::-1]],
        fill="toself",
        fillcolor=f"rgba({','.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))},0.14)",
        line={"width": 0},
        hoverinfo="skip",
        mode="lines",
        visible=shown,
        meta={"model": model},
    )
    figure.add_scatter(
        x=dates,
        y=[row["rating"] for row in rows],
        mode="lines+markers" if len(rows) <= MARKED else "lines",
        name=label(name, LABELLED),
        visible=shown,
        line={"color": colour, "width": 2},
        marker={"size": 5, "color": colour},
        meta={"model": model, "label": label(name, LABELLED), "range": _range(rows)},
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
