/**
 * Which rooms a list of sliding sync holds, and in which order.
 *
 * Spec: MSC4186 "Filters", "Sorting". Rooms of which a filter asks something unknown, such as an invite without any state,
 * are in no list that asks. Newest activity comes first.
 */
import type { ListFilters, ListRequest } from './request.ts'

/** What is known of a room that lists filter and sort by. */
export interface ListedRoom {
  readonly roomId: string
  readonly membership: string
  /** Time of the last activity, in ms since 1970. */
  readonly bump: number
  /** Greater where the activity became known later. */
  readonly bumpedAt: number
  /** Undefined while nothing is known of the room's state. */
  readonly about: RoomAbout | undefined
}

export interface RoomAbout {
  readonly name?: string | undefined
  readonly type?: string | undefined
  readonly isEncrypted: boolean
  /** The rooms in a space. */
  readonly children?: readonly string[] | undefined
}

/** What the user's account data say of rooms. Looked up when a filter asks for it. */
export interface ListContext {
  isDirect(roomId: string): boolean
  tagsOf(roomId: string): readonly string[]
  /** The rooms in these spaces, of those that the user is joined to. */
  childrenOf(spaces: readonly string[]): ReadonlySet<string>
}

/** The rooms of a list, all of them, in order. */
export function listRooms<Room extends ListedRoom>(
  rooms: readonly Room[],
  filters: ListFilters,
  context: ListContext,
): Room[] {
  const passes = filterFor(filters, context)
  return rooms.filter(passes).sort(byActivity)
}

function byActivity(a: ListedRoom, b: ListedRoom): number {
  return b.bump - a.bump || b.bumpedAt - a.bumpedAt || (a.roomId < b.roomId ? -1 : 1)
}

/** What the ranges of a list cover; a range may reach beyond its end. */
export function windowsOf<Room>(rooms: readonly Room[], { ranges }: Pick<ListRequest, 'ranges'>): Room[][] {
  return ranges.map(([first, last]) => rooms.slice(first, last + 1))
}

function filterFor(filters: ListFilters, context: ListContext): (room: ListedRoom) => boolean {
  const { is_dm, is_encrypted, is_invite, room_types, not_room_types, room_name_like, tags, not_tags } = filters
  const children = filters.spaces && context.childrenOf(filters.spaces)
  const like = room_name_like?.toLowerCase()
  const tests: ((room: ListedRoom) => boolean)[] = []
  if (is_dm !== undefined) tests.push(({ roomId }) => context.isDirect(roomId) === is_dm)
  if (children) tests.push(({ roomId }) => children.has(roomId))
  if (is_encrypted !== undefined) tests.push(({ about }) => about?.isEncrypted === is_encrypted)
  if (is_invite !== undefined) tests.push(({ membership }) => (membership === 'invite') === is_invite)
  if (room_types) tests.push(({ about }) => about !== undefined && room_types.includes(about.type ?? null))
  if (not_room_types) tests.push(({ about }) => about !== undefined && !not_room_types.includes(about.type ?? null))
  if (like !== undefined) tests.push(({ about }) => about?.name?.toLowerCase().includes(like) === true)
  if (tags) tests.push(({ roomId }) => context.tagsOf(roomId).some((tag) => tags.includes(tag)))
  if (not_tags) tests.push(({ roomId }) => !context.tagsOf(roomId).some((tag) => not_tags.includes(tag)))
  return (room) => tests.every((test) => test(room))
}
