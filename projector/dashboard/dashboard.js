// The dashboard: reads /status and /samples once a second and the view that is shown every other
// second; with the slider, /views/NAME?at=…. It changes nothing, here or there.
"use strict";

const SAMPLES_SHOWN = 600, ROWS_SHOWN = 50, KEYS_SHOWN = 5, FULLEST_EVERY_MS = 5000, SLIDER_STEPS = 1000;
const TABS_EVERY = 2; // beats
const $ = (id) => document.getElementById(id);
const state = { samples: [], tabs: null, view: null, first: null, last: null, at: null, status: null, asked: 0 };

// ---- numbers and words --------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const number = (value) => whole.format(Math.round(value));

function micros(us) { // [text, unit]
  if (!us) return ["–", "ms"];
  return us < 1000 ? [us.toFixed(0), "µs"] : us < 1e6 ? [(us / 1000).toFixed(us < 1e4 ? 2 : 1), "ms"] : [(us / 1e6).toFixed(2), "s"];
}

function duration(ns) {
  for (const [unit, size] of [["d", 864e11], ["h", 36e11], ["m", 6e10], ["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (ns >= size && ns % size === 0) return `${ns / size} ${unit}`;
  }
  return `${ns} ns`;
}

const two = (value) => String(value).padStart(2, "0");
function clock(ms) {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
function moment(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ms)}`;
}

// Nanoseconds since the epoch, a BigInt, as RFC 3339.
function rfc3339(ns) {
  const second = ns / 1000000000n, rest = ns % 1000000000n;
  return `${new Date(Number(second) * 1000).toISOString().slice(0, 19)}.${String(rest).padStart(9, "0")}Z`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

async function get(path) {
  const reply = await fetch(path);
  const body = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(body.error || reply.statusText), { code: reply.status });
  return body;
}

// ---- charts -------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = {};

function chartOptions(unit) {
  return {
    animation: false, maintainAspectRatio: false, parsing: false, normalized: true,
    interaction: { mode: "index", intersect: false },
    elements: { point: { radius: 0, hitRadius: 8 }, line: { borderWidth: 1.75, tension: 0.25 } },
    scales: {
      x: {
        type: "linear", grid: { display: false },
        ticks: { maxTicksLimit: 5, maxRotation: 0, callback(value) { return clock(value).slice(0, this.max - this.min < 300000 ? 8 : 5); } },
      },
      y: { beginAtZero: true, suggestedMax: 1, border: { display: false }, ticks: { maxTicksLimit: 5 } },
    },
    plugins: {
      legend: { align: "end", labels: { boxWidth: 10, boxHeight: 2, padding: 12 } },
      tooltip: {
        callbacks: {
          title: (items) => (items.length ? clock(items[0].parsed.x) : ""),
          label: (item) => ` ${item.dataset.label} ${item.parsed.y.toFixed(unit === "ms" ? 2 : 0)} ${unit}`,
        },
      },
    },
  };
}

function line(label, name, fill) {
  return { label, data: [], name, fill: fill ? "origin" : false, spanGaps: false };
}

function paint() {
  Chart.defaults.color = colour("--soft");
  Chart.defaults.borderColor = colour("--line");
  Chart.defaults.font.family = getComputedStyle(document.documentElement).fontFamily;
  Chart.defaults.font.size = 12;
  for (const chart of Object.values(charts)) {
    for (const set of chart.data.datasets) {
      set.borderColor = colour(set.name);
      set.backgroundColor = `${colour(set.name)}1f`;
    }
    for (const scale of Object.values(chart.options.scales)) scale.ticks.color = colour("--soft");
    chart.options.scales.y.grid = { color: colour("--line"), drawBorder: false };
    chart.options.scales.x.grid = { display: false, borderColor: colour("--line") };
    chart.options.plugins.legend.labels.color = colour("--soft");
    chart.update("none");
  }
}

function makeCharts() {
  const make = (id, unit, datasets) => new Chart($(id), { type: "line", data: { datasets }, options: chartOptions(unit) });
  charts.rates = make("rates", "/s", [line("accepted", "--accept", true), line("refused", "--refuse", true)]);
  charts.latency = make("latency", "ms", [line("median", "--accept", false), line("99th percentile", "--second", false)]);
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
}

const sum = (map) => Object.values(map).reduce((total, value) => total + value, 0);

function drawCharts() {
  const points = (value) => state.samples.map((sample) => ({ x: Number(BigInt(sample.time) / 1000000n), y: value(sample) }));
  const set = (chart, index, value) => { chart.data.datasets[index].data = points(value); };
  set(charts.rates, 0, (sample) => (sample.processor_up ? sample.accepted_per_s : null));
  set(charts.rates, 1, (sample) => (sample.processor_up ? sum(sample.refused_per_s) : null));
  set(charts.latency, 0, (sample) => (sample.p50_us ? sample.p50_us / 1000 : null));
  set(charts.latency, 1, (sample) => (sample.p99_us ? sample.p99_us / 1000 : null));
  for (const chart of Object.values(charts)) chart.update("none");
}

// ---- what is so now -----------------------------------------------------------------------------

function showState(className, text, notice) {
  $("state").className = `state ${className}`;
  put("state-text", text);
  $("notice").hidden = !notice;
  put("notice", notice || "");
}

function showHealth(status) {
  const problems = status.processor ? status.processor.problems : [];
  if (!status.processor_up) {
    showState("bad", "Processor away", "The processor does not answer. The views below are as of the last event that came.");
  } else if (!status.projector.live) {
    showState("warn", "Catching up", "");
  } else if (problems.length) {
    showState("warn", "Problem", `The processor reports: ${problems.join(", ")}.`);
  } else {
    showState("ok", "Live", "");
  }
}

const REASONS = ["rate_limited", "invalid", "too_large", "unavailable", "malformed", "unauthorized"];

function showReasons(processor, sample) {
  const rows = Object.entries(processor.refused).filter(([reason, events]) => REASONS.includes(reason) && Number(events) > 0);
  const body = $("reasons").tBodies[0];
  const made = rows.sort((a, b) => b[1] - a[1]).map(([reason, events]) => {
    const row = element("tr");
    const rate = sample ? sample.refused_per_s[reason] || 0 : 0;
    row.append(element("td", reason), element("td", number(events), "n"), element("td", rate.toFixed(1), "n"));
    row.dataset.reason = reason;
    return row;
  });
  if (made.length) body.replaceChildren(...made);
}

function showTiles(status, sample) {
  const { projector, processor } = status;
  const known = status.processor_up && sample;
  put("name", projector.name);
  put("version", `version ${projector.version}`);
  put("accepted-rate", known ? number(sample.accepted_per_s) : "–");
  put("refused-rate", known ? number(sum(sample.refused_per_s)) : "–");
  put("lag", number(projector.lag));
  put("replays", number(projector.replays));
  if (processor) {
    put("accepted-total", number(processor.last_event_id));
    put("refused-total", number(REASONS.reduce((total, reason) => total + Number(processor.refused[reason] || 0), 0)));
    showReasons(processor, sample);
  }
  const recent = state.samples.findLast((each) => each.p50_us);
  const [p50, unit] = micros(recent && recent.p50_us);
  put("p50", p50);
  put("p50-unit", unit);
  put("p99", micros(recent && recent.p99_us).join(" "));
}

// ---- the fullest keys ---------------------------------------------------------------------------

// Used in the window that ends at `end` = accepted now − accepted one window before, both by the
// `limits` view: nothing in it is newer than `end`, so this is never more than the quota.
async function used(policy, now) {
  const events = BigInt(now.time), clock = BigInt(state.status.processor.now);
  const end = events > clock ? events : clock;
  const at = events > 0n ? end - BigInt(policy.window) : 0n;
  const before = new Map();
  const then = await get(`/views/limits?at=${encodeURIComponent(rfc3339(at > 0n ? at : 0n))}`);
  for (const row of then.rows) if (row.policy === policy.name) before.set(row.key, Number(row.accepted));
  return now.rows.filter((row) => row.policy === policy.name)
    .map((row) => ({ key: row.key, used: Number(row.accepted) - (before.get(row.key) || 0), refused: Number(row.refused) }));
}

function keyRow(policy, row) {
  const made = element("div", undefined, "key");
  const meter = element("meter");
  Object.assign(meter, { min: 0, max: policy.quota, low: policy.quota * 0.7, high: policy.quota * 0.95, optimum: 0, value: row.used });
  meter.setAttribute("aria-label", `${row.key}: ${row.used} of ${policy.quota}`);
  made.append(element("span", row.key), meter, element("span", `${number(row.used)} of ${number(policy.quota)}`, "n"));
  return made;
}

async function showFullest() {
  const policies = state.status && state.status.processor ? state.status.processor.policies : [];
  const now = policies.length ? await get("/views/limits") : null;
  const made = [];
  for (const policy of policies.slice(0, 4)) {
    const block = element("div", undefined, "policy");
    const head = element("h3", policy.name);
    head.append(element("span", `${number(policy.quota)} per ${duration(Number(policy.window))} and ${policy.key}`));
    block.append(head);
    const rows = await used(policy, now);
    rows.sort((a, b) => b.used - a.used || b.refused - a.refused);
    if (!rows.length) block.append(element("p", "No key yet", "empty"));
    block.append(...rows.slice(0, KEYS_SHOWN).map((row) => keyRow(policy, row)));
    made.push(block);
  }
  if (made.length) $("fullest").replaceChildren(...made);
}

// ---- views and the slider -----------------------------------------------------------------------

function cell(column, value) {
  if (value === null) return element("td", "–");
  if (column.endsWith("_at")) return element("td", moment(Number(BigInt(value) / 1000000n)));
  if (typeof value === "number") return element("td", whole.format(value), "n");
  return element("td", String(value));
}

function table(rows) {
  const made = element("table"), head = element("tr"), body = element("tbody");
  const columns = Object.keys(rows[0]);
  for (const column of columns) {
    const name = element("th", column.replaceAll("_", " "), typeof rows[0][column] === "number" ? "n" : "");
    name.scope = "col";
    head.append(name);
  }
  made.append(element("thead"), body);
  made.tHead.append(head);
  for (const row of rows) {
    const line = element("tr");
    line.append(...columns.map((column) => cell(column, row[column])));
    body.append(line);
  }
  return made;
}

function showView(view) {
  const panel = $("panel");
  panel.classList.toggle("then", state.at !== null);
  panel.dataset.view = view.view;
  panel.dataset.event = view.event_id;
  panel.dataset.digest = view.digest;
  const nothing = view.event_id === "0" ? "There was no state yet: this is before the first event" : "No rows";
  panel.replaceChildren(view.rows.length ? table(view.rows) : element("p", nothing, "empty"));
  const time = view.time === "0" ? "" : `, ${moment(Number(BigInt(view.time) / 1000000n))}`;
  put("position", `event ${whole.format(BigInt(view.event_id))}${time}`);
  put("more", view.next ? `The first ${ROWS_SHOWN} rows; all of them at /views/${view.view}` : "\u00a0");
}

async function refreshView() {
  if (!state.view) return;
  const ticket = ++state.asked;
  const at = state.at === null ? "" : `&at=${encodeURIComponent(rfc3339(state.at))}`;
  try {
    const view = await get(`/views/${encodeURIComponent(state.view)}?limit=${ROWS_SHOWN}${at}`);
    if (ticket === state.asked) showView({ ...view, rows: view.rows.slice(0, ROWS_SHOWN) });
  } catch (error) {
    if (ticket === state.asked) $("panel").replaceChildren(element("p", error.message, "empty"));
  }
}

function choose(name) {
  state.view = name;
  for (const tab of $("tabs").children) {
    const chosen = tab.dataset.view === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen) $("panel").setAttribute("aria-labelledby", tab.id);
  }
  refreshView();
}

function moveTab(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = [...$("tabs").children];
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  next.focus();
  choose(next.dataset.view);
}

function makeTab(name, problem) {
  const tab = element("button", name.replaceAll("_", " "), problem ? "parked" : "");
  Object.assign(tab, { type: "button", id: `tab-${name}`, title: problem || "" });
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", "panel");
  tab.dataset.view = name;
  tab.addEventListener("click", () => choose(name));
  return tab;
}

// Views in SQL come, go and are parked while the page is open.
async function showTabs() {
  const found = await get("/views"), problems = found.problems || {};
  const shown = JSON.stringify(found);
  if (shown === state.tabs) return;
  const hadFocus = $("tabs").contains(document.activeElement);
  state.tabs = shown;
  $("tabs").replaceChildren(...found.views.map((name) => makeTab(name, problems[name])));
  const wanted = found.views.includes(state.view) ? state.view : "limits";
  const chosen = $("tabs").querySelector(`[data-view=${wanted}]`) || $("tabs").firstChild;
  if (chosen) choose(chosen.dataset.view);
  if (chosen && hadFocus) chosen.focus();
}

function slide() {
  const place = Number($("slider").value);
  const isNow = place === SLIDER_STEPS || state.first === null;
  state.at = isNow ? null : state.first + ((state.last - state.first) * BigInt(place)) / BigInt(SLIDER_STEPS);
  put("when", isNow ? "now" : moment(Number(state.at / 1000000n)));
  $("slider").setAttribute("aria-valuetext", $("when").textContent);
  $("now").disabled = isNow;
  clearTimeout(slide.timer);
  slide.timer = setTimeout(refreshView, 120);
}

// The slider reaches from the first event to the last one; while it stands back it keeps its ends.
async function findEnds(projector) {
  if (state.first === null && projector.event_id !== "0") {
    const { events } = await get("/events?limit=1");
    if (events.length) state.first = BigInt(Date.parse(events[0].acceptedat)) * 1000000n;
  }
  if (state.at === null) state.last = BigInt(projector.time);
}

// ---- the beat -----------------------------------------------------------------------------------

async function beat(count) {
  const newest = state.samples.length ? state.samples[state.samples.length - 1].number : 0;
  const status = await get("/status");
  const restarted = status.projector.last_sample < newest;
  const { samples } = await get(`/samples?after=${restarted ? 0 : newest}`);
  state.status = status;
  state.samples = [...(restarted ? [] : state.samples), ...samples].slice(-SAMPLES_SHOWN);
  showHealth(status);
  showTiles(status, state.samples[state.samples.length - 1]);
  drawCharts();
  await findEnds(status.projector);
  if (state.at === null && count % 2 === 0) await refreshView();
}

async function run() {
  makeCharts();
  $("slider").addEventListener("input", slide);
  $("tabs").addEventListener("keydown", moveTab);
  $("now").addEventListener("click", () => { $("slider").value = SLIDER_STEPS; slide(); $("slider").focus(); });
  let fullestAt = 0;
  for (let count = 0; ; count++) {
    if (!document.hidden) {
      try {
        await beat(count);
        if (count % TABS_EVERY === 0) await showTabs();
        if (Date.now() - fullestAt > FULLEST_EVERY_MS) {
          fullestAt = Date.now();
          showFullest().catch(() => {});
        }
      } catch (error) {
        showState("bad", "Projector away", "This projector does not answer; the page tries again.");
      }
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

run();
