/**
 * Which fields of other people's profiles a client follows.
 *
 * Spec: MSC4429 (`org.matrix.msc4429.profile_fields` of a filter), MSC4262 (`fields` of the extension). A client that names
 * none follows none over `/sync`, and all over sliding sync.
 */
import { isObject, type JsonObject, own } from '../json/json.ts'

/** Names, or all of them. Empty for who follows nothing. */
export type ProfileFields = readonly string[] | '*'

export interface ProfileChange {
  readonly userId: string
  readonly fields: readonly string[]
}

/** What the holder of a token has to hear of profiles. */
export interface ProfileNews {
  /** What the client follows. */
  readonly fields: ProfileFields
  /** What changed since; the values are read when the answer is made. */
  readonly changed: readonly ProfileChange[]
  /** Fields of which it may have missed changes, or that are new to its connection: it needs them of everybody. */
  readonly whole: ProfileFields
}

export const noProfileNews: ProfileNews = { fields: [], changed: [], whole: [] }

/** The name of the field in a filter. */
export const profileFieldsKey = 'org.matrix.msc4429.profile_fields'

/** The fields that a filter asks for. */
export function profileFieldsOf(filter: JsonObject | null): readonly string[] {
  const wanted = filter && own(filter, profileFieldsKey)
  const ids = isObject(wanted) ? own(wanted, 'ids') : undefined
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : []
}

/** What of `wanted` is not among `had`. */
export function fieldsWithout(wanted: ProfileFields, had: ProfileFields): ProfileFields {
  if (had === '*') return []
  return wanted === '*' ? '*' : wanted.filter((name) => !had.includes(name))
}

export function bothFields(one: ProfileFields, other: ProfileFields): ProfileFields {
  return one === '*' || other === '*' ? '*' : [...new Set([...one, ...other])]
}

/** Those fields of a profile that are wanted and there. */
export function pickProfile(profile: JsonObject, wanted: ProfileFields): JsonObject {
  if (wanted === '*') return profile
  return Object.fromEntries(
    wanted.flatMap((name) => {
      const value = own(profile, name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
