/** The policies that new users accept. Spec: client-server-api/#terms-of-service-at-registration. */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { SettingError } from './setting-error.ts'

export interface Terms {
  /** As `params` of the stage has it: by policy, a version, and per language a name and a URL. */
  readonly policies: JsonObject
  /** By policy. */
  readonly versions: Readonly<Record<string, string>>
  /** All of them, in all languages. */
  readonly documents: readonly PolicyDocument[]
}

interface PolicyDocument {
  readonly name: string
  readonly url: string
}

const example = '{"terms":{"version":"1","en":{"name":"Terms","url":"https://example.org/terms"}}}'

export function terms(text: string): Terms {
  const policies = parse(text)
  if (!isObject(policies) || Object.keys(policies).length === 0) return refuseTerms()
  const versions: Record<string, string> = {}
  const documents: PolicyDocument[] = []
  for (const [name, policy] of Object.entries(policies)) {
    if (!isObject(policy)) return refuseTerms()
    const { version, ...languages } = policy
    if (typeof version !== 'string' || Object.keys(languages).length === 0) return refuseTerms()
    documents.push(...Object.values(languages).map(documentOf))
    versions[name] = version
  }
  return { policies, versions, documents }
}

function documentOf(value: unknown): PolicyDocument {
  const [name, url] = isObject(value) ? [own(value, 'name'), own(value, 'url')] : []
  if (typeof name !== 'string' || typeof url !== 'string') return refuseTerms()
  return /^https?:\/\//.test(url) && URL.canParse(url) ? { name, url } : refuseTerms()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refuseTerms(): never {
  throw new SettingError(`REGISTRATION_TERMS must be JSON such as ${example}`)
}
