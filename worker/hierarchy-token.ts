/**
 * Where a walk over a space goes on. The token says it all: the way down to the next room, and which rooms the way does not
 * tell were shown. So a page asks for its own rooms and those on the way, not again for all before it.
 *
 * Spec: client-server-api/#get_matrixclientv1roomsroomidhierarchy: "`max_depth` and `suggested_only` cannot be changed from
 * the first request." The form is ours: `h2~<max_depth>~<s|a>~<level>.<level>…~<marks>`, a level being the mark of a room and
 * its place among the children of the one before.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import { roomMark } from './search.ts'

/** Enough that two rooms of one space are not taken for each other. */
const markLength = 6

export interface HierarchyPosition {
  /** From the root's child down to the next room. The place counts where the room is no longer found. */
  readonly path: readonly { readonly mark: string; readonly place: number }[]
  /** Rooms that were come to, but for those on the way and their elder siblings. */
  readonly seen: ReadonlySet<string>
}

interface Conditions {
  readonly maxDepth: number
  readonly suggestedOnly: boolean
}

export function hierarchyMark(roomId: RoomId): string {
  return roomMark(roomId).slice(0, markLength)
}

export function formatHierarchyToken({ path, seen }: HierarchyPosition, conditions: Conditions): string {
  const levels = path.map(({ mark, place }) => `${mark}${place}`).join('.')
  return `${headOf(conditions)}~${levels}~${[...seen].join('')}`
}

function headOf({ maxDepth, suggestedOnly }: Conditions): string {
  return `h2~${maxDepth}~${suggestedOnly ? 's' : 'a'}`
}

const form = /^(h2~\d{1,3}~[sa])~([\w-]{6}\d{1,4}(?:\.[\w-]{6}\d{1,4}){0,99})~((?:[\w-]{6})*)$/

/** Undefined for what is no token; `other_conditions` where it is of a walk under others. */
export function parseHierarchyToken(
  text: string,
  conditions: Conditions,
): HierarchyPosition | 'other_conditions' | undefined {
  const [, head, levels = '', marks = ''] = form.exec(text) ?? []
  if (head === undefined) return undefined
  if (head !== headOf(conditions)) return 'other_conditions'
  const path = levels
    .split('.')
    .map((level) => ({ mark: level.slice(0, markLength), place: Number(level.slice(markLength)) }))
  const seen = Array.from({ length: marks.length / markLength }, (_, n) =>
    marks.slice(n * markLength, (n + 1) * markLength),
  )
  return { path, seen: new Set(seen) }
}
