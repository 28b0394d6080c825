"""Owns what the figures share: colours, the layout, labels, and how a mark says which models it stands for.

Backgrounds are transparent; text, grid and marks have mid tones that read on light and dark, and the page puts its
theme's own text and grid in their place. A trace's `meta` tells the page what it shows, so that it can hide models
and open battles without asking: `models` (an id a point; on a phone only those in `first` keep their text), `model` (the whole trace, with `label` and the `range` of its axis, where it is a line), or, in a matrix, `rows`,
`columns` and `battles`, the two keys of a selection (see leaderboard.battles) that a cell's row and column stand for.
`layout.meta` holds `base` and `row`, the height without rows and of one row.
"""

from html import escape

import plotly.graph_objects as go

TEXT, GRID, MARK = "#76808f", "rgba(128,138,152,0.28)", "#4a86e8"
DIVERGING = ((0.0, "#b4552d"), (0.25, "#d99b78"), (0.5, "#c9cdd4"), (0.75, "#7ba4dd"), (1.0, "#2c62b8"))
SEQUENTIAL = ((0.0, "#ccd8ea"), (1.0, "#2c62b8"))
PALETTE = ("#3f7fd6", "#d9673c", "#2f9e77", "#a267c9", "#b98a12", "#d1578f", "#3f9bb3", "#858b2e", "#b0655a", "#6f7bd8")
LONGEST_LABEL, LONGEST_ROW = 18, 28  # of a column and of a row; a phone cuts rows like columns
ROW = 30


def label(text, longest=LONGEST_LABEL):
    """A short label, safe in plotly's text, which reads tags."""
    text = str(text)
    return escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def layout(figure, height, *, base=None, **more):
    """The look of every figure; `base` is its height without rows, where the page may hide some of them."""
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
        template="none",
        meta=None if base is None else {"base": base, "row": ROW},
    )
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "automargin": True, "fixedrange": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(**more)
    return figure


def nothing(text="No votes yet"):
    """The figure of a source with nothing to show."""
    figure = go.Figure()
    figure.add_annotation(
        text=text, showarrow=False, font={"size": 14, "color": TEXT}, x=0.5, y=0.5, xref="paper", yref="paper"
    )
    return layout(figure, 140, xaxis={"visible": False}, yaxis={"visible": False})


def names_axis(keys, labels, **more):
    """An axis of names: `keys` tell them apart, `labels` are shown."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(keys),
        "tickmode": "array",
        "tickvals": list(keys),
        "ticktext": list(labels),
        "showgrid": False,
        **more,
    }


def down(count):
    """The range of an axis of `count` rows that begins at the top; the page fits it to the rows that it shows."""
    return [count - 0.4, -0.6]


def bars(rows, key, lower, upper):
    """Error bars from the ends of intervals; a missing end has none."""

    def reach(row, end, sign):
        return 0 if row[end] is None or row[key] is None else sign * (row[end] - row[key])

    return {
        "type": "data",
        "symmetric": False,
        "thickness": 2,
        "width": 5,
        "array": [reach(row, upper, 1) for row in rows],
        "arrayminus": [reach(row, lower, -1) for row in rows],
    }
