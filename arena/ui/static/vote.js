// A vote, and what it tells: names, licences, how others voted, how the ratings moved. And taking it back.
// Where reasons are asked for, the vote counts at once and the names wait until the voter asks for them.

const SAID = Object.fromEntries(CHOICES.map((choice) => [choice.winner, choice.said]));

async function vote(winner) {
  if (state.phase !== 'open') return; // a second click or key finds another phase: one vote a battle
  const battle = state.battle;
  const turn = ++state.turn;
  // Disabling the button that was pressed loses the keyboard's place: it goes on from the one that follows.
  state.byKeyboard = ui.choices.contains(document.activeElement);
  const seconds = Math.round(performance.now() - state.shownAt) / 1000;
  const held = holdsNames();
  setPhase('sending');
  mark(winner);
  note(null);
  try {
    const { reveal, check } = await call('vote', { battle_id: battle.battle_id, winner, seconds, ...(held ? { hold: true } : {}) });
    state.lastVote = battle.battle_id;
    ui.header.votes(1);
    live.votedMeanwhile = true;
    if (turn !== state.turn) return;
    followCampaign();
    beginFeedback(battle, winner, Boolean(reveal));
    if (reveal) showReveal(reveal);
    else showCounted(winner);
    if (check) tellRight(check);
  } catch (error) {
    if (turn === state.turn) refused(error, winner);
  }
}

/** The vote did not count: say why, keep what can be kept. */
function refused(error, winner) {
  if (error.code === 'already_voted') { // an earlier try had arrived, only its answer was lost
    state.lastVote = state.battle.battle_id;
    ui.header.votes(1);
    if (holdsNames()) {
      beginFeedback(state.battle, winner, false);
      showCounted(winner);
    } else setPhase('withdrawn');
    ui.said.textContent = 'This battle has your vote already.';
  } else if (error.code === 'wrong_answer') {
    setPhase('open');
    unmark();
    lookAgain(error.message, () => ui.choices.firstChild.focus({ preventScroll: true }));
  } else if (['unknown_battle', 'battle_expired', 'task_first'].includes(error.code)) {
    setPhase('loading');
    state.coming = null;
    next().then(() => note(error.code === 'task_first' ? error.message : 'That battle was not open any more; this is another.'));
  } else {
    setPhase('open');
    unmark();
    note(error.code === 'offline' ? `${error.message} Your vote is not counted yet.` : error.message,
      { bad: true, action: 'Send it again', run: () => vote(winner) });
  }
}

function mark(winner) {
  ui.stage.dataset.winner = winner;
  for (const button of ui.choices.children) button.classList.toggle('chosen', button.dataset.winner === winner);
}

function unmark() {
  delete ui.stage.dataset.winner;
  for (const button of ui.choices.children) button.classList.remove('chosen');
}

function clearReveal() {
  unmark();
  ui.stage.classList.remove('told');
  for (const side of [ui.a, ui.b]) {
    side.name.textContent = '';
    side.about.replaceChildren();
    side.demo.hidden = side.elo.hidden = side.more.hidden = true;
    openSheet(side, false);
  }
  ui.said.textContent = ui.counts.textContent = '';
  ui.bar.replaceChildren();
}

/** The vote is on disk; the names wait until they are asked for. */
function showCounted(winner) {
  ui.said.textContent = `Your vote counts: ${SAID[winner]}.`;
  setPhase('counted');
  showLive();
  if (owesWhy()) { openWhy(); return; }
  if (state.byKeyboard) ui.reveal.focus({ preventScroll: true });
  say(`Counted: ${SAID[winner]}. Space reveals the models, w asks you why.`);
}

/** Ask for the names of the battle that was voted on. */
async function askNames() {
  if (state.phase !== 'counted') return;
  const turn = ++state.turn;
  state.byKeyboard = ui.after.contains(document.activeElement);
  setPhase('telling');
  note(null);
  try {
    const { reveal, check } = await call('reveal', { battle_id: state.battle.battle_id });
    if (turn !== state.turn) return;
    if (check) { showKnown(check); return; }
    if (why.record) why.record.revealed = true;
    showReveal(reveal);
  } catch (error) {
    if (turn !== state.turn) return;
    setPhase('counted');
    note(error.message, { bad: true, action: 'Try again', run: askNames });
  }
}

function showReveal(reveal) {
  for (const side of ['a', 'b']) showContender(ui[side], reveal[side]);
  showCrowd(reveal);
  setPhase('revealed');
  ui.stage.classList.add('told');
  showLive();
  if (state.byKeyboard) ui.next.focus({ preventScroll: true });
  say(outcome(reveal));
}

