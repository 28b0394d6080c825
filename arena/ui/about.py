"""The About page: how the arena works, what is recorded, and whom to ask. Made once from `meta()`; every value
from arena.yaml is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from arena.records import EXCLUSION_REASONS, TABLES

# What each published column of a vote holds, for people.
VOTE_COLUMNS = {
    ("vote_id", "battle_id", "created_at"): "which vote, on which battle, when",
    ("prompt_id", "prompt", "category", "sub_category", "complexity", "prompt_source"): "the prompt, how it is "
    "filed, and whether it was ours or a visitor’s (empty for a private prompt)",
    ("model_a", "model_b", "image_a", "image_b", "winner"): "who met whom with which images, and the outcome",
    ("voter", "signed_in"): "a keyed hash that stands for you, and whether you were signed in",
    ("mode", "served_from", "pair_probability"): "how the battle was drawn",
    ("seconds_to_vote", "arena_version", "extra"): "how long you looked, our version, your user name if you "
    "agreed to be named, and the right answer where it was known",
}
# What naming.js fills with the choice, for who is signed in.
NAMING = """
<h3>Being named</h3>
<p>The leaderboard has a table of voters. Nobody is in it by name unless they sign in and agree. If you agree, your
Hugging Face user name is published with your votes from now on. All your signed-in votes share one hash, so your
earlier ones can then be told as yours too. You can take it back at any time: later votes carry no name, and with the
first of them the table stops showing it. What has been published before keeps it.</p>
<div id="ia-naming" role="group" aria-label="Being named"><p>Sign in to choose. Without an account you are never
named.</p></div>"""
KEYS = (("←", "A is better"), ("→", "B is better"), ("↑", "both good"), ("↓", "both bad"),
        ("Space", "next battle"), ("u", "take back the last vote"), ("?", "show the keys"))  # fmt: skip
# Where reasons are asked for: the same as in keys.js.
HELD_KEYS = (*KEYS[:4], ("Space", "reveal the models; again: next battle"), ("n", "next battle at once"),
             ("w", "say why"), *KEYS[5:])  # fmt: skip
WHY_KEYS = (("1 – 5", "rate: one press for A, the next for B"), ("a, b", "go to picture A or B"),
            ("Enter", "next question; after the last, send"), ("Tab", "to the words, and to “Click where”"),
            ("Arrows", "on a picture: move the crosshair"), ("Enter", "on a picture: mark, or remove a mark"),
            ("Ctrl Z", "undo a mark (Backspace too)"), ("Esc", "leave the picture; close the questions"),
            ("n", "send, and next battle"))  # fmt: skip
# What each published column of a feedback holds.
FEEDBACK_COLUMNS = {
    ("feedback_id", "created_at", "battle_id"): "which feedback, when, after which battle",
    ("image_id", "prompt_id", "prompt", "model"): "on which image, of which prompt and model",
    ("voter",): "the same keyed hash as in your vote",
    ("style", "coherence", "alignment"): "your ratings, 5 is best; of the number of errors it is the reverse",
    ("misaligned_words",): "the words that you marked, by their place in the prompt",
    ("coherence_points", "alignment_points"): "where you marked errors and mismatches",
    ("extra",): "what you were asked, whether the models were named by then; painted areas",
}


def about_html(meta: Mapping[str, Any], sign_in: bool = False) -> str:
    """The page as HTML. It may name the models: no battle is on it. `sign_in` says that visitors can sign in here."""
    return f"""<article class="ia-about-page">
<h1>About {escape(meta["title"])}</h1>
<p class="lead">{escape(meta["tagline"])}</p>
{_how(meta)}
{_guidelines()}
{_where(meta)}
{_recorded(meta)}
{_privacy(meta, sign_in)}
{_models(meta)}
{_keys(meta)}
<p><small>Image Arena {escape(str(meta["arena_version"]))}</small></p>
</article>"""


def _how(meta: Mapping[str, Any]) -> str:
    names = [c["name"] for c in meta["categories"]]
    return f"""<h2>How it works</h2>
<ol>
<li>You see one prompt and two images, each by another model. Which models they are is not told, and nothing that
your browser receives gives it away.</li>
<li>You choose: A is better, B is better, both are good, or both are bad.</li>
{_after(meta)}
<li>The leaderboard is computed from all votes and follows within moments. Anybody can compute it again from the
published votes.</li>
</ol>
<p>The images of ready battles are drawn beforehand, so the speed of a model gives nothing away. Prompts come from
{len(names)} categories: {escape(", ".join(names))}. You can also type a prompt of your own: two models, drawn by
chance, make images for it while you go on voting, and both images appear together. Unless you keep them private,
others may then vote on them too.</p>
<p>The number beside a revealed model is its Elo rating before and after your vote, a ticker for your pleasure. The
leaderboard’s main rating is a Bradley–Terry fit over all votes, with its uncertainty.</p>"""


def _asked(meta: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is asked after a vote; None where nothing is."""
    feedback = meta.get("feedback") or {}
    return feedback if feedback.get("enabled") else None


