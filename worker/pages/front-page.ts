/**
 * The page at `/`: what this server is, how to get an account and how to sign in. Where the Worker is not set up yet, it
 * tells its owner what to do.
 *
 * It is answered before anything else looks at the settings or the database, since it is there to say what is wrong with them.
 */
import { hasAccounts } from '../accounts/first-account.ts'
import type { Env } from '../env.ts'
import { noteFault, noteOperation } from '../observe/observe.ts'
import { SetUpError, setUp } from '../set-up.ts'
import { settingsOf } from '../settings.ts'
import { softwareName, softwareVersion } from '../software.ts'
import { accountSections } from './front-accounts.ts'
import { frontScript } from './front-script.ts'
import { federates, signInSection, statusSection, supportSection } from './front-sections.ts'
import { escapeHtml } from './page.ts'
import { type SetupGap, setupGaps, unknownAddress } from './setup-gaps.ts'
import { styledPage } from './styled-page.ts'

/** Answers GET /. Who asks for JSON alone gets the facts as such. */
export async function frontPage(request: Request, env: Env): Promise<Response> {
  noteOperation(request, 'frontPage')
  const gaps = setupGaps(env)
  if (gaps.length > 0) return guide(request, gaps)
  let isNew: boolean
  try {
    await setUp(env)
    isNew = !(await hasAccounts(env))
  } catch (error) {
    noteFault(request, error)
    return guide(request, [databaseGap(error)])
  }
  const settings = settingsOf(env)
  if (wantsJson(request)) {
    return Response.json({
      server_name: settings.serverName,
      base_url: settings.publicUrl,
      registration: settings.registration,
      federation: federates(settings),
      server: { name: softwareName, version: softwareVersion },
    })
  }
  const name = escapeHtml(settings.serverName)
  return styledPage(
    settings.serverName,
    `<header><h1>${name}</h1><p>This is a <a href="https://matrix.org/" rel="noreferrer">Matrix</a> homeserver. ` +
      `People with an account here are called <strong>@name:${name}</strong> and write to ` +
      (federates(settings) ? 'people on any Matrix server' : 'each other') +
      ', with the client of their choice.</p></header><main>' +
      accountSections(settings, isNew) +
      signInSection(settings) +
      statusSection(settings) +
      supportSection(settings) +
      '</main>',
    frontScript,
  )
}

function wantsJson(request: Request): boolean {
  const accept = request.headers.get('Accept') ?? ''
  return accept.includes('application/json') && !accept.includes('text/html')
}

function databaseGap(error: unknown): SetupGap {
  if (error instanceof SetUpError) {
    return { what: `The database does not fit: ${error.message}.`, next: 'Nothing was changed in it.' }
  }
  return {
    what: 'The database does not answer.',
    next: 'Look into the log of the Worker for the reason; this page tries again whenever it is loaded.',
    command: 'npx wrangler tail',
  }
}

function guide({ url }: Request, gaps: readonly SetupGap[]): Response {
  const { protocol, origin } = new URL(url)
  const address = protocol === 'https:' ? origin : unknownAddress
  const steps = gaps.map(
    ({ what, next, command }) =>
      `<section><h2>${escapeHtml(what)}</h2><p>${escapeHtml(next)}</p>` +
      (command === undefined ? '' : `<pre><code>${escapeHtml(command.replace(unknownAddress, address))}</code></pre>`) +
      '</section>',
  )
  const body =
    '<header><h1>Almost a homeserver</h1><p>This Worker runs, but it is not set up yet. If it is yours, this is what is ' +
    `left to do.</p></header><main>${steps.join('')}<p>${softwareName} ${softwareVersion}</p></main>`
  return styledPage('Almost a homeserver', body, undefined, 503)
}
