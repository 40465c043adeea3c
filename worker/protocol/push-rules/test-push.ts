/**
 * A notification of nothing, by which one sees whether pushes arrive. Pure.
 *
 * Its event and room are not there: a client that looks events up shows that there is something new, and no text.
 */
import type { PushedEvent } from './push-body.ts'

export function testNotification(serverName: string): PushedEvent {
  return {
    event_id: '$test-push',
    room_id: `!test-push:${serverName}`,
    type: 'm.room.message',
    sender: `@_server:${serverName}`,
    sender_display_name: serverName,
    room_name: 'A test',
    user_is_target: false,
    content: { msgtype: 'm.text', body: 'Push notifications of this server arrive.' },
    tweaks: { sound: 'default' },
  }
}
