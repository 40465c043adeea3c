/**
 * Whom a user ignores, and what of them is not shown.
 *
 * Spec: client-server-api/#ignoring-users: "the client will no longer receive events sent by that user, with the exception of
 * state events". Held to be events here: what is in a timeline, and that somebody types, reads or is there. Messages to devices
 * are not, since they carry the keys for what is shown again once the user is ignored no longer; but nobody is asked by the
 * ignored to verify them.
 */
import { isObject, type JsonObject, own } from './json/json.ts'

/** The users in the content of `m.ignored_user_list`. */
export function ignoredIn(content: JsonObject): string[] {
  const list = own(content, 'ignored_users')
  return isObject(list) ? Object.keys(list) : []
}

/** Nobody can ignore themselves: their own clients would show nothing of what they say. */
export function withoutSelf(ignored: readonly string[], self: string): readonly string[] {
  return ignored.includes(self) ? ignored.filter((user) => user !== self) : ignored
}

/** Whether a message to a device is kept from it when its sender is ignored. */
export function isHiddenToDevice(type: string): boolean {
  return type.startsWith('m.key.verification.')
}