def _after(meta: Mapping[str, Any]) -> str:
    told = "which models they were, how others voted on this pair, and how the ratings moved"
    feedback = _asked(meta)
    if not feedback:
        return f"<li>Your vote is on disk before the names are shown. Then you see {told}.</li>"
    parts = {"style": "how you like its style", "coherence": "how many errors it has",
             "alignment": "how far it matches the prompt"}  # fmt: skip
    asked = [parts[criterion] for criterion in feedback["criteria"]]
    asked += ["which words of the prompt it misses"] * feedback["words"]
    if feedback["points"] != "never" and {"coherence", "alignment"} & set(feedback["criteria"]):
        asked.append("where it is wrong")
    if not asked:
        return _after({})
    rate = f"“Say why” asks, of either image, {_series(asked)}: as much or as little of it as you like."
    sent = "It is sent when you go on, and what you had begun is still there after a reload"
    if feedback["reveal"] == "after":
        return f"""<li>Your vote counts as soon as it is on disk. The names wait, so that they don’t colour what you say.</li>
<li>If you like, say why. {rate} {sent}.</li>
<li>“Reveal the models” tells {told}. Tick “Always reveal right away” to see that with every vote; “Next” goes on
without.</li>"""
    return f"""<li>Your vote is on disk before the names are shown. Then you see {told}.</li>
<li>If you like, say why. {rate} {sent}.</li>"""


