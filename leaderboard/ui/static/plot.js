// Figures: plotly's own drawing in the theme's colours, without the models that the filters hide. The library is
// fetched when the first figure is opened.

let library = null;
const plotly = () => (library = library || import(new URL(props.value.plotly, document.baseURI).href).then(() => window.Plotly));

const FIRST_NAMES = 12; // of lines; the others on demand
const MIDTONE = '#76808f'; // the text colour of figures as they come from the server

/** A figure with its heading, its download, and where its lines can be chosen, the names to choose them by. */
function makeFigure() {
  const node = make('figure.lb-figure'), plot = make('div.lb-plot'), empty = make('div.lb-empty', { hidden: true }, 'No model passes the filters.');
  const title = make('h3'), caption = make('figcaption');
  const png = make('button.lb-link', { type: 'button', onclick: () => picture(block, on) }, 'PNG');
  const names = make('div.lb-names', { role: 'group', 'aria-label': 'Lines' });
  node.append(make('div.lb-figure-head', {}, title, make('div.lb-tools', {}, png)), caption, names, plot, empty);
  const on = new Map(); // model -> whether its line is shown, as the reader chose
  let block = null, drawn = '';
  node.isLate = () => node.late;
  node.show = (fresh) => {
    const text = JSON.stringify(fresh);
    if (text === drawn) return;
    [block, drawn] = [fresh, text];
    title.textContent = block.title;
    caption.textContent = block.caption;
    png.setAttribute('aria-label', `Download ${block.title} as PNG`);
    png.hidden = !block.figure.data.length;
    plot.setAttribute('role', 'img');
    plot.setAttribute('aria-label', `${block.title}. ${block.caption}`);
    plot.style.minHeight = `${block.figure.layout.height}px`; // no jump when it is there
    node.redraw();
  };
  node.redraw = async () => {
    if (!block) return;
    const Plotly = await plotly();
    node.late = !node.offsetParent; // hidden, it would not know its width
    if (node.late) return;
    const shown = toDraw(block.figure, on);
    nameLines(names, block.figure, on, node.redraw);
    plot.hidden = !shown;
    empty.hidden = Boolean(shown);
    if (!shown) return;
    plot.style.minHeight = `${shown.layout.height}px`;
    await Plotly.react(plot, shown.data, shown.layout, { displayModeBar: false, responsive: true });
    labelEnds(Plotly, plot);
    if (!plot.dataset.listens) {
      plot.dataset.listens = 'yes';
      plot.on('plotly_relayout', (change) => { if (!change.annotations) labelEnds(Plotly, plot); });
      plot.on('plotly_click', (event) => { const found = selectionOf(event.points[0]); if (found) openBattles(found); });
    }
  };
  return node;
}

/** The battles that a mark or cell stands for, or null. */
function selectionOf(point) {
  const meta = point.data.meta || {};
  if (meta.battles) return point.x === point.y || point.z === null ? null : { [meta.battles[0]]: point.y, [meta.battles[1]]: point.x };
  if (meta.models) return { model_a: meta.models[point.pointNumber] };
  return meta.model ? { model_a: meta.model } : null;
}

/** A button a line, in its colour; pressed where the line is shown. */
function nameLines(box, figure, on, again) {
  const lines = figure.data.filter((trace) => trace.meta && trace.meta.label && shows([trace.meta.model]));
  const held = box.contains(document.activeElement) ? document.activeElement.dataset.model : null;
  const folded = lines.length > FIRST_NAMES + 4 && !box.dataset.all;
  box.replaceChildren(...lines.slice(0, folded ? FIRST_NAMES : undefined).map((trace) => {
    const model = trace.meta.model, shown = on.has(model) ? on.get(model) : trace.visible;
    const button = make('button.lb-name', { type: 'button', 'aria-pressed': shown, 'data-model': model, onclick: () => { on.set(model, !shown); again(); } }, nameOf(model));
    button.style.setProperty('--line', trace.line.color);
    return button;
  }), folded ? make('button.lb-link', { type: 'button', onclick: () => { box.dataset.all = 'yes'; again(); } }, `and ${lines.length - FIRST_NAMES} more`) : '');
  const back = held && [...box.children].find((button) => button.dataset.model === held);
  if (back) back.focus({ preventScroll: true });
}

/** Each line's name beside its end, moved apart where ends are close. */
function labelEnds(Plotly, plot) {
  const axis = plot._fullLayout && plot._fullLayout.yaxis, gap = 13;
  if (!(plot.data || []).some((trace) => trace.meta && trace.meta.label)) return;
  const ends = (plot.data || []).filter((trace) => trace.meta && trace.meta.label && trace.visible)
    .map((trace) => ({ trace, y: trace.y[trace.y.length - 1], at: axis.l2p(trace.y[trace.y.length - 1]) })).sort((a, b) => a.at - b.at);
  const place = ends.map((end) => end.at);
  for (let at = 1; at < place.length; at += 1) place[at] = Math.max(place[at], place[at - 1] + gap);
  for (let over = place.length && place[place.length - 1] - axis._length, at = place.length - 1; at >= 0 && over > 0; at -= 1) {
    place[at] -= over;
    over = at ? place[at - 1] + gap - place[at] : 0;
  }
  Plotly.relayout(plot, { annotations: ends.map(({ trace, y, at }, n) => ({ x: 1, xref: 'paper', xanchor: 'left', y, yref: 'y', yanchor: 'middle', yshift: at - place[n], showarrow: false,
    text: trace.meta.label, font: { size: 11, color: trace.line.color }, xshift: 4 })) });
}

