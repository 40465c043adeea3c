/** What its owner has still to do before a deployed Worker is a homeserver, from its bindings and variables alone. Pure. */
import type { Env } from '../env.ts'
import { type Settings, SettingError, settingsOf } from '../settings.ts'

export interface SetupGap {
  /** What is missing or wrong: a sentence. */
  readonly what: string
  /** The next step: a sentence. */
  readonly next: string
  /** What to type for it. */
  readonly command?: string
}

/** The values that wrangler.toml is delivered with. */
const example = { serverName: 'example.org', host: 'matrix.example.org' }

const bindings = ['DB', 'MEDIA', 'ROOM', 'USER_SYNC', 'PASSWORD', 'FEDERATION_SENDER'] as const

/** Stands in commands for the address of the Worker, which its variables cannot tell. */
export const unknownAddress = 'https://ADDRESS-OF-THIS-WORKER'

const chooseName = {
  next:
    'Choose the part behind the colon in @you:example.org: a domain that is yours. It is signed into everything and can ' +
    'never be changed. Then deploy with it and with the address at which clients reach this Worker. If you deployed without ' +
    'a copy of the project, set SERVER_NAME and PUBLIC_URL among the variables of the Worker in the dashboard.',
  command: `npm run deploy -- --server-name YOUR-DOMAIN --public-url ${unknownAddress}`,
}

/** What is missing, the most important first; none where the server can begin. */
export function setupGaps(env: Env): SetupGap[] {
  const missing = bindings.filter((name) => env[name] === undefined)
  const gaps: SetupGap[] = missing.map((name) => ({
    what: `The binding ${name} is missing.`,
    next: 'wrangler.toml of this project names every binding that is needed: deploy with it.',
    command: 'npm run deploy',
  }))
  if (!env.SERVER_NAME) return [...gaps, { what: 'SERVER_NAME is not set.', ...chooseName }]
  const settings = readSettings(env)
  if (typeof settings === 'string') {
    const next = 'Change it in wrangler.toml, or among the variables of the Worker in the dashboard, and deploy again.'
    return [...gaps, { what: `${settings}.`, next, command: 'npm run deploy' }]
  }
  // A run on one's own machine may have any name: its address is plain HTTP.
  if (!settings.publicUrl.startsWith('https:')) return gaps
  if (settings.serverName === example.serverName) {
    gaps.push({ what: `SERVER_NAME is still ${example.serverName}, which is not yours.`, ...chooseName })
  }
  if (hostOf(settings) === example.host) {
    gaps.push({
      what: `PUBLIC_URL is still https://${example.host}.`,
      next: 'Set it to the address at which clients reach this Worker, and deploy again.',
      command: `npm run deploy -- --public-url ${unknownAddress}`,
    })
  }
  return gaps
}

/** The settings, or what is wrong with them. No setting that is secret has a form that could be wrong. */
function readSettings(env: Env): Settings | string {
  try {
    return settingsOf(env)
  } catch (error) {
    if (error instanceof SettingError) return error.message
    throw error
  }
}

function hostOf({ publicUrl }: Settings): string {
  return URL.canParse(publicUrl) ? new URL(publicUrl).hostname : ''
}
