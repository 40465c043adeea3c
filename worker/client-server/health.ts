/**
 * Whether what this server stands on answers: `/_hearth/admin/health`, for its admins and `npm run doctor -- --token`.
 *
 * Looks and changes nothing. What a binding throws is told as it is: admins alone read it.
 */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'

import { askForCredentials } from '../calls/cloudflare-turn.ts'
import { examineOutside } from '../doctor/examine.ts'
import { bad, doubt, type Finding, good } from '../doctor/findings.ts'
import { surroundingsInside } from '../doctor/from-inside.ts'
import type { Env } from '../env.ts'
import { federationSender } from '../federation-client/sender.ts'
import { mailerOf } from '../mail/mail.ts'
import { operation, type Requester } from '../operation.ts'
import { federates } from '../pages/front-sections.ts'
import { remote } from '../remote.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import type { Settings } from '../settings.ts'
import { liveKitGap } from '../settings/livekit.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { demandAdmin } from './admin.ts'

interface Check {
  readonly about: string
  /** `off`: not set up, which is a choice. */
  readonly state: 'good' | 'off' | 'bad'
  readonly what: string
  /** The next step. */
  readonly next?: string
}

export const getHealth = operation(
  'GET /_hearth/admin/health',
  { id: 'getHealth', auth: 'accessToken', fresh: true },
  async ({ env, settings, requester }) => {
    demandAdmin(requester)
    return { server_name: settings.serverName, now: Date.now(), checks: await checksOf(env, settings, requester) }
  },
)

/** Spec: none. What `npm run doctor` looks at, asked by the server itself, and what it stands on. */
export const examineServer = operation(
  'GET /_hearth/admin/doctor',
  { id: 'examineServer', auth: 'accessToken', fresh: true },
  async ({ env, settings, requester }) => {
    demandAdmin(requester)
    const { serverName, publicUrl } = settings
    const [outside, inside] = await Promise.all([
      federates(settings)
        ? examineOutside(serverName, surroundingsInside(settings), publicUrl).then(({ findings }) => findings)
        : [
            doubt(
              'Federation',
              `other servers cannot find ${serverName}`,
              'a server of a domain of yours: docs/deploying.md',
            ),
          ],
      checksOf(env, settings, requester),
    ])
    return { server_name: serverName, findings: [...outside, ...inside.map(asFinding)] }
  },
)

function asFinding({ about, state, what, next = 'look into the log' }: Check): Finding {
  if (state === 'good') return good(about, what)
  return (state === 'off' ? doubt : bad)(about, what, next)
}

async function checksOf(env: Env, settings: Settings, requester: Requester): Promise<Check[]> {
  const looks = looksAt(env, settings, requester)
  const [bindings, turn] = await Promise.all([
    Promise.all(looks.map(([about, look]) => tried(about, look))),
    turnServers(settings),
  ])
  return [...bindings, mail(env), push(), turn, ...liveKit(env)]
}

function looksAt(
  env: Env,
  { serverName }: Settings,
  { userId }: Requester,
): [about: string, look: () => Promise<unknown>][] {
  const nobodysRoom = parseRoomId(`!health:${serverName}`) ?? refuse('invalid_param')
  return [
    ['DB (D1)', () => env.DB.prepare('SELECT 1').first()],
    ['MEDIA (R2)', () => env.MEDIA.head('health')],
    ['ROOM', () => roomOf(env, nobodysRoom).facts()],
    ['USER_SYNC', () => userSyncOf(env, userId).joinedRooms()],
    ['FEDERATION_SENDER', () => federationSender(env).heardFrom(serverName)],
    // Costs some tens of milliseconds, as a sign-in does.
    ['PASSWORD', () => remote(env.PASSWORD, 'passwords 0').hash('health')],
  ]
}

async function tried(about: string, look: () => Promise<unknown>): Promise<Check> {
  const started = Date.now()
  try {
    await look()
    return { about, state: 'good', what: `answers within ${Date.now() - started} ms` }
  } catch (error) {
    const next = 'compare the bindings in the dashboard with wrangler.toml; npm run deploy sets them anew'
    return { about, state: 'bad', what: error instanceof Error ? error.message : String(error), next }
  }
}

function mail(env: Env): Check {
  if (mailerOf(env)) return { about: 'Mail', state: 'good', what: 'is set up' }
  const next = 'MAIL_FROM in wrangler.toml, with MAIL_URL or the binding EMAIL'
  return { about: 'Mail', state: 'off', what: 'forgotten passwords cannot be set anew by mail', next }
}

/** Cloudflare's are asked for credentials; whether servers of one's own take ours, they alone know. */
async function turnServers(settings: Settings): Promise<Check> {
  const about = 'TURN'
  const { turn } = settings
  if (!turn) {
    const next = 'TURN_KEY_ID for those of Cloudflare, TURN_URIS for your own: docs/calls.md'
    return { about, state: 'off', what: 'there are no servers that relay calls: some networks let none through', next }
  }
  if (turn.kind === 'half') {
    const next = `npx wrangler secret put ${turn.missing}`
    return { about, state: 'bad', what: `${turn.missing} is not set: clients are told of no TURN servers`, next }
  }
  if (turn.kind === 'shared_secret') {
    return { about, state: 'good', what: `clients are told of ${turn.uris.length} addresses, with names for a day` }
  }
  const given = await askForCredentials(turn, settings)
  if (given.ok) return { about, state: 'good', what: `Cloudflare gives credentials for ${given.uris.length} addresses` }
  const next = 'take ID and token of a TURN key from the dashboard (Realtime → TURN): docs/calls.md'
  return { about, state: 'bad', what: `Cloudflare gives no credentials: ${given.message}`, next }
}

/** Whether LiveKit is set up in part; there is nothing to say of one that is not wanted. */
function liveKit(env: Env): Check[] {
  const missing = liveKitGap(env)
  if (missing === undefined) return []
  const next = missing === 'LIVEKIT_API_SECRET' ? `npx wrangler secret put ${missing}` : `${missing} in wrangler.toml`
  return [{ about: 'LiveKit', state: 'bad', what: `${missing} is not set: nobody is given a place in calls`, next }]
}

/** Pushes go to the gateway that each client names: nothing is to be set up for them. */
function push(): Check {
  return { about: 'Push', state: 'good', what: "goes to the gateways of people's clients, without any setting" }
}