def _series(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _guidelines() -> str:
    return """<h2>Guidelines for voters</h2>
<ul>
<li>Does the image show what the prompt asks for: things, counts, colours, places, text, style?</li>
<li>Is it well made: composition, light, anatomy, no smears or artefacts?</li>
<li>Where one image follows the prompt and the other is prettier, choose the one that you would rather be given for
this prompt.</li>
<li>“Both good” and “both bad” are real answers. Use them when you can’t honestly prefer one.</li>
<li>Don’t try to guess the models, and don’t vote for what you think others prefer.</li>
<li>A slip? Take it back with <kbd>u</kbd> or the button, until you cast the next vote. What you said of its
images then counts no more than the vote.</li>
</ul>"""


def _where(meta: Mapping[str, Any]) -> str:
    dataset = meta["hub_dataset"]
    if dataset:
        url = f"https://huggingface.co/datasets/{quote(dataset)}"
        text = (f'<p>Votes, images, prompts and feedback are published in the Hub dataset <a href="{escape(url)}" '
                f'target="_blank" rel="noopener noreferrer">{escape(dataset)}</a>, under '
                f"{escape(meta.get('dataset_licence') or 'the licence that it names')}, a moment after they are cast.</p>")  # fmt: skip
    else:
        text = "<p>This arena keeps its votes locally: no Hub dataset is configured. Nothing leaves the server.</p>"
    # status.js fills the last line with what /health says of publishing.
    return f'<h2>Where votes go</h2>\n<div class="where">{text}<p id="ia-status"></p></div>'


def _recorded(meta: Mapping[str, Any]) -> str:
    reasons = "".join(
        f"<li><code>{escape(code)}</code>: {escape(text)}</li>" for code, text in EXCLUSION_REASONS.items()
    )
    feedback = ""
    if _asked(meta):
        feedback = f"""<p>Where you said why, one row an image; what you left out stays empty:</p>
{_columns("feedback", FEEDBACK_COLUMNS, "Columns of a feedback")}"""
    return f"""<h2>What is recorded and published</h2>
<p>One row a vote:</p>
{_columns("votes", VOTE_COLUMNS, "Columns of a vote")}{feedback}
<p>Images are published with their prompt, model, seed and settings; prompts with their category. A row is never
rewritten, unless its voter has it erased. Where a vote does not count, a row in <code>exclusions</code> says so and
why:</p>
<ul>{reasons}</ul>
<p>What is left out is counted, with its reason, beside the leaderboard.</p>"""


def _columns(table: str, known: Mapping[tuple[str, ...], str], label: str) -> str:
    named = {column for columns in known for column in columns}
    rest = tuple(column for column in TABLES[table] if column not in named)
    rows = [*known.items(), *([(rest, "")] if rest else [])]
    body = "".join(f"<tr><td>{', '.join(f'<code>{escape(c)}</code>' for c in names)}</td><td>{escape(what)}</td></tr>"
                   for names, what in rows)  # fmt: skip
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>
<thead><tr><th scope="col">Columns</th><th scope="col">What they hold</th></tr></thead>
<tbody>{body}</tbody></table></div>"""


def _privacy(meta: Mapping[str, Any], sign_in: bool) -> str:
    contact = meta.get("contact")
    if not contact:
        whom = "Ask whoever runs this arena; they have named no address here."
    elif urlsplit(contact).scheme in ("http", "https", "mailto"):
        whom = f'Write to <a href="{escape(contact)}">{escape(contact.removeprefix("mailto:"))}</a>.'
    elif "@" in contact and " " not in contact:
        whom = f'Write to <a href="mailto:{escape(contact)}">{escape(contact)}</a>.'
    else:
        whom = f"Write to {escape(contact)}."
    whose = "this browser’s cookie: in another browser, or without the cookie, you are another voter"
    if sign_in:
        whose = f"your account while you are signed in, and otherwise with {whose}"
    # voter-id.js fills the last line with the visitor's own id.
    return f"""<h2>Privacy, and erasing what is yours</h2>
<p>No address, e-mail or token is stored with a vote, and no name{_unless(sign_in)}. A cookie with a random number tells
your visits apart; if you sign in, your account does. The dataset holds neither, only a hash of it made with a secret
key of this server: it can’t be turned back, and nobody else can make it. Your browser itself remembers the theme, the
category, how many votes you cast{_kept(meta)}.</p>{NAMING if sign_in else ""}
<p>A prompt that you type is published with its images, so put nothing personal into it, or tick “Keep it private”:
then the pictures are shown to you alone and deleted when their battle has expired (after {_hours(meta)}), and
nothing is published but the outcome of the vote{", with your name if you agreed to that" if sign_in else ""}.</p>
<p>You can ask for your votes and your feedback to be erased: from the server, from the dataset and from its history.
{whom} Send your voter id along, which is all that is needed. Two things stay: prompts that you typed, with their
images, but nothing ties them to you any more; and copies that others have downloaded.</p>
<p>Your voter id finds your votes and your feedback in the dataset. Keep it to yourself otherwise, since whoever has it
finds them too. It goes with {whose}.</p>
<p id="ia-voter"></p>"""


def _kept(meta: Mapping[str, Any]) -> str:
    return ", whether you want the names right away, and reasons that you have not sent yet" if _asked(meta) else ""


def _unless(sign_in: bool) -> str:
    return ", unless you sign in and agree to be named (below)" if sign_in else ""


def _hours(meta: Mapping[str, Any]) -> str:
    hours = float((meta.get("limits") or {}).get("battle_hours") or 24)
    return f"{hours:g} hours"


def _models(meta: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{_link(m['name'], m['url'])}{_badge(m)}</td><td>{escape(m['organisation'])}</td>"
        f"<td>{escape(m['family'])}</td><td class='nowrap'>{_link(m['licence'], m['licence_url'])}</td></tr>"
        for m in sorted(meta["models"], key=lambda m: (m["organisation"].casefold(), m["name"].casefold()))
    )
    demo = ""
    if any(m["demo"] for m in meta["models"]):
        demo = ("<p>Models marked <span class='badge'>demo</span> are small demonstration models, trained from scratch for "
                "this project on drawings of coloured shapes, so that the arena runs anywhere without a GPU. Their "
                "votes show how an arena works; they say nothing about the state of the art.</p>")  # fmt: skip
    return f"""<h2>The models</h2>
{demo}<div class="scroll" tabindex="0" role="region" aria-label="The models"><table>
<thead><tr><th scope="col">Model</th><th scope="col">By</th><th scope="col">Family</th><th scope="col">Licence</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _badge(model: Mapping[str, Any]) -> str:
    return '<span class="badge">demo</span>' if model["demo"] else ""


def _link(text: str, url: str | None) -> str:
    if url and urlsplit(url).scheme in ("http", "https"):
        return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'
    return escape(text)


def _keys(meta: Mapping[str, Any]) -> str:
    if not _asked(meta):
        return "<h2>Keys</h2>" + _key_table(KEYS)
    first = HELD_KEYS if _asked(meta)["reveal"] == "after" else (*KEYS[:5], ("w", "say why"), *KEYS[5:])
    return f"""<h2>Keys</h2>
{_key_table(first)}<h3>While you say why</h3>
{_key_table(WHY_KEYS)}"""


def _key_table(keys: tuple[tuple[str, str], ...]) -> str:
    rows = "".join(f"<tr><td><kbd>{escape(key)}</kbd></td><td>{escape(what)}</td></tr>" for key, what in keys)
    return f"""<div class="scroll"><table><thead><tr><th scope="col">Key</th><th scope="col">What it does</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""
