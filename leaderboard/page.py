"""Owns the leaderboard page as static HTML and CSS: everything that comes from data is escaped here, in `text`."""

from base64 import b64encode
from html import escape

from leaderboard.columns import plural

CSS = """
.lb { --lb-ink: var(--ia-ink, #1b2130); --lb-muted: var(--ia-muted, #5b6576); --lb-line: var(--ia-line, #dde1e8);
  --lb-surface: var(--ia-surface, #ffffff); --lb-accent: var(--ia-accent, #2f6fd6);
  color: var(--lb-ink); font-size: 15px; line-height: 1.45; font-family: var(--ia-font, system-ui, sans-serif); }
.dark .lb { --lb-ink: var(--ia-ink, #e9edf4); --lb-muted: var(--ia-muted, #9aa5b5);
  --lb-line: var(--ia-line, #2b3341); --lb-surface: var(--ia-surface, #161b24);
  --lb-accent: var(--ia-accent, #7aa9f5); }
.lb h1, .lb h2 { color: var(--lb-ink); font-weight: 650; letter-spacing: -0.015em; line-height: 1.2; margin: 0; }
.lb h1 { font-size: clamp(1.6rem, 4vw, 2.1rem); }
.lb h2 { font-size: 1.2rem; margin-top: 1rem; }
.lb p { color: var(--lb-muted); margin: .35rem 0 0; max-width: 68ch; }
.lb-facts { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1.1rem 0 0; padding: 0; }
.lb-facts div { display: flex; flex-direction: column-reverse; }
.lb-facts dt { color: var(--lb-muted); font-size: .8rem; }
.lb-facts dd { margin: 0; font-size: 1.25rem; font-weight: 620; font-variant-numeric: tabular-nums;
  color: var(--lb-ink); }
.lb-scroll { overflow-x: auto; margin-top: .9rem; border: 1px solid var(--lb-line); border-radius: 12px;
  background: var(--lb-surface); }
.lb table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: 0; }
.lb table, .lb thead, .lb tbody, .lb tr { border: 0 !important; background: none; }
.lb-page { max-width: 1120px; margin: 0 auto; }
.lb caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.lb th, .lb td { padding: .6rem .9rem; text-align: right; white-space: nowrap; border: 0; color: var(--lb-ink);
  background: none; }
.lb thead th { vertical-align: bottom; white-space: normal; min-width: 5rem; max-width: 12rem;
  overflow-wrap: break-word; color: var(--lb-muted); font-size: .78rem; font-weight: 560;
  border-bottom: 1px solid var(--lb-line); }
.lb tbody tr + tr > * { border-top: 1px solid var(--lb-line); }
.lb tbody tr:hover > * { background: color-mix(in srgb, var(--lb-accent) 6%, transparent); }
.lb .lb-left { text-align: left; }
.lb .lb-model { text-align: left; font-weight: 600; white-space: normal; min-width: 9rem;
  overflow-wrap: break-word; }
.lb .lb-rank { font-size: 1.05rem; font-weight: 680; }
.lb small { display: block; color: var(--lb-muted); font-size: .78rem; font-weight: 400; }
.lb .lb-big { font-weight: 650; }
.lb-badge { display: inline-block; margin-left: .4rem; padding: .06rem .45rem; border-radius: 99px; font-size: .7rem;
  font-weight: 560; color: var(--lb-muted); border: 1px solid var(--lb-line); vertical-align: 1px; }
.lb-bar { display: block; height: 4px; margin-top: .3rem; border-radius: 2px; min-width: 4rem;
  background: linear-gradient(to right, var(--lb-accent) var(--lb-share), var(--lb-line) var(--lb-share)); }
.lb-empty { padding: 2.2rem 1rem; text-align: center; border: 1px dashed var(--lb-line); border-radius: 12px;
  margin-top: 1rem; color: var(--lb-muted); }
.lb ul { margin: .6rem 0 0; padding-left: 1.1rem; color: var(--lb-muted); max-width: 75ch; }
.lb li { margin: .3rem 0; list-style: disc; }
.lb .lb-link { color: var(--lb-accent); text-decoration: underline; text-underline-offset: 3px; }
.lb-plot, .lb-plot > * { background: transparent !important; border: 0 !important; }
.lb-plot .xtick text, .lb-plot .ytick text, .lb-plot .gtitle, .lb-plot .xtitle, .lb-plot .ytitle,
.lb-plot .annotation-text, .lb-plot .colorbar text { fill: var(--ia-muted, #76808f) !important; }
.lb .lb-narrow { display: none; }
@media (max-width: 640px) {
  .lb-plot .modebar { display: none; }
  .lb th, .lb td { padding: .5rem .38rem; font-size: .9rem; }
  .lb th:first-child, .lb td:first-child { padding-left: .7rem; }
  .lb .lb-wide, .lb .lb-model small { display: none; }
  .lb .lb-narrow { display: block; }
  .lb .lb-model { min-width: 5.5rem; max-width: 10rem; }
  .lb-bar { min-width: 3rem; }
  .lb thead th { min-width: 0; }
  .lb-facts { gap: .5rem 1.2rem; }
}
"""

