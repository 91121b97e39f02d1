"""Colours of pages, figures and widgets as CSS variables, from a colour-blind safe palette.

Sources of formulas also differ by marker, so that no figure relies on colour alone.
"""

LIGHT = """\
--paper: #fbfaf7; --card: #ffffff; --ink: #1c2430; --muted: #667085; --grid: #e6e4de;
  --accent: #c2410c; --train: #2f6fdb; --test: #b4369b;
  --backbone: #2f6fdb; --ascent: #d97706; --edit: #0f8a6d; --shorten: #8b4fd6;
  --family: #0e8fb3;
  --library: #b3368f;
  --constant: #8a8f98;"""
DARK = """\
--paper: #14171c; --card: #1c2027; --ink: #e8eaee; --muted: #98a2b3; --grid: #2d333d;
  --accent: #fb8c4e; --train: #74a7ff; --test: #ef86d9;
  --backbone: #74a7ff; --ascent: #f5b254; --edit: #46cfa8; --shorten: #bd96f5;
  --family: #5cc9e8;
  --library: #e88fd0;
  --constant: #8a919d;"""

#: Style of a whole page, which follows the reader's system preference.
COLOURS = f"""\
:root {{
  {LIGHT}
}}
@media (prefers-color-scheme: dark) {{
  :root {{
  {DARK}
  }}
}}
"""
