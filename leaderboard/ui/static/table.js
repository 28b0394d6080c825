// A sheet as a table: sorted by its heads, filtered by the models, every cell with its explanation.

const FIRST_ROWS = 30;

const numberOf = (cell) => (Array.isArray(cell) ? cell[0] : cell);
const wordsOf = (cell) => (Array.isArray(cell) ? cell[1] : cell === null ? '–' : cell);
const nameOf = (id) => (state.head.models[id] ? state.head.models[id].name : id);

/** A table with its own memory (sort, all columns, all rows); `table.show(block)` draws what came from the server. */
function makeTable() {
  const memory = { sort: null, down: true, wide: false, long: false, group: '' };
  const node = make('div.lb-sheet');
  let block = null;
  node.redraw = () => {
    node.late = !node.offsetParent; // what nobody sees is drawn when it comes into view
    if (block && !node.late) draw(node, block, memory, node.redraw);
  };
  node.show = (fresh) => { block = fresh; node.redraw(); };
  return node;
}

function draw(node, block, memory, again) {
  const columns = block.columns.map((column, at) => ({ ...column, at })).filter((column) => memory.wide || !column.more);
  const group = groupOf(block);
  let rows = block.rows.map((cells, at) => ({ cells, at, models: block.models[at], battles: block.battles[at] }));
  rows = rows.filter((row) => shows(row.models) && (!memory.group || !group || row.cells[group.at] === memory.group));
  const by = columns.find((column) => column.key === memory.sort);
  if (by) rows = ordered(rows, by, memory.down);
  const shown = memory.long ? rows : rows.slice(0, FIRST_ROWS);
  const held = node.contains(document.activeElement) ? document.activeElement.dataset.at : null;
  const scrolled = node.querySelector('.lb-scroll') ? node.querySelector('.lb-scroll').scrollLeft : 0;

  const scales = columns.map((column) => (column.kind === 'points' && column.ends.length ? scaleOf(block, column.at) : null));
  const warned = block.columns.map((column, at) => ({ ...column, at })).find((column) => column.key === 'warning');
  const table = make('table', { role: 'grid' }, make('caption', {}, block.title),
    make('thead', {}, make('tr', {}, columns.map((column) => headCell(column, memory, again)))),
    make('tbody', {}, shown.map((row) => make(warned && numberOf(row.cells[warned.at]) ? 'tr.lb-warned' : 'tr', {}, columns.map((column, at) => bodyCell(block, column, row, scales[at], memory))))));
  const empty = block.rows.length ? 'No row passes the filters.' : block.name === 'standings' ? 'No votes yet. The first one will show up here within seconds.' : 'Nothing to show yet.';
  node.replaceChildren(
    toolbar(block, memory, again, group),
    rows.length ? make('div.lb-scroll', { role: 'region', tabindex: 0, 'aria-label': block.title }, table) : make('div.lb-empty', {}, empty),
    rows.length > shown.length ? make('button.lb-more', { type: 'button', 'data-at': 'more', onclick: () => { memory.long = true; again(); } }, `Show all ${many(rows.length, 'row')}`) : '',
    block.total > block.rows.length ? make('p', {}, `The first ${thousands(block.rows.length)} of ${many(block.total, 'row')}; the download has all.`) : '',
    block.notes.length ? make('ul', {}, block.notes.map((note) => make('li', {}, note))) : '');
  if (scrolled) node.querySelector('.lb-scroll').scrollLeft = scrolled;
  const stops = table.querySelectorAll('tbody [data-at]');
  const back = held && [...node.querySelectorAll('[data-at]')].find((cell) => cell.dataset.at === held);
  if (stops.length) (back && table.tBodies[0].contains(back) ? back : stops[0]).tabIndex = 0;
  if (back) back.focus({ preventScroll: true });
}

/** The first column, where its words divide the rows into a handful of groups. */
function groupOf(block) {
  const column = block.columns[0];
  if (!column || column.kind !== 'text' || column.model || block.rows.length < 13) return null;
  const names = [...new Set(block.rows.map((cells) => cells[0]))].filter(Boolean);
  return names.length > 1 && names.length <= 40 && names.length * 2 <= block.rows.length ? { at: 0, title: column.title, names } : null;
}

