// Up to three points of a kind on a picture. A click adds one, a click on a marker removes it, and it can be dragged.
// What is kept: null as long as nothing was said, an empty list for "nowhere".

const DRAG_PIXELS = 5; // less is a click with an unsteady hand

/** The points of one side: `answers()` is where they are kept, `changed()` is told of every change. */
function buildPoints(side, answers, changed) {
  const most = feedback().points_at_most;
  const history = { coherence: [], alignment: [] };
  const marks = { coherence: [], alignment: [] };
  const tool = { step: 0.02, slots: most };
  const layer = buildLayer(side, tool);
  const said = (kind) => answers()[kind + '_points'] || null;
  const of = (kind) => said(kind) || [];
  const some = (points) => (points.length ? points : null);
  let dragged = false;

  function set(kind, points, told, { remember = true } = {}) {
    if (remember) history[kind].push(said(kind));
    answers()[kind + '_points'] = points;
    draw(kind);
    say(told);
    changed(kind);
  }

  function add(kind, x, y) {
    const points = of(kind);
    if (points.length >= most) {
      say(`${count(most, KINDS[kind].one)} marked, no more can be. Remove one first.`);
      return changed(kind, 'full');
    }
    const spot = [x, y].map((value) => Math.round(value * 10000) / 10000);
    set(kind, [...points, spot], `${titled(kind)} ${points.length + 1} of ${most} marked, ${placeOf(spot)}.`);
    return undefined;
  }

  function remove(kind, k) {
    set(kind, some(of(kind).filter((_, other) => other !== k)), `${titled(kind)} ${k + 1} removed.`);
  }

  const titled = (kind) => KINDS[kind].one[0].toUpperCase() + KINDS[kind].one.slice(1);

  function draw(kind) {
    const points = of(kind);
    while (marks[kind].length > points.length) marks[kind].pop().remove();
    while (marks[kind].length < points.length) {
      const made = mark(kind, marks[kind].length);
      marks[kind].push(made);
      layer.node.append(made);
    }
    points.forEach(([x, y], k) => {
      const node = marks[kind][k];
      node.style.left = x * 100 + '%';
      node.style.top = y * 100 + '%';
      node.setAttribute('aria-label', `${titled(kind)} ${k + 1} on image ${side.toUpperCase()}, ${placeOf([x, y])}. Press to remove, arrow keys move it.`);
    });
  }

  function mark(kind, k) {
    const node = el('button.ia-mark', { type: 'button', 'data-kind': kind }, el('i', { 'aria-hidden': 'true' }, el('b', {}, String(k + 1))));
    node.addEventListener('pointerdown', (event) => drag(event, node, kind, k));
    node.addEventListener('keydown', (event) => {
      if (ARROWS[event.key]) {
        const [dx, dy] = ARROWS[event.key].map((way) => way * tool.step * (event.shiftKey ? 5 : 1));
        const [x, y] = of(kind)[k];
        moved(kind, k, [clamp(x + dx), clamp(y + dy)]);
      } else if (event.key === 'Delete') remove(kind, k);
      else return;
      event.preventDefault();
      if (!node.isConnected) layer.node.focus({ preventScroll: true });
    });
    return node;
  }

  function moved(kind, k, spot) {
    const rounded = spot.map((value) => Math.round(value * 10000) / 10000);
    set(kind, of(kind).map((old, other) => (other === k ? rounded : old)), `${titled(kind)} ${k + 1} moved, ${placeOf(spot)}.`);
  }

  function drag(down, node, kind, k) {
    if (down.button) return;
    dragged = false;
    node.setPointerCapture(down.pointerId);
    const follow = (event) => {
      if (!dragged && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < DRAG_PIXELS) return;
      dragged = true;
      node.classList.add('held');
      const [x, y] = spotOf(layer, event);
      node.style.left = x * 100 + '%';
      node.style.top = y * 100 + '%';
    };
    const drop = (event) => {
      node.removeEventListener('pointermove', follow);
      node.removeEventListener('pointerup', drop);
      node.removeEventListener('pointercancel', drop);
      node.classList.remove('held');
      if (dragged && event.type === 'pointerup') moved(kind, k, spotOf(layer, event));
      else draw(kind);
    };
    node.addEventListener('pointermove', follow);
    node.addEventListener('pointerup', drop);
    node.addEventListener('pointercancel', drop);
  }

  layer.node.addEventListener('click', (event) => {
    const { kind } = layer;
    if (!kind) return;
    const node = event.target.closest('.ia-mark');
    if (node && dragged) dragged = false; // the click that ends a drag
    else if (node) {
      remove(kind, marks[kind].indexOf(node));
      if (!layer.node.contains(document.activeElement)) layer.node.focus({ preventScroll: true });
    } else if (event.detail) add(kind, ...spotOf(layer, event));
  });

  tool.press = (x, y) => {
    const near = of(layer.kind).findIndex((point) => Math.hypot(point[0] - x, point[1] - y) < tool.step);
    if (near >= 0) remove(layer.kind, near);
    else add(layer.kind, x, y);
  };
  tool.undo = () => {
    const { kind } = layer;
    if (!kind || !tool.undoable(kind)) return;
    // After a reload there is no history; then the last point goes.
    set(kind, history[kind].length ? history[kind].pop() : some(of(kind).slice(0, -1)), 'Undone.', { remember: false });
  };
  tool.nowhere = (kind) => set(kind, tool.isNowhere(kind) ? null : [], tool.isNowhere(kind) ? 'Taken back.' : `Nowhere on image ${side.toUpperCase()}.`);
  tool.isNowhere = (kind) => Boolean(said(kind)) && !of(kind).length;
  tool.undoable = (kind) => Boolean(history[kind].length || of(kind).length);
  tool.used = (kind) => of(kind).length;
  tool.show = () => Object.keys(marks).forEach(draw);
  tool.reset = () => Object.values(history).forEach((steps) => steps.splice(0));
  tool.layer = layer;
  tool.how = 'Arrow keys move the crosshair, Enter marks or removes, Backspace undoes, Escape goes back.';
  return tool;
}
