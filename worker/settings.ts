/** What the owner chose: every variable of the environment, parsed once, with its default. A bad value is one clear line. */
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { RetentionRules } from '#protocol/retention.ts'
import { rulesOf, type RoomVersion } from '#protocol/room-versions/rules.ts'

import type { SettingVariables } from './setting-variables.ts'
import { liveKitSettings, type LiveKitSettings } from './settings/livekit.ts'
import { mailSettings, type MailSettings, registrationEmail } from './settings/mail.ts'
import { retentionRules } from './settings/retention.ts'
import { SettingError } from './settings/setting-error.ts'
import { terms, type Terms } from './settings/terms.ts'
import { turnSettings, type TurnSettings } from './settings/turn.ts'

export type Registration = 'open' | 'token' | 'closed'
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface SupportSettings {
  /** User IDs and mail addresses. */
  readonly contacts: readonly string[]
  readonly page: string | undefined
}

export interface Settings {
  readonly serverName: ServerName
  /** Base URL of the client API, without a trailing slash. */
  readonly publicUrl: string
  readonly registration: Registration
  /** Enables `/_synapse/admin/v1/register`. */
  readonly registrationSharedSecret: string | undefined
  readonly rateLimits: boolean
  readonly logLevel: LogLevel
  readonly defaultRoomVersion: RoomVersion
  /** JSON API of a DNS-over-HTTPS resolver for SRV records; undefined: no SRV lookups. */
  readonly dnsOverHttps: string | undefined
  /** The header by which the platform or a proxy in front tells the client's address; undefined: there is none to trust. */
  readonly clientAddressHeader: string | undefined
  /** How dear a password hash is: `p` of scrypt. */
  readonly passwordCost: number
  /** Bytes of an upload, and of a file that is fetched from another server. */
  readonly maxUploadSize: number
  /** Bytes that one user may have uploaded in all; undefined: any number. */
  readonly userMediaQuota: number | undefined
  /** Days after the last look for which copies of other servers' media are kept; undefined: for ever. */
  readonly remoteMediaDays: number | undefined
  /** New media is not given out without a token. */
  readonly freezesUnauthenticatedMedia: boolean
  readonly urlPreviews: boolean
  /** TURN servers for calls; undefined: there are none. */
  readonly turn: TurnSettings | undefined
  /** Other servers may read the directory of published rooms. */
  readonly publishesRooms: boolean
  /** Other servers are told what people call their devices: often the make of a telephone, or a name. */
  readonly tellsDeviceNames: boolean
  /** Undefined: this server sends no mail. */
  readonly mail: MailSettings | undefined
  readonly registrationEmail: 'off' | 'required'
  /** What `m.login.terms` shows; undefined: nothing needs to be accepted. */
  readonly registrationTerms: Terms | undefined
  /** Does not tell whether an e-mail address has an account. */
  readonly hidesKnownAddresses: boolean
  /** An access token may stand in the query. */
  readonly queryAccessTokens: boolean
  /** Whom to ask about this server. */
  readonly support: SupportSettings
  /** Where clients get a place in a call of many; undefined: there are none. */
  readonly liveKitUrl: string | undefined
  /** An SFU for which this server itself gives places; undefined: there is none. */
  readonly liveKit: LiveKitSettings | undefined
  /** Whether people see who is there. It is dear: see durable-objects/user-sync/presence.ts. */
  readonly presence: boolean
  /** How long messages are kept; undefined: for ever, whatever rooms say. */
  readonly retention: RetentionRules | undefined
  /** Devices are told of all encrypted events, but for muted rooms (MSC4028). */
  readonly pushesEncrypted: boolean
  /** Development only: outgoing requests may reach loopback and private addresses. */
  readonly allowPrivateAddresses: boolean
}

export { SettingError }

const parsed = new WeakMap<SettingVariables, Settings>()

/** The settings of this environment. Throws SettingError naming the variable and what it may be. */
export function settingsOf(env: SettingVariables): Settings {
  let settings = parsed.get(env)
  if (!settings) parsed.set(env, (settings = parseSettings(env)))
  return settings
}

