// Puts the parts together. Gradio runs this once, when the widget is on the page.

const meta = props.value.meta;
if (meta.campaign) meta.feedback = null; // what this voter is asked comes with the campaign
const header = buildHeader(props.value);
const ui = buildStage(header);
const composer = buildComposer();
const keys = buildKeys();
header.tools.prepend(el('button.ia-iconbtn.ia-keybtn', { type: 'button', 'aria-label': 'Keys', 'aria-keyshortcuts': '?', title: 'Keys (?)', onclick: () => keys.showModal() }, icon('keys')));

// Where the box for one's own prompt is under the pictures, a button leads there.
header.tools.prepend(el('button.ia-iconbtn.ia-jump', { type: 'button', 'aria-label': 'Your own prompt', title: 'Your own prompt', onclick: () => composer.text.focus() }, icon('pen')));

const stageRoot = element.querySelector('.ia');
stageRoot.classList.add('ia-arena');
stageRoot.replaceChildren(header.header, ui.stage, keys);

// One box for one's own prompt: in the header where there is room, under the pictures on a phone.
const wide = matchMedia('(min-width: 860px)');
const seat = () => (wide.matches ? header.slot.append(composer.box) : ui.stage.after(composer.box));
wide.addEventListener('change', seat);
seat();

// On a phone the choices make room while one types. They come back a little later than the box is left: at once,
// they would slide under the finger that is just pressing Generate.
composer.text.addEventListener('focus', () => stageRoot.classList.add('typing'));
composer.text.addEventListener('blur', () => setTimeout(() => stageRoot.classList.toggle('typing', document.activeElement === composer.text), 350));

document.addEventListener('keydown', onKey);
addEventListener('resize', () => state.battle && fitPrompt());
addEventListener('online', () => { if (state.phase === 'loading' && !state.battle) { note(null); next(); } });
ui.filter.addEventListener('change', () => choose(ui.filter.value));
watch('value', onLive);

const remembered = memory.get('category');
if (remembered && (meta.categories || []).some((category) => category.name === remembered)) {
  ui.filter.value = state.category = remembered;
}
showEmpty('');
if (campaign()) joinCampaign().then(begin);
else begin();

function begin() {
  buildFeedback();
  const begun = feedback() && unfinished();
  if (begun) resume(begun);
  else next({ focus: false });
  try {
    const kept = JSON.parse(sessionStorage.getItem('image-arena-ticket') || 'null');
    if (kept && kept.ticket) { send({ ticket: kept.ticket }); live.prompt = kept.prompt || ''; }
  } catch { /* nothing was kept */ }
}
