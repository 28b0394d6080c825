"""Owns the table of views, FIGURES: each draws one plotly figure of a Leaderboard.

Backgrounds are transparent and text, grid and marks have mid tones that read on light and dark; a page may
restyle them by its own CSS (see leaderboard.ui). Every mark and cell says its counts on hovering. To add a
view, write the function and its row; the page reads the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

TEXT, GRID, MARK = "#76808f", "rgba(128,138,152,0.28)", "#4a86e8"
DIVERGING = ((0.0, "#b4552d"), (0.25, "#d99b78"), (0.5, "#c9cdd4"), (0.75, "#7ba4dd"), (1.0, "#2c62b8"))
SEQUENTIAL = ((0.0, "#ccd8ea"), (1.0, "#2c62b8"))
LONGEST_LABEL = 18
MOST_CELLS_WITH_TEXT = 14  # columns beyond which a phone's cells are too small for two digits
MOST_CELLS_WITH_COUNTS = 9  # and for three


@dataclass(frozen=True)
class View:
    """A row of FIGURES: its heading, one sentence on how to read it, and Leaderboard -> plotly Figure."""

    title: str
    caption: str
    draw: Callable


def label(text, longest=LONGEST_LABEL):
    """A short label, safe in plotly's text, which reads tags."""
    return escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def _layout(figure, height, **more):
    figure.update_layout(
        autosize=True,
        height=height,
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 12},
        hoverlabel={"bgcolor": "#1d2330", "bordercolor": "#1d2330", "font": {"color": "#f4f6fa"}, "align": "left"},
        dragmode=False,
        **more,
    )
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True, "fixedrange": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def nothing(text="No votes yet"):
    """The figure of a board with nothing to show."""
    figure = go.Figure()
    figure.add_annotation(
        text=text, showarrow=False, font={"size": 14, "color": TEXT}, x=0.5, y=0.5, xref="paper", yref="paper"
    )
    return _layout(figure, 160, xaxis={"visible": False}, yaxis={"visible": False})


def standings(board):
    """Ratings with their 95% intervals, best on top; hollow where preliminary. Models without a rating are left out."""
    rows = [row for row in board.standings if row.rating is not None]
    if not rows:
        return nothing("No model has a finite rating yet" if board.standings else "No votes yet")
    figure = go.Figure(
        go.Scatter(
            x=[row.rating for row in rows],
            y=list(range(len(rows))),
            mode="markers",
            marker={
                "size": 10,
                "color": MARK,
                "line": {"color": MARK, "width": 2},
                "symbol": ["circle-open" if row.preliminary else "circle" for row in rows],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "thickness": 2,
                "width": 5,
                "color": MARK,
                "array": [row.rating_upper - row.rating for row in rows],
                "arrayminus": [row.rating - row.rating_lower for row in rows],
            },
            customdata=[
                (
                    label(board.name(row.model), 60),
                    f"{row.rating:.0f}",
                    f"{row.rating_lower:.0f}",
                    f"{row.rating_upper:.0f}",
                    f"{row.votes:,}",
                    f"{row.win_rate:.1%}",
                    " · preliminary" if row.preliminary else "",
                )
                for row in rows
            ],
            hovertemplate="<b>%{customdata[0]}</b>%{customdata[6]}<br>rating %{customdata[1]} (95%: %{customdata[2]} to "
            "%{customdata[3]})<br>%{customdata[4]} votes, win rate %{customdata[5]}<extra></extra>",
        )
    )
    return _layout(
        figure,
        90 + 30 * len(rows),
        xaxis={"title": {"text": "rating (Elo points), 95% interval"}},
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(rows))),
            "ticktext": [label(board.name(row.model)) for row in rows],
            "range": [len(rows) - 0.4, -0.6],
        },
    )


def _heatmap(shares, texts, hovers, scale, low, high, bar, most=MOST_CELLS_WITH_TEXT):
    wide = max(len(line) for line in shares) > most
    return go.Heatmap(
        z=shares,
        text=texts,
        customdata=hovers,
        hovertemplate="%{customdata}<extra></extra>",
        texttemplate=None if wide else "%{text}",
        textfont={"size": 10},
        colorscale=scale,
        zmin=low,
        zmax=high,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        showscale=wide,
        colorbar={
            "title": {"text": bar},
            "thickness": 10,
            "outlinewidth": 0,
            "orientation": "h",
            "y": 0,
            "yanchor": "top",
            "len": 0.7,
            "ypad": 8,
        },
    )


