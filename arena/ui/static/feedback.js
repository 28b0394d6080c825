// The second step: why, not only which. One question at a time, under both pictures; on a phone, of one picture.
// Nothing of it holds up the next battle: what was answered is sent when the voter goes on.

const why = {
  open: false,
  step: 0, // which of steps()
  shown: 'a', // the picture that a phone shows, and that digits rate
  record: null, // what is known of the battle on the stage, once it has a vote
  touched: '', // the side whose places were marked last: what Undo means
  timer: 0, // a question that was answered makes room for the next a moment later
  again: null, // the side and step of a wrong answer that is to be put right
};
const GO_ON = 420; // milliseconds in which one sees what one chose
const AT_ONCE = 'reveal-at-once';

/** Whether a vote is sent with the names held back. */
const holdsNames = () => Boolean(feedback()) && (mustSay(state.battle) || (feedback().reveal === 'after' && memory.get(AT_ONCE) !== '1'));
/** Whether the battle on the stage has its vote and lacks the feedback that has to come before the next one. */
const owesWhy = () => Boolean(why.record) && !why.record.told && mustSay(state.battle) && VOTED.includes(state.phase) && state.phase !== 'withdrawn';
const canSayWhy = () => Boolean(why.record) && !why.record.told && ['counted', 'telling', 'revealed', 'loading'].includes(state.phase);
const stepNow = () => steps()[why.step];
const other = (side) => (side === 'a' ? 'b' : 'a');
const answersOf = (side) => () => (why.record ? why.record.answers[side] : {});

/** The panel's parts, put where frame.js left room for them. */
function buildFeedback() {
  if (!feedback()) return;
  for (const side of SIDES) {
    const questions = buildQuestions(side, answersOf(side), (step, first, by) => answered(side, step, first, by));
    ui[side].questions = questions;
    ui[side].frame.append(questions.marks.layer.node);
    ui[side].side.append(questions.zone);
  }
  ui.stepButtons = steps().map((step, k) => el('button.ia-step', { type: 'button', 'data-step': step, onclick: () => goTo(k, why.shown) },
    el('span', {}, QUESTIONS[step].tab), el('i.ia-step-side', { 'data-of': 'a', 'aria-hidden': 'true' }), el('i.ia-step-side', { 'data-of': 'b', 'aria-hidden': 'true' })));
  ui.steps.replaceChildren(...ui.stepButtons);
  ui.turns.replaceChildren(...SIDES.map((side) => el('button.ia-turn', { type: 'button', 'data-turn': side, onclick: () => goTo(why.step, side) }, `Image ${side.toUpperCase()}`)));
  const tick = el('input', { type: 'checkbox', onchange: () => {
    memory.set(AT_ONCE, tick.checked ? '1' : '');
    // Who wants the names with every vote wants these too. The next Space is not to undo the choice.
    if (tick.checked && state.phase === 'counted') mainAct();
    (ui.reveal.hidden || ui.reveal.disabled ? ui.next : ui.reveal).focus({ preventScroll: true });
  } });
  tick.checked = memory.get(AT_ONCE) === '1';
  if (feedback().reveal === 'after' && !(campaign() && campaign().required)) ui.atOnce.replaceChildren(tick, el('span', {}, 'Always reveal', el('span.ia-long', {}, ' right away')));
  readRecords();
  deliverAll();
  addEventListener('online', deliverAll);
  phone.addEventListener('change', showWhy);
  for (const moved of ['scroll', 'resize']) addEventListener(moved, () => why.open && showMore(), { passive: true });
  addEventListener('resize', () => why.open && fitWhy());
}

/** A battle has a vote: from here on something can be said of it. */
function beginFeedback(battle, winner, revealed) {
  if (!feedback()) return;
  const kept = records.get(battle.battle_id);
  why.record = kept || newRecord(battle, winner, revealed);
  why.record.revealed = revealed;
  if (hasAnswers(why.record)) keep(why.record);
}

/** The battle leaves the stage: what was answered goes its own way to the server. */
function leaveFeedback() {
  const { record } = why;
  clearTimeout(why.timer);
  why.record = null;
  why.again = null;
  why.open = false;
  if (record && !record.told && hasAnswers(record) && !mustSay(record.battle)) give(record);
  if (feedback()) showWhy();
}

