"""The style of every page: light and dark, from a phone to a wide screen."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --back: #f6f7f9; --paper: #fff; --text: #1b2430;
  --soft: #566171; --line: #d5dae1; --link: #0b5cad; --good: #1a7040; --warn: #8a5300;
  --bad: #b3261e; --good-back: #e3f4e9; --warn-back: #fdf0d9; --bad-back: #fde7e5; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --paper: #1b212a; --text: #e6eaf0;
  --soft: #a3aebd; --line: #353e4b; --link: #7db8f5; --good: #7fd6a0; --warn: #f2c06b;
  --bad: #ff9b93; --good-back: #163425; --warn-back: #3b2c10; --bad-back: #43201d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; padding: .5rem 1rem; background: var(--paper); }
.skip:focus { left: .5rem; top: .5rem; z-index: 1; }
header { background: var(--paper); border-bottom: 1px solid var(--line); }
.bar, main, footer { max-width: 76rem; margin: 0 auto; padding: .75rem 1rem; }
.bar { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline; }
.bar strong { margin-right: .5rem; }
.bar .who { margin-left: auto; color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: .1rem .9rem; }
nav a { display: inline-block; padding: .35rem 0; text-decoration: none; }
nav a[aria-current] { color: var(--text); font-weight: 600; box-shadow: 0 2px 0 var(--link); }
h1 { font-size: 1.5rem; margin: .75rem 0; line-height: 1.25; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; margin: 0 0 1rem; }
p { margin: .4rem 0; max-width: 46rem; }
.soft { color: var(--soft); }
.notice { border-left: .35rem solid; border-radius: .25rem; padding: .6rem 1rem; margin: 0 0 1rem; }
.notice.good { background: var(--good-back); border-color: var(--good); }
.notice.warn { background: var(--warn-back); border-color: var(--warn); }
.notice.bad { background: var(--bad-back); border-color: var(--bad); }
.mark { display: inline-block; padding: 0 .5rem; border-radius: 1rem; font-size: .9rem;
  font-weight: 600; white-space: nowrap; justify-self: start; }
.mark.good { color: var(--good); background: var(--good-back); }
.mark.warn { color: var(--warn); background: var(--warn-back); }
.mark.bad { color: var(--bad); background: var(--bad-back); }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { padding: .4rem .75rem .4rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; }
thead th { color: var(--soft); font-weight: 400; font-size: .9rem; white-space: nowrap; }
tr:last-child > * { border-bottom: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
ul { margin: 0; padding-left: 1.2rem; }
.todo { list-style: none; padding: 0; }
.todo li { padding: .45rem 0; border-bottom: 1px solid var(--line); }
.todo li:last-child { border-bottom: 0; }
code, pre { font: .92em ui-monospace, monospace; }
pre { overflow: auto; max-height: 24rem; white-space: pre-wrap; overflow-wrap: anywhere; }
form.filter { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: 0 0 1rem; }
label { display: block; font-size: .9rem; color: var(--soft); }
label input, label select { display: block; margin-top: .1rem; }
input, select, button, .button { font: inherit; color: var(--text); }
input, select { background: var(--back); border: 1px solid var(--soft);
  border-radius: .35rem; padding: .35rem .5rem; max-width: 100%; }
form.filter input, form.filter select { width: 11rem; }
.field input { width: 46rem; }
button, .button { display: inline-block; border: 1px solid var(--soft); border-radius: .35rem;
  background: var(--paper); padding: .4rem .9rem; text-decoration: none; cursor: pointer; }
button:hover, .button:hover { border-color: var(--link); }
.main { background: var(--link); border-color: var(--link); color: var(--paper); }
.acts { display: flex; flex-wrap: wrap; gap: .6rem; margin: .8rem 0 0; }
.field { margin: .8rem 0; }
svg { width: 100%; height: auto; }
svg .calls { fill: var(--good); }
svg .failed { fill: var(--bad); }
svg .grid { stroke: var(--line); }
svg path { fill: none; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
svg .p50 { stroke: var(--good); }
svg .p95 { stroke: var(--warn); stroke-dasharray: 7 3; }
svg .p99 { stroke: var(--bad); stroke-dasharray: 2 3; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.legend b { border-bottom: 3px solid; }
.legend .p50 { border-color: var(--good); }
.legend .p95 { border-color: var(--warn); border-bottom-style: dashed; }
.legend .p99 { border-color: var(--bad); border-bottom-style: dotted; }
.plot { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .5rem; max-width: 100%; }
.plot svg { height: 10rem; }
.scale, .times { display: flex; justify-content: space-between; color: var(--soft);
  font-size: .9rem; }
.scale { flex-direction: column; text-align: right; line-height: 1; }
.times { grid-column: 2; }
summary { cursor: pointer; padding: .4rem 0; color: var(--link); }
footer { color: var(--soft); font-size: .9rem; }
@media (max-width: 46rem) {
  .bar .who { margin-left: 0; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, caption, tbody, tr, th, td { display: block; }
  tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  tbody tr:last-child { border-bottom: 0; }
  th, td { border: 0; padding: .1rem 0; }
  td[data-label] { display: grid; grid-template-columns: 7.5rem 1fr; gap: .5rem; }
  td[data-label]::before { content: attr(data-label); color: var(--soft); }
  td[data-label]:empty { display: none; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  button, .button { padding: .6rem 1rem; }
  .mark { white-space: normal; }
  form.filter > * { flex: 1 1 8rem; }
  form.filter input, form.filter select { width: 100%; }
}
"""
