"""Owns the figures that are matrices: win rates by category, shares and counts head to head."""

import plotly.graph_objects as go

from leaderboard.figures.parts import DIVERGING, LONGEST_ROW, ROW, SEQUENTIAL, label, layout, names_axis, nothing

MOST_CELLS_WITH_TEXT = 14  # columns beyond which a phone's cells are too small for two digits
MOST_CELLS_WITH_COUNTS = 12  # and for three


def _heatmap(rows, columns, cells, scale, low, high, bar, meta, most=MOST_CELLS_WITH_TEXT):
    """`cells[row, column]` is (value, text, hover); what is not there stays empty."""
    wide = len(columns) > most

    def of(part, empty):
        return [[cells[a, b][part] if (a, b) in cells else empty for b in columns] for a in rows]

    return go.Heatmap(
        z=of(0, None),
        x=list(columns),
        y=list(rows),
        text=of(1, ""),
        customdata=of(2, ""),
        meta={"rows": list(rows), "columns": list(columns), **meta},
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
            "title": {"text": bar, "side": "top"},
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
    base = (130 if angle else 40) + 60 * bool(heat.showscale)
    return layout(
        go.Figure(heat),
        base + ROW * len(down),
        base=base,
        xaxis=names_axis(heat.x, across, side="top", tickangle=angle, ticklabeloverflow="allow"),
        yaxis=names_axis(heat.y, down, autorange="reversed", ticklabeloverflow="allow"),
    )


def categories(study, sheet):
    """Win rate of each model (rows, best on top) in each category (columns)."""
    models, word = [row.model for row in study.board.standings], study.by
    groups = list(dict.fromkeys(row[word] for row in sheet.rows))
    if not models or not groups:
        return nothing(f"No vote has a {word.replace('_', '-')} yet" if models else "No votes yet")
    cells = {
        (row["model"], row[word]): (
            row["win_rate"],
            f"{100 * row['win_rate']:.0f}",
            f"<b>{label(study.name(row['model']), 60)}</b> in {label(row[word], 60)}<br>win rate {row['win_rate']:.1%} "
            f"of {row['votes']:,} votes<br>{row['wins']:,} won, {row['losses']:,} lost, {row['both_good']:,} both good, "
            f"{row['both_bad']:,} both bad",
        )
        for row in sheet.rows
    }
    heat = _heatmap(
        models, groups, cells, DIVERGING, 0.0, 1.0, "win rate", {"battles": ["model_a", word], "across": "group"}
    )
    return _matrix(
        heat, [label(study.name(model), LONGEST_ROW) for model in models], [label(name) for name in groups], -45
    )


def _both_ways(sheet):
    """Both directions of every pair that met: {(row, column): (share, votes, lower, upper)}."""
    found = {}
    for row in sheet.rows:
        share, votes, lower, upper = (row[key] for key in ("win_rate_a", "votes", "lower", "upper"))
        found[row["model_a"], row["model_b"]] = share, votes, lower, upper
        found[row["model_b"], row["model_a"]] = 1 - share, votes, 1 - upper, 1 - lower
    return found


def _pair_matrix(study, sheet, value, text, scale, low, high, bar, most=MOST_CELLS_WITH_TEXT):
    """A row and a column a model; the columns carry the rows' numbers, for names would not fit on a phone."""
    models, met = [row.model for row in study.board.standings], _both_ways(sheet)
    if not met:
        return nothing()
    cells = {
        (a, b): (
            value(met[a, b]),
            text(met[a, b]),
            f"<b>{label(study.name(a), 60)}</b> against {label(study.name(b), 60)}<br>took {met[a, b][0]:.1%} of "
            f"{met[a, b][1]:,} votes<br>95%: {met[a, b][2]:.1%} to {met[a, b][3]:.1%}",
        )
        for a, b in met
    }
    meta = {"battles": ["model_a", "model_b"], "across": "model"}
    heat = _heatmap(models, models, cells, scale, low, high, bar, meta, most)
    numbers = [str(number) for number in range(1, len(models) + 1)]
    named = [
        f"{label(study.name(model), LONGEST_ROW)}  {number}" for model, number in zip(models, numbers, strict=True)
    ]
    return _matrix(heat, named, numbers)


def win_fractions(study, sheet):
    """The share of its battles that the row's model took from the column's, half of each draw."""
    return _pair_matrix(
        study, sheet, lambda met: met[0], lambda met: f"{100 * met[0]:.0f}", DIVERGING, 0.0, 1.0, "share of the row"
    )


def pair_counts(study, sheet):
    """How often each two models met."""
    most = max((row["votes"] for row in sheet.rows), default=1)
    return _pair_matrix(
        study, sheet, lambda met: met[1], lambda met: f"{met[1]:,}", SEQUENTIAL, 0, most, "votes",
        MOST_CELLS_WITH_COUNTS,
    )  # fmt: skip
