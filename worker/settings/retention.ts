/** How long messages are kept (MSC1763). Off unless the owner says otherwise. */
import type { RetentionRules } from '#protocol/retention.ts'

import type { SettingVariables } from '../setting-variables.ts'
import { SettingError } from './setting-error.ts'

const second = 1000
const day = 86_400 * second
const units: Readonly<Record<string, number>> = {
  s: second,
  m: 60 * second,
  h: 3600 * second,
  d: day,
  w: 7 * day,
  y: 365 * day,
}

/** For one who wrote something else. */
export const whatTimesAre = 'must be a time such as 30d, 12h, 8w or 1y'

/** Milliseconds of what an owner writes for a length of time; undefined where it is none. */
export function lengthOf(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,5})([smhdwy])$/.exec(text) ?? []
  return count === undefined || unit === undefined ? undefined : Number(count) * (units[unit] ?? day)
}

/** Undefined: messages are kept for ever, whatever rooms say. */
export function retentionRules(env: SettingVariables): RetentionRules | undefined {
  const isOn = env.RETENTION === 'on'
  if (!isOn && env.RETENTION && env.RETENTION !== 'off') {
    throw new SettingError(`RETENTION must be one of off, on, not ${JSON.stringify(env.RETENTION)}`)
  }
  const length = (name: keyof SettingVariables & `RETENTION_${string}`): number | undefined => {
    const value = env[name]
    if (value === undefined || value === '') return undefined
    if (!isOn) throw new SettingError(`${name} needs RETENTION = "on"`)
    const time = lengthOf(value)
    if (time === undefined) throw new SettingError(`${name} ${whatTimesAre}, not ${JSON.stringify(value)}`)
    return time
  }
  const defaults = { min: length('RETENTION_MIN_LIFETIME'), max: length('RETENTION_MAX_LIFETIME') }
  const allowed = { min: length('RETENTION_ALLOWED_MIN'), max: length('RETENTION_ALLOWED_MAX') }
  if (isMore(defaults.min, defaults.max)) throw tooLong('RETENTION_MIN_LIFETIME', 'RETENTION_MAX_LIFETIME')
  if (isMore(allowed.min, allowed.max)) throw tooLong('RETENTION_ALLOWED_MIN', 'RETENTION_ALLOWED_MAX')
  if (isMore(allowed.min, defaults.max)) throw tooLong('RETENTION_ALLOWED_MIN', 'RETENTION_MAX_LIFETIME')
  if (isMore(defaults.max, allowed.max)) throw tooLong('RETENTION_MAX_LIFETIME', 'RETENTION_ALLOWED_MAX')
  return isOn ? { defaults, allowed } : undefined
}

function isMore(one: number | undefined, other: number | undefined): boolean {
  return one !== undefined && other !== undefined && one > other
}

function tooLong(name: string, than: string): SettingError {
  return new SettingError(`${name} must not be longer than ${than}`)
}