function toolbar(block, memory, again, group) {
  const choose = group && make('select.lb-select', { 'aria-label': group.title, 'data-at': 'group' },
    make('option', { value: '' }, `${group.title}: all`), group.names.map((name) => make('option', { value: name }, name)));
  if (choose) {
    choose.value = memory.group;
    choose.addEventListener('change', () => { memory.group = choose.value; again(); });
  }
  const more = block.columns.some((column) => column.more);
  return make('div.lb-tools', {}, choose,
    more && make('button.lb-link', { type: 'button', 'data-at': 'wide', 'aria-pressed': memory.wide, onclick: () => { memory.wide = !memory.wide; again(); } }, memory.wide ? 'Fewer columns' : 'All columns'),
    make('button.lb-link', { type: 'button', 'data-at': 'csv', 'aria-label': `Download ${block.title} as CSV`, onclick: () => download(block.name) }, 'CSV'),
    make('button.lb-link', { type: 'button', 'data-at': 'json', 'aria-label': `Download ${block.title} as JSON`, onclick: () => download(block.name, 'json') }, 'JSON'));
}

/** Rows in the order of a column; what is not known stands last, whichever way it is sorted. */
function ordered(rows, column, down) {
  const key = (row) => (column.model ? row.cells[column.at] && nameOf(row.cells[column.at]) : numberOf(row.cells[column.at]));
  const known = rows.filter((row) => key(row) !== null), rest = rows.filter((row) => key(row) === null);
  known.sort((one, other) => (typeof key(one) === 'string' ? key(one).localeCompare(key(other)) : key(one) - key(other)) * (down ? -1 : 1));
  return [...known, ...rest];
}

function headCell(column, memory, again) {
  const sorted = memory.sort === column.key;
  const text = column.kind === 'text' || column.kind === 'flag';
  const sort = () => {
    if (!sorted) [memory.sort, memory.down] = [column.key, !text && column.key !== 'rank'];
    else if (memory.down === (!text && column.key !== 'rank')) memory.down = !memory.down;
    else memory.sort = null;
    again();
  };
  const button = make('button.lb-sort', { type: 'button', 'data-at': `head ${column.key}`, onclick: sort }, column.title);
  explains(button, () => [make('b', {}, column.title), make('span', {}, column.explain), column.ends.length && make('span.lb-dim', {}, 'Below it: the 95% interval.'), make('span.lb-dim', {}, 'Choose to sort.')]);
  return make(`th${column.kind === 'flag' ? '.lb-flag' : text ? '.lb-left' : ''}${column.wide && !memory.wide ? '.lb-wide' : ''}`, { scope: 'col', 'aria-sort': sorted ? (memory.down ? 'descending' : 'ascending') : null }, button);
}

function bodyCell(block, column, row, scale, memory) {
  const cell = row.cells[column.at], at = `${row.models.join(' ')}|${row.at}|${column.key}`;
  if (column.model) return modelCell(block, column, row, cell, at);
  if (column.kind === 'text' || column.kind === 'flag') return make(column.kind === 'flag' ? 'td.lb-flag' : String(cell).length > 60 ? 'td.lb-left.lb-long' : 'td.lb-left', {}, wordsOf(cell));
  const words = wordsOf(cell), interval = (Array.isArray(cell) && cell[2]) || '';
  const opens = column.key === 'votes' && row.battles && cell[0] > 0;
  const inside = [make('span.lb-value', {}, words), scale && cell[0] !== null && whisker(cell, scale), interval && make('small', {}, interval),
    column.key === 'win_rate' && cell[0] !== null && share(cell[0])];
  const node = make(column.wide && !memory.wide ? 'td.lb-wide' : 'td', {}, opens
    ? make('button.lb-open', { type: 'button', tabindex: -1, 'data-at': at, 'aria-label': `${words} votes: show the battles`, onclick: () => openBattles(row.battles) }, inside)
    : make(inside[1] ? 'span.lb-cell.lb-drawn' : 'span.lb-cell', { tabindex: -1, 'data-at': at }, inside));
  explains(node.firstChild, () => cellWords(block, column, row, cell));
  return node;
}

