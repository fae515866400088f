// The body of a function that returns the defects of the page it runs on, as a list of sentences:
// contrast by WCAG 2.2 AA, names of controls and pictures, landmarks, ids, and foreign requests.
const defects = [];
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const context = canvas.getContext("2d", { willReadFrequently: true });

function rgba(colour) {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}

function over(upper, lower) {
  const alpha = upper[3];
  return [0, 1, 2].map((i) => upper[i] * alpha + lower[i] * (1 - alpha)).concat(1);
}

function luminance(colour) {
  const [red, green, blue] = colour.slice(0, 3).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

// The colour behind an element's text; null if a picture is behind it.
function background(element) {
  const layers = [];
  for (let item = element; item; item = item.parentElement) {
    const style = getComputedStyle(item);
    if (style.backgroundImage !== "none") return null;
    const layer = rgba(style.backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  const canvasColour = rgba("Canvas");
  return layers.reduceRight((lower, upper) => over(upper, lower), canvasColour);
}

function named(element) {
  const ids = (element.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
  const texts = [
    element.getAttribute("aria-label"),
    element.getAttribute("title"),
    ...ids.map((id) => document.getElementById(id)?.textContent),
    ...[...(element.labels || [])].map((label) => label.textContent),
    element.matches("input, select, textarea") ? "" : element.textContent,
    element.matches("input[type=submit], input[type=button]") ? element.value : "",
    ...[...element.querySelectorAll("img[alt]")].map((picture) => picture.alt),
  ];
  return texts.some((text) => text && text.trim());
}

function shown(element) {
  return element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
}

function brief(element) {
  return element.outerHTML.replace(/\s+/g, " ").slice(0, 120);
}

const seen = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || seen.has(element) || element.closest("script, style, svg")) continue;
  seen.add(element);
  if (!shown(element) || element.closest(":disabled, [aria-disabled=true]")) continue;
  const behind = background(element);
  if (behind === null) continue;
  const style = getComputedStyle(element);
  let opacity = 1;
  for (let item = element; item; item = item.parentElement) opacity *= getComputedStyle(item).opacity;
  const colour = rgba(style.color);
  const ratio = contrast(over([...colour.slice(0, 3), colour[3] * opacity], behind), behind);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) {
    defects.push(`contrast ${ratio.toFixed(2)}: ${brief(element)}`);
  }
}

for (const element of document.querySelectorAll("a[href], button, input, select, textarea, summary, iframe")) {
  if (element.type !== "hidden" && shown(element) && !named(element)) {
    defects.push(`no name: ${brief(element)}`);
  }
}
for (const picture of document.querySelectorAll("img:not([alt])")) defects.push(`no alt: ${brief(picture)}`);
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) defects.push(`id twice: ${id}`);
for (const [what, css] of [
  ["language", "html[lang]"],
  ["title", "title:not(:empty)"],
  ["main part", "main, [role=main]"],
  ["first heading", "h1"],
  ["width of the device", "meta[name=viewport][content*='width=device-width']"],
]) {
  if (!document.querySelector(css)) defects.push(`no ${what}`);
}
for (const entry of performance.getEntriesByType("resource")) {
  const url = new URL(entry.name);
  if (url.protocol !== "data:" && url.origin !== location.origin) defects.push(`foreign: ${url}`);
}
return defects;
