// The stage's furniture, built once: prompt, two frames with their labels, choices, what follows a vote.

const CHOICES = [
  { winner: 'model_a', icon: 'left', label: 'A is better', short: 'A is better', keys: 'ArrowLeft', said: 'A is better' },
  { winner: 'both_good', icon: 'up', label: 'Both good', short: 'Both good', keys: 'ArrowUp', said: 'both are good' },
  { winner: 'both_bad', icon: 'down', label: 'Both bad', short: 'Both bad', keys: 'ArrowDown', said: 'both are bad' },
  { winner: 'model_b', icon: 'right', label: 'B is better', short: 'B is better', keys: 'ArrowRight', said: 'B is better' },
];

// Which keys do something now: shown where there is a keyboard to press them on.
const HINTS = [['open', '←', 'A is better'], ['open', '→', 'B is better'], ['open', '↑', 'both good'], ['open', '↓', 'both bad'],
  ['counted', 'space', 'reveal'], ['counted', 'n', 'next'], ['revealed', 'space', 'next'], ['reasons', 'w', 'say why'],
  ['counted revealed', 'u', 'take back'], ['withdrawn', 'space', 'next'], ['open counted revealed withdrawn', '?', 'all keys']];

function buildSide(side) {
  const letter = side.toUpperCase();
  const ui = {
    frame: el('div.ia-frame'),
    veil: el('div.ia-veil', { 'aria-hidden': 'true' }),
    name: el('span.ia-name'),
    demo: el('span.ia-badge', { hidden: true, title: 'A demonstration model: small, and here to show how the arena works' }, 'demo'),
    about: el('span.ia-about'),
    elo: el('span.ia-elo', { hidden: true }),
    more: el('button.ia-iconbtn.ia-more', { type: 'button', 'aria-expanded': 'false', 'aria-label': `How image ${letter} was made`, title: 'How it was made', hidden: true }, icon('info')),
    sheet: el('dl.ia-sheet', { hidden: true, tabindex: '0' }),
  };
  ui.frame.append(ui.veil, ui.sheet);
  ui.more.addEventListener('click', () => openSheet(ui, ui.sheet.hidden));
  ui.side = el('figure.ia-side', { 'data-side': side }, ui.frame,
    el('figcaption.ia-label', {},
      el('span.ia-letter', { 'aria-hidden': 'true' }, letter),
      el('span.ia-who', {}, el('span.ia-line', {}, ui.name), el('span.ia-line.ia-line2', {}, ui.demo, ui.about)),
      ui.elo, ui.more));
  return ui;
}

function openSheet(ui, open) {
  ui.sheet.hidden = !open;
  ui.more.setAttribute('aria-expanded', String(open));
}

let pressed = null; // where and when a choice was clicked

/** Whether a click is the second half of a double click on a choice: it must not press what came in its place. */
function doubled(event) {
  return Boolean(pressed && event.detail && performance.now() - pressed.at < 500
    && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 10);
}

function buildChoice(choice) {
  const button = el('button.ia-choice', { type: 'button', 'data-winner': choice.winner, 'aria-keyshortcuts': choice.keys, disabled: true },
    icon(choice.icon), el('span', {}, choice.label));
  button.addEventListener('click', (event) => {
    pressed = event.detail ? { x: event.clientX, y: event.clientY, at: performance.now() } : null;
    vote(choice.winner);
  });
  return button;
}

