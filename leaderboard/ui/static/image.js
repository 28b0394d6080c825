// An image's page: the picture with its heat, its prompt word by word, its scores, its battles, how it was made.

function imagePage(found) {
  const prompt = found.prompt || 'A prompt that is not shown';
  const head = [crumbs([found.name, pageOf('model', found.model)]), make('h3.lb-sr', { tabindex: -1 }, `An image by ${found.name}`)];
  const stack = overlaid(`Made by ${found.name} for the prompt: ${prompt}`);
  stack.classList.add('lb-large');
  stack.pointed = true;
  stack.show({ src: found.src, maps: found.maps || {}, points: found.points, size: found.size });
  const left = make('div.lb-picture', {}, stack, found.told && heatControls(found));
  const by = make('p.lb-by', {}, 'By ', make('a', { href: pageOf('model', found.model), 'data-at': 'model' }, found.name), found.groups.length ? ` · ${found.groups.join(' · ')}` : '');
  const right = found.told
    ? [promptWords(found), by, section('Scores', 'Mean ratings, 1 to 5, with 95% intervals.', scoreRows(ALL_SCORES, found.scores, null, view.trusted),
      make('div.lb-tools', {}, make('span.lb-small', {}, `${many(found.feedback, 'answer')} by ${many(found.voters, 'voter')}`), trustButton(found.light, () => loadPage(false))))]
    : [make('p.lb-prompt.lb-big', {}, prompt), by, make('div.lb-empty', {}, make('b', {}, 'Nobody has said anything of this image yet.'), make('p', {}, 'After a vote on it, rate it, tap the words that it misses and point at what is wrong.'))];
  return [...head, make('div.lb-image', {}, left, make('div.lb-beside', {}, right, record(found), made(found))),
    found.told && found.siblings.length > 0 && section('The same prompt, other images', 'The best first.', strip(found.siblings, 'model')),
    found.told && tables([['images', 'images', 'images'], ['words', 'words', 'words']])];
}

const ALL_SCORES = ['overall', 'style', 'coherence', 'alignment'].map((key) => ({ key, title: key }));

function heatControls(found) {
  const kinds = Object.keys(HEAT).filter((kind) => found.maps[kind]);
  if (!kinds.length) return make('p', {}, 'Nobody was asked where on this image: points are asked of whoever rates it low.');
  const words = make('ul.lb-where', { 'aria-live': 'polite' });
  const tell = () => words.replaceChildren(...kindsOf().filter((kind) => found.maps[kind]).map((kind) => whereLine(kind, found)));
  const slider = make('input', { type: 'range', min: 20, max: 100, step: 5, value: heat.opacity, 'data-at': 'opacity' });
  slider.addEventListener('input', () => { heat.opacity = Number(slider.value); drawStacks(); });
  const total = kinds.reduce((sum, kind) => sum + found.points[kind].length, 0);
  const tick = make('input', { type: 'checkbox', 'data-at': 'points' });
  tick.checked = heat.points;
  tick.addEventListener('change', () => { heat.points = tick.checked; drawStacks(); });
  tell();
  return make('div.lb-heat', {}, chooseHeat(tell),
    make('label.lb-check', {}, 'Opacity ', slider), total > 0 && make('label.lb-check', {}, tick, `${many(total, 'point')}`),
    make('div.lb-scales', { 'aria-hidden': 'true' }, kinds.map((kind) => make('span', {}, make(`span.lb-scale.lb-${kind}`, {}), HEAT[kind].title)), make('small', {}, '0 to 1 point a voter')), words, help());
}

function whereLine(kind, found) {
  const map = found.maps[kind], unasked = map.voters > map.asked;
  return make('li', {}, make('b', {}, `${HEAT[kind].title}: `), map.most > 0 ? `strongest at the ${map.where}, ${map.shown} points a voter` : 'nobody pointed anywhere',
    ` (${many(map.voters, 'voter')} rated it${unasked ? `, ${thousands(map.asked)} ${map.asked === 1 ? 'was' : 'were'} asked where` : ''}).`);
}

/** The prompt, each word coloured by the share of voters who say that it is missed; the number stands on it too. */
function promptWords(found) {
  if (!found.asked_words || !found.words.length) return make('p.lb-prompt.lb-big', {}, found.prompt || 'A prompt that is not shown');
  const trusted = view.trusted;
  const words = found.words.map((word) => {
    const share = (trusted ? word.trusted : word.share) || 0, percent = trusted ? word.trusted_percent : word.percent;
    const node = make(`span.lb-word${word.marked ? '.lb-marked' : ''}`, word.marked ? { tabindex: 0, 'data-at': `word ${word.text}` } : {}, word.text, word.marked ? make('sup', {}, percent) : '');
    node.style.setProperty('--share', share);
    return explains(node, () => [make('b', {}, `${word.text}: ${word.shown}${word.interval ? ` (${word.interval})` : ''}`),
      make('span', {}, `${thousands(word.marked)} of ${many(word.asked, 'answer')} say that the image misses it; a voter counts once. In brackets: 95% interval, for voters like these.`),
      make('span.lb-dim', {}, `Trust-weighted: ${word.trusted_shown}; those who marked it are trusted ${word.weighted} in all.`)]);
  });
  return make('div', {}, make('p.lb-prompt.lb-big.lb-words', {}, words.flatMap((word) => [word, ' '])),
    make('p.lb-small.lb-wordscale', {}, 'Missed by ', make('span.lb-word.lb-marked.lb-s0', {}, 'few'), ' to ', make('span.lb-word.lb-marked.lb-s1', {}, 'all'), ` of ${many(found.asked_words, 'answer')}; ${thousands(found.no_mistakes)} of them found no mistake.`));
}

function record({ record: told, image }) {
  if (!told.battles) return section('Its battles', '', make('p', {}, 'It was in no battle that counts.'));
  const parts = [[told.won, 'won'], [told.lost, 'lost'], [told.both_good, 'both good'], [told.both_bad, 'both bad']].filter(([count]) => count);
  const line = make('div.lb-record', { 'aria-hidden': 'true' }, parts.map(([count, word]) => {
    const piece = make(`span.lb-${word.replace(' ', '-')}`);
    piece.style.flexGrow = count;
    return piece;
  }));
  return section('Its battles', '', line, make('p', {}, `${parts.map(([count, word]) => `${thousands(count)} ${word}`).join(', ')}. `,
    make('button.lb-link', { type: 'button', 'data-at': 'battles', onclick: () => openBattles({ image }) }, `Look at ${told.battles === 1 ? 'the battle' : `the ${thousands(told.battles)} battles`}`)));
}

const made = (found) => found.made.length > 0 && make('details.lb-made', {}, make('summary', {}, 'How it was made'), make('dl', {}, found.made.map(([what, value]) => make('div', {}, make('dt', {}, what), make('dd', {}, value)))));
