// The visitor's own prompt: the box, its progress, and when its battle gets the stage.

const live = {
  phase: 'idle', // idle, asking, queued, drawing, ready
  nonce: 0, // events of an older request are dropped
  ticket: null,
  prompt: '',
  dropped: 0, // the nonce of a request to cancel as soon as it has a ticket
  votedMeanwhile: false,
  given: null, // what was asked, for trying again
  silence: 0, // timer: nothing was heard of the request
};

function buildComposer() {
  const limit = (meta.limits && meta.limits.prompt_chars) || 500;
  const c = {
    text: el('textarea.ia-input', { id: 'ia-own', rows: 1, maxlength: limit, placeholder: 'Describe an image of your own…', 'aria-label': 'A prompt of your own', autocomplete: 'off', enterkeyhint: 'go' }),
    surprise: el('button.ia-iconbtn.ia-surprise', { type: 'button', 'aria-label': 'Surprise me: draw a random prompt', title: 'Surprise me', onclick: () => surprise() }, icon('shuffle'), el('span', {}, 'Surprise me')),
    go: el('button.ia-go', { type: 'submit' }, 'Generate'),
    secret: el('input', { type: 'checkbox', id: 'ia-private' }),
    error: el('p.ia-error', { role: 'alert', hidden: true }),
    left: el('span.ia-left'),
    strip: el('div.ia-strip', { hidden: true }),
    state: el('span.ia-strip-text'),
    eta: el('span.ia-strip-eta', { title: 'An average over all pairs of models: a forecast for these two would tell which they are.' }),
    progress: el('progress', { max: 1, 'aria-label': 'Progress of your images' }),
    act: el('button.ia-quiet', { type: 'button' }),
  };
  c.form = el('form.ia-form', { onsubmit: (event) => { event.preventDefault(); ask(); } }, c.text, c.surprise, c.go);
  c.strip.append(el('span.ia-strip-line', {}, c.state, c.eta, c.act), c.progress);
  c.panel = el('div.ia-panel', {}, c.error,
    el('div.ia-private', {}, el('label', {}, c.secret, el('span', {}, el('b', {}, 'Keep it private. '),
      'Only you see the pictures; neither they nor your words are published. Your vote still counts.')), c.left),
    ...examples(c), ...world());
  c.box = el('section.ia-composer', { 'aria-label': 'Your own prompt' }, c.form, c.strip, c.panel);
  c.text.addEventListener('input', () => { grow(); composerError(null); });
  c.text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(); }
    if (event.key === 'Escape') c.text.blur();
  });
  return c;
}

function examples(c) {
  if (!(meta.examples || []).length) return [];
  const use = (text) => () => { c.text.value = text; grow(); c.go.focus(); };
  return [el('div.ia-examples', { role: 'group', 'aria-label': 'Examples' },
    ...meta.examples.map((text) => el('button.ia-example', { type: 'button', onclick: use(text) }, text)))];
}

/** What the demonstration models understand, where all contenders are such. */
function world() {
  if (!meta.demo || !meta.world) return [];
  const groups = Object.entries(meta.world).filter(([, words]) => words.length);
  return [el('details.ia-world', {},
    el('summary', {}, 'These are small demonstration models: they know ',
      groups.slice(0, 3).map(([name, words]) => `${words.length} ${name.replaceAll('_', ' ')}`).join(', '), ' and little else. ', el('u', {}, 'Which?')),
    el('dl', {}, ...groups.flatMap(([name, words]) => [el('dt', {}, name.replaceAll('_', ' ')), el('dd', {}, words.join(', '))])))];
}

function grow() {
  const { text, left } = composer;
  text.style.height = 'auto';
  text.style.height = text.scrollHeight ? Math.min(text.scrollHeight, 132) + 'px' : ''; // none while it is hidden
  const rest = text.maxLength - text.value.length;
  left.textContent = rest < 60 ? `${rest} characters left` : '';
}

