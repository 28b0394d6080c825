// Small helpers that every other file uses. Text reaches the page only through `textContent`.

/** An element: `el('button.ia-btn.big', { type: 'button', onclick }, 'text', child, ...)`. */
function el(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

const ICONS = {
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  up: 'M7 20V10l4.5-7c1.4 0 2.3 1 2 2.4L12.7 9H19a1.8 1.8 0 0 1 1.7 2.3l-2 7A2.2 2.2 0 0 1 16.6 20zM3.5 10v10',
  down: 'M17 4v10l-4.5 7c-1.4 0-2.3-1-2-2.4L11.3 15H5a1.8 1.8 0 0 1-1.7-2.3l2-7A2.2 2.2 0 0 1 7.4 4zM20.5 14V4',
  undo: 'M8 5L4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3',
  open: 'M5 9l7 7 7-7',
  pen: 'M4 20h4L19.5 8.5a2.8 2.8 0 0 0-4-4L4 16zM13.5 6.5l4 4',
  next: 'M5 12h14M13 6l6 6-6 6',
  shuffle: 'M16 4h5v5M3 20L21 4M21 15v5h-5M14.5 14.5L21 20M3 4l6.5 6.5',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 7.8h.01',
  close: 'M6 6l12 12M18 6L6 18',
  skip: 'M5 5l9 7-9 7zM18 5v14',
  check: 'M5 12.5l4.5 4.5L19 7',
  eraser: 'M8 20l-5-5L14 4l6.5 6.5L11 20zM8 20h12M8.5 9.5l6.5 6.5',
  keys: 'M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M17.5 14h.01M6.5 14h.01M9.5 14h5',
};

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  const attributes = { viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': '2', 'aria-hidden': 'true',
    'stroke-linecap': 'round', 'stroke-linejoin': 'round', class: 'ia-icon' };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** A link to what the operator configured: only to the web, and never a script. */
function link(text, url) {
  const safe = /^https?:\/\//i.test(url || '');
  return safe ? el('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, text) : el('span', {}, text);
}

/** What this browser remembers; in a private window, for as long as the page is open. */
const memory = {
  get(key) { try { return localStorage.getItem('image-arena-' + key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem('image-arena-' + key, value); } catch { /* forgotten, no harm */ } },
};

const phone = matchMedia('(max-width: 719px)');
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
const toTop = () => scrollTo({ top: 0, behavior: calm() ? 'auto' : 'smooth' });
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const count = (n, one, many = one + 's') => `${n} ${n === 1 ? one : many}`;
