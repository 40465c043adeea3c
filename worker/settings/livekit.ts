/** The settings of LiveKit, where calls of many are held: a service that hands out places in it, or the SFU itself. */
import type { SettingVariables } from '../setting-variables.ts'
import { SettingError } from './setting-error.ts'

/** An SFU for which this server signs tokens (MSC4195). */
export interface LiveKitSettings {
  /** WebSocket URL, without a trailing slash. */
  readonly url: string
  readonly apiKey: string
  readonly apiSecret: string
}

/**
 * Undefined where there is none, or where a part is missing: the secret is no variable, so the check before a deployment lacks
 * it.
 */
export function liveKitSettings(env: SettingVariables): LiveKitSettings | undefined {
  const { LIVEKIT_URL: url, LIVEKIT_API_KEY: apiKey, LIVEKIT_API_SECRET: apiSecret } = env
  if (url && !(/^wss?:\/\/\S+$/.test(url) && URL.canParse(url))) {
    throw new SettingError(`LIVEKIT_URL must be a ws or wss URL, not ${JSON.stringify(url)}`)
  }
  return url && apiKey && apiSecret ? { url: url.replace(/\/+$/, ''), apiKey, apiSecret } : undefined
}

/** Which part is missing of an SFU that was set up in part. */
export function liveKitGap({ LIVEKIT_URL: url, LIVEKIT_API_KEY: key, LIVEKIT_API_SECRET: secret }: SettingVariables) {
  if (!url && !key && !secret) return undefined
  return !url ? 'LIVEKIT_URL' : !key ? 'LIVEKIT_API_KEY' : !secret ? 'LIVEKIT_API_SECRET' : undefined
}
