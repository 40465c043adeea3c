/**
 * What `m.room.canonical_alias` says, and what is left of it when an alias goes.
 *
 * Spec: client-server-api/#mroomcanonical_alias. The event is a claim: whether an alias leads to the room is asked of the
 * server that holds the alias.
 */
import { parseRoomAlias, type RoomAlias } from './identifiers/room-alias.ts'
import { type JsonObject, own } from './json/json.ts'

/**
 * Every alias that the content names, each once, or undefined when something in their place is none. "If not present,
 * null, or empty the room should be considered to have no canonical alias."
 */
export function aliasesOf(content: JsonObject): RoomAlias[] | undefined {
  const alias = own(content, 'alias') ?? ''
  const others = own(content, 'alt_aliases') ?? []
  if (!Array.isArray(others)) return undefined
  const named = alias === '' ? others : [alias, ...others]
  const parsed = named.map(parseRoomAlias).filter((each) => each !== undefined)
  return parsed.length === named.length ? [...new Set(parsed)] : undefined
}

/** The content without the aliases that `gone` picks, or undefined when it names none of them. */
export function withoutAliases(content: JsonObject, gone: (alias: string) => boolean): JsonObject | undefined {
  const isGone = (alias: unknown) => typeof alias === 'string' && alias !== '' && gone(alias)
  const { alias, alt_aliases: others, ...rest } = content
  const kept = Array.isArray(others) ? others.filter((each) => !isGone(each)) : others
  const losesOthers = Array.isArray(others) && Array.isArray(kept) && kept.length < others.length
  if (!isGone(alias) && !losesOthers) return undefined
  return {
    ...rest,
    ...(alias === undefined || isGone(alias) ? {} : { alias }),
    ...(kept === undefined || (losesOthers && kept.length === 0) ? {} : { alt_aliases: kept }),
  }
}
