// Where voters pointed, drawn over a picture. Errors are orange with solid lines and round marks, what does not follow
// the prompt is blue with dashed lines and diamonds, so that no eye needs the colours; every line is light on dark, so
// that it stands out from any picture. Full colour is one point a voter, the same for every image.

const HEAT = {
  coherence: { title: 'Errors', about: 'where voters see errors', dash: [], stops: [[196, 72, 0], [240, 130, 0], [255, 226, 120]] },
  alignment: { title: 'Off the prompt', about: 'where it does not follow its prompt', dash: [5, 4], stops: [[0, 70, 190], [40, 130, 240], [170, 228, 255]] },
};
const LEVELS = [0.1, 0.25, 0.5];
const SHOWN_HEAT = [['both', 'Both'], ['coherence', 'Errors'], ['alignment', 'Off the prompt'], ['none', 'None']];
const heat = { kind: 'both', opacity: 80, points: false }; // as the reader chose it last
const kindsOf = () => (heat.kind === 'both' ? Object.keys(HEAT) : heat.kind === 'none' ? [] : [heat.kind]);

/** Colour and opacity of a height from 0 to 1: [red, green, blue, alpha], each 0 to 255. */
function tint([low, middle, high], v) {
  const [from, to, at] = v < 0.5 ? [low, middle, v * 2] : [middle, high, v * 2 - 1];
  return [...from.map((part, k) => part + (to[k] - part) * at), 225 * Math.min(1, v * 1.5) ** 0.7];
}

const bytesOf = (map) => (map.bytes = map.bytes || Uint8Array.from(atob(map.data), (sign) => sign.charCodeAt(0)));

/** Draw the maps of the chosen kinds, and the points where they are wanted, over the canvas's own box. */
function drawHeat(canvas, maps, points) {
  const box = canvas.getBoundingClientRect(), scale = Math.min(window.devicePixelRatio || 1, 2);
  [canvas.width, canvas.height] = [Math.max(1, Math.round(box.width * scale)), Math.max(1, Math.round(box.height * scale))];
  const pen = canvas.getContext('2d');
  const shown = kindsOf().filter((kind) => maps[kind]);
  for (const kind of shown) {
    const { cells } = maps[kind], bytes = bytesOf(maps[kind]);
    const small = make('canvas', { width: cells, height: cells }), data = new ImageData(cells, cells);
    bytes.forEach((byte, at) => data.data.set(tint(HEAT[kind].stops, byte / 255), at * 4));
    small.getContext('2d').putImageData(data, 0, 0);
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  }
  for (const kind of shown) {
    for (const level of box.width < 250 ? [0.25] : LEVELS) {
      const path = contour(bytesOf(maps[kind]), maps[kind].cells, level * 255, canvas.width, canvas.height);
      pen.setLineDash([]);
      stroke(pen, path, 'rgb(0 0 0 / 55%)', 2.8 * scale);
      pen.setLineDash(HEAT[kind].dash.map((part) => part * scale));
      stroke(pen, path, 'rgb(255 255 255 / 92%)', 1.2 * scale);
    }
  }
  pen.setLineDash([]);
  if (points) for (const kind of kindsOf()) for (const [x, y] of points[kind] || []) mark(pen, kind, x * canvas.width, y * canvas.height, 4.5 * scale);
}

function stroke(pen, path, style, width) {
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.stroke(path);
}

function mark(pen, kind, x, y, r) {
  const path = new Path2D();
  if (kind === 'coherence') path.arc(x, y, r, 0, 2 * Math.PI);
  else [[0, -r * 1.3], [r * 1.3, 0], [0, r * 1.3], [-r * 1.3, 0]].forEach(([dx, dy], at) => path[at ? 'lineTo' : 'moveTo'](x + dx, y + dy));
  path.closePath();
  pen.fillStyle = `rgb(${HEAT[kind].stops[1].join(' ')})`;
  pen.fill(path);
  stroke(pen, path, '#111', r * 0.75);
  stroke(pen, path, '#fff', r * 0.4);
}

