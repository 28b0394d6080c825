// What a voter says of a battle's images: kept in this browser until the server has it. A draft survives a reload; what
// was sent without an answer is sent again, however often, since the server takes one feedback an image.

const DRAFT = 'image-arena-feedback-';
const SIDES = ['a', 'b'];
const RETRY_SECONDS = [4, 15, 60];
const records = new Map(); // battle_id -> record, also where the browser keeps nothing
const delivery = { timer: 0, tries: 0 };

const feedback = () => (meta.feedback && meta.feedback.enabled ? meta.feedback : null);
const withArea = () => feedback().points !== 'never' && feedback().area;

/** Everything that is known of one voted battle: what a reload needs to show it again, the answers, and bodies that
 *  wait for the server. Never a name. */
function newRecord(battle, winner, revealed) {
  const { pictures, ...plain } = battle;
  return { at: Date.now(), battle: plain, winner, revealed, answers: { a: {}, b: {} }, waiting: [], told: false };
}

function keep(record) {
  const id = record.battle.battle_id;
  records.set(id, record);
  try { localStorage.setItem(DRAFT + id, JSON.stringify(record)); } catch { /* kept for as long as the page is open */ }
}

function forget(id) {
  records.delete(id);
  try { localStorage.removeItem(DRAFT + id); } catch { /* it was never kept */ }
}

/** Read what this browser kept, without what is too old to be taken. */
function readRecords() {
  const oldest = Date.now() - 3600000 * ((meta.limits && meta.limits.battle_hours) || 24);
  try {
    for (const key of Object.keys(localStorage).filter((name) => name.startsWith(DRAFT))) {
      const record = parse(localStorage.getItem(key));
      if (record && record.at > oldest && record.battle && record.answers) records.set(record.battle.battle_id, record);
      else localStorage.removeItem(key);
    }
  } catch { /* nothing was kept */ }
}

/** The battle whose feedback was being written when the page went away; null for none. */
function unfinished() {
  const open = [...records.values()].filter((record) => !record.told && hasAnswers(record));
  return open.sort((one, other) => other.at - one.at)[0] || null;
}

const rated = (answers, criterion) => (criterion === 'coherence' ? answers.errors && 6 - answers.errors : answers[criterion]) || null;

/** Whether places are asked for: on an image that was rated low, or as the arena's settings say. */
function placesAsked(answers, criterion) {
  const { points, points_below: below, criteria } = feedback();
  if (!['coherence', 'alignment'].includes(criterion) || !criteria.includes(criterion) || points === 'never') return false;
  if (points === 'always') return true;
  const rating = rated(answers, criterion);
  return rating !== null && rating < below;
}

/** Whether places were marked, or "nowhere" was said, which is an empty list of points. */
const saysWhere = (answers, step) => Boolean(answers[step + '_points'] || (withArea() && answers[step + '_mask']));

/** Whether this question has any answer on this side. */
function hasAnswer(answers, step) {
  return Boolean(rated(answers, step)) || (step === 'alignment' && Boolean(answers.misaligned_words))
    || (placesAsked(answers, step) && saysWhere(answers, step));
}

/** Whether this question has all the answers that it wants on this side. */
function isAnswered(answers, step) {
  const { criteria, words } = feedback();
  return (!criteria.includes(step) || Boolean(rated(answers, step))) && (step !== 'alignment' || !words || Boolean(answers.misaligned_words))
    && (!placesAsked(answers, step) || saysWhere(answers, step));
}

const hasAnswers = (record) => SIDES.some((side) => bodyOf(record, side));

/** What is sent of one image; null where nothing was answered. A question that was not asked, or was passed over, is left
 *  out; an empty list says that there is nothing to mark. */
function bodyOf(record, side) {
  const answers = record.answers[side];
  const body = {};
  for (const criterion of feedback().criteria) {
    const field = criterion === 'coherence' ? 'errors' : criterion;
    if (answers[field]) body[field] = answers[field];
  }
  if (feedback().words && answers.misaligned_words) body.misaligned_words = [...answers.misaligned_words].sort((i, k) => i - k);
  for (const criterion of ['coherence', 'alignment']) {
    if (!placesAsked(answers, criterion)) continue;
    const points = answers[criterion + '_points'];
    const mask = withArea() && answers[criterion + '_mask'];
    if (mask) body[criterion + '_mask'] = mask;
    else if (points) body[criterion + '_points'] = withArea() ? [] : points;
  }
  return Object.keys(body).length ? { battle_id: record.battle.battle_id, side, ...body } : null;
}

/** The answers are given: from now on they only wait for the server. Resolves to whether it has them all. */
function give(record) {
  record.waiting = SIDES.map((side) => bodyOf(record, side)).filter(Boolean);
  record.told = true;
  keep(record);
  return deliver(record);
}

async function deliver(record) {
  for (const body of [...record.waiting]) {
    try {
      const { check } = await call('feedback', body);
      if (check) record.check = check;
    } catch (error) {
      if (error.code === 'wrong_answer') { // a task with a known answer: it is asked again
        record.waiting = [];
        return { wrong: error.message, side: body.side, about: error.about };
      }
      if (['offline', 'busy', 'too_fast', 'internal'].includes(error.code)) {
        deliverLater(error.retryAfter);
        return false;
      }
      // Given already: an earlier try had arrived, only its answer was lost. Anything else will not be taken later either.
      if (error.code !== 'already_given') note(error.message, { bad: true });
    }
    record.waiting = record.waiting.filter((other) => other !== body);
    keep(record);
  }
  forget(record.battle.battle_id);
  return true;
}

function deliverLater(seconds) {
  clearTimeout(delivery.timer);
  const pause = seconds || RETRY_SECONDS[Math.min(delivery.tries++, RETRY_SECONDS.length - 1)];
  delivery.timer = setTimeout(deliverAll, 1000 * pause);
}

/** Send again whatever waits, oldest first. */
async function deliverAll() {
  clearTimeout(delivery.timer);
  for (const record of [...records.values()].filter((one) => one.told)) {
    if ((await deliver(record)) !== true) return;
  }
  delivery.tries = 0;
}
