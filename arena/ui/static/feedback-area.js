// A painted area in place of points: a grid of 64 x 64 over the picture, painted with a brush, sent as run lengths.
// "Nowhere" is said as with points, by an empty list of them.

const GRID = 64;
const BRUSH = 3; // cells from the middle to the edge
const PIXELS = 512; // of the canvas on which the grid is drawn

/** Run lengths of a mask row by row, beginning with how many cells are empty: 0 where the first is painted. */
function runLengths(mask) {
  const counts = [];
  let value = 0;
  let run = 0;
  for (const cell of mask) {
    if (cell !== value) {
      counts.push(run);
      value = cell;
      run = 0;
    }
    run++;
  }
  counts.push(run);
  return { size: [GRID, GRID], counts };
}

function maskOf(runs) {
  const mask = new Uint8Array(GRID * GRID);
  let at = 0;
  ((runs && runs.counts) || []).forEach((run, k) => {
    if (k % 2) mask.fill(1, at, at + run);
    at += run;
  });
  return mask;
}

/** Hatching for one kind, dots for the other: the colour is not the only sign. */
function texture(context, kind) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 16;
  const pen = tile.getContext('2d');
  const colour = kind === 'coherence' ? '216, 50, 60' : '30, 99, 224';
  pen.fillStyle = `rgba(${colour}, .5)`;
  pen.fillRect(0, 0, 16, 16);
  pen.fillStyle = pen.strokeStyle = 'rgba(255, 255, 255, .85)';
  pen.lineWidth = 2;
  pen.beginPath();
  if (kind === 'coherence') for (const x of [-16, 0, 16]) { pen.moveTo(x - 2, 18); pen.lineTo(x + 18, -2); }
  else pen.arc(8, 8, 2.5, 0, 2 * Math.PI);
  if (kind === 'coherence') pen.stroke();
  else pen.fill();
  return context.createPattern(tile, 'repeat');
}

/** The painted areas of one side, with the same methods as `buildPoints`. */
function buildArea(side, answers, changed) {
  const tool = { step: 1 / GRID, slots: 0, erasing: false };
  const layer = buildLayer(side, tool);
  const history = { coherence: [], alignment: [] };
  const sheets = {};
  for (const kind of Object.keys(history)) {
    sheets[kind] = el('canvas.ia-area', { width: PIXELS, height: PIXELS, 'data-kind': kind, 'aria-hidden': 'true' });
    layer.node.prepend(sheets[kind]);
  }
  const of = (kind) => answers()[kind + '_mask'] || null;
  const any = (mask) => mask.some(Boolean);
  let mask = null; // while a stroke is being painted
  let last = null;

  function keepMask(kind, painted, said) {
    answers()[kind + '_mask'] = any(painted) ? runLengths(painted) : null;
    answers()[kind + '_points'] = null;
    if (!any(painted)) tool.erasing = false;
    draw(kind, painted);
    say(said);
    changed(kind);
  }

  function draw(kind, painted = maskOf(of(kind))) {
    const context = sheets[kind].getContext('2d');
    const cell = PIXELS / GRID;
    context.clearRect(0, 0, PIXELS, PIXELS);
    context.fillStyle = texture(context, kind);
    context.beginPath();
    for (let k = 0; k < painted.length; k++) if (painted[k]) context.rect((k % GRID) * cell, Math.floor(k / GRID) * cell, cell, cell);
    context.fill();
  }

  function dab(painted, x, y) {
    const middle = [x * GRID - 0.5, y * GRID - 0.5];
    for (let row = Math.max(0, Math.ceil(middle[1] - BRUSH)); row <= Math.min(GRID - 1, middle[1] + BRUSH); row++) {
      for (let column = Math.max(0, Math.ceil(middle[0] - BRUSH)); column <= Math.min(GRID - 1, middle[0] + BRUSH); column++) {
        if (Math.hypot(column - middle[0], row - middle[1]) <= BRUSH) painted[row * GRID + column] = tool.erasing ? 0 : 1;
      }
    }
  }

  function stroke(to) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - last[0], to[1] - last[1]) * GRID / 2));
    for (let k = 1; k <= steps; k++) dab(mask, last[0] + (to[0] - last[0]) * k / steps, last[1] + (to[1] - last[1]) * k / steps);
    last = to;
  }

  const covered = (painted) => `${percent(painted.reduce((sum, cell) => sum + cell, 0) / painted.length)} of image ${side.toUpperCase()} is marked.`;

  layer.node.addEventListener('pointerdown', (event) => {
    if (!layer.kind || event.button || !event.isPrimary) return;
    layer.node.setPointerCapture(event.pointerId);
    history[layer.kind].push(of(layer.kind));
    mask = maskOf(of(layer.kind));
    last = spotOf(layer, event);
    dab(mask, ...last);
    draw(layer.kind, mask);
  });
  layer.node.addEventListener('pointermove', (event) => {
    if (!mask || !event.isPrimary) return;
    const path = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const part of path.length ? path : [event]) stroke(spotOf(layer, part));
    draw(layer.kind, mask);
  });
  const finish = () => {
    if (!mask) return;
    const painted = mask;
    mask = null;
    keepMask(layer.kind, painted, covered(painted));
  };
  layer.node.addEventListener('pointerup', finish);
  layer.node.addEventListener('pointercancel', finish);

  tool.press = (x, y) => {
    const { kind } = layer;
    const painted = maskOf(of(kind));
    history[kind].push(of(kind));
    dab(painted, x, y);
    keepMask(kind, painted, covered(painted));
  };
  tool.undo = () => {
    const { kind } = layer;
    if (!kind || !history[kind].length) return;
    answers()[kind + '_mask'] = history[kind].pop();
    keepMask(kind, maskOf(of(kind)), 'Undone.');
  };
  tool.clear = () => {
    if (!tool.used(layer.kind)) return;
    history[layer.kind].push(of(layer.kind));
    keepMask(layer.kind, maskOf(null), 'Cleared.');
  };
  tool.erase = (on) => {
    tool.erasing = on;
    say(on ? 'The brush erases.' : 'The brush paints.');
    changed(layer.kind);
  };
  tool.key = (key) => {
    if (key !== 'e') return false;
    tool.erase(!tool.erasing);
    return true;
  };
  tool.undoable = (kind) => history[kind].length > 0;
  tool.used = (kind) => (of(kind) ? 1 : 0);
  tool.isNowhere = (kind) => Boolean(answers()[kind + '_points']);
  tool.nowhere = (kind) => {
    const taken = tool.isNowhere(kind);
    answers()[kind + '_points'] = taken ? null : [];
    say(taken ? 'Taken back.' : `Nowhere on image ${side.toUpperCase()}.`);
    changed(kind);
  };
  tool.show = () => Object.keys(sheets).forEach((kind) => draw(kind));
  tool.reset = () => { tool.erasing = false; Object.values(history).forEach((steps) => steps.splice(0)); };
  tool.layer = layer;
  tool.how = 'Arrow keys move the brush, Enter paints, e changes between painting and erasing, Backspace undoes, Escape goes back.';
  return tool;
}
