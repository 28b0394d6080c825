// A model's page: its scores among the others, the words it misses, its weakest groups, its images, what decides its votes.

const FIRST_IMAGES = 6; // of the worst and of the best

function modelPage(found, again) {
  const head = [crumbs(), make('div.lb-page-head', {}, make('h3', { tabindex: -1 }, found.name), found.told && trustButton(found.light, again)), standingLine(found)];
  if (!found.told) return [...head, nothingYet()];
  const { criteria, trusted = view.trusted } = found;
  return [...head,
    make('div.lb-tools.lb-heat-tools', {}, legend(), chooseHeat()),
    section(found.worst.length > 1 ? 'Its worst images' : 'Its image', '', strip(found.worst, '', FIRST_IMAGES)),
    found.best.length > 0 && found.worst.length > 1 && section('Its best images', '', strip(found.best, '', FIRST_IMAGES)),
    make('div.lb-two', {},
      section('Scores', 'Mean ratings, 1 to 5. Band: 95% interval. Tick: all other models.', scoreRows(criteria, found.scores, found.others, trusted, found.norms), normed(found)),
      among(found, again, trusted)),
    make('div.lb-two', {},
      section('Words that it misses', 'The share of answers that say so, the surest first. Tick: all models.', missedWords(found, trusted)),
      found.groups.length > 0 && section(`By ${found.by}`, 'Overall mean, the weakest first. Tick: all other models.', groupRows(found, trusted))),
    decides(found),
    tables([['models', 'scores', 'scores'], ['words', 'words', 'words'], ['groups', 'groups', 'weaknesses'], ['images', 'images', 'images']])];
}

function standingLine({ standing, told, ...found }) {
  const rated = standing && standing.rating.value !== null;
  const place = standing && explains(make('span', { tabindex: 0 }, rated ? `rank ${standing.rank} of ${standing.models}, rating ${standing.rating.shown}` : 'no rating yet'), () => [
    make('b', {}, rated ? `Rating ${standing.rating.shown} (${standing.rating.interval})` : 'No rating yet'), rated && make('span', {}, `All ranks at once lie between ${standing.rank_lower} and ${standing.rank_upper}, with 95% confidence.`), make('span.lb-dim', {}, `From ${many(standing.votes, 'vote')}.`)]);
  const battles = standing && make('button.lb-link', { type: 'button', 'data-at': 'battles', onclick: () => openBattles({ model_a: found.model }) }, many(standing.votes, 'vote'));
  return make('p.lb-standing', {}, place, battles && [' · ', battles], told && [' · feedback on ', counts(found)]);
}

function normed(found) {
  const known = found.criteria.filter(({ key }) => found.scores[key] && found.scores[key].norm.value !== null);
  return known.length > 0 && make('p.lb-small', {}, 'From 0 (the data set’s worst image) to 1 (its best): ', known.map(({ key, title }, at) => [at ? ', ' : '', `${title} ${found.scores[key].norm.shown}`]), '.');
}

function among(found, again, trusted) {
  const known = found.criteria.filter(({ key }) => found.all[key].length);
  const key = known.some((one) => one.key === view.criterion) ? view.criterion : known[0].key;
  return section('Among the others', '', segments('Criterion', known.map((one) => [one.key, one.title]), key, (chosenKey) => { view.criterion = chosenKey; again(); const on = view.node.querySelector('.lb-among :checked'); if (on) on.focus({ preventScroll: true }); }),
    make('div.lb-rows', { role: 'group', 'aria-label': `${key}, all models` }, found.all[key].map((other) => {
      const cell = trusted ? other.score.trusted : other.score;
      return barRow(other.name, [1, 5], cell, { here: other.model === found.model, note: key, link: other.model === found.model ? null : pageOf('model', other.model),
        words: () => [make('b', {}, `${other.name}: ${key} ${cell.shown}${cell.interval ? ` (${cell.interval})` : ''}`), make('span', {}, other.score.explain), make('span.lb-dim', {}, `From ${many(other.score.ratings, 'rating')} by ${many(other.score.voters, 'voter')}.`)] });
    })));
}

