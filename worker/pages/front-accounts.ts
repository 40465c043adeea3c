/** The part of the front page about getting an account: forms where there is a way, words where there is none. */
import type { Settings } from '../settings.ts'
import { escapeHtml } from './page.ts'

/** All sections about accounts. `isNew`: nobody has an account yet. The script shows what is hidden here when it has its use. */
export function accountSections(settings: Settings, isNew: boolean): string {
  return firstAccount(settings) + made() + (isNew ? beginning() : '') + registration(settings, isNew)
}

function firstAccount(settings: Settings): string {
  const words =
    '<p>You opened the one-time link of this server. The account you make now is its first: that of the administrator.</p>'
  return (
    '<p role="alert" id="link-problem"></p>' +
    `<section id="first" hidden aria-labelledby="first-title"><h2 id="first-title">Make your account</h2>${words}` +
    `${form('first', settings, '')}</section>`
  )
}

function made(): string {
  return (
    '<section id="made" hidden><h2 id="made-title" tabindex="-1">Your account is there</h2>' +
    '<p>You are <strong id="made-id"></strong>. Now sign in with a client, as told below, with your user name and password.</p>' +
    '</section>'
  )
}

function beginning(): string {
  return (
    '<section class="instead"><h2>Nobody has an account yet</h2><p>If this is your server: open the one-time link that it ' +
    'printed when it started, or have one made where it was installed, and make the account of the administrator here.</p>' +
    '<pre><code>npm run register -- --link</code></pre></section>'
  )
}

function registration(settings: Settings, isNew: boolean): string {
  const title = '<h2 id="register-title">Get an account</h2>'
  if (settings.registration === 'closed') {
    if (isNew) return ''
    const { contacts, page } = settings.support
    const whom = contacts.length > 0 || page !== undefined ? ' Whom to ask is said below.' : ''
    return (
      `<section class="instead">${title}<p>Registration is closed: accounts are made by the person who runs this ` +
      `server.${whom}</p></section>`
    )
  }
  if (settings.registrationEmail === 'required') {
    const needs = settings.registration === 'token' ? 'an e-mail address and an invitation code' : 'an e-mail address'
    return (
      `<section class="instead">${title}<p>Registration is open to who has ${needs}. Make the account in your client: ` +
      'it leads through the confirmation of the address.</p></section>'
    )
  }
  const words =
    settings.registration === 'open'
      ? '<p>Registration is open: anyone may make an account.</p>'
      : '<p>You need an invitation code (a registration token) from the person who runs this server.</p>'
  const noScript = '<p>The form for it needs JavaScript. Clients can make the account as well.</p>'
  return (
    `<section id="register" hidden aria-labelledby="register-title">${title}${words}${form('register', settings, extras(settings))}` +
    `</section><noscript><section>${title.replace(' id="register-title"', '')}${words}${noScript}</section></noscript>`
  )
}

/** What registration asks for besides a name and a password. */
function extras({ registration, registrationTerms }: Settings): string {
  const token =
    registration === 'token'
      ? '<label for="register-token">Invitation code</label><input id="register-token" name="token" required ' +
        'autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="64">'
      : ''
  const links = (registrationTerms?.documents ?? []).map(
    ({ name, url }) => `<a href="${escapeHtml(url)}" target="_blank" rel="noreferrer">${escapeHtml(name)}</a>`,
  )
  const terms =
    links.length > 0
      ? `<label class="check"><input type="checkbox" name="terms" required><span>I accept: ${links.join(', ')}</span></label>`
      : ''
  return token + terms
}

/** `method` is post, so that a browser whose script failed would not put the password into an address. */
function form(id: string, { serverName }: Settings, extra: string): string {
  return (
    '<form method="post">' +
    `<label for="${id}-name">User name</label><p class="hint" id="${id}-hint">You will be @name:${escapeHtml(serverName)}</p>` +
    `<input id="${id}-name" name="username" required autocomplete="username" autocapitalize="none" spellcheck="false" ` +
    `maxlength="200" aria-describedby="${id}-hint">` +
    `<label for="${id}-password">Password</label><input id="${id}-password" name="password" type="password" required ` +
    'minlength="6" maxlength="512" autocomplete="new-password">' +
    '<label class="check"><input type="checkbox" name="show"><span>Show the password</span></label>' +
    `${extra}<p role="alert"></p><button>Make the account</button></form>`
  )
}