function composerError(text, action, run) {
  composer.error.hidden = !text;
  composer.box.classList.toggle('wrong', Boolean(text));
  composer.error.replaceChildren(...(text ? [el('span', {}, text)] : []));
  if (text && action) composer.error.append(el('button.ia-quiet', { type: 'button', onclick: () => { composerError(null); run(); } }, action));
}

async function surprise() {
  composer.surprise.disabled = true;
  try {
    const query = state.category ? '?category=' + encodeURIComponent(state.category) : '';
    const found = await call('prompt' + query);
    composer.text.value = found.prompt;
    live.surprised = found;
    grow();
    composerError(null);
    composer.go.focus();
  } catch (error) {
    composerError(error.message, 'Try again', surprise);
  }
  composer.surprise.disabled = false;
}

function ask() {
  const prompt = composer.text.value.trim();
  if (!prompt) {
    composerError('Describe an image first, or take one of the examples.');
    composer.text.focus();
    return;
  }
  // A drawn prompt has a category of its own.
  const drawn = live.surprised && live.surprised.prompt === prompt ? live.surprised.category : '';
  send({ prompt, category: drawn || state.category || null, private: composer.secret.checked });
}

function send(request) {
  if (live.phase !== 'idle') return;
  Object.assign(live, { phase: 'asking', nonce: Date.now(), ticket: request.ticket || null, prompt: request.prompt || '', votedMeanwhile: false, given: request });
  composerError(null);
  if (composer.box.contains(document.activeElement)) document.activeElement.blur();
  props.value = { request: { ...request, nonce: live.nonce } };
  trigger('submit');
  if (!request.ticket && !wide.matches) toTop(); // from the box under the pictures back to what can be voted on
  if (!request.ticket) say('Your images are being drawn. You can go on voting meanwhile.');
  heard();
  showLive();
}

/** Events come several times a second while something moves; a long silence means that the line is dead. */
function heard() {
  clearTimeout(live.silence);
  if (!['asking', 'queued', 'drawing'].includes(live.phase)) return;
  live.silence = setTimeout(() => ended('The arena can’t be reached just now. Your prompt is still in the box.', true), live.phase === 'asking' ? 30000 : 90000);
}

function onLive() {
  const event = props.value && props.value.live;
  if (event && event.nonce === live.dropped && event.ticket) { // cancelled before its ticket was known
    live.dropped = 0;
    drop(event.ticket);
  }
  if (!event || event.nonce !== live.nonce || live.phase === 'idle' || live.phase === 'ready') return;
  if (event.phase === 'done') return arrived(event.battle);
  if (event.phase === 'error') return failed(event);
  if (live.phase === 'queued' && event.phase === 'drawing') say('It is your turn: your images are being drawn.');
  else if (event.phase === 'queued' && live.phase === 'asking') say(`${count(event.position, 'request')} before yours. You can go on voting meanwhile.`);
  live.phase = event.phase;
  live.ticket = event.ticket;
  live.event = event;
  remember(event.ticket);
  heard();
  showLive();
  return undefined;
}

/** A reload in the middle goes on with the same request. */
function remember(ticket) {
  try {
    if (ticket) sessionStorage.setItem('image-arena-ticket', JSON.stringify({ ticket, prompt: live.prompt }));
    else sessionStorage.removeItem('image-arena-ticket');
  } catch { /* then a reload finds the battle when it is done */ }
}

async function arrived(battle) {
  clearTimeout(live.silence);
  remember(null);
  live.phase = 'fetching';
  try {
    state.live = await withPictures(battle).catch(() => wait(500).then(() => withPictures(battle)));
  } catch {
    ended('Your images are made, but didn’t arrive. They come up with one of the next battles.', false);
    return;
  }
  live.phase = 'ready';
  composer.text.value = '';
  grow();
  // Who waited for them sees them at once; who voted meanwhile is not interrupted in the middle of a battle.
  if (state.phase === 'loading' || (state.phase === 'open' && !live.votedMeanwhile)) takeStage();
  else {
    showLive();
    say('Your images are ready.');
  }
}

