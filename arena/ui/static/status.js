// One calm line on the About page: whether what was voted is published, and if not, when it will be.

const STATUS_SECONDS = 15;

/** Fill the line once the page is there, and keep it true while somebody looks. */
async function showStatus() {
  for (;;) {
    const place = document.getElementById('ia-status');
    if (place && !document.hidden) {
      const answer = await fetch(ROOT + 'health', { signal: AbortSignal.timeout(10000) }).catch(() => null);
      const found = answer && parse(await answer.text().catch(() => ''));
      if (found && found.line) place.textContent = found.line;
    }
    await wait(place ? STATUS_SECONDS * 1000 : 50);
  }
}
