/* Puts the row of an error message, or the section of a class of error, first in a search.
 *
 * A query may be the beginning of a message, the whole of it, or lines of a traceback around it:
 * values in it are the reader's own. MESSAGES is generated; a message's values are "…" there.
 */
"use strict";
(() => {
  const FEW_WORDS = 3;
  const SHOWN = 3;
  const RANKS = [
    [/^errors\//, -12],
    [/^decisions\//, -4],
    [/^reference\//, -2],
    [/^(how-to|tutorial|troubleshooting)/, 2],
  ];

  const words = (text) =>
    ` ${text.toLowerCase().replace(/[^\p{Letter}\p{Number}_]+/gu, " ").trim()} `;

  const messages = MESSAGES.messages.map(([text, page, anchor, kinds]) => ({
    text,
    page,
    anchor,
    kinds,
    parts: text.split("…").map(words).filter((part) => part.trim()),
  }));

  /* How many characters of these parts the query has, in order; the query may end early. */
  const inOrder = (query, lastWord, parts) => {
    let found = 0;
    let place = 0;
    for (const part of parts) {
      const next = query.indexOf(part, place);
      if (next >= 0) {
        found += part.length - 2;
        place = next + part.length - 1;
        continue;
      }
      if (!part.includes(lastWord)) return found;
      let end = part.lastIndexOf(" ", part.length - 2);
      for (; end > 0; end = part.lastIndexOf(" ", end - 1)) {
        const start = part.slice(0, end + 1);
        if (query.endsWith(start) && query.length - start.length >= place - 1) {
          return found + start.length - 2;
        }
      }
      return found;
    }
    return found;
  };

  /* The same for a message, of which the query may have the end only, or the inside of a part. */
  const match = (query, lastWord, parts) => {
    const counts = parts.map((_, first) => inOrder(query, lastWord, parts.slice(first)) - first);
    const inside = parts.some((part) => part.includes(query)) ? query.length - 3 : 0;
    return Math.max(...counts, inside);
  };

  const found = (query) => {
    const text = words(query);
    const lastWord = text.slice(text.lastIndexOf(" ", text.length - 2));
    const hits = [];
    for (const message of messages) {
      const count = match(text, lastWord, message.parts);
      const length = message.parts.reduce((sum, part) => sum + part.length - 2, 0);
      const isWhole = count === length;
      const isBeginning = count >= (text.length - 2) * 0.6;
      const isLong = text.trim().split(" ").length >= FEW_WORDS;
      if (count > 0 && isLong && (isWhole || isBeginning)) {
        const named = message.kinds.some((kind) => text.includes(` ${kind.toLowerCase()} `));
        hits.push([count + (named ? 0.5 : 0), length, message]);
      }
    }
    hits.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    return hits.slice(0, SHOWN).map(([, , { text: title, page, anchor, kinds }]) => {
      const [path, description] = MESSAGES.pages[page];
      return [path, `${title} (${kinds.join(", ")})`, `#${anchor}`, description, 1000, `${path}.md`, "title"];
    });
  };

  const classes = (query) => {
    const text = words(query);
    return MESSAGES.classes
      .filter((name) => text.includes(` ${name.toLowerCase()} `))
      .map((name) => [
        "troubleshooting", name, `#${name.toLowerCase()}`, "Troubleshooting", 999, "troubleshooting.md", "title",
      ]);
  };

  Scorer.score = ([path, , , , score]) =>
    score + RANKS.reduce((sum, [folder, rank]) => sum + (folder.test(path) ? rank : 0), 0);

  Search.findMessages = found;
  const usual = Search._performSearch;
  Search._performSearch = (query, ...others) => {
    const first = [...found(query), ...classes(query)];
    const isFirst = (item) => first.some(([path, , anchor]) => path === item[0] && anchor === item[2]);
    // The page shows the last result first.
    return [...usual(query, ...others).filter((item) => !isFirst(item)), ...first.reverse()];
  };
})();
