// Why, not only which: the cards of the models, and the pages of a model and of an image, each with its own address.

const pageOf = (kind, id) => `#why/${kind}/${encodeURIComponent(id)}`;

/** {kind, id} of an address that names a model's or an image's page, or null. */
function pageIn(key) {
  const [tab, kind, id] = key.split('/');
  if (tab !== 'why' || !['model', 'image'].includes(kind) || !id) return null;
  try { return { kind, id: decodeURIComponent(id) }; } catch { return null; }
}

// -- the cards ------------------------------------------------------------------------------------------------------

function makeCards() {
  const node = make('div.lb-cards');
  let block = null, drawn = '', shown = [];
  node.isLate = () => false;
  node.show = (fresh) => {
    const text = JSON.stringify(fresh);
    if (text === drawn) return;
    [block, drawn] = [fresh, text];
    forgetTiles();
    const held = node.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    shown = block.cards.map((card) => [card.model, makeCard(block, card)]);
    const empty = make('div.lb-empty', { hidden: true }, 'No model passes the filters.');
    node.replaceChildren(...(shown.length ? [
      make('div.lb-tools.lb-heat-tools', {}, legend(), chooseHeat()), make('p.lb-small', {}, 'Scores run from 1 to 5. Dot: mean. Band: 95% interval. Tick: all other models.'), make('div.lb-grid', {}, shown.map(([, card]) => card)), empty,
      block.notes.length ? make('ul', {}, block.notes.map((note) => make('li', {}, note))) : ''] : [nothingYet()]));
    node.redraw();
    refocus(node, held);
  };
  node.redraw = () => {
    shown.forEach(([model, card]) => { card.hidden = !shows([model]); });
    const empty = node.querySelector(':scope > .lb-empty[hidden], :scope > .lb-none');
    if (empty && shown.length) [empty.hidden, empty.className] = [shown.some(([, card]) => !card.hidden), 'lb-empty lb-none'];
  };
  return node;
}

const nothingYet = () => make('div.lb-empty', {}, make('b', {}, 'Nobody has said why yet.'),
  make('p', {}, 'After a vote, the arena asks for reasons: rate each image, tap the words of the prompt that it misses, point at what is wrong. The first answer shows up here within seconds.'));

function makeCard(block, card) {
  const id = `lb-card-${Math.random().toString(36).slice(2, 9)}`, to = pageOf('model', card.model);
  return make('article.lb-card', { 'aria-labelledby': id },
    make('div.lb-card-head', {}, make('h4', { id }, make('a', { href: to, 'data-at': `card ${card.model}` }, card.name)), counts(card)),
    card.worst.length > 0 && make('p.lb-small', {}, card.worst.length > 1 ? 'Its weakest images' : 'Its image'), strip(card.worst),
    scoreRows(block.criteria, card.scores, card.others),
    card.weakest && make('p', {}, `Weakest in `, make('b', {}, card.weakest.group), ' ', numberOfGroup(card.weakest, card.by)),
    card.asked_words && make('p.lb-misses', {}, card.words.length ? 'Misses most: ' : 'No word is missed often.', card.words.map((word) => chip(word))),
    make('a.lb-onward', { href: to, 'aria-label': `Why, in full: ${card.name}` }, 'Why, in full'));
}

function counts({ feedback, images, voters }) {
  return explains(make('span.lb-small.lb-counts', { tabindex: 0 }, `${many(images, 'image')}, ${many(voters, 'voter')}`),
    () => [make('span', {}, `${many(feedback, 'answer')} on ${many(images, 'image')} by ${many(voters, 'voter')}: each is one voter’s feedback on one image of a battle.`)]);
}

function numberOfGroup(group, by) {
  const { score, others } = group;
  return explains(make('span.lb-cell', { tabindex: 0 }, `${score.shown}${score.interval ? ` (${score.interval})` : ''}`), () => [
    make('b', {}, `${group.group}: overall ${score.shown}${score.interval ? ` (${score.interval})` : ''}`), make('span', {}, score.explain),
    others.value !== null && make('span', {}, `All other models in this ${by}: ${others.shown}.`), make('span.lb-dim', {}, `From ${many(group.feedback, 'answer')} on ${many(group.images, 'image')}.`)]);
}

function chip(word) {
  const node = make('span.lb-chip', { tabindex: 0, 'data-at': `word ${word.word}` }, word.word, ' ', make('b', {}, `${Math.round(word.share.value * 100)}%`));
  node.style.setProperty('--share', word.share.value);
  return explains(node, () => aboutWord(word));
}

