// Talking to the arena: JSON routes for battles and votes. Whatever goes wrong becomes a `Trouble` with plain words.

class Trouble extends Error {
  constructor(code, message, { retry_after: retryAfter, about } = {}) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
    this.about = about; // which answer is wrong, of a task with a known one
  }
}

const ROOT = rootPath();
const OFFLINE = 'The arena can’t be reached. Check your connection.';

/** JSON, or null. A seed has more digits than a number can hold here, so it stays text. */
function parse(text) {
  try {
    return JSON.parse(text.replace(/("seed":\s*)(\d{16,})/g, '$1"$2"'));
  } catch {
    return null;
  }
}

async function call(path, body) {
  const given = body === undefined ? {} : {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  };
  let answer;
  let found = null;
  try {
    // A request that never ends would leave the page waiting for good.
    answer = await fetch(`${ROOT}arena/${path}`, { ...given, credentials: 'same-origin', signal: AbortSignal.timeout(20000) });
    found = parse(await answer.text());
  } catch {
    throw new Trouble('offline', OFFLINE);
  }
  if (answer.ok && found && !found.error) return found;
  const error = (found && found.error) || {};
  if (!error.message && answer.status >= 500) throw new Trouble('offline', 'The arena is not answering just now.');
  throw new Trouble(error.code || 'internal', error.message || 'Something went wrong here; nothing was counted.', error);
}

/** A picture that is ready to be painted at once. */
async function picture(url, side) {
  const image = new Image();
  image.alt = 'Image ' + side.toUpperCase();
  image.draggable = false;
  image.src = ROOT + url.replace(/^\//, '');
  try {
    await image.decode();
  } catch {
    throw new Trouble('picture', 'A picture didn’t arrive.');
  }
  return image;
}

/** A battle with both pictures decoded: neither is shown before the other. */
async function withPictures(battle) {
  const [a, b] = await Promise.all([picture(battle.image_a, 'a'), picture(battle.image_b, 'b')]);
  return { ...battle, pictures: { a, b } };
}

async function fetchBattle(category, after) {
  const { battle } = await call('next', { category: category || null, after: after || null });
  try {
    return await withPictures(battle);
  } catch {
    await wait(400); // once more: the connection may have blinked
    return withPictures(battle);
  }
}
