/* Prints what the search of a built site answers to the queries on its input, as JSON.
 *
 * node site_search.js FOLDER: the scripts of the site's page of the search run unchanged, in the
 * order of that page; only the page itself is missing. `pages` are searched as a reader does, and
 * `messages` among the messages only, which come first.
 */
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = process.argv[2];
const page = fs.readFileSync(path.join(folder, "search.html"), "utf-8");
const scripts = [...page.matchAll(/<script( defer="defer")? src="([^"?]+)/g)];
const isNeeded = /search|language_data|stemmer|messages/;
const names = [false, true]
  .flatMap((isLate) => scripts.filter((script) => Boolean(script[1]) === isLate))
  .map((script) => script[2])
  .filter((name) => isNeeded.test(name));

const element = { dataset: {}, addEventListener: () => {} };
const context = vm.createContext({
  document: {
    documentElement: element,
    body: element,
    getElementById: () => null,
    querySelectorAll: () => [],
  },
  SPHINX_HIGHLIGHT_ENABLED: false,
  DOCUMENTATION_OPTIONS: {},
  _ready: () => {},
});
context.window = context;
for (const name of names) {
  vm.runInContext(fs.readFileSync(path.join(folder, name), "utf-8"), context, { filename: name });
}
context.queries = JSON.parse(fs.readFileSync(0, "utf-8"));
const answers = vm.runInContext(
  `const places = (items) => items.slice(0, 3).map(([page, , anchor]) => page + anchor);
  ({
    pages: queries.pages.map((query) => places(Search._performSearch(...Search._parseQuery(query)).reverse())),
    messages: queries.messages.map((query) => places(Search.findMessages(query))),
  })`,
  context,
);
process.stdout.write(JSON.stringify(answers));
