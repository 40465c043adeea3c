/** The settings of TURN servers, through which calls between two go: one's own, or those of Cloudflare. */
import type { SettingVariables } from '../setting-variables.ts'
import { SettingError } from './setting-error.ts'

/** Servers that share a secret with this one, as coturn does. */
export interface SharedSecretTurn {
  readonly kind: 'shared_secret'
  readonly uris: readonly string[]
  readonly secret: string
}

/** Cloudflare's, which hand out names and passwords over HTTP. */
export interface CloudflareTurn {
  readonly kind: 'cloudflare'
  readonly keyId: string
  readonly apiToken: string
  /** Base URL of the service, without a trailing slash. */
  readonly service: string
}

/** `half`: the owner named servers and not the secret, or a key and not its token. `missing` is the variable. */
export type TurnSettings = SharedSecretTurn | CloudflareTurn | { readonly kind: 'half'; readonly missing: string }

const cloudflareService = 'https://rtc.live.cloudflare.com'

/**
 * Undefined where the owner set up nothing. Secrets are no variables, so the check before a deployment lacks them: a setting
 * without its secret is no error, but nobody could use the servers.
 */
export function turnSettings(env: SettingVariables): TurnSettings | undefined {
  const uris = (env.TURN_URIS ?? '').split(/[\s,]+/).filter((uri) => uri !== '')
  const wrong = uris.find((uri) => !/^turns?:\S+$/.test(uri))
  if (wrong !== undefined)
    throw new SettingError(`TURN_URIS must be turn: or turns: URIs, not ${JSON.stringify(wrong)}`)
  const keyId = env.TURN_KEY_ID || undefined
  if (keyId !== undefined && uris.length > 0) {
    throw new SettingError(
      "TURN_URIS names servers of one's own and TURN_KEY_ID those of Cloudflare: set one of the two",
    )
  }
  if (keyId !== undefined) return cloudflareTurn(keyId, env)
  if (uris.length === 0) return undefined
  const secret = env.TURN_SHARED_SECRET
  return secret ? { kind: 'shared_secret', uris, secret } : { kind: 'half', missing: 'TURN_SHARED_SECRET' }
}

function cloudflareTurn(keyId: string, env: SettingVariables): TurnSettings {
  // It becomes part of a path.
  if (!/^[\w-]{1,128}$/.test(keyId)) {
    throw new SettingError(`TURN_KEY_ID must be the ID of a TURN key of Cloudflare, not ${JSON.stringify(keyId)}`)
  }
  const service = serviceOf(env)
  const apiToken = env.TURN_KEY_API_TOKEN
  if (!apiToken) return { kind: 'half', missing: 'TURN_KEY_API_TOKEN' }
  return { kind: 'cloudflare', keyId, apiToken, service }
}

/** Another address would be given the token, so only a development setting allows one. */
function serviceOf({ TURN_SERVICE_URL: given, ALLOW_PRIVATE_ADDRESSES }: SettingVariables): string {
  if (!given) return cloudflareService
  if (ALLOW_PRIVATE_ADDRESSES !== 'on') {
    throw new SettingError('TURN_SERVICE_URL is for development only: it needs ALLOW_PRIVATE_ADDRESSES = "on"')
  }
  if (/^https?:\/\/\S+$/.test(given) && URL.canParse(given)) return given.replace(/\/+$/, '')
  throw new SettingError(`TURN_SERVICE_URL must be an http or https URL, not ${JSON.stringify(given)}`)
}