function missedWords(found, trusted) {
  if (!found.words.length) return make('p', {}, found.asked_words ? 'No word is missed often, or more often than by the other models.' : 'Too few answers about words so far: ten are needed for each.');
  return make('div.lb-rows.lb-widerows', { role: 'group', 'aria-label': 'Words' }, found.words.map((word) => barRow(word.word, [0, 1], trusted ? word.trusted : word.share, { other: word.everybody, words: () => aboutWord(word, trusted) })));
}

const groupRows = (found, trusted) => make('div.lb-rows', { role: 'group', 'aria-label': `By ${found.by}` }, found.groups.map((group) => barRow(group.group, [1, 5], trusted ? group.score.trusted : group.score, {
  other: group.others, unsure: !group.sure, words: () => [make('b', {}, `${group.group}: overall ${group.score.shown}`), make('span', {}, group.score.explain), !group.sure && make('span', {}, 'Too little feedback yet to say much.'), group.others.value !== null && make('span', {}, `All other models in this ${found.by}: ${group.others.shown}.`),
    make('span.lb-dim', {}, `From ${many(group.feedback, 'answer')} on ${many(group.images, 'image')}.`)] })));

/** Fetched when it is looked at: a regression over all votes takes a moment. */
function decides(found) {
  const body = make('div', { 'aria-busy': 'true' }, make('p.lb-wait', {}, 'Working it out…'));
  const turn = view.turn;
  ask({ ask: 'model', model: found.model, of: 'decided' }).then((told) => { if (turn === view.turn) body.replaceChildren(...decided(told)); }, (error) => body.replaceChildren(make('p', {}, error.message)))
    .finally(() => body.setAttribute('aria-busy', 'false'));
  return section('What decides the votes', '', body);
}

function decided({ boards, effects, share, right, votes, refused, apart }) {
  const places = boards.map((one) => explains(make('div.lb-place', { tabindex: 0 }, make('span', {}, one.criterion), make('b', {}, one.rating.value === null ? 'no rating' : `rank ${one.rank} of ${one.models}`), make('small', {}, one.rating.shown + (one.rating.interval ? ` (${one.rating.interval})` : ''))), () => [
    make('b', {}, `On ${one.criterion} alone: rating ${one.rating.shown}${one.rating.interval ? ` (${one.rating.interval})` : ''}`), make('span', {}, 'A board like the main one, where of two images that one voter rated in one battle the higher rating wins.'),
    make('span', {}, `All ranks at once lie between ${one.rank_lower} and ${one.rank_upper}, with 95% confidence.`), make('span.lb-dim', {}, `From ${many(one.votes, 'pair of ratings', 'pairs of ratings')}.`)]));
  const reach = Math.max(1, ...effects.flatMap(({ effect }) => [effect.value, effect.lower, effect.upper].filter((end) => typeof end === 'number').map(Math.abs)));
  const rows = effects.map((one) => barRow(one.criterion, [Math.min(0, -reach * effects.some(({ effect }) => effect.lower < 0)), reach], one.effect, { note: 'decides', words: () => [
    make('b', {}, `One point more on ${one.criterion}: ${one.effect.shown} Elo points (${one.effect.interval})`), make('span', {}, `The other criteria held equal. Alone it explains ${one.alone} of the votes’ deviance; beyond the others it adds ${one.adds}. p ${one.p.startsWith('<') ? one.p : `= ${one.p}`}.`),
    one.within.value !== null && make('span', {}, `With the two models held equal too: ${one.within.shown} (${one.within.interval}).`), make('span.lb-dim', {}, `From ${many(votes, 'vote')} with both images rated, over all models.`)] }));
  return [places.length > 0 && make('div.lb-places', {}, places),
    refused ? make('p', {}, `Which criterion explains the votes can’t be said yet: ${refused}.`) : make('p', {}, 'Over all models, one point more in a rating is worth in the vote, in Elo points:'), rows.length > 0 && make('div.lb-rows.lb-widerows', { role: 'group', 'aria-label': 'What one point more is worth' }, rows),
    rows.length > 0 && make('p.lb-small', {}, `Together the ratings explain ${share} of the deviance of ${many(votes, 'vote')}, and name the winner of ${right} of the decided ones.${apart.length ? ` Without ${apart.join(' and ')}: too few voters rated it together with these, or no two images differed.` : ''}`)].filter(Boolean);
}
