// The battles behind a number, in a panel at the side: Escape, the back button and a click beside it close it.

const drawer = make('dialog.lb-drawer', { 'aria-labelledby': 'lb-drawer-title' });

function describe(selection) {
  const { model_a: a, model_b: b, winner, image, ...place } = selection;
  if (image) return 'The battles of this image';
  const who = a && b ? `${nameOf(a)} against ${nameOf(b)}` : nameOf(a || b || '') || 'All models';
  const where = Object.values(place).join(', ');
  return who + (where ? ` · ${where}` : '') + (winner ? ` · ${{ model_a: 'won', model_b: 'lost', both_good: 'both good', both_bad: 'both bad' }[winner]}` : '');
}

function openBattles(selection) {
  const list = make('ol.lb-battles'), count = make('p', { role: 'status' }, 'Looking…');
  const more = make('button.lb-more', { type: 'button', hidden: true, onclick: () => load() }, 'Show more');
  const close = make('button.lb-close', { type: 'button', 'aria-label': 'Close', onclick: closeBattles }, '×');
  const outcome = selection.model_a && make('select.lb-select', { 'aria-label': 'Outcome' },
    [['', 'Outcome: any'], ['model_a', 'won'], ['model_b', 'lost'], ['both_good', 'both good'], ['both_bad', 'both bad']].map(([value, word]) => make('option', { value }, word)));
  let asked = 0, chosenOutcome = selection.winner || '';
  if (outcome) {
    outcome.value = chosenOutcome;
    outcome.addEventListener('change', () => { chosenOutcome = outcome.value; list.replaceChildren(); load(); });
  }
  async function load() {
    const turn = ++asked, start = list.children.length;
    try {
      const found = await ask({ ask: 'battles', start, selection: { ...selection, ...(chosenOutcome ? { winner: chosenOutcome } : {}) } });
      if (turn !== asked) return;
      count.textContent = `${many(found.total, 'battle')}, the latest first.`;
      list.append(...found.rows.map((row) => battle(row, found.pictures)));
      more.hidden = list.children.length >= found.total;
    } catch (error) {
      count.textContent = error.message;
    }
  }
  hideTip();
  drawer.replaceChildren(make('div.lb-drawer-head', {}, make('h2', { id: 'lb-drawer-title' }, describe(selection)), close), make('div.lb-tools', {}, count, outcome), list, more);
  if (!drawer.isConnected) root.append(drawer);
  if (!drawer.open) {
    history.pushState({ ...history.state, lbDrawer: true }, '');
    drawer.showModal();
  }
  drawer.scrollTop = 0;
  load();
}

function battle(row, pictures) {
  const side = (key) => make(`figure.lb-side${row.won === key ? '.lb-won' : ''}`, {},
    pictures[row[key].image] ? make('a', { href: pageOf('image', row[key].image), onclick: leaveFor }, make('img', { src: pictures[row[key].image], alt: `Made by ${row[key].name}`, loading: 'lazy', width: 160, height: 160 })) : null,
    make('figcaption', {}, row[key].name));
  return make('li', {},
    make('p.lb-prompt', {}, row.prompt || 'A prompt that is not shown'),
    make('div.lb-sides', {}, side('a'), side('b')),
    make('p.lb-outcome', {}, make('b', {}, row.outcome), [row.group, row.when && row.when.slice(0, 16).replace('T', ' ')].filter(Boolean).map((part) => ` · ${part}`)));
}

/** A picture's page takes the panel's place in the history, so that going back leads to the page below it. */
function leaveFor(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  drawer.close();
  history.replaceState({}, '', event.currentTarget.getAttribute('href'));
  follow();
}

/** Going back in the history closes it, so that the back button does the same. */
function closeBattles() {
  if (!drawer.open) return;
  if (history.state && history.state.lbDrawer) history.back();
  else drawer.close();
}

drawer.addEventListener('cancel', (event) => { event.preventDefault(); closeBattles(); });
drawer.addEventListener('click', (event) => { if (event.target === drawer) closeBattles(); });