const aboutWord = (word, trusted) => [make('b', {}, `${word.word}: ${trusted ? word.trusted.shown : word.share.shown}${trusted ? ', trust-weighted' : ` (${word.share.interval})`}`),
  make('span', {}, `Of ${many(word.answers, 'answer')} about ${many(word.images, 'image')} whose prompt has the word, ${thousands(word.marked)} say that it is missed. In brackets: 95% interval, for images and voters like these.`),
  make('span', {}, `Over all models: ${word.everybody.shown}.${word.more ? ' This model misses it surely more often.' : ''}`)];

function refocus(node, at) {
  const back = at && [...node.querySelectorAll('[data-at]')].find((one) => one.dataset.at === at);
  if (back) back.focus({ preventScroll: true });
}

// -- pages ----------------------------------------------------------------------------------------------------------

const view = { at: null, node: null, stamp: null, text: '', turn: 0, trusted: false, criterion: 'overall', from: 0, came: '' };

/** Show the page that this address names in the tab's panel, or the cards. */
function showPage(panel, key) {
  const page = pageIn(key), was = view.at;
  if (!view.node) panel.append(view.node = make('section.lb-view', { hidden: true, 'aria-live': 'off' }));
  if (JSON.stringify(page) === JSON.stringify(was)) return;
  if (!was && page) view.from = scrollY;
  Object.assign(view, { at: page, stamp: null, text: '', trusted: false });
  view.turn += 1;
  heat.points = false;
  hideTip();
  for (const child of panel.children) if (child.classList.contains('lb-part')) child.hidden = Boolean(page);
  view.node.hidden = !page;
  if (!page) {
    view.node.replaceChildren();
    scrollTo({ top: view.from, behavior: 'instant' });
    const link = [...panel.querySelectorAll('a[data-at]')].find((one) => one.getAttribute('href') === view.came);
    if (link) link.focus({ preventScroll: true });
    return;
  }
  if (!was) view.came = pageOf(page.kind, page.id);
  view.node.replaceChildren(make('p.lb-wait', { role: 'status' }, 'Working it out…'));
  loadPage(true);
}

/** Ask for the page that is open; it is drawn again only where something on it changed. */
async function loadPage(fresh) {
  const { at, turn } = view;
  if (!at) return;
  try {
    const found = await ask({ ask: at.kind, [at.kind]: at.id, trusted: view.trusted });
    if (turn !== view.turn) return;
    view.stamp = found.stamp;
    const text = JSON.stringify({ ...found, stamp: '' });
    if (text === view.text) return;
    view.text = text;
    drawPage(found, fresh);
  } catch (error) {
    if (turn !== view.turn) return;
    view.stamp = state.head.stamp;
    if (!view.text) view.node.replaceChildren(crumbs(), make('div.lb-empty', { role: 'alert' }, error.message[0].toUpperCase() + error.message.slice(1)));
  }
}

function drawPage(found, fresh) {
  const held = view.node.contains(document.activeElement) ? document.activeElement.dataset.at : null;
  const again = () => drawPage(found, false);
  view.node.replaceChildren(...(view.at.kind === 'model' ? modelPage(found, again) : imagePage(found)).flat().filter(Boolean));
  if (fresh) {
    view.node.querySelector('h3').focus({ preventScroll: true });
    view.node.scrollIntoView({ block: 'start', behavior: 'instant' });
  } else refocus(view.node, held);
}

/** New votes or feedback came in. */
const renewPage = () => { if (view.at && view.stamp && view.stamp !== state.head.stamp) loadPage(false); };

const crumbs = (...more) => make('nav.lb-crumbs', { 'aria-label': 'Where this is' }, make('a', { href: '#why', 'data-at': 'up' }, 'All models'), more.map(([name, to]) => ['›', make('a', { href: to, 'data-at': `up ${to}` }, name)]));

/** A part of a page under its heading. */
const section = (title, about, ...children) => make('section.lb-section', {}, make('h4', {}, title), about && make('p', {}, about), ...children);

function trustButton(light, again) {
  const press = () => { view.trusted = !view.trusted; again(); };
  const button = make('button.lb-toggle', { type: 'button', 'data-at': 'trust', 'aria-pressed': view.trusted, onclick: press }, 'Trust-weighted');
  return explains(button, () => [make('span', {}, 'Voters weigh what their answers to tasks with a known answer say.'),
    make('span', {}, light ? `${many(light, 'voter')} ${light === 1 ? 'weighs' : 'weigh'} less than 1.` : 'Here every voter weighs the same, so nothing changes.')]);
}

const tables = (names) => make('p.lb-tables', {}, 'As tables: ', names.map(([key, title, sheet]) => make('span', {}, make('a', { href: `#why/${key}` }, title), ' ',
  ['csv', 'json'].map((form) => [make('button.lb-link', { type: 'button', 'data-at': `${sheet} ${form}`, 'aria-label': `Download ${title} as ${form.toUpperCase()}`, onclick: () => download(sheet, form) }, form.toUpperCase()), ' ']))));