/** {data, layout} for the screen: the theme's colours, hidden models left out; null where nothing is left. */
function toDraw(figure, on) {
  const { data, layout } = structuredClone(figure);
  const lines = data.filter((trace) => trace.meta && trace.meta.label);
  for (const trace of data) if (trace.meta && on.has(trace.meta.model)) trace.visible = on.get(trace.meta.model);
  const traces = data.map(filtered).filter(Boolean);
  if (lines.length && filtering() && ![...on.keys()].length) traces.filter((trace) => trace.meta.model).slice(0, 24).forEach((trace) => { trace.visible = true; });
  if (!traces.length && data.length) return null;
  const hidden = (id) => state.head.models[id] && !shows([id]);
  for (const axis of [layout.xaxis, layout.yaxis]) {
    if (!axis || !axis.categoryarray || !data.some((trace) => trace.meta && (axis === layout.yaxis || trace.meta.across === 'model'))) continue;
    const keep = axis.tickvals.map((id) => !hidden(id));
    for (const key of ['tickvals', 'ticktext', 'categoryarray']) axis[key] = axis[key].filter((entry, at) => keep[at]);
  }
  if (layout.meta && layout.yaxis.range) layout.yaxis.range = [layout.yaxis.tickvals.length - 0.4, -0.6];
  if (layout.meta) layout.height = layout.meta.base + layout.meta.row * Math.max(1, layout.yaxis.tickvals.length);
  const ranges = traces.filter((trace) => trace.meta && trace.meta.range && trace.visible).map((trace) => trace.meta.range);
  if (ranges.length) layout.yaxis.range = [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
  return { data: traces, layout: themed(traces, layout) };
}

/** A trace without the points, rows or columns of hidden models; null where that is all of it. */
function filtered(trace) {
  const meta = trace.meta || {};
  if (meta.model) return shows([meta.model]) ? trace : null;
  if (meta.models) {
    const keep = meta.models.map((id) => shows([id]));
    const cut = (holder) => {
      for (const [key, value] of Object.entries(holder || {})) if (Array.isArray(value) && value.length === keep.length) holder[key] = value.filter((entry, at) => keep[at]);
    };
    [trace, trace.marker, trace.error_x, trace.error_y, trace.meta].forEach(cut);
    return trace.x.length ? trace : null;
  }
  if (meta.rows) {
    const down = meta.rows.map((id) => shows([id])), across = meta.columns.map((id) => meta.across !== 'model' || shows([id]));
    for (const key of ['z', 'text', 'customdata']) trace[key] = trace[key].filter((row, at) => down[at]).map((row) => row.filter((cell, at) => across[at]));
    trace.y = trace.y.filter((id, at) => down[at]);
    trace.x = trace.x.filter((id, at) => across[at]);
    return trace.y.length && trace.x.length ? trace : null;
  }
  return trace;
}

function themed(traces, layout) {
  const ink = colour('--lb-muted'), line = colour('--lb-line');
  layout.font = { ...layout.font, color: ink, family: getComputedStyle(root).fontFamily };
  for (const [key, axis] of Object.entries(layout)) if (/^[xy]axis/.test(key)) Object.assign(axis, { gridcolor: line, linecolor: line });
  for (const trace of traces) if (trace.textfont && trace.textfont.color === MIDTONE) trace.textfont.color = ink;
  if (document.documentElement.clientWidth < 640) {
    if (layout.margin.r > 60) layout.margin.r = 84;
    if (layout.xaxis && layout.xaxis.tickangle === -45) layout.xaxis.tickangle = -90;
    if (layout.yaxis && layout.yaxis.ticktext) layout.yaxis.ticktext = layout.yaxis.ticktext.map(shortened);
    for (const trace of traces) if (trace.meta && trace.meta.first) trace.text = trace.text.map((text, at) => (trace.meta.first[at] ? text : ''));
  }
  return layout;
}

/** A row's label on a phone: its first letters, and its number where it has one. Escaped signs are left whole. */
function shortened(label) {
  const [, name, number] = label.match(/^(.*?)(  \d+)?$/);
  return (name.length > 18 && !name.includes('&') ? `${name.slice(0, 17)}…` : name) + (number || '');
}

/** The figure as a PNG file, on the theme's background, with its title: 1200 points wide at twice the resolution. */
async function picture(block, on) {
  const Plotly = await plotly(), shown = toDraw(block.figure, on);
  if (!shown) return;
  const { data, layout } = shown;
  const [votes] = state.head.facts, plain = (words) => words.replace(/[<>&]/g, '');
  const text = `${plain(block.title)}<br><span style="font-size:13px">${plain(`${document.title}: ${votes[1]} ${votes[0]}. ${state.head.last}`)}</span>`;
  Object.assign(layout, { paper_bgcolor: colour('--lb-surface'), plot_bgcolor: colour('--lb-surface'), autosize: false, width: 1200, height: layout.height + 84,
    margin: { ...layout.margin, t: layout.margin.t + 76, l: 24, b: 24 },
    title: { text, x: 0.02, y: 1, yref: 'container', yanchor: 'top', pad: { t: 32 }, font: { size: 20, color: colour('--lb-ink') } } });
  layout.showlegend = data.some((trace) => trace.meta && trace.meta.label);
  for (const trace of data) trace.showlegend = Boolean(trace.meta && trace.meta.label);
  const url = await Plotly.toImage({ data, layout }, { format: 'png', width: 1200, height: layout.height, scale: 2 });
  save(`${block.name}.png`, 'image/png', Uint8Array.from(atob(url.split(',')[1]), (byte) => byte.charCodeAt(0)));
}