/** The vote is taken back, and with it all that was said. */
function dropFeedback() {
  if (why.record) forget(why.record.battle.battle_id);
  if (why.record) why.record.told = true;
  closeWhy();
}

function openWhy() {
  if (!canSayWhy() || why.open) return;
  why.open = true;
  why.step = Math.max(0, steps().findIndex((step) => !SIDES.every((side) => hasAnswer(why.record.answers[side], step))));
  why.shown = 'a';
  note(null);
  for (const side of SIDES) {
    openSheet(ui[side], false);
    ui[side].questions.marks.reset();
    ui[side].questions.show();
  }
  showWhy();
  fitWhy();
  focusQuestion('a');
  if (phone.matches) toTop();
  say(`Image A. ${QUESTIONS[stepNow()].ask}`);
}

function closeWhy() {
  const focused = ui.after.contains(document.activeElement) || Boolean(document.activeElement.closest('.ia-ask, .ia-marks'));
  clearTimeout(why.timer);
  why.open = false;
  showWhy();
  fitWhy();
  if (focused) (ui.why.hidden ? ui.next : ui.why).focus({ preventScroll: true });
}

function goTo(step, side, { focus = true } = {}) {
  clearTimeout(why.timer);
  const news = step !== why.step || side !== why.shown;
  why.step = step;
  why.shown = side;
  showWhy();
  fitWhy();
  if (phone.matches) toTop();
  if (focus) focusQuestion(phone.matches ? side : 'a');
  if (news) say(`Image ${(phone.matches ? side : 'a').toUpperCase()}. ${QUESTIONS[stepNow()].ask}`);
}

function focusQuestion(side) {
  why.shown = side;
  ui[side].questions.focus(stepNow());
}

/** After an answer: keep it, and where nothing more is asked here, go on to what follows. */
function answered(side, step, first, by) {
  clearTimeout(why.timer);
  if (why.again && why.again.side === side && why.again.step === step) leaveAgain();
  keep(why.record);
  if (!phone.matches) why.shown = side;
  if (by === 'full') flash(ui[side].questions.parts[step].where.node);
  if (by === 'mark') why.touched = side;
  showWhy();
  const more = step !== stepNow() || placesAsked(answersOf(side)(), step) || ui[side].questions.parts[step].words;
  if (!first || more || !['click', 'digit'].includes(by)) return;
  const done = phone.matches || hasAnswer(answersOf(other(side))(), step);
  if (done && why.step < steps().length - 1) {
    why.timer = setTimeout(() => goTo(why.step + 1, why.shown), by === 'digit' ? 120 : GO_ON);
  } else if (!done && by === 'digit') focusQuestion(other(side));
}

function flash(node) {
  node.classList.remove('full');
  node.getBoundingClientRect(); // so that the same thing moves again
  node.classList.add('full');
}

function undoMark(side) {
  const at = side || why.touched || why.shown;
  ui[at].questions.marks.undo();
}

/** What the main button of the panel does: the next question, the other picture, or send. */
function forward() {
  const last = steps().length - 1;
  if (mayGoOn()) return sendWhy();
  if (why.step < last) return goTo(why.step + 1, why.shown);
  if (toOther()) return goTo(0, other(why.shown));
  return sendWhy();
}

/** Whether nothing is missing that has to be answered. */
const mayGoOn = () => owesWhy() && SIDES.every((side) => steps().every((step) => isAnswered(answersOf(side)(), step)));

const toOther = () => phone.matches && why.shown === 'a' && (!bodyOf(why.record, 'b') || (owesWhy() && !steps().every((step) => isAnswered(answersOf('b')(), step))));

/** Give the answers, thank for them, and tell the names where they are still hidden. */
async function sendWhy() {
  const { record } = why;
  if (!record || record.told) return;
  if (owesWhy()) { await sendAll(record); return; }
  const hidden = state.phase === 'counted';
  const answeredAny = hasAnswers(record);
  let sent = true;
  if (answeredAny) {
    const sending = give(record); // before the reveal is asked for: the names must not have been known
    closeWhy();
    sent = await sending;
  } else closeWhy();
  if (why.record !== record) return; // the voter has gone on
  if (hidden) await askNames();
  if (!answeredAny || why.record !== record) return;
  thank(sent);
}

