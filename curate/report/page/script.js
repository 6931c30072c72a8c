"use strict";
// The page reads well without this: it makes the funnel's choices, the bounds and the matrix of correlations live.
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const count = (value) => Math.round(value).toLocaleString("en-US");
const signed = (value) => (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + count(Math.abs(value));
const percent = (part, whole) => `${((100 * part) / (whole || 1)).toFixed(1)}%`;
const short = (value) => String(Number(value.toPrecision(6)));

function funnel() {
  const flow = document.querySelector(".flow");
  if (!flow) return;
  const group = document.getElementById("group");
  const draw = () => {
    const unit = Number(document.querySelector("input[name=unit]:checked").value);
    const figure = (value) => (unit === 1 ? (value / 1e6).toLocaleString("en-US", { maximumFractionDigits: 2 }) + " MB" : count(value));
    const lost = data.funnel[group.value].lost.map((row) => row[unit]);
    let left = lost[0];
    all("li", flow).forEach((row, at) => {
      const end = at === 0 || at === lost.length - 1;
      const before = left;
      if (!end) left -= lost[at];
      row.style.setProperty("--a", (100 * before) / (lost[0] || 1));
      row.style.setProperty("--b", (100 * left) / (lost[0] || 1));
      row.querySelector(".lost").textContent = end || !lost[at] ? "" : "\u2212" + figure(lost[at]);
      row.querySelector(".left").textContent = figure(left) + (at ? ` (${percent(left, lost[0])})` : "");
    });
  };
  group.addEventListener("change", draw);
  all("input[name=unit]").forEach((choice) => choice.addEventListener("change", draw));
  document.querySelector(".choose").hidden = false;
  draw();
}

function unpacked(text, make) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return make ? new make(bytes.buffer) : bytes;
}

function bounds() {
  const inputs = all("input[data-side]");
  if (!inputs.length) return;
  const sides = inputs.map((input) => ({ input, rule: Number(input.dataset.rule), side: input.dataset.side }));
  const about = (it) => data.sliders[it.rule].sides[it.side];
  const some = data.sample;
  const lost = unpacked(some.lost), words = unpacked(some.words, Uint32Array), bytes = unpacked(some.bounds);
  const ratio = some.all / (some.documents || 1);

  const together = () => {
    // Of the sample: documents that nothing else drops, and that pass every bound as it stands now.
    let kept = 0, held = 0;
    const stops = sides.map((it) => Number(it.input.value));
    for (let row = 0; row < some.documents; row += 1) {
      let passes = !lost[row];
      for (let at = 0; passes && at < sides.length; at += 1) {
        const limit = bytes[at * some.documents + row];
        passes = sides[at].side === "min" ? stops[at] < limit : stops[at] >= limit;
      }
      if (passes) { kept += 1; held += words[row]; }
    }
    const part = kept / (some.documents || 1);
    return { documents: kept * ratio, words: held * ratio, error: ratio > 1 ? 1.96 * Math.sqrt((part * (1 - part)) / some.documents) * some.all : 0 };
  };

  const outcome = (moved) => {
    if (!moved.length) return { documents: data.kept[0], words: data.kept[1], error: 0 };
    if (moved.length > 1) return together();
    const [documents, , held] = about(moved[0]).counts.map((row) => row[Number(moved[0].input.value)]);
    return { documents, words: held, error: 0 };
  };

  const part = document.getElementById("part");
  const draw = () => {
    const of = part ? Number(part.value) : 0;
    const moved = sides.filter((it) => Number(it.input.value) !== about(it).now);
    sides.forEach((it) => {
      const stop = Number(it.input.value), stops = data.sliders[it.rule].stops;
      const counts = of ? about(it).parts[of - 1] : about(it).counts;
      const at = (100 * stop) / (stops.length - 1), card = it.input.closest("figure");
      all(`.refused.${it.side}, .bound.${it.side}`, card).forEach((mark) => mark.style.setProperty("--at", at));
      it.input.closest(".slide").classList.toggle("moved", moved.includes(it));
      it.input.closest(".slide").querySelector(".value").textContent = short(stops[stop]);
      const change = counts[0][stop] - counts[0][about(it).now];
      const text = `${count(counts[0][stop])} kept${change ? ` (${signed(change)})` : ""}`;
      it.input.closest(".slide").querySelector("output").textContent = `${text} \u00b7 ${count(counts[1][stop])} alone`;
      it.input.setAttribute("aria-valuetext", `${short(stops[stop])}: ${text}`);
    });
    const now = outcome(moved), box = document.querySelector(".outcome");
    const about_ = now.error ? ` \u00b1 ${count(now.error)}` : "";
    box.querySelector("strong").textContent = `${count(now.documents)}${about_} of ${count(data.funnel[0].lost[0][0])} documents kept`;
    box.querySelector(".change").textContent = moved.length
      ? `${signed(now.documents - data.kept[0])} documents, ${signed(now.words - data.kept[1])} words`
      : "as the recipe has it: move a bound";
    box.querySelector("button").hidden = box.querySelector("pre").hidden = !moved.length;
    const flags = moved.map((it) => `--set ${data.paths[it.rule]}.${it.side}=${data.sliders[it.rule].stops[Number(it.input.value)]}`);
    box.querySelector("code").textContent = `curate run recipe.yaml --output NEW ${flags.join(" ")}`;
  };
  inputs.forEach((input) => input.addEventListener("input", draw));
  if (part) part.addEventListener("change", draw);
  document.querySelector(".outcome button").addEventListener("click", () => {
    sides.forEach((it) => { it.input.value = about(it).now; });
    draw();
    inputs[0].focus();
  });
  all(".slide, .outcome, .part").forEach((it) => { it.hidden = false; });
  draw();
}

function correlations() {
  const picture = document.querySelector(".corr svg");
  if (!picture) return;
  const said = document.querySelector(".corr output");
  picture.addEventListener("pointerover", (event) => {
    const at = event.target.dataset && event.target.dataset.at;
    if (!at) return;
    const [row, column] = at.split(" ").map(Number), value = data.related.values[row][column];
    said.textContent = `${data.related.names[row]} and ${data.related.names[column]}: ${value === null ? "too few documents have both" : value.toFixed(2)}`;
  });
}

// In a notebook the page is a frame: it is as high as what it holds.
function fit() {
  const frame = window.frameElement;
  if (frame) new ResizeObserver(() => { frame.style.height = `${document.documentElement.offsetHeight + 4}px`; }).observe(document.body);
}

funnel();
bounds();
correlations();
fit();
