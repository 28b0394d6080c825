// The layer over a picture on which places are marked: a crosshair for the keyboard, and where a click or a touch was.
// What a place then means is the tool's: points (feedback-points.js) or a painted area (feedback-area.js).

const clamp = (value) => Math.min(1, Math.max(0, value));
const percent = (value) => `${Math.round(value * 100)} %`;
const placeOf = ([x, y]) => `${percent(x)} from the left, ${percent(y)} from the top`;
const KINDS = {
  coherence: { one: 'error', where: 'where it is wrong' },
  alignment: { one: 'mismatch', where: 'where it misses the prompt' },
};

/** A layer of one side. `tool` has press(x, y), undo(), and for the crosshair step (a share of the picture). */
function buildLayer(side, tool) {
  const cross = el('span.ia-cross', { 'aria-hidden': 'true' });
  const layer = { side, at: [0.5, 0.5], kind: null, cross };
  layer.node = el('div.ia-marks', {}, cross);
  layer.node.addEventListener('keydown', (event) => layerKey(layer, tool, event));
  layer.node.addEventListener('focus', () => {
    layer.node.classList.toggle('keyed', layer.node.matches(':focus-visible'));
    moveCross(layer, 0, 0);
  });
  layer.node.addEventListener('pointerdown', (event) => {
    layer.node.classList.remove('keyed');
    layer.at = spotOf(layer, event);
  });
  return layer;
}

/** Let places be marked for a kind, or, with null, for none. */
function armLayer(layer, kind, how) {
  layer.kind = kind;
  layer.node.classList.toggle('armed', Boolean(kind));
  layer.node.dataset.kind = kind || '';
  const attributes = {
    tabindex: '0', role: 'application', 'aria-roledescription': 'picture to mark',
    'aria-label': kind && `Image ${layer.side.toUpperCase()}: mark ${KINDS[kind].where}. ${how}`,
  };
  for (const [name, value] of Object.entries(attributes)) {
    if (kind) layer.node.setAttribute(name, value);
    else layer.node.removeAttribute(name);
  }
}

/** Hand the keyboard to the picture; the crosshair shows only to who came with a key. */
function enterLayer(layer, keyed) {
  layer.node.focus({ preventScroll: true });
  layer.node.classList.toggle('keyed', keyed);
}

/** Where on the picture, 0 to 1 from the top left, an event of the pointer was. */
function spotOf(layer, event) {
  const box = layer.node.getBoundingClientRect();
  return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
}

function moveCross(layer, dx, dy) {
  layer.at = [clamp(layer.at[0] + dx), clamp(layer.at[1] + dy)];
  layer.cross.style.left = layer.at[0] * 100 + '%';
  layer.cross.style.top = layer.at[1] * 100 + '%';
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function layerKey(layer, tool, event) {
  if (!layer.kind || event.target !== layer.node) return;
  const undone = event.key === 'Backspace' || event.key === 'Delete' || isUndo(event);
  if (!undone && (event.ctrlKey || event.metaKey || event.altKey)) return;
  if (ARROWS[event.key]) {
    const step = tool.step * (event.shiftKey ? 5 : 1);
    layer.node.classList.add('keyed');
    moveCross(layer, ...ARROWS[event.key].map((way) => way * step));
    say(placeOf(layer.at));
  } else if (event.key === 'Enter' || event.key === ' ') {
    if (!layer.node.classList.contains('keyed')) return; // who points with a mouse goes on with Enter
    tool.press(...layer.at);
  } else if (undone) tool.undo();
  else if (event.key === 'Escape') focusQuestion(layer.side);
  else if (!tool.key || !tool.key(event.key)) return;
  event.preventDefault();
}

const isUndo = (event) => (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'z';
