// The header of every page: the name, the pages, how often this visitor voted, the keys, dark or light.

/** The path under which the app lives: "/" here, "/prefix/" behind a proxy that adds one. */
function rootPath() {
  const root = new URL((window.gradio_config && window.gradio_config.root) || '/', location.href);
  return root.pathname.replace(/\/*$/, '/');
}

function logo() {
  const svg = icon('close');
  svg.setAttribute('class', 'ia-logo');
  svg.setAttribute('stroke', 'none');
  svg.firstChild.setAttribute('d', 'M2 5.5A2.5 2.5 0 0 1 4.5 3h9A2.5 2.5 0 0 1 16 5.5V8h-4.5A3.5 3.5 0 0 0 8 11.5V16H4.5A2.5 2.5 0 0 1 2 13.5z');
  svg.firstChild.setAttribute('fill', 'var(--ia-ink)');
  const second = svg.firstChild.cloneNode();
  second.setAttribute('d', 'M12.5 10h7a2.5 2.5 0 0 1 2.5 2.5v6a2.5 2.5 0 0 1-2.5 2.5h-7a2.5 2.5 0 0 1-2.5-2.5v-6a2.5 2.5 0 0 1 2.5-2.5z');
  second.setAttribute('fill', 'var(--ia-accent)');
  svg.append(second);
  return svg;
}

/** Whether visitors can sign in: only on a Space is there a button for it. */
function canSignIn() {
  const components = (window.gradio_config && window.gradio_config.components) || [];
  return components.some((c) => c.props && c.props.elem_id === 'ia-signin');
}

/** Move Gradio's own sign-in button into the header once it is on the page. */
function adoptSignIn(tools) {
  if (!canSignIn()) return;
  const look = setInterval(() => {
    const button = document.getElementById('ia-signin');
    if (!button) return;
    clearInterval(look);
    tools.prepend(button);
  }, 50);
}

/** The header; `slot` is where the Arena page puts the box for one's own prompt, `tools` where keys go. */
function buildHeader({ meta, pages, here }) {
  const root = rootPath();
  const slot = el('div.ia-slot');
  const tools = el('div.ia-tools');
  const tally = el('span.ia-tally');
  const theme = el('button.ia-iconbtn.ia-theme', { type: 'button', onclick: () => { window.iaTheme.toggle(); named(); } });
  const named = () => {
    const dark = window.iaTheme.dark();
    theme.replaceChildren(icon(dark ? 'sun' : 'moon'));
    theme.setAttribute('aria-label', dark ? 'Light theme' : 'Dark theme');
    theme.title = dark ? 'Light theme' : 'Dark theme';
  };
  named();
  tools.append(tally, theme);
  adoptSignIn(tools);
  const links = pages.map((page) => el('a.ia-navlink', { href: root + page.path, 'aria-current': page.path === here ? 'page' : null }, page.name));
  const header = el('header.ia-header', {},
    el('a.ia-brand', { href: root }, logo(), el('span.ia-title', {}, meta.title)),
    slot, el('nav.ia-nav', { 'aria-label': 'Pages' }, ...links), tools);
  const page = pages.find((p) => p.path === here);
  document.title = here && page ? `${page.name} · ${meta.title}` : meta.title;

  /** Show how many votes this browser has cast, `change` more or less than before. */
  function votes(change = 0) {
    const n = Math.max(0, (parseInt(memory.get('votes'), 10) || 0) + change);
    if (change) memory.set('votes', n);
    tally.style.visibility = n ? '' : 'hidden'; // it keeps its room
    tally.replaceChildren(el('b', {}, String(n)), n === 1 ? ' vote' : ' votes', el('span.ia-sr', {}, ' by you'));
    tally.title = `${count(n, 'vote')} by you in this browser`;
  }
  votes();
  // The theme can also change with the system.
  new MutationObserver(named).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  return { header, slot, tools, votes };
}