function showContender(side, contender) {
  side.name.replaceChildren(link(contender.name, contender.url));
  side.demo.hidden = !contender.demo;
  side.about.replaceChildren(...[contender.organisation, link(contender.licence, contender.licence_url)]
    .filter(Boolean).flatMap((part, k) => (k ? [el('i', {}, '·'), part] : [part])));
  side.elo.hidden = !contender.rating;
  if (contender.rating) tick(side.elo, contender.rating);
  side.more.hidden = false;
  side.sheet.replaceChildren(...sheetRows(contender).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

/** Elo before -> after, counted up while one watches. */
function tick(node, { before, after }) {
  const change = Math.round(after) - Math.round(before);
  const now = el('b', {}, String(Math.round(after)));
  const sign = change > 0 ? '+' : change < 0 ? '−' : '±';
  node.replaceChildren(el('small', {}, 'Elo '), now,
    el('span.ia-delta', { 'data-sign': Math.sign(change) }, sign + Math.abs(change)));
  node.title = `Elo ${before.toFixed(1)} before this vote, ${after.toFixed(1)} after it`;
  if (calm() || !change) return;
  const start = performance.now();
  const step = (at) => {
    const share = Math.min(1, (at - start) / 700);
    now.textContent = String(Math.round(before + (after - before) * (1 - (1 - share) ** 3)));
    if (share < 1 && node.isConnected) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

const SETTING_NAMES = {
  num_inference_steps: 'Steps', guidance_scale: 'Guidance', true_cfg_scale: 'Guidance', max_sequence_length: 'Sequence length',
  seed: 'Seed', scheduler: 'Scheduler', pipeline: 'Pipeline', dtype: 'Number type',
};

/** What is worth knowing of how an image was made; nested settings are told one by one. */
function sheetRows(contender) {
  const rows = [['Family', contender.family], ['Time', `${contender.seconds.toFixed(2)} s`]];
  const { width, height, ...rest } = contender.settings || {};
  if (width && height) rows.push(['Size', `${width} × ${height}`]);
  const walk = (settings) => {
    for (const [key, value] of Object.entries(settings)) {
      if (value && typeof value === 'object' && !Array.isArray(value)) walk(value);
      else if (!['width', 'height', 'negative_prompt'].includes(key) && value !== null && value !== '') {
        rows.push([SETTING_NAMES[key] || key.replaceAll('_', ' '), String(value)]);
      }
    }
  };
  walk(rest);
  return rows.filter(([name, value], k) => value && rows.findIndex(([other]) => other === name) === k).slice(0, 14);
}

function showCrowd({ winner, crowd }) {
  const of = { model_a: crowd.a, both_good: crowd.both_good, both_bad: crowd.both_bad, model_b: crowd.b };
  const total = Object.values(of).reduce((sum, n) => sum + n, 0);
  const alike = of[winner] - 1;
  const others = total - 1;
  ui.said.textContent = agreement(alike, others);
  ui.counts.replaceChildren(...CHOICES.map((choice) => el('span', { class: choice.winner === winner ? 'mine' : null },
    { model_a: 'A', model_b: 'B', both_good: 'good', both_bad: 'bad' }[choice.winner] + ' ', el('b', {}, String(of[choice.winner])))));
  ui.bar.replaceChildren(...CHOICES.filter((choice) => of[choice.winner]).map((choice) => {
    const part = el('span', { 'data-winner': choice.winner, class: choice.winner === winner ? 'mine' : null });
    part.style.flexGrow = of[choice.winner];
    return part;
  }));
}

function agreement(alike, others) {
  if (others < 1) return 'You are the first to judge this pair.';
  if (others === 1) return alike ? 'One other has voted, and agrees with you.' : 'One other has voted, and sees it differently.';
  if (alike === others) return `All ${others} others agree with you.`;
  if (!alike) return `None of ${others} others agrees with you.`;
  return `${alike} of ${others} others ${alike === 1 ? 'agrees' : 'agree'} with you.`;
}

/** The reveal in words, for the live region. */
function outcome({ winner, a, b }) {
  const who = (letter, c) => `${letter} is ${c.name} by ${c.organisation}${c.rating ? `, Elo ${Math.round(c.rating.before)} to ${Math.round(c.rating.after)}` : ''}.`;
  return `Counted: ${SAID[winner]}. ${who('A', a)} ${who('B', b)} ${ui.said.textContent} Space for the next battle.`;
}

/** Take back the last vote. It stays on record, marked as withdrawn; its battle has been revealed and is over. */
async function undo() {
  const given = state.lastVote;
  if (!given || ['sending', 'telling'].includes(state.phase)) return;
  state.lastVote = null;
  const told = state.phase === 'revealed';
  const here = ['counted', 'revealed'].includes(state.phase) && state.battle && state.battle.battle_id === given;
  try {
    await call('withdraw', { battle_id: given });
  } catch (error) {
    if (error.code === 'offline') state.lastVote = given;
    note(error.message, { bad: true, ...(error.code === 'offline' ? { action: 'Try again', run: undo } : {}) });
    return;
  }
  ui.header.votes(-1);
  note(null);
  followCampaign();
  const text = `Vote taken back: it does not count. This battle is not asked again${told ? ', since its names are known' : ''}.`;
  if (here && ['counted', 'revealed'].includes(state.phase)) {
    const focused = ui.after.contains(document.activeElement);
    dropFeedback();
    setPhase('withdrawn');
    unmark();
    ui.said.textContent = text;
    ui.counts.replaceChildren();
    ui.bar.replaceChildren();
    if (focused) ui.next.focus({ preventScroll: true });
    say(text);
  } else {
    note('Your last vote is taken back: it does not count. That battle is not asked again.');
  }
}
