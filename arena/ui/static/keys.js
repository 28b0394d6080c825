// Keys, and the sheet that shows them. Nothing happens while one types, or with a modifier held.

const KEYS = [
  ['←', 'A is better'], ['→', 'B is better'], ['↑', 'Both are good'], ['↓', 'Both are bad'],
  ['Space', 'Next battle (n too)'], ['u', 'Take back the last vote'], ['?', 'This list'],
];
// Where reasons are asked for.
const HELD_KEYS = [...KEYS.slice(0, 4), ['Space', 'Reveal the models; again: next battle'], ['n', 'Next battle at once'], ['w', 'Say why'], ...KEYS.slice(5)];
const TOLD_KEYS = [...KEYS.slice(0, 5), ['w', 'Say why'], ...KEYS.slice(5)];
const WHY_KEYS = [
  ['1 – 5', 'Rate: one press for A, the next for B'], ['a, b', 'Go to picture A or B'], ['Enter', 'Next question; after the last, send'],
  ['Tab', 'To the words, and to “Click where”'], ['Arrows', 'On a picture: move the crosshair'], ['Enter', 'On a picture: mark, or remove a mark'],
  ['Ctrl Z', 'Undo a mark (Backspace too)'], ['Esc', 'Leave the picture; close the questions'], ['n', 'Send, and next battle'],
];
const VOTES = { ArrowLeft: 'model_a', ArrowRight: 'model_b', ArrowUp: 'both_good', ArrowDown: 'both_bad' };

function keyTable(title, rows) {
  return el('div', {}, title && el('h3', {}, title), el('dl', {}, ...rows.flatMap(([key, what]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, what)])));
}

function buildKeys() {
  const close = el('button.ia-iconbtn', { type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'));
  const asked = feedback() || (campaign() ? { reveal: 'after' } : null); // a campaign tells later what it asks
  const tables = asked ? [keyTable('Voting', asked.reveal === 'after' ? HELD_KEYS : TOLD_KEYS), keyTable('Saying why', WHY_KEYS)] : [keyTable('', KEYS)];
  const dialog = el('dialog.ia-keys', { 'aria-label': 'Keys' },
    el('div.ia-keys-head', {}, el('h2', {}, 'Keys'), close),
    el('div.ia-keys-tables', {}, ...tables),
    el('p', {}, 'A vote can be taken back until you cast the next one. It then stays on record as withdrawn, and its battle is not asked again.'));
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  return dialog;
}

function onKey(event) {
  if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]') || whyKey(event)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest('input:not(.ia-at-once input), textarea, select, [contenteditable=""], [contenteditable="true"], dialog')) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (VOTES[key] && state.phase === 'open' && !event.shiftKey) {
    event.preventDefault();
    vote(VOTES[key]);
  } else if (key === ' ' || key === 'n' || (key === 'Enter' && state.phase === 'counted')) {
    // Space on a focused control is that control's; on Next it is the same thing.
    if (key !== 'n' && target.closest('button, a, summary, label') && target !== ui.next) return;
    if (!VOTED.includes(state.phase)) return;
    if (target === ui.next && key === 'Enter') return;
    event.preventDefault();
    if (state.phase === 'counted' && key !== 'n' && target !== ui.next) mainAct();
    else if (state.phase !== 'telling' || key === 'n') next();
  } else if (key === 'w') {
    event.preventDefault();
    openWhy();
  } else if (key === 'u') {
    undo();
  } else if (key === '?') {
    event.preventDefault();
    keys.showModal();
  } else if (key === 'Escape') {
    for (const side of [ui.a, ui.b]) openSheet(side, false);
  }
}
