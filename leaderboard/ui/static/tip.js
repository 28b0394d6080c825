// One small explanation at a time, beside what it explains: on hover, on focus, on a tap. Escape closes it, and the
// pointer may move into it.

const told = new WeakMap(); // element -> () => nodes
const tip = make('div.lb-tip', { role: 'tooltip', id: `lb-tip-${Math.random().toString(36).slice(2, 8)}`, hidden: true });
let tipped = null;
let leaving = 0;

/** From now on `node` explains itself by what `nodes()` returns. */
function explains(node, nodes) {
  told.set(node, nodes);
  node.dataset.tip = '';
  return node;
}

function showTip(node) {
  clearTimeout(leaving);
  if (tipped === node) return;
  hideTip();
  const nodes = told.get(node);
  if (!nodes) return;
  tip.replaceChildren(...nodes().filter(Boolean));
  (node.closest('dialog') || root).append(tip);
  tip.hidden = false;
  tipped = node;
  node.setAttribute('aria-describedby', tip.id);
  const at = node.getBoundingClientRect(), size = tip.getBoundingClientRect(), edge = 8;
  const width = document.documentElement.clientWidth, height = window.innerHeight;
  const left = Math.min(Math.max(edge, at.left + at.width / 2 - size.width / 2), width - size.width - edge);
  const below = at.bottom + 6 + size.height < height - edge || at.top < size.height + edge;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? at.bottom + 6 : at.top - size.height - 6}px`;
}

function hideTip() {
  if (!tipped) return;
  tipped.removeAttribute('aria-describedby');
  tipped = null;
  tip.hidden = true;
}

function leaveTip() {
  clearTimeout(leaving);
  leaving = setTimeout(hideTip, 140);
}

function listenForTips() {
  const of = (event) => event.target.closest && event.target.closest('[data-tip]');
  root.addEventListener('pointerover', (event) => {
    if (event.pointerType === 'touch') return;
    if (tip.contains(event.target)) clearTimeout(leaving);
    else if (of(event)) showTip(of(event));
  });
  root.addEventListener('pointerout', (event) => { if (event.pointerType !== 'touch' && tipped && document.activeElement !== tipped) leaveTip(); });
  root.addEventListener('focusin', (event) => { if (of(event) && of(event).matches(':focus-visible')) showTip(of(event)); });
  root.addEventListener('focusout', leaveTip);
  root.addEventListener('click', (event) => {
    const node = of(event);
    if (!node || node === tipped && event.pointerType === 'touch') hideTip();
    else if (event.pointerType === 'touch') showTip(node);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !tipped) return;
    hideTip();
    event.stopPropagation();
    event.preventDefault();
  }, true);
  addEventListener('scroll', () => { if (tipped) hideTip(); }, { passive: true });
}
