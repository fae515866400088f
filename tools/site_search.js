/* Puts the row of an error message, or the section of a class of error, first in a search.
 *
 * A query may be the beginning of a message, the whole of it, or lines of a traceback around it:
 * values in it are the reader's own. MESSAGES is generated; a message's values are "…" there.
 */
"use strict";
(() => {
  const FEW_WORDS = 3;
  const MANY_WORDS = 5;
  const MANY_CHARACTERS = 16;
  const SHOWN = 3;
  const MOST_PAGES = 40;
  const IN_TITLE = 4;
  const IN_HEADING = 2;
  /* By the stem of a reader's word, the stem of ours. */
  const SYNONYMS = { die: "crash", swap: "chang" };
  const RANKS = [
    [/^errors\//, -8],
    [/^decisions\//, -5],
    [/^reference\//, -2],
    [/^vendors\//, -1],
    [/^(how-to|tutorial|troubleshooting)/, 1],
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
    const counts = parts.map((_, first) => inOrder(query, lastWord, parts.slice(first)) - first / 2);
    const isLong = query.split(" ").length > MANY_WORDS + 1;
    const inside = isLong && parts.some((part) => part.includes(query)) ? query.length - 3 : 0;
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
      const share = count / (text.length - 2);
      const isBeginning = share >= (count < MANY_CHARACTERS ? 0.8 : 0.6);
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

  /* Sphinx takes the best word of a query only, and needs all of them on a page. Here a page counts
   * all words that it has: rare ones more, and those of its title and its headings more again. */
  Search.performTermsSearch = (searchTerms, excludedTerms) => {
    const { terms, titleterms, docnames, filenames, titles } = Search._index;
    const stemmer = new Stemmer();
    const has = (table, word) => {
      const found = Object.hasOwn(table, word) ? table[word] : [];
      return Array.isArray(found) ? found : [found];
    };
    const stemmed = (text) => new Set(splitQuery(text.toLowerCase()).map((word) => stemmer.stemWord(word)));
    const titleWords = titles.map(stemmed);
    const excluded = new Set([...excludedTerms].flatMap((word) => has(terms, word)));
    const scores = new Map();
    let best = 0;
    for (const term of searchTerms) {
      const word = SYNONYMS[term] ?? term;
      const inText = new Set([...has(terms, word), ...has(titleterms, word)]);
      const inHeadings = new Set(has(titleterms, word));
      const rarity = Math.log(1 + titles.length / (1 + inText.size));
      best += rarity * IN_TITLE;
      for (const file of inText) {
        const part = titleWords[file].has(word) ? IN_TITLE : inHeadings.has(file) ? IN_HEADING : 1;
        scores.set(file, (scores.get(file) ?? 0) + rarity * part);
      }
    }
    return [...scores]
      .filter(([file]) => !excluded.has(file))
      .sort((a, b) => b[1] - a[1])
      .slice(0, MOST_PAGES)
      .map(([file, score]) => [
        docnames[file], titles[file], "", null, (Scorer.title * score) / best, filenames[file], "text",
      ]);
  };

  Search.findMessages = found;
  const usual = Search._performSearch;
  Search._performSearch = (query, ...others) => {
    const first = [...found(query), ...classes(query)];
    const isFirst = (item) => first.some(([path, , anchor]) => path === item[0] && anchor === item[2]);
    // The page shows the last result first.
    return [...usual(query, ...others).filter((item) => !isFirst(item)), ...first.reverse()];
  };
})();
