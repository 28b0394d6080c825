// A campaign: its guidelines before the first task and whenever they are wanted, and how far voter and campaign are.
// Without one nothing of this is on the page.

const camp = { told: null, strip: null, guide: null, progress: null, timer: 0 };
const campaign = () => meta.campaign || null;
/** Whether this battle's feedback comes before the next battle. Its models stay unnamed: who goes on labelling is not to
 *  learn which they are. */
const mustSay = (battle) => Boolean(campaign() && campaign().required && feedback() && battle && battle.served_from === 'bank');

const number = (n) => n.toLocaleString('en');

function sheet(label, ...parts) {
  const close = el('button.ia-iconbtn', { type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'));
  const dialog = el('dialog.ia-keys.ia-paper', { 'aria-label': label }, el('div.ia-keys-head', {}, el('h2', { tabindex: '-1' }, label), close), ...parts);
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  return dialog;
}

/** The strip under the header, and the two sheets that open from it. */
function buildCampaign() {
  const { title, guidelines } = campaign();
  camp.bar = el('i');
  camp.you = el('span.ia-camp-you');
  camp.all = el('span.ia-camp-all');
  const open = el('button.ia-camp-far', { type: 'button', 'aria-haspopup': 'dialog', onclick: () => showProgress() },
    camp.you, el('span.ia-camp-bar', { 'aria-hidden': 'true' }, camp.bar), camp.all);
  const read = guidelines.length ? el('button.ia-quiet.ia-camp-read', { type: 'button', 'aria-haspopup': 'dialog', onclick: () => showGuide() }, icon('info'), 'Guidelines') : null;
  camp.strip = el('section.ia-camp', { 'aria-label': 'Campaign' }, el('b.ia-camp-title', {}, title), open, read);
  camp.guide = buildGuide();
  camp.list = el('div');
  camp.progress = sheet('Progress', camp.list);
  camp.again = buildAgain();
  stageRoot.classList.add('ia-campaign');
  header.header.after(camp.strip);
  stageRoot.append(camp.guide, camp.progress, camp.again);
}

function buildGuide() {
  const { title, guidelines } = campaign();
  const start = el('button.ia-btn.ia-start', { type: 'button', onclick: () => camp.guide.close() }, 'Start');
  const guide = sheet('Guidelines', el('p.ia-guide-lead', {}, title),
    el('ol.ia-guide', {}, ...guidelines.map((row) => el('li', {}, row.title && el('h3', {}, row.title), el('p', {}, row.text), ...row.examples.map(buildExample)))),
    el('p.ia-guide-note', {}, 'Now and then there is a task whose answer is known. A wrong answer to it is explained, and asked for again; it counts for no model.'), start);
  guide.addEventListener('close', () => {
    memory.set('guide', campaign().version);
    start.textContent = 'Back to the task';
    state.shownAt = performance.now(); // reading is not looking
  });
  start.textContent = memory.get('guide') === campaign().version ? 'Back to the task' : 'Start';
  return guide;
}

function buildExample({ text, good, bad }) {
  const shown = (url, kind) => url && el('figure.ia-example-shown', { 'data-kind': kind },
    el('img', { src: ROOT + url.replace(/^\//, ''), alt: `${kind === 'good' ? 'Good' : 'Bad'}: ${text}`, loading: 'lazy' }),
    el('figcaption', {}, icon(kind === 'good' ? 'check' : 'close'), kind === 'good' ? 'Good' : 'Bad'));
  return el('div.ia-guide-example', {}, el('p', {}, text), (good || bad) && el('div.ia-guide-pair', {}, shown(good, 'good'), shown(bad, 'bad')));
}

/** What a wrong answer to a known task is told. */
function buildAgain() {
  const why = el('p.ia-again-why');
  const dialog = el('dialog.ia-keys.ia-again', { 'aria-label': 'Look again' }, el('h2', {}, 'Look again'), why,
    el('p.ia-again-note', {}, 'The answer to this task is known, and it is another. Please put it right; then it goes on.'),
    el('button.ia-btn.ia-start', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Try again'));
  dialog.why = why;
  return dialog;
}

function showGuide() {
  if (!camp.guide.open) camp.guide.showModal();
  camp.guide.querySelector('h2').focus({ preventScroll: true });
  camp.guide.scrollTop = 0;
}

/** A wrong answer: explain it; once that is read, the keyboard is back where the answer is given. */
function lookAgain(text, back) {
  camp.again.why.textContent = text;
  camp.again.onclose = () => back();
  if (!camp.again.open) camp.again.showModal();
}

/** A right answer, where it is told at all. */
function tellRight({ why: text, tries, practice }) {
  const done = practice ? ` ${practice.done} of ${practice.of} tasks before you begin.` : '';
  const line = tries > 1 ? `Right now, thank you.${done}` : `Right. ${text}${done}`;
  note(practice && practice.done === practice.of ? `${line} From here on your answers count.` : line);
  const said = ui.note.textContent;
  setTimeout(() => { if (ui.note.textContent === said) note(null); }, 9000);
}

/** In place of names: a battle with a known answer has none to tell. */
function showKnown({ right }) {
  setPhase('withdrawn');
  state.lastVote = null;
  ui.said.textContent = `This pair was a task with a known answer: it counts for no model.${right ? ' You had it right.' : ''}`;
  say(ui.said.textContent);
}

/** Learn what this voter is asked, and how far they are; tried until there is an answer. */
async function joinCampaign() {
  buildCampaign();
  for (let tries = 0; ; tries++) {
    try {
      camp.told = (await call('campaign')).campaign;
      break;
    } catch (error) {
      if (tries === 2) note(error.message, { bad: true });
      await wait(Math.min(8000, 500 * 2 ** tries));
    }
  }
  note(null);
  meta.feedback = camp.told.asked;
  showFar();
  if (campaign().guidelines.length && memory.get('guide') !== campaign().version) showGuide();
}

/** After an answer: what has changed since, without holding anything up. */
function followCampaign() {
  if (!campaign()) return;
  clearTimeout(camp.timer);
  camp.timer = setTimeout(async () => {
    const found = await call('campaign').catch(() => null);
    if (!found) return;
    camp.told = found.campaign;
    showFar();
    if (camp.progress.open) fillProgress();
  }, 150);
}

function showFar() {
  const { you, campaign: all } = camp.told;
  camp.you.replaceChildren(el('b', {}, number(you.answers)), ' by you', el('span.ia-camp-today', {}, ` · ${number(you.today)} today`));
  camp.all.replaceChildren(all.target ? `${number(all.answers)} of ${number(all.target)}` : count(all.answers, 'answer'), el('span.ia-sr', {}, all.target ? ' answers in all' : ' in all'));
  const share = all.target ? Math.min(1, all.answers / all.target) : 0;
  camp.bar.style.width = `${100 * share}%`;
  camp.bar.parentNode.hidden = !all.target;
}

function showProgress() {
  fillProgress();
  camp.progress.showModal();
  camp.progress.querySelector('h2').focus({ preventScroll: true });
  followCampaign();
}

function fillProgress() {
  const { you, campaign: all, ranking } = camp.told;
  const rows = [['You, in all', count(you.answers, 'answer')], ['You, today', count(you.today, 'answer')],
    ['Everybody', all.target ? `${number(all.answers)} of ${number(all.target)} answers` : count(all.answers, 'answer')],
    ['Voters', number(all.voters)]];
  if (all.pairs) rows.push(['Pairs with all their votes', `${number(all.pairs.complete)} of ${number(all.pairs.begun)} begun`]);
  camp.list.replaceChildren(
    all.target ? el('progress.ia-far', { max: all.target, value: Math.min(all.target, all.answers), 'aria-label': 'Answers of those wanted' }) : '',
    el('dl.ia-far-list', {}, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    ...(ranking ? buildRanking(ranking) : []));
}

function buildRanking({ named, others }) {
  const unnamed = !others ? '' : named.length ? `${count(others, 'more voter')} not named here.` : `${count(others, 'voter')} so far, none by name.`;
  const how = canSignIn() ? 'Sign in and agree on the About page to be named here.' : '';
  return [el('h3', {}, 'Who takes part'),
    named.length ? el('ol.ia-ranking', {}, ...named.map((row) => el('li', { class: row.you ? 'you' : null, 'aria-current': row.you ? 'true' : null },
      el('i', {}, `${row.place}.`), el('span', {}, row.name, row.you ? el('small', {}, ' you') : ''), el('b', {}, number(row.answers))))) : '',
    el('p', {}, [unnamed, 'By the number of answers, whatever they were.', how].filter(Boolean).join(' '))];
}
