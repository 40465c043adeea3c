/** The settings of mail: who sends it, and by which carrier. */
import type { JsonValue } from '#protocol/json/json.ts'

import { defaultTemplate, type MailApi } from '../mail/http-mail.ts'
import type { SettingVariables } from '../setting-variables.ts'
import { SettingError } from './setting-error.ts'

export interface MailSettings {
  /** The sender: an address, with a name before it where the owner wants one. */
  readonly from: string
  /** Undefined: a binding carries the mail. */
  readonly api: MailApi | undefined
}

const sender = /^(?:[^<>\r\n"]* <)?[^\s@<>]+@[^\s@<>]+>?$/
const headerName = /^[\w-]{1,64}$/

export function mailSettings(env: SettingVariables): MailSettings | undefined {
  const from = env.MAIL_FROM
  if (!from) {
    if (env.MAIL_URL) throw new SettingError('MAIL_URL needs MAIL_FROM, the address that the mail comes from')
    return undefined
  }
  if (!sender.test(from) || from.includes('<') !== from.endsWith('>')) {
    throw new SettingError(`MAIL_FROM must be an address or Name <address>, not ${JSON.stringify(from)}`)
  }
  return { from, api: env.MAIL_URL ? apiOf(env, env.MAIL_URL) : undefined }
}

/** Off where there is no mail to confirm an address with. */
export function registrationEmail(env: SettingVariables): 'off' | 'required' {
  const value = env.REGISTRATION_EMAIL || 'off'
  if (value !== 'off' && value !== 'required') {
    throw new SettingError(`REGISTRATION_EMAIL must be one of off, required, not ${JSON.stringify(value)}`)
  }
  if (value === 'required' && !env.MAIL_FROM) throw new SettingError('REGISTRATION_EMAIL = "required" needs MAIL_FROM')
  return value
}

function apiOf(env: SettingVariables, url: string): MailApi {
  const tokenHeader = env.MAIL_TOKEN_HEADER || 'Authorization'
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new SettingError(`MAIL_URL must be the URL of an HTTP API, not ${JSON.stringify(url)}`)
  }
  if (!headerName.test(tokenHeader)) throw new SettingError('MAIL_TOKEN_HEADER must be the name of a header')
  return { url, tokenHeader, token: env.MAIL_TOKEN || undefined, template: templateOf(env.MAIL_BODY) }
}

function templateOf(text: string | undefined): JsonValue {
  if (!text) return defaultTemplate
  if (!text.includes('{{to}}')) throw new SettingError('MAIL_BODY must have {{to}} in it')
  try {
    return JSON.parse(text)
  } catch {
    throw new SettingError('MAIL_BODY must be JSON')
  }
}