/** The line along which the grid has this height (marching squares over the centres of its cells), as a Path2D. */
function contour(bytes, cells, level, width, height) {
  const path = new Path2D(), at = (x, y) => (x < 0 || y < 0 || x >= cells || y >= cells ? 0 : bytes[y * cells + x]);
  const place = (x, y) => [((x + 0.5) / cells) * width, ((y + 0.5) / cells) * height];
  const between = (x, y, dx, dy) => { const one = at(x, y), t = (level - one) / (at(x + dx, y + dy) - one); return place(x + dx * t, y + dy * t); };
  for (let y = -1; y < cells; y += 1) {
    for (let x = -1; x < cells; x += 1) {
      const corners = [at(x, y) > level, at(x + 1, y) > level, at(x + 1, y + 1) > level, at(x, y + 1) > level];
      const cuts = [];
      if (corners[0] !== corners[1]) cuts.push(between(x, y, 1, 0));
      if (corners[1] !== corners[2]) cuts.push(between(x + 1, y, 0, 1));
      if (corners[2] !== corners[3]) cuts.push(between(x, y + 1, 1, 0));
      if (corners[3] !== corners[0]) cuts.push(between(x, y, 0, 1));
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        path.moveTo(...cuts[k]);
        path.lineTo(...cuts[k + 1]);
      }
    }
  }
  return path;
}

/** A picture with its heat on top, in a box of its own shape: `node.draw()` draws the heat as it is chosen now. */
function overlaid(alt) {
  const img = make('img', { alt, decoding: 'async' }), canvas = make('canvas', { 'aria-hidden': 'true' });
  const empty = make('span.lb-unseen', { hidden: true }, 'This picture is not shown here.');
  const node = make('span.lb-stack', {}, img, canvas, empty);
  let now = null;
  img.addEventListener('load', () => { node.style.setProperty('--ratio', img.naturalWidth / img.naturalHeight); node.draw(); });
  node.draw = () => {
    if (!now || !canvas.getBoundingClientRect().width) return;
    canvas.style.opacity = heat.opacity / 100;
    drawHeat(canvas, now.maps, heat.points && node.pointed ? now.points : null);
  };
  node.show = (fresh) => {
    now = fresh;
    img.hidden = !fresh.src;
    empty.hidden = Boolean(fresh.src);
    if (fresh.size) node.style.setProperty('--ratio', fresh.size[0] / fresh.size[1]);
    if (fresh.src && img.getAttribute('src') !== fresh.src) img.src = fresh.src;
    node.draw();
  };
  new ResizeObserver(() => node.draw()).observe(canvas);
  stacks.add(new WeakRef(node));
  return node;
}

const stacks = new Set(); // of every picture that is on the page, to draw them again
function drawStacks() {
  for (const held of stacks) {
    const node = held.deref();
    if (node && node.isConnected) node.draw();
    else if (!node) stacks.delete(held);
  }
}

/** Choose one of a few: radio buttons that look like one control. */
function segments(title, choices, value, chosen) {
  const name = `lb-choice-${Math.random().toString(36).slice(2, 9)}`;
  return make('fieldset.lb-segments', {}, make('legend.lb-sr', {}, title), choices.map(([key, word]) => {
    const radio = make('input', { type: 'radio', name, value: key, onchange: () => chosen(key) });
    radio.checked = key === value;
    return make('label', {}, radio, make('span', {}, word));
  }));
}

/** Which heat is shown on every picture. */
const chooseHeat = (after) => segments('Heat over the pictures', SHOWN_HEAT, heat.kind, (kind) => { heat.kind = kind; drawStacks(); if (after) after(); });

const legend = () => make('p.lb-legend', {}, Object.entries(HEAT).map(([kind, { about }]) => make('span', {}, make(`span.lb-swatch.lb-${kind}`, { 'aria-hidden': 'true' }), about)), help());

const help = () => explains(make('span.lb-help', { tabindex: 0, 'data-at': 'help' }, 'What the colours mean'), () => [
    make('b', {}, 'Each voter’s points spread a little, and are averaged over all who rated the image.'),
    make('span', {}, 'Full colour is one point a voter; the lines stand at a tenth, a quarter and half of that, the same for every image.'),
    make('span.lb-dim', {}, 'Whoever rated an image high is often not asked where: they count as pointing nowhere. Who was asked other things does not count.')]);
