// The choice to be named on the voters' table, for who is signed in. Only the About page of a Space has room for it.

/** Once the page is there, ask who is signed in, and show them their choice. */
function offerNaming() {
  const look = setInterval(async () => {
    const box = document.getElementById('ia-naming');
    if (!box) return;
    clearInterval(look);
    const me = await call('me').catch(() => null);
    if (me && me.user_name) box.replaceChildren(...namingChoice(me));
  }, 50);
}

function namingChoice({ user_name: name, named }) {
  const status = el('p', { role: 'status' });
  const told = (on) => on ? `Your votes carry the name ${name} from now on.` : 'Your votes carry no name.';
  const tick = el('input', { type: 'checkbox', onchange: async () => {
    tick.disabled = true;
    try {
      tick.checked = (await call('named', { named: tick.checked })).named;
      status.textContent = told(tick.checked);
    } catch (trouble) {
      tick.checked = !tick.checked;
      status.textContent = trouble.message;
    }
    tick.disabled = false;
  } });
  tick.checked = named;
  status.textContent = told(named);
  return [el('label', {}, tick, el('span', {}, 'Publish my user name, ', el('b', {}, name), ', with my votes')), status];
}