REASONS = {"duplicate": "published twice", "self_battle": "a model against itself"}
TEMPLATE_SIGNS = str.maketrans({"$": "&#36;", "{": "&#123;", "}": "&#125;", "`": "&#96;"})


def text(value):
    """Text for HTML, in attributes too. Gradio's gr.HTML puts values through two template languages, so their
    signs go as character references."""
    return escape(str(value)).translate(TEMPLATE_SIGNS)


def reason_in_words(reason):
    """'excluded:withdrawn' -> 'excluded (withdrawn)', for a person."""
    kind, _, detail = reason.partition(":")
    return REASONS.get(reason) or (f"{kind} ({detail.replace('_', ' ')})" if detail else kind.replace("_", " "))


def status(board):
    """The page's head: what was counted, what was left out and why, and how fresh it is."""
    source = board.source
    facts = [
        ("votes counted", f"{source.counted:,}"),
        ("models", f"{source.models:,}"),
        ("voters", f"{source.voters:,}"),
    ]
    cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    lines = []
    if source.left_out:
        reasons = ", ".join(f"{count:,} {reason_in_words(reason)}" for reason, count in source.left_out.items())
        lines.append(f"Left out {plural(sum(source.left_out.values()), 'vote', 'votes')}: {reasons}.")
    if source.last:
        lines.append(f"Last vote {source.last[:10]} {source.last[11:16]} UTC.")
    if source.revision:
        lines.append(f"Data set revision {source.revision[:12]}.")
    return (
        f'<section class="lb"><h1>Leaderboard</h1><p>Blind votes on pairs of images of one prompt, counted as '
        f'they come in.</p><dl class="lb-facts">{cells}</dl><p>{text(" ".join(lines))}</p></section>'
    )


def _points(value):
    return "–" if value is None else f"{value:.0f}"


def _model_cell(board, row):
    known = board.models.get(row.model, {})
    badges = [word for word, on in (("demo", known.get("demo")), ("preliminary", row.preliminary)) if on]
    below = " · ".join(str(known[key]) for key in ("organisation", "licence") if known.get(key))
    return (
        f'<th scope="row" class="lb-model">{text(board.name(row.model))}'
        + "".join(f'<span class="lb-badge">{word}</span>' for word in badges)
        + (f"<small>{text(below)}</small>" if below else "")
        + "</th>"
    )


def _range(row):
    return str(row.rank_lower) if row.rank_lower == row.rank_upper else f"{row.rank_lower}–{row.rank_upper}"


def _interval(row):
    if row.rating is not None:
        return f"{_points(row.rating_lower)}–{_points(row.rating_upper)}"
    return f"at most {_points(row.rating_upper)}" if row.rating_upper is not None else "not yet known"


