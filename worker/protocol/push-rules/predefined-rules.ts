/**
 * The rules every user has from the start, in the order of the specification.
 *
 * Spec: client-server-api/#predefined-rules (v1.19), and the rules for polls of MSC3930 under their unstable names, as
 * clients know them; those for threads of MSC4306, for invites to calls of MSC4075, and for encrypted events of MSC4028.
 */
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'

import type { PushRule, RuleSet } from './rule-set.ts'

const sound = (value: string) => ({ set_tweak: 'sound', value })
const highlight = { set_tweak: 'highlight' }
const inThread = (subscribed: boolean): JsonObject => ({ kind: 'io.element.msc4306.thread_subscription', subscribed })
const match = (key: string, pattern: string): JsonObject => ({ kind: 'event_match', key, pattern })

function rule(
  rule_id: string,
  conditions: readonly JsonObject[],
  actions: readonly JsonValue[],
  enabled = true,
): PushRule {
  return { rule_id, default: true, enabled, conditions, actions }
}

/** What else decides which predefined rules there are, and which of them hold. */
export interface PushCircumstances {
  /** A client of the user has followed a thread (MSC4306). */
  readonly followsThreads?: boolean
  /** The owner of the server wants devices to be told of all encrypted events (MSC4028). */
  readonly pushesEncrypted?: boolean
}

/**
 * The predefined rules of this user, whose ID and own mentions some of them name.
 *
 * Those of MSC4306 silence threads that the user does not follow. A client that does not know them follows none, and its
 * user would miss every reply: so they are enabled from the first time on that a client of the user follows a thread.
 *
 * That of MSC4028 rings for encrypted events in rooms where only mentions should: a client which decrypts them decides, and
 * any other shows too many. So it is there only where the owner wants it. Rooms that are muted have rules before it.
 */
export function predefinedRules(
  userId: string,
  { followsThreads = false, pushesEncrypted = false }: PushCircumstances = {},
): RuleSet {
  const inPairs: JsonObject = { kind: 'room_member_count', is: '2' }
  const isCall = match('type', 'org.matrix.msc4075.rtc.invite')
  const mentionsUser: JsonObject = {
    kind: 'event_property_contains',
    key: 'content.m\\.mentions.user_ids',
    value: userId,
  }
  const mentionsRoom: JsonObject[] = [
    { kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true },
    { kind: 'sender_notification_permission', key: 'room' },
  ]
  const isPoll = [match('type', 'org.matrix.msc3381.poll.start')]
  return {
    override: [
      rule('.m.rule.master', [], [], false),
      ...(pushesEncrypted
        ? [rule('.org.matrix.msc4028.encrypted_event', [match('type', 'm.room.encrypted')], ['notify'])]
        : []),
      rule('.m.rule.suppress_notices', [match('content.msgtype', 'm.notice')], []),
      rule(
        '.m.rule.invite_for_me',
        [match('type', 'm.room.member'), match('content.membership', 'invite'), match('state_key', userId)],
        ['notify', sound('default')],
      ),
      rule('.m.rule.member_event', [match('type', 'm.room.member')], []),
      rule('.org.matrix.msc4075.rule.rtc.invite_for_me', [isCall, mentionsUser], ['notify', sound('ring')]),
      rule('.m.rule.is_user_mention', [mentionsUser], ['notify', sound('default'), highlight]),
      rule('.org.matrix.msc4075.rule.rtc.invite_for_room', [isCall, ...mentionsRoom], ['notify', sound('ring')]),
      rule('.m.rule.is_room_mention', mentionsRoom, ['notify', highlight]),
      rule('.m.rule.tombstone', [match('type', 'm.room.tombstone'), match('state_key', '')], ['notify', highlight]),
      rule('.m.rule.reaction', [match('type', 'm.reaction')], []),
      rule('.m.rule.room.server_acl', [match('type', 'm.room.server_acl'), match('state_key', '')], []),
      rule(
        '.m.rule.suppress_edits',
        [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
        [],
      ),
      rule('.org.matrix.msc3930.rule.poll_response', [match('type', 'org.matrix.msc3381.poll.response')], []),
    ],
    content: [],
    postcontent: [
      rule('.io.element.msc4306.rule.unsubscribed_thread', [inThread(false)], [], followsThreads),
      rule(
        '.io.element.msc4306.rule.subscribed_thread',
        [inThread(true)],
        ['notify', sound('default')],
        followsThreads,
      ),
    ],
    room: [],
    sender: [],
    underride: [
      rule('.m.rule.call', [match('type', 'm.call.invite')], ['notify', sound('ring')]),
      rule(
        '.m.rule.encrypted_room_one_to_one',
        [inPairs, match('type', 'm.room.encrypted')],
        ['notify', sound('default')],
      ),
      rule('.m.rule.room_one_to_one', [inPairs, match('type', 'm.room.message')], ['notify', sound('default')]),
      rule('.m.rule.message', [match('type', 'm.room.message')], ['notify']),
      rule('.m.rule.encrypted', [match('type', 'm.room.encrypted')], ['notify']),
      rule('.org.matrix.msc3930.rule.poll_start_one_to_one', [inPairs, ...isPoll], ['notify', sound('default')]),
      rule('.org.matrix.msc3930.rule.poll_start', isPoll, ['notify']),
      rule(
        '.org.matrix.msc3930.rule.poll_end_one_to_one',
        [inPairs, match('type', 'org.matrix.msc3381.poll.end')],
        ['notify', sound('default')],
      ),
      rule('.org.matrix.msc3930.rule.poll_end', [match('type', 'org.matrix.msc3381.poll.end')], ['notify']),
    ],
  }
}
