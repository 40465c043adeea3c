/**
 * Whose invites a user takes.
 *
 * Spec: client-server-api/#invite-permission: `default_action` of `m.invite_permission_config`. And MSC4155 (unstable), lists of
 * globs for users and servers: "allowed" wins over "ignored", that over "blocked", and what is said of users over what is said
 * of servers. A blocked invite is refused; an ignored one is taken and never shown.
 */
import { compileGlob } from './glob.ts'
import { serverNameOf, type UserId } from './identifiers/user-id.ts'
import { type JsonObject, own } from './json/json.ts'

export type InviteVerdict = 'allow' | 'ignore' | 'block'

/** Types of account data, by what they hold. */
export const invitePermissionTypes = [
  'm.invite_permission_config',
  'org.matrix.msc4380.invite_permission_config',
] as const
export const inviteListsType = 'org.matrix.msc4155.invite_permission_config'

/** Longer patterns, and more of them, than anybody's list has are not looked at. */
const longestPattern = 255
const mostPatterns = 10_000

/** What becomes of an invite by this user, as the account data of the invited say. */
export function inviteVerdict(
  permission: JsonObject | undefined,
  lists: JsonObject | undefined,
  inviter: UserId,
): InviteVerdict {
  const listed = lists && verdictOf(lists, inviter)
  if (listed !== undefined) return listed
  return permission && own(permission, 'default_action') === 'block' ? 'block' : 'allow'
}

const actions = [
  ['allowed', 'allow'],
  ['ignored', 'ignore'],
  ['blocked', 'block'],
] as const

function verdictOf(lists: JsonObject, inviter: UserId): InviteVerdict | undefined {
  if (own(lists, 'enabled') === false) return undefined
  const subjects = [
    ['users', inviter],
    ['servers', serverNameOf(inviter)],
  ] as const
  for (const [kind, text] of subjects) {
    for (const [name, verdict] of actions) if (isListed(own(lists, `${name}_${kind}`), text)) return verdict
  }
  return undefined
}

function isListed(patterns: unknown, text: string): boolean {
  if (!Array.isArray(patterns)) return false
  return patterns
    .slice(0, mostPatterns)
    .some(
      (pattern) =>
        typeof pattern === 'string' && pattern.length <= longestPattern && compileGlob(pattern).matches(text),
    )
}
