"""The look of the report: follows the light or dark setting of the reader's system, and prints well."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #fcfcfb; --text: #1c1f1d; --dim: #5b635e; --line: #d9dedb; --bar: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181a; --text: #e8ebe9; --dim: #a3aca7; --line: #343a3d; --bar: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 32px; }
h1 { margin: 0 0 16px; font-size: 30px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 40px 0 12px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 21px; }
h3 { margin: 24px 0 6px; font-size: 16px; }
small { margin-left: 8px; color: var(--dim); font-weight: normal; }
dl { display: flex; flex-wrap: wrap; gap: 12px 40px; margin: 0; }
dd { margin: 0; font-size: 21px; font-weight: 600; }
dt { color: var(--dim); font-size: 14px; }
dl > div { display: flex; flex-direction: column; }
.panels { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 16px; }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; border-radius: 4px; }
figcaption { margin-top: 4px; color: var(--dim); font-size: 14px; }
svg { width: 100%; max-width: 720px; height: auto; font-size: 12px; }
svg text { fill: var(--dim); }
svg line { stroke: var(--line); }
svg .bar { fill: var(--bar); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: 5px 16px 5px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: normal; }
td:nth-child(2) { font-variant-numeric: tabular-nums; }
details { margin-top: 20px; }
pre { padding: 12px; overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; font-size: 13px; }
main { padding-bottom: 64px; }
.files { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 24px 16px; }
.files figcaption { overflow-wrap: anywhere; }
.files b { display: block; color: var(--text); }
.failed { padding: 12px; border: 1px solid var(--line); border-left: 4px solid #d55e00; border-radius: 4px; }
@media (max-width: 700px) { .panels { grid-template-columns: 1fr; } }
@media print { h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""