def standings(board):
    """The standings as an accessible table; a phone shows fewer columns."""
    if not board.standings:
        return (
            '<section class="lb"><h2>Standings</h2><div class="lb-empty">No votes yet. The first vote in the '
            "arena will show up here within seconds.</div></section>"
        )
    lines = []
    for row in board.standings:
        rank = "–" if row.rating is None else row.rank
        lines.append(
            f'<tr><td class="lb-left"><span class="lb-rank">{rank}</span><small>{_range(row)}</small></td>'
            f'{_model_cell(board, row)}<td><span class="lb-big">{_points(row.rating)}</span>'
            f"<small>{_interval(row)}</small></td>"
            f'<td>{row.win_rate:.1%}<span class="lb-bar" style="--lb-share:{row.win_rate:.1%}"></span>'
            f'<small class="lb-narrow">{plural(row.votes, "vote", "votes")}</small></td>'
            f'<td class="lb-wide">{row.votes:,}</td><td class="lb-wide">{row.acceptability:.1%}</td>'
            f'<td class="lb-wide">{_points(row.elo)}</td></tr>'
        )
    head = "".join(
        f'<th scope="col"{extra}>{name}</th>'
        for name, extra in (
            ("Rank", ' class="lb-left"'),
            ("Model", ' class="lb-left"'),
            ("Rating", ""),
            ("Win rate", ""),
            ("Votes", ' class="lb-wide"'),
            ("Acceptable", ' class="lb-wide"'),
            ("Elo ticker", ' class="lb-wide"'),
        )
    )
    how = METHOD_WORDS.get(board.method, board.method)
    return (
        f'<section class="lb"><h2>Standings</h2><p>{text(how)}; under each rank, the ranks it may have, '
        f'with 95% confidence for all models at once.</p><div class="lb-scroll" tabindex="0" role="region" '
        f'aria-label="Standings"><table><caption>Standings, best first</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


METHOD_WORDS = {
    "bradley-terry": "Bradley-Terry rating in Elo points with its 95% interval",
    "elo": "Online Elo rating with its 95% interval",
}


def groups(board):
    """Win rates per category as a table: a row a model, a column a category, the verdict under each name."""
    word = board.by.replace("_", "-")
    if not board.groups:
        return ""
    found = {name: {row.model: row for row in group.standings} for name, group in board.groups.items()}
    head = "".join(
        f'<th scope="col">{text(name)}<small>{text(_verdict(board, group))}</small><small>'
        f"{plural(group.votes, 'vote', 'votes')}</small></th>"
        for name, group in board.groups.items()
    )
    lines = []
    for standing in board.standings:
        cells = "".join(
            f"<td>{row.win_rate:.0%}<small>{row.votes:,}</small></td>" if row else "<td>–</td>"
            for row in (found[name].get(standing.model) for name in board.groups)
        )
        lines.append(f'<tr><th scope="row" class="lb-model">{text(board.name(standing.model))}</th>{cells}</tr>')
    return (
        f'<section class="lb"><h2>By {word}</h2><p>Win rate, a draw counting half, over the votes below it. '
        f'Under each {word}: which of its two best models is better, or a tie.</p><div class="lb-scroll" '
        f'tabindex="0" role="region" aria-label="Win rates by {word}"><table><caption>Win rates by {word}</caption>'
        f'<thead><tr><th scope="col" class="lb-left">Model</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _verdict(board, group):
    model, better, rest = group.verdict.rpartition(" better")
    return f"{board.name(model)} better" if better and not rest else group.verdict


def notes(board):
    """How to read this: the board's notes as a list."""
    items = "".join(f"<li>{text(note)}</li>" for note in board.notes)
    return f'<section class="lb"><h2>How to read this</h2><ul>{items}</ul></section>'


def download(board):
    """A link that saves the standings as CSV; the file travels in the link."""
    if not board.standings:
        return ""
    data = b64encode(board.to_csv().encode()).decode()
    return (
        f'<section class="lb"><p><a class="lb-link" download="standings.csv" href="data:text/csv;base64,{data}">'
        f"Download the standings (CSV)</a></p></section>"
    )


def heading(view):
    """A view's heading and caption."""
    return f'<section class="lb"><h2>{text(view.title)}</h2><p>{text(view.caption)}</p></section>'