/** The visitor's own battle, now. What was on the stage unvoted stays open and comes back later. */
function takeStage() {
  const battle = state.live;
  if (!battle || state.phase === 'sending') return;
  state.turn++;
  state.live = null;
  if (state.phase === 'open') state.coming = state.coming || { category: state.category, promise: Promise.resolve(state.battle) };
  show(battle);
  toTop();
  say(`Your images are here. ${battle.prompt}`);
}

function failed(event) {
  if (event.code === 'cancelled') ended(null, false);
  else if (event.code === 'unknown_ticket' && live.given.ticket) { // it ended while the page was away
    ended(null, false);
    note('If your images were drawn meanwhile, they come up with your next battles.');
  }
  else ended(event.message, !['bad_prompt', 'unknown_category', 'no_visitor'].includes(event.code));
}

function ended(message, again) {
  clearTimeout(live.silence);
  remember(null);
  const given = live.given;
  live.phase = 'idle';
  showLive();
  if (given && given.prompt && !composer.text.value) { composer.text.value = given.prompt; grow(); }
  if (message) composerError(message, again && given && given.prompt ? 'Try again' : null, () => send(given));
}

function cancel() {
  const { ticket, nonce } = live;
  live.nonce = 0; // whatever still comes of it is ignored
  ended(null, false);
  say('Cancelled.');
  if (ticket) drop(ticket);
  else live.dropped = nonce;
}

function drop(ticket) {
  call('cancel', { ticket }).catch(() => { /* then it is drawn, and its battle waits among the open ones */ });
}

/** Bring the strip, the box and the Next button in line with what is going on. */
function showLive() {
  const busy = ['asking', 'queued', 'drawing', 'fetching'].includes(live.phase);
  if (live.phase === 'ready' && !state.live) live.phase = 'idle';
  const ready = live.phase === 'ready';
  composer.box.dataset.live = busy ? 'busy' : ready ? 'ready' : 'idle';
  composer.strip.hidden = !(busy || ready);
  const shown = composer.form.hidden && !busy && !ready;
  composer.form.hidden = busy || ready;
  if (shown) grow();
  ui.next.firstChild.textContent = state.live && !phone.matches ? 'See your images' : 'Next'; // a phone has the strip for it
  composer.eta.textContent = '';
  if (ready) {
    composer.state.textContent = 'Your images are ready';
    setAct('Show them', state.phase === 'sending' ? () => {} : takeStage);
    composer.progress.value = 1;
  } else if (busy) {
    const event = live.event && live.event.ticket === live.ticket ? live.event : {};
    const waits = live.phase === 'queued';
    composer.state.textContent = waits && event.position > 0 ? `${count(event.position, 'request')} before yours`
      : live.phase === 'drawing' ? `Drawing “${live.prompt}”` : 'Getting ready to draw…';
    if ((waits || live.phase === 'drawing') && event.eta > 0) composer.eta.textContent = `about ${span(event.eta)}`;
    if (live.phase === 'drawing') composer.progress.value = event.progress;
    else if (live.phase === 'fetching') composer.progress.value = 1;
    else composer.progress.removeAttribute('value');
    composer.progress.setAttribute('aria-valuetext', [composer.state.textContent, composer.eta.textContent].filter(Boolean).join(', '));
    setAct('Cancel', cancel);
  }
}

/** Seconds as people say them: the longer, the rounder. */
function span(seconds) {
  if (seconds < 10) return `${seconds} s`;
  if (seconds < 90) return `${Math.ceil(seconds / 5) * 5} s`;
  return `${Math.ceil(seconds / 60)} min`;
}

function setAct(text, run) {
  if (composer.act.textContent !== text) composer.act.textContent = text;
  composer.act.onclick = run;
}
