// Which models are shown: search and facets. They hide rows and marks and never change a number. Kept in the address.

const SIZES = [['under 1B', 0, 1], ['1–4B', 1, 4], ['4–10B', 4, 10], ['10–20B', 10, 20], ['20B and more', 20, Infinity]];
const sizeOf = (model) => (model.parameters_b ? SIZES.find(([, low, high]) => model.parameters_b >= low && model.parameters_b < high)[0] : null);
const FACETS = [
  ['licence', 'Licence', (model) => model.licence],
  ['organisation', 'Organisation', (model) => model.organisation],
  ['family', 'Family', (model) => model.family],
  ['size', 'Size', sizeOf],
];
const chosen = { q: '', established: '', licence: '', organisation: '', family: '', size: '' };

function filtersFromAddress() {
  const given = new URLSearchParams(location.search);
  for (const key of Object.keys(chosen)) chosen[key] = given.get(key) || '';
}

function filtersToAddress() {
  const given = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(chosen)) value ? given.set(key, value) : given.delete(key);
  const query = given.toString();
  history.replaceState(history.state, '', location.pathname + (query ? `?${query}` : '') + location.hash);
}

const inFacets = (model) => (!chosen.established || !model.preliminary) && FACETS.every(([key, , of]) => !chosen[key] || String(of(model)) === chosen[key]);

function inSearch(id, model) {
  const words = chosen.q.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [id, model.name, model.organisation, model.family, model.licence].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Whether a mark or row of these models is shown: all of them pass the facets, and one is what was searched for. */
function shows(ids) {
  const known = ids.filter((id) => state.head && state.head.models[id]);
  if (!known.length) return !ids.length || !filtering();
  return known.every((id) => inFacets(state.head.models[id])) && known.some((id) => inSearch(id, state.head.models[id]));
}

const filtering = () => Object.values(chosen).some(Boolean);

const bar = make('div.lb-filters', { role: 'search', 'aria-label': 'Filter the models' });
const said = make('span.lb-said', { role: 'status' });
let offered = '';

/** The controls, made again only when the models offer other choices. */
function drawFilters() {
  const models = Object.values(state.head.models);
  const facets = FACETS.map(([key, title, of]) => [key, title, [...new Set(models.map(of).filter(Boolean).map(String))]])
    .map(([key, title, values]) => [key, title, key === 'size' ? SIZES.map(([name]) => name).filter((name) => values.includes(name)) : values.sort()])
    .filter(([key, , values]) => values.length > 1 || chosen[key]);
  const some = models.some((model) => model.preliminary);
  const now = JSON.stringify([facets, some]);
  if (now !== offered) {
    offered = now;
    const box = make('input.lb-search', { type: 'search', placeholder: 'Search models', 'aria-label': 'Search models', value: chosen.q, autocomplete: 'off', spellcheck: 'false' });
    box.addEventListener('input', () => { chosen.q = box.value.trim(); applyFilters(); });
    const lists = facets.map(([key, title, values]) => {
      const list = make('select.lb-select', { 'aria-label': title },
        make('option', { value: '' }, `${title}: any`), values.map((value) => make('option', { value }, value)));
      list.value = chosen[key];
      list.addEventListener('change', () => { chosen[key] = list.value; applyFilters(); });
      return list;
    });
    const tick = make('input', { type: 'checkbox' });
    tick.checked = Boolean(chosen.established);
    tick.addEventListener('change', () => { chosen.established = tick.checked ? '1' : ''; applyFilters(); });
    const more = make('button.lb-morefilters', { type: 'button', 'aria-expanded': 'false', onclick: () => more.setAttribute('aria-expanded', bar.classList.toggle('lb-unfolded')) }, 'Filters');
    bar.replaceChildren(...[box, lists.length && more, ...lists, (some || chosen.established) && make('label.lb-check', {}, tick, 'established only'), said].filter(Boolean));
  }
  sayFilters();
}

function sayFilters() {
  const all = Object.keys(state.head.models);
  const n = all.filter((id) => shows([id])).length;
  if (!filtering()) said.replaceChildren();
  else {
    said.replaceChildren(`${n} of ${many(all.length, 'model')} shown; no number changes. `, make('button.lb-link', { type: 'button', onclick: resetFilters }, 'Reset'));
  }
}

function applyFilters() {
  filtersToAddress();
  sayFilters();
  redrawAll();
}

function resetFilters() {
  for (const key of Object.keys(chosen)) chosen[key] = '';
  offered = '';
  drawFilters();
  applyFilters();
  bar.querySelector('.lb-search').focus();
}
