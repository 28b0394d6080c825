"""Owns the figures of voters: how far they agree, and how often one pair of images was judged."""

import plotly.graph_objects as go

from leaderboard.figures.parts import (
    LONGEST_ROW,
    MARK,
    ROW,
    SEQUENTIAL,
    TEXT,
    bars,
    down,
    label,
    layout,
    names_axis,
    nothing,
)


def agreement(study, sheet):
    """Agreement of two voters on one pair by group, with its interval; a cross is what chance alone would give. Of the
    first two voters alone where a third one was asked because they disagreed."""
    asked = study.agreement[0].tie_break
    shown = "first_agreement" if asked is not None and asked.found else "agreement"
    rows = [row for row in sheet.rows if row[shown] is not None]
    if not rows:
        return nothing("No pair of images was judged by two voters yet")
    groups = [str(row["group"]) for row in rows]
    figure = go.Figure(
        go.Scatter(
            x=[row[shown] for row in rows],
            y=groups,
            mode="markers",
            marker={"size": 10, "color": MARK},
            error_x=bars(rows, shown, f"{shown}_lower", f"{shown}_upper") | {"color": MARK},
            customdata=[(label(row["group"], 60), f"{row[shown]:.1%}", f"{row['overlap_pairs']:,}") for row in rows],
            hovertemplate="<b>%{customdata[0]}</b><br>agreement %{customdata[1]}<br>%{customdata[2]} pairs of images "
            "judged twice or more<extra></extra>",
        )
    )
    known = [row for row in rows if row["chance"] is not None]
    figure.add_scatter(
        x=[row["chance"] for row in known],
        y=[str(row["group"]) for row in known],
        mode="markers",
        marker={"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": TEXT}},
        customdata=[(label(row["group"], 60), f"{row['chance']:.1%}") for row in known],
        hovertemplate="<b>%{customdata[0]}</b><br>by chance %{customdata[1]}<extra></extra>",
    )
    return layout(
        figure,
        80 + ROW * len(rows),
        xaxis={
            "title": {"text": f"agreement of {'the first ' * (shown != 'agreement')}two voters, 95% interval"},
            "tickformat": ".0%",
        },
        yaxis=names_axis(groups, [label(group, LONGEST_ROW) for group in groups], range=down(len(groups))),
    )


def overlap(study, sheet):
    """How many pairs of images were judged how often."""
    if not sheet.rows:
        return nothing()
    figure = go.Figure(
        go.Bar(
            x=[str(row["votes_per_pair"]) for row in sheet.rows],
            y=[row["pairs"] for row in sheet.rows],
            marker={"color": SEQUENTIAL[-1][1]},
            hovertemplate="%{y:,} pairs of images with %{x} votes<extra></extra>",
        )
    )
    return layout(
        figure,
        260,
        xaxis={"type": "category", "title": {"text": "votes on one pair of images"}, "showgrid": False},
        yaxis={"title": {"text": "pairs"}},
    )