/** Where feedback is required: all of it, and once the arena has it, the next battle. */
async function sendAll(record) {
  for (const side of SIDES) {
    const step = steps().findIndex((name) => !isAnswered(answersOf(side)(), name));
    if (step < 0) continue;
    if (!why.open) openWhy();
    goTo(step, side);
    focusQuestion(side);
    const line = `Image ${side.toUpperCase()}: ${ui[side].questions.lacks(steps()[step])}`;
    note(line);
    setTimeout(() => { if (ui.note.textContent === line) note(null); }, 5000);
    return;
  }
  ui.reveal.disabled = true;
  note(null);
  const sent = await give(record);
  if (why.record !== record) return;
  ui.reveal.disabled = false;
  if (sent === true) {
    followCampaign();
    await next();
    if (record.check) tellRight(record.check);
    return;
  }
  record.told = false;
  keep(record);
  if (sent.wrong) lookAgain(sent.wrong, () => putRight(sent));
  else note('The arena can’t be reached. Your answers are kept here.', { bad: true, action: 'Send them again', run: sendWhy });
}

/** A wrong answer to a known task was explained: back to the very question, which stays marked until it is changed. */
function putRight({ wrong, side, about }) {
  const step = about === 'words' ? 'alignment' : about;
  openWhy();
  goTo(Math.max(0, steps().indexOf(step)), side, { focus: false });
  why.again = { side, step };
  ui[side].questions.again(stepNow(), about === 'words');
  note(`Image ${side.toUpperCase()}: ${wrong}`, { bad: true });
  showWhy();
  fitWhy();
}

/** The question that was to be put right has changed: it is not pointed at any more. */
function leaveAgain() {
  if (!why.again) return;
  why.again = null;
  note(null);
}

/** After a reload: a battle that was voted on, and lacks its feedback. */
function owe(battle) {
  mark(battle.owed.winner);
  state.lastVote = battle.battle_id;
  beginFeedback(battle, battle.owed.winner, false);
  showCounted(battle.owed.winner);
}

function thank(sent) {
  if (sent && phone.matches) { // a line of its own would lie on the picture
    ui.said.textContent = `Thank you. ${ui.said.textContent}`;
    say('Thank you. Your reasons are in.');
    return;
  }
  const text = sent ? 'Thank you. Your reasons are in.' : 'Thank you. Your reasons are kept here, and sent when the arena can be reached.';
  note(text);
  setTimeout(() => { if (ui.note.textContent === text) note(null); }, 6000);
}

/** Bring the panel in line with what is open, asked and answered. */
function showWhy() {
  if (!feedback() || !ui.stepButtons) return; // not built yet
  const open = why.open && canSayWhy();
  ui.stage.classList.toggle('asking', open);
  ui.stage.dataset.shown = why.shown;
  ui.stage.dataset.step = stepNow();
  for (const side of SIDES) {
    for (const step of steps()) {
      const { node } = ui[side].questions.parts[step];
      node.classList.toggle('now', step === stepNow());
      node.classList.toggle('again', Boolean(why.again && why.again.side === side && why.again.step === step));
    }
  }
  ui.why.hidden = open || !canSayWhy();
  ui.back.hidden = !open;
  ui.steps.hidden = !open;
  ui.crowd.hidden = open;
  ui.undo.hidden = open || !['counted', 'revealed'].includes(state.phase);
  ui.atOnce.style.visibility = !open && ['counted', 'revealed'].includes(state.phase) ? '' : 'hidden';
  const given = why.record && !why.record.told && hasAnswers(why.record);
  ui.why.classList.toggle('begun', Boolean(given));
  for (const side of SIDES) {
    ui[side].questions.arm(open ? stepNow() : null);
    ui[side].questions.marks.layer.node.hidden = !open;
  }
  showMain(open, given);
  if (!open) return;
  ui.stepButtons.forEach((button, k) => {
    if (k === why.step) button.setAttribute('aria-current', 'step');
    else button.removeAttribute('aria-current');
    const done = SIDES.filter((side) => (owesWhy() ? isAnswered : hasAnswer)(answersOf(side)(), steps()[k]));
    for (const mark of button.querySelectorAll('i')) mark.classList.toggle('done', done.includes(mark.dataset.of));
    button.setAttribute('aria-label', QUESTIONS[steps()[k]].tab + (done.length ? `, answered for ${done.join(' and ').toUpperCase().replace('AND', 'and')}` : ''));
  });
  showMore();
  for (const button of ui.turns.children) button.setAttribute('aria-pressed', String(button.dataset.turn === why.shown));
}

