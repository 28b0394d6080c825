// The page: its head, its tabs (each in the address as #tab), and how it stays fresh. A part is asked for when it is
// first opened, and again only when votes came in.

// Gradio's page says <base href="./">, which takes "#why" of /leaderboard for "/#why", another page. Without it all other
// addresses mean what they did: they are looked for beside the page either way.
for (const base of document.querySelectorAll('base[href="./"]')) base.remove();

const root = element.querySelector('.lb');
const state = { head: null, tab: '', parts: new Map() };
const titled = make('section.lb-head');
const warned = make('div.lb-alert', { role: 'alert', hidden: true });
const tabs = make('div.lb-tabs', { role: 'tablist', 'aria-label': 'Parts of the leaderboard' });
const panels = make('div.lb-panels');
const foot = make('div.lb-foot');

function complain(message) {
  warned.textContent = message;
  warned.hidden = !message;
}

// -- the head -------------------------------------------------------------------------------------------------------

const small = matchMedia('(max-width: 700px)');
small.addEventListener('change', () => state.head && drawHead());

function drawHead() {
  const { facts, about, alarms, warnings, notes, method, models } = state.head;
  const opened = (selector) => titled.querySelector(`${selector}[open]`) !== null;
  const shown = facts.map(([name, value, why]) => make('div', {}, make('dt', {}, name), make('dd', {}, explains(make('span', { tabindex: 0 }, value), () => [make('span', {}, why)]))));
  const lead = make('p.lb-lead', {}, `${props.value.about} ${method} with 95% intervals.`.trim());
  const fine = [
    make('p', {}, [about, Object.values(models).some((model) => model.demo) && 'Models marked “demo” are small demonstration models.'].filter(Boolean).join(' ')),
    alarms.length > 0 && make('ul.lb-alarms', {}, alarms.map((note) => make('li', {}, note))),
    warnings.length > 0 && make('p.lb-warnings', {}, make('a.lb-link', { href: '#quality/measures' }, `${many(warnings.length, 'warning')} about the data`), `: ${warnings.join(', ')}.`),
    make('details.lb-notes', { open: opened('.lb-notes') }, make('summary', {}, `How to read this (${many(notes.length, 'note')})`), make('ul', {}, notes.map((note) => make('li', {}, note)))),
  ];
  // On a phone the standings come first: what is to be known of the data is one line that says how much there is.
  const sum = [alarms.length && many(alarms.length, 'alarm'), warnings.length && many(warnings.length, 'warning')].filter(Boolean).join(', ');
  fill(titled,
    make('h1', {}, props.value.title),
    !small.matches && lead,
    make('dl.lb-facts', {}, shown),
    small.matches ? make('details.lb-fine', { open: opened('.lb-fine') }, make('summary', { class: sum && 'lb-warned' }, sum ? `${sum} about the data` : 'About these numbers'), lead, fine) : fine);
}

// -- tabs -----------------------------------------------------------------------------------------------------------

function drawTabs() {
  const keys = state.head.tabs.map((tab) => tab.key).join();
  if (tabs.dataset.keys === keys) return;
  tabs.dataset.keys = keys;
  tabs.replaceChildren(...state.head.tabs.map((tab) => make('button.lb-tab', {
    type: 'button', role: 'tab', id: `lb-tab-${tab.key}`, 'aria-controls': `lb-panel-${tab.key}`,
    onclick: () => { history.pushState({}, '', `#${tab.key}`); openTab(tab.key); } }, tab.title)));
  panels.replaceChildren(...state.head.tabs.map(makePanel));
}

function makePanel(tab) {
  const panel = make('div.lb-panel', { role: 'tabpanel', id: `lb-panel-${tab.key}`, 'aria-labelledby': `lb-tab-${tab.key}`, hidden: true, tabindex: -1 }, make('h2.lb-sr', {}, tab.title));
  for (const part of tab.parts) {
    const body = make('div.lb-body', { 'aria-busy': 'true' }, make('p.lb-wait', {}, 'Working it out…'));
    const holder = tab.closed && !part.open
      ? make('details.lb-part', { id: `lb-part-${part.key}` }, make('summary', {}, make('h3', {}, part.title)), part.about && make('p', {}, part.about), body)
      : make('section.lb-part', { id: `lb-part-${part.key}` }, part.title && make('h3', {}, part.title), part.about && make('p', {}, part.about), body);
    state.parts.set(part.key, { tab: tab.key, key: part.key, holder, body, stamp: null, nodes: new Map(), busy: false });
    if (tab.closed && !part.open) {
      holder.addEventListener('toggle', () => {
        if (!holder.open) return;
        loadOpen();
        if (state.tab === tab.key) history.replaceState(history.state, '', `#${part.key}`);
      });
    }
    panel.append(holder);
  }
  return panel;
}

