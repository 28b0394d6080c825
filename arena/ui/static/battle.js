// Which battle is on the stage, and which one comes next. `state.phase` says what may be done:
// loading (nothing to vote on) -> open -> sending -> revealed | withdrawn -> loading or open ...
// Where the names wait until they are asked for: sending -> counted -> telling -> revealed.

const state = {
  phase: 'loading',
  battle: null, // on the stage, with its pictures
  coming: null, // {promise, category} of the battle after it, on its way or here
  category: '', // which battles the visitor wants; '' for all
  shownAt: 0,
  byKeyboard: false, // the choice was made on a focused button
  lastVote: null, // battle_id of the vote that can still be taken back
  live: null, // a battle of the visitor's own prompt that waits for its turn
  turn: 0, // counts what was asked for the stage, so that a late answer to an old wish is dropped
};

const VOTED = ['counted', 'telling', 'revealed', 'withdrawn'];

function setPhase(phase) {
  state.phase = phase;
  ui.stage.dataset.phase = phase;
  const open = phase === 'open';
  for (const button of ui.choices.children) button.disabled = !open;
  ui.skip.style.visibility = open ? '' : 'hidden'; // it keeps its room
  ui.choices.hidden = VOTED.includes(phase);
  ui.after.hidden = !ui.choices.hidden;
  ui.undo.hidden = !['counted', 'revealed'].includes(phase);
  showWhy();
}

/** A line above or under the choices: null for none, else a text, whether it is bad news, and what to do about it. */
function note(text, { bad = false, action = null, run = null } = {}) {
  ui.note.replaceChildren();
  ui.note.classList.toggle('bad', bad);
  ui.note.classList.toggle('full', Boolean(text));
  if (!text) return;
  ui.note.append(el('span', {}, text));
  if (action) ui.note.append(el('button.ia-quiet', { type: 'button', onclick: () => { note(null); run(); } }, action));
  say(text);
}

/** Say it to a screen reader. */
function say(text) {
  ui.live.textContent = '';
  setTimeout(() => { ui.live.textContent = text; }, 30); // the same sentence twice is said twice
}

/** Begin to fetch the battle after the one on the stage, unless it is on its way. */
function prefetch() {
  if (state.coming) return;
  const coming = { category: state.category };
  coming.promise = fetchBattle(state.category, state.battle && state.battle.battle_id);
  // A failure is looked at when the battle is wanted; until then it may have mended.
  coming.promise.catch(() => { if (state.coming === coming) state.coming = null; });
  state.coming = coming;
}

/** Put a battle on the stage. Both pictures are decoded, so that they appear in one frame. */
function show(battle) {
  leaveFeedback();
  state.battle = battle;
  clearReveal();
  note(null);
  ui.chip.textContent = battle.category || 'Your prompt';
  ui.chip.hidden = false;
  ui.sub.textContent = battle.sub_category || (battle.served_from === 'live' && battle.category ? 'your prompt' : '');
  ui.prompt.textContent = battle.prompt;
  ui.hint.textContent = battle.hint || '';
  ui.hint.hidden = !battle.hint;
  showWhole(false);
  for (const side of ['a', 'b']) place(ui[side], battle.pictures[side]);
  state.shownAt = performance.now();
  setPhase('open');
  prefetch();
  if (state.live && state.live.battle_id === battle.battle_id) state.live = null;
  showLive();
}

function place(side, image) {
  for (const old of side.frame.querySelectorAll('img')) old.remove();
  image.className = 'ia-image';
  side.frame.prepend(image);
}

/** Nothing to vote on: the frames stay, so that nothing jumps when pictures come. */
function showEmpty(text) {
  leaveFeedback();
  state.battle = null;
  clearReveal();
  ui.chip.hidden = true;
  ui.sub.textContent = '';
  ui.hint.hidden = true;
  ui.prompt.textContent = text;
  showWhole(false);
  for (const side of ['a', 'b']) for (const old of ui[side].frame.querySelectorAll('img')) old.remove();
  setPhase('loading');
}

/** Go on to the next battle: the visitor's own if one is ready, else the one that was fetched ahead. */
async function next({ focus = true } = {}) {
  if (![...VOTED, 'loading'].includes(state.phase)) return;
  if (owesWhy()) { openWhy(); return; }
  const turn = ++state.turn;
  const ready = state.live;
  if (ready) {
    state.live = null;
    show(ready);
  } else {
    await fetchNext(turn);
  }
  if (turn !== state.turn || state.phase !== 'open') return;
  if (focus && ui.stage.contains(document.activeElement)) ui.prompt.focus({ preventScroll: true });
  if (matchMedia('(max-width: 719px)').matches) toTop();
  say(`New battle. ${state.battle.prompt}`);
}

/** Show the next battle as soon as there is one, and say meanwhile why there is none. */
async function fetchNext(turn) {
  const old = state.battle;
  const before = state.phase;
  const voted = before !== 'loading';
  for (let tries = 0; turn === state.turn; tries++) {
    try {
      prefetch();
      const slow = setTimeout(() => { if (turn === state.turn) setPhase('loading'); }, 250);
      const battle = await state.coming.promise.finally(() => clearTimeout(slow));
      if (turn !== state.turn) return;
      state.coming = null;
      // Two tabs of one visitor: the other one may have voted on it, or it is the one that is on the stage.
      if (voted && old && battle.battle_id === old.battle_id) continue;
      show(battle);
      if (battle.owed) owe(battle);
      return;
    } catch (error) {
      if (turn !== state.turn) return;
      state.coming = null;
      if (error.code === 'no_battle') {
        if (state.battle || tries === 0) showEmpty(error.message);
        else if (ui.prompt.textContent !== error.message) showEmpty(error.message);
        // The bank fills within seconds of a start; who has seen everything is asked for more seldom.
        await wait(tries < 60 ? 500 : 5000);
      } else if (error.code === 'too_fast' || error.code === 'busy') {
        note(error.message);
        await wait(1000 * Math.min(20, Math.max(1, error.retryAfter || 1)));
        note(null);
      } else {
        setPhase(before);
        if (!state.battle) showEmpty('No battle just now.');
        note(error.message, { bad: true, action: 'Try again', run: next });
        return;
      }
    }
  }
}

/** Give up this pair: it counts for nobody and is not shown again. */
async function skip() {
  if (state.phase !== 'open') return;
  const turn = ++state.turn;
  const given = state.battle;
  setPhase('loading');
  try {
    await call('skip', { battle_id: given.battle_id });
  } catch (error) {
    if (error.code === 'offline') {
      setPhase('open');
      note(error.message, { bad: true, action: 'Try again', run: skip });
      return;
    }
  }
  if (turn === state.turn) next();
}

/** Only battles of one category from now on. What is on the stage stays where it belongs to it. */
function choose(category) {
  state.category = category;
  state.coming = null;
  memory.set('category', category);
  const fits = state.battle && (!category || state.battle.category === category || state.battle.served_from === 'live');
  if (state.phase === 'sending' || (fits && state.phase !== 'loading')) {
    prefetch();
    return;
  }
  // An unvoted battle of another category stays open on the server, and comes back under "All categories".
  if (state.phase === 'open') setPhase('loading');
  if (state.phase === 'loading') next({ focus: false });
  else prefetch();
}