/** The words of a long prompt need room: the pictures give it, as far as they can, so that all of the panel is seen. */
function fitWhy() {
  if (phone.matches && state.battle) showWhole(false);
  ui.stage.style.removeProperty('--ia-give');
  if (!why.open) return;
  const ends = SIDES.map((side) => ui[side].questions.zone.getBoundingClientRect().bottom + document.documentElement.scrollTop);
  const over = Math.max(...ends) - (innerHeight - ui.dock.offsetHeight);
  if (over > 0) ui.stage.style.setProperty('--ia-give', `${Math.ceil(over)}px`);
  showMore();
}

/** Whether something of the panel is below the window's edge. */
function showMore() {
  const page = document.documentElement;
  ui.stage.classList.toggle('more', page.scrollHeight - innerHeight - page.scrollTop > 6);
}

/** The main button beside Next: reveal, the next question, or send. */
function showMain(open, given) {
  const hidden = state.phase === 'counted' || state.phase === 'telling';
  ui.reveal.hidden = !(open || (hidden && !owesWhy()));
  ui.next.hidden = owesWhy();
  ui.reveal.disabled = state.phase === 'telling';
  ui.next.classList.toggle('second', !ui.reveal.hidden);
  if (ui.reveal.hidden) return;
  const last = open && why.step === steps().length - 1;
  let text = ['Reveal', ' the models'];
  if (open && mayGoOn()) text = ['Send', ''];
  else if (open && !last) text = ['Continue', ''];
  else if (open && toOther()) text = ['Image B', ''];
  else if (owesWhy()) text = ['Send', ''];
  else if (given) text = hidden ? ['Send', ' and reveal'] : ['Send', ''];
  else if (open && !hidden) text = ['Done', ''];
  ui.reveal.replaceChildren(el('span', {}, text[0], text[1] && el('span.ia-long', {}, text[1])));
}

/** The main button: in the panel it goes on; else it tells the names, after what was begun there. */
function mainAct() {
  if (why.open) return forward();
  return why.record && !why.record.told && hasAnswers(why.record) ? sendWhy() : askNames();
}

/** Keys while the panel is open. True when no other key handler is to look at the event. */
function whyKey(event) {
  if (!why.open) return false;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest('textarea, select, input:not([type=radio])')) return false;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = target.closest('button, a, summary, input');
  if (isUndo(event) || key === 'Backspace') {
    event.preventDefault();
    undoMark();
  } else if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return true;
  else if (/^[1-5]$/.test(key)) rateByDigit(Number(key), target);
  else if (key === 'Escape') closeWhy();
  else if (key === 'n') next();
  else if (key === 'a' || key === 'b') goTo(why.step, key, { focus: false }), focusQuestion(key);
  else if (key === '?') return false;
  else if ((key === 'Enter' && !(control && control.type !== 'radio')) || (key === ' ' && !control)) {
    event.preventDefault();
    forward();
  }
  return true;
}

function rateByDigit(value, target) {
  const at = target.closest('[data-side]');
  const side = phone.matches ? why.shown : (at ? at.dataset.side : why.shown);
  const { questions } = ui[side];
  if (!questions.parts[stepNow()].radios.length) return;
  why.shown = side;
  questions.rate(stepNow(), value, 'digit');
}

/** After a reload: the battle whose reasons were being written, with all of them. */
async function resume(record) {
  const turn = ++state.turn;
  let battle;
  try {
    battle = await withPictures(record.battle);
  } catch {
    if (turn === state.turn) next({ focus: false });
    return;
  }
  if (turn !== state.turn) return;
  show(battle);
  mark(record.winner);
  state.lastVote = battle.battle_id;
  beginFeedback(battle, record.winner, record.revealed);
  showCounted(record.winner);
  if (record.revealed) await askNames();
  openWhy();
}
