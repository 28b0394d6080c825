// Small pictures with their heat, fetched a few at a time when they come into view, and the bars that scores are drawn as.

const MOST_TILES = 8, KEPT_TILES = 240; // in one question; in memory
const seen = new Map(); // image -> {src, maps}, the latest last
const wanted = new Map(); // image -> the tiles that wait for it
let fetching = 0;

const eye = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    eye.unobserve(target);
    want(target.dataset.image, target.stack);
  }
}, { rootMargin: '300px' });

function want(image, stack) {
  if (seen.has(image)) return stack.show(seen.get(image));
  wanted.set(image, [...(wanted.get(image) || []), stack]);
  clearTimeout(fetching);
  fetching = setTimeout(fetchTiles, 20);
}

async function fetchTiles() {
  const images = [...wanted.keys()].slice(0, MOST_TILES);
  const waiting = images.map((image) => [image, wanted.get(image)]);
  images.forEach((image) => wanted.delete(image));
  if (wanted.size) fetching = setTimeout(fetchTiles, 0);
  try {
    const found = (await ask({ ask: 'pictures', images })).images;
    for (const [image, tiles] of waiting) {
      const one = found[image] || { src: null, maps: {} };
      seen.set(image, one);
      tiles.forEach((stack) => stack.show(one));
    }
    for (const image of [...seen.keys()].slice(0, Math.max(0, seen.size - KEPT_TILES))) seen.delete(image);
  } catch (error) {
    complain(error.message);
  }
}

/** New feedback has come: what is fetched from now on is asked for again. */
const forgetTiles = () => seen.clear();

/** A picture that leads to its page. */
function tile(one, said) {
  const prompt = one.prompt || 'A prompt that is not shown';
  const stack = overlaid(''), frame = make('span.lb-frame', { 'data-image': one.image }, stack);
  frame.stack = stack;
  const title = ` ${said === 'model' ? one.name : prompt}`;
  const words = `${one.score.shown}${title}. Overall, of 5, by ${many(one.voters, 'voter')}.`; // begins with what is seen
  const node = make('a.lb-shot', { href: pageOf('image', one.image), 'aria-label': words, 'data-at': `image ${one.image}` }, frame,
    make('span.lb-shot-words', {}, make('b', {}, one.score.shown), title));
  eye.observe(frame);
  return explains(node, () => [make('b', {}, prompt), make('span', {}, `${one.name}: overall ${one.score.shown}${one.score.interval ? ` (${one.score.interval})` : ''} from ${many(one.voters, 'voter')}.`), make('span.lb-dim', {}, one.score.explain)]);
}

/** Tiles side by side; those after the `first` wait for a button. */
function strip(tiles, said, first = tiles.length) {
  const node = make('div.lb-strip', {}, tiles.slice(0, first).map((one) => tile(one, said)));
  if (tiles.length <= first + 1) return fillStrip(node, tiles.slice(first), said);
  const more = make('button.lb-more', { type: 'button', onclick: () => { fillStrip(node, tiles.slice(first), said); more.remove(); node.children[first].focus(); } }, `Show ${tiles.length - first} more`);
  return make('div', {}, node, more);
}

function fillStrip(node, tiles, said) {
  node.append(...tiles.map((one) => tile(one, said)));
  return node;
}

/** A line with a number on a scale: its interval as a band, the number as a dot, another number as a tick. */
function scaled(low, high, { value, lower, upper }, other) {
  const place = (number) => `${(Math.min(Math.max((number - low) / (high - low), 0), 1) * 100).toFixed(1)}%`;
  const known = typeof lower === 'number' && typeof upper === 'number';
  const node = make(`span.lb-track${known ? '' : '.lb-bare'}${typeof other === 'number' ? '.lb-versus' : ''}`, { 'aria-hidden': 'true' });
  const ends = [['--at', value], ['--lo', known ? lower : value], ['--hi', known ? upper : value], ['--other', typeof other === 'number' ? other : value]];
  for (const [name, number] of ends) node.style.setProperty(name, place(number));
  return node;
}

/** A row of a list of bars: what, its bar, its number. It explains itself. */
function barRow(title, [low, high], cell, { other, words, note, here, link, unsure } = {}) {
  const number = make('span.lb-number', { tabindex: 0, 'data-at': `bar ${note || ''} ${title}` }, make('b', {}, cell.shown), cell.interval && make('small', {}, cell.interval));
  explains(number, words);
  return make(`div.lb-row${here ? '.lb-here' : ''}${unsure ? '.lb-unsure' : ''}`, {}, make('span.lb-what', {}, link ? make('a', { href: link }, title) : title), scaled(low, high, cell, other && other.value), number);
}

/** The rows of a model's or image's scores. `others` {criterion: the mean of the others, or nothing}. */
function scoreRows(criteria, scores, others, trusted, norms) {
  return make('div.lb-rows', { role: 'group', 'aria-label': 'Scores' }, criteria.filter(({ key }) => scores[key]).map(({ key, title }) => {
    const score = scores[key], cell = trusted ? score.trusted : score, other = others && others[key];
    return barRow(title, [1, 5], cell, { other, words: () => [
      make('b', {}, `${title} ${cell.shown}${cell.interval ? ` (${cell.interval})` : ''}${trusted ? ', trust-weighted' : ''}`), make('span', {}, score.explain),
      other && other.value !== null && make('span', {}, `All other models: ${other.shown}.`),
      score.norm.value !== null && make('span', {}, `From 0 to 1: ${score.norm.shown}${norms && norms[key] ? `, between the data set’s worst image (${norms[key][0]}) and its best (${norms[key][1]})` : ''}.`),
      make('span.lb-dim', {}, `From ${many(score.ratings, 'rating')} of ${many(score.images, 'image')} by ${many(score.voters, 'voter')}.`)] });
  }));
}
