// The questions under each picture: five steps with labelled ends, where it is wrong, and which words it misses.

const QUESTIONS = {
  style: { tab: 'Style', ask: 'How do you like the style?', ends: ['not at all', 'very much'], field: 'style',
    help: 'Colours, light and composition: how it looks to you.' },
  coherence: { tab: 'Errors', ask: 'How many errors?', ends: ['none', 'many'], field: 'errors',
    help: 'Melted shapes, too many fingers, broken letters.' },
  alignment: { tab: 'Match', ask: 'Matches the prompt?', ends: ['not at all', 'fully'], field: 'alignment', help: '' },
};
// Where the server splits a prompt into words.
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const wordsOf = (prompt) => prompt.split(SPACES).filter(Boolean);

/** The steps that this arena asks, in their order. Words are asked with the match, or alone where that is not asked. */
function steps() {
  const { criteria, words } = feedback();
  return Object.keys(QUESTIONS).filter((step) => criteria.includes(step) || (step === 'alignment' && words));
}

/** All questions of one side. `answers()` holds what is answered; `changed(step, first, by)` is told of every answer. */
function buildQuestions(side, answers, changed) {
  const letter = side.toUpperCase();
  const marking = (kind, how) => { showWhere(kind); changed(kind, false, how || 'mark'); };
  const marks = (feedback().area ? buildArea : buildPoints)(side, answers, marking);
  const verb = matchMedia('(hover: hover)').matches ? 'Click' : 'Tap';
  const parts = {};
  for (const step of steps()) parts[step] = buildStep(step);
  const zone = el('div.ia-ask', { role: 'group', 'aria-label': `About image ${letter}` }, ...Object.values(parts).map((part) => part.node));

  function buildStep(step) {
    const question = QUESTIONS[step];
    const scored = feedback().criteria.includes(step);
    const text = scored ? question.ask : 'Which words does it miss?';
    const part = { radios: [], where: null, words: null };
    const line = el('div.ia-ask-line', {}, el('span.ia-ask-letter', { 'aria-hidden': 'true' }, letter), el('span.ia-ask-text', { 'aria-hidden': 'true' }, text));
    part.node = el('div.ia-ask-step', { 'data-step': step }, line);
    if (scored) part.node.append(buildScale(step, part, `Image ${letter}: ${text}`));
    if (KINDS[step] && feedback().points !== 'never' && scored) {
      part.where = buildWhere(step); // after the scale for the keyboard, above it for the eye
      part.node.append(part.where.node);
    }
    if (step === 'alignment' && feedback().words) {
      part.words = el('div.ia-miss', { role: 'group', 'aria-label': `Image ${letter}: tap the words that it misses` });
      part.node.append(part.words);
    } else if (question.help) part.node.append(el('p.ia-ask-help', {}, question.help));
    return part;
  }

  function buildScale(step, part, label) {
    const { ends, field } = QUESTIONS[step];
    const row = el('div.ia-scale', { role: 'radiogroup', 'aria-label': label });
    for (let k = 1; k <= 5; k++) {
      const end = k === 1 ? ends[0] : k === 5 ? ends[1] : '';
      const input = el('input', { type: 'radio', name: `ia-${side}-${step}`, value: k, 'aria-label': end ? `${k}, ${end}` : `${k} of 5` });
      let keyed = false;
      input.addEventListener('keydown', (event) => { keyed = Boolean(ARROWS[event.key]); });
      input.addEventListener('click', () => {
        if (answers()[field] === k) rate(step, null); // pressed again: no answer after all
        else rate(step, k, keyed ? 'arrow' : 'click');
        keyed = false;
      });
      part.radios.push(input);
      row.append(el('label.ia-score', {}, input, el('b', { 'aria-hidden': 'true' }, String(k)), end && el('small', { 'aria-hidden': 'true' }, end)));
    }
    return row;
  }

  function buildWhere(kind) {
    const painted = feedback().area;
    const where = { slots: Array.from({ length: marks.slots }, () => el('i.ia-dot', { 'data-kind': kind })) };
    where.mark = el('button.ia-where-mark', { type: 'button', 'aria-label': `${painted ? 'Paint' : verb} ${KINDS[kind].where} on image ${letter}${painted ? '' : `, up to ${marks.slots} places`}`,
      onclick: (event) => enterLayer(marks.layer, !event.detail) },
      el('span', {}, painted ? 'Paint where' : `${verb} where`), el('span.ia-dots', {}, ...where.slots));
    where.undo = el('button.ia-where-btn', { type: 'button', 'aria-label': `Undo on image ${letter}`, title: 'Undo', onclick: () => undoMark(side) }, icon('undo'));
    where.nowhere = el('button.ia-where-none', { type: 'button', 'aria-pressed': 'false', 'aria-label': `Nowhere: there is no place to mark on image ${letter}`, title: 'There is no one place to mark', onclick: () => marks.nowhere(kind) }, 'Nowhere');
    where.node = el('span.ia-where', { hidden: true }, where.mark, where.nowhere);
    if (painted) {
      where.erase = el('button.ia-where-btn', { type: 'button', 'aria-pressed': 'false', 'aria-label': `Erase on image ${letter}`, title: 'Erase (e)', onclick: () => marks.erase(!marks.erasing) }, icon('eraser'));
      where.clear = el('button.ia-where-btn', { type: 'button', 'aria-label': `Clear image ${letter}`, title: 'Clear', onclick: () => marks.clear() }, icon('close'));
      where.node.append(where.erase, where.undo, where.clear);
    } else where.node.append(where.undo);
    return where;
  }

  /** Rate, by a click, an arrow key or a digit; null takes the answer back. */
  function rate(step, value, by) {
    const { field } = QUESTIONS[step];
    const first = !answers()[field];
    answers()[field] = value;
    show(step);
    arm(step);
    if (by === 'digit') parts[step].radios[value - 1].focus({ preventScroll: true });
    changed(step, first, by);
    if (placesAsked(answers(), step) && first) say(`You can mark ${KINDS[step].where}.`);
  }

  function showWords(part) {
    const prompt = why.record ? why.record.battle.prompt : '';
    const missed = answers().misaligned_words;
    if (part.words.dataset.of !== prompt) {
      part.words.dataset.of = prompt;
      part.words.classList.toggle('long', prompt.length > 120);
      part.words.replaceChildren(
        el('button.ia-word.ia-faultless', { type: 'button', onclick: () => missWord(null) }, icon('check'), 'No mistakes'),
        el('span.ia-miss-lead', { 'aria-hidden': 'true' }, `or ${verb.toLowerCase()}`, el('span', {}, ' what is missing'), ':'),
        ...wordsOf(prompt).map((word, k) => el('button.ia-word', { type: 'button', onclick: () => missWord(k) }, word)));
    }
    const [none, ...words] = part.words.querySelectorAll('button');
    none.setAttribute('aria-pressed', String(Boolean(missed && !missed.length)));
    words.forEach((button, k) => button.setAttribute('aria-pressed', String(Boolean(missed && missed.includes(k)))));
  }

  /** Tap a word, or with null "No mistakes"; a second tap takes it back. */
  function missWord(k) {
    const missed = answers().misaligned_words;
    let now;
    if (k === null) now = missed && !missed.length ? null : [];
    else {
      now = missed && missed.includes(k) ? missed.filter((other) => other !== k) : [...(missed || []), k];
      if (!now.length) now = null;
    }
    answers().misaligned_words = now;
    showWords(parts.alignment);
    changed('alignment', false, 'word');
  }

  /** Show or hide a button; the keyboard's place does not go with it. */
  function swap(button, shown, instead) {
    const held = !shown && document.activeElement === button;
    button.hidden = !shown;
    if (held) instead.focus({ preventScroll: true });
  }

  function showWhere(step) {
    const { where } = parts[step] || {};
    if (!where) return;
    const used = marks.used(step);
    where.node.hidden = !placesAsked(answers(), step);
    where.slots.forEach((slot, k) => slot.classList.toggle('used', k < used));
    const nowhere = marks.isNowhere(step);
    where.nowhere.setAttribute('aria-pressed', String(nowhere));
    // "Nowhere" makes room for the others once something is marked.
    swap(where.nowhere, !used, where.mark);
    swap(where.undo, marks.undoable(step) && !nowhere, where.mark);
    for (const button of [where.erase, where.clear]) if (button) swap(button, used, where.mark);
    if (where.erase) where.erase.setAttribute('aria-pressed', String(marks.erasing));
    marks.layer.node.classList.toggle('erasing', Boolean(marks.erasing));
  }

  function show(step) {
    const part = parts[step];
    part.radios.forEach((radio, k) => { radio.checked = answers()[QUESTIONS[step].field] === k + 1; });
    if (part.words) showWords(part);
    showWhere(step);
  }

  /** Let places be marked where this step asks for them. Marks of the other kind stay to be seen. */
  function arm(step) {
    const asked = step && placesAsked(answers(), step);
    armLayer(marks.layer, asked ? step : null, marks.how);
    for (const kind of Object.keys(KINDS)) marks.layer.node.classList.toggle('no-' + kind, !placesAsked(answers(), kind));
  }

  return {
    zone, marks, arm, rate, parts,
    show() { for (const step of Object.keys(parts)) show(step); marks.show(); },
    /** What a question that has to be answered still lacks. */
    lacks(step) {
      const { criteria } = feedback();
      if (criteria.includes(step) && !rated(answers(), step)) return `${QUESTIONS[step].tab.toLowerCase()} is still to be answered.`;
      if (step === 'alignment' && feedback().words && !answers().misaligned_words) return `${verb.toLowerCase()} the words that it misses, or “No mistakes”.`;
      return `${feedback().area ? 'paint' : 'mark'} ${KINDS[step].where}, or say “Nowhere”.`;
    },
    /** The keyboard's place where a wrong answer is put right: its words, its places, or the rating that asks for them. */
    again(step, words) {
      const { where, words: list } = parts[step];
      if (words && list) list.querySelector('button').focus({ preventScroll: true });
      else if (where && !where.node.hidden) where.mark.focus({ preventScroll: true });
      else this.focus(step);
    },
    /** Where the keyboard goes on: the chosen step of the scale, or the first. */
    focus(step) {
      const { radios, words } = parts[step];
      const at = radios.find((radio) => radio.checked) || radios[0] || (words && words.querySelector('button'));
      if (at) at.focus({ preventScroll: true });
    },
  };
}
