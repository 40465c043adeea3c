/** Parts of the front page that are the same for everybody: how to sign in, how the server is, whom to ask. */
import { splitServerName } from '#protocol/identifiers/server-name.ts'

import type { Settings } from '../settings.ts'
import { softwareName, softwareVersion } from '../software.ts'
import { escapeHtml } from './page.ts'

/** Whether other servers can find this one: a name that only its own machine knows leads nowhere. */
export function federates({ serverName }: Settings): boolean {
  const { host, kind } = splitServerName(serverName)
  if (kind === 'dns') return host.includes('.') && !/(^|\.)localhost\.?$/i.test(host)
  return kind === 'ipv4' ? !host.startsWith('127.') : host !== '::1'
}

/** What people enter as homeserver. The name alone leads clients to the address by `/.well-known`, where that is HTTPS. */
function homeserver({ serverName, publicUrl }: Settings): string {
  return publicUrl.startsWith('https:') ? serverName : publicUrl
}

export function signInSection(settings: Settings): string {
  const isPlain = !settings.publicUrl.startsWith('https:')
  const clients = [
    client('Element Web', 'https://app.element.io/', 'in a browser: choose Sign in, then Edit beside the homeserver.'),
    client(
      'Element X',
      'https://element.io/download',
      isPlain
        ? 'on phones, needs a server with HTTPS.'
        : 'on phones: choose Sign in manually, then Change account provider.',
    ),
    client('Fractal', 'https://flathub.org/apps/org.gnome.Fractal', 'on Linux: enter it as the homeserver.'),
    client('FluffyChat', 'https://fluffychat.im/', 'on phones and desktops: enter it as the homeserver.'),
  ]
  const note = isPlain
    ? '<p>This server runs on plain HTTP, which is for clients on the same machine: phones and other machines need an ' +
      'address with HTTPS.</p>'
    : '<p>Where a client finds nothing by that name, enter the address: ' +
      `<kbd>${escapeHtml(settings.publicUrl)}</kbd>.</p>`
  return (
    '<section aria-labelledby="sign-in"><h2 id="sign-in">Sign in</h2><p>Take any Matrix client and enter this as the ' +
    `homeserver:</p><p><kbd class="big">${escapeHtml(homeserver(settings))}</kbd></p><p>Then sign in with your user name ` +
    `and password.</p><ul>${clients.join('')}</ul>${note}</section>`
  )
}

function client(name: string, url: string, words: string): string {
  return `<li><a href="${url}" rel="noreferrer">${name}</a>, ${words}</li>`
}

export function statusSection(settings: Settings): string {
  const registration = { open: 'open', token: 'with an invitation code', closed: 'closed' }[settings.registration]
  const federation = federates(settings)
    ? 'on: people here and on other servers can meet'
    : `off: other servers cannot find ${settings.serverName}`
  const facts = [
    ['Status', '<span class="up">Up</span>'],
    ['Server name', escapeHtml(settings.serverName)],
    ['Address', escapeHtml(settings.publicUrl)],
    ['Registration', registration],
    ['Federation', escapeHtml(federation)],
    ['Version', `${softwareName} ${softwareVersion}`],
  ]
  const list = facts.map(([term, text]) => `<dt>${term}</dt><dd>${text}</dd>`)
  return (
    `<section aria-labelledby="status"><h2 id="status">This server</h2><dl>${list.join('')}</dl>` +
    '<p><a href="/_hearth/admin">For administrators</a></p></section>'
  )
}

/** Nothing where nobody is named. */
export function supportSection({ support: { contacts, page } }: Settings): string {
  const links = contacts.map((contact) => {
    const target = contact.startsWith('@') ? `https://matrix.to/#/${encodeURIComponent(contact)}` : `mailto:${contact}`
    return `<li><a href="${escapeHtml(target)}" rel="noreferrer">${escapeHtml(contact)}</a></li>`
  })
  if (page !== undefined) links.push(`<li><a href="${escapeHtml(page)}" rel="noreferrer">${escapeHtml(page)}</a></li>`)
  if (links.length === 0) return ''
  return `<section aria-labelledby="support"><h2 id="support">Whom to ask</h2><ul>${links.join('')}</ul></section>`
}
