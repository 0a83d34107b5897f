"""A report as one self-contained HTML page: `render.page` is the way in.

Pure: a report and the time in, text out. `text` makes hostile text harmless and visible, `words`
finds what changed inside a text, `objects`, `rows` and `numbers` shape the parts of a report for
`page.html`, which jinja2 fills; `page.css` and `page.js` go into the page as they are.
"""