function parseSettings(env: SettingVariables): Settings {
  const serverName = parseServerName(env.SERVER_NAME)
  if (!serverName) throw new SettingError(`SERVER_NAME is not a Matrix server name: ${JSON.stringify(env.SERVER_NAME)}`)
  const defaultVersion = rulesOf(env.DEFAULT_ROOM_VERSION || '12')
  if (!defaultVersion) throw new SettingError('DEFAULT_ROOM_VERSION must be a room version from 1 to 12')
  return {
    serverName,
    publicUrl: (env.PUBLIC_URL || `https://${serverName}`).replace(/\/+$/, ''),
    registration: oneOf('REGISTRATION', env.REGISTRATION, ['closed', 'token', 'open']),
    registrationSharedSecret: env.REGISTRATION_SHARED_SECRET || undefined,
    rateLimits: oneOf('RATE_LIMITS', env.RATE_LIMITS, ['on', 'off']) === 'on',
    logLevel: oneOf('LOG_LEVEL', env.LOG_LEVEL, ['info', 'debug', 'warn', 'error']),
    defaultRoomVersion: defaultVersion.version,
    dnsOverHttps:
      env.DNS_OVER_HTTPS === 'off' ? undefined : env.DNS_OVER_HTTPS || 'https://cloudflare-dns.com/dns-query',
    clientAddressHeader:
      env.CLIENT_ADDRESS_HEADER === 'none' ? undefined : env.CLIENT_ADDRESS_HEADER || 'CF-Connecting-IP',
    passwordCost: wholeNumber('PASSWORD_COST', env.PASSWORD_COST, { least: 1, most: 16, otherwise: 5 }),
    maxUploadSize: wholeNumber('MAX_UPLOAD_MB', env.MAX_UPLOAD_MB, { least: 1, most: 500, otherwise: 50 }) * 1_000_000,
    userMediaQuota:
      wholeNumber('USER_MEDIA_QUOTA_MB', env.USER_MEDIA_QUOTA_MB, { least: 0, most: 999_999, otherwise: 0 }) *
        1_000_000 || undefined,
    remoteMediaDays:
      wholeNumber('REMOTE_MEDIA_DAYS', env.REMOTE_MEDIA_DAYS, { least: 0, most: 36_500, otherwise: 90 }) || undefined,
    freezesUnauthenticatedMedia:
      oneOf('FREEZE_UNAUTHENTICATED_MEDIA', env.FREEZE_UNAUTHENTICATED_MEDIA, ['on', 'off']) === 'on',
    urlPreviews: oneOf('URL_PREVIEWS', env.URL_PREVIEWS, ['off', 'on']) === 'on',
    turn: turnSettings(env),
    queryAccessTokens: oneOf('QUERY_ACCESS_TOKENS', env.QUERY_ACCESS_TOKENS, ['on', 'off']) === 'on',
    support: { contacts: contacts(env), page: webAddress('SUPPORT_PAGE', env.SUPPORT_PAGE) },
    liveKit: liveKitSettings(env),
    liveKitUrl: webAddress('LIVEKIT_SERVICE_URL', env.LIVEKIT_SERVICE_URL),
    mail: mailSettings(env),
    registrationEmail: registrationEmail(env),
    registrationTerms: env.REGISTRATION_TERMS ? terms(env.REGISTRATION_TERMS) : undefined,
    hidesKnownAddresses: oneOf('HIDE_KNOWN_ADDRESSES', env.HIDE_KNOWN_ADDRESSES, ['on', 'off']) === 'on',
    publishesRooms: oneOf('PUBLIC_ROOMS_OVER_FEDERATION', env.PUBLIC_ROOMS_OVER_FEDERATION, ['off', 'on']) === 'on',
    tellsDeviceNames: oneOf('DEVICE_NAMES_OVER_FEDERATION', env.DEVICE_NAMES_OVER_FEDERATION, ['on', 'off']) === 'on',
    presence: oneOf('PRESENCE', env.PRESENCE, ['off', 'on']) === 'on',
    retention: retentionRules(env),
    pushesEncrypted: oneOf('PUSH_ENCRYPTED_EVENTS', env.PUSH_ENCRYPTED_EVENTS, ['off', 'on']) === 'on',
    allowPrivateAddresses: oneOf('ALLOW_PRIVATE_ADDRESSES', env.ALLOW_PRIVATE_ADDRESSES, ['off', 'on']) === 'on',
  }
}

function contacts({ SUPPORT_CONTACTS = '' }: SettingVariables): string[] {
  const given = SUPPORT_CONTACTS.split(/[\s,]+/).filter((contact) => contact !== '')
  const wrong = given.find((contact) => !parseUserId(contact) && !/^[^@\s]+@[^@\s]+$/.test(contact))
  if (wrong === undefined) return given
  throw new SettingError(`SUPPORT_CONTACTS must be user IDs or mail addresses, not ${JSON.stringify(wrong)}`)
}

function webAddress(name: string, value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined
  if (/^https?:\/\/\S+$/.test(value) && URL.canParse(value)) return value
  throw new SettingError(`${name} must be an http or https URL, not ${JSON.stringify(value)}`)
}

/** The first choice is the default. */
function oneOf<const T extends string>(name: string, value: string | undefined, choices: readonly [T, ...T[]]): T {
  if (value === undefined || value === '') return choices[0]
  const choice = choices.find((candidate) => candidate === value)
  if (!choice) throw new SettingError(`${name} must be one of ${choices.join(', ')}, not ${JSON.stringify(value)}`)
  return choice
}

function wholeNumber(
  name: string,
  value: string | undefined,
  { least, most, otherwise }: { least: number; most: number; otherwise: number },
): number {
  if (value === undefined || value === '') return otherwise
  const number = /^\d{1,6}$/.test(value) ? Number(value) : NaN
  if (number >= least && number <= most) return number
  throw new SettingError(`${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(value)}`)
}
