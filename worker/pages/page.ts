/**
 * Pages that a person sees in a browser.
 *
 * They stand on the same origin as the API: a strict policy lets them load and run nothing but their own style and script,
 * named by a fresh nonce, and nobody may frame them. What comes from outside is always escaped.
 */
const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as it may stand between tags and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}

const style =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}' +
  'label,input,button{display:block;width:100%;box-sizing:border-box}' +
  'input,button{font:inherit;padding:.5rem;margin:.25rem 0 1rem}[role=alert]{color:#b00020}'

export interface Page {
  readonly title: string
  /** HTML. */
  readonly body: string
  /** JavaScript of our own. */
  readonly script?: string
  readonly status?: number
}

export function pageResponse({ title, body, script, status = 200 }: Page): Response {
  const nonce = crypto.randomUUID()
  const html =
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>${escapeHtml(title)}</title><style nonce="${nonce}">${style}</style>` +
    `<h1>${escapeHtml(title)}</h1>${body}` +
    (script === undefined ? '' : `<script nonce="${nonce}">${script}</script>`)
  return htmlResponse(html, { style: `'nonce-${nonce}'`, script: `'nonce-${nonce}'` }, status)
}

/** A page that nobody may frame, that tells nobody its address, and that runs nothing but these sources of the policy. */
export function htmlResponse(html: string, allowed: { style: string; script: string; img?: string }, status = 200) {
  return new Response(html, {
    status,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy':
        `default-src 'none'; style-src ${allowed.style}; script-src ${allowed.script}; ` +
        (allowed.img === undefined ? '' : `img-src ${allowed.img}; `) +
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      'X-Frame-Options': 'DENY',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
    },
  })
}
