/** What must be right in wrangler.toml before the Worker goes out, since some of it can never be changed afterwards. Pure. */
import type { SettingVariables } from '../../worker/setting-variables.ts'
import { SettingError, settingsOf } from '../../worker/settings.ts'

/** The values of the documentation: to be replaced by the owner. */
const examples = { serverName: 'example.org', host: 'matrix.example.org' }

/** What stands in the way of a deployment, one line each; none for a rehearsal with the example's values. */
export function checkSettings(variables: SettingVariables, { rehearsal = false } = {}): string[] {
  let settings
  try {
    settings = settingsOf(variables)
  } catch (error) {
    if (error instanceof SettingError) return [error.message]
    throw error
  }
  const complaints: string[] = []
  if (settings.registrationSharedSecret !== undefined) {
    complaints.push('REGISTRATION_SHARED_SECRET is no variable: npx wrangler secret put REGISTRATION_SHARED_SECRET')
  }
  if (variables.SIGNING_KEY) complaints.push('SIGNING_KEY is no variable: npx wrangler secret put SIGNING_KEY')
  if (variables.BACKUP_SECRET) complaints.push('BACKUP_SECRET is no variable: docs/backup.md')
  if (variables.TURN_SHARED_SECRET) {
    complaints.push('TURN_SHARED_SECRET is no variable: npx wrangler secret put TURN_SHARED_SECRET')
  }
  if (variables.TURN_KEY_API_TOKEN) {
    complaints.push('TURN_KEY_API_TOKEN is no variable: npx wrangler secret put TURN_KEY_API_TOKEN')
  }
  if (variables.LIVEKIT_API_SECRET) {
    complaints.push('LIVEKIT_API_SECRET is no variable: npx wrangler secret put LIVEKIT_API_SECRET')
  }
  if (variables.MAIL_TOKEN) complaints.push('MAIL_TOKEN is no variable: npx wrangler secret put MAIL_TOKEN')
  if (rehearsal) return complaints
  if (settings.serverName === examples.serverName) {
    complaints.push(`SERVER_NAME is still the example's: give --server-name; it can never be changed later`)
  }
  const host = URL.canParse(settings.publicUrl) ? new URL(settings.publicUrl).hostname : ''
  if (host === examples.host) complaints.push(`PUBLIC_URL is still the example's: give --public-url`)
  if (!settings.publicUrl.startsWith('https://')) complaints.push('PUBLIC_URL must begin with https://')
  if (settings.allowPrivateAddresses) complaints.push('ALLOW_PRIVATE_ADDRESSES is for development only')
  if (!settings.rateLimits) complaints.push('RATE_LIMITS must be on where everybody can reach the server')
  return complaints
}
