// Small helpers that every other file uses. What comes from data reaches the page as text nodes only.

/** An element: `make('button.lb-link', { type: 'button', onclick }, 'text', child)`; false and null are left out. */
function make(what, attributes, ...children) {
  const [tag, ...classes] = what.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes || {})) {
    const said = name.startsWith('aria-'); // these say "false" too
    if (value === null || value === undefined || (value === false && !said)) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true && !said ? '' : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== false && child !== null && child !== undefined && child !== ''));
  return node;
}

/** Put these children in, and leave the page alone where it says the same already. */
function fill(node, ...children) {
  const next = make('div', {}, ...children);
  if (node.innerHTML !== next.innerHTML) node.replaceChildren(...next.childNodes);
  return node;
}

/** What the CSS calls a colour at the moment. */
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

const thousands = (n) => n.toLocaleString('en');
const many = (n, one, more = one + 's') => `${thousands(n)} ${n === 1 ? one : more}`;

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Ask the server; an answer as an object, or an Error with one line for the reader. */
async function ask(question) {
  const config = window.gradio_config || {};
  const base = new URL(config.root || '/', location.href).pathname.replace(/\/*$/, '') + (config.api_prefix || '/gradio_api');
  let answer;
  try {
    answer = await fetch(`${base}/run/${props.value.endpoint}`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ data: [question] }),
    });
  } catch {
    throw new Error('The server does not answer. This page goes on trying.');
  }
  if (answer.status === 429) throw new Error('Too many requests at once; this page tries again in a moment.');
  if (!answer.ok) throw new Error('The server could not work this out.');
  const found = JSON.parse((await answer.json()).data[0]);
  if (found.error) throw new Error(found.error);
  return found;
}