function openTab(key, focus) {
  const known = state.head.tabs.find((tab) => tab.key === key.split('/')[0]) || state.head.tabs[0];
  state.tab = known.key;
  for (const tab of state.head.tabs) {
    const button = document.getElementById(`lb-tab-${tab.key}`), on = tab === known;
    button.setAttribute('aria-selected', on);
    button.tabIndex = on ? 0 : -1;
    document.getElementById(`lb-panel-${tab.key}`).hidden = !on;
    if (on) tabs.scrollTo({ left: button.offsetLeft - 16 });
    if (on && focus) button.focus();
  }
  if (known.key === 'why') showPage(document.getElementById('lb-panel-why'), key);
  if (known.closed && (!known.parts[0].open || state.parts.has(key))) {
    const wanted = state.parts.get(key) || state.parts.get(known.parts[0].key);
    if (![...state.parts.values()].some((part) => part.tab === known.key && part.holder.open) || state.parts.has(key)) {
      wanted.holder.open = true;
      if (known.parts[0].open && key !== known.parts[0].key) wanted.holder.scrollIntoView({ block: 'start' }); // below what stands open
    }
  }
  loadOpen();
}

tabs.addEventListener('keydown', (event) => {
  const keys = state.head.tabs.map((tab) => tab.key), at = keys.indexOf(state.tab);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: keys.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const key = keys[(to + keys.length) % keys.length];
  history.replaceState({}, '', `#${key}`);
  openTab(key, true);
});

// -- parts ----------------------------------------------------------------------------------------------------------

const isOpen = (part) => part.tab === state.tab && !part.holder.hidden && (part.holder.tagName !== 'DETAILS' || part.holder.open);
const loadOpen = () => [...state.parts.values()].filter(isOpen).forEach((part) => { loadPart(part); wake(part); });
const wake = (part) => part.nodes.forEach((node) => node.isLate() && node.redraw());

async function loadPart(part) {
  if (part.busy || part.stamp === state.head.stamp) return;
  part.busy = true;
  try {
    const found = await ask({ ask: 'part', part: part.key, seen: part.stamp });
    if (!found.same) {
      part.stamp = found.stamp;
      drawPart(part, found.blocks);
    }
  } catch (error) {
    if (!part.nodes.size) part.body.replaceChildren(make('div.lb-empty', { role: 'alert' }, error.message));
    part.stamp = state.head.stamp;
  } finally {
    part.busy = false;
    part.body.setAttribute('aria-busy', 'false');
  }
}

function drawPart(part, blocks) {
  const keep = blocks.map((block) => {
    const id = `${block.kind} ${block.name}`;
    if (!part.nodes.has(id)) part.nodes.set(id, block.kind === 'figure' ? makeFigure() : block.kind === 'cards' ? makeCards() : makeSheet(block, blocks.filter((other) => other.kind === 'sheet').length > 1));
    return part.nodes.get(id);
  });
  if (keep.some((node, at) => part.body.children[at] !== node)) part.body.replaceChildren(...keep);
  blocks.forEach((block, at) => keep[at].show(block));
}

/** A table under its caption, or one that waits folded beneath the figure that shows the same. */
function makeSheet(block, headed) {
  const table = makeTable(), caption = make('p', {}, block.caption);
  const node = block.folded ? make('details.lb-twin', {}, make('summary', {}, `${block.title}: the same as a table`), caption, table) : make('div', {}, headed && make('h4', {}, block.title), caption, table);
  let drawn = '';
  node.show = (fresh) => {
    const text = JSON.stringify(fresh);
    if (text === drawn) return;
    drawn = text;
    caption.textContent = fresh.caption;
    caption.hidden = !fresh.caption;
    table.show(fresh);
  };
  node.redraw = table.redraw;
  node.isLate = () => table.late;
  node.addEventListener('toggle', () => table.late && table.redraw());
  return node;
}

function redrawAll() {
  for (const part of state.parts.values()) for (const node of part.nodes.values()) node.redraw();
}

// -- fresh ----------------------------------------------------------------------------------------------------------

let asking = false;
async function refresh() {
  if (asking || (document.hidden && state.head)) return;
  asking = true;
  try {
    const found = await ask({ ask: 'head', seen: state.head && state.head.stamp });
    complain('');
    if (!found.same) {
      const first = !state.head;
      state.head = found;
      drawHead();
      drawTabs();
      drawFilters();
      if (first) openTab(location.hash.slice(1));
      else {
        loadOpen();
        renewPage();
      }
    }
  } catch (error) {
    complain(error.message);
  } finally {
    asking = false;
  }
}

/** Go where the address says. */
function follow() {
  const key = location.hash.slice(1), tab = key.split('/')[0];
  if (state.head && (tab !== state.tab || tab === 'why')) openTab(key);
}

filtersFromAddress();
foot.append('Everything here can be computed again from the votes: ', make('button.lb-link', { type: 'button', onclick: () => download('board') }, 'the whole board as JSON'), '.');
root.replaceChildren(titled, warned, bar, tabs, panels, foot);
listenForTips();
root.addEventListener('keydown', walk);
addEventListener('popstate', () => {
  if (drawer.open && !(history.state && history.state.lbDrawer)) drawer.close();
  follow();
});
addEventListener('hashchange', follow);
document.addEventListener('visibilitychange', refresh);
let dark = document.body.classList.contains('dark');
new MutationObserver(() => {
  if (document.body.classList.contains('dark') === dark) return;
  dark = !dark;
  redrawAll();
}).observe(document.body, { attributes: true, attributeFilter: ['class'] });
refresh();
const clock = setInterval(() => (root.isConnected ? refresh() : clearInterval(clock)), props.value.seconds * 1000);