def _matrix(heat, down, across, angle=0):
    """The heatmap under its column labels; a scale below it where its cells are too small for numbers."""

    def axis(labels):
        return {
            "tickmode": "array",
            "tickvals": list(range(len(labels))),
            "ticktext": labels,
            "showgrid": False,
            "zeroline": False,
            "ticklabeloverflow": "allow",
        }

    return _layout(
        go.Figure(heat),
        (130 if angle else 40) + 60 * bool(heat.showscale) + 30 * len(down),
        xaxis={**axis(across), "side": "top", "tickangle": angle},
        yaxis={**axis(down), "autorange": "reversed"},
    )


def categories(board):
    """Win rate of each model (rows, best on top) in each category (columns)."""
    models, names = [row.model for row in board.standings], list(board.groups)
    if not models or not names:
        return nothing("No vote has a category yet" if models else "No votes yet")
    shares, texts, hovers = [], [], []
    found = {name: {row.model: row for row in group.standings} for name, group in board.groups.items()}
    for model in models:
        line = [found[name].get(model) for name in names]
        shares.append([row and row.win_rate for row in line])
        texts.append([f"{100 * row.win_rate:.0f}" if row else "" for row in line])
        hovers.append(
            [
                f"<b>{label(board.name(model), 60)}</b> in {label(name, 60)}<br>win rate {row.win_rate:.1%} of "
                f"{row.votes:,} votes<br>{row.wins:,} won, {row.losses:,} lost, {row.both_good:,} both good, "
                f"{row.both_bad:,} both bad"
                if row
                else ""
                for name, row in zip(names, line, strict=True)
            ]
        )
    heat = _heatmap(shares, texts, hovers, DIVERGING, 0.0, 1.0, "win rate")
    return _matrix(heat, [label(board.name(model)) for model in models], [label(name) for name in names], -45)


def _pairs(board):
    """Both directions of every pair that met: {(row, column): (share, votes, lower, upper)}."""
    found = {}
    for pair in board.pairs:
        found[pair.model_a, pair.model_b] = pair.win_rate_a, pair.votes, pair.lower, pair.upper
        found[pair.model_b, pair.model_a] = 1 - pair.win_rate_a, pair.votes, 1 - pair.upper, 1 - pair.lower
    return found


def _pair_matrix(board, value, text, scale, low, high, bar, most=MOST_CELLS_WITH_TEXT):
    """A row and a column a model; the columns carry the rows' numbers, for names would not fit on a phone."""
    models, met = [row.model for row in board.standings], _pairs(board)
    if not met:
        return nothing()

    def hover(a, b):
        share, votes, lower, upper = met[a, b]
        return (
            f"<b>{label(board.name(a), 60)}</b> against {label(board.name(b), 60)}<br>took {share:.1%} of "
            f"{votes:,} votes<br>95%: {lower:.1%} to {upper:.1%}"
        )

    def cells(show, empty=""):
        return [[show(a, b) if (a, b) in met else empty for b in models] for a in models]

    heat = _heatmap(
        cells(lambda a, b: value(met[a, b]), None),
        cells(lambda a, b: text(met[a, b])),
        cells(hover),
        scale,
        low,
        high,
        bar,
        most,
    )
    numbers = [str(number) for number in range(1, len(models) + 1)]
    return _matrix(
        heat, [f"{label(board.name(model))}  {number}" for model, number in zip(models, numbers, strict=True)], numbers
    )


def win_fractions(board):
    """The share of its battles that the row's model took from the column's, half of each draw."""
    return _pair_matrix(
        board, lambda pair: pair[0], lambda pair: f"{100 * pair[0]:.0f}", DIVERGING, 0.0, 1.0, "share of the row"
    )


def pair_counts(board):
    """How often each two models met."""
    most = max((pair.votes for pair in board.pairs), default=1)
    return _pair_matrix(
        board, lambda pair: pair[1], lambda pair: f"{pair[1]:,}", SEQUENTIAL, 0, most, "votes", MOST_CELLS_WITH_COUNTS
    )


FIGURES = {
    "standings": View(
        "Ratings", "The dot is the rating, the bar its 95% interval; hollow dots are preliminary.", standings
    ),
    "categories": View("At a glance", "Win rates in percent: blue above one half, brown below.", categories),
    "win-fractions": View(
        "Head to head",
        "Percent of battles that the row's model took from the column's, which has the row's number; a draw is half.",
        win_fractions,
    ),
    "pair-counts": View("How often they met", "Battles of each two models: rows and columns alike.", pair_counts),
}