function modelCell(block, column, row, id, at) {
  const model = state.head.models[id] || {}, first = column === undefined || column.key !== 'model_b';
  const below = block.name === 'standings' ? [model.organisation, model.licence].filter(Boolean).join(' · ') : '';
  const badge = (word, why) => explains(make('span.lb-badge', { tabindex: -1, 'data-at': `${at} ${word}` }, word), () => [make('span', {}, why)]);
  const badges = block.name !== 'standings' ? [] : [
    model.demo && badge('demo', 'A small demonstration model, not a contender to be quoted.'),
    model.preliminary && badge('preliminary', 'Too few votes, or no finite rating yet: its place will still move.')];
  return make(first ? 'th.lb-model' : 'td.lb-model', first ? { scope: 'row' } : {}, make('span', {}, id === null ? '–' : make('a', { href: pageOf('model', id), tabindex: -1, 'data-at': at }, nameOf(id))), badges, below && make('small', {}, below));
}

/** What a cell is, and the counts of its row that it comes from. */
function cellWords(block, column, row, cell) {
  const interval = cell[2];
  const counts = block.columns.filter((other) => other.kind === 'count' && other.key !== column.key && other.key !== 'rank' && numberOf(row.cells[block.columns.indexOf(other)]) !== null)
    .map((other) => `${other.title} ${wordsOf(row.cells[block.columns.indexOf(other)])}`);
  return [make('b', {}, `${row.models.map(nameOf).join(' – ')}${row.models.length ? ': ' : ''}${column.title} ${wordsOf(cell)}${interval ? ` (${interval})` : ''}`),
    make('span', {}, column.explain), interval && column.ends.length ? make('span', {}, column.ends[0].replace(/^Lower end of (.)/, (all, letter) => `In brackets: ${letter}`)) : null,
    counts.length ? make('span.lb-dim', {}, `From ${counts.join(', ')}.`) : null,
    column.key === 'votes' && row.battles ? make('span.lb-dim', {}, 'Choose it to see the battles.') : null];
}

function scaleOf(block, at) {
  const ends = block.rows.flatMap((cells) => [cells[at][3], cells[at][4]]).filter((end) => typeof end === 'number');
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : null;
}

function whisker(cell, [low, high]) {
  const place = (value) => `${((value - low) / (high - low || 1) * 100).toFixed(1)}%`;
  if (typeof cell[3] !== 'number' || typeof cell[4] !== 'number') return null;
  const node = make('span.lb-whisker', { 'aria-hidden': 'true' });
  for (const [name, value] of [['--lo', cell[3]], ['--hi', cell[4]], ['--at', cell[0]]]) node.style.setProperty(name, place(value));
  return node;
}

function share(value) {
  const node = make('span.lb-bar', { 'aria-hidden': 'true' });
  node.style.setProperty('--lb-share', `${(100 * value).toFixed(1)}%`);
  return node;
}

async function download(name, form = 'csv') {
  try {
    const file = await ask({ ask: 'file', name, form });
    save(file.name, file.type, file.text);
  } catch (error) {
    complain(error.message);
  }
}

/** Arrow keys walk through a table's cells; a table is one stop of the Tab key. */
function walk(event) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const from = step && event.target.closest('.lb-sheet tbody [data-at]');
  if (!from) return;
  const row = from.closest('tr'), rows = [...row.parentNode.rows];
  const cells = (line) => [...line.querySelectorAll('[data-at]')];
  const line = rows[rows.indexOf(row) + step[0]];
  const next = line && (step[0] ? cells(line).find((cell) => cell.closest('td, th').cellIndex === from.closest('td, th').cellIndex) || cells(line)[0] : cells(row)[cells(row).indexOf(from) + step[1]]);
  if (!next) return;
  event.preventDefault();
  from.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
