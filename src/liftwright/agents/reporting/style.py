"""The Typst style of the PDF report: fonts, colours, tables, cover and table of contents."""

STYLE = r"""
#let ink = rgb("#1f2933")
#let accent = rgb("#0b5394")
#let faint = rgb("#d9dee4")
#let warm = rgb("#b45309")
#let pale = rgb("#f4f6f8")

#set document(title: document-title, author: "Liftwright")
#set text(font: "Inter", size: 9.5pt, fill: ink, lang: "en", region: "GB", hyphenate: false)
#set par(leading: 0.62em, spacing: 0.9em)
#set page(
  paper: "a4",
  margin: (x: 19mm, top: 20mm, bottom: 20mm),
  footer: context {
    set text(size: 7.5pt, fill: luma(95))
    footer-text
    h(1fr)
    counter(page).display("1 / 1", both: true)
  },
)
#set list(indent: 0.3em, body-indent: 0.6em, spacing: 0.65em)
#set enum(indent: 0.3em, body-indent: 0.6em, spacing: 0.65em)
#show heading: set text(fill: accent, weight: 600)
#show heading.where(level: 1): it => block(above: 2em, below: 0.9em, sticky: true, {
  set text(size: 15pt)
  it.body
})
#show heading.where(level: 2): it => block(above: 1.5em, below: 0.75em, sticky: true, {
  set text(size: 11pt)
  it.body
})
#show strong: set text(weight: 600)
#show raw: set text(font: "DejaVu Sans Mono", size: 8.2pt)

#let callout(whole: true, tone: accent, body) = block(
  width: 100%,
  fill: tone.lighten(93%),
  stroke: (left: 2.5pt + tone),
  inset: (x: 10pt, y: 8pt),
  radius: (right: 2pt),
  breakable: not whole,
  body,
)
#let picture(data, alt, width) = align(center, image(data, format: "svg", alt: alt, width: width))
#let report-table(whole: true, ..parts) = {
  set text(size: 8pt)
  set par(leading: 0.5em, justify: false)
  block(above: 0.9em, below: 1.3em, width: 100%, breakable: not whole, table(
    stroke: none,
    inset: (x: 4.5pt, y: 4pt),
    fill: (_, y) => if y == 0 { pale } else { none },
    ..parts,
  ))
}
#set table.hline(stroke: 0.5pt + faint)
#show table.cell.where(y: 0): set text(weight: 600)
#let report-title(body) = {
  v(1fr)
  text(size: 30pt, weight: 600, fill: accent, title(body))
  v(6mm)
}
#show title: set text(size: 30pt, weight: 600, fill: accent)
#let cover-page(body) = {
  set page(footer: none)
  set text(size: 12pt)
  set par(spacing: 1.1em)
  show strong: set text(size: 17pt)
  show block: set block(above: 1.6em)
  body
  v(2fr)
  pagebreak(weak: true)
}
#let contents-page = {
  show outline.entry.where(level: 1): set block(above: 1.1em)
  show outline.entry.where(level: 1): set text(weight: 600)
  outline(title: [Contents], depth: 2, indent: 1.2em)
  pagebreak(weak: true)
}
"""
