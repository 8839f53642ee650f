"""Pictures as SVG text. Colours are classes of the page's style sheet; texts are escaped."""
