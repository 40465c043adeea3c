/** A whole page in the style of the front page. Its policy names the one style and the one script by their hashes. */
import { createHash } from 'node:crypto'

import { frontStyle } from './front-style.ts'
import { escapeHtml, htmlResponse } from './page.ts'

/** A flame. */
const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%23b3450f' " +
  "d='M8 0c1 4 5 5 5 10a5 5 0 0 1-10 0c0-2 1-3 2-4 0 2 1 3 2 3 1-3-1-5 1-9z'/%3E%3C/svg%3E"

/** `body` is HTML without scripts, styles and handlers: they would not run. */
export function styledPage(title: string, body: string, script?: string, status = 200): Response {
  const html =
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">' +
    `<title>${escapeHtml(title)}</title><link rel="icon" href="${icon}"><style>${frontStyle}</style></head><body>` +
    body +
    (script === undefined ? '' : `<script>${script}</script>`) +
    '</body></html>'
  const allowed = {
    style: hashSource(frontStyle),
    script: script === undefined ? "'none'" : hashSource(script),
    img: 'data:',
  }
  return htmlResponse(html, allowed, status)
}

const known = new Map<string, string>()

/** How the policy names one text that may stand in the page. The texts are few, and always the same. */
function hashSource(text: string): string {
  let source = known.get(text)
  if (source === undefined) known.set(text, (source = `'sha256-${createHash('sha256').update(text).digest('base64')}'`))
  return source
}
