// The visitor's own voter id on the About page: what finds their votes in the dataset, and what an erasure needs.

/** Once the page is there, ask who this is. */
function showVoterId() {
  const look = setInterval(async () => {
    const box = document.getElementById('ia-voter');
    if (!box) return;
    clearInterval(look);
    const me = await call('me').catch(() => null);
    if (me && me.voter) box.replaceChildren(...voterId(me.voter));
  }, 50);
}

function voterId(voter) {
  const code = el('code', { id: 'ia-voter-id' }, voter);
  const status = el('span', { role: 'status' });
  const copy = el('button', { type: 'button', 'aria-label': 'Copy your voter id', onclick: async () => {
    try {
      await navigator.clipboard.writeText(voter);
      status.textContent = 'Copied.';
    } catch { // a frame may not write to the clipboard, and neither may a page without HTTPS
      getSelection().selectAllChildren(code);
      status.textContent = 'It is selected: copy it with Ctrl+C, or hold it.';
    }
  } }, 'Copy');
  return [el('span', {}, 'Your voter id: '), code, copy, status];
}