/** The arena's parts as one object of elements. */
function buildStage(header) {
  const ui = {
    chip: el('span.ia-chip'),
    sub: el('span.ia-sub'),
    prompt: el('h1.ia-prompt-text', { tabindex: '-1' }),
    hint: el('p.ia-hint', { hidden: true }),
    whole: el('button.ia-quiet.ia-whole', { type: 'button', 'aria-expanded': 'false', hidden: true, onclick: () => showWhole() }, 'Whole prompt'),
    skip: el('button.ia-quiet', { type: 'button', onclick: () => skip() }, icon('skip'), 'Skip'),
    filter: el('select.ia-select', { 'aria-label': 'Category' }, el('option', { value: '' }, 'All categories')),
    a: buildSide('a'),
    b: buildSide('b'),
    choices: el('div.ia-choices', { role: 'group', 'aria-label': 'Your vote' }, ...CHOICES.map(buildChoice)),
    said: el('span.ia-said'),
    counts: el('span.ia-counts'),
    bar: el('div.ia-bar', { 'aria-hidden': 'true' }),
    undo: el('button.ia-btn.ia-undo', { type: 'button', 'aria-keyshortcuts': 'u', onclick: () => undo() }, icon('undo'), el('span', {}, 'Take back')),
    back: el('button.ia-btn.ia-back', { type: 'button', 'aria-label': 'Close the questions', 'aria-keyshortcuts': 'Escape', hidden: true, onclick: () => closeWhy() }, icon('close')),
    steps: el('div.ia-steps', { role: 'group', 'aria-label': 'Questions', hidden: true }),
    turns: el('div.ia-turns', { role: 'group', 'aria-label': 'Picture' }),
    why: el('button.ia-btn.ia-why', { type: 'button', 'aria-keyshortcuts': 'w', hidden: true, onclick: () => openWhy() }, 'Say why'),
    reveal: el('button.ia-btn.ia-reveal', { type: 'button', 'aria-keyshortcuts': 'Space Enter', hidden: true, onclick: () => mainAct() }),
    atOnce: el('label.ia-at-once'),
    next: el('button.ia-btn.ia-next', { type: 'button', 'aria-keyshortcuts': 'Space n', onclick: () => next() }, el('span', {}, 'Next'), icon('next')),
    note: el('p.ia-note'),
    hints: el('p.ia-hints', { 'aria-hidden': 'true' }, ...HINTS.map(([when, key, what]) => el('span', { 'data-when': when }, el('kbd', {}, key), what))),
    live: el('p.ia-sr', { role: 'status', 'aria-live': 'polite' }),
    header,
  };
  for (const category of meta.categories || []) ui.filter.append(el('option', { value: category.name }, category.name));
  ui.words = el('div.ia-words', {}, ui.prompt, ui.hint, ui.whole);
  ui.crowd = el('div.ia-crowd', {}, el('p.ia-crowd-line', {}, ui.said, ui.counts), ui.bar);
  ui.after = el('div.ia-after', { hidden: true }, ui.undo, ui.back, ui.crowd, ui.steps, ui.why, ui.reveal, ui.next);
  ui.after.addEventListener('click', (event) => { if (doubled(event)) event.stopPropagation(); }, true);
  ui.dock = el('div.ia-dock', {}, el('div.ia-below', {}, ui.hints, ui.note), ui.choices, ui.after);
  ui.stage = el('section.ia-stage', { 'aria-label': 'Battle', 'data-phase': 'loading' },
    el('div.ia-prompt', {},
      el('div.ia-prompt-top', {}, ui.chip, ui.sub, el('span.ia-space'), el('span.ia-pick', {}, ui.filter, icon('open')), ui.skip),
      ui.words),
    ui.turns, el('div.ia-pair', {}, ui.a.side, ui.b.side), ui.dock, ui.atOnce, ui.live);
  return ui;
}

// Type sizes of a prompt and the room that each may fill, in pixels.
const TYPE = [[28, 72], [25, 72], [22, 72], [19.5, 72], [17.5, 72], [15.5, 72], [14.5, 72]];
const TYPE_PHONE = [[19, 76], [17, 92], [15.5, 124]];
const LEADING = 1.28;

/** The largest type in which the whole prompt fits the room that is kept for it, so that nothing below it moves
 *  between battles. On a phone the pictures give way to a long one, within reason. The end of what is longer still is
 *  a button away. */
function fitPrompt() {
  const { prompt, words, whole } = ui;
  if (words.classList.contains('whole')) return;
  const small = phone.matches;
  const most = !small ? 72 : ui.stage.classList.contains('asking') ? 50 : Math.max(50, Math.min(124, innerHeight - 700));
  prompt.style.maxHeight = '';
  whole.hidden = true;
  words.classList.remove('cut');
  const sizes = small ? TYPE_PHONE : TYPE;
  let high = 0;
  for (const [size, room] of sizes) {
    prompt.style.fontSize = size + 'px';
    high = prompt.offsetHeight + ui.hint.offsetHeight;
    if (high <= Math.min(room, most) + 1) break;
  }
  if (high > most + 1) {
    const line = sizes.at(-1)[0] * LEADING;
    words.classList.add('cut');
    whole.hidden = false;
    high = Math.floor(most / line) * line;
    prompt.style.maxHeight = high + 'px';
  }
  ui.stage.parentElement.style.setProperty('--ia-words', Math.max(50, high) + 'px');
}

/** Open a prompt that is too long for its room, or close it again. */
function showWhole(open = !ui.words.classList.contains('whole')) {
  ui.words.classList.toggle('whole', open);
  ui.whole.textContent = open ? 'Less' : 'Whole prompt';
  ui.whole.setAttribute('aria-expanded', String(open));
  if (open) ui.prompt.style.maxHeight = '';
  else fitPrompt();
}
